// Chapter 5: without forgetting, c counts for ever. A task with a RESET symbol, and the forget gate held at 1.

import { fmt } from "../dom.js";
import { mountGate } from "./gatechapter.js";

const [A, B, RESET] = [0, 1, 2];
const excess = (ids) => ids.filter((id) => id === A).length - ids.filter((id) => id === B).length;
const resetOf = ({ ids }) => ids.indexOf(RESET);

export function mount(parts, lesson) {
	return mountGate(parts, lesson, {
		task: "reset",
		gate: "f",
		base: { o: 1 },
		gateName: "forget gates f",
		level: "forget",
		first: resetOf,
		/** One whose letters before R mislead. */
		example: (examples) => {
			const misleads = ({ ids, label }) => excess(ids.slice(0, ids.indexOf(RESET))) > 2 !== (label === 1);
			return examples.find((one) => misleads(one) && one.label === 0);
		},
		asked: ({ ids, label }) => [[ids.length - 1, label]],
		counts: () => true,
		line: {
			name: (k) => `memory c of unit ${k}; dashed: with f learned`,
			values: (run, k) => Array.from({ length: run.T }, (_, t) => run.c[t * run.units + k]),
			range: (values) => [Math.min(-0.5, ...values), Math.max(0.5, ...values)],
			ticks: () => [[0, "0"]],
		},
		marks: () => [],
		marked: (example) => [resetOf(example)],
		says(example, run, p) {
			const isRight = p > 0.5 === (example.label === 1);
			const after = excess(example.ids.slice(resetOf(example)));
			const truth = after > 0 ? "A" : "B";
			return `Since R there are more ${truth}. The network says ${p > 0.5 ? "A" : "B"}, P(A) = ${fmt(p)}: ${isRight ? "right" : "wrong"}.`;
		},
		answer: (free, held) => ({
			right: held > 0.9 ? 0 : held > 0.65 ? 1 : 2,
			text: `${Math.round(200 * free)} of 200 new sequences are right with f learned, ${Math.round(200 * held)} with f at 1: c keeps counting.`,
		}),
	});
}
