// The series of the chapter on numbers: noise with two peaks. Is the first one higher?

import { LstmNetwork } from "../trainer/lstm.js";
import { seeded } from "../trainer/random.js";
import { createTraining } from "../trainer/training.js";

export const STEPS = 44;
export const BATCHES = 300;
const NOISE = 0.1;

/** Noise with peaks [step, height], four steps wide. */
export function seriesOf(peaks, random) {
	return Float64Array.from({ length: STEPS }, (_, t) => {
		const noise = NOISE * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
		return peaks.reduce((sum, [step, height]) => sum + height * Math.exp(-(((t - step) / 2) ** 2)), noise);
	});
}

/** A function that draws an example {x, label}: 1 if the first of two peaks is higher than the second, else 0. */
export const drawPeaks = (random) => () => {
	const first = 4 + Math.floor(random() * (STEPS - 16));
	const second = first + 7 + Math.floor(random() * (STEPS - first - 11));
	const low = 0.3 + 0.95 * random();
	const high = Math.min(1.5, low + 0.25 + (1.25 - low) * random());
	const label = Number(random() < 0.5);
	const heights = label ? [high, low] : [low, high];
	return {
		x: seriesOf(
			[
				[first, heights[0]],
				[second, heights[1]],
			],
			random,
		),
		label,
	};
};

/** A training run of 8 units. asksEachStep: the loss counts the answer after every step, else after the last one alone. */
export function trainingOfPeaks(seed, asksEachStep = false) {
	const network = new LstmNetwork({ inputs: 1, units: 8, seed, forgetBias: 3 });
	const draw = drawPeaks(seeded(seed + 100));
	const targetsOf = (label) => Array.from({ length: STEPS }, (_, t) => [t, label, 1 / STEPS]);
	const drawTargets = () => {
		const example = draw();
		return { ...example, targets: targetsOf(example.label) };
	};
	return createTraining(network, asksEachStep ? drawTargets : draw, { rate: 0.02 });
}
