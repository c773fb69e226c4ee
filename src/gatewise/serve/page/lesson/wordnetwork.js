// A small LSTM over words: an embedding, a row of numbers per word, and the network of the trainer that reads the rows.

import { LstmNetwork } from "../trainer/lstm.js";
import { seeded } from "../trainer/random.js";

const START = 0.05; // rows start uniform in ±0.05, as in Keras
const SPARE = 24; // rows for words that a reader brings

/** It has what `createTraining` needs of a network. Its parameters are the rows and those of the LSTM, in one array. */
export class WordNetwork {
	/** words: the vocabulary; width: numbers per row. Words that come later have rows, too. */
	constructor(words, { width, units, seed }) {
		this.idOf = new Map(words.map((word, id) => [word, id]));
		this.width = width;
		this.units = units;
		this.lstm = new LstmNetwork({ inputs: width, units, seed });
		const rows = (words.length + SPARE) * width;
		this.parameters = new Float64Array(rows + this.lstm.parameters.length);
		this.embedding = this.parameters.subarray(0, rows);
		const random = seeded(seed + 50);
		for (let n = 0; n < rows; n += 1) this.embedding[n] = START * (2 * random() - 1);
		const own = this.parameters.subarray(rows);
		own.set(this.lstm.parameters);
		this.lstm.parameters = own;
		Object.assign(this.lstm, this.lstm.viewsOf(own));
	}

	/** Parameters of the rows of the vocabulary, of the LSTM, and of the logit. */
	counts() {
		const { parameters, units } = this.lstm;
		return [this.idOf.size * this.width, parameters.length - units - 1, units + 1];
	}

	/** Give words that are not in the vocabulary rows of their own, while there are some. */
	add(words) {
		for (const word of words) {
			if (!this.idOf.has(word) && (this.idOf.size + 1) * this.width <= this.embedding.length)
				this.idOf.set(word, this.idOf.size);
		}
	}

	rowOf(id) {
		return this.embedding.subarray(id * this.width, (id + 1) * this.width);
	}

	/** The ids of words; that of `unknown` for words that are not in the vocabulary. */
	idsOf(words, unknown = null) {
		return words.map((word) => this.idOf.get(word) ?? this.idOf.get(unknown));
	}

	/** words, all in the vocabulary, or their ids. Returns the run of the LSTM over their rows, with `ids`. */
	forward(words, held = {}) {
		const ids = words.map((word) => (typeof word === "number" ? word : this.idOf.get(word)));
		const x = new Float64Array(ids.length * this.width);
		ids.forEach((id, t) => x.set(this.rowOf(id), t * this.width));
		return { ...this.lstm.forward(x, held), ids };
	}

	/** Add the gradient of one phrase to `gradient`, of the size of the parameters. */
	backward(run, dlogits, gradient) {
		const rows = this.embedding.length;
		const dx = new Float64Array(run.x.length);
		const states = this.lstm.backward(run, dlogits, gradient.subarray(rows), dx);
		run.ids.forEach((id, t) => {
			const first = id * this.width;
			for (let n = 0; n < this.width; n += 1) gradient[first + n] += dx[t * this.width + n];
		});
		return states;
	}
}
