// Small LSTMs with random weights, for claims on one step of the cell.

import { page, range } from "./common.mjs";

const { dot, product, rowOf } = await page("model/arrays");
const { advance, GATES } = await page("model/network");
const { LstmNetwork } = await page("trainer/lstm");
const { seeded } = await page("trainer/random");
const { crossEntropy } = await page("trainer/training");

const STEP = 1e-5;

/** A network with random parameters, an input (6, 3) and a label. */
export function randomNetwork(seed) {
	const random = seeded(seed);
	const network = new LstmNetwork({ inputs: 3, units: 4, seed });
	network.parameters.forEach((_, n) => (network.parameters[n] = 1.6 * random() - 0.8));
	const x = Float64Array.from({ length: 18 }, () => 2 * random() - 1);
	return { network, x, label: seed % 2 };
}

/** A run with changes of gates, from a state, with gates of 0 or 1 if `isBinary`. */
export function runOf(network, x, { changes = [], isBinary = false, start = null } = {}) {
	const { inputs, units: H, weightIh, weightHh, bias, weight, denseBias } = network;
	const T = x.length / inputs;
	const held = changes.map((change) => ({ unit: null, ...change }));
	const run = { T, units: H, weightHh, held, start: start ?? { h: new Float64Array(H), c: new Float64Array(H) } };
	for (const name of GATES) run[name] = new Float64Array(T * H);
	for (let t = 0; t < T; t += 1) advance(run, t, product(weightIh, rowOf(x, t, inputs), bias), isBinary);
	return { ...run, logit: denseBias[0] + dot(run.h, (T - 1) * H, weight) };
}

/** The slope of the loss in each weight of the gates i, f and o, by finite differences. */
export function slopesOfGates({ network, x, label }, isBinary) {
	const { units: H } = network;
	const loss = () => crossEntropy(runOf(network, x, { isBinary }).logit, label);
	const rows = [...range(0, 2 * H), ...range(3 * H, 4 * H)];
	const blocks = [
		[network.weightIh, network.inputs],
		[network.weightHh, H],
		[network.bias, 1],
	];
	return blocks.flatMap(([weights, columns]) =>
		rows.flatMap((row) =>
			range(row * columns, (row + 1) * columns).map((at) => {
				const value = weights[at];
				weights[at] = value + STEP;
				const above = loss();
				weights[at] = value - STEP;
				const below = loss();
				weights[at] = value;
				return (above - below) / (2 * STEP);
			}),
		),
	);
}
