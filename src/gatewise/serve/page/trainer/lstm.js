// A small LSTM, which trains where it runs. Gates in the order i, f, g, o; a row of a matrix is a gate of a unit.

import { product, rowOf } from "../model/arrays.js";
import { advance, GATES } from "../model/network.js";
import { Network } from "./network.js";

const ORDER = ["i", "f", "g", "o"];

const isAt = ({ from, to }, t) => from == null || (from <= t && t <= to);

/** No gradient reaches the preactivation of a held gate. */
function stopGradient(dz, H, { gate, unit }) {
	const first = ORDER.indexOf(gate) * H;
	if (unit == null) dz.fill(0, first, first + H);
	else dz[first + unit] = 0;
}

export class LstmNetwork extends Network {
	/** forgetBias: where the bias of the forget gates starts; 1 as in Keras (there the recurrent weights start orthogonal).
	 * frozen: the gates whose recurrent weights are 0 and stay 0, which read the input of their step alone. */
	constructor({ forgetBias = 1, frozen = [], ...options }) {
		super(options, 4);
		const { units: H } = this;
		this.bias.fill(forgetBias, H, 2 * H);
		this.isFrozen = ORDER.map((gate) => frozen.includes(gate));
		this.isFrozen.forEach((isFrozen, n) => {
			if (isFrozen) this.weightHh.fill(0, n * H * H, (n + 1) * H * H);
		});
	}

	/** One sequence: x (T, inputs) row by row. held: gates with one value at all steps and units, {f: 0.5}, or changes of some of
	 * them, [{gate, value, unit: null for all, from, to: steps, all if not given}].
	 * Returns its run: {x, T, held, i, f, g, o, c, h (T, units), logits (T,), logit: the last one}. */
	forward(x, held = {}) {
		const { inputs: D, units: H, weightIh, weightHh, bias } = this;
		const T = x.length / D;
		const run = { x, T, units: H, weightHh, start: { h: new Float64Array(H), c: new Float64Array(H) } };
		for (const name of GATES) run[name] = new Float64Array(T * H);
		run.held = Array.isArray(held) ? held : Object.entries(held).map(([gate, value]) => ({ gate, value, unit: null }));
		for (let t = 0; t < T; t += 1) advance(run, t, product(weightIh, rowOf(x, t, D), bias));
		run.logits = this.logitsOf(run.h, T);
		return { ...run, logit: run.logits.at(-1) };
	}

	/** Add the gradient of one sequence to `gradient`; dlogits (T,): the gradients of its logits. Returns those of the states,
	 * {dh, dc (T, units)}, through everything that reads them. dx (T, inputs), if given, receives those of the inputs. */
	backward(run, dlogits, gradient, dx = null) {
		const { units: H, isFrozen } = this;
		const { T, held, c, h } = run;
		const { i: inputGate, f: forgetGate, g: candidate, o: outputGate } = run;
		const parts = this.viewsOf(gradient);
		const states = { dh: new Float64Array(T * H), dc: new Float64Array(T * H) };
		const dh = new Float64Array(H);
		const dc = new Float64Array(H);
		const dz = new Float64Array(4 * H);
		const readsH = (row) => !isFrozen[Math.floor(row / H)];
		for (let t = T - 1; t >= 0; t -= 1) {
			const now = t * H;
			this.backwardLogit({ h, dlogits }, t, dh, parts);
			for (let k = 0; k < H; k += 1) {
				const i = inputGate[now + k];
				const f = forgetGate[now + k];
				const g = candidate[now + k];
				const o = outputGate[now + k];
				const tanh = Math.tanh(c[now + k]);
				const memory = dc[k] + dh[k] * o * (1 - tanh * tanh);
				states.dh[now + k] = dh[k];
				states.dc[now + k] = memory;
				dz[k] = memory * g * i * (1 - i);
				dz[H + k] = memory * (t ? c[now - H + k] : 0) * f * (1 - f);
				dz[2 * H + k] = memory * i * (1 - g * g);
				dz[3 * H + k] = dh[k] * tanh * o * (1 - o);
				dc[k] = memory * f;
			}
			for (const change of held) if (isAt(change, t)) stopGradient(dz, H, change);
			dh.fill(0);
			this.backwardMatrices(run, t, dz, { dh, dx, readsH }, parts);
		}
		return states;
	}
}
