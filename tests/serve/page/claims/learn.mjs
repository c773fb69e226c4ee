// The claims of chapter 8, measured: one number per start.

import { loadModel, page, perSeed, range } from "./common.mjs";

const { sigmoid } = await page("model/arrays");
const { firstSymbol } = await page("lesson/tasks/first");
const { trainingOf, unseen } = await page("lesson/tasks/symbols");
const { accuracyOf, crossEntropy, lossOf } = await page("trainer/training");
const { seeded } = await page("trainer/random");

const DISTANCE = 40;
const STEPS = 100;
const task = firstSymbol(DISTANCE);

function learned(seed, forgetBias) {
	const training = trainingOf(task, seed, { forgetBias });
	for (let n = 0; n < STEPS; n += 1) training.next();
	return accuracyOf(training.network, unseen(task, seed));
}

/** The recurrent weights at 0: dL/dc of a step less f · dL/dc of the next one, the largest difference. */
function errorAlongC(seed) {
	const { network } = trainingOf(task, seed, { frozen: ["i", "f", "g", "o"] });
	const [example] = unseen(task, seed, 1);
	const run = network.forward(example.x);
	const { dc } = network.backward(run, lossOf(run, example).dlogits, new Float64Array(network.parameters.length));
	const H = network.units;
	return Math.max(...range(0, dc.length - H).map((n) => Math.abs(dc[n] - run.f[n + H] * dc[n + H])));
}

/** The smallest and largest size of the first step, of the weights whose gradient is not tiny beside Adam's epsilon. */
function firstSteps(seed) {
	const training = trainingOf(task, seed);
	training.next();
	const { parameters } = training.network;
	const { last } = training;
	return range(0, parameters.length)
		.filter((n) => Math.abs(last.gradient[n]) > 1e-4)
		.map((n) => Math.abs(parameters[n] - last.parameters[n]));
}

export const measures = {
	lossIsLog: perSeed((seed) => {
		const logit = 8 * seeded(seed)() - 4;
		const p = seed % 2 ? sigmoid(logit) : 1 - sigmoid(logit);
		return crossEntropy(logit, seed % 2) + Math.log(p);
	}),
	errorAlongC: perSeed(errorAlongC),
	startAt1: () => [sigmoid(1)],
	startAt3: () => [sigmoid(3)],
	learnedWithBias1: perSeed((seed) => learned(seed, 1)),
	learnedWithBias3: perSeed((seed) => learned(seed, 3)),
	smallestStep: perSeed((seed) => Math.min(...firstSteps(seed))),
	largestStep: perSeed((seed) => Math.max(...firstSteps(seed))),
	bestEpoch: () => {
		const { history, bestEpoch } = loadModel().info;
		const losses = history.map((row) => row.val_loss);
		return [history[losses.indexOf(Math.min(...losses))].epoch - bestEpoch];
	},
};
