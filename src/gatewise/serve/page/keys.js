// Keyboard shortcuts: single letters act while the focus is in the figure, never in a field. "?" lists them and can turn
// them off.

import { el, fillDialog } from "./dom.js";

const LISTED = [
	["E", "edit the text"], ["← →", "word (in the text), step (at the cell)"], ["↑ ↓", "unit (at the cell)"],
	["Home End", "first, last"], ["Space", "play, pause"], ["I F G O C H", "gate or state of the heat map"],
	["S", "sort the units"], ["+ − 0", "zoom"], ["T", "heat map as a table"], ["V", "colour of the words"],
	["K", "clamp a gate"], ["X", "ablate the unit"], ["Ctrl+Z, Ctrl+Y", "undo, redo"], ["B", "compare two texts"], ["Q", "guess first"],
	["M", "presentation mode"], ["L", "link"], ["D", "theme"], ["1 – 9", "examples"], ["Esc", "leave the text, the presentation"], ["?", "this list"],
];

/** actions: functions by key. root: the figure. dialog: the element of the list. */
export function createKeys(root, dialog, actions, { undo, redo, escape }) {
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
		if ((event.ctrlKey || event.metaKey) && !event.altKey) {
			const key = event.key.toLowerCase();
			const typing = inField && !["range", "number", "checkbox"].includes(event.target.type);
			if (typing || !["z", "y"].includes(key)) return;
			event.preventDefault();
			if (key === "y" || event.shiftKey) redo();
			else undo();
			return;
		}
		if (!enabled || inField || event.altKey || event.metaKey) return;
		if (!root.contains(event.target) && event.target !== document.body) return;
		if (event.key === " " && event.target.closest("button, summary, [role=button]")) return;
		const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
		if (!action) return;
		if (action(event) !== false) event.preventDefault();
	});
	return { show: () => dialog.showModal() };
}
