// The n-grams of a model, exactly as gatewise/members/ngrams.py: a sum of the weights of the distinct n-grams of a text.

import { addTo, rowOf, zeros } from "./arrays.js";
import { float32, valuesOf } from "./tensors.js";

const [TOKEN_BITS, CHARACTER_BITS] = [21n, 12n]; // in a key
const [CLOSES, OPENS] = [0, 1]; // characters at the end and at the begin of a word

export class Ngrams {
	/** entry: {order, count, scaled, characters} of config.json; prefix: of the names of the tensors. */
	constructor({ order, count, scaled = false, characters = 0 }, tensors, prefix, outputs) {
		Object.assign(this, { order, outputs });
		this.rows = new Map(Array.from(valuesOf(tensors, `${prefix}keys`), (key, row) => [key, row]));
		this.weight = float32(tensors, `${prefix}weight`, count * outputs);
		this.scale = scaled ? float32(tensors, `${prefix}scale`, count) : null;
		this.spelling = characters ? [[]] : null; // the characters of each token
		for (const one of characters ? valuesOf(tensors, `${prefix}characters`) : []) {
			if (one === CLOSES) this.spelling.push([]);
			else this.spelling.at(-1).push(one);
		}
	}

	/** The known n-grams that end with the last token or character of a word: {row, steps}. */
	#endings(word) {
		let key = 0n;
		const bits = this.spelling ? CHARACTER_BITS : TOKEN_BITS;
		return Array.from({ length: Math.min(this.order, word.length) }, (_, n) => {
			key |= BigInt(word.at(-1 - n).number + 1) << (bits * BigInt(n));
			return { row: this.rows.get(key), steps: word.slice(-1 - n).map(({ step }) => step) };
		}).filter(({ row }) => row !== undefined);
	}

	/** For each step the n-grams that end there; closing: those of a word that ends there; closed: whether it does in the text. */
	#occurrences(ids) {
		let word = [];
		return Array.from(ids, (id, step) => {
			const numbers = this.spelling ? this.spelling[id] : [id];
			if (this.spelling && numbers[0] === OPENS) word = [];
			const found = numbers.flatMap((number) => this.#endings((word = [...word.slice(-this.order), { number, step }])));
			const closing = this.spelling ? this.#endings([...word, { number: CLOSES, step }]) : [];
			return { found, closing, closed: step + 1 === ids.length || this.spelling?.[ids[step + 1]][0] === OPENS };
		});
	}

	/** How much an n-gram counts that occurs so often. */
	#frequency(count) {
		return this.scale && count ? 1 + Math.log(count) : Number(count > 0);
	}

	/** The logits (outputs,) of a text. */
	logits(ids) {
		return this.prefixLogits(ids).at(-1);
	}

	/** The logits after 0, 1, ... T steps: a row each. */
	prefixLogits(ids) {
		const [total, counts] = [zeros(this.outputs), new Map()];
		let squares = 0;
		const add =
			(change) =>
			({ row }) => {
				const before = counts.get(row) ?? 0;
				counts.set(row, before + change);
				const [is, was] = [this.#frequency(before + change), this.#frequency(before)];
				addTo(total, rowOf(this.weight, row, this.outputs), is - was);
				squares += this.scale ? this.scale[row] ** 2 * (is ** 2 - was ** 2) : 0;
			};
		return [
			zeros(this.outputs),
			...this.#occurrences(ids).map(({ found, closing, closed }) => {
				[...found, ...closing].forEach(add(1));
				const logits = total.map((x) => x / (Math.sqrt(Math.max(squares, 0)) || 1));
				if (!closed) closing.forEach(add(-1));
				return logits;
			}),
		];
	}

	/** The logits as a sum over the steps, a row each: an n-gram is divided among its occurrences and their tokens or characters. */
	attribution(ids) {
		const occurrences = this.#occurrences(ids).flatMap(({ found, closing, closed }) =>
			closed ? [...found, ...closing] : found,
		);
		const counts = new Map();
		for (const { row } of occurrences) counts.set(row, (counts.get(row) ?? 0) + 1);
		const squares = [...counts].reduce(
			(all, [row, count]) => all + (this.scale ? (this.#frequency(count) * this.scale[row]) ** 2 : 0),
			0,
		);
		const out = Array.from(ids, () => zeros(this.outputs));
		for (const { row, steps } of occurrences) {
			const share = this.#frequency(counts.get(row)) / (Math.sqrt(squares) || 1) / (steps.length * counts.get(row));
			for (const step of steps) addTo(out[step], rowOf(this.weight, row, this.outputs), share);
		}
		return out;
	}
}
