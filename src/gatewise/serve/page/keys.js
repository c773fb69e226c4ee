// Keyboard shortcuts: single letters act while the focus is in the figure, never in a field. "?" lists them and can turn
// them off.

import { el, fillDialog } from "./dom.js";

const LISTED = [
	["E", "edit the text"], ["← →", "word (in the text), step (at the cell)"], ["↑ ↓", "unit (at the cell)"],
	["Home End", "first, last"], ["I F G O C H", "gate or state of the heat map"],
	["S", "sort the units"], ["T", "heat map as a table"],
	["K", "clamp a gate"], ["X", "ablate the unit"], ["B", "compare two texts"],
	["M", "presentation mode"], ["D", "theme"], ["1 – 9", "examples"], ["Esc", "leave the text, the presentation"], ["?", "this list"],
];

/** actions: functions by key. root: the figure. dialog: the element of the list. escape(event): on Escape. */
export function createKeys(root, dialog, actions, escape) {
	let enabled = true;
	const box = el("input", { type: "checkbox", checked: true });
	box.addEventListener("change", () => (enabled = box.checked));
	const list = el("dl", { class: "keys" }, LISTED.flatMap(([key, action]) => [el("dt", {}, key), el("dd", {}, action)]));
	fillDialog(dialog, "Keyboard shortcuts",
		el("p", { class: "muted" }, "They act while the focus is in the words, the cell or the heat map, never in a field."),
		list, el("label", {}, box, " single-letter shortcuts are on"));
	const fieldOf = (node) => node?.closest?.("input, textarea, select, [contenteditable]");

	document.addEventListener("keydown", (event) => {
		if (event.defaultPrevented || dialog.open) return;
		const inField = fieldOf(event.target);
		if (event.key === "Escape") {
			escape(event);
			return;
		}
		if (!enabled || inField || event.altKey || event.ctrlKey || event.metaKey) return;
		if (!root.contains(event.target) && event.target !== document.body) return;
		if (event.key === " " && event.target.closest("button, summary, [role=button]")) return;
		const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
		if (!action) return;
		if (action(event) !== false) event.preventDefault();
	});
	return { show: () => dialog.showModal() };
}
