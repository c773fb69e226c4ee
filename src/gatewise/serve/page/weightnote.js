// An LSTM of weight 0 predicts nothing: its cell is folded away, and the members that predict are named.

import { button, el, setAttr, setText } from "./dom.js";
import { weightsText } from "./value.js";

/** note: the sentence on the weight of the LSTM, above the cell; model: of GET /model. */
export function createWeightNote(note, { members }) {
	const isIdle =
		members.some(({ name }) => name === "LSTM") && members.every(({ name, weight }) => name !== "LSTM" || !weight);
	if (!isIdle) return;
	const { classList } = document.body;
	const toggle = button("", { onclick: () => show(!classList.contains("idle")) });
	function show(isFolded) {
		classList.toggle("idle", isFolded);
		setText(toggle, isFolded ? "Show the cell" : "Fold the cell away");
		setAttr(toggle, "aria-expanded", !isFolded);
	}
	show(true);
	const predicting = members.filter(({ weight }) => weight);
	note.after(
		el("p", { class: "weightnote predicting" }, `The prediction is that of ${weightsText(predicting)}. `, toggle),
	);
}
