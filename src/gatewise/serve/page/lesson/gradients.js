// How far a gradient reaches back, and trainings side by side: what the chapters on fading and on adding share.

import { createChart } from "../chart.js";
import { fmt } from "../dom.js";
import { rect, text } from "../drawing.js";
import { lossOf } from "../trainer/training.js";
import { firstSymbol } from "./tasks/first.js";
import { trainingOf, unseen } from "./tasks/symbols.js";
import { createJob } from "./training.js";

const SEQUENCES = 8; // over which the gradient is a mean
const WINDOW = 5; // batches over which a curve is smoothed
const LEARNED = 0.95; // accuracy of the last batches
const SEED = 1;

/** The norms of the gradient of the loss with respect to the state after each step, of an untrained network in the mean of some
 * sequences, as shares of that of the last step: with respect to c of an LSTM, h of a plain network. */
export function gradientShares({ distance, seed = SEED, ...options }) {
	const task = firstSymbol(distance);
	const { network, held } = trainingOf(task, seed, options);
	const sums = new Float64Array(distance + 1);
	for (const example of unseen(task, seed, SEQUENCES)) {
		const run = network.forward(example.x, held);
		const { dlogits } = lossOf(run, example);
		const { dh, dc } = network.backward(run, dlogits, new Float64Array(network.parameters.length));
		const gradient = dc ?? dh;
		for (let t = 0; t < run.T; t += 1) {
			let squares = 0;
			for (let k = 0; k < network.units; k += 1) squares += gradient[t * network.units + k] ** 2;
			sums[t] += Math.sqrt(squares);
		}
	}
	return sums.map((sum) => sum / sums[distance]);
}

/** A share of a gradient as text: two digits, one significant digit below 0.01, or a bound. */
export function shareText(share) {
	if (share >= 0.01) return fmt(share);
	if (share < 1e-7) return "less than 0.0000001";
	return fmt(share, -Math.floor(Math.log10(share)));
}

/** Bars over an axis of time, at most 1 high: nodes. until: how many are drawn, from the right. */
export function bars(layout, shares, { top, height, kind, name, until = 1 }) {
	const from = Math.round((1 - until) * shares.length);
	return [
		text(layout.left, top - 8, name, "t14 muted", "start"),
		...Array.from(shares, (share, t) => {
			const size = t < from ? 0 : Math.max(0.5, Math.min(1, share) * height);
			return rect(layout.x(t) - layout.each / 2, top + height - size, Math.max(1, layout.each - 1), size, kind);
		}),
	];
}

/** Trainings on the first symbol over a distance, side by side. runs: [{name, kind: a class, options of trainingOf}]. */
export function createRace(node, lesson, { title, runs, steps }) {
	const chart = createChart(title, [0.3, 1], 116, [0.5, 1], 100);
	node.append(chart.node);
	let jobs = [];
	let known = null; // the distance of the jobs
	const isDone = () => jobs.length > 0 && jobs.every((job) => job.done);
	const smooth = (curve) =>
		curve.map((_, n) => {
			const recent = curve.slice(Math.max(0, n - WINDOW + 1), n + 1);
			return [n + 1, recent.reduce((sum, { accuracy }) => sum + accuracy / recent.length, 0)];
		});
	return {
		isDone,
		batches: () => Math.min(...jobs.map((job) => job.curve.length)),
		/** Begin anew over that distance, if it is another one. */
		train(distance) {
			if (distance !== known) {
				for (const job of jobs) job.pause();
				known = distance;
				jobs = runs.map(({ options }) => {
					const training = trainingOf(firstSymbol(distance), options.seed ?? SEED, options);
					const onStep = () => (isDone() || !lesson.isStill) && lesson.draw();
					return createJob({ training, steps, onStep });
				});
			}
			for (const job of jobs) job.start();
		},
		pause() {
			for (const job of jobs) job.pause();
		},
		/** Which runs have learned, so far. */
		learned: () => jobs.map(({ curve }) => (smooth(curve).at(-1)?.[1] ?? 0) > LEARNED),
		draw() {
			const lines = jobs.map(({ curve }, n) => ({
				class: runs[n].kind,
				points: smooth(curve),
				name: curve.length > steps / 3 ? runs[n].name : "",
				below: runs[n].isBelow,
			}));
			chart.draw({ lines, xs: [1, steps], xName: "batch" });
		},
	};
}
