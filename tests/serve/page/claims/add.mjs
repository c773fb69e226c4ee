// The claims of chapter 4, measured: one number per start. The cell of the chapter has f and o held at 1.

import { page, perSeed, range } from "./common.mjs";

const { gradientShares } = await page("lesson/gradients");
const { meanGate, sharesOf } = await page("lesson/networks");
const { firstSymbol } = await page("lesson/tasks/first");
const { marked } = await page("lesson/tasks/marked");
const { trainingOf, unseen } = await page("lesson/tasks/symbols");
const { accuracyOf } = await page("trainer/training");

const DISTANCE = 100;
const STEPS = 200;
const HELD = { f: 1, o: 1 };
const ADDING = { kind: "lstm", forgetBias: 0, frozen: ["i", "f", "g", "o"], held: HELD };

function learned(options, seed) {
	const task = firstSymbol(DISTANCE);
	const training = trainingOf(task, seed, options);
	for (let n = 0; n < STEPS; n += 1) training.next();
	return accuracyOf(training.network, unseen(task, seed, 200), { held: training.held });
}

/** The largest |c less the c before less i · g|. */
function errorOfSum(seed) {
	const task = firstSymbol(DISTANCE);
	const { network } = trainingOf(task, seed, ADDING);
	const run = network.forward(unseen(task, seed, 1)[0].x, HELD);
	const before = (n) => (n < network.units ? 0 : run.c[n - network.units]);
	return Math.max(...run.c.map((c, n) => Math.abs(c - before(n) - run.i[n] * run.g[n])));
}

/** How far the norms of dL/dc at the steps are from that at the last one. */
function changeAlongC(seed) {
	const shares = gradientShares({ distance: DISTANCE, seed, ...ADDING });
	return Math.max(...shares.map((share) => Math.abs(share - 1)));
}

const networks = new Map();
/** A network that has learned to keep the one symbol that is marked, in the cell of the chapter. */
function keeper(seed) {
	if (!networks.has(seed)) {
		const training = trainingOf(marked, seed, { held: HELD });
		for (let n = 0; n < marked.steps; n += 1) training.next();
		networks.set(seed, training.network);
	}
	return networks.get(seed);
}
const rightOfMarked = (seed, held = {}) =>
	accuracyOf(keeper(seed), unseen(marked, seed, 200), { held: { ...HELD, ...held } });

/** i at the mark or elsewhere, each unit weighted by what it carries of the answer. */
function gateAt(seed, kind) {
	const examples = unseen(marked, seed, 60);
	const asked = ({ ids, label }) => [[ids.length - 1, label]];
	return meanGate(keeper(seed), examples, { gate: "i", kind, shares: sharesOf(keeper(seed), examples, asked, HELD) });
}

/** With i at 1, the smallest sum of |i · g| over the units at a symbol without a mark, as a share of that at the mark. */
function leastAdded(seed) {
	const network = keeper(seed);
	const H = network.units;
	const shares = unseen(marked, seed, 60).map(({ x, at }) => {
		const run = network.forward(x, { ...HELD, i: 1 });
		const addedAt = (t) => range(t * H, (t + 1) * H).reduce((sum, n) => sum + Math.abs(run.i[n] * run.g[n]), 0);
		return Math.min(...range(0, run.T).map(addedAt)) / addedAt(at);
	});
	return Math.min(...shares);
}

export const measures = {
	markedRight: perSeed((seed) => rightOfMarked(seed)),
	markedHeld: perSeed((seed) => Math.max(rightOfMarked(seed, { i: 1 }), rightOfMarked(seed, { i: 0.5 }))),
	gateAtMark: perSeed((seed) => gateAt(seed, "marked")),
	gateElsewhere: perSeed((seed) => gateAt(seed, "other")),
	leastAdded: perSeed(leastAdded),
	errorOfSum: perSeed(errorOfSum),
	changeAlongC: perSeed(changeAlongC),
	plainShareOver100: perSeed((seed) => gradientShares({ distance: DISTANCE, seed, kind: "plain" })[0]),
	adding: perSeed((seed) => learned(ADDING, seed)),
	plain: perSeed((seed) => learned({ kind: "plain" }, seed)),
};
