// The n-grams of a model, exactly as gatewise/members/ngrams.py: a sum of the weights of the distinct n-grams of a text.

import { addTo, rowOf, zeros } from "./arrays.js";
import { float32, valuesOf } from "./tensors.js";

const BITS = 21n; // of a token in a key

export class Ngrams {
	/** entry: {order, count, scaled} of config.json; prefix: of the names of the tensors. */
	constructor({ order, count, scaled = false }, tensors, prefix, outputs) {
		Object.assign(this, { order, outputs });
		this.rows = new Map(Array.from(valuesOf(tensors, `${prefix}keys`), (key, row) => [key, row]));
		this.weight = float32(tensors, `${prefix}weight`, count * outputs);
		this.scale = scaled ? float32(tensors, `${prefix}scale`, count) : null;
	}

	/** For each step the known n-grams that end there: {row, size: in tokens, number: how often it has occurred by then}. */
	#occurrences(ids) {
		const counts = new Map();
		return Array.from(ids, (_, end) => {
			let key = 0n;
			return Array.from({ length: Math.min(this.order, end + 1) }, (_, n) => {
				key |= BigInt(ids[end - n] + 1) << (BITS * BigInt(n));
				const row = this.rows.get(key);
				counts.set(row, (counts.get(row) ?? 0) + 1);
				return { row, size: n + 1, number: counts.get(row) };
			}).filter(({ row }) => row !== undefined);
		});
	}

	/** How much an n-gram counts that occurs so often. */
	#frequency(count) {
		return this.scale && count ? 1 + Math.log(count) : Number(count > 0);
	}

	/** The part of a weight in the logits, and of the scale in the squared norm, that grow with the number of occurrences. */
	#growth({ row, number }) {
		const [is, was] = [this.#frequency(number), this.#frequency(number - 1)];
		return { weight: is - was, square: this.scale ? this.scale[row] ** 2 * (is ** 2 - was ** 2) : 0 };
	}

	/** The logits (outputs,) of a text. */
	logits(ids) {
		return this.prefixLogits(ids).at(-1);
	}

	/** The logits after 0, 1, ... T steps: a row each. */
	prefixLogits(ids) {
		const total = zeros(this.outputs);
		let squares = 0;
		return [zeros(this.outputs), ...this.#occurrences(ids).map((found) => {
			for (const one of found) {
				const { weight, square } = this.#growth(one);
				addTo(total, rowOf(this.weight, one.row, this.outputs), weight);
				squares += square;
			}
			return total.map((x) => x / (Math.sqrt(squares) || 1));
		})];
	}

	/** The logits as a sum over the steps, a row each: an n-gram is divided among its occurrences and their tokens. */
	attribution(ids) {
		const occurrences = this.#occurrences(ids);
		const counts = new Map(occurrences.flat().map(({ row, number }) => [row, number])); // the last ones
		const squares = occurrences.flat().reduce((total, one) => total + this.#growth(one).square, 0);
		const out = Array.from(ids, () => zeros(this.outputs));
		occurrences.forEach((found, end) => found.forEach(({ row, size }) => {
			const share = this.#frequency(counts.get(row)) / (Math.sqrt(squares) || 1) / (size * counts.get(row));
			for (let t = end - size + 1; t <= end; t += 1) addTo(out[t], rowOf(this.weight, row, this.outputs), share);
		}));
		return out;
	}
}
