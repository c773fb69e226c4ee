// The reasons of the seven steps of the cell in the lab, measured.

import { largest, loadModel, mean, page, perSeed, range } from "./common.mjs";
import { randomNetwork, runOf } from "./random.mjs";

const { marked } = await page("lesson/tasks/marked");
const { trainingOf, unseen } = await page("lesson/tasks/symbols");
const { accuracyOf } = await page("trainer/training");
const { LstmNetwork } = await page("trainer/lstm");
const { seeded } = await page("trainer/random");

const model = loadModel();
const H = model.units;
const TEXTS = [
	"A boring start, but the end of this film is excellent.",
	"An excellent start, but the rest of the film is awful.",
	"The worst thing about this film is that it is so short.",
	"This is not a bad film, and I was never bored.",
	"I went twice, and I would go again.",
];
const IDS = TEXTS.map((text) => model.encode(text).ids);
const runText = (ids, changes = []) => model.run({ ids: Int32Array.from(ids) }, { changes });
const held = (gate, value) => ({ gate, unit: "all", value });
const perText = (measure) => () => IDS.map(measure);
const shareOf = (values) => mean(values.map(Number));

/** The largest |c - what it should be| of a run; before: the c before. */
function memoryError(run, expected) {
	const before = (n) => (n < H ? run.start.c[n] : run.c[n - H]);
	return largest(Array.from(run.c, (c, n) => c - expected(run, n, before(n))));
}

/** f of unit k at 0 at step 2, its h held as it was: the largest change of c in the other units at any step. */
function changeOfOthers(k) {
	const [ids] = IDS;
	const run = runText(ids);
	const sameOutput = range(0, run.T).map((n) => ({ gate: "h", unit: k, from: n, to: n, value: run.h[n * H + k] }));
	const changed = runText(ids, [{ gate: "f", unit: k, from: 2, to: 2, value: 0 }, ...sameOutput]);
	if (changed.c[2 * H + k] === run.c[2 * H + k]) throw new Error("f at 0 changes nothing of its own unit");
	return largest(Array.from(run.c, (c, n) => (n % H === k ? 0 : changed.c[n] - c)));
}

/** One step from a state, with one of its parts replaced: how many of the four gates of each unit change. */
function gatesThatChange(seed, part) {
	const { network, x } = randomNetwork(seed);
	const random = seeded(seed + 50);
	const values = () => Float64Array.from({ length: network.units }, () => 2 * random() - 1);
	const stepFrom = ({ input, ...start }) => runOf(network, input, { start });
	const state = { h: values(), c: values(), input: x.subarray(0, 3) };
	const other = { h: values(), c: values(), input: x.subarray(3, 6) };
	const before = stepFrom(state);
	const after = stepFrom({ ...state, [part]: other[part] });
	const changed = ["i", "f", "g", "o"].map((gate) =>
		shareOf(Array.from(before[gate], (value, k) => value !== after[gate][k])),
	);
	return changed.reduce((total, share) => total + share, 0);
}

/** c after 20 steps that add nothing, from a step that makes it 1. */
function keptAfter20(f) {
	const changes = [
		{ gate: "f", value: f },
		{ gate: "g", value: 1 },
		{ gate: "i", value: 1, from: 0, to: 0 },
		{ gate: "i", value: 0, from: 1, to: 20 },
	];
	return runOf(new LstmNetwork({ inputs: 1, units: 1 }), new Float64Array(21), { changes }).c[20];
}

/** f, i and g at 1 for 50 steps. */
function grownMemory(o) {
	const changes = [...["f", "i", "g"].map((gate) => ({ gate, value: 1 })), { gate: "o", value: o }];
	return runOf(new LstmNetwork({ inputs: 1, units: 1 }), new Float64Array(50), { changes });
}

/** With f, o and h as they are: c with and without what the last step adds. */
function errorOfSum(seed) {
	const { network, x } = randomNetwork(seed);
	const whole = runOf(network, x);
	const last = whole.T - 1;
	const nothing = runOf(network, x, { changes: [{ gate: "i", value: 0, from: last, to: last }] });
	const at = last * network.units;
	return largest(range(at, at + network.units).map((n) => whole.c[n] - nothing.c[n] - whole.i[n] * whole.g[n]));
}

const trained = new Map();
/** The share of right answers of a network that has learned to keep the one symbol that is marked, with gates held. */
function rightOfMarked(seed, held = {}) {
	if (!trained.has(seed)) {
		const training = trainingOf(marked, seed);
		for (let n = 0; n < marked.steps; n += 1) training.next();
		trained.set(seed, training.network);
	}
	return accuracyOf(trained.get(seed), unseen(marked, seed), { held });
}

export const measures = {
	markedRight: perSeed((seed) => rightOfMarked(seed)),
	markedInputHeld: perSeed((seed) => rightOfMarked(seed, { i: 1 })),
	markedOthersHeld: perSeed((seed) => Math.min(rightOfMarked(seed, { f: 1 }), rightOfMarked(seed, { o: 1 }))),
	ownMemory: () => [16, 83, 3, 42, 71].map(changeOfOthers),
	forgetGateEnds: perText((ids) =>
		Math.max(
			memoryError(runText(ids, [held("f", 0)]), ({ i, g }, n) => i[n] * g[n]),
			memoryError(runText(ids, [held("f", 1)]), ({ i, g }, n, before) => before + i[n] * g[n]),
		),
	),
	loweringShare: perText((ids) => {
		const { i, g } = runText(ids);
		return shareOf(Array.from(g, (value, n) => i[n] * value < 0));
	}),
	gatesOfInputs: perSeed((seed) => Math.min(gatesThatChange(seed, "input"), gatesThatChange(seed, "h"))),
	gatesOfMemory: perSeed((seed) => gatesThatChange(seed, "c")),
	keptAt95: () => [keptAfter20(0.95)],
	keptAt73: () => [keptAfter20(0.73)],
	sumOfStep: perSeed(errorOfSum),
	unboundedMemory: () => [grownMemory(1).c[49]],
	boundedOutput: () => [1, 0.25].map((o) => grownMemory(o).h[49]),
};
