// The claims of chapter 7, measured on the model of the lesson and on random networks.

import { loadModel, mean, page, perSeed } from "./common.mjs";
import { randomNetwork, slopesOfGates } from "./random.mjs";

const { readText, SENTENCE } = await page("lesson/mind");
const { ask } = await page("lesson/tasks/ask");
const { trainingOf, unseen } = await page("lesson/tasks/symbols");
const { gateShares, gatesOf, steeper } = await page("lesson/whole");

const model = loadModel();
const run = model.run({ ids: Int32Array.from(readText(model, SENTENCE).ids) });
const shareWithSlope = (seed, isBinary) =>
	mean(slopesOfGates(randomNetwork(seed), isBinary).map((slope) => Number(slope !== 0)));

/** The share of the gates of the small network of chapter 6 that are below 0.1 or above 0.9. */
function closedOrOpen(seed) {
	const training = trainingOf(ask, seed);
	for (let n = 0; n < ask.steps; n += 1) training.next();
	const [low, , high] = gateShares(Object.values(gatesOf(training.network, unseen(ask, seed, 60))));
	return low + high;
}

export const measures = {
	smallGates: perSeed(closedOrOpen),
	atTheEnd: () => [run.probability],
	unchanged: () => [steeper(model, run, 1).probability - run.probability],
	steepTwice: () => [steeper(model, run, 2).probability],
	changes: () => [2, 5, 20].map((k) => Math.abs(steeper(model, run, k).probability - run.probability)),
	between: () => ["i", "f", "o"].flatMap((gate) => [Math.min(...run[gate]), Math.max(...run[gate])]),
	slopeOfStep: perSeed((seed) => shareWithSlope(seed, true)),
	slopeOfSigmoid: perSeed((seed) => shareWithSlope(seed, false)),
};
