// The claims of chapter 4, measured: one number per start. The cell of the chapter has f and o held at 1.

import { page, perSeed } from "./common.mjs";

const { gradientShares } = await page("lesson/gradients");
const { firstSymbol } = await page("lesson/tasks/first");
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

export const measures = {
	errorOfSum: perSeed(errorOfSum),
	changeAlongC: perSeed(changeAlongC),
	plainShareOver100: perSeed((seed) => gradientShares({ distance: DISTANCE, seed, kind: "plain" })[0]),
	adding: perSeed((seed) => learned(ADDING, seed)),
	plain: perSeed((seed) => learned({ kind: "plain" }, seed)),
};
