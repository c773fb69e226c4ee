// What the chapters are made of: numbers to drag, buttons to choose from, questions. lesson.html has their text.

import { button, el, fmt, setAttr, setText } from "../dom.js";

/** Make an element a slider of a parameter: label, format(x) -> text. at(event): the value at the pointer; without it, moving
 * by pixels() is the whole range, backwards where it is negative. Delete and double click take the default. */
export function slider(node, param, options) {
	const { label, format = (x) => fmt(x), at = null, vertical = false, pixels = () => 240, shown = param.get } = options;
	const { step } = param;
	const fixed = { role: "slider", tabindex: 0, "aria-label": label };
	fixed["aria-orientation"] = vertical ? "vertical" : "horizontal";
	for (const [name, value] of Object.entries(fixed)) setAttr(node, name, value);
	node.classList.add("slider");
	/** `shown`: what stands there while the parameter is null. */
	const now = () => param.get() ?? shown();
	function show() {
		const [low, high] = param.limits();
		const value = now() ?? low;
		setAttr(node, "aria-valuemin", low);
		setAttr(node, "aria-valuemax", high);
		setAttr(node, "aria-valuenow", Number(value.toFixed(4)));
		setAttr(node, "aria-valuetext", format(value));
	}
	const touched = () => node.closest(".chapter")?.classList.add("touched");
	let from = null;
	node.addEventListener("pointerdown", (event) => {
		if (event.button) return;
		event.preventDefault();
		touched();
		node.focus({ preventScroll: true });
		node.setPointerCapture(event.pointerId);
		from = { x: event.clientX, y: event.clientY, value: now() };
		if (at) param.set(at(event));
	});
	node.addEventListener("pointermove", (event) => {
		if (!from) return;
		const [low, high] = param.limits();
		const way = vertical ? from.y - event.clientY : event.clientX - from.x;
		param.set(at ? at(event) : from.value + (way / pixels()) * (high - low));
	});
	for (const name of ["pointerup", "pointercancel"]) node.addEventListener(name, () => (from = null));
	node.addEventListener("dblclick", () => param.reset());
	node.addEventListener("keydown", (event) => {
		const [low, high] = param.limits();
		const big = Math.max(step, (high - low) / 10);
		const to = {
			ArrowRight: now() + step,
			ArrowUp: now() + step,
			ArrowLeft: now() - step,
			ArrowDown: now() - step,
			PageUp: now() + big,
			PageDown: now() - big,
			Home: low,
			End: high,
		}[event.key];
		if (event.key === "Delete") param.reset();
		else if (to !== undefined) param.set(to);
		else return;
		touched();
		event.preventDefault();
	});
	param.watch(show);
	show();
	return show;
}

/** Make an element of a sentence a number that is dragged. Returns a function that shows the number anew: for a parameter at
 * null, whose number `shown()` depends on the run. */
export function handle(node, param, options) {
	const number = el("span", { class: "value" });
	const { format = (x) => fmt(x), shown = param.get } = options;
	node.append(number);
	node.title = "Drag, or use the arrow keys";
	const refresh = slider(node, param, options);
	const write = () => setText(number, format(param.get() ?? shown() ?? param.limits()[0]));
	param.watch(write);
	write();
	return () => {
		refresh();
		write();
	};
}

/** A question to answer before the answer shows. answer(): {right: index of the right button, text}. It can also be answered
 * in a figure: commit(index). The parameter `g` is the index, or "-" if the answer was shown without a guess. */
export function question(node, lesson, answer) {
	const options = node.querySelector(".options");
	const buttons = [...options.querySelectorAll("button")];
	const skip = button("Just show it", { class: "skipguess" });
	options.append(skip);
	const said = node.querySelector(".said");
	const most = 200; // an answer in a figure can have more options than buttons
	const guess = lesson.param("g", { value: null, values: ["-", ...Array.from({ length: most }, (_, n) => String(n))] });
	/** The first guess counts. */
	const commit = (index) => guess.get() === null && guess.set(String(index));
	buttons.forEach((one, n) => one.addEventListener("click", () => commit(n)));
	skip.addEventListener("click", () => commit("-"));
	function show() {
		const isOpen = guess.get() === null;
		const { right, text } = isOpen ? { right: null, text: "" } : answer();
		const chosen = isOpen || guess.get() === "-" ? null : Number(guess.get());
		buttons.forEach((one, n) => {
			setAttr(one, "aria-pressed", n === chosen);
			setAttr(one, "aria-disabled", !isOpen);
			one.classList.toggle("right", n === right);
		});
		skip.hidden = !isOpen;
		const judgement = chosen === null ? "" : chosen === right ? "Yes. " : "No. ";
		setText(said, judgement + text);
	}
	guess.watch(show);
	queueMicrotask(show); // once the chapter that answers is complete
	return { guess, commit, refresh: show };
}

/** A parameter as a row of buttons with values, one of which is pressed. */
export function choice(buttons, param) {
	for (const one of buttons) one.addEventListener("click", () => param.set(one.value));
	const show = () => buttons.forEach((one) => setAttr(one, "aria-pressed", one.value === param.get()));
	param.watch(show);
	show();
}

/** Fill a hidden table with what a figure shows, for screen readers, at most every 500 ms. rows: lists of cells. */
export function describe(node, caption, head, rows) {
	clearTimeout(timers.get(node));
	timers.set(
		node,
		setTimeout(() => {
			const row = (cells, tag) => el("tr", {}, ...cells.map((cell) => el(tag, {}, cell)));
			const table = el("table", {}, el("caption", {}, caption));
			table.append(el("thead", {}, row(head, "th")), el("tbody", {}, ...rows.map((cells) => row(cells, "td"))));
			node.replaceChildren(table);
		}, 500),
	);
	setAttr(node, "data-described", "");
}
const timers = new WeakMap();
