// Chapter 3: the gradient of a plain network becomes smaller on its way back, and whether it learns depends on the start.

import { fmt, setText } from "../dom.js";
import { createCellFigure, numbersOf } from "./cellfigure.js";
import { bars, createRace, gradientShares, shareText } from "./gradients.js";
import { describe, handle, question } from "./parts.js";
import { firstSymbol } from "./tasks/first.js";
import { trainingOf, unseen } from "./tasks/symbols.js";
import { createTimeline } from "./timeline.js";

const PLAIN = { kind: "plain" };
const STARTS = [1, 2, 3, 4, 5];
const STEPS = 100;
const DISTANCE = 40;
const [TOP, HIGH, HEIGHT] = [22, 74, 132];

export function mount(parts, lesson) {
	const distance = lesson.param("d", { value: DISTANCE, min: 5, max: 100, step: 1 });
	handle(parts.distance, distance, { label: "Symbols after the first one", format: String, pixels: () => 320 });
	const shares = (d) => lesson.cached(`fade ${d}`, () => gradientShares({ distance: d, ...PLAIN }));
	question(parts.question, lesson, () => {
		const first = shares(DISTANCE)[0];
		return {
			right: first > 0.5 ? 0 : first > 0.001 ? 1 : 2,
			text: `It is ${shareText(first)} of that at the last step. Each step back multiplies it by the same weights and by the slope of tanh, which is at most 1.`,
		};
	});
	const cell = createCellFigure(parts.cell, { level: "plain" });
	const timeline = createTimeline(parts.time, { height: HEIGHT });
	const race = createRace(parts.race, lesson, {
		title: `Accuracy from ${STARTS.length} starts`,
		steps: STEPS,
		runs: STARTS.map((seed) => ({ name: "", kind: seed === 1 ? "now" : "other", options: { ...PLAIN, seed } })),
	});
	const { network } = trainingOf(firstSymbol(DISTANCE), 1, PLAIN);

	return {
		draw() {
			const d = distance.get();
			const all = shares(d);
			const [example] = unseen(firstSymbol(d), 1, 1);
			const names = example.ids.map((id) => firstSymbol(d).names[id]);
			const run = network.forward(example.x);
			setText(parts.first, shareText(all[0]));
			// The gradient goes back from the last step to the first one while the answer appears.
			const at = lesson.revealed ? Math.round(d * (1 - (lesson.reveal || 0))) : d;
			cell.draw({
				n: numbersOf(run, at, 0),
				token: names[at],
				gradients: { h: all[at] },
				title: `A unit at step ${at + 1} of ${d + 1}, and the gradient that leaves it backwards`,
			});
			const layout = timeline.fit(names);
			timeline.own.replaceChildren(
				...bars(layout, all, {
					top: TOP,
					height: HIGH,
					kind: "gradient",
					name: "gradient of h after each step",
					until: lesson.revealed ? lesson.reveal : 1 / (d + 1),
				}),
			);
			timeline.drawNames({ marked: [0] });
			if (lesson.revealed) race.train(d);
			race.draw();
			const learned = race.learned().filter(Boolean).length;
			setText(
				parts.learned,
				lesson.revealed
					? `Batch ${race.batches()} of ${STEPS}: ${learned} of ${STARTS.length} starts answer right.`
					: "",
			);
			if (!lesson.revealed) return;
			describe(
				parts.values,
				"Gradient after each step",
				["step", "share of the last step's"],
				Array.from(all, (share, t) => [t + 1, fmt(share, 6)]),
			);
		},
		show: () => lesson.revealed && race.train(distance.get()),
		hide: race.pause,
		isBusy: () => lesson.revealed && !race.isDone(),
	};
}
