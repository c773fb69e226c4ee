// The claims of chapter 5, measured: one number per start. The cell of the chapter has o held at 1.

import { mean, page, perSeed, range } from "./common.mjs";

const { meanGate, sharesOf } = await page("lesson/networks");
const { reset } = await page("lesson/tasks/reset");
const { trainingOf, unseen } = await page("lesson/tasks/symbols");
const { accuracyOf } = await page("trainer/training");

const BASE = { o: 1 };
const networks = new Map();
/** A trained network; held: gates that are held while it learns. */
function learned(seed, held = BASE) {
	const key = `${seed} ${JSON.stringify(held)}`;
	if (!networks.has(key)) {
		const training = trainingOf(reset, seed, { held });
		for (let n = 0; n < reset.steps; n += 1) training.next();
		networks.set(key, training.network);
	}
	return networks.get(key);
}
const accuracy = (seed, held, trainedWith = BASE) =>
	accuracyOf(learned(seed, trainedWith), unseen(reset, seed), { held: { ...BASE, ...held } });

/** The mean forget gate at R, or elsewhere, each unit weighted by its share of the answer. */
function gateAt(seed, kind) {
	const network = learned(seed);
	const examples = unseen(reset, seed, 100);
	const asked = ({ ids, label }) => [[ids.length - 1, label]];
	return meanGate(network, examples, { gate: "f", kind, shares: sharesOf(network, examples, asked, BASE) });
}
/** The share of letters before R that are the more frequent one. */
const lean = (seed) =>
	mean(
		unseen(reset, seed, 200).map(({ ids }) => {
			const before = ids.slice(0, ids.indexOf(2)).filter((id) => id < 2);
			const ones = before.filter((id) => id === 1).length;
			return Math.max(ones, before.length - ones) / before.length;
		}),
	);
/** How much the gates depend on h: the largest recurrent weight. */
const recurrence = (seed) =>
	Math.max(...range(0, learned(seed).weightHh.length).map((n) => Math.abs(learned(seed).weightHh[n])));

export const measures = {
	learned: perSeed((seed) => accuracy(seed, {})),
	heldAt1: perSeed((seed) => accuracy(seed, { f: 1 })),
	trainedAt1: perSeed((seed) => accuracy(seed, { f: 1 }, { ...BASE, f: 1 })),
	atReset: perSeed((seed) => gateAt(seed, "R")),
	elsewhere: perSeed((seed) => gateAt(seed, "other")),
	otherGates: perSeed((seed) => Math.min(accuracy(seed, { i: 1 }), accuracy(seed, { o: 1 }))),
	lean: perSeed(lean),
	recurrence: perSeed(recurrence),
};
