// The claims of chapter 10, measured: by name a function that returns its numbers, one per seed.

import { page } from "./common.mjs";

const { sigmoid } = await page("model/arrays");
const { advance, GATES } = await page("model/network");
const { seeded } = await page("trainer/random");
const { LstmNetwork } = await page("trainer/lstm");
const { lossOf } = await page("trainer/training");
const { BATCHES, drawPeaks, seriesOf, STEPS, trainingOfPeaks } = await page("lesson/peaks");

const STARTS = [12, 1, 2, 3, 4]; // the first one is that of the chapter
const FIRST = 10;
const SECOND = 28;
const PASSED = 4; // steps after a peak
const perStart = (measure) => () => STARTS.map(measure);

const networks = new Map();
function learned(seed, asksEachStep = false) {
	const key = `${seed} ${asksEachStep}`;
	if (!networks.has(key)) {
		const training = trainingOfPeaks(seed, asksEachStep);
		for (let n = 0; n < BATCHES; n += 1) training.next();
		networks.set(key, training.network);
	}
	return networks.get(key);
}
const shown = (...peaks) => seriesOf(peaks, seeded(7));
const pAt = (network, series, t) => sigmoid(network.forward(series).logits[t]);

export const measures = {
	inputsOfSeries: () => [drawPeaks(seeded(3))().x.length / STEPS],
	learnedPeaks: perStart((seed) => {
		const draw = drawPeaks(seeded(999));
		const examples = Array.from({ length: 300 }, draw);
		return examples.filter(({ x, label }) => learned(seed).forward(x).logit > 0 === (label === 1)).length / 300;
	}),
	askedSteps: () => {
		const { network } = trainingOfPeaks(1);
		const example = drawPeaks(seeded(3))();
		const { dlogits } = lossOf(network.forward(example.x), example);
		return [
			dlogits.filter((gradient) => gradient !== 0).length,
			dlogits.findLastIndex((gradient) => gradient !== 0) + 1,
		];
	},
	passedPeak: perStart((seed) => pAt(learned(seed), shown([FIRST, 1.1], [SECOND, 0.7]), FIRST + PASSED)),
	atTheEnd: perStart((seed) => pAt(learned(seed), shown([FIRST, 1.1], [SECOND, 0.7]), STEPS - 1)),
	peakElsewhere: perStart((seed) => pAt(learned(seed), shown([SECOND, 1.4]), SECOND + PASSED)),
	passedPeakAskedEachStep: perStart((seed) =>
		pAt(learned(seed, true), shown([FIRST, 1.4], [SECOND, 0.7]), FIRST + PASSED),
	),
	stateSize: () => {
		const { units } = trainingOfPeaks(1).network;
		return [2 * units];
	},
	/** The second half of a series from the h and c after the first half, less the same steps of the whole series: the largest |h|. */
	restFromState: perStart((seed) => {
		const network = new LstmNetwork({ inputs: 1, units: 8, seed });
		const series = shown([FIRST, 1.1], [SECOND, 0.7]);
		const whole = network.forward(series);
		const H = network.units;
		const half = STEPS / 2;
		const stateAt = (values) => values.slice((half - 1) * H, half * H);
		const rest = {
			weightHh: network.weightHh,
			units: H,
			held: [],
			T: half,
			start: { h: stateAt(whole.h), c: stateAt(whole.c) },
		};
		for (const name of GATES) rest[name] = new Float64Array(half * H);
		for (let t = 0; t < half; t += 1) {
			const pre = Float64Array.from(network.bias, (b, row) => b + network.weightIh[row] * series[half + t]);
			advance(rest, t, pre);
		}
		return Math.max(...rest.h.map((value, n) => Math.abs(value - whole.h[half * H + n])));
	}),
};
