// The answers of POST /explain, computed from a model in the page. Pure: no DOM. gatewise/serve/view/view.py and
// gatewise/explain/serialize.py describe the fields; what a model says in words comes from the exported `view`.

import { once } from "../once.js";
import { sum } from "./arrays.js";
import { METHODS } from "./lstm.js";

const MAX_LEAVE_ONE_OUT = 300; // steps
const MAX_PRODUCTS = 6e9; // multiplications of an attribution: about ten seconds
const LEAST_CHANGE = 0.3; // of c, of the frame that the page opens with
const DOUBT = 0.05 + 1e-9; // from the threshold: undecided
const MAX_OFFER_STEPS = 60; // of the offered clamp, which is tried at each of them
const MAX_OFFER_PRODUCTS = 2e9;
const KEPT = 4; // runs: before and after a change, of two texts

const descending = (values) =>
	Array.from(values.keys()).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
const counted = (n) => n.toLocaleString("en");
const numberText = (x) =>
	Math.abs(x) >= 10_000 ? Math.round(x).toLocaleString("en") : String(Number(x.toPrecision(4)));
/** The place of the largest number, the first of equal ones. */
const largest = (values) => values.reduce((best, x, n) => (x > values[best] ? n : best), 0);

/** view: what is exported with the model: {model, methods: {name: {note, base_value_note, faithfulness, faithfulness_note}},
 * unmeasured, default_method, ...}. Returns explain(request), which throws an Error with one line. */
export function createExplain(model, view) {
	const { labels, thresholds, task, per_step: isTagger, inputs, layers } = view.model;
	const isBinary = model.info.outputs === 1 && task === "classification";
	const top = layers.length - 1;
	const noun = inputs === "text" ? "word" : "step";
	const lstms = model.network.layers.flatMap((layer) => layer.lstms);
	const products = sum([
		...lstms.map((one) => one.weightIh.length + one.weightHh.length),
		...model.others.map(({ member }) => member.products ?? 0),
	]);

	/** The weights of the logits in the explained score, as gatewise/explain/score.py. */
	function scoreOf(run, { target, against }) {
		const [wanted, other] = [target, against].map((name) => (name == null ? null : labels.indexOf(name)));
		const only = (chosen) => labels.map((_, k) => Number(k === chosen));
		if (task === "regression")
			return {
				weights: only(wanted ?? 0),
				target: wanted ?? 0,
				against: null,
				name: labels.length > 1 ? `prediction of ${labels[wanted ?? 0]}` : "prediction",
			};
		if (isBinary) {
			const chosen = other !== null ? 1 - other : (wanted ?? 1);
			return { weights: [chosen ? 1 : -1], target: chosen, against: null, name: `logit of ${labels[chosen]}` };
		}
		let chosen = wanted ?? (task === "multilabel" ? largest(run.logits) : decided(run.probabilities));
		if (wanted === null && chosen === other) chosen = largest(run.logits.map((z, k) => (k === other ? -Infinity : z)));
		const without = (k) => (task === "multilabel" ? 0 : other === null ? 1 / labels.length : Number(k === other));
		return {
			weights: only(chosen).map((one, k) => one - without(k)),
			target: chosen,
			against: other,
			name: `logit of ${labels[chosen]}`,
		};
	}

	/** The predicted class: its index; of several labels those that are predicted. */
	function decided(probabilities) {
		if (task === "multilabel") return [...labels.keys()].filter((k) => probabilities[k] >= (thresholds[k] ?? 0.5));
		if (isBinary) return Number(thresholds.length ? probabilities[1] >= thresholds[0] : probabilities[1] > 0.5);
		return largest(probabilities.map((p, k) => p / Math.max(thresholds[k] ?? 1, 1e-300)));
	}

	/** The prediction of logits in words. */
	function labelOf(logits) {
		if (task === "regression")
			return labels.length > 1
				? Array.from(logits, (x, k) => `${labels[k]} ${numberText(x)}`).join(", ")
				: numberText(logits[0]);
		const found = decided(model.probabilities(logits));
		return task === "multilabel" ? found.map((k) => labels[k]).join(", ") || "no label" : labels[found];
	}

	const value = (score, logits) => sum(score.weights.map((one, n) => one * logits[n]));

	function predictionOf(run, score) {
		const { probabilities } = run;
		const found = probabilities && decided(probabilities);
		return {
			label: labelOf(run.logits),
			labels: task === "multilabel" ? found.map((k) => labels[k]) : null,
			target: labels[score.target],
			against: score.against === null ? null : labels[score.against],
			favours: task === "regression" || (task === "multilabel" ? found.includes(score.target) : found === score.target),
			probability: probabilities && probabilities[score.target],
			probabilities: probabilities && [...probabilities],
			score: value(score, run.logits),
			score_name: score.name,
			step: run.step,
			steps: isTagger ? run.stepLogits.map(labelOf) : null,
			calibrated: view.calibrated,
			undecided: isBinary && Math.abs(probabilities[1] - (thresholds[0] ?? 0.5)) <= DOUBT,
		};
	}

	function prefixOf(run, score) {
		const probability =
			task === "regression" ? null : run.prefixLogits.map((one) => model.probabilities(one)[score.target]);
		return { stride: 1, probability, score: run.prefixLogits.map((one) => value(score, one)) };
	}

	/** Where the words of a text are; the numbers of a series. */
	function textOf(run, { steps }, series) {
		const counts = { steps: run.sequence.length, kept: run.T, pads: run.pads };
		if (series) return { ...counts, values: valuesOf(series, model.info.preprocessor.window ?? 0, run.rows) };
		const read = new Set(run.rows);
		const kept = Array.from(run.rows, (place) => steps[place]);
		const names = Object.fromEntries(kept.flatMap(({ name }, n) => (name ? [[n, name]] : [])));
		const unknown = Array.from(run.ids.keys()).filter((n) => run.ids[n] === view.unknown);
		const truncated = steps.filter((_, place) => !read.has(place)).map(({ start, end }) => [start, end]);
		return {
			...counts,
			tokens: {
				start: kept.map(({ start }) => start),
				end: kept.map(({ end }) => end),
				id: [...run.ids],
				unknown,
				truncated,
				names,
			},
		};
	}

	/** The method: the one that was asked for, or the default one if it can be computed. */
	function methodOf(run, asked, warnings) {
		const isQuick = run.T <= MAX_LEAVE_ONE_OUT && run.T ** 2 * products <= MAX_PRODUCTS;
		const all = METHODS.filter(
			(name) =>
				(name !== "leave-one-out" || isQuick) && (name !== "cell-decomposition" || model.network.hasContributions),
		);
		const method = asked ?? view.default_method;
		if (all.includes(method)) return { method, all };
		const reason = `${method} ${METHODS.includes(method) ? `takes too long for ${counted(run.T)} ${noun}s in the page` : "is not computed in the page"}`;
		if (asked) throw new Error(`${reason}.`);
		warnings.push({
			code: "method",
			message: `${reason[0].toUpperCase()}${reason.slice(1)}. The attribution shown is prefix-difference.`,
		});
		return { method: "prefix-difference", all };
	}

	function attributionOf(run, score, asked, warnings) {
		const { method, all } = methodOf(run, asked, warnings);
		const { scores, baseValue, parts } = model.attribution(run, method, score.weights);
		const { note, faithfulness, faithfulness_note } = view.methods[method];
		const total = value(score, run.logits);
		const truncated = sum(parts.map((one) => one.truncatedPart));
		const members = view.members.map((one, n) =>
			parts.length > 1 ? { ...one, scores: [...parts[n].scores], truncated_part: parts[n].truncatedPart } : one,
		);
		const isChanged = run.changes.length > 0;
		return {
			method,
			methods: all,
			note,
			faithfulness: isChanged ? null : faithfulness,
			faithfulness_note: isChanged ? view.unmeasured : faithfulness_note,
			target: labels[score.target],
			against: score.against === null ? null : labels[score.against],
			scores: [...scores],
			base_value: baseValue,
			score: total,
			score_name: score.name,
			residual: total - baseValue - sum(scores) - truncated,
			adds_up: method !== "leave-one-out",
			members,
		};
	}

	/** The LSTMs of a layer, and of its unit k the LSTM, the place in it, and the values at each step by name. */
	const lstmsOf = (run, layer) => run.lstms.filter((one) => one.layer === layer);
	function statesOf(run, layer, k) {
		const one = lstmsOf(run, layer)[Math.floor(k / model.network.layers[layer].units)];
		const column = k % one.units;
		return {
			one,
			column,
			values: (name) => Array.from({ length: run.T }, (_, t) => one[name][t * one.units + column]),
		};
	}
	/** The change of c of unit k at each step. */
	function memoryChanges(run, layer, k) {
		const { one, column, values } = statesOf(run, layer, k);
		const c = values("c");
		const first = one.start.c[column];
		return c.map((x, t) => x - (c[one.isBackward ? t + 1 : t - 1] ?? first));
	}

	/** The largest change of c of each unit in one step, its step, the effects, and the frame to open with. */
	function unitsOf(run, score, encoded, layer) {
		const { size } = model.network.layers[layer];
		const changes = Array.from({ length: size }, (_, k) => memoryChanges(run, layer, k));
		const at = changes.map((one) => largest(one.map(Math.abs)));
		const jump = changes.map((one, k) => Math.abs(one[at[k]]));
		const all = layer === top ? model.contributions(run, score.weights) : null;
		const effect =
			all && Array.from({ length: size }, (_, k) => sum(Array.from({ length: run.T }, (_, t) => all[t * size + k])));
		const first = Array.from(at.keys()).sort((a, b) => at[a] - at[b] || a - b);
		const order = { ...(effect && { effect: descending(effect) }), jump: descending(jump), first };
		const sizes = Float64Array.from(
			lstmsOf(run, layer).flatMap(({ c }) => [...c]),
			Math.abs,
		).sort();
		return {
			layer,
			effect,
			order,
			c_p99: quantile(sizes, 0.99) || 1,
			opening: openingOf(run, score, encoded, changes, all),
		};
	}

	/** The step and the unit with which the page opens, as gatewise/explain/opening.py. */
	function openingOf(run, score, { steps }, changes, contributions) {
		const found = Array.from(run.rows, (row) => inputs !== "text" || /[\p{L}\p{N}]/u.test(steps[row].text));
		const isWord = found.includes(true) ? found : found.map(() => true);
		const size = changes.length;
		if (!contributions) {
			const jumps = isWord.map((yes, t) => (yes ? Math.max(...changes.map((one) => Math.abs(one[t]))) : 0));
			const step = largest(jumps);
			const unit = changes.findIndex((one) => Math.abs(one[step]) === jumps[step]);
			return { step, unit, contribution: null, memory_change: changes[unit][step] };
		}
		const rows = isWord.map((_, t) => contributions.subarray(t * size, (t + 1) * size));
		const isPrefix =
			run.step === null &&
			(model.network.isForward || run.T * Math.max(512, ...layers.map(({ units }) => units)) <= 200 * 512);
		const change = isPrefix
			? (t) =>
					value(
						score,
						run.ownPrefix[t + 1].map((z, n) => z - run.ownPrefix[t][n]),
					)
			: (t) => sum(rows[t]);
		const step = largest(isWord.map((yes, t) => (yes ? Math.abs(change(t)) : 0)));
		const large = Array.from(rows[step], (x, k) => (Math.abs(changes[k][step]) >= LEAST_CHANGE ? Math.abs(x) : 0));
		const unit = largest(large.some(Boolean) ? large : Array.from(rows[step], Math.abs));
		return { step, unit, contribution: rows[step][unit], memory_change: changes[unit][step] };
	}

	function unitOf(run, score, k, layer) {
		const { one, column, values } = statesOf(run, layer, k);
		const steps = Array.from({ length: run.T }, (_, t) => t);
		const parts = steps.map((t) => model.network.preactivations(one, column, t));
		const preactivations = Object.fromEntries(
			["i", "f", "g", "o"].map((gate) => [
				gate,
				{ x: parts.map((part) => part[gate].x), h: parts.map((part) => part[gate].h), bias: parts[0][gate].bias },
			]),
		);
		const life = Math.log(2) / (-sum(values("f").map(Math.log)) / run.T);
		const all = layer === top ? model.contributions(run, score.weights) : null;
		return {
			k,
			layer,
			direction: one.direction,
			...Object.fromEntries([..."ifgoch"].map((name) => [name, values(name)])),
			h0: one.start.h[column],
			c0: one.start.c[column],
			preactivations,
			half_life: Number.isFinite(life) ? life : null,
			...(all && { contribution: steps.map((t) => all[t * model.network.top.size + k]) }),
		};
	}

	/** Warnings about an input that is unlike the training data, as gatewise/serve/view/view.py. */
	function warningsOf(run, encoded) {
		const found = view.lstm_note ? [{ code: "weight", message: view.lstm_note }] : [];
		if (inputs === "text" && view.unknown !== null) found.push(...textNotices(run, encoded));
		if (run.T < run.sequence.length) {
			const head = run.rows.findIndex((place, n) => place !== n);
			const ends = [
				["first", head],
				["last", run.T - head],
			]
				.filter(([, n]) => n)
				.map(([name, n]) => `the ${name} ${counted(n)}`);
			found.push({
				code: "truncated",
				at: run.T,
				message: `Only ${counted(run.T)} of ${counted(run.sequence.length)} ${noun}s are read: ${ends.join(" and ")}.`,
			});
		}
		return found;
	}

	/** As gatewise/serve/view/notices.py. */
	function textNotices(run, encoded) {
		const found = [];
		const words = Array.from(run.rows, (row) => encoded.steps[row]).filter(({ text }) => /\p{L}/u.test(text));
		const missing = words.filter(({ unknown }) => unknown).length;
		const isCommon = ({ id }) => view.frequent && id >= view.frequent[0] && id < view.frequent[1];
		const common = words.filter(isCommon).length;
		const foreign = view.frequent
			? words.filter((word) => !isCommon(word) && view.foreign.includes(word.text.toLowerCase())).length
			: 0;
		if (foreign >= 2 && foreign > common)
			found.push({
				code: "language",
				message: "The text seems to be in another language than the training texts. The prediction means little.",
			});
		else if (missing > words.length / 2)
			found.push({
				code: "unknown_words",
				message: "Most words are not in the vocabulary. The prediction means little.",
			});
		if (run.T * 10 < view.median_length)
			found.push({
				code: "short",
				message: `Short text (${run.T} words and marks; training median ${view.median_length}): less reliable.`,
			});
		return found;
	}

	/** The step at which closing the input gate of all units changes the prediction most, as gatewise/serve/view/offer.py. */
	function offerOf(encoded, before, score) {
		const hasGates = layers.length > 0 && !layers[top].cell && model.info.weight !== 0;
		if (!hasGates || before.T > MAX_OFFER_STEPS || before.T ** 2 * products > MAX_OFFER_PRODUCTS) return null;
		const shown = (run) => (task === "regression" ? value(score, run.logits) : run.probabilities[score.target]);
		const clamps = Array.from({ length: before.T }, (_, t) => ({ gate: "i", unit: "all", value: 0, from: t, to: t }));
		const changed = clamps.map((clamp) => {
			const run = model.run(encoded, { changes: [clamp] });
			return isTagger ? model.atStep(run, before.step) : run;
		});
		const step = largest(changed.map((run) => Math.abs(shown(run) - shown(before))));
		return { ...clamps[step], prediction: predictionOf(changed[step], score) };
	}

	const runs = new Map(); // by input and changes
	const runOf = (encoded, input, changes) =>
		once(runs, JSON.stringify([input, changes]), () => model.run(encoded, { changes }), KEPT);

	return function explain({
		text = "",
		series = null,
		include = ["prediction"],
		changes = [],
		method,
		layer = top,
		step = null,
		...asked
	}) {
		if (series ? !series.length : !text.trim()) throw new Error(`the ${series ? "series" : "text"} is empty`);
		const encoded = model.encode(series ?? text);
		if (!encoded.ids.length) throw new Error("the text has no word");
		const most = view.model.max_steps;
		const count = model.network.readRows(encoded.ids.length).length;
		if (count > most)
			throw new Error(`the network would read ${counted(count)} ${noun}s; the page shows at most ${counted(most)}`);
		const input = series ?? text;
		let [before, run] = [runOf(encoded, input, []), runOf(encoded, input, changes)];
		if (isTagger) {
			const first = before.stepLogits.findIndex((logits) => labelOf(logits) !== "O");
			const shown = step ?? Math.max(0, first);
			if (shown >= count) throw new Error(`step must be from 0 to ${count - 1}, not ${shown}`);
			[before, run] = [before, run].map((one) => model.atStep(one, shown));
		}
		const score = scoreOf(before, asked);
		const warnings = warningsOf(run, encoded);
		const answer = {
			id: JSON.stringify([input, changes]),
			model: view.model,
			text: textOf(run, encoded, series),
			warnings,
		};
		const has = (...names) => names.some((name) => include.includes(name));
		if (has("prediction")) answer.prediction = predictionOf(run, score);
		if (has("prefix", "prefix:all")) answer.prefix = prefixOf(run, score);
		if (has("attribution")) answer.attribution = attributionOf(run, score, method, warnings);
		const wanted = include.find((part) => part.startsWith("unit:"))?.slice(5);
		const units = has("units") || ["top", "opening"].includes(wanted) ? unitsOf(run, score, encoded, layer) : null;
		if (has("units")) answer.units = units;
		if (has("offer")) answer.offer = offerOf(encoded, before, score);
		if (wanted)
			answer.unit = unitOf(
				run,
				score,
				wanted === "top"
					? (units.order.effect ?? units.order.jump)[0]
					: wanted === "opening"
						? units.opening.unit
						: Number(wanted),
				layer,
			);
		const heatmaps = include
			.filter((part) => part.startsWith("heatmap:"))
			.map((part) => heatmapOf(lstmsOf(run, layer), part.slice(8)));
		if (heatmaps.length) answer.heatmaps = heatmaps;
		if (changes.length) {
			const prefix = answer.prefix ? { prefix: prefixOf(before, score) } : {};
			answer.changed = { before: { ...predictionOf(before, score), ...prefix } };
		}
		return answer;
	};
}

/** The numbers of the steps that are read; of a window of steps their mean. */
function valuesOf(series, window, rows) {
	if (window < 2) return Array.from(rows, (row) => series[row]);
	return Array.from(rows, (row) =>
		series[0].map((_, c) => {
			const known = series
				.slice(row * window, (row + 1) * window)
				.map((step) => step[c])
				.filter((x) => x !== null);
			return known.length ? sum(known) / known.length : null;
		}),
	);
}

/** Of ascending numbers, interpolated as NumPy does. */
function quantile(sorted, share) {
	const at = share * (sorted.length - 1);
	const low = Math.floor(at);
	return sorted.length ? sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]) : 0;
}

/** A heat map of a layer, as `decode` of heatmapdata.js returns it. */
function heatmapOf(lstms, name) {
	const [{ T, layer }, signed] = [lstms[0], !"ifo".includes(name)];
	const values = Float32Array.from(
		lstms.flatMap(({ units, [name]: own }) => Array.from(own, (_, n) => own[(n % T) * units + Math.floor(n / T)])),
	);
	const clip = signed ? quantile(Float64Array.from(values, Math.abs).sort(), 0.99) || 1 : 1;
	return { name, layer, clip, signed, rows: values.length / T, columns: T, values };
}
