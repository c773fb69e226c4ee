// What the tasks of the lesson share: sequences of symbols as one-hot rows, and a training run with the settings of a task.

import { LstmNetwork } from "../../trainer/lstm.js";
import { PlainNetwork } from "../../trainer/plain.js";
import { seeded } from "../../trainer/random.js";
import { createTraining } from "../../trainer/training.js";

/** The rows (T, width) of symbols: 1 at the symbol, 0 elsewhere. */
export function oneHot(ids, width) {
	const x = new Float64Array(width * ids.length);
	ids.forEach((id, t) => (x[t * width + id] = 1));
	return x;
}

/** An integer from 0 to n - 1. */
export const below = (n, random) => Math.floor(n * random());

/** A training run of a task {inputs, draw(random) -> () => example, settings}. The examples of a seed are the same for all networks.
 * kind: "lstm" or "plain"; more: settings that differ from those of the task. */
export function trainingOf(task, seed, { kind = "lstm", held = {}, ...more } = {}) {
	const { units, forgetBias, frozen, rate, batch } = { ...task.settings, ...more };
	const shape = { inputs: task.inputs, units, seed };
	const network = kind === "plain" ? new PlainNetwork(shape) : new LstmNetwork({ ...shape, forgetBias, frozen });
	return createTraining(network, task.draw(seeded(seed + 200)), { rate, batch, held });
}

/** Examples of a task that no training run of that seed has seen. */
export function unseen(task, seed, count = 300) {
	const draw = task.draw(seeded(seed + 700));
	return Array.from({ length: count }, draw);
}
