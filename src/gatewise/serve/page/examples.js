// Example texts, written for this page, each with its label and a hint. None is a real review.

import { safeText } from "./dom.js";

const EXAMPLES = [
	{
		name: "Negation",
		hint: "does “not” flip the prediction, or only shift it?",
		texts: [
			["good", "This is not a bad film; I was never bored, and nothing in it felt cheap."],
			["bad", "I can't say the acting was good, and nobody could call the story clever."],
			["good", "No wasted scene, no false note, not one minute I would cut."],
		],
	},
	{
		name: "Late turn",
		hint: "does the forget gate f close at “yet”, “and then”, “but”?",
		texts: [
			["bad", "Lovely photography, a warm cast, a clever opening, and then it throws everything away for an ending that insults its audience."],
			["good", "The first hour is slow, the jokes are flat and the songs are worse, yet the last ten minutes are so honest that I left the cinema happy."],
			["good", "I expected to hate every minute of this, and for a while I did, but by the end I was on my feet."],
		],
	},
	{
		name: "Sarcasm",
		hint: "which words mislead the model?",
		texts: [
			["bad", "Oh, wonderful, another two hours of handsome people explaining the plot to each other."],
			["bad", "A brilliant film, if you enjoy watching paint described by someone who has never seen paint."],
			["bad", "Congratulations to the director, who has finally made a movie that even his mother will fast-forward."],
		],
	},
	{
		name: "Order",
		hint: "two texts with the same words. A bag-of-words model cannot tell them apart. Can this model?",
		texts: [["good", "It was good, not bad at all.", "It was bad, not good at all."]],
	},
];

const SENTIMENT_LABELS = ["negative positive", "neg pos", "bad good"];

/** Whether the film sentences and their labels apply to a model. */
export const hasSentimentLabels = ({ inputs, task, labels }) =>
	inputs === "text" && task === "classification" && SENTIMENT_LABELS.includes(labels.join(" ").toLowerCase());

/** A synthetic series as text: one time step per line. scaling: mean and standard deviation of each channel. */
export function wave(channels, kind, scaling = null) {
	const steps = 60;
	const at = (t, c) => {
		const x = (t / steps) * 2 * Math.PI;
		if (kind === "Slow wave") return Math.sin(x + c);
		if (kind === "Fast wave") return Math.sin(6 * x + c);
		return t > steps / 2 === (c % 2 === 0) ? 1 : -0.5;
	};
	const number = (x) => Number(x.toPrecision(4)).toString();
	const line = (t) => Array.from({ length: channels }, (_, c) => number((scaling?.mean[c] ?? 0) + (scaling?.std[c] ?? 1) * at(t, c))).join(" ");
	return Array.from({ length: steps }, (_, t) => line(t)).join("\n");
}

const asText = ({ text, series }) => text || series.map((step) => step.map((x) => x ?? "?").join(" ")).join("\n");

/**
 * The examples for a model: rows that it keeps of its own data; else synthetic series in the range of its data, the film
 * sentences for sentiment, or none.
 */
export function examplesFor({ model, examples, scaling }) {
	if (examples.length) {
		return examples.map((one, n) => ({ name: `Example ${n + 1}: ${safeText(one.label)}`, hint: "a row of the validation set", own: true, texts: [[one.label, asText(one)]] }));
	}
	if (model.inputs === "series") {
		return ["Slow wave", "Fast wave", "Step"].map((name) => ({ name, hint: "a synthetic series", texts: [[null, wave(model.channels, name, scaling)]] }));
	}
	return hasSentimentLabels(model) ? EXAMPLES : [];
}
