// Chapter 6: keep now, say later. A letter has to be said at each question and nowhere else, and the output gate held at 1.

import { fmt } from "../dom.js";
import { PROBABILITIES } from "../drawing.js";
import { sigmoid } from "../model/arrays.js";
import { mountGate } from "./gatechapter.js";

const ASK = 2;

export function mount(parts, lesson) {
	return mountGate(parts, lesson, {
		task: "ask",
		gate: "o",
		gateName: "output gates o",
		level: "hide",
		first: ({ ids }) => ids.indexOf(ASK),
		example: (examples) => examples.find(({ ids }) => ids[0] === 0 && ids.filter((id) => id === ASK).length === 3),
		asked: ({ targets }) => targets.filter(([, label]) => label !== 0.5),
		counts: (example, t) => example.kinds[t] !== "?",
		line: {
			name: () => "P(A) after each step; dashed: with o learned",
			values: (run) => Array.from(run.logits, sigmoid),
			range: () => [0, 1],
			ticks: () => PROBABILITIES,
		},
		marks: ({ ids }) => ids.map((id, t) => [t, id === ASK ? "end asked" : "end"]),
		marked: ({ ids }) => ids.flatMap((id, t) => (t === 0 || id === ASK ? [t] : [])),
		says(example, run) {
			const isSilent = (t) => Math.abs(sigmoid(run.logits[t]) - 0.5) < 0.2;
			const silent = example.ids.filter((id, t) => id !== ASK && isSilent(t)).length;
			const said = example.ids.filter((id, t) => id === ASK && run.logits[t] > 0).length;
			const asks = example.ids.filter((id) => id === ASK).length;
			return `It says A at ${said} of ${asks} questions, and nothing at ${silent} of the ${example.ids.length - asks} other steps.`;
		},
		answer: (free, held) => ({
			right: held > 0.9 ? 0 : 1,
			text: `With o learned it is silent at ${fmt(free)} of the steps without a question, with o at 1 at ${fmt(held)}.`,
		}),
	});
}
