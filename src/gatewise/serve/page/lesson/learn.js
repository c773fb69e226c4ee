// Chapter 8: loss, gradient through time, a step of Adam; the bias of the forget gate decides whether the gradient arrives.

import { createChart } from "../chart.js";
import { fmt, setText } from "../dom.js";
import { sigmoid } from "../model/arrays.js";
import { accuracyOf } from "../trainer/training.js";
import { createCellFigure, numbersOf } from "./cellfigure.js";
import { bars, gradientShares, shareText } from "./gradients.js";
import { describe, handle, question } from "./parts.js";
import { firstSymbol } from "./tasks/first.js";
import { trainingOf, unseen } from "./tasks/symbols.js";
import { createTimeline } from "./timeline.js";
import { createJob } from "./training.js";

const SEED = 1;
const DISTANCE = 40;
const STEPS = 100;
const TESTED = 200;
const BIAS = 1; // as in Keras
const WINDOW = 5; // batches over which the curve is smoothed
const [TOP, HIGH, HEIGHT] = [22, 46, 100];
const CHART = 112;
const TUTORIAL = [
	[2, 0.8846, "tutorial"],
	[5, 0.8246, ""],
]; // its validation accuracy, as far as it prints it

export function mount(parts, lesson) {
	const task = firstSymbol(DISTANCE);
	const examples = unseen(task, SEED, TESTED);
	const [example] = examples;
	const names = example.ids.map((id) => task.names[id]);
	const bias = lesson.param("b", { value: BIAS, min: 0, max: 5, step: 0.1 });
	handle(parts.bias, bias, { label: "Bias of the forget gate before training", format: (b) => fmt(b, 1) });
	const shares = (b) => lesson.cached(`learn ${b}`, () => gradientShares({ distance: DISTANCE, forgetBias: b }));

	let now = null; // the training run with the bias of the sentence, {bias, training, job}
	let keras = null; // the curve with the bias of Keras
	/** The training run with the bias that is set; a new one if it is another bias. */
	function train() {
		if (now?.bias !== bias.get()) {
			if (now?.bias === BIAS) keras = now.training.curve;
			now?.job.pause();
			const training = trainingOf(task, SEED, { forgetBias: bias.get() });
			const onStep = () => {
				if (now.job.done) asked.refresh();
				if (now.job.done || !lesson.isStill) lesson.draw();
			};
			now = { bias: bias.get(), training, job: createJob({ training, steps: STEPS, onStep }) };
		}
		now.job.start();
	}
	const accuracy = () => accuracyOf(now.training.network, examples);
	const testedAccuracy = () => lesson.cached(`learn accuracy ${now.bias} ${now.job.done}`, accuracy);
	const asked = question(parts.question, lesson, () => {
		if (!now?.job.done) return { right: null, text: "The network is learning." };
		const right = testedAccuracy();
		const isKeras = now.bias === BIAS;
		const learned = right > 0.9;
		return {
			right: isKeras ? Number(!learned) : null,
			text: `After ${STEPS} batches, ${fmt(right)} of ${TESTED} new sequences are right: it ${learned ? "has learned" : "guesses"}.`,
		};
	});
	const cell = createCellFigure(parts.cell, { level: "whole" });
	const timeline = createTimeline(parts.time, { height: HEIGHT });
	const charts = {
		accuracy: createChart("Accuracy of a batch", [0.3, 1], CHART, [0.5, 1]),
		epochs: createChart("Accuracy, network of chapter 1", [0.7, 1], CHART, [0.8, 0.9, 1]),
	};
	for (const [name, chart] of Object.entries(charts)) parts[name].append(chart.node);

	const smooth = (curve) =>
		curve.map((_, n) => {
			const recent = curve.slice(Math.max(0, n - WINDOW + 1), n + 1);
			return [n + 1, recent.reduce((sum, one) => sum + one.accuracy / recent.length, 0)];
		});

	function drawEpochs() {
		const { history, bestEpoch } = lesson.model.info;
		const points = (name) => history.map((row) => [row.epoch, row[name]]);
		charts.epochs.draw({
			lines: [
				{ class: "ghost", points: points("accuracy"), name: "training" },
				{ class: "now", points: points("val_accuracy"), name: "validation", at: 3, below: true },
			],
			xs: [1, history.length],
			xName: "epoch",
			mark: { x: bestEpoch, name: "kept" },
			dots: TUTORIAL,
		});
	}

	/** What Adam does to one weight: that of the candidate of a unit for the first symbol. */
	function drawStep() {
		const { network, last, curve } = now.training;
		const row = 2 * network.units; // of g, in the order i, f, g, o
		const at = row * network.inputs + example.ids[0];
		if (!curve.length) return setText(parts.adam, "");
		const [before, after, gradient] = [last.parameters[at], network.parameters[at], last.gradient[at]];
		setText(
			parts.adam,
			`Batch ${curve.length}, one weight of ${network.parameters.length}: gradient ${gradient.toExponential(0).replace("-", "−").replace("e-", "e−")}, step ${fmt(after - before, 4, true)}, from ${fmt(before, 4)} to ${fmt(after, 4)}.`,
		);
	}

	return {
		draw() {
			const b = bias.get();
			if (lesson.revealed) train();
			const all = shares(b);
			const { network } = now?.training ?? trainingOf(task, SEED, { forgetBias: b });
			const run = network.forward(example.x);
			setText(parts.start, fmt(sigmoid(b)));
			setText(parts.first, shareText(all[0]));
			setText(parts.right, now?.job.done ? fmt(testedAccuracy()) : "…");
			const t = Math.round(DISTANCE * (1 - lesson.reveal));
			cell.draw({
				n: numbersOf(run, t, 0),
				token: names[t],
				gradients: lesson.revealed ? { c: Math.min(1, all[t]), h: 0 } : null,
				title: `A unit at step ${t + 1} of ${DISTANCE + 1}, and the gradient on its way back`,
			});
			const layout = timeline.fit(names);
			timeline.own.replaceChildren(
				...bars(layout, all, {
					top: TOP,
					height: HIGH,
					kind: "gradient",
					name: "gradient of c before training",
					until: lesson.reveal,
				}),
			);
			timeline.drawNames({ marked: [0] });
			drawEpochs();
			if (!lesson.revealed) return;
			const lines = [{ class: "now", points: smooth(now.training.curve) }];
			if (keras && now.bias !== BIAS)
				lines.unshift({ class: "ghost", points: smooth(keras), name: "bias 1", below: true });
			charts.accuracy.draw({ lines, xs: [1, STEPS], xName: "batch" });
			drawStep();
			describe(
				parts.values,
				"Gradient after each step, as a share of the last step's",
				["step", "share"],
				Array.from(all, (share, n) => [n + 1, fmt(share, 6)]),
			);
		},
		show: () => lesson.revealed && train(),
		hide: () => now?.job.pause(),
		isBusy: () => lesson.revealed && !now?.job.done,
	};
}
