// Keys: single letters act only while the focus is in the figure, never in a field; ? lists them and switches them off.

import { button, el } from "./dom.js";

const LISTED = [
	["E", "write"], ["← →", "word (in the text), step (at the cell)"], ["↑ ↓", "unit (at the cell)"],
	["Home End", "first, last"], ["Space", "play, pause"], [", .", "slower, faster"], ["I F G O C H", "what the map shows"],
	["S", "order of the units"], ["+ − 0", "zoom"], ["T", "the map as a table"], ["V", "what colours the words"],
	["K", "hold a gate"], ["X", "silence the unit"], ["Ctrl+Z, Ctrl+Y", "undo, redo"], ["B", "compare"], ["Q", "guess first"],
	["M", "present"], ["L", "link"], ["D", "light, dark"], ["1 – 4", "examples"], ["Esc", "let go"], ["?", "this list"],
];

/** acts: by key, a function; root: the figure; dialog: where the list is shown. */
export function createKeys(root, dialog, acts, { undo, redo, escape }) {
	let on = true;
	const box = el("input", { type: "checkbox", checked: true });
	box.addEventListener("change", () => (on = box.checked));
	const list = el("dl", { class: "keys" }, LISTED.flatMap(([key, does]) => [el("dt", {}, key), el("dd", {}, does)]));
	dialog.append(
		el("h2", { id: "keystitle" }, "Keys"), el("p", { class: "quiet" }, "They act while the focus is in the words, the cell or the map, never in a field."),
		list, el("label", {}, box, " single-letter keys are on"), el("p", {}, button("Close", { onclick: () => dialog.close() })),
	);
	dialog.setAttribute("aria-labelledby", "keystitle");
	const field = (node) => node?.closest?.("input, textarea, select, [contenteditable]");

	document.addEventListener("keydown", (event) => {
		if (event.defaultPrevented || dialog.open) return;
		const inField = field(event.target);
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
		if (!on || inField || event.altKey || event.metaKey) return;
		if (!root.contains(event.target) && event.target !== document.body) return;
		if (event.key === " " && event.target.closest("button, summary, [role=button]")) return;
		const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
		if (!act) return;
		if (act(event) !== false) event.preventDefault();
	});
	return { show: () => dialog.showModal() };
}
