// An answer as it is read: the words, coloured by their scores, and below them the line of predictions.

import { FULL, clampOf } from "./colour.js";
import { createLine } from "./line.js";
import { createTextView, sidesOf } from "./textview.js";
import { lineOf, probabilityName, sideOf } from "./value.js";

/** words, line: the elements of both; handlers: of createTextView and of createLine. */
export function createReading(words, line, handlers = {}) {
	const textView = createTextView(words, handlers);
	const chart = createLine(line, handlers);

	/** data: an answer, or null; isRelative: the scale of the colours; selected: a step, or null where none can be selected. */
	function draw(data, { isRelative = false, selected = null, hovered = null, range = null, marked = null }) {
		if (!data) return chart.draw(null);
		const { attribution, prediction, prefix, model, text } = data;
		const isNumber = model.task === "regression";
		const scores = attribution?.scores; // until they come, the legend has its place
		const clamp = isRelative || isNumber ? clampOf(scores ?? []) : FULL;
		const shared = { scores, stale: Boolean(attribution?.stale), clamp, isNumber, hovered, range };
		const sides = sidesOf(prediction, model);
		textView.draw({
			...shared,
			text: data.inputText,
			part: text,
			step: prediction.step,
			labels: prediction.steps,
			sides,
			selected: selected ?? -1,
			marked,
		});
		const tokenNoun = model.inputs === "text" ? "word" : "step";
		const what = isNumber ? "The prediction" : probabilityName(prediction.target);
		const every = prefix?.stride > 1 ? `, every ${prefix.stride} ${tokenNoun}s` : "";
		const before = data.changed?.before.prefix ?? null;
		return chart.draw({
			...shared,
			tokenNoun,
			words: data.words,
			labelled: Boolean(prediction.steps),
			selected: selected ?? data.words.length - 1,
			values: selected === null ? null : (text.values ?? null),
			name: `${what} ${prediction.steps ? "at" : "after"} each ${tokenNoun}${every}`,
			prefix: lineOf(prefix, before),
			before: before && lineOf(before, prefix),
			side: sideOf(prediction),
		});
	}
	return { textView, draw };
}
