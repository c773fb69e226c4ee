// The convolutions of a model of series, exactly as gatewise/members/convolutions.py: which steps are above which thresholds.

import { addTo, rowOf, zeros } from "./arrays.js";
import { float32, valuesOf } from "./tensors.js";

const [TAPS, CENTRE] = [9, 4];
const PLACES = Array.from({ length: TAPS }, (_, n) => n);
/** The three taps of each kernel whose weight is 2. */
const KERNELS = PLACES.flatMap((a) => PLACES.slice(a + 1).flatMap((b) => PLACES.slice(b + 1).map((c) => [a, b, c])));
const { fround } = Math;

export class Convolutions {
	/** entry: {features, window} of config.json; prefix: of the names of the tensors. */
	constructor({ features, window = 1 }, tensors, prefix, outputs) {
		Object.assign(this, { window, outputs });
		for (const name of ["dilations", "counts", "channels"]) this[name] = valuesOf(tensors, prefix + name);
		for (const name of ["thresholds", "mean"]) this[name] = float32(tensors, prefix + name, features);
		this.weight = float32(tensors, `${prefix}weight`, features * outputs);
		/** Multiplications of a step, about. */
		this.products = features * outputs;
		this.width = this.channels.length / (this.dilations.length * KERNELS.length); // of the channels and their differences
	}

	/** The channels of the steps in the rows of a sequence, and their differences from step to step. */
	#columns(rows) {
		const channels = this.width / 2;
		const steps = rows
			.flatMap((row) => Array.from({ length: this.window }, (_, t) => rowOf(row.series, t, channels)))
			.filter((step) => !Number.isNaN(step[0]));
		const plain = Array.from({ length: channels }, (_, c) => Float32Array.from(steps, (step) => step[c]));
		return [...plain, ...plain.map((column) => column.map((x, t) => (t ? x - column[t - 1] : 0)))];
	}

	/** For each bank, for its kernels that count all steps and for those that count the inner ones of a long series: {dilation,
	 * isInner, above: for each step the weights of the features that are above their threshold, offset: those of their means}.
	 * last: taps from there on read zeros. */
	#above(columns, last = TAPS) {
		const [K, { weight, thresholds }] = [this.outputs, this];
		let feature = 0;
		return Array.from(this.dilations, (dilation, bank) => {
			const step = Math.min(dilation, columns[0].length);
			const taps = columns.map((column) =>
				PLACES.map((j) => column.map((_, t) => (j < last ? (column[t + (j - CENTRE) * step] ?? 0) : 0))),
			);
			const all = taps.map((of) => of.reduce((total, tap) => total.map((x, t) => x + tap[t])));
			const found = [false, true].map((isInner) => ({
				dilation,
				isInner,
				above: zeros(columns[0].length * K),
				offset: zeros(K),
			}));
			KERNELS.forEach(([a, b, c], kernel) => {
				const { above, offset } = found[(bank + kernel) % 2];
				const conv = new Float32Array(columns[0].length);
				taps.forEach((of, n) => {
					if (!this.channels[(bank * KERNELS.length + kernel) * this.width + n]) return;
					for (let t = 0; t < conv.length; t += 1)
						conv[t] += fround(
							fround(fround(fround(3 * of[a][t]) - all[n][t]) + fround(3 * of[b][t])) + fround(3 * of[c][t]),
						);
				});
				for (let n = 0; n < this.counts[bank]; n += 1, feature += 1) {
					addTo(offset, rowOf(weight, feature, K), this.mean[feature]);
					for (let t = 0; t < conv.length; t += 1) {
						if (conv[t] <= thresholds[feature]) continue;
						for (let k = 0; k < K; k += 1) above[t * K + k] += weight[feature * K + k]; // the loop that costs most
					}
				}
			});
			return found;
		}).flat();
	}

	/** The logits (outputs,) of a sequence. */
	logits(rows) {
		return this.attribution(rows).reduce((total, row) => addTo(total, row), zeros(this.outputs));
	}

	/** The logits as a sum over the rows of the sequence, a row each. */
	attribution(rows) {
		const out = rows.map(() => zeros(this.outputs));
		const columns = this.#columns(rows);
		const { length } = columns[0];
		for (const { dilation, isInner, above, offset } of this.#above(columns)) {
			const edge = edgeOf(isInner, dilation, length);
			for (let t = edge; t < length - edge; t += 1) {
				const row = out[Math.floor(t / this.window)];
				addTo(addTo(row, rowOf(above, t, this.outputs), 1 / (length - 2 * edge)), offset, -1 / (length - 2 * edge));
			}
		}
		return out;
	}

	/** The logits after 0, 1, ... T rows: a row each. Of a prefix, the last steps have taps after its end, which read zeros. */
	prefixLogits(rows) {
		const columns = this.#columns(rows);
		const out = [zeros(this.outputs), ...rows.map(() => zeros(this.outputs))];
		const variants = Array.from({ length: CENTRE + 1 }, (_, m) => this.#above(columns, CENTRE + 1 + m)); // with m taps after the centre
		variants[CENTRE].forEach(({ dilation, isInner, offset }, n) => {
			const running = variants.map((one) => runningSums(one[n].above, this.outputs));
			for (let row = 1; row <= rows.length; row += 1) {
				const end = Math.min(row * this.window, columns[0].length);
				const edge = edgeOf(isInner, dilation, end);
				// The steps before `stops[m]` have at least m taps after their centre in the prefix.
				const stops = running.map((_, m) =>
					edge ? (m === CENTRE ? end - edge : end) : Math.max(0, end - m * dilation),
				);
				running.forEach((sums, m) => {
					const from = edge ? (m === CENTRE ? edge : end) : m === CENTRE ? 0 : stops[m + 1];
					addTo(addTo(out[row], sums[stops[m]], 1 / (end - 2 * edge)), sums[from], -1 / (end - 2 * edge));
				});
				addTo(out[row], offset, -1);
			}
		});
		return out;
	}
}

/** The steps at each end that a kernel does not count. */
const edgeOf = (isInner, dilation, length) => (isInner && length > 2 * CENTRE * dilation ? CENTRE * dilation : 0);

/** The sums of the first 0, 1, ... T rows of a matrix. */
function runningSums(matrix, width) {
	const total = zeros(width);
	return [
		total.slice(),
		...Array.from({ length: matrix.length / width }, (_, n) => addTo(total, rowOf(matrix, n, width)).slice()),
	];
}
