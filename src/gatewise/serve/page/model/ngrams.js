// The n-grams of a model, exactly as gatewise/members/ngrams.py: a sum of the weights of the distinct n-grams of a text.

import { float32, valuesOf } from "./tensors.js";

const BITS = 21n; // of a token in a key
const frequency = (count) => (count ? 1 + Math.log(count) : 0);

export class Ngrams {
	#rows = new Map(); // by key: the n-gram, or -1

	/** entry: {order, count, scaled} of config.json; prefix: of the names of the tensors. */
	constructor({ order, count, scaled = false }, tensors, prefix, outputs) {
		Object.assign(this, { order, outputs });
		this.keys = valuesOf(tensors, `${prefix}keys`);
		this.weight = float32(tensors, `${prefix}weight`, count * outputs);
		this.scale = scaled ? float32(tensors, `${prefix}scale`, count) : null;
	}

	/** The n-gram of a key, by bisection; -1 for an unknown one. */
	#rowOf(key) {
		if (this.#rows.has(key)) return this.#rows.get(key);
		let [low, high] = [0, this.keys.length];
		while (low < high) {
			const middle = (low + high) >> 1;
			if (this.keys[middle] < key) low = middle + 1;
			else high = middle;
		}
		const row = this.keys[low] === key ? low : -1;
		if (this.#rows.size > 1e5) this.#rows.clear();
		this.#rows.set(key, row);
		return row;
	}

	/** The known n-grams of a text: [row, the step of the last token, tokens], in the order of the text. */
	#occurrences(ids) {
		const found = [];
		for (let end = 0; end < ids.length; end += 1) {
			let key = 0n;
			for (let size = 1; size <= Math.min(this.order, end + 1); size += 1) {
				key |= BigInt(ids[end - size + 1] + 1) << (BITS * BigInt(size - 1));
				const row = this.#rowOf(key);
				if (row >= 0) found.push([row, end, size]);
			}
		}
		return found;
	}

	/** The logits (outputs,) of a text. */
	logits(ids) {
		return this.prefixLogits(ids).slice(-this.outputs);
	}

	/** The logits after 0, 1, ... T steps: ((T + 1) * outputs,). */
	prefixLogits(ids) {
		const counts = new Map();
		const out = new Float64Array((ids.length + 1) * this.outputs);
		const sums = new Float64Array(this.outputs);
		const occurrences = this.#occurrences(ids);
		let squares = 0;
		for (let t = 0, n = 0; t < ids.length; t += 1) {
			for (; n < occurrences.length && occurrences[n][1] === t; n += 1) {
				const [row] = occurrences[n];
				const before = counts.get(row) ?? 0;
				counts.set(row, before + 1);
				const [was, is] = this.scale ? [frequency(before), frequency(before + 1)] : [Number(before > 0), 1];
				for (let k = 0; k < this.outputs; k += 1) sums[k] += (is - was) * this.weight[row * this.outputs + k];
				if (this.scale) squares += this.scale[row] ** 2 * (is ** 2 - was ** 2);
			}
			const norm = squares > 0 ? Math.sqrt(squares) : 1;
			for (let k = 0; k < this.outputs; k += 1) out[(t + 1) * this.outputs + k] = sums[k] / norm;
		}
		return out;
	}

	/** The logits as a sum over the steps (T * outputs,): what an n-gram adds is divided among its occurrences and their tokens. */
	attribution(ids) {
		const occurrences = this.#occurrences(ids);
		const counts = new Map();
		for (const [row] of occurrences) counts.set(row, (counts.get(row) ?? 0) + 1);
		let squares = 0;
		if (this.scale) for (const [row, count] of counts) squares += (frequency(count) * this.scale[row]) ** 2;
		const norm = squares > 0 ? Math.sqrt(squares) : 1;
		const out = new Float64Array(ids.length * this.outputs);
		for (const [row, end, size] of occurrences) {
			const count = counts.get(row);
			const share = (this.scale ? frequency(count) : 1) / norm / (size * count);
			for (let t = end - size + 1; t <= end; t += 1) {
				for (let k = 0; k < this.outputs; k += 1) out[t * this.outputs + k] += share * this.weight[row * this.outputs + k];
			}
		}
		return out;
	}
}
