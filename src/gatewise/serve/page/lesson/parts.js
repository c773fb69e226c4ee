// What the chapters are made of: the layout of a chapter, numbers to drag, terms that light a part of the figure, questions.

import { button, el, fmt, setAttr, setText } from "../dom.js";

/** Lay out a chapter. prose: its paragraphs, each a list of strings and nodes; question: of `question`; figure: an element;
 * why: a list of strings and nodes; code: {keras, gatewise}, lines of code. */
export function page(element, lesson, id, { prose, question, why, figure, code }) {
	const n = lesson.chapters.findIndex((one) => one.id === id);
	const [before, after] = [lesson.chapters[n - 1], lesson.chapters[n + 1]];
	const line = (name, text) => el("p", {}, el("span", { class: "muted" }, name), " ", el("code", {}, text));
	figure.classList.add("figure");
	element.append(
		el("div", { class: "prose" },
			el("h2", { id: `${id}title` }, el("b", {}, n + 1), ` ${lesson.chapters[n].title}`),
			prose.map((one) => el("p", {}, ...one.map(joined))), question.element),
		figure,
		el("div", { class: "notes" }, el("p", { class: "why" }, el("b", {}, "Why? "), ...why),
			el("div", { class: "code" }, line("in Keras", code.keras), line("in gatewise", code.gatewise))),
		el("nav", { class: "turn", "aria-label": "Next chapter" },
			before && el("a", { href: `#${before.id}`, "aria-label": `Back to ${before.title}` }, "←"),
			after ? el("a", { class: "next", href: `#${after.id}` }, `${after.title} →`) : el("a", { class: "next", href: "index.html" }, "The lab →")));
	element.addEventListener("focusin", light);
	element.addEventListener("focusout", () => lightOnly(element, null));
	element.addEventListener("pointerover", light);
	element.addEventListener("pointerout", () => lightOnly(element, document.activeElement?.dataset?.term ?? null));
	element.addEventListener("drawn", () => element.dataset.lit && lightOnly(element, element.dataset.lit)); // nodes are new
	function light(event) {
		const found = event.target.closest?.("[data-term]");
		if (found) lightOnly(element, found.dataset.term);
	}
}

function lightOnly(element, name) {
	for (const wire of element.querySelectorAll("[data-wire]")) wire.classList.toggle("lit", wire.dataset.wire.split(" ").includes(name));
	element.classList.toggle("lighting", name !== null);
	element.dataset.lit = name ?? "";
}

/** A part of a sentence; a word joiner keeps punctuation on the line of the number before it. */
const joined = (part) => (typeof part === "string" ? part.replace(/^[.,:;]/, "\u2060$&") : part);

/** A term of a sentence that lights the parts of the figure with that data-wire, while it has the pointer or the focus. */
export const term = (name, text) => el("span", { class: "term", role: "button", tabindex: 0, "data-term": name }, text);

/** Make an element of a figure a slider: label, min, max, step, value, format(x) -> text, onInput(x). at(event): the value at
 * the pointer; without it, moving by pixels() is the whole range, backwards where it is negative. reset(): on Delete and
 * double click. Returns set(value, [min, max] if they change). */
export function slider(node, options) {
	const { label, min, max, step, onInput, reset = null, at = null, vertical = false } = options;
	const { format = (x) => fmt(x), pixels = () => 240 } = options;
	let now = options.value;
	let range = [min, max];
	const bounds = { "aria-valuemin": min, "aria-valuemax": max, "aria-orientation": vertical ? "vertical" : "horizontal" };
	for (const [name, one] of Object.entries({ role: "slider", tabindex: 0, "aria-label": label, ...bounds })) node.setAttribute(name, one);
	node.classList.add("slider");
	const clip = (x) => Math.max(range[0], Math.min(range[1], Math.round(x / step) * step));
	const show = () => {
		setAttr(node, "aria-valuenow", Number(now.toFixed(4)));
		setAttr(node, "aria-valuetext", format(now));
	};
	function move(x) {
		const next = clip(x);
		if (next === now) return;
		now = next;
		show();
		onInput(now);
	}
	let from = null;
	node.addEventListener("pointerdown", (event) => {
		if (event.button) return;
		event.preventDefault();
		node.closest(".chapter")?.classList.add("touched");
		node.focus({ preventScroll: true });
		node.setPointerCapture(event.pointerId);
		from = { x: event.clientX, y: event.clientY, value: now };
		if (at) move(at(event));
	});
	node.addEventListener("pointermove", (event) => {
		if (!from) return;
		const way = vertical ? from.y - event.clientY : event.clientX - from.x;
		move(at ? at(event) : from.value + (way / pixels()) * (range[1] - range[0]));
	});
	for (const name of ["pointerup", "pointercancel"]) node.addEventListener(name, () => (from = null));
	node.addEventListener("dblclick", () => reset?.());
	node.addEventListener("keydown", (event) => {
		const big = Math.max(step, (range[1] - range[0]) / 10);
		const to = {
			ArrowRight: now + step, ArrowUp: now + step, ArrowLeft: now - step, ArrowDown: now - step,
			PageUp: now + big, PageDown: now - big, Home: range[0], End: range[1],
		}[event.key];
		if (event.key === "Delete" && reset) reset();
		else if (to !== undefined) move(to);
		else return;
		event.preventDefault();
	});
	show();
	return (next, limits = null) => {
		if (limits) {
			range = limits;
			setAttr(node, "aria-valuemin", limits[0]);
			setAttr(node, "aria-valuemax", limits[1]);
		}
		now = next;
		show();
	};
}

/** A number in a sentence that is dragged. The options are those of slider. */
export function handle(options) {
	const number = el("span", { class: "value" });
	const element = el("span", { class: "handle", title: "Drag, or use the arrow keys" }, number);
	const format = options.format ?? ((x) => fmt(x));
	const set = slider(element, options);
	const show = (x) => setText(number, format(x));
	show(options.value);
	return {
		element,
		set(x, limits) {
			set(x, limits);
			show(x);
		},
	};
}

/** A number to drag that chooses the unit of the lesson; to reset it, that of the chapter. */
export const unitHandle = (lesson) => handle({
	...{ label: "Unit", min: 0, max: lesson.model.units - 1, step: 1, value: 0, format: String },
	onInput: (unit) => lesson.set({ unit }),
	reset: () => lesson.set({ unit: null }),
});

/** A question to answer before the answer shows: {element, refresh(text)}. ask: a text, or a function that returns it; answer():
 * {right: index of the right option, text}. refresh(text): asks again if the text is another than before. */
export function question({ ask, options, answer }) {
	const legend = el("legend", {}, typeof ask === "string" ? ask : "");
	let last = null;
	const said = el("p", { class: "said", role: "status" });
	const buttons = options.map((option, n) => button(option, { "aria-pressed": "false", onclick: () => choose(n) }));
	function choose(n) {
		const { right, text } = answer();
		mark(n, right);
		setText(said, `${n === right ? "Right." : "No."} ${text}`);
	}
	function mark(chosen, right) {
		buttons.forEach((one, k) => {
			setAttr(one, "aria-pressed", k === chosen);
			one.classList.toggle("right", k === right);
		});
	}
	return {
		element: el("fieldset", { class: "question" }, legend, el("div", { class: "options" }, buttons), said),
		refresh(about) {
			if (about === last) return;
			last = about;
			if (typeof ask === "function") setText(legend, ask());
			setText(said, "");
			mark(-1, -1);
		},
	};
}

/** A value of a row of buttons, one of which is pressed. options: [value, name]. */
export function choice(label, options, onChoose) {
	const create = ([value, name]) => [value, button(name, { "aria-pressed": "false", onclick: () => onChoose(value) })];
	const buttons = new Map(options.map(create));
	const element = el("div", { class: "choice", role: "group", "aria-label": label }, ...buttons.values());
	return { element, set: (now) => buttons.forEach((one, value) => setAttr(one, "aria-pressed", value === now)) };
}
