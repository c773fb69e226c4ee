// The seven steps inside a cell, one after the other, by hand or by itself; after the seventh comes the next word.

import { button, el, put, say } from "./dom.js";
import { STEPS } from "./cellshape.js";
import { stepsOf, wordNow } from "./store.js";

const EACH = 900; // ms a step at speed 1

export function createPlayer(root, store) {
	const line = el("p", { class: "stepline" });
	const at = el("span", { class: "stepname" });
	const icon = (sign, name, action) => button(sign, { class: "icon", "aria-label": name, title: name, onclick: action });
	const play = icon("▶", "Play", () => toggle());
	const speed = el("select", { "aria-label": "Speed", onchange: () => timer && start() });
	for (const x of [0.5, 1, 2]) speed.append(el("option", { value: x, selected: x === 1 }, `${x}×`));
	const first = icon("|◁", "First step", () => go(-7));
	const back = icon("◁", "Step back", () => go(-1));
	const on = icon("▷", "Step on", () => go(1));
	const last = icon("▷|", "Last step", () => go(7));
	root.append(el("div", { class: "steprow" }, at, line), el("div", { class: "buttons" }, first, back, play, on, last, speed));
	let timer = 0;

	/** One step on or back; past the seventh, the next word. 7 or -7: the end or the beginning of this word. */
	function go(by) {
		const state = store.get();
		const steps = stepsOf(state);
		if (!steps) return stop();
		let [s, w] = [state.s + by, wordNow(state)];
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
		put(play, "▶");
		play.setAttribute("aria-label", "Play");
	}
	function start() {
		clearInterval(timer);
		timer = setInterval(() => (document.hidden ? stop() : go(1)), EACH / Number(speed.value));
		put(play, "❚❚");
		play.setAttribute("aria-label", "Pause");
	}
	const toggle = () => (timer ? stop() : start());

	return {
		go,
		toggle,
		stop,
		speed(by) {
			speed.selectedIndex = Math.max(0, Math.min(2, speed.selectedIndex + by));
			if (timer) start();
		},
		draw(step, sentence) {
			const name = `${step} ${STEPS[step - 1].name}`;
			if (line.textContent !== sentence && root.contains(document.activeElement)) say(`${name}. ${sentence}`);
			put(at, name);
			put(line, sentence);
		},
		playing: () => timer !== 0,
	};
}
