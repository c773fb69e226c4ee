// The claims of chapter 11, measured: by name a function that returns its numbers.

import { page, SEEDS } from "./common.mjs";

const { advance, GATES } = await page("model/network");
const { seeded } = await page("trainer/random");
const { LstmNetwork } = await page("trainer/lstm");
const { costs } = await page("lesson/limits");

const H = 4;

/** How many of the four gates of each unit and its c change in a step, if `name` (h or c) of the step before is another one. */
function changesOf(seed, name) {
	const random = seeded(seed);
	const draw = () => Float64Array.from({ length: H }, () => 2 * random() - 1);
	const network = new LstmNetwork({ inputs: 1, units: H, seed });
	const state = { h: draw(), c: draw() };
	const runOf = (start) => {
		const run = { weightHh: network.weightHh, units: H, held: [], T: 1, start };
		for (const gate of GATES) run[gate] = new Float64Array(H);
		advance(run, 0, Float64Array.from(network.bias));
		return run;
	};
	const before = runOf(state);
	const after = runOf({ ...state, [name]: draw() });
	return Array.from({ length: H }, (_, k) => Number(before.h[k] !== after.h[k])).reduce((a, b) => a + b);
}

const T = 1000;
export const measures = {
	needsH: () => SEEDS.map((seed) => changesOf(seed, "h")),
	needsC: () => SEEDS.map((seed) => changesOf(seed, "c")),
	stepsInTurn: () => [costs(T).lstm.inTurn, costs(T).attention.inTurn],
	keptByLstm: () => [costs(8).lstm.kept, costs(2 ** 14).lstm.kept],
	keptByAttention: () => [costs(2 * T).attention.kept / costs(T).attention.kept],
	workPerWord: () => [
		costs(T + 1).attention.work - costs(T).attention.work - (costs(T).attention.work - costs(T - 1).attention.work),
	],
	comparisons: () => {
		const of = (steps) => costs(steps).attention.work - steps * (costs(1).attention.work - 2 * 64);
		return [of(2 * T) / of(T)];
	},
	/** The multiplications of an LSTM, counted in its matrices: 64 units that read 64 numbers. */
	lstmWork: () => {
		const network = new LstmNetwork({ inputs: 64, units: 64, seed: 1 });
		return [(network.weightIh.length + network.weightHh.length) * T - costs(T).lstm.work];
	},
};
