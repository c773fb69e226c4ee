// A plain recurrent network, which trains where it runs: h_t = tanh(W x_t + U h_{t-1} + b) (Elman 1990).

import { product, rowOf } from "../model/arrays.js";
import { Network } from "./network.js";

export class PlainNetwork extends Network {
	constructor(options) {
		super(options, 1);
	}

	/** One sequence: x (T, inputs) row by row. Returns its run: {x, T, h (T, units), logits (T,), logit: the last one}. */
	forward(x) {
		const { inputs: D, units: H, weightIh, weightHh, bias } = this;
		const T = x.length / D;
		const h = new Float64Array(T * H);
		for (let t = 0; t < T; t += 1) {
			const z = product(weightIh, rowOf(x, t, D), bias);
			for (let k = 0; k < H; k += 1) {
				let total = z[k];
				if (t) for (let n = 0; n < H; n += 1) total += weightHh[k * H + n] * h[(t - 1) * H + n];
				h[t * H + k] = Math.tanh(total);
			}
		}
		const logits = this.logitsOf(h, T);
		return { x, T, units: H, h, logits, logit: logits.at(-1) };
	}

	/** Add the gradient of one sequence to `gradient`; dlogits (T,): the gradients of its logits. Returns those of the states,
	 * {dh (T, units)}. dx (T, inputs), if given, receives those of the inputs. */
	backward(run, dlogits, gradient, dx = null) {
		const { units: H } = this;
		const { T, h } = run;
		const parts = this.viewsOf(gradient);
		const states = { dh: new Float64Array(T * H) };
		const dh = new Float64Array(H);
		const dz = new Float64Array(H);
		for (let t = T - 1; t >= 0; t -= 1) {
			this.backwardLogit({ h, dlogits }, t, dh, parts);
			states.dh.set(dh, t * H);
			for (let k = 0; k < H; k += 1) dz[k] = dh[k] * (1 - h[t * H + k] ** 2);
			dh.fill(0);
			this.backwardMatrices(run, t, dz, { dh, dx, readsH: () => true }, parts);
		}
		return states;
	}
}
