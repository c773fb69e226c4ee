// A model in plain JavaScript: an LSTM and the members next to it, with the gates and states of every step, clamps and
// attributions. No DOM: it runs in a page, in a worker and in Node. Its numbers are those of gatewise within 1e-5.
// gatewise/serve/lstm_file.py writes the file that it reads.

import { Convolutions } from "./convolutions.js";
import { createEncoding } from "./encodings.js";
import { GATES, Network, pool, sigmoid } from "./network.js";
import { Ngrams } from "./ngrams.js";
import { readSeries } from "./series.js";
import { readTensors } from "./tensors.js";

export const METHODS = ["prefix-difference", "cell-decomposition", "leave-one-out"];

const MEMBERS = { ngrams: Ngrams, convolutions: Convolutions };
const sum = (values) => values.reduce((total, one) => total + one, 0);

/** The model in a file `*.lstm`, an ArrayBuffer. Throws an Error for anything else. */
export function parseModel(bytes) {
	const { metadata, tensors } = readTensors(bytes);
	if (!metadata?.["gatewise.lstm"]) throw new Error("not a .lstm file: it has no description of a model");
	const description = JSON.parse(metadata["gatewise.lstm"]);
	if (description.format !== 2) throw new Error(`a .lstm file of format ${description.format}; this page reads format 2`);
	return new Model(description, tensors);
}

/** Give an object properties that are computed when they are first read. */
function addLazy(object, getters) {
	for (const [name, compute] of Object.entries(getters)) {
		const get = () => {
			const value = compute();
			Object.defineProperty(object, name, { value });
			return value;
		};
		Object.defineProperty(object, name, { configurable: true, enumerable: true, get });
	}
	return object;
}

class Model {
	constructor(description, tensors) {
		const { architecture: arch, preprocessor, members } = description;
		/** What lstm_file.py says of the model, and its numbers under the names of the page. */
		this.info = { ...description, units: arch.layers.at(-1).units, embeddingDim: arch.embedding_dim, vocabSize: arch.vocab_size, maxLength: arch.max_length };
		this.network = new Network(arch, tensors);
		this.units = this.info.units;
		const lines = (name) => new TextDecoder().decode(tensors.get(name)?.values).split("\n");
		if (arch.inputs === "tokens") Object.assign(this, createEncoding(preprocessor, lines("vocabulary"), lines("merges")));
		else this.encode = (series) => ({ words: [], ids: readSeries(series, preprocessor), offset: 0 });
		/** The weight of the LSTM, and the other members: {name, weight, member}. */
		this.info.weight = members.find(({ kind }) => kind === "lstm").weight;
		this.others = members.filter(({ kind }) => kind !== "lstm").map(({ kind, name, weight, prefix, ...entry }) => ({
			name, weight, member: new MEMBERS[kind](entry, tensors, prefix, arch.outputs),
		}));
		this.denseBias = this.network.dense.at(-1).bias;
	}

	/** How many embeddings are there, and more of them from a second file. */
	get rows() {
		return this.network.rows;
	}
	addRows(bytes) {
		this.network.addRows(readTensors(bytes).tensors);
	}

	/** The embedding of an id: (D,). */
	embeddingOf(id) {
		return this.network.inputOf(id);
	}

	/** Whether the embedding of an id is there. */
	has(id) {
		return !Number.isNaN(this.embeddingOf(id)[0]);
	}

	/** The states of the LSTM after each of n pads: {T, i, f, g, o, c, h}. */
	pads(n) {
		return this.network.pads(n);
	}

	/** The weight of unit k of a network without hidden layers in a score: of the part of the pooling. */
	unitWeight(k, part = 0, score = [1]) {
		const { weight, inputs } = this.network.dense.at(-1);
		return this.info.weight * sum(score.map((one, n) => one * weight[n * inputs + part * this.network.top.width + k]));
	}

	/**
	 * Run a text, ids, rows of a series, or what `encode` returns.
	 *
	 * changes: [{gate, unit, layer, from, to, value}], as POST /explain takes them: unit k or "all", steps from 0, none for all.
	 * Pads are not changed, but for h = 0 of one unit without steps, which ablates it from the first pad on. Beyond those
	 * of the server there is "h" at any value. pads: their number, if it shall be another one than that of the model; 0 is
	 * the model with a mask.
	 *
	 * Returns {sequence: all ids or rows; rows: those of them that the network reads; ids: these, T, pads, changes,
	 * lstms: of Network.run, logits, probabilities, lstmPrefix: rows of logits of the LSTM alone, prefixLogits: (T + 1) *
	 * outputs, stepLogits: of a tagger}, and of the first direction of the top layer units, start, i, f, g, o, c, h. For the
	 * lesson also {logit, probability, base: {logit, probability}, prefix: (T,), contribution(k, t)}.
	 */
	run(input, { changes = [], pads: count = null } = {}) {
		const { network, info } = this;
		const sequence = typeof input === "string" ? this.encode(input).ids : (input.ids ?? input);
		const rows = network.readRows(sequence.length);
		const ids = sequence.constructor.from(rows, (row) => sequence[row]);
		const pads = count ?? (info.architecture.padding === "pre" ? info.maxLength - ids.length : 0);
		const lstms = network.run(ids, changes, pads);
		const [first] = network.topOf(lstms);
		const shown = Object.fromEntries([...GATES, "units", "start"].map((name) => [name, first[name]]));
		const states = { sequence, rows, ids, T: ids.length, pads, changes, step: null, lstms, top: network.topOf(lstms), ...shown };
		const run = addLazy({ ...states, states }, {
			stepLogits: () => network.stepLogits(lstms).map((logits) => logits.map((z, n) => info.weight * z + info.shift[n])),
			lstmPrefix: () => network.prefixLogits(lstms, ids, changes, pads),
			logits: () => this.#sumOf(network.logits(lstms), this.others.map(({ member }) => member.logits(sequence))),
		});
		return this.#withPredictions(run);
	}

	/** A run of a tagger whose prediction is that of a step. Each direction has read what it reads before the step, and the step. */
	atStep(run, step) {
		const top = run.top.map((one) => heldAfter(one, step));
		const lstmPrefix = [this.network.head(new Float64Array(this.network.features)), ...this.network.stepLogits(run.lstms)];
		return this.#withPredictions({ ...run.states, step, top, lstmPrefix, stepLogits: run.stepLogits, logits: run.stepLogits[step] });
	}

	/** Logits of the LSTM and of the other members, with their weights and the shift: (outputs,). */
	#sumOf(own, others) {
		return Float64Array.from(own, (z, n) => this.info.weight * z + this.info.shift[n] + sum(this.others.map(({ weight }, m) => weight * others[m][n])));
	}

	#withPredictions(run) {
		const { info } = this;
		const K = info.outputs;
		const probability = (logits) => this.probabilities(logits).at(K === 1 ? 1 : 0);
		const after = (t) => run.prefixLogits.subarray(t * K, (t + 1) * K);
		return addLazy(run, {
			prefixLogits: () => {
				const others = this.others.map(({ member }) => member.prefixLogits(run.sequence));
				const place = (t) => (t ? run.rows[t - 1] + 1 : (run.rows[0] ?? 0)); // these members read all steps
				return Float64Array.from(run.lstmPrefix.flatMap((own, t) => [...this.#sumOf(own, others.map((one) => one.subarray(place(t) * K, (place(t) + 1) * K)))]));
			},
			probabilities: () => this.probabilities(run.logits),
			logit: () => run.logits[0],
			probability: () => probability(run.logits),
			base: () => ({ logit: run.prefixLogits[0], probability: probability(after(0)) }),
			prefix: () => Float64Array.from({ length: run.T }, (_, t) => probability(after(t + 1))),
			contribution: () => {
				const all = this.contributions(run, [1]);
				return (k, t) => all[t * this.network.top.size + k];
			},
		});
	}

	/** The probabilities of all labels, of logits (outputs,); null of a regression. */
	probabilities(logits) {
		if (this.info.task === "regression") return null;
		if (this.info.task === "multilabel") return Array.from(logits, sigmoid);
		if (this.info.outputs === 1) return [sigmoid(-logits[0]), sigmoid(logits[0])];
		const largest = Math.max(...logits);
		const powers = Array.from(logits, (z) => Math.exp(z - largest));
		return powers.map((one) => one / sum(powers));
	}

	/**
	 * How much each unit of the top layer changes the score at each step: (T * units of all directions,); null where they have no
	 * part of their own. score: the weights of the logits in it.
	 */
	contributions(run, score) {
		const { network, info } = this;
		if (!network.hasContributions || (info.architecture.pooling === "none" && run.step === null)) return null;
		const { units: H, size } = network.top;
		const pooled = network.parts.map((part) => run.top.map((one) => pool(one, part)));
		const at = (t) => pooled.map((of) => of.map((one) => one.subarray(t * H, (t + 1) * H)));
		const weights = network.unitWeights(score, at(0), at(run.T));
		const out = new Float64Array(run.T * size);
		run.top.forEach((one, place) => pooled.forEach((of, part) => {
			for (let n = 0; n < run.T; n += 1) {
				const t = one.isBackward ? run.T - 1 - n : n;
				for (let k = 0; k < H; k += 1) out[t * size + place * H + k] += info.weight * weights[part][place][k] * (of[place][(n + 1) * H + k] - of[place][n * H + k]);
			}
		}));
		return out;
	}

	/**
	 * Scores (T,) of a run by a method of METHODS: {scores, baseValue, parts}, which add up to the score where the method says
	 * so. parts: of each member, {scores, truncatedPart}.
	 */
	attribution(run, method, score = [1]) {
		if (!METHODS.includes(method)) throw new Error(`there is no method ${method} here; there are ${METHODS.join(", ")}`);
		const { info, others } = this;
		const K = info.outputs;
		const value = (logits) => sum(score.map((one, n) => one * logits[n]));
		const empty = run.sequence.slice(0, 0);
		const own = { "prefix-difference": () => this.#prefixDifferences(run, score), "cell-decomposition": () => this.#decompose(run, score), "leave-one-out": () => this.#leaveOneOut(run, score) }[method]();
		const parts = [{ scores: own.scores, truncatedPart: 0 }];
		let baseValue = own.baseValue + value(info.shift);
		for (const { member, weight } of others) {
			let every = null; // the part of each step of the whole sequence
			if (method === "leave-one-out") {
				const whole = value(member.logits(run.sequence));
				every = new Float64Array(run.sequence.length);
				for (const row of run.rows) every[row] = whole - value(member.logits(run.sequence.filter((_, n) => n !== row)));
			} else {
				const found = method === "prefix-difference" ? differences(member.prefixLogits(run.sequence), K) : member.attribution(run.sequence);
				every = Float64Array.from({ length: run.sequence.length }, (_, n) => value(found.subarray(n * K, (n + 1) * K)));
			}
			const scores = Float64Array.from(run.rows, (row) => weight * every[row]);
			parts.push({ scores, truncatedPart: weight * sum(every) - sum(scores) });
			baseValue += weight * value(member.logits(empty));
		}
		return { scores: own.scores.map((_, t) => sum(parts.map((part) => part.scores[t]))), baseValue, parts };
	}

	#prefixDifferences(run, score) {
		const value = (logits) => this.info.weight * sum(score.map((one, n) => one * logits[n]));
		const prefixes = run.lstmPrefix.map(value);
		if (run.step === null) return { scores: Float64Array.from({ length: run.T }, (_, t) => prefixes[t + 1] - prefixes[t]), baseValue: prefixes[0] };
		const [all, { size }] = [this.contributions(run, score), this.network.top];
		return { scores: Float64Array.from({ length: run.T }, (_, t) => sum(all.subarray(t * size, (t + 1) * size))), baseValue: prefixes[0] };
	}

	#leaveOneOut(run, score) {
		const { network, info } = this;
		const value = (logits) => info.weight * sum(score.map((one, n) => one * logits[n]));
		const logitsOf = (sequence) => {
			const ids = sequence.constructor.from(network.readRows(sequence.length), (row) => sequence[row]);
			const pads = info.architecture.padding === "pre" ? info.maxLength - ids.length : 0;
			const lstms = network.run(ids, run.changes, pads);
			return run.step === null ? network.logits(lstms) : network.stepLogits(lstms)[run.step];
		};
		// The prediction of a step of a tagger goes with the step, whose place must stay: there it is replaced.
		const nothing = info.architecture.inputs === "tokens" ? (info.unknown ?? 0) : new Float32Array(run.sequence[0]?.length);
		const edited = (wanted) => (run.step === null ? run.sequence.filter((_, n) => !wanted.includes(n)) : run.sequence.map((one, n) => (wanted.includes(n) ? nothing : one)));
		const whole = value(logitsOf(run.sequence));
		return { scores: Float64Array.from(run.rows, (row) => whole - value(logitsOf(edited([row])))), baseValue: value(logitsOf(edited([...run.sequence.keys()]))) };
	}

	/**
	 * What each step wrote into the memory that the prediction still reads: the scores telescope over tanh of the memory so
	 * far, as gatewise/explain/attribution/cell_decomposition.py explains.
	 */
	#decompose(run, score) {
		const { network, info } = this;
		const { T } = run;
		const H = this.units;
		const pooled = network.parts.map((part) => run.top.map((one) => pool(one, part).subarray(T * H)));
		const weights = network.unitWeights(score, pooled.map((of) => of.map(() => new Float64Array(H))), pooled);
		const scores = new Float64Array(T);
		const nothing = network.head(new Float64Array(network.features));
		let baseValue = info.weight * sum(score.map((one, n) => one * nothing[n]));
		run.top.forEach((one, place) => {
			const { f, o, c, h, start } = one;
			const at = (n) => (one.isBackward ? T - 1 - n : n); // of the step that is read as number n
			/** Unit k is read after step number r, with weight w. */
			const read = (k, r, w) => {
				let kept = 1; // the share of the memory after step n that is left after step r
				let above = Math.tanh(c[at(r) * H + k]);
				for (let n = r; n >= 0; n -= 1) {
					kept *= f[at(n) * H + k];
					const below = Math.tanh((n ? c[at(n - 1) * H + k] : start.c[k]) * kept);
					scores[at(n)] += w * o[at(r) * H + k] * (above - below);
					above = below;
				}
				baseValue += w * o[at(r) * H + k] * above;
			};
			for (let k = 0; k < H && T; k += 1) {
				network.parts.forEach((part, n) => {
					const w = info.weight * weights[n][place][k];
					if (part === "mean") for (let r = 0; r < T; r += 1) read(k, r, w / T);
					else read(k, part === "max" ? largestAt(h, T, H, k, at) : part === "step" && one.isBackward ? 0 : T - 1, w);
				});
			}
		});
		return { scores, baseValue };
	}
}

/** The change of each row of K numbers from the one before it. */
const differences = (rows, K) => rows.slice(K).map((x, n) => x - rows[n]);

/** A run that reads nothing after a step of the sequence: it keeps its memory and its output. */
function heldAfter(run, step) {
	const held = { ...run };
	const H = run.units;
	for (const name of GATES) {
		held[name] = run[name].slice();
		for (let t = run.isBackward ? 0 : step + 1; t < (run.isBackward ? step : run.T); t += 1) {
			for (let k = 0; k < H; k += 1) held[name][t * H + k] = { i: 0, f: 1, g: 0 }[name] ?? run[name][step * H + k];
		}
	}
	return held;
}

/** The number of the step at which h of unit k is largest, the first of equal ones. */
function largestAt(h, T, H, k, placeOf) {
	let best = 0;
	for (let n = 1; n < T; n += 1) if (h[placeOf(n) * H + k] > h[placeOf(best) * H + k]) best = n;
	return best;
}
