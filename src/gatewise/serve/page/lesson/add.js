// Chapter 4: a memory that adds, and a network that multiplies; how far the gradient reaches back in both, and who learns. Then what
// the memory adds.

import { fmt, setText } from "../dom.js";
import { createCellFigure, numbersOf } from "./cellfigure.js";
import { bars, createRace, gradientShares, shareText } from "./gradients.js";
import { createInputGate } from "./inputgate.js";
import { choice, describe, handle, question } from "./parts.js";
import { firstSymbol } from "./tasks/first.js";
import { trainingOf, unseen } from "./tasks/symbols.js";
import { createTimeline } from "./timeline.js";

const SEED = 1;
const PLAIN = { kind: "plain", seed: SEED };
// The cell of this chapter has no other gates, and its input gate and candidate read the symbol alone.
const ADDING = { kind: "lstm", seed: SEED, forgetBias: 0, frozen: ["i", "f", "g", "o"], held: { f: 1, o: 1 } };
const STEPS = 200;
const DISTANCE = 100;
const [HIGH, ROW, HEIGHT] = [36, 60, 150];

export function mount(parts, lesson) {
	const distance = lesson.param("d", { value: DISTANCE, min: 5, max: 120, step: 1 });
	handle(parts.distance, distance, { label: "Symbols after the first one", format: String, pixels: () => 320 });
	const shares = (options, d) =>
		lesson.cached(`add ${options.kind} ${d}`, () => gradientShares({ distance: d, ...options }));
	question(parts.question, lesson, () => {
		const first = shares(ADDING, DISTANCE)[0];
		const plain = shares(PLAIN, DISTANCE)[0];
		return {
			right: first > 0.5 ? 2 : first > 0.03 ? 1 : 0,
			text: `Through c it is ${shareText(first)} of that at the last step, in the plain network ${shareText(plain)}.`,
		};
	});
	const cell = createCellFigure(parts.cell, { level: "add" });
	const timeline = createTimeline(parts.time, { height: HEIGHT });
	const race = createRace(parts.race, lesson, {
		title: "Accuracy, the same batches",
		steps: STEPS,
		runs: [
			{ name: "plain", kind: "other", isBelow: true, options: PLAIN },
			{ name: "it adds", kind: "now", options: ADDING },
		],
	});
	const { network } = trainingOf(firstSymbol(DISTANCE), SEED, ADDING);
	const view = lesson.param("v", { value: "gradient", values: ["gradient", "gate"] });
	choice([...parts.views.children], view);
	const inputGate = createInputGate(parts, lesson, cell);
	const showsGate = () => lesson.revealed && view.get() === "gate";
	/** What trains in the figure that is shown. */
	function train() {
		if (showsGate()) {
			race.pause();
			inputGate.start();
		} else {
			inputGate.pause();
			if (lesson.revealed) race.train(distance.get());
		}
	}

	return {
		draw() {
			parts.views.closest(".chapter").dataset.view = showsGate() ? "gate" : "gradient";
			train();
			if (showsGate()) return inputGate.draw();
			const d = distance.get();
			const [example] = unseen(firstSymbol(d), SEED, 1);
			const names = example.ids.map((id) => firstSymbol(d).names[id]);
			const run = network.forward(example.x, ADDING.held);
			const adding = shares(ADDING, d);
			const plain = shares(PLAIN, d);
			setText(parts.first, shareText(adding[0]));
			const at = lesson.revealed ? Math.round(d * (1 - (lesson.reveal || 0))) : d;
			cell.draw({
				n: numbersOf(run, at, 0),
				token: names[at],
				gradients: lesson.revealed ? { c: Math.min(1, adding[at]) } : null,
				title: `A unit at step ${at + 1} of ${d + 1}`,
			});
			const layout = timeline.fit(names);
			const until = lesson.revealed ? lesson.reveal : 0;
			timeline.own.replaceChildren(
				...bars(layout, plain, {
					top: 22,
					height: HIGH,
					kind: "gradient",
					name: "gradient of h, plain network",
					until,
				}),
				...bars(layout, adding, {
					top: 22 + ROW,
					height: HIGH,
					kind: "gradient",
					name: "gradient of c, the network that adds",
					until,
				}),
			);
			timeline.drawNames({ marked: [0] });
			race.draw();
			const [isPlain, isAdding] = race.learned();
			const says = (learned) => (learned ? "answers right" : "guesses");
			setText(
				parts.learned,
				lesson.revealed
					? `Batch ${race.batches()} of ${STEPS}: the plain network ${says(isPlain)}, the one that adds ${says(isAdding)}.`
					: "",
			);
			if (!lesson.revealed) return;
			const rows = names.map((_, t) => [t + 1, fmt(plain[t], 6), fmt(adding[t], 6)]);
			describe(
				parts.values,
				"Gradient after each step, as a share of the last step's",
				["step", "plain", "adding"],
				rows,
			);
		},
		show: train,
		hide() {
			race.pause();
			inputGate.pause();
		},
		isBusy: () => lesson.revealed && (showsGate() ? inputGate.isBusy() : !race.isDone()),
	};
}
