// Plays the seven steps inside the cell, by hand or automatically. After the seventh step comes the next word.

import { announce, el, iconButton, setText, within } from "./dom.js";
import { STEPS } from "./cellshape.js";
import { selectedWord, stepCount } from "./store.js";

const STEP_TIME = 900; // ms per step at speed 1

export function createPlayer(root, store) {
	const description = el("p", { class: "stepline" });
	const title = el("span", { class: "stepname" });
	const formula = el("span", { class: "formula" });
	const play = iconButton("▶", "Play", () => toggle());
	const speed = el("select", { "aria-label": "Speed", onchange: () => timer && start() });
	for (const x of [0.5, 1, 2]) speed.append(el("option", { value: x, selected: x === 1 }, `${x}×`));
	const first = iconButton("|◁", "First step", () => go(-7));
	const back = iconButton("◁", "Step back", () => go(-1));
	const on = iconButton("▷", "Step forward", () => go(1));
	const last = iconButton("▷|", "Last step", () => go(7));
	root.append(el("div", { class: "steprow" }, title, formula, description), el("div", { class: "buttons" }, first, back, play, on, last, speed));
	let timer = 0;

	/** One step forward or back; past the seventh, the next word. 7 or -7: the last or the first step of this word. */
	function go(by) {
		const state = store.get();
		const steps = stepCount(state);
		if (!steps) return stop();
		let [s, w] = [state.s + by, selectedWord(state)];
		if (Math.abs(by) === 7) s = by < 0 ? 1 : 7;
		else if (s > 7 && w < steps - 1) [s, w] = [1, w + 1];
		else if (s < 1 && w > 0) [s, w] = [7, w - 1];
		if (s > 7 || s < 1) return stop();
		store.set({ s, w });
		return undefined;
	}
	function stop() {
		clearInterval(timer);
		timer = 0;
		setText(play, "▶");
		play.setAttribute("aria-label", "Play");
	}
	function start() {
		clearInterval(timer);
		timer = setInterval(() => (document.hidden ? stop() : go(1)), STEP_TIME / Number(speed.value));
		setText(play, "❚❚");
		play.setAttribute("aria-label", "Pause");
	}
	const toggle = () => (timer ? stop() : start());

	return {
		go,
		toggle,
		stop,
		clear() {
			stop();
			setText(title, "");
			formula.replaceChildren();
			setText(description, "");
		},
		speed(by) {
			speed.selectedIndex = within(speed.selectedIndex + by, 3);
			if (timer) start();
		},
		/** parts: the formula, of `stepFormula` */
		draw(step, parts, line) {
			const name = `${step} ${STEPS[step - 1].name}`;
			if (description.textContent !== line && root.contains(document.activeElement)) announce(`${name}. ${line}`);
			setText(title, name);
			formula.replaceChildren(...parts.map(({ text, sub }) => (sub ? el("sub", {}, text) : text)));
			setText(description, line);
		},
	};
}
