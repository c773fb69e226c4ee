// What a prediction says, for every task: the probability of its target, or for regression the predicted number.

import { fmt, safeText } from "./dom.js";

/** A number with four significant digits. */
export const number = (x) =>
	Number.isFinite(x)
		? Number(x.toPrecision(4)).toLocaleString("en", { maximumFractionDigits: 12 }).replace("-", "\u2212")
		: "–";

/** The prediction in words: the label, or of two classes close to the threshold "undecided". */
export const labelOf = ({ label, undecided }, { task }) =>
	undecided ? "undecided" : safeText(label, task === "multilabel" ? 80 : 24);

/** The class of CSS of a prediction: for or against the explained class, or none while it is undecided. */
export const sideOf = (prediction) => (prediction.undecided ? "" : prediction.favours ? "for" : "against");

/** P(positive): the name of a probability. Scores, lines and changes are those of the explained class. */
export const probabilityName = (target) => `P(${safeText(target)})`;

/** P(positive) = 0.82, or the number alone. */
export function valueText(prediction) {
	return prediction.probability === null
		? number(prediction.score)
		: `${probabilityName(prediction.target)} = ${fmt(prediction.probability)}`;
}

/** The class whose probability stands next to the label, and the probability. It is the predicted class: "negative" above
 * P(positive) = 0.18 is misread. Without one predicted class, undecided or with several labels, it is the explained class. */
export function shownProbability({ label, undecided, target, probability, probabilities }, { task, labels }) {
	if (task !== "classification" || undecided) return { name: target, value: probability };
	return { name: label, value: probabilities[labels.indexOf(label)] };
}

/** The prediction and its probability: negative, P(negative) = 0.82; a number once. */
export function headingText(prediction, model) {
	if (prediction.probability === null) return safeText(prediction.label);
	const { name, value } = shownProbability(prediction, model);
	return `${labelOf(prediction, model)}, ${probabilityName(name)} = ${fmt(value)}`;
}

/** The weights of members: LSTM 0.65, n-grams 0.27. */
export const weightsText = (members) => members.map(({ name, weight }) => `${name} ${weight.toFixed(2)}`).join(", ");

/** P(positive) = 0.38 → 0.62 (+0.24): two values of one target. Where P hardly moves, the logit follows. */
export function changeText(before, after) {
	if (after.probability === null)
		return `${valueText(before)} → ${valueText(after)} (${scoreText(after.score - before.score, true)})`;
	const line = `${valueText(before)} → ${fmt(after.probability)} (${fmt(after.probability - before.probability, 2, true)})`;
	if (Math.abs(after.probability - before.probability) >= 0.01) return line;
	return `${line}, logit ${scoreText(before.score)} → ${scoreText(after.score)} (${scoreText(after.score - before.score)})`;
}

/** A score with its sign: a logit with two decimals, for regression a number with four significant digits. */
export const scoreText = (x, isNumber) => (isNumber ? (x > 0 ? "+" : "") + number(x) : fmt(x, 2, true));

/** The prefix predictions on a scale from 0 to 1: probabilities as they are; numbers between the smallest and the largest
 * one, `low` and `high`, also those of `before`. */
export function lineOf(prefix, before = null) {
	if (!prefix || prefix.probability) return prefix;
	const all = [...prefix.score, ...(before?.score ?? [])];
	const [low, high] = [Math.min(...all), Math.max(...all)];
	const probability = prefix.score.map((x) => (x - low) / (high - low || 1));
	return { ...prefix, probability, low, high, numbers: true };
}

/** Of many classes, or of several labels, the three most probable ones; empty for others. */
export function othersText({ probabilities: p }, { labels, task }) {
	if (!p || (labels.length < 3 && task === "classification")) return "";
	const order = [...labels.keys()].sort((a, b) => p[b] - p[a]).slice(0, 3);
	return `most probable: ${order.map((k) => `${safeText(labels[k], 40)} ${fmt(p[k], 3)}`).join(" · ")}`;
}

const sum = (row) => row.reduce((a, b) => a + b, 0);

/** The explained score as a sum: Logit of positive +2.55 = base value +0.05, words +2.50. */
export function sumText(attribution, prediction, tokenNoun) {
	const isNumber = prediction.probability === null;
	const shown = (x) => scoreText(x, isNumber);
	const { base_value, columns = [], residual, score } = attribution;
	const members = attribution.members.filter(
		(one) => !one.weight || !one.scores || one.truncated_part || one.scores.some(Boolean),
	); // others read no step
	const terms = [`base value ${shown(base_value)}`];
	if (columns.length)
		terms.push(`of it ${columns.map((one) => `${safeText(one.column)} ${shown(one.score)}`).join(", ")}`);
	if (members.length > 1) {
		// a score is a sum over members
		for (const one of members)
			terms.push(`${one.name} ${shown(sum(one.scores) + one.truncated_part)} (weight ${one.weight.toFixed(2)})`);
	} else terms.push(`${tokenNoun}s ${shown(sum(attribution.scores))}`);
	// Below half of the last digit it changes none of the numbers.
	if (Math.abs(residual) >= (isNumber ? 5e-4 * Math.abs(score) : 0.005))
		terms.push(`${attribution.adds_up ? "rounding" : "residual"} ${shown(residual)}`);
	const name = `${safeText(attribution.score_name, 40)}${prediction.against ? ` minus ${safeText(prediction.against)}` : ""}`;
	return `${name[0].toUpperCase()}${name.slice(1)} ${shown(score)} = ${terms.join(", ")}`;
}

/** Where the prediction after a step does not follow from the run over all steps. */
function prefixNote(model) {
	if (!model?.not_causal) return "";
	const reason = safeText(model.not_causal, 200);
	return `The prediction after each step is a run of its own: the network is not known to be causal, because ${reason}.`;
}

/** What the scores of a method are, how faithful it is to the model, and how the line of predictions is computed. */
export function methodNotes(attribution, prediction, model) {
	const calibrated = `Probabilities are ${prediction.calibrated ? "calibrated on the validation set" : "not calibrated"}.`;
	return [
		`${attribution.method}: ${attribution.note}`,
		`${attribution.faithfulness_note} ${prediction.probability === null ? "" : calibrated} ${prefixNote(model)}`.trimEnd(),
	];
}
