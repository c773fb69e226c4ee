// The claims of chapter 1, measured on the model of the lesson.

import { loadModel, page } from "./common.mjs";

const { readText, SENTENCE, turnOf } = await page("lesson/mind");

const model = loadModel();
const { words, ids } = readText(model, SENTENCE);
const runOf = (changes = []) => model.run({ ids: Int32Array.from(ids) }, { changes });
const stepOf = (word) => words.findIndex(({ text }) => text === word) + 1; // START is step 0
const all = (gate, t) => ({ gate, unit: "all", from: t, to: t, value: 0 });
const run = runOf();
const before = stepOf("excellent") - 1;

export const measures = {
	atTheEnd: () => [run.prefix.at(-1)],
	turnsAtExcellent: () => [turnOf(run.prefix) - stepOf("excellent")],
	between: () => Array.from(run.prefix.slice(stepOf("boring"), before + 1)),
	beforeExcellent: () => [run.prefix[before]],
	/** c of a step is f times the one before, and what it adds: f at 0 at the next step empties it. */
	emptied: () => [runOf([all("f", stepOf("boring") + 1)]).prefix[before]],
	hidden: () => [runOf([all("h", stepOf("boring"))]).prefix[before]],
	butMoves: () => [Math.abs(run.prefix[stepOf("but")] - run.prefix[stepOf("but") - 1])],
};
