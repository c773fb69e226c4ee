// The examples of a model, or those that an exported page was made with.

import { safeText } from "./dom.js";

/** A text, or a series with one time step per line. */
const asText = ({ text, series }) => text || series.map((step) => step.map((x) => x ?? "?").join(" ")).join("\n");

const FAILS = "Where it fails";

/** The examples for a model: {group, name, text, label, other: a second text, or null, hint}; those that the model gets wrong are
 * the last group. */
export function examplesFor({ examples }) {
	const found = examples.map(({ name, hint, own, correct, other, ...one }, n) => ({
		group: correct === false ? FAILS : own ? "Rows of the validation set" : safeText(name),
		name: `${own ? `${n + 1}: ${safeText(one.label)}${one.text ? ", " : ""}` : correct === false ? `${safeText(name)}: ` : ""}${safeText(one.text ?? "", 70)}`,
		text: asText(one), label: one.label, other, hint: own ? "" : hint,
	}));
	return found.sort((a, b) => (a.group === FAILS) - (b.group === FAILS));
}
