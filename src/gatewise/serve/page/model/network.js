// The LSTM of a model, exactly as gatewise/network: embedding, LSTM layers of one direction or two, pooling and dense layers,
// with the gates and states of every step, and clamps. No DOM.

import { once } from "../once.js";
import { dot, product, rowOf, sigmoid, sum, zeros } from "./arrays.js";
import { damaged, float32 } from "./tensors.js";

export const GATES = ["i", "f", "g", "o", "c", "h"];
const SAME = 1e-7; // states that differ by less are equal
const SMALL = 1e-6; // two values of a hidden unit that are closer have the slope at their middle

const emptyRun = (T, units) => Object.fromEntries(GATES.map((name) => [name, new Float32Array(T * units)]));
const stateOfZeros = (units) => ({ h: new Float32Array(units), c: new Float32Array(units) });

/** The error function (Abramowitz & Stegun 7.1.26). */
function erf(x) {
	const t = 1 / (1 + 0.3275911 * Math.abs(x));
	const y =
		1 -
		((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * Math.exp(-x * x);
	return x < 0 ? -y : y;
}

/** By name: the value of x; a: the slope of leaky_relu below 0. */
const ACTIVATIONS = {
	linear: (x) => x,
	relu: (x) => Math.max(x, 0),
	leaky_relu: (x, a) => (x > 0 ? x : a * x),
	tanh: Math.tanh,
	sigmoid,
	hard_sigmoid: (x) => Math.max(0, Math.min(1, x / 6 + 0.5)),
	gelu: (x) => (x * (1 + erf(x / Math.SQRT2))) / 2,
	elu: (x) => (x > 0 ? x : Math.expm1(x)),
	selu: (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
	silu: (x) => x * sigmoid(x),
	softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
	softsign: (x) => x / (1 + Math.abs(x)),
};

export class Network {
	#projected = new Map(); // by id: what the input adds to the gates of each LSTM of the first layer
	#pads = new Map(); // by ablated units: the states after pads

	/** arch: gatewise/network/architecture.py; tensors: of a file. */
	constructor(arch, tensors) {
		this.arch = arch;
		/** The embeddings (V, D), as all matrices row by row; those of words that are not there yet are NaN. */
		this.embedding = new Float32Array(arch.vocab_size * arch.embedding_dim).fill(NaN);
		this.rows = 0; // how many are there
		this.addRows(tensors);
		let inputs = arch.embedding_dim || arch.vocab_size;
		this.layers = arch.layers.map(({ units, direction, merge }, layer) => {
			const lstms = (direction === "both" ? ["forward", "backward"] : [direction]).map((name, place) => {
				const tensor = (part, size) => float32(tensors, `lstm.${layer}.${name}.${part}`, size);
				const weights = {
					weightIh: tensor("weight_ih", 4 * units * inputs),
					weightHh: tensor("weight_hh", 4 * units * units),
					bias: tensor("bias", 4 * units),
				};
				return { layer, place, units, direction: name, isBackward: name === "backward", ...weights };
			});
			inputs = units * (merge === "concat" ? lstms.length : 1);
			return { units, merge, lstms, size: units * lstms.length, width: inputs };
		});
		this.top = this.layers.at(-1);
		/** The parts of the pooling: "last", or "mean", "max" or both. With pooling "none" a step has the state of the last one. */
		this.parts = arch.pooling === "none" ? ["last"] : arch.pooling.split("+");
		this.features = this.parts.length * this.top.width;
		inputs = this.features;
		this.dense = [...arch.hidden, { units: arch.outputs, activation: "linear" }].map(
			({ units, activation, negative_slope: slope }, n, all) => {
				const name = n < all.length - 1 ? `hidden.${n}` : "dense";
				const layer = {
					units,
					inputs,
					weight: float32(tensors, `${name}.weight`, units * inputs),
					bias: Float64Array.from(float32(tensors, `${name}.bias`, units)),
				};
				inputs = units;
				return { ...layer, activate: (x) => ACTIVATIONS[activation](x, slope) };
			},
		);
		/** Whether the units of the top layer have parts of their own in the features. */
		this.hasContributions =
			this.top.merge === "concat" || (this.top.merge !== "product" && !this.parts.includes("max"));
		this.isForward = this.layers.every(({ lstms }) => lstms.length === 1 && !lstms[0].isBackward);
	}

	/** Add embeddings: all of them, or those of the ids that the file names. */
	addRows(tensors) {
		const { embedding_dim: D, vocab_size: size } = this.arch;
		if (!D) return;
		const ids = tensors.get("embedding.weight.ids")?.values ?? Int32Array.from({ length: size }, (_, id) => id);
		if (ids.some((id) => id >= size)) throw damaged("embedding.weight.ids");
		const found = float32(tensors, "embedding.weight", ids.length * D);
		ids.forEach((id, n) => this.embedding.set(rowOf(found, n, D), id * D));
		this.rows += ids.length;
		this.#projected.clear();
	}

	/** What an LSTM of the first layer reads at a step: the embedding of an id, or the channels of a step of a series. */
	inputOf(item) {
		return typeof item === "number" ? rowOf(this.embedding, item, this.arch.embedding_dim) : item.read;
	}

	/** Which of `length` steps the network reads: all, or without those that are too many. */
	readRows(length) {
		const { max_length: most, truncation } = this.arch;
		const extra = most ? Math.max(0, length - most) : 0;
		const head = extra && truncation === "middle" ? Math.floor(most / 3) : 0;
		return Int32Array.from({ length: length - extra }, (_, n) => (n < head ? n : n + extra));
	}

	/** The runs of all LSTMs over the steps that the network reads, bottom layer first: {layer, direction, T, i, f, g, o, c, h:
	 * (T * units,), start: {h, c}, input(t): what the layer below gives}. Row t is step t, in both directions.
	 * changes: [{gate, unit, layer, from, to, value}], as POST /explain takes them: unit k or "all", steps from 0, none for all;
	 * beyond those of the server "h" at any value. Pads are not changed, but for h = 0 of one unit without steps, which ablates it
	 * from the first pad on. pads: steps of id 0 before the first one. */
	run(items, changes = [], pads = 0) {
		const isAblation = (one) => one.gate === "h" && one.value === 0 && one.from == null && one.unit !== "all";
		const held = changes.map((one) => (isAblation(one) ? { ...one, gate: "o" } : one));
		const before = pads ? this.#padStates(held.filter((_, n) => isAblation(changes[n]))) : [];
		const runs = [];
		let input = (t) => this.inputOf(items[t]);
		for (const { lstms, merge } of this.layers) {
			const made = lstms.map((lstm) =>
				this.#recur({
					lstm,
					items,
					T: items.length,
					start: this.#startAfter(before[lstm.layer], pads, lstm),
					input,
					held: this.#heldIn(lstm, held),
				}),
			);
			runs.push(...made);
			input = (t) => mergedAt({ runs: made, merge }, t);
		}
		return runs;
	}

	/** The state of an LSTM after so many of its pads. */
	#startAfter(states, pads, { units }) {
		if (!states) return stateOfZeros(units);
		const at = Math.min(pads, states.T) - 1;
		return { h: rowOf(states.h, at, units), c: rowOf(states.c, at, units) };
	}

	/** The memory c of the first layer after each of n pads: (n * H,). */
	pads(n) {
		const [{ c, T, units }] = this.#padStates([]);
		return Float32Array.from(
			{ length: n * units },
			(_, at) => c[Math.min(Math.floor(at / units), T - 1) * units + (at % units)],
		);
	}

	/** For each layer the run of pads, until it no longer changes. */
	#padStates(ablated) {
		return once(
			this.#pads,
			ablated.map(({ unit, layer }) => `${unit} ${layer}`).join(),
			() => {
				const runs = [];
				for (const {
					lstms: [lstm],
				} of this.layers) {
					const below = runs.at(-1);
					const input = below ? (t) => rowOf(below.h, Math.min(t, below.T - 1), below.units) : () => this.inputOf(0);
					const items = new Int32Array(this.arch.max_length);
					runs.push(
						this.#recur({
							lstm,
							items,
							T: items.length,
							start: stateOfZeros(lstm.units),
							input,
							held: this.#heldIn(lstm, ablated),
							until: below?.T ?? 1,
						}),
					);
				}
				return runs;
			},
			16,
		);
	}

	/** The changes of the gates of one LSTM, their units counted in it. */
	#heldIn({ layer, place, units }, changes) {
		const top = this.layers.length - 1;
		return changes.flatMap(({ layer: wanted, ...one }) => {
			const isAll = one.unit === "all" || one.unit == null;
			if ((wanted ?? (isAll ? layer : top)) !== layer || (!isAll && Math.floor(one.unit / units) !== place)) return [];
			return [{ ...one, unit: isAll ? null : one.unit % units }];
		});
	}

	/** Run an LSTM. until: stop where a step after that many changes nothing. */
	#recur(given) {
		const { lstm, T, until = null } = given;
		const { units: H } = lstm;
		const run = { ...given, ...lstm, ...emptyRun(T, H) };
		for (let n = 0; n < T; n += 1) {
			const t = lstm.isBackward ? T - 1 - n : n;
			advance(run, t, this.#project(run, t), this.arch.gate === "binary");
			const isSame =
				until !== null &&
				n >= until &&
				["h", "c"].every((name) => rowOf(run[name], t, H).every((x, k) => x === run[name][(t - 1) * H + k]));
			if (isSame) return { ...run, T: n + 1 };
		}
		return run;
	}

	/** What the input of a step adds to the preactivations: W_ih x + b, (4H,). Of an id it is computed once. */
	#project({ lstm, items, input }, t) {
		const id = items[t];
		if (lstm.layer || typeof id !== "number") return product(lstm.weightIh, input(t), lstm.bias);
		const key = `${id} ${lstm.place}`;
		return once(this.#projected, key, () => product(lstm.weightIh, input(t), lstm.bias), 2e4);
	}

	/** The preactivations of unit k of a run at step t, by gate: the parts of the input, of h before it, and the bias. */
	preactivations(run, k, t) {
		const [H, x, before] = [run.units, run.input(t), run.isBackward ? t + 1 : t - 1];
		const h = before >= 0 && before < run.T ? rowOf(run.h, before, H) : run.start.h;
		return Object.fromEntries(
			["i", "f", "g", "o"].map((gate, n) => {
				const at = n * H + k;
				return [gate, { x: dot(run.weightIh, at * x.length, x), h: dot(run.weightHh, at * H, h), bias: run.bias[at] }];
			}),
		);
	}

	/** The runs of the top layer. */
	topOf(runs) {
		return runs.slice(-this.top.lstms.length);
	}

	/** The logits (outputs,) of features. */
	head(features) {
		return this.dense.reduce((x, { weight, bias, activate }) => product(weight, x, bias).map(activate), features);
	}

	/** The features of a sequence of T steps, from the runs of the top layer. */
	#featuresOf(top) {
		const { merge } = this.top;
		const runs =
			merge === "concat" || this.parts.includes("last") || this.parts.includes("step") ? top : [mergedRun(top, merge)];
		const pooled = (part) =>
			mergedRow(
				runs.map((one) => pool(one, part).subarray(one.T * one.units)),
				merge,
			);
		return joined(this.parts.map(pooled));
	}

	/** The logits of each step, of a network that predicts each. */
	stepLogits(top) {
		return Array.from({ length: top[0].T }, (_, t) => this.head(mergedAt({ runs: top, merge: this.top.merge }, t)));
	}

	/** The logits of the whole sequence. */
	logits(top) {
		return this.head(this.#featuresOf(top));
	}

	/** The logits after 0, 1, ... T steps: a row each. */
	prefixLogits(top, items, changes, pads) {
		const [{ T, units }] = top;
		const isOneLayer = this.layers.length === 1 && this.top.merge === "concat" && !this.parts.includes("step");
		if (!this.isForward && !isOneLayer)
			return Array.from({ length: T + 1 }, (_, end) =>
				this.logits(this.topOf(this.run(items.slice(0, end), changes, pads))),
			);
		const pooled = top.map((one) =>
			one.isBackward ? this.#backwardPrefixes(one) : this.parts.map((part) => pool(one, part)),
		);
		const matrices = this.parts.flatMap((_, part) => pooled.map((one) => one[part]));
		return Array.from({ length: T + 1 }, (_, t) => this.head(joined(matrices.map((one) => rowOf(one, t, units)))));
	}

	/** The pooled states of a backward run over the first 0, 1, ... T steps. Each prefix is a run from its last step down, until
	 * its state is that of the whole sequence: an LSTM forgets where it began. */
	#backwardPrefixes(whole) {
		const { T, units: H } = whole;
		const head = this.parts.map((part) => pool({ ...whole, isBackward: false, start: stateOfZeros(H) }, part)); // of the steps before t
		const out = this.parts.map(() => zeros((T + 1) * H));
		const own = { ...whole, ...emptyRun(T, H) };
		for (let end = 1; end <= T; end += 1) {
			own.T = end;
			let from = end; // where the run has come to
			let isSame = false;
			while (from > 0 && !isSame) {
				from -= 1;
				advance(own, from, this.#project(own, from), this.arch.gate === "binary");
				isSame =
					end === T ||
					["h", "c"].every((name) =>
						rowOf(own[name], from, H).every((x, k) => Math.abs(x - whole[name][from * H + k]) < SAME),
					);
			}
			this.parts.forEach((part, n) => {
				for (let k = 0; k < H; k += 1) {
					let value =
						part === "mean"
							? head[n][from * H + k] * from
							: part === "last"
								? whole.h[k]
								: from
									? head[n][from * H + k]
									: -Infinity;
					for (let t = from; t < end && part !== "last"; t += 1) {
						const h = (end === T ? whole : own).h[t * H + k];
						value = part === "mean" ? value + h : Math.max(value, h);
					}
					out[n][end * H + k] = part === "mean" ? value / end : part === "last" && !isSame ? own.h[k] : value;
				}
			});
		}
		return out;
	}

	/** The weights of the units of the top layer in a score of the logits, between two pooled states [part][direction] (H,), in
	 * that form: gatewise/members/contributions.py. With hidden layers they are slopes. */
	unitWeights(score, start, end) {
		const { merge, units } = this.top;
		const share = merge === "mean" ? 0.5 : 1;
		const flat = (states) => joined(states.map((of) => mergedRow(of, merge)));
		const weights = this.#featureWeights(score, flat(start), flat(end));
		return start.map((of, part) =>
			of.map((_, place) => {
				const at = merge === "concat" ? part * of.length + place : part;
				return rowOf(weights, at, units).map((one) => share * one);
			}),
		);
	}

	#featureWeights(score, start, end) {
		let [low, high] = [start, end];
		const slopes = this.dense.map(({ weight, bias, activate }) => {
			const before = [low, high].map((x) => product(weight, x, bias));
			[low, high] = before.map((z) => z.map(activate));
			return before[0].map((z, k) => {
				const [rise, middle] = [before[1][k] - z, (z + before[1][k]) / 2];
				return Math.abs(rise) > SMALL
					? (high[k] - low[k]) / rise
					: (activate(middle + 1e-5) - activate(middle - 1e-5)) / 2e-5;
			});
		});
		return this.dense.reduceRight((found, { weight, inputs }, n) => {
			const out = zeros(inputs);
			found.forEach((one, k) => out.forEach((_, m) => (out[m] += one * slopes[n][k] * weight[k * inputs + m])));
			return out;
		}, Float64Array.from(score));
	}
}

/** Step t of a run of an LSTM, into its arrays, from what its input adds to the preactivations (4H,). */
export function advance(run, t, x, isBinary = false) {
	const { units: H, weightHh: W, isBackward, start, held, i, f, g, o, c, h } = run;
	const isFirst = t === (isBackward ? run.T - 1 : 0);
	const [h0, c0, before] = isFirst ? [start.h, start.c, 0] : [h, c, (isBackward ? t + 1 : t - 1) * H];
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

function hold(values, at, H, { unit, value }) {
	if (unit === null) values.fill(value, at, at + H);
	else values[at + unit] = value;
}

/** Rows side by side. */
function joined(rows) {
	const out = zeros(sum(rows.map((one) => one.length)));
	let at = 0;
	for (const one of rows) {
		out.set(one, at);
		at += one.length;
	}
	return out;
}

/** One row of a layer, from those of its directions. */
function mergedRow(rows, merge) {
	if (merge === "concat" || rows.length === 1) return joined(rows);
	const [a, b] = rows;
	return Float64Array.from(a, (x, k) => (merge === "product" ? x * b[k] : (x + b[k]) * (merge === "mean" ? 0.5 : 1)));
}

const mergedAt = ({ runs, merge }, t) =>
	mergedRow(
		runs.map((one) => rowOf(one.h, t, one.units)),
		merge,
	);

const mergedRun = (runs, merge) => ({
	...runs[0],
	isBackward: false,
	start: stateOfZeros(runs[0].units),
	h: Float64Array.from(Array.from({ length: runs[0].T }, (_, t) => [...mergedAt({ runs, merge }, t)]).flat()),
});

/** The pooled state of a run after it has read 0, 1, ... T steps, in its own order. */
export function pool({ T, units, h, start, isBackward }, part) {
	const out = new Float64Array((T + 1) * units);
	if (part === "last" || part === "step") out.set(start.h);
	for (let n = 0; n < T; n += 1) {
		const t = isBackward ? T - 1 - (part === "step" ? 0 : n) : n; // the output of the last step is what it reads first
		for (let k = 0; k < units; k += 1) {
			const [so, far] = [out[n * units + k], h[t * units + k]];
			out[(n + 1) * units + k] =
				part === "mean" ? so + (far - so) / (n + 1) : part === "max" && n ? Math.max(so, far) : far;
		}
	}
	return out;
}
