// The small language of the chapter on words: phrases that are positive or negative, some negated, some with a second clause after "but".

import { seeded } from "../trainer/random.js";

const NOUNS = "film food hotel staff story room music coffee".split(" ");
const GOOD = "good great lovely funny tasty kind fresh superb".split(" ");
const BAD = "bad awful boring dull rude slow stale dreadful".split(" ");
const DEGREES = "very really so quite".split(" ");
const OTHERS = "the was it i found a not never but".split(" ");

/** All words; the id of a word is its place. */
export const WORDS = [...OTHERS, ...DEGREES, ...NOUNS, ...GOOD, ...BAD];

const SHARE = { negated: 0.4, degree: 0.35, but: 0.3 };

function clause(random) {
	const pick = (list) => list[Math.floor(random() * list.length)];
	const label = Number(random() < 0.5);
	const isNegated = random() < SHARE.negated;
	const adjective = pick((label === 1) === isNegated ? BAD : GOOD);
	const noun = pick(NOUNS);
	const kind = random();
	const degree = () => (random() < SHARE.degree ? [pick(DEGREES)] : []);
	if (kind >= 0.8) {
		const before = isNegated ? ["not", "a"] : ["a", ...degree()];
		return { label, words: [...before, adjective, noun] };
	}
	const subject = kind < 0.45 ? ["the", noun, "was"] : kind < 0.6 ? ["it", "was"] : ["i", "found", "the", noun];
	const negation = isNegated ? [pick(["not", "never"])] : [];
	return { label, words: [...subject, ...negation, ...degree(), adjective] };
}

/** A phrase {label: 1 for positive, words}. After "but" comes the opposite, which decides. */
export function drawPhrase(random) {
	const first = clause(random);
	if (random() >= SHARE.but) return first;
	let second = clause(random);
	while (second.label === first.label) second = clause(random);
	return { label: second.label, words: [...first.words, "but", ...second.words] };
}

/** {training, unseen}: so many phrases of a seed, all different. */
export function drawPhrases(seed, sizes = { training: 300, unseen: 300 }) {
	const random = seeded(seed);
	const byText = new Map();
	while (byText.size < sizes.training + sizes.unseen) {
		const phrase = drawPhrase(random);
		byText.set(phrase.words.join(" "), phrase);
	}
	const all = [...byText.values()];
	return { training: all.slice(0, sizes.training), unseen: all.slice(sizes.training) };
}
