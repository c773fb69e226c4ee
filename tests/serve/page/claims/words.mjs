// The claims of chapter 9, measured: by name a function that returns its numbers, one per seed.

import { page, SEEDS } from "./common.mjs";

const { sigmoid } = await page("model/arrays");
const { seeded } = await page("trainer/random");
const { drawPhrase, WORDS } = await page("lesson/phrases");
const { ASKED, createWordTask, STEPS, TAUGHT, TEACH_STEPS, wordsOf } = await page("lesson/wordtask");

const SALTY = TAUGHT.words.at(-1);
const perSeed = (measure) => () => SEEDS.map(measure);
const pOf = (network, text) => sigmoid(network.forward(wordsOf(text)).logit);

/** The task of a seed, trained on its phrases. */
function learned(seed) {
	const task = createWordTask(seed);
	const before = task.network.parameters.slice();
	const training = task.train();
	for (let n = 0; n < STEPS; n += 1) training.next();
	return { ...task, before };
}

/** The same, after the sentence of the chapter. isRowOnly: all parameters but the row of “salty” are held. */
function taught(seed, isRowOnly = false) {
	const task = learned(seed);
	const { network } = task;
	const row = network.rowOf(network.idOf.get(SALTY));
	const training = task.teach([TAUGHT]);
	for (let n = 0; n < TEACH_STEPS; n += 1) {
		const kept = network.parameters.slice();
		training.next();
		if (!isRowOnly) continue;
		const next = row.slice();
		network.parameters.set(kept);
		row.set(next);
	}
	return task;
}

/** Where the row of “salty” lies on the way from that of “great” (0) to that of “awful” (1). */
function placeOf(network) {
	const [great, awful, salty] = ["great", "awful", SALTY].map((word) => network.rowOf(network.idOf.get(word)));
	let along = 0;
	let squares = 0;
	for (let n = 0; n < salty.length; n += 1) {
		along += (salty[n] - great[n]) * (awful[n] - great[n]);
		squares += (awful[n] - great[n]) ** 2;
	}
	return along / squares;
}

const shareRight = (network, phrases) =>
	phrases.filter(({ words, label }) => network.forward(words).logit > 0 === (label === 1)).length / phrases.length;

export const measures = {
	rowLength: perSeed((seed) => createWordTask(seed).network.rowOf(0).length),
	rowsLearned: perSeed((seed) => {
		const { network, before } = learned(seed);
		const changes = WORDS.map((_, id) =>
			Math.max(...network.rowOf(id).map((x, n) => Math.abs(x - before[id * network.width + n]))),
		);
		return Math.min(...changes);
	}),
	inputIsRow: perSeed((seed) => {
		const { network } = createWordTask(seed);
		const { x } = network.forward(TAUGHT.words);
		return Math.max(
			...TAUGHT.words.flatMap((word, t) =>
				Array.from(network.rowOf(network.idOf.get(word)), (y, n) => Math.abs(y - x[8 * t + n])),
			),
		);
	}),
	phrasesRight: perSeed((seed) => {
		const { network, phrases } = learned(seed);
		return shareRight(network, phrases.training);
	}),
	numberOfPhrases: perSeed((seed) => createWordTask(seed).phrases.training.length),
	unseenRight: perSeed((seed) => {
		const { network, phrases } = learned(seed);
		return shareRight(network, phrases.unseen);
	}),
	saltyInPhrases: perSeed(
		(seed) => createWordTask(seed).phrases.training.filter(({ words }) => words.includes(SALTY)).length,
	),
	taughtIsNegative: perSeed((seed) => pOf(taught(seed).network, TAUGHT.words.join(" "))),
	askedIsPositive: perSeed((seed) => pOf(taught(seed).network, ASKED)),
	rowOnly: perSeed((seed) => pOf(taught(seed, true).network, ASKED)),
	rowOnlyTaught: perSeed((seed) => pOf(taught(seed, true).network, TAUGHT.words.join(" "))),
	placeAfter: perSeed((seed) => placeOf(taught(seed, true).network)),
	negatedRight: perSeed((seed) => {
		const { network } = learned(seed);
		const random = seeded(seed + 500);
		const negated = Array.from({ length: 2000 }, () => drawPhrase(random)).filter(
			({ words }) => !words.includes("but") && (words.includes("not") || words.includes("never")),
		);
		return shareRight(network, negated);
	}),
	movedRow: perSeed((seed) => {
		const { network } = taught(seed);
		const row = network.rowOf(network.idOf.get(SALTY));
		const [great, awful] = ["great", "awful"].map((word) => {
			row.set(network.rowOf(network.idOf.get(word)));
			return pOf(network, ASKED);
		});
		return awful - great;
	}),
};
