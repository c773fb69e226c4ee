// Chapter 7: all parts of the cell, the seven steps with the numbers of one unit, and whether a gate is 0 or 1.

import { stepFormula, stepLine } from "../cellmath.js";
import { STEPS } from "../cellshape.js";
import { el, fmt, setText } from "../dom.js";
import { path, pictureOf, rect, stroke, text } from "../drawing.js";
import { dot, product, sigmoid } from "../model/arrays.js";
import { advance, GATES } from "../model/network.js";
import { createCellFigure, numbersOf } from "./cellfigure.js";
import { followingUnit, readText, SENTENCE } from "./mind.js";
import { TASKS, trainingRun } from "./networks.js";
import { describe, handle, question } from "./parts.js";
import { unseen } from "./tasks/symbols.js";

const BINS = 20;
const HEIGHT = 124; // of the picture of the histograms
const [LEFT, TOP, BOTTOM] = [12, 24, 24];
const DEFAULT_STEEP = 2; // how much steeper the gates become
const SMALL = "ask"; // the task of chapter 6, whose network is compared
const EXAMPLES = 60; // sequences over which its gates are counted
const NAMES = { i: "input gates i", f: "forget gates f", o: "output gates o" };
const SIGMOIDS = [0, 1, 3]; // of the four blocks i, f, g, o of the weights

/** The shares of values below 0.1, between, and above 0.9, of arrays of gate values. */
export function gateShares(arrays) {
	const counts = [0, 0, 0];
	for (const values of arrays) for (const x of values) counts[x < 0.1 ? 0 : x > 0.9 ? 2 : 1] += 1;
	const total = counts[0] + counts[1] + counts[2];
	return counts.map((count) => count / total);
}

/** The gates of a network at all steps of some examples: {i, f, o}, arrays of values. */
export function gatesOf(network, examples) {
	const runs = examples.map(({ x }) => network.forward(x));
	return Object.fromEntries(["i", "f", "o"].map((gate) => [gate, runs.flatMap((run) => Array.from(run[gate]))]));
}

/** The shares of the values in each of BINS parts of 0 to 1. */
function binShares(values) {
	const shares = new Float64Array(BINS);
	for (const value of values) shares[Math.min(BINS - 1, Math.floor(value * BINS))] += 1 / values.length;
	return shares;
}

/** A run of the model with sigma(k z) in place of sigma(z) in the gates i, f and o, from the same state before the first word: their
 * weights times k. Returns it with its probability. */
export function steeper(model, run, k) {
	const H = model.units;
	const [lstm] = model.network.layers[0].lstms;
	const scaled = (name) => {
		const size = lstm[name].length / 4;
		return lstm[name].map((weight, n) => (SIGMOIDS.includes(Math.floor(n / size)) ? k * weight : weight));
	};
	const weights = { weightIh: scaled("weightIh"), weightHh: scaled("weightHh"), bias: scaled("bias") };
	const { T, ids, start } = run;
	const states = Object.fromEntries(GATES.map((name) => [name, new Float64Array(T * H)]));
	const steep = { units: H, T, start, held: [], weightHh: weights.weightHh, ...states };
	for (let t = 0; t < T; t += 1)
		advance(steep, t, product(weights.weightIh, model.network.inputOf(ids[t]), weights.bias));
	const [dense] = model.network.dense;
	const own = dense.bias[0] + dot(dense.weight, 0, steep.h.subarray((T - 1) * H));
	return { ...steep, probability: sigmoid(model.info.weight * own + model.info.shift[0]) };
}

/** What the word, h and the bias add to each gate of unit k at step t: {i: {x, h, bias}, ...}. */
function sumsOf(model, run, t, k) {
	const H = model.units;
	const [lstm] = model.network.layers[0].lstms;
	const x = model.network.inputOf(run.ids[t]);
	const before = t ? run.h.subarray((t - 1) * H, t * H) : run.start.h;
	return Object.fromEntries(
		["i", "f", "g", "o"].map((gate, block) => {
			const row = block * H + k;
			const parts = { x: dot(lstm.weightIh, row * x.length, x), h: dot(lstm.weightHh, row * H, before) };
			return [gate, { ...parts, bias: lstm.bias[row] }];
		}),
	);
}

export function mount(parts, lesson) {
	const { model } = lesson;
	const { words, ids } = readText(model, SENTENCE);
	const run = model.run({ ids: Int32Array.from(ids) });
	const names = ["START", ...words.map((word) => word.text)];
	const step = lesson.param("s", { value: 5, min: 1, max: 7, step: 1 });
	const unit = lesson.param("u", { value: followingUnit(run), min: 0, max: model.units - 1, step: 1 });
	const word = lesson.param("w", { value: run.T - 1, min: 1, max: run.T - 1, step: 1 });
	const steep = lesson.param("k", { value: DEFAULT_STEEP, min: 1, max: 20, step: 0.1 });
	handle(parts.step, step, { label: "Step", format: String, pixels: () => 160 });
	handle(parts.unit, unit, { label: "Unit", format: String });
	handle(parts.word, word, { label: "Word", format: (t) => names[t], pixels: () => 320 });
	handle(parts.steep, steep, { label: "Steepness of the gates", format: (k) => fmt(k, 1), pixels: () => 400 });
	const percent = (share) => `${fmt(100 * share, 0)}%`;
	question(parts.question, lesson, () => {
		const [low, , high] = gateShares([run.i, run.f, run.o]);
		const { probability } = steeper(model, run, DEFAULT_STEEP);
		return {
			right: probability > 0.9 ? 0 : probability < 0.1 ? 2 : 1,
			text: `It becomes ${fmt(probability)}. Before, ${percent(low + high)} of the ${(3 * run.i.length).toLocaleString("en")} gates were below 0.1 or above 0.9.`,
		};
	});
	const cell = createCellFigure(parts.cell, { level: "whole" });
	const picture = pictureOf(parts.gates);
	const scale = () => {
		const all = Array.from({ length: run.T }, (_, t) => Math.abs(run.c[t * run.units + unit.get()]));
		return Math.max(0.05, ...all);
	};

	function drawStep() {
		const [s, t, k] = [step.get(), word.get(), unit.get()];
		const n = { ...numbersOf(run, t, k), contribution: run.contribution(k, t) };
		cell.draw({ n, token: names[t], lit: STEPS[s - 1].lit, scale: scale(), title: `Unit ${k}, step ${s} of 7` });
		const formula = stepFormula(s, { contribution: true });
		parts.formula.replaceChildren(
			el("b", {}, `${s} ${STEPS[s - 1].name} `),
			...(s < 7 ? formula.map(({ text: part, sub }) => el(sub ? "sub" : "span", {}, part)) : []),
		);
		const now = `P = ${fmt(run.prefix[t])}`;
		const sums = sumsOf(model, run, t, k);
		const about = { word: names[t], tokenNoun: "word", scoreName: "logit", now, sums };
		setText(parts.line, stepLine(s, n, about));
	}

	const job = trainingRun(SMALL, {}, () => job.done && lesson.draw());
	/** The gates of the small network, once it has learned. */
	const smallGates = () =>
		job.done
			? lesson.cached("whole small", () => gatesOf(job.network, unseen(TASKS[SMALL], 1, EXAMPLES)))
			: { i: [], f: [], o: [] };

	/** The values of the gates at all words, as bars; those of the small network as a line. */
	function drawGates(other, small) {
		const width = picture.fit(HEIGHT);
		const bottom = HEIGHT - BOTTOM;
		const x = (value) => LEFT + value * (width - 2 * LEFT);
		const nodes = ["i", "f", "o"].flatMap((gate, row) => {
			const left = row / 3;
			const place = (value) => x(left + (value * 0.92) / 3);
			const y = (share) => bottom - Math.sqrt(share) * (bottom - TOP);
			const each = place(1 / BINS) - place(0);
			const bars = Array.from(binShares(other[gate]), (share, n) =>
				rect(place(n / BINS) + 0.5, y(share), each - 1, bottom - y(share), "bin"),
			);
			const corners = Array.from(binShares(small[gate]), (share, n) => [
				[place(n / BINS), y(share)],
				[place((n + 1) / BINS), y(share)],
			]).flat();
			return [
				text(place(0), 14, NAMES[gate], "t14", "start"),
				stroke(`M${place(0)},${bottom}H${place(1)}`, "axis"),
				...[0, 0.5, 1].map((value) => text(place(value), bottom + 17, value === 0.5 ? "½" : value, "t14 muted")),
				...bars,
				...(small[gate].length ? [stroke(path(corners), "binline")] : []),
			];
		});
		parts.gates.replaceChildren(...nodes);
	}

	return {
		draw() {
			drawStep();
			const k = 1 + (steep.get() - 1) * lesson.reveal; // they become steeper while the answer appears
			const other = k === 1 ? run : steeper(model, run, k);
			setText(parts.p, fmt(other.probability));
			parts.p.dataset.side = other.probability > 0.5 ? "for" : "against";
			const [low, , high] = gateShares([other.i, other.f, other.o]);
			setText(parts.share, percent(low + high));
			const small = smallGates();
			drawGates(other, small);
			const [smallLow, , smallHigh] = gateShares(Object.values(small));
			const ofSmall = job.done
				? `, of which ${percent(smallLow + smallHigh)} are below 0.1 or above 0.9`
				: " (it is learning)";
			setText(parts.legend, `Bars: this network. Line: gates of the small network of chapter 6${ofSmall}.`);
			const rowsOf = (name, gates) =>
				["i", "f", "o"].map((gate) => [name, gate, ...gateShares([gates[gate]]).map((share) => percent(share))]);
			const rows = [...rowsOf("this one", other), ...(job.done ? rowsOf("the small one", small) : [])];
			describe(parts.values, "The gates at all steps", ["network", "gate", "below 0.1", "between", "above 0.9"], rows);
		},
		show: () => job.start(),
		hide: () => job.pause(),
		isBusy: () => !job.done,
	};
}
