// The claims of chapter 6, measured: one number per start.

import { page, perSeed } from "./common.mjs";

const { ask } = await page("lesson/tasks/ask");
const { trainingOf, unseen } = await page("lesson/tasks/symbols");
const { accuracyOf } = await page("trainer/training");

const networks = new Map();
function learned(task, seed) {
	const key = `${task.steps} ${seed}`;
	if (!networks.has(key)) {
		const training = trainingOf(task, seed);
		for (let n = 0; n < task.steps; n += 1) training.next();
		networks.set(key, training.network);
	}
	return networks.get(key);
}
const answers = (example, t) => example.kinds[t] === "?";
const others = (example, t) => example.kinds[t] !== "?";
const share = (seed, which, held = {}) => accuracyOf(learned(ask, seed), unseen(ask, seed), { held, which });

export const measures = {
	answersRight: perSeed((seed) => share(seed, answers)),
	silent: perSeed((seed) => share(seed, others)),
	answersHeld: perSeed((seed) => Math.min(share(seed, answers, { o: 1 }), share(seed, answers, { o: 0.5 }))),
	silentHeld: perSeed((seed) => Math.max(share(seed, others, { o: 1 }), share(seed, others, { o: 0.5 }))),
	otherGates: perSeed((seed) =>
		Math.min(...[{ i: 1 }, { f: 1 }].flatMap((held) => [share(seed, answers, held), share(seed, others, held)])),
	),
	emptied: perSeed((seed) => share(seed, answers, { f: 0 })),
};
