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

/** A text, or a series with one time step per line. */
export const asText = ({ text, series }) => text || series.map((step) => step.map((x) => x ?? "?").join(" ")).join("\n");

/** The name of input n of an exported page. */
export const exportedName = ({ text }, n, limit = 32) => (text ? safeText(text, limit) : `Series ${n + 1}`);

/** The examples for a model: {group, name, text, label, other: a second text, hint, own: whether the label is of the model's data}.
 * They are the texts of an exported page; else rows that the model keeps of its data, the film sentences for sentiment, or none.
 */
export function examplesFor({ model, examples, exported }) {
	if (exported) return exported.inputs.map((one, n) => ({ group: "Exported", name: exportedName(one, n), text: asText(one) }));
	if (examples.length) {
		return examples.map(({ name, hint, own = true, correct, other, ...one }, n) => ({
			group: own ? "Rows of the validation set" : correct === false ? `Where it fails: ${safeText(name)}` : safeText(name ?? "Examples"),
			name: `${own ? `${n + 1}: ${safeText(one.label)}${one.text ? ", " : ""}` : ""}${safeText(one.text ?? "", 70)}`,
			text: asText(one), label: one.label, other, hint, own: true,
		}));
	}
	if (!hasSentimentLabels(model)) return [];
	return EXAMPLES.flatMap(({ name, hint, fails, texts }) =>
		texts.map(([label, text, other]) => ({ group: fails ? `Where it fails: ${name}` : name, name: text, text, label, other, hint })));
}
