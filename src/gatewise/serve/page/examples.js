// The examples of a model: the texts of an exported page, or those that come with the model.

import { safeText } from "./dom.js";

/** A text, or a series with one time step per line. */
export const asText = ({ text, series }) => text || series.map((step) => step.map((x) => x ?? "?").join(" ")).join("\n");

/** The name of input n of an exported page. */
export const exportedName = ({ text }, n, limit = 32) => (text ? safeText(text, limit) : `Series ${n + 1}`);

/** {group, name, text, label, other: a second text to compare, hint} of each example; those that the model gets wrong come last. */
export function examplesFor({ examples, exported }) {
	if (exported) return exported.inputs.map((one, n) => ({ group: "Exported", name: exportedName(one, n), text: asText(one) }));
	const found = examples.map(({ name, own, label, correct, ...one }, n) => ({
		...one, label, text: asText(one), fails: correct === false,
		group: `${correct === false ? "Where it fails: " : ""}${own ? "rows of the validation set" : name}`,
		name: own ? `${n + 1}: ${safeText(label)}${one.text ? `, ${safeText(one.text, 50)}` : ""}` : safeText(one.text, 70),
	}));
	return found.sort((a, b) => a.fails - b.fails);
}
