// The networks that train in more than one chapter: each trains once.

import { once } from "../once.js";
import { ask } from "./tasks/ask.js";
import { marked } from "./tasks/marked.js";
import { reset } from "./tasks/reset.js";
import { trainingOf } from "./tasks/symbols.js";
import { createJob } from "./training.js";

export const TASKS = { ask, marked, reset };
const SEEDS = { ask: 1, marked: 2, reset: 1 };
const jobs = new Map();
const watchers = new Map();

/** The training run of a task by its name, {network, start(), pause(), done, curve}. held: gates that are held while it learns,
 * {f: 1}. onStep(): after each step, of the chapter that shows it. */
export function trainingRun(name, held, onStep) {
	const key = `${name} ${JSON.stringify(held)}`;
	watchers.set(key, onStep);
	return once(jobs, key, () => {
		const task = TASKS[name];
		const training = trainingOf(task, SEEDS[name], { held });
		const job = createJob({ training, steps: task.steps, onStep: () => watchers.get(key)() });
		return Object.assign(job, { network: training.network, steps: task.steps });
	});
}

/** How much each unit carries of the answer: its share of the difference of the mean logits of the two answers. asked(example):
 * [step, label] of its answers; held: gates of `forward`. */
export function sharesOf(network, examples, asked, held = {}) {
	const H = network.units;
	const sums = [new Float64Array(H), new Float64Array(H)];
	const counts = [0, 0];
	for (const example of examples) {
		const { h } = network.forward(example.x, held);
		for (const [t, label] of asked(example)) {
			counts[label] += 1;
			for (let k = 0; k < H; k += 1) sums[label][k] += h[t * H + k];
		}
	}
	const gap = (k) => Math.abs(network.weight[k] * (sums[1][k] / counts[1] - sums[0][k] / counts[0]));
	const gaps = Array.from({ length: H }, (_, k) => gap(k));
	const total = gaps.reduce((a, b) => a + b, 0);
	return gaps.map((one) => one / total);
}

/** The mean of a gate at the steps of a kind, each unit weighted by its share. */
export function meanGate(network, examples, { gate, kind, shares }) {
	const H = network.units;
	let sum = 0;
	let count = 0;
	for (const example of examples) {
		const run = network.forward(example.x);
		example.kinds.forEach((one, t) => {
			if (one !== kind) return;
			count += 1;
			for (let k = 0; k < H; k += 1) sum += shares[k] * run[gate][t * H + k];
		});
	}
	return sum / count;
}
