// The claims of chapter 3, measured: one number per start.

import { page, perSeed, SEEDS } from "./common.mjs";

const { gradientShares } = await page("lesson/gradients");
const { firstSymbol } = await page("lesson/tasks/first");
const { trainingOf, unseen } = await page("lesson/tasks/symbols");
const { accuracyOf, lossOf } = await page("trainer/training");

const STEPS = 100;
const TESTED = 300;
const learned = (distance) => (seed) => {
	const task = firstSymbol(distance);
	const training = trainingOf(task, seed, { kind: "plain" });
	for (let n = 0; n < STEPS; n += 1) training.next();
	return accuracyOf(training.network, unseen(task, seed, TESTED));
};
const count = (distance) => () => [SEEDS.map(learned(distance)).filter((accuracy) => accuracy > 0.95).length];

/** dL/dh after one step from that after the next: the weights transposed, and the slope of tanh. The largest error. */
function errorOfStep(seed) {
	const task = firstSymbol(20);
	const { network } = trainingOf(task, seed, { kind: "plain" });
	const [example] = unseen(task, seed, 1);
	const run = network.forward(example.x);
	const { dh } = network.backward(run, lossOf(run, example).dlogits, new Float64Array(network.parameters.length));
	const H = network.units;
	let error = 0;
	for (let t = 0; t < run.T - 1; t += 1) {
		for (let k = 0; k < H; k += 1) {
			let sum = 0;
			for (let n = 0; n < H; n += 1) {
				const next = (t + 1) * H + n;
				sum += network.weightHh[n * H + k] * (1 - run.h[next] ** 2) * dh[next];
			}
			error = Math.max(error, Math.abs(sum - dh[t * H + k]));
		}
	}
	return error;
}

/** Another first symbol, and the first h as it was: the change of the logit. */
function changeBesideFirstH(seed) {
	const task = firstSymbol(5);
	const { network } = trainingOf(task, seed, { kind: "plain" });
	const [{ ids }] = unseen(task, seed, 1);
	const run = network.forward(task.example(ids).x);
	const H = network.units;
	let h = run.h.subarray(0, H);
	const other = task.example([1 - ids[0], ...ids.slice(1)]).x;
	for (let t = 1; t < run.T; t += 1) {
		h = Float64Array.from({ length: H }, (_, k) => {
			let z = network.bias[k];
			for (let n = 0; n < task.inputs; n += 1) z += network.weightIh[k * task.inputs + n] * other[t * task.inputs + n];
			for (let n = 0; n < H; n += 1) z += network.weightHh[k * H + n] * h[n];
			return Math.tanh(z);
		});
	}
	const logit = h.reduce((sum, value, k) => sum + network.weight[k] * value, network.denseBias[0]);
	return logit - run.logit;
}

export const measures = {
	shareOver40: () => [gradientShares({ distance: 40, kind: "plain" })[0]],
	errorOfStep: perSeed(errorOfStep),
	changeBesideFirstH: perSeed(changeBesideFirstH),
	learnedOver5: count(5),
	learnedOver40: count(40),
	learnedOver100: perSeed(learned(100)),
};
