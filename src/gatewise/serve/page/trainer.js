// A small LSTM with one logit that trains where it runs: in the page and in Node. One sequence forward and backward
// (backpropagation through time), cross-entropy, Adam. Gates in the order i, f, g, o; a row of a matrix is a gate of a unit.

import { dot, product, rowOf, sigmoid } from "./model/arrays.js";
import { GATES, advance } from "./model/network.js";

/** Random numbers in [0, 1) from a seed (mulberry32), so that a run can be repeated. */
export function seeded(seed) {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let z = Math.imul(state ^ (state >>> 15), 1 | state);
		z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
		return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** The network: one array of parameters, and its parts as views into it. Matrices start Glorot uniform, biases at 0, that of the
 * forget gate at 1, as in Keras (there the recurrent weights start orthogonal). */
export function createNetwork({ inputs, units, seed = 0, forgetBias = 1 }) {
	const shapes = {
		weightIh: [4 * units, inputs],
		weightHh: [4 * units, units],
		bias: [4 * units, 1],
		weight: [1, units],
		denseBias: [1, 1],
	};
	const sizes = Object.values(shapes).map(([rows, columns]) => rows * columns);
	const parameters = new Float64Array(sizes.reduce((a, b) => a + b));
	const network = { inputs, units, parameters, ...viewsOf(parameters, shapes), shapes };
	const random = seeded(seed);
	for (const name of ["weightIh", "weightHh", "weight"]) {
		const [rows, columns] = shapes[name];
		const limit = Math.sqrt(6 / (rows + columns));
		for (let n = 0; n < rows * columns; n += 1) network[name][n] = limit * (2 * random() - 1);
	}
	network.bias.fill(forgetBias, units, 2 * units);
	return network;
}

function viewsOf(array, shapes) {
	let at = 0;
	return Object.fromEntries(
		Object.entries(shapes).map(([name, [rows, columns]]) => [name, array.subarray(at, (at += rows * columns))]),
	);
}

/** One sequence: x (T, inputs) row by row. held: gates with one value at all steps and units, {f: 0.5}.
 * Returns its run: i, f, g, o, c and h (T, units), and the logit w · h_T + b. */
export function forward(network, x, held = {}) {
	const { inputs: D, units: H, weightIh, bias } = network;
	const T = x.length / D;
	const states = Object.fromEntries(GATES.map((name) => [name, new Float64Array(T * H)]));
	const start = { h: new Float64Array(H), c: new Float64Array(H) };
	const run = {
		...network,
		...states,
		x,
		T,
		start,
		held: Object.entries(held).map(([gate, value]) => ({ gate, value, unit: null })),
	};
	for (let t = 0; t < T; t += 1) advance(run, t, product(weightIh, rowOf(x, t, D), bias));
	return { ...run, logit: prefixLogits(network, run).at(-1) };
}

/** The logits w · h_t + b after each step: the prediction for the sequence up to there. */
export const prefixLogits = ({ units, weight, denseBias }, { h, T }) =>
	Float64Array.from({ length: T }, (_, t) => denseBias[0] + dot(h, t * units, weight));

/** Add the gradient of one sequence to `gradient` (of the size of the parameters); dlogit: the gradient of its logit. */
export function backward(network, run, dlogit, gradient) {
	const { inputs: D, units: H, weightHh, weight, shapes } = network;
	const { x, T, held, c, h } = run;
	// The parts under names of their own: the loops would look each one up by its name for each number.
	const {
		weightIh: dWeightIh,
		weightHh: dWeightHh,
		bias: dBias,
		weight: dWeight,
		denseBias: dDenseBias,
	} = viewsOf(gradient, shapes);
	const { i: inputGate, f: forgetGate, g: candidate, o: outputGate } = run;
	const dh = new Float64Array(H);
	const dc = new Float64Array(H);
	const dz = new Float64Array(4 * H);
	for (let k = 0; k < H; k += 1) {
		dh[k] = dlogit * weight[k];
		dWeight[k] += dlogit * h[(T - 1) * H + k];
	}
	dDenseBias[0] += dlogit;
	// No gradient reaches a held gate.
	const [isFreeI, isFreeF, isFreeG, isFreeO] = ["i", "f", "g", "o"].map((name) =>
		Number(!held.some(({ gate }) => gate === name)),
	);
	for (let t = T - 1; t >= 0; t -= 1) {
		const now = t * H;
		for (let k = 0; k < H; k += 1) {
			const i = inputGate[now + k];
			const f = forgetGate[now + k];
			const g = candidate[now + k];
			const o = outputGate[now + k];
			const tanh = Math.tanh(c[now + k]);
			const memory = dc[k] + dh[k] * o * (1 - tanh * tanh);
			dz[k] = isFreeI * memory * g * i * (1 - i);
			dz[H + k] = isFreeF * memory * (t ? c[now - H + k] : 0) * f * (1 - f);
			dz[2 * H + k] = isFreeG * memory * i * (1 - g * g);
			dz[3 * H + k] = isFreeO * dh[k] * tanh * o * (1 - o);
			dc[k] = memory * f;
		}
		dh.fill(0);
		for (let row = 0; row < 4 * H; row += 1) {
			dBias[row] += dz[row];
			for (let n = 0; n < D; n += 1) dWeightIh[row * D + n] += dz[row] * x[t * D + n];
			if (t === 0) continue;
			for (let k = 0; k < H; k += 1) {
				dWeightHh[row * H + k] += dz[row] * h[now - H + k];
				dh[k] += dz[row] * weightHh[row * H + k];
			}
		}
	}
}

/** Adam (Kingma & Ba 2015) with the settings of Keras. The returned function takes one step along a gradient. */
export function adam(parameters, { rate = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7 } = {}) {
	const [m, v] = [new Float64Array(parameters.length), new Float64Array(parameters.length)];
	let steps = 0;
	return (gradient) => {
		steps += 1;
		const size = (rate * Math.sqrt(1 - beta2 ** steps)) / (1 - beta1 ** steps);
		for (let n = 0; n < parameters.length; n += 1) {
			m[n] += (1 - beta1) * (gradient[n] - m[n]);
			v[n] += (1 - beta2) * (gradient[n] ** 2 - v[n]);
			parameters[n] -= (size * m[n]) / (Math.sqrt(v[n]) + epsilon);
		}
	};
}

/** Cross-entropy of a logit against the label 0 or 1. */
export const crossEntropy = (logit, label) =>
	Math.max(logit, 0) - logit * label + Math.log1p(Math.exp(-Math.abs(logit)));

/** A training run. draw(): a fresh example {x, label}, so that no example comes twice and the loss of a batch is one on unseen
 * data. next(): one step of Adam on a batch; returns {loss, accuracy} of the batch before the step. */
export function createTraining(network, draw, { batch = 32, rate = 0.01, limit = 1, held = {} } = {}) {
	const gradient = new Float64Array(network.parameters.length);
	const update = adam(network.parameters, { rate });
	const next = () => {
		gradient.fill(0);
		let [loss, right] = [0, 0];
		for (let n = 0; n < batch; n += 1) {
			const { x, label } = draw();
			const run = forward(network, x, held);
			loss += crossEntropy(run.logit, label) / batch;
			right += Number(run.logit > 0 === (label === 1));
			backward(network, run, (sigmoid(run.logit) - label) / batch, gradient);
		}
		const norm = Math.sqrt(gradient.reduce((sum, one) => sum + one * one, 0));
		if (norm > limit) gradient.forEach((one, n) => (gradient[n] = (one * limit) / norm)); // Pascanu et al. 2013
		update(gradient);
		return { loss, accuracy: right / batch };
	};
	return { next };
}
