// The answers of POST /explain, computed from a model in the page. Pure: no DOM. gatewise/serve/view/view.py and
// gatewise/explain/serialize.py describe the fields; what a model says in words comes from the exported `view`.

import { METHODS } from "./lstm.js";

const MAX_LEAVE_ONE_OUT = 300; // steps
const LEAST_CHANGE = 0.3; // of c, of the frame that the page opens with
const DOUBT = 0.05; // from the threshold: undecided
const NAMES = { i: "input gate", f: "forget gate", g: "candidate", o: "output gate" };

const sumOf = (values) => values.reduce((total, one) => total + one, 0);
const descending = (values) => Array.from(values.keys()).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);

/**
 * view: what is exported with the model: {model, unknown_words, short, methods: {name: {note, base_value_note, faithfulness,
 * faithfulness_note}}, unmeasured, default_method, ...}. Returns explain(request), which throws an Error with one line.
 */
export function createExplain(model, view) {
	const { labels, thresholds } = view.model;
	const isBinary = model.info.outputs === 1;

	/** The weights of the logits in the explained score, as gatewise/explain/score.py. */
	function scoreOf(run, { target, against }) {
		const place = (name) => {
			const found = name == null ? null : labels.indexOf(name);
			if (found === -1) throw new Error(`there is no class ${name}`);
			return found;
		};
		const [wanted, other] = [place(target), place(against)];
		if (isBinary) {
			const chosen = other !== null ? 1 - other : (wanted ?? 1);
			return { weights: [chosen ? 1 : -1], target: chosen, against: null, name: `logit of ${labels[chosen]}`, note: "" };
		}
		const ranked = Array.from(labels.keys()).sort((a, b) => run.logits[b] - run.logits[a]);
		let chosen = wanted ?? decided(run);
		if (wanted === null && chosen === other) chosen = ranked.find((k) => k !== other);
		const weights = labels.map((_, k) => (k === chosen ? 1 : 0) - (other === null ? 1 / labels.length : Number(k === other)));
		const note = other === null ? "minus the mean of all logits" : `minus the logit of ${labels[other]}`;
		return { weights, target: chosen, against: other, name: `logit of ${labels[chosen]}`, note };
	}

	/** The predicted class: its index. */
	function decided({ probabilities }) {
		if (isBinary) return Number(probabilities[1] >= (thresholds[0] ?? 0.5));
		const ratios = probabilities.map((p, k) => p / Math.max(thresholds[k] ?? 1, 1e-300));
		return ratios.indexOf(Math.max(...ratios));
	}

	const value = (score, logits) => sumOf(score.weights.map((one, n) => one * logits[n]));

	function predictionOf(run, score) {
		const label = decided(run);
		return {
			label: labels[label], labels: null, target: labels[score.target], against: score.against === null ? null : labels[score.against],
			favours: label === score.target, probability: run.probabilities[score.target], probabilities: [...run.probabilities],
			numbers: null, score: value(score, run.logits), score_name: score.name, score_note: score.note, step: null, steps: null,
			calibrated: view.calibrated, undecided: isBinary && Math.abs(run.probabilities[1] - (thresholds[0] ?? 0.5)) <= DOUBT,
		};
	}

	function prefixOf(run, score) {
		const rows = Array.from({ length: run.T + 1 }, (_, t) => run.prefixLogits.subarray(t * model.info.outputs, (t + 1) * model.info.outputs));
		return { stride: 1, probability: rows.map((one) => model.probabilities(one)[score.target]), score: rows.map((one) => value(score, one)) };
	}

	function textOf(run, { words, offset }) {
		const read = new Set(run.rows);
		const spans = [...Array.from({ length: offset }, () => [0, 0]), ...words.map(({ start, end }) => [start, end])];
		const kept = Array.from(run.rows, (place) => spans[place]);
		const names = {};
		kept.forEach(([start, end], n) => { if (start === end) names[n] = model.wordOf(run.ids[n]); });
		return {
			steps: spans.length, kept: run.T, pads: run.pads,
			tokens: {
				start: kept.map(([start]) => start), end: kept.map(([, end]) => end), id: [...run.ids],
				unknown: Array.from(run.ids.keys()).filter((n) => run.ids[n] === view.unknown), truncated: spans.filter((_, place) => !read.has(place)), names,
			},
		};
	}

	function attributionOf(run, score, asked, isChanged) {
		const all = METHODS.filter((name) => name !== "leave-one-out" || run.T <= MAX_LEAVE_ONE_OUT);
		const method = asked ?? (all.includes(view.default_method) ? view.default_method : all[0]);
		if (!all.includes(method)) throw new Error(`${method} is not computed in the page, or takes too long for this text.`);
		const scores = model.attribution(run, method, score.weights);
		const { note, base_value_note, faithfulness, faithfulness_note } = view.methods[method];
		const total = value(score, run.logits);
		const residual = total - scores.baseValue - sumOf(scores);
		return {
			method, methods: all, note, base_value_note, faithfulness: isChanged ? null : faithfulness, faithfulness_note: isChanged ? view.unmeasured : faithfulness_note,
			target: labels[score.target], against: score.against === null ? null : labels[score.against], scores: [...scores], base_value: scores.baseValue,
			score: total, score_name: score.name, residual, adds_up: method !== "leave-one-out", members: view.members, lstm_note: "",
			default: method === view.attribution_method,
		};
	}

	/** The largest change of c of each unit in one step, its step, the effects, and the frame to open with. */
	function unitsOf(run, score, { words, offset }) {
		const [H, T] = [run.units, run.T];
		const [effect, jump, at] = [new Array(H).fill(0), new Array(H).fill(0), new Array(H).fill(0)];
		let [opening, bestStep] = [null, null];
		for (let t = 0; t < T; t += 1) {
			const word = words[run.rows[t] - offset];
			const isWord = word !== undefined && /[\p{L}\p{N}]/u.test(word.text);
			let [total, unit, bestUnit] = [0, null, null];
			for (let k = 0; k < H; k += 1) {
				const contribution = run.contribution(k, t, score.weights);
				const change = run.c[t * H + k] - (t ? run.c[(t - 1) * H + k] : run.start.c[k]);
				effect[k] += contribution;
				total += contribution;
				if (Math.abs(change) > jump[k]) [jump[k], at[k]] = [Math.abs(change), t];
				const rank = [Number(contribution !== 0 && Math.abs(change) >= LEAST_CHANGE), Math.abs(contribution)];
				if (!bestUnit || compare(rank, bestUnit) > 0) [bestUnit, unit] = [rank, { step: t, unit: k, contribution, memory_change: change }];
			}
			const rank = [Number(isWord), Math.abs(total)];
			if (!bestStep || compare(rank, bestStep) > 0) [bestStep, opening] = [rank, unit];
		}
		const sizes = Float64Array.from(run.c, Math.abs).sort();
		const first = Array.from(at.keys()).sort((a, b) => at[a] - at[b] || a - b);
		return { layer: 0, effect, jump, at, order: { effect: descending(effect), jump: descending(jump), first }, c_p99: quantile(sizes, 0.99) || 1, opening };
	}

	function unitOf(run, score, k) {
		const [H, steps] = [run.units, Array.from({ length: run.T }, (_, t) => t)];
		const column = (name) => steps.map((t) => run[name][t * H + k]);
		const parts = steps.map((t) => model.preactivations(run, k, t));
		const preactivations = Object.fromEntries(["i", "f", "g", "o"].map((gate) => [gate, { x: parts.map((one) => one[gate].x), h: parts.map((one) => one[gate].h), bias: model.bias["ifgo".indexOf(gate) * H + k] }]));
		const life = Math.log(2) / (-sumOf(column("f").map(Math.log)) / run.T);
		return {
			k, layer: 0, direction: "forward", ...Object.fromEntries([..."ifgoch"].map((name) => [name, column(name)])), h0: run.start.h[k], c0: run.start.c[k],
			preactivations, half_life: Number.isFinite(life) ? life : null, contribution: steps.map((t) => run.contribution(k, t, score.weights)),
		};
	}

	/** Warnings about a text that is unlike the training texts, as gatewise/serve/view/notices.py. */
	function warningsOf(run, encoded) {
		const found = [];
		const words = encoded.words.filter(({ text }, n) => /\p{L}/u.test(text) && run.rows.includes(n + encoded.offset));
		const missing = words.filter(({ unknown }) => unknown).length;
		const isCommon = ({ id }) => view.frequent && id >= view.frequent[0] && id < view.frequent[1];
		const common = words.filter(isCommon).length;
		const foreign = view.frequent ? words.filter((word) => !isCommon(word) && view.foreign.includes(word.text.toLowerCase())).length : 0;
		if (foreign >= 2 && foreign > common) found.push({ code: "language", message: "The text seems to be in another language than the training texts. The prediction means little." });
		else if (missing > words.length / 2) found.push({ code: "unknown_words", message: "Most words are not in the vocabulary. The prediction means little." });
		if (run.T * 10 < view.median_length) found.push({ code: "short", message: `Short text (${run.T} words and marks; training median ${view.median_length}): less reliable.` });
		if (run.T < encoded.ids.length) {
			const head = run.rows.findIndex((place, n) => place !== n);
			const ends = [["first", head], ["last", run.T - head]].filter(([, n]) => n).map(([name, n]) => `the ${name} ${n.toLocaleString("en")}`);
			const message = `Only ${run.T.toLocaleString("en")} of ${encoded.ids.length.toLocaleString("en")} words are read: ${ends.join(" and ")}.`;
			found.push({ code: "truncated", at: run.T, message });
		}
		return found;
	}

	return function explain({ text, include = ["prediction"], changes = [], method, ...asked }) {
		if (!text.trim()) throw new Error("the text is empty");
		const encoded = model.encode(text);
		if (encoded.words.length >= view.model.max_steps) throw new Error(`the page shows at most ${view.model.max_steps.toLocaleString("en")} words`);
		for (const one of changes) check(one, model);
		const before = model.run(encoded);
		const run = changes.length ? model.run(encoded, { changes }) : before;
		const score = scoreOf(before, asked);
		const answer = { api: 1, id: JSON.stringify([text, changes]), model: view.model, text: textOf(run, encoded), warnings: warningsOf(run, encoded) };
		const has = (...names) => names.some((name) => include.includes(name));
		if (has("prediction")) answer.prediction = predictionOf(run, score);
		if (has("prefix", "prefix:all")) answer.prefix = prefixOf(run, score);
		if (has("attribution")) answer.attribution = attributionOf(run, score, method, changes.length > 0);
		const wanted = include.find((part) => part.startsWith("unit:"))?.slice(5);
		const units = has("units") || ["top", "opening"].includes(wanted) ? unitsOf(run, score, encoded) : null;
		if (has("units")) answer.units = units;
		if (wanted) answer.unit = unitOf(run, score, wanted === "top" ? units.order.effect[0] : wanted === "opening" ? units.opening.unit : Number(wanted));
		const heatmaps = include.filter((part) => part.startsWith("heatmap:")).map((part) => heatmapOf(run, part.slice(8)));
		if (heatmaps.length) answer.heatmaps = heatmaps;
		if (changes.length) {
			const prefix = answer.prefix ? { prefix: prefixOf(before, score) } : {};
			answer.changed = { before: { ...predictionOf(before, score), ...prefix }, applied: changes.map(inWords) };
		}
		return answer;
	};
}

const compare = (a, b) => a.map((one, n) => one - b[n]).find((difference) => difference !== 0) ?? 0;

function check({ gate, unit, value, from, to }, { units, info }) {
	const low = gate === "g" ? -1 : 0;
	if (!(gate in NAMES || (gate === "h" && value === 0))) throw new Error(`there is no gate ${gate}`);
	if (!(low <= value && value <= 1)) throw new Error(`a value must lie in [${low}, 1]; got ${value}`);
	if (info.gate === "binary" && gate !== "g" && value !== 0 && value !== 1) throw new Error(`the ${NAMES[gate]} must be 0 or 1 in a network with binary gates; got ${value}`);
	if (unit !== "all" && unit != null && !(unit >= 0 && unit < units)) throw new Error(`unit must be from 0 to ${units - 1}, not ${unit}`);
	if (from > to) throw new Error("to must not be less than from");
}

/** A change, steps counted from 1. */
function inWords({ gate, unit, from, to, value }) {
	const steps = from == null ? "" : from === to ? ` at step ${from + 1}` : ` at steps ${from + 1} to ${to + 1}`;
	return `${gate === "h" ? NAMES.o : NAMES[gate]}${unit === "all" || unit == null ? "" : ` of unit ${unit}`}${steps} = ${value}`;
}

/** Of ascending numbers, interpolated as NumPy does. */
function quantile(sorted, share) {
	const at = share * (sorted.length - 1);
	const low = Math.floor(at);
	return sorted.length ? sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]) : 0;
}

/** A heat map as the server sends it: unsigned 16-bit numbers in base64, units by steps. */
function heatmapOf(run, name) {
	const [H, T, values] = [run.units, run.T, run[name]];
	const isSigned = !"ifo".includes(name);
	const sizes = Float64Array.from(values, Math.abs).sort();
	const high = "ifogh".includes(name) ? 1 : sizes.at(-1) || 1;
	const low = isSigned ? -high : 0;
	let raw = "";
	for (let k = 0; k < H; k += 1) {
		for (let t = 0; t < T; t += 1) {
			const level = Math.min(65535, Math.max(0, Math.round(((values[t * H + k] - low) / (high - low)) * 65535)));
			raw += String.fromCharCode(level & 255, level >> 8);
		}
	}
	return { name, layer: 0, low, high, clip: isSigned ? quantile(sizes, 0.99) || 1 : 1, shape: [H, T], base64: btoa(raw) };
}
