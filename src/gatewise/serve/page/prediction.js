// The prediction, and what a change made of it.

import { button, el, fmt, safeText, setText } from "./dom.js";
import { selectedWord, tokenNounOf } from "./store.js";
import { changeText, labelOf, othersText, probabilityName, shownProbability, sideOf } from "./value.js";

/** Whether the numbers that are shown belong to the changes that are listed. */
export const isCurrent = ({ data, changes, earlyPrediction }) =>
	(earlyPrediction ?? data)?.changes === undefined || (earlyPrediction ?? data).changes === changes;

export function createPredictionView(root, store) {
	const heading = el("p", { class: "heading" }, "Prediction:");
	const label = el("span", { class: "label" });
	const of = el("span", { class: "of" }); // P(class) =, as everywhere on the page
	const number = el("span", { class: "probability" });
	const others = el("p", { class: "others muted", hidden: true });
	const explain = button("", {
		class: "explainstep",
		hidden: true,
		onclick: () => store.set({ step: selectedWord(store.get()) }),
	});
	const notes = el("p", { class: "changenote", hidden: true });
	root.append(
		heading,
		el("p", { class: "predictionrow" }, label, " ", el("span", { class: "number" }, of, number)),
		explain,
		others,
		notes,
	);

	function draw(state) {
		const { data } = state;
		root.classList.toggle("computing", !isCurrent(state));
		const explained = data?.prediction.step ?? null;
		const wordAt = (n) => (tokenNounOf(state) === "step" ? `step ${n + 1}` : `“${safeText(data.words[n], 24)}”`);
		setText(
			heading,
			`${state.outdated ? "Earlier prediction" : "Prediction"}${explained === null ? "" : ` for ${wordAt(explained)}`}:`,
		);
		explain.hidden = !state.choice || explained === null || selectedWord(state) === explained;
		if (!explain.hidden) setText(explain, `Explain the label of ${wordAt(selectedWord(state))}`);
		const prediction = data && (state.earlyPrediction ?? data.prediction);
		setText(label, data ? labelOf(prediction, data.model) : "–");
		label.className = `label ${data ? sideOf(prediction) : ""}`;
		const shown = data?.model.task === "classification" ? shownProbability(prediction, data.model) : null;
		setText(of, shown ? `${probabilityName(shown.name)} =` : "");
		setText(number, shown ? fmt(shown.value) : "");
		for (const [node, line] of [
			[others, data ? othersText(prediction, data.model) : ""],
			[notes, data ? notesOf(state, prediction).join(" ") : ""],
		]) {
			node.hidden = !line;
			setText(node, line);
		}
	}

	function notesOf(state, prediction) {
		const { data, earlyPrediction, changes } = state;
		const lines = [];
		const before = changes.length || !earlyPrediction ? (earlyPrediction ?? data).changed?.before : null;
		if (before && isCurrent(state)) {
			const [old, shown] = [before, prediction].map((one) => labelOf(one, data.model));
			const what = prediction.probability === null ? "" : `: ${old === shown ? "still" : "now"} ${shown}`;
			lines.push(`${changeText(before, prediction)}${what}.`);
		}
		const { label, text } = state.example ?? {};
		if (label && text === data.inputText && !changes.length && !earlyPrediction) {
			const isOpen = data.model.task === "regression" || data.prediction.undecided;
			lines.push(
				`Label: ${safeText(label, 80)}${isOpen ? "" : label === data.prediction.label ? ", correct" : ", wrong"}.`,
			);
		}
		return lines;
	}

	return { draw };
}
