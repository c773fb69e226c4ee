// A text classifier with one LSTM, in plain JavaScript: words to ids, embedding, LSTM, pooling and dense layer, with the
// gates and states of every step, clamps and attributions. No DOM: it runs in a page, in a worker and in Node. Its numbers
// are those of gatewise within 1e-5. gatewise/serve/lstm_file.py writes the file that it reads.

export const GATES = ["i", "f", "g", "o", "c", "h"];
export const METHODS = ["prefix-difference", "cell-decomposition", "leave-one-out"];

const TYPES = { F32: Float32Array, F16: Uint16Array, I8: Int8Array, U16: Uint16Array, U8: Uint8Array };
const SEPARATORS = new Set('!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n '); // of the Keras encoding
const [START, UNKNOWN, FIRST_WORD] = [1, 2, 4]; // its ids; 0 is the pad, 3 is never used

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const sum = (values) => values.reduce((total, one) => total + one, 0);
const damaged = (name) => new Error(`a .lstm file with a damaged tensor ${name}`);

/** The model in a file `*.lstm`, an ArrayBuffer. Throws an Error for anything else. */
export function parseModel(bytes) {
	const { metadata, tensors } = read(bytes);
	if (!metadata?.["gatewise.lstm"]) throw new Error("not a .lstm file: it has no description of a model");
	const description = JSON.parse(metadata["gatewise.lstm"]);
	if (description.format !== 1) throw new Error(`a .lstm file of format ${description.format}; this page reads format 1`);
	return new Model(description, tensors);
}

/** The metadata and the tensors of a file. */
function read(bytes) {
	const { header, data } = headerOf(bytes);
	const { __metadata__: metadata, ...entries } = header;
	const tensors = new Map();
	for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(entries)) {
		const Type = TYPES[dtype];
		const size = shape.reduce((product, one) => product * one, 1);
		const isInside = [from, to, ...shape].every((one) => Number.isInteger(one) && one >= 0) && to <= data.byteLength;
		if (!Type || !isInside || to - from !== size * Type.BYTES_PER_ELEMENT) throw damaged(name);
		tensors.set(name, { shape, dtype, values: new Type(data.slice(from, to)) });
	}
	return { metadata, tensors };
}

function headerOf(bytes) {
	const length = bytes.byteLength < 8 ? Infinity : Number(new DataView(bytes).getBigUint64(0, true));
	if (length > Math.min(bytes.byteLength - 8, 1e6)) throw new Error("not a .lstm file, or only a part of one");
	return { header: JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length))), data: bytes.slice(8 + length) };
}

/** A tensor of `size` numbers in float32, whatever its form in the file: gatewise/storage/compact.py describes the forms. */
function float32(tensors, name, size) {
	const { shape, dtype, values } = tensors.get(name) ?? {};
	if (!shape) throw new Error(`a .lstm file without the tensor ${name}`);
	const width = shape.length > 1 ? shape[1] : 1;
	const [scale, rows] = [tensors.get(`${name}.scale`)?.values, tensors.get(`${name}.rows`)?.values];
	const stored = Float32Array.from(values);
	if (dtype === "F16") for (let n = 0; n < stored.length; n += 1) stored[n] = half(values[n]);
	if (scale) for (let n = 0; n < stored.length; n += 1) stored[n] *= scale[Math.floor(n / width)];
	const count = rows ? rows.length * width : stored.length;
	if (count !== size || (scale && scale.length * width !== stored.length) || rows?.some((place) => (place + 1) * width > stored.length)) throw damaged(name);
	return rows ? Float32Array.from({ length: count }, (_, n) => stored[rows[Math.floor(n / width)] * width + (n % width)]) : stored;
}

/** The number of a float16, given as its bits. */
const half = (bits) => (bits >> 15 ? -1 : 1) * ((bits >> 10) & 31 ? 2 ** (((bits >> 10) & 31) - 15) * (1 + (bits & 1023) / 1024) : 2 ** -24 * (bits & 1023));

class Model {
	#projected = new Map(); // by id: what the input adds to the gates, computed once
	#pads = new Map(); // by ablated units: the run of pads so far

	constructor(description, tensors) {
		/** labels, units, embeddingDim, vocabSize, maxLength, padding, pooling, parameters, evaluations, history, ... */
		this.info = description;
		this.units = description.units;
		this.words = new TextDecoder().decode(tensors.get("vocabulary")?.values).split("\n"); // by rank
		this.ids = new Map(this.words.map((word, rank) => [word, rank + FIRST_WORD]));
		/** The embeddings (vocabSize, D), as all matrices row by row; those of words that are not there yet are NaN. */
		this.embedding = new Float32Array(description.vocabSize * description.embeddingDim).fill(NaN);
		this.rows = 0; // how many are there
		this.#fill(tensors);
		const { units: H, embeddingDim: D, outputs, pooling } = description;
		this.parts = pooling.split("+"); // "last", or "mean", "max" or both
		this.weightIh = float32(tensors, "lstm.0.forward.weight_ih", 4 * H * D); // (4H, D), the gates i, f, g, o one after the other
		this.weightHh = float32(tensors, "lstm.0.forward.weight_hh", 4 * H * H); // (4H, H)
		this.bias = float32(tensors, "lstm.0.forward.bias", 4 * H); // (4H,)
		this.dense = float32(tensors, "dense.weight", outputs * this.parts.length * H); // (outputs, features)
		this.denseBias = float32(tensors, "dense.bias", outputs); // (outputs,)
	}

	/** The embeddings of the words whose rows the first file does not have, from a second one. */
	addRows(bytes) {
		this.#fill(read(bytes).tensors);
		this.#projected.clear();
	}

	#fill(tensors) {
		const { embeddingDim: D, vocabSize } = this.info;
		const ids = tensors.get("embedding.weight.ids")?.values ?? Array.from({ length: vocabSize }, (_, id) => id);
		if (ids.some((id) => id >= vocabSize)) throw damaged("embedding.weight.ids");
		const found = float32(tensors, "embedding.weight", ids.length * D);
		ids.forEach((id, n) => this.embedding.set(row(found, n, D), id * D));
		this.rows += ids.length;
	}

	/** The embedding of an id: (D,). */
	embeddingOf(id) {
		return row(this.embedding, id, this.info.embeddingDim);
	}

	/** Whether the embedding of an id is there. */
	has(id) {
		return !Number.isNaN(this.embedding[id * this.info.embeddingDim]);
	}

	/** The word of an id. */
	wordOf(id) {
		return this.words[id - FIRST_WORD] ?? ["<pad>", "<start>", "<unk>", "<unused>"][id];
	}

	/**
	 * The words of a text with their places in it, and the ids that the model reads: `ids[offset + n]` is that of word n.
	 * Throws an Error for a lone surrogate.
	 */
	encode(text) {
		const lone = text.match(/\p{Surrogate}/u);
		if (lone) throw new Error(`the text is not valid Unicode: a lone surrogate at character ${lone.index}`);
		const words = [];
		let start = -1;
		for (let at = 0; at <= text.length; at += 1) {
			const isSeparator = at === text.length || SEPARATORS.has(text[at]);
			if (!isSeparator && start < 0) start = at;
			if (!isSeparator || start < 0) continue;
			const shown = text.slice(start, at);
			const id = this.ids.get(shown.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())) ?? UNKNOWN;
			words.push({ start, end: at, text: shown, id, unknown: id === UNKNOWN });
			start = -1;
		}
		return { words, ids: Int32Array.from([START, ...words.map(({ id }) => id)]), offset: 1 };
	}

	/** Which of `length` ids the network reads: all, or without those that are too many. */
	readRows(length) {
		const { maxLength, truncation } = this.info;
		const extra = maxLength ? Math.max(0, length - maxLength) : 0;
		const head = extra && truncation === "middle" ? Math.floor(maxLength / 3) : 0;
		return Int32Array.from({ length: length - extra }, (_, n) => (n < head ? n : n + extra));
	}

	/**
	 * Run a text, ids, or what `encode` returns.
	 *
	 * changes: [{gate, unit, from, to, value}], as POST /explain takes them: unit k or "all", steps from 0, none for all.
	 * Pads are not changed, but for h = 0 of one unit without steps, which ablates it from the first pad on. Beyond those
	 * of the server there is "h" at any value. pads: their number, if it shall be
	 * another one than that of the model; 0 is the model with a mask.
	 *
	 * Returns a Run: {T, units, ids, pads, i, f, g, o, c, h: (T * units), start: {h, c}, logits, probabilities, logit,
	 * probability, base: {logit, probability}, prefix: (T,), prefixLogits: (T + 1) * outputs, contribution(k, t)}. sequence:
	 * all ids; rows: those of them that the network reads.
	 */
	run(input, { changes = [], pads: count = null } = {}) {
		const every = typeof input === "string" ? this.encode(input).ids : (input.ids ?? input);
		const rows = this.readRows(every.length);
		const ids = rows.map((row) => every[row]);
		const ablated = changes.filter((one) => one.gate === "h" && one.value === 0 && one.from == null && one.unit !== "all");
		const pads = count ?? (this.info.padding === "pre" ? this.info.maxLength - ids.length : 0);
		const start = this.#startAfter(pads, ablated.map(({ unit }) => ({ gate: "o", unit, value: 0 })));
		const held = changes.map((one) => (ablated.includes(one) ? { gate: "o", unit: one.unit, value: 0 } : one));
		const run = { ids, rows, pads, changes, sequence: every, T: ids.length, units: this.units, start, ...empty(ids.length, this.units) };
		for (let t = 0; t < run.T; t += 1) this.#advance(run, t, ids[t], start, held);
		return Object.assign(run, this.#read(run));
	}

	/** The run of n pads from the state of zeros, without a text: {T, i, f, g, o, c, h}. */
	pads(n) {
		const { states, count } = this.#padRun(n, []);
		const found = empty(n, this.units);
		for (const name of GATES) {
			for (let t = 0; t < n; t += 1) found[name].set(row(states[name], Math.min(t, count - 1), this.units), t * this.units);
		}
		return { T: n, units: this.units, ...found };
	}

	#startAfter(pads, held) {
		if (!pads) return { h: new Float32Array(this.units), c: new Float32Array(this.units) };
		const { states, count } = this.#padRun(pads, held);
		const at = Math.min(pads, count) - 1;
		return { h: row(states.h, at, this.units), c: row(states.c, at, this.units) };
	}

	/** At least n pads, or as many as change the state: it converges. They are computed once. */
	#padRun(n, held) {
		const key = held.map(({ unit }) => unit).join();
		const most = Math.max(n, this.info.maxLength);
		const found = this.#pads.get(key) ?? { states: empty(most, this.units), count: 0, done: false };
		const zeros = { h: new Float32Array(this.units), c: new Float32Array(this.units) };
		for (; found.count < n && !found.done; found.count += 1) {
			this.#advance(found.states, found.count, 0, zeros, held);
			found.done = found.count > 0 && ["h", "c"].every((name) => row(found.states[name], found.count, this.units).every((x, k) => x === found.states[name][(found.count - 1) * this.units + k]));
		}
		if (this.#pads.size > 16) this.#pads.clear();
		this.#pads.set(key, found);
		return found;
	}

	/** What the input of an id adds to the preactivations: W_ih x + b, (4H,). */
	#project(id) {
		if (!this.#projected.has(id)) this.#projected.set(id, product(this.weightIh, this.embeddingOf(id), this.bias));
		return this.#projected.get(id);
	}

	/** Step t of a run, into its arrays. start: the state before step 0. held: the changes. */
	#advance(run, t, id, start, held) {
		const [H, W, x] = [this.units, this.weightHh, this.#project(id)];
		const { i, f, g, o, c, h } = run;
		const [h0, c0, before] = t ? [h, c, (t - 1) * H] : [start.h, start.c, 0];
		const isBinary = this.info.gate === "binary";
		const gate = (z) => (isBinary ? Number(z > 0) : sigmoid(z));
		const at = t * H;
		for (let k = 0; k < H; k += 1) {
			let [zi, zf, zg, zo] = [x[k], x[H + k], x[2 * H + k], x[3 * H + k]];
			const [ri, rf, rg, ro] = [k * H, (H + k) * H, (2 * H + k) * H, (3 * H + k) * H];
			for (let n = 0; n < H; n += 1) {
				const y = h0[before + n];
				zi += W[ri + n] * y;
				zf += W[rf + n] * y;
				zg += W[rg + n] * y;
				zo += W[ro + n] * y;
			}
			i[at + k] = gate(zi);
			f[at + k] = gate(zf);
			g[at + k] = Math.tanh(zg);
			o[at + k] = gate(zo);
		}
		const now = held.filter(({ from, to }) => from == null || (from <= t && t <= to));
		for (const one of now) if (one.gate !== "h") hold(run[one.gate], at, H, one);
		for (let k = 0; k < H; k += 1) c[at + k] = f[at + k] * c0[before + k] + i[at + k] * g[at + k];
		for (let k = 0; k < H; k += 1) h[at + k] = o[at + k] * Math.tanh(c[at + k]);
		for (const one of now) if (one.gate === "h") hold(h, at, H, one);
	}

	/** The logits after 0, 1, ... T steps, and what follows from them. */
	#read(run) {
		const { outputs } = this.info;
		const pooled = this.parts.map((part) => pool(run, part)); // ((T + 1) * H,) each
		const prefixLogits = new Float64Array((run.T + 1) * outputs);
		for (let t = 0; t <= run.T; t += 1) {
			const features = pooled.map((states) => states.subarray(t * run.units, (t + 1) * run.units));
			for (let n = 0; n < outputs; n += 1) prefixLogits[t * outputs + n] = this.#logit(features, n);
		}
		const after = (t) => prefixLogits.subarray(t * outputs, (t + 1) * outputs);
		const probability = (t) => this.probabilities(after(t)).at(outputs === 1 ? 1 : 0);
		const logits = after(run.T);
		return {
			prefixLogits,
			logits,
			logit: logits[0],
			probabilities: this.probabilities(logits),
			probability: probability(run.T),
			base: { logit: prefixLogits[0], probability: probability(0) },
			prefix: Float64Array.from({ length: run.T }, (_, t) => probability(t + 1)),
			/** How much unit k changes the score at step t. score: the weights of the logits in it. */
			contribution: (k, t, score = [1]) => sum(pooled.map((states, part) => this.unitWeight(k, part, score) * (states[(t + 1) * run.units + k] - states[t * run.units + k]))),
		};
	}

	#logit(features, n) {
		const { weight, shift } = this.info;
		let total = this.denseBias[n];
		features.forEach((states, part) => {
			const first = (n * this.parts.length + part) * this.units;
			for (let k = 0; k < this.units; k += 1) total += this.dense[first + k] * states[k];
		});
		return weight * total + shift[n];
	}

	/** The weight of unit k in the score: of the part of the pooling, and of the weights of the logits in the score. */
	unitWeight(k, part = 0, score = [1]) {
		const width = this.parts.length * this.units;
		return this.info.weight * sum(score.map((one, n) => one * this.dense[n * width + part * this.units + k]));
	}

	/** The probabilities of all labels, of logits (outputs,). */
	probabilities(logits) {
		if (this.info.outputs === 1) return [sigmoid(-logits[0]), sigmoid(logits[0])];
		const largest = Math.max(...logits);
		const powers = Array.from(logits, (z) => Math.exp(z - largest));
		return powers.map((one) => one / sum(powers));
	}

	/** The preactivations of unit k at step t of a run, by gate: the parts of the input, of h before it, and the bias. */
	preactivations(run, k, t) {
		const [H, x] = [this.units, this.embeddingOf(run.ids[t])];
		const h = t ? row(run.h, t - 1, H) : run.start.h;
		return Object.fromEntries(["i", "f", "g", "o"].map((gate, n) => {
			const at = n * H + k;
			return [gate, { x: dot(this.weightIh, at * x.length, x), h: dot(this.weightHh, at * H, h), bias: this.bias[at] }];
		}));
	}

	/** Scores (T,) of a run by a method of METHODS. With `baseValue`, a number of the array, they add up to the score. */
	attribution(run, method, score = [1]) {
		if (!METHODS.includes(method)) throw new Error(`there is no method ${method} here; there are ${METHODS.join(", ")}`);
		const value = (logits) => sum(score.map((one, n) => one * logits[n]));
		const after = (t) => value(run.prefixLogits.subarray(t * this.info.outputs));
		if (method === "prefix-difference") return Object.assign(Float64Array.from({ length: run.T }, (_, t) => after(t + 1) - after(t)), { baseValue: after(0) });
		if (method === "cell-decomposition") return this.#decompose(run, score);
		const without = (t) => value(this.run(run.sequence.filter((_, n) => n !== run.rows[t]), { changes: run.changes }).logits);
		const scores = Float64Array.from({ length: run.T }, (_, t) => after(run.T) - without(t));
		return Object.assign(scores, { baseValue: value(this.run(new Int32Array(0), { changes: run.changes }).logits) });
	}

	/**
	 * What each step wrote into the memory that the prediction still reads: the scores telescope over tanh of the memory so
	 * far, as gatewise/explain/attribution/cell_decomposition.py explains.
	 */
	#decompose(run, score) {
		const { T, units: H, f, o, c, start } = run;
		const scores = new Float64Array(T);
		let baseValue = sum(score.map((one, n) => one * (this.info.weight * this.denseBias[n] + this.info.shift[n])));
		/** Unit k is read after step r, with weight w. */
		const read = (k, r, w) => {
			let kept = 1; // the share of the memory after step t that is left after step r
			let above = Math.tanh(c[r * H + k]);
			for (let t = r; t >= 0; t -= 1) {
				kept *= f[t * H + k];
				const below = Math.tanh((t ? c[(t - 1) * H + k] : start.c[k]) * kept);
				scores[t] += w * o[r * H + k] * (above - below);
				above = below;
			}
			baseValue += w * o[r * H + k] * above;
		};
		for (let k = 0; k < H && T; k += 1) {
			this.parts.forEach((part, n) => {
				const w = this.unitWeight(k, n, score);
				if (part === "last") read(k, T - 1, w);
				else if (part === "max") read(k, largestAt(run, k), w);
				else for (let r = 0; r < T; r += 1) read(k, r, w / T);
			});
		}
		return Object.assign(scores, { baseValue });
	}
}

const empty = (T, units) => Object.fromEntries(GATES.map((name) => [name, new Float32Array(T * units)]));
const row = (values, t, units) => values.subarray(t * units, (t + 1) * units);

function hold(values, at, H, { unit, value }) {
	if (unit === "all" || unit == null) values.fill(value, at, at + H);
	else values[at + unit] = value;
}

function dot(matrix, first, vector) {
	let total = 0;
	for (let n = 0; n < vector.length; n += 1) total += matrix[first + n] * vector[n];
	return total;
}

const product = (matrix, vector, plus) => Float32Array.from(plus, (one, n) => one + dot(matrix, n * vector.length, vector));

/** The pooled state after 0, 1, ... T steps. */
function pool({ T, units, h, start }, part) {
	const out = new Float64Array((T + 1) * units);
	if (part === "last") {
		out.set(start.h);
		out.set(h, units);
		return out;
	}
	for (let t = 0; t < T; t += 1) {
		for (let k = 0; k < units; k += 1) {
			const [so, far] = [out[t * units + k], h[t * units + k]];
			out[(t + 1) * units + k] = part === "mean" ? so + (far - so) / (t + 1) : t ? Math.max(so, far) : far;
		}
	}
	return out;
}

/** The step at which h of unit k is largest, the first of equal ones. */
function largestAt({ T, units, h }, k) {
	let best = 0;
	for (let t = 1; t < T; t += 1) if (h[t * units + k] > h[best * units + k]) best = t;
	return best;
}
