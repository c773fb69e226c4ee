// What the chapter on words trains: a small LSTM on positive and negative phrases, and then on the sentences that a reader teaches it.

import { createTraining } from "../trainer/training.js";
import { seeded } from "../trainer/random.js";
import { drawPhrases, WORDS } from "./phrases.js";
import { WordNetwork } from "./wordnetwork.js";

const MOST_WORDS = 10; // of a sentence of the reader
const SHARE = 0.05; // of the examples, while it is taught, are taught sentences: the others keep what it knows

export const STEPS = 300;
export const TEACH_STEPS = 40;
/** The sentence that the chapter teaches. Its last word is in no phrase. */
export const TAUGHT = { words: ["the", "food", "was", "salty"], label: 0 };
export const ASKED = "it was not salty";
export const UNKNOWN = "<unk>";

/** The words of a text as the network reads them: small letters, at most ten. */
export const wordsOf = (text) =>
	text
		.toLowerCase()
		.split(/[^\p{L}\p{N}'<>]+/u)
		.filter(Boolean)
		.slice(0, MOST_WORDS);

/** Each seed has its own phrases and its own start. Returns {network, phrases: {training, unseen}, train(), teach(sentences)}: the
 * last two return training runs; sentences: {words, label}. */
export function createWordTask(seed) {
	const phrases = drawPhrases(seed);
	const network = new WordNetwork([...WORDS, UNKNOWN], { width: 8, units: 8, seed });
	network.add(TAUGHT.words);
	const random = seeded(seed + 9);
	const pick = (list) => list[Math.floor(random() * list.length)];
	const example = ({ words, label }) => ({ x: words, label });
	const options = { rate: 0.02 };
	return {
		network,
		phrases,
		train: () => createTraining(network, () => example(pick(phrases.training)), options),
		teach(sentences) {
			for (const { words } of sentences) network.add(words);
			return createTraining(network, () => example(pick(random() < SHARE ? sentences : phrases.training)), options);
		},
		/** The share of phrases that are answered right. */
		accuracy: (list) =>
			list.filter(({ words, label }) => network.forward(words).logit > 0 === (label === 1)).length / list.length,
	};
}
