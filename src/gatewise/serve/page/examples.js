// Texts of our own to begin with, each with what people say of it and what to look for. None is a review by anyone.

const CHIPS = [
	{
		name: "Negation",
		look: "does “not” turn the line, or only lean on it?",
		texts: [
			["good", "This is not a bad film; I was never bored, and nothing in it felt cheap."],
			["bad", "I can't say the acting was good, and nobody could call the story clever."],
			["good", "No wasted scene, no false note, not one minute I would cut."],
		],
	},
	{
		name: "Late turn",
		look: "does the forget gate f close at “yet”, “and then”, “but”?",
		texts: [
			["bad", "Lovely photography, a warm cast, a clever opening, and then it throws everything away for an ending that insults its audience."],
			["good", "The first hour is slow, the jokes are flat and the songs are worse, yet the last ten minutes are so honest that I left the cinema happy."],
			["good", "I expected to hate every minute of this, and for a while I did, but by the end I was on my feet."],
		],
	},
	{
		name: "Sarcasm",
		look: "where is it fooled?",
		texts: [
			["bad", "Oh, wonderful, another two hours of handsome people explaining the plot to each other."],
			["bad", "A brilliant film, if you enjoy watching paint described by someone who has never seen paint."],
			["bad", "Congratulations to the director, who has finally made a movie that even his mother will fast-forward."],
		],
	},
	{
		name: "Order",
		look: "the same words twice: a bag of words cannot tell them apart. Can this model?",
		texts: [["good", "It was good, not bad at all.", "It was bad, not good at all."]],
	},
];

/** Made-up series for a model of series, as text: one step a line. */
export function wave(channels, kind) {
	const steps = 60;
	const at = (t, c) => {
		const x = (t / steps) * 2 * Math.PI;
		if (kind === "Slow wave") return Math.sin(x + c);
		if (kind === "Fast wave") return Math.sin(6 * x + c);
		return t > steps / 2 === (c % 2 === 0) ? 1 : -0.5;
	};
	const line = (t) => Array.from({ length: channels }, (_, c) => at(t, c).toFixed(3)).join(" ");
	return Array.from({ length: steps }, (_, t) => line(t)).join("\n");
}

/** What a model can be shown first. Its labels tell whether the reviews fit it. */
export function chipsFor(model) {
	if (model.task === "series") {
		return ["Slow wave", "Fast wave", "Step"].map((name) => ({ name, look: "", texts: [[null, wave(model.channels, name)]] }));
	}
	return CHIPS;
}
