// What the two networks that train in the page share: their parameters, and a logit after each step.

import { dot } from "../model/arrays.js";
import { seeded } from "./random.js";

/** A recurrent layer and one logit after each step, w · h_t + b. `rows`: rows of the matrices per unit, 4 for the gates of an LSTM.
 * All parameters are one array, `parameters`, and its parts are views into it. The matrices start Glorot uniform, the biases at 0. */
export class Network {
	constructor({ inputs, units, seed = 0 }, rows) {
		this.inputs = inputs;
		this.units = units;
		this.shapes = {
			weightIh: [rows * units, inputs],
			weightHh: [rows * units, units],
			bias: [rows * units, 1],
			weight: [1, units],
			denseBias: [1, 1],
		};
		const sizes = Object.values(this.shapes).map(([height, width]) => height * width);
		this.parameters = new Float64Array(sizes.reduce((a, b) => a + b));
		Object.assign(this, this.viewsOf(this.parameters));
		const random = seeded(seed);
		for (const name of ["weightIh", "weightHh", "weight"]) {
			const [height, width] = this.shapes[name];
			const limit = Math.sqrt(6 / (height + width));
			for (let n = 0; n < height * width; n += 1) this[name][n] = limit * (2 * random() - 1);
		}
	}

	/** The parts of an array of the size of the parameters, by name. */
	viewsOf(array) {
		const views = {};
		let at = 0;
		for (const [name, [height, width]] of Object.entries(this.shapes)) {
			views[name] = array.subarray(at, at + height * width);
			at += height * width;
		}
		return views;
	}

	/** The logits after each step (T,): the predictions for the sequence up to there. */
	logitsOf(h, T) {
		return Float64Array.from({ length: T }, (_, t) => this.denseBias[0] + dot(h, t * this.units, this.weight));
	}

	/** Add the gradient of the logit after step t to that of the layer above the recurrence, and to dh (units,). */
	backwardLogit({ h, dlogits }, t, dh, { weight, denseBias }) {
		const dlogit = dlogits[t];
		if (dlogit === 0) return;
		for (let k = 0; k < this.units; k += 1) {
			dh[k] += dlogit * this.weight[k];
			weight[k] += dlogit * h[t * this.units + k];
		}
		denseBias[0] += dlogit;
	}

	/** Add the gradient of the preactivations of step t, dz, to that of the parameters. readsH: whether a row reads h before it;
	 * dh (units,): receives the gradient of h_{t-1}. dx (T, inputs), if given, receives that of the inputs. */
	backwardMatrices({ x, h }, t, dz, { dh, dx, readsH }, { weightIh, weightHh, bias }) {
		const { inputs: D, units: H } = this;
		const row0 = t * D;
		const before = (t - 1) * H;
		for (let row = 0; row < dz.length; row += 1) {
			const z = dz[row];
			if (z === 0) continue; // of a held gate
			bias[row] += z;
			for (let n = 0; n < D; n += 1) weightIh[row * D + n] += z * x[row0 + n];
			if (dx) for (let n = 0; n < D; n += 1) dx[row0 + n] += z * this.weightIh[row * D + n];
			if (t === 0 || !readsH(row)) continue;
			for (let k = 0; k < H; k += 1) {
				weightHh[row * H + k] += z * h[before + k];
				dh[k] += z * this.weightHh[row * H + k];
			}
		}
	}
}
