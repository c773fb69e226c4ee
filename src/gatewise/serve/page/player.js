// The seven steps inside the cell as tabs. After the seventh step comes the next word.

import { announce, button, el, setAttr, setText } from "./dom.js";
import { STEPS } from "./cellshape.js";
import { selectedWord, stepCount } from "./store.js";

export function createPlayer(root, store) {
	const tabs = STEPS.map(({ name }, n) =>
		button(`${n + 1} ${name[0].toUpperCase()}${name.slice(1)}`, {
			role: "tab",
			id: `step${n + 1}`,
			"aria-controls": "step",
			tabindex: -1,
			onclick: () => store.set({ s: n + 1 }),
		}),
	);
	const why = el("p", { class: "why" });
	const formula = el("p", { class: "formula" });
	const description = el("p", { class: "stepline" });
	const panel = el("div", { class: "steprow", role: "tabpanel", id: "step" }, why, formula, description);
	root.append(
		el(
			"div",
			{ class: "buttons" },
			el("div", { class: "tabs", role: "tablist", "aria-label": "Steps of the cell" }, tabs),
		),
		panel,
	);

	/** One step forward or back; past the seventh, the next word. 7 or -7: the last or the first step of this word. */
	function go(by) {
		const state = store.get();
		const steps = stepCount(state);
		if (!steps) return;
		let [s, w] = [state.s + by, selectedWord(state)];
		if (Math.abs(by) === 7) s = by < 0 ? 1 : 7;
		else if (s > 7 && w < steps - 1) [s, w] = [1, w + 1];
		else if (s < 1 && w > 0) [s, w] = [7, w - 1];
		if (s > 7 || s < 1) return;
		store.set({ s, w });
		if (tabs.includes(document.activeElement)) tabs[s - 1].focus();
	}
	return {
		go,
		clear() {
			for (const node of [why, formula, description]) node.replaceChildren();
		},
		/** parts: the formula, of `stepFormula`; reason: why the step is there */
		draw(step, parts, line, reason) {
			if (description.textContent !== line && root.contains(document.activeElement)) announce(`${line} ${reason}`);
			tabs.forEach((tab, n) => {
				setAttr(tab, "aria-selected", n === step - 1);
				setAttr(tab, "tabindex", n === step - 1 ? 0 : -1);
			});
			setAttr(panel, "aria-labelledby", `step${step}`);
			formula.replaceChildren(...parts.map(({ text, sub }) => (sub ? el("sub", {}, text) : text)));
			setText(description, line);
			setText(why, reason);
		},
	};
}
