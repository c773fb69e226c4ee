// A model in plain JavaScript: the sum of an LSTM and of other members, with the gates and states of every step, clamps and
// attributions. No DOM: it runs in a page, in a worker and in Node. Its numbers are those of gatewise within 1e-5.
// gatewise/serve/lstm_file.py writes the file that it reads.

import { once } from "../once.js";
import { addTo, rowOf, sigmoid, sum, zeros } from "./arrays.js";
import { Convolutions } from "./convolutions.js";
import { createEncoding } from "./encodings.js";
import { GATES, Network, pool } from "./network.js";
import { Ngrams } from "./ngrams.js";
import { readSeries } from "./series.js";
import { readTensors } from "./tensors.js";

export const METHODS = ["prefix-difference", "cell-decomposition", "leave-one-out"];

const MEMBERS = { ngrams: Ngrams, convolutions: Convolutions };

/** The model in a file `*.lstm`, an ArrayBuffer. Throws an Error for anything else. */
export function parseModel(bytes) {
	const { metadata, tensors } = readTensors(bytes);
	if (!metadata?.["gatewise.lstm"]) throw new Error("not a .lstm file: it has no description of a model");
	const description = JSON.parse(metadata["gatewise.lstm"]);
	if (description.format !== 2)
		throw new Error(`a .lstm file of format ${description.format}; this page reads format 2`);
	return new Model(description, tensors);
}

/** Give an object properties that are computed when they are first read. */
function addLazy(object, getters) {
	const values = new Map();
	for (const [name, compute] of Object.entries(getters)) {
		if (!(name in object)) Object.defineProperty(object, name, { get: () => once(values, name, compute) });
	}
	return object;
}

class Model {
	constructor(description, tensors) {
		const { architecture: arch, preprocessor, members } = description;
		const weight = members.find(({ kind }) => kind === "lstm").weight; // of the LSTM
		/** What lstm_file.py says of the model, and its numbers under the names of the page. */
		this.info = {
			...description,
			weight,
			embeddingDim: arch.embedding_dim,
			vocabSize: arch.vocab_size,
			maxLength: arch.max_length,
		};
		this.network = new Network(arch, tensors);
		this.units = this.network.top.units;
		const lines = (name) => new TextDecoder().decode(tensors.get(name)?.values).split("\n");
		if (arch.inputs === "tokens")
			Object.assign(this, createEncoding(preprocessor, lines("vocabulary"), lines("merges")));
		else this.encode = (series) => ({ ids: readSeries(series, preprocessor) });
		const others = members.filter(({ kind }) => kind !== "lstm");
		this.others = others.map(({ kind, weight, prefix, ...entry }) => ({
			weight,
			member: new MEMBERS[kind](entry, tensors, prefix, arch.outputs),
		}));
	}

	/** Run a text, ids, rows of a series, or what `encode` returns. changes: of Network.run. pads: their number, if it shall be
	 * another one than that of the model; 0 is the model with a mask.
	 * Returns {sequence: all ids or rows; rows: those of them that the network reads; ids: these, T, pads, changes,
	 * lstms: of Network.run, top: those of the top layer, logits, probabilities, prefixLogits: a row for 0, 1, ... T steps,
	 * ownPrefix: those of the LSTM alone, stepLogits: of a tagger}, and of the first direction of the top layer units, start, i,
	 * f, g, o, c, h. For the lesson also {logit, probability, base: {logit, probability}, prefix: (T,), contribution(k, t)}. */
	run(input, { changes = [], pads: count = null } = {}) {
		const { network, info, others } = this;
		const sequence = typeof input === "string" ? this.encode(input).ids : (input.ids ?? input);
		const rows = network.readRows(sequence.length);
		const ids = sequence.constructor.from(rows, (row) => sequence[row]);
		const pads = count ?? (info.architecture.padding === "pre" ? info.maxLength - ids.length : 0);
		const lstms = network.run(ids, changes, pads);
		const top = network.topOf(lstms);
		const shown = Object.fromEntries([...GATES, "units", "start"].map((name) => [name, top[0][name]]));
		return this.#withPredictions(
			{ sequence, rows, ids, T: ids.length, pads, changes, step: null, lstms, top, ...shown },
			{
				own: () => network.logits(top),
				ownSteps: () => network.stepLogits(top),
				ownPrefix: () => network.prefixLogits(top, ids, changes, pads),
				logits: (run) =>
					this.#sumOf(
						run.own,
						others.map(({ member }) => member.logits(sequence)),
					),
			},
		);
	}

	/** A run of a tagger whose prediction is that of a step. Each direction has read what it reads before the step, and the step. */
	atStep(run, step) {
		const ownPrefix = [this.network.head(zeros(this.network.features)), ...run.ownSteps];
		const { ownSteps, stepLogits } = run;
		return this.#withPredictions({
			...run,
			step,
			top: run.top.map((one) => heldAfter(one, step)),
			own: ownSteps[step],
			ownPrefix,
			ownSteps,
			logits: stepLogits[step],
		});
	}

	#withPredictions(run, own = {}) {
		const probability = (logits) => this.probabilities(logits).at(logits.length === 1 ? 1 : 0);
		return addLazy(run, {
			...Object.fromEntries(Object.entries(own).map(([name, compute]) => [name, () => compute(run)])),
			stepLogits: () => run.ownSteps.map((logits) => this.#sumOf(logits, [])),
			prefixLogits: () => {
				const found = this.others.map(({ member }) => member.prefixLogits(run.sequence));
				const place = (t) => (t ? run.rows[t - 1] + 1 : (run.rows[0] ?? 0)); // these members read all steps
				return run.ownPrefix.map((logits, t) =>
					this.#sumOf(
						logits,
						found.map((one) => one[place(t)]),
					),
				);
			},
			probabilities: () => this.probabilities(run.logits),
			logit: () => run.logits[0],
			probability: () => probability(run.logits),
			base: () => ({ logit: run.prefixLogits[0][0], probability: probability(run.prefixLogits[0]) }),
			prefix: () => Float64Array.from(run.prefixLogits.slice(1), probability),
			contribution: () => {
				const all = this.contributions(run, [1]);
				return (k, t) => all[t * this.network.top.size + k];
			},
		});
	}

	/** Logits of the LSTM and of the other members, with their weights and the shift: (outputs,). */
	#sumOf(own, others) {
		const total = addTo(Float64Array.from(this.info.shift), own, this.info.weight);
		return others.reduce((so, logits, n) => addTo(so, logits, this.others[n].weight), total);
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

	/** How much each unit of the top layer changes the score at each step: (T * units of all directions,); null where they have no
	 * part of their own. score: the weights of the logits in it; weight: of the LSTM. */
	contributions(run, score, weight = this.info.weight) {
		const { network } = this;
		if (!network.hasContributions) return null;
		const { units: H, size } = network.top;
		const pooled = network.parts.map((part) => run.top.map((one) => pool(one, part)));
		const at = (t) => pooled.map((of) => of.map((one) => rowOf(one, t, H)));
		const weights = network.unitWeights(score, at(0), at(run.T));
		const out = zeros(run.T * size);
		run.top.forEach((one, place) =>
			pooled.forEach((of, part) => {
				for (let n = 0; n < run.T; n += 1) {
					const at = orderOf(one)(n) * size + place * H;
					for (let k = 0; k < H; k += 1)
						out[at + k] += weight * weights[part][place][k] * (of[place][(n + 1) * H + k] - of[place][n * H + k]);
				}
			}),
		);
		return out;
	}

	/** Scores (T,) of a run by a method of METHODS: {scores, baseValue, parts}. parts: {scores, truncatedPart} of each member,
	 * the LSTM first; truncatedPart: of the steps that the LSTM does not read. */
	attribution(run, method, score = [1]) {
		const value = (logits) => sum(score.map((one, n) => one * logits[n]));
		const without = () => Array.from(run.rows, (row) => this.#edited(run, (n) => n === row));
		const [nothing, edited] = [this.#edited(run, () => true), method === "leave-one-out" ? without() : null];
		const own = {
			"prefix-difference": () => this.#prefixDifferences(run, score, value),
			"cell-decomposition": () => this.#decompose(run, score, value),
			"leave-one-out": () => ({
				scores: edited.map((one) => value(run.own) - value(one.own)),
				baseValue: value(nothing.own),
			}),
		}[method]();
		const parts = [{ scores: Float64Array.from(own.scores, (x) => this.info.weight * x), truncatedPart: 0 }];
		let baseValue = this.info.weight * own.baseValue + value(this.info.shift);
		for (const { member, weight } of this.others) {
			const [whole, ofMember] = [value(member.logits(run.sequence)), (one) => value(member.logits(one.sequence))];
			const every = {
				"prefix-difference": () =>
					member
						.prefixLogits(run.sequence)
						.map(value)
						.map((x, t, all) => all[t + 1] - x)
						.slice(0, -1),
				"cell-decomposition": () => member.attribution(run.sequence).map(value),
				"leave-one-out": () => edited.map((one) => whole - ofMember(one)),
			}[method]();
			const scores =
				method === "leave-one-out" ? every.map((x) => weight * x) : Array.from(run.rows, (row) => weight * every[row]);
			parts.push({ scores, truncatedPart: weight * sum(every) - sum(scores) });
			baseValue += weight * ofMember(nothing);
		}
		return { scores: parts[0].scores.map((_, t) => sum(parts.map((part) => part.scores[t]))), baseValue, parts };
	}

	/** The run without some steps. The prediction of a step of a tagger goes with the step, whose place must stay: it is replaced. */
	#edited({ sequence, changes, step }, isRemoved) {
		if (step === null)
			return this.run(
				sequence.filter((_, n) => !isRemoved(n)),
				{ changes },
			);
		const isText = this.info.architecture.inputs === "tokens";
		const nothing = isText ? (this.info.unknown ?? 0) : { read: new Float32Array(sequence[0].read.length) };
		return this.atStep(
			this.run(
				sequence.map((one, n) => (isRemoved(n) ? nothing : one)),
				{ changes },
			),
			step,
		);
	}

	#prefixDifferences(run, score, value) {
		const prefixes = run.ownPrefix.map(value);
		const size = this.network.top.size;
		const all = run.step === null ? null : this.contributions(run, score, 1);
		const change = (t) => (all ? sum(rowOf(all, t, size)) : prefixes[t + 1] - prefixes[t]);
		return { scores: Array.from({ length: run.T }, (_, t) => change(t)), baseValue: prefixes[0] };
	}

	/** What each step wrote into the memory that the prediction still reads: the scores telescope over tanh of the memory so
	 * far, as gatewise/explain/attribution/cell_decomposition.py explains. */
	#decompose(run, score, value) {
		const { network, units: H } = this;
		const { T } = run;
		const pooled = network.parts.map((part) => run.top.map((one) => pool(one, part).subarray(T * H)));
		const weights = network.unitWeights(
			score,
			pooled.map((of) => of.map(() => zeros(H))),
			pooled,
		);
		const scores = zeros(T);
		let baseValue = value(network.head(zeros(network.features)));
		run.top.forEach((one, place) => {
			const { f, o, c, h, start, isBackward } = one;
			const at = orderOf(one);
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
				let top = 0; // the number of the step at which h is largest, the first of equal ones
				for (let n = 1; n < T; n += 1) if (h[at(n) * H + k] > h[at(top) * H + k]) top = n;
				network.parts.forEach((part, n) => {
					const w = weights[n][place][k];
					if (part === "mean") for (let r = 0; r < T; r += 1) read(k, r, w / T);
					else read(k, part === "max" ? top : part === "step" && isBackward ? 0 : T - 1, w);
				});
			}
		});
		return { scores, baseValue };
	}
}

/** The step that a run reads as number n, and the number of step n. */
const orderOf =
	({ T, isBackward }) =>
	(n) =>
		isBackward ? T - 1 - n : n;

/** A run that reads nothing after a step of the sequence: it keeps its memory and its output. */
function heldAfter(run, step) {
	const [held, H] = [{ ...run }, run.units];
	for (const name of GATES) {
		held[name] = run[name].map((x, at) => {
			const t = Math.floor(at / H);
			const isLater = run.isBackward ? t < step : t > step;
			return isLater ? ({ i: 0, f: 1, g: 0 }[name] ?? run[name][step * H + (at % H)]) : x;
		});
	}
	return held;
}
