// Example texts, written for this page, each with its label and a hint. None is a real review.

import { safeText } from "./dom.js";

/** The film examples; fails: the bundled model gets them wrong. A test asserts each outcome. */
export const EXAMPLES = [
	{
		name: "Turn",
		hint: "at which word does the line turn?",
		texts: [
			["good", "The trailer looked terrible. The film is excellent, and I loved every minute."],
			["bad", "A great cast and a beautiful opening. Then it falls apart, and the ending is a boring, pointless mess."],
			["good", "The story is thin and the effects look cheap. Still, I enjoyed it a lot: it is charming, funny and full of heart."],
		],
	},
	{
		name: "Negation",
		hint: "does “not” flip the prediction, or only shift it?",
		texts: [
			["good", "It is not perfect, but it is never dull, and the acting is superb."],
			["bad", "This is not a good film. The story is not funny, and the acting is not convincing."],
			["good", "You will not be disappointed: there is not one boring scene in this wonderful film."],
			["good", "This is not a bad film; I was never bored, and nothing in it felt cheap."],
			["good", "Nobody could call this film boring, and nobody should miss it."],
		],
	},
	{
		name: "But",
		hint: "what does the forget gate f do at “but”?",
		texts: [
			["good", "Not great, but well worth seeing."],
			["bad", "It is not terrible, but it is a waste of a good cast."],
		],
	},
	{
		name: "Order",
		hint: "two texts with the same words. A bag-of-words model cannot tell them apart. Can this model?",
		texts: [["good", "The reviews were terrible, but the film is wonderful.", "The reviews were wonderful, but the film is terrible."]],
	},
	{
		name: "Double negation",
		fails: true,
		hint: "which words does the model take literally?",
		texts: [["good", "No wasted scene, no false note, not one minute I would cut."]],
	},
	{
		name: "Sarcasm",
		fails: true,
		hint: "which words mislead the model?",
		texts: [
			["bad", "A brilliant film, if you enjoy watching paint described by someone who has never seen paint."],
			["bad", "What a brilliant way to waste two hours of my life."],
			["bad", "The best film that I have never finished."],
		],
	},
	{
		name: "Late turn",
		fails: true,
		hint: "does the forget gate f close at “yet” and “and then”?",
		texts: [
			["good", "The first hour is slow, the jokes are flat and the songs are worse, yet the last ten minutes are so honest that I left the cinema happy."],
			["bad", "Lovely photography, a warm cast, a clever opening, and then it throws everything away for an ending that insults its audience."],
		],
	},
	{
		name: "Sad story",
		fails: true,
		hint: "a sad story is not a bad film. Which words does the model confuse?",
		texts: [["good", "A sad, painful and depressing story of death and loss that I will never forget."]],
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

/** A text, or a series with one time step per line. */
export const asText = ({ text, series }) => text || series.map((step) => step.map((x) => x ?? "?").join(" ")).join("\n");

/** The name of input n of an exported page. */
export const exportedName = ({ text }, n, limit = 32) => (text ? safeText(text, limit) : `Series ${n + 1}`);

/**
 * The examples for a model: the texts of an exported page; else rows that the model keeps of its own data, synthetic series
 * in the range of its data, the film sentences for sentiment, or none.
 */
export function examplesFor({ model, examples, scaling, exported }) {
	if (exported) {
		return exported.inputs.map((one, n) => ({ name: exportedName(one, n), hint: "", texts: [[null, asText(one)]] }));
	}
	if (examples.length) {
		return examples.map((one, n) => ({ name: safeText(one.name ?? `Example ${n + 1}: ${one.label}`), hint: one.hint ?? "a row of the validation set", own: one.own ?? true, texts: [[one.label, asText(one)]] }));
	}
	if (model.inputs === "series") {
		return ["Slow wave", "Fast wave", "Step"].map((name) => ({ name, hint: "a synthetic series", texts: [[null, wave(model.channels, name, scaling)]] }));
	}
	return hasSentimentLabels(model) ? EXAMPLES : [];
}
