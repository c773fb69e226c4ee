// The convolutions of a model of series, exactly as gatewise/members/convolutions.py: which steps are above which thresholds.

import { float32, valuesOf } from "./tensors.js";

const TAPS = 9;
const CENTRE = 4;
const KERNELS = []; // the three taps of each kernel whose weight is 2
for (let a = 0; a < TAPS; a += 1) for (let b = a + 1; b < TAPS; b += 1) for (let c = b + 1; c < TAPS; c += 1) KERNELS.push([a, b, c]);
const { fround } = Math;

export class Convolutions {
	/** entry: {features, window} of config.json; prefix: of the names of the tensors. */
	constructor({ features, window = 1 }, tensors, prefix, outputs) {
		Object.assign(this, { window, outputs });
		for (const name of ["dilations", "counts", "channels"]) this[name] = valuesOf(tensors, prefix + name);
		for (const name of ["thresholds", "mean"]) this[name] = float32(tensors, prefix + name, features);
		this.weight = float32(tensors, `${prefix}weight`, features * outputs);
		this.width = this.channels.length / (this.dilations.length * KERNELS.length); // of the channels and their differences
	}

	/** The channels of the steps in the rows of a sequence, and their differences from step to step. */
	#columns(rows) {
		const channels = this.width / 2;
		const steps = rows.flatMap((row) => Array.from({ length: this.window }, (_, t) => row.subarray(t * channels, (t + 1) * channels)));
		const known = steps.filter((step) => !Number.isNaN(step[0]));
		return Array.from({ length: this.width }, (_, c) => Float32Array.from(known, (step, t) => (c < channels ? step[c] : t ? step[c - channels] - known[t - 1][c - channels] : 0)));
	}

	/** The banks of a series with their first feature. */
	#banks(length) {
		let first = 0;
		return Array.from(this.dilations, (dilation, number) => {
			const count = this.counts[number];
			first += KERNELS.length * count;
			return { number, first: first - KERNELS.length * count, count, dilation, reach: CENTRE * dilation, isShort: length <= 2 * CENTRE * dilation };
		});
	}

	/**
	 * For the kernels that count all steps and for those that count the inner ones: `above` (T * outputs,), the weights of
	 * the features that are above their threshold at each step, and the `offset` of their means (outputs,). last: taps from
	 * there on read zeros.
	 */
	#above(columns, { number, first, count, dilation }, last = TAPS) {
		const [length, K] = [columns[0].length, this.outputs];
		const step = Math.min(dilation, length);
		const taps = columns.map((column) => Array.from({ length: TAPS }, (_, j) => Float32Array.from(column, (_, t) => (j < last ? column[t + (j - CENTRE) * step] ?? 0 : 0))));
		const all = taps.map((of) => of[0].map((x, t) => of.slice(1).reduce((total, tap) => fround(total + tap[t]), x)));
		const found = [0, 1].map(() => ({ above: new Float64Array(length * K), offset: new Float64Array(K) }));
		KERNELS.forEach(([a, b, c], kernel) => {
			const { above, offset } = found[(number + kernel) % 2];
			const conv = new Float32Array(length);
			taps.forEach((of, n) => {
				if (!this.channels[(number * KERNELS.length + kernel) * this.width + n]) return;
				for (let t = 0; t < length; t += 1) conv[t] += fround(fround(fround(fround(3 * of[a][t]) - all[n][t]) + fround(3 * of[b][t])) + fround(3 * of[c][t]));
			});
			for (let feature = first + kernel * count; feature < first + (kernel + 1) * count; feature += 1) {
				const weight = this.weight.subarray(feature * K, (feature + 1) * K);
				for (let k = 0; k < K; k += 1) offset[k] += weight[k] * this.mean[feature];
				for (let t = 0; t < length; t += 1) if (conv[t] > this.thresholds[feature]) for (let k = 0; k < K; k += 1) above[t * K + k] += weight[k];
			}
		});
		return found;
	}

	/** The logits (outputs,) of a sequence. */
	logits(rows) {
		const out = new Float64Array(this.outputs);
		this.attribution(rows).forEach((x, n) => (out[n % this.outputs] += x));
		return out;
	}

	/** The logits as a sum over the rows of the sequence (T * outputs,). */
	attribution(rows) {
		const out = new Float64Array(rows.length * this.outputs);
		const columns = this.#columns(rows);
		const length = columns[0].length;
		for (const bank of length ? this.#banks(length) : []) {
			this.#above(columns, bank).forEach(({ above, offset }, isInner) => {
				const edge = isInner && !bank.isShort ? bank.reach : 0;
				for (let t = edge; t < length - edge; t += 1) {
					for (let k = 0; k < this.outputs; k += 1) out[Math.floor(t / this.window) * this.outputs + k] += (above[t * this.outputs + k] - offset[k]) / (length - 2 * edge);
				}
			});
		}
		return out;
	}

	/** The logits after 0, 1, ... T rows: ((T + 1) * outputs,). Of a prefix, the last steps have taps after its end, which read zeros. */
	prefixLogits(rows) {
		const [K, columns] = [this.outputs, this.#columns(rows)];
		const out = new Float64Array((rows.length + 1) * K);
		const length = columns[0].length;
		for (const bank of length ? this.#banks(length) : []) {
			const { dilation, reach } = bank;
			const variants = Array.from({ length: CENTRE + 1 }, (_, m) => this.#above(columns, bank, CENTRE + 1 + m)); // with m taps after the centre
			for (const isInner of [0, 1]) {
				const running = variants.map((one) => sums(one[isInner].above, K)); // over the steps before t
				for (let row = 1; row <= rows.length; row += 1) {
					const p = Math.min(row * this.window, length);
					const edge = isInner && p > 2 * reach ? reach : 0;
					for (let k = 0; k < K; k += 1) {
						let total = edge ? running[CENTRE][(p - edge) * K + k] - running[CENTRE][edge * K + k] : 0;
						for (let m = 0, stop = p; m <= CENTRE && !edge; m += 1) {
							const start = m < CENTRE ? Math.max(0, p - (m + 1) * dilation) : 0;
							total += running[m][stop * K + k] - running[m][start * K + k];
							stop = start;
						}
						out[row * K + k] += total / (p - 2 * edge) - variants[CENTRE][isInner].offset[k];
					}
				}
			}
		}
		return out;
	}
}

/** Sums of the first 0, 1, ... T rows of K numbers. */
function sums(values, K) {
	const out = new Float64Array(values.length + K);
	for (let n = 0; n < values.length; n += 1) out[K + n] = out[n] + values[n];
	return out;
}
