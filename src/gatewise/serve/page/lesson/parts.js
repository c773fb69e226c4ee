// What the chapters are made of: numbers to drag, terms that light a part of the figure, questions. lesson.html has their text.

import { el, fmt, setAttr, setText } from "../dom.js";

/** Let each term of a chapter light the parts of the figure with that data-wire, while it has the pointer or the focus. */
export function lightTerms(element) {
	const light = (node) => lightOnly(element, node?.closest?.("[data-term]")?.dataset.term ?? "");
	for (const name of ["focusin", "pointerover"])
		element.addEventListener(name, ({ target }) => target.closest("[data-term]") && light(target));
	element.addEventListener("focusout", () => light(null));
	element.addEventListener("pointerout", () => light(document.activeElement));
	element.addEventListener("drawn", () => element.dataset.lit && lightOnly(element, element.dataset.lit)); // nodes are new
}

function lightOnly(element, name) {
	for (const wire of element.querySelectorAll("[data-wire]"))
		wire.classList.toggle("lit", wire.dataset.wire.split(" ").includes(name));
	element.classList.toggle("lighting", name !== "");
	element.dataset.lit = name;
}

/** Make an element of a figure a slider: label, min, max, step, value, format(x) -> text, onInput(x). at(event): the value at
 * the pointer; without it, moving by pixels() is the whole range, backwards where it is negative. reset(): on Delete and
 * double click. Returns set(value, [min, max] if they change). */
export function slider(node, options) {
	const { label, min, max, step, onInput, reset = null, at = null, vertical = false } = options;
	const { format = (x) => fmt(x), pixels = () => 240 } = options;
	let now = options.value;
	let range = [min, max];
	const bounds = {
		"aria-valuemin": min,
		"aria-valuemax": max,
		"aria-orientation": vertical ? "vertical" : "horizontal",
	};
	for (const [name, one] of Object.entries({ role: "slider", tabindex: 0, "aria-label": label, ...bounds }))
		node.setAttribute(name, one);
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
			ArrowRight: now + step,
			ArrowUp: now + step,
			ArrowLeft: now - step,
			ArrowDown: now - step,
			PageUp: now + big,
			PageDown: now - big,
			Home: range[0],
			End: range[1],
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

/** Make an element of a sentence a number that is dragged. options, and the result: those of `slider`. */
export function handle(node, options) {
	const number = el("span", { class: "value" });
	node.append(number);
	node.title = "Drag, or use the arrow keys";
	const { format = (x) => fmt(x) } = options;
	const set = slider(node, options);
	const show = (x, limits) => {
		set(x, limits);
		setText(number, format(x));
	};
	show(options.value);
	return show;
}

/** A number to drag that chooses the unit of the lesson; to reset it, that of the chapter. */
export const unitHandle = (node, lesson) =>
	handle(node, {
		label: "Unit",
		min: 0,
		max: lesson.model.units - 1,
		step: 1,
		value: 0,
		format: String,
		onInput: (unit) => lesson.set({ unit }),
		reset: () => lesson.set({ unit: null }),
	});

/** A question to answer before the answer shows. answer(): {right: index of the right button, text}. Returns refresh(text): it
 * asks again if the text is another than before. */
export function question(node, answer) {
	const [buttons, said] = [[...node.querySelectorAll("button")], node.querySelector(".said")];
	let last = null;
	function mark(chosen, { right, text }) {
		buttons.forEach((one, n) => {
			setAttr(one, "aria-pressed", n === chosen);
			one.classList.toggle("right", n === right);
		});
		setText(said, text && `${chosen === right ? "Right." : "No."} ${text}`);
	}
	const ask = () => mark(null, { right: null, text: "" });
	buttons.forEach((one, n) => one.addEventListener("click", () => mark(n, answer())));
	ask();
	return (about) => {
		if (about !== last) ask();
		last = about;
	};
}

/** A value of a row of buttons, one of which is pressed. Returns set(value). */
export function choice(buttons, onChoose) {
	for (const one of buttons) one.addEventListener("click", () => onChoose(one.value));
	return (now) => buttons.forEach((one) => setAttr(one, "aria-pressed", one.value === now));
}
