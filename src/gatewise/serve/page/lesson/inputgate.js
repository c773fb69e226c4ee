// The second figure of chapter 4: which symbols a memory takes up, and what it holds if it takes up all of them.

import { fmt, setText } from "../dom.js";
import { path, stroke, text, yAxis } from "../drawing.js";
import { sigmoid } from "../model/arrays.js";
import { accuracyOf } from "../trainer/training.js";
import { numbersOf } from "./cellfigure.js";
import { gateRows, heightOfRows } from "./gaterows.js";
import { meanGate, sharesOf, TASKS, trainingRun } from "./networks.js";
import { choice, describe, handle } from "./parts.js";
import { unseen } from "./tasks/symbols.js";
import { createTimeline } from "./timeline.js";

const BASE = { f: 1, o: 1 }; // the cell of the chapter has no other gates
const SEED = 2; // of the sequences
const TESTED = 200; // sequences of the share that a sentence names,
const QUICK = 60; // and while a handle is dragged
const [TOP, HEADS, LINE, HEIGHT] = [22, 24, 80, 222];

/** parts: value, right, mode, marked, progress, says, atMark, elsewhere, gatevalues of the chapter. cell: its figure of the cell. */
export function createInputGate(parts, lesson, cell) {
	const task = TASKS.marked;
	const examples = unseen(task, SEED, TESTED);
	const example = examples.find(({ at }) => at > 8 && at < 16);
	const names = example.ids.map((id) => task.names[id]);
	const T = names.length;
	const { units } = task.settings;
	const asked = ({ label }) => [[T - 1, label]];

	const value = lesson.param("i", { value: 1, min: 0, max: 1, step: 0.01 });
	const mode = lesson.param("m", { value: "learned", values: ["learned", "held"] });
	const step = lesson.param("s", { value: example.at, min: 0, max: T - 1, step: 1 });
	handle(parts.value, value, { label: "Input gate, held at" });
	value.watch(() => mode.set("held"));
	choice([...parts.mode.children], mode);
	const timeline = createTimeline(parts.marked, { height: HEIGHT, step, label: "Step of the cell" });

	const job = trainingRun("marked", BASE, () => {
		if (job.done || !lesson.isStill) lesson.draw();
	});
	const key = (name) => `marked ${name} ${job.curve.length}`;
	const accuracy = (held, count) =>
		lesson.cached(key(`${JSON.stringify(held)} ${count}`), () =>
			accuracyOf(job.network, examples.slice(0, count), { held: { ...BASE, ...held } }),
		);
	/** The unit that carries most of the answer, and i at the mark and elsewhere, each unit weighted by what it carries. */
	const gates = () =>
		lesson.cached(key("gates"), () => {
			const some = examples.slice(0, QUICK);
			const shares = sharesOf(job.network, some, asked, BASE);
			const [atMark, elsewhere] = ["marked", "other"].map((kind) =>
				meanGate(job.network, some, { gate: "i", kind, shares }),
			);
			return { atMark, elsewhere, carrier: shares.indexOf(Math.max(...shares)) };
		});

	function drawTime(run, learned, carrier) {
		const layout = timeline.fit(names);
		const top = TOP + heightOfRows(units) + HEADS;
		const memory = (one) => Array.from({ length: T }, (_, t) => one.c[t * units + carrier]);
		const all = [...memory(run), ...memory(learned)];
		const low = Math.min(-0.5, ...all);
		const high = Math.max(0.5, ...all);
		const y = (c) => top + ((high - c) / (high - low)) * LINE;
		const line = (one) => path(memory(one).map((c, t) => [layout.x(t), y(c)]));
		timeline.own.replaceChildren(
			text(layout.left, 14, `input gates i of the ${units} units; filled is 1`, "t14 muted", "start"),
			...gateRows(layout, run.i, { units, top: TOP, carrier }),
			text(layout.left, top - 8, `memory c of unit ${carrier}; dashed: with i learned`, "t14 muted", "start"),
			...yAxis([[0, "0"]], y, layout.left, layout.right),
			stroke(line(learned), "pline before"),
			stroke(line(run), "pline", { "data-wire": "c" }),
		);
		timeline.drawNames({ marked: [example.at] });
	}

	return {
		draw() {
			const isHeld = mode.get() === "held";
			const held = isHeld ? { i: value.get() } : {};
			const learned = job.network.forward(example.x, BASE);
			const run = isHeld ? job.network.forward(example.x, { ...BASE, ...held }) : learned;
			const { atMark, elsewhere, carrier } = gates();
			const t = step.get();
			const mark = t === example.at ? ", marked" : "";
			const scale = Math.max(1, ...Array.from({ length: T }, (_, n) => Math.abs(run.c[n * units + carrier])));
			cell.draw({
				n: numbersOf(run, t, carrier),
				token: `${names[t]}${mark}`,
				scale,
				held: new Set(Object.keys(held)),
				title: `Unit ${carrier} at step ${t + 1}`,
			});
			drawTime(run, learned, carrier);
			const count = parts.value.matches(":active") ? QUICK : TESTED;
			setText(parts.right, fmt(accuracy({ i: value.get() }, count)));
			setText(parts.atMark, job.done ? fmt(atMark) : "…");
			setText(parts.elsewhere, job.done ? fmt(elsewhere) : "…");
			const share = job.curve.at(-1)?.accuracy;
			const now = job.done ? `Trained on ${job.steps} batches` : `Batch ${job.curve.length} of ${job.steps}`;
			setText(parts.progress, `${now}${share === undefined ? "" : `, accuracy ${fmt(share)}`}.`);
			const p = sigmoid(run.logit);
			const said = p > 0.5 ? "A" : "B";
			const truth = names[example.at];
			const judgement = said === truth ? "right" : "wrong";
			setText(
				parts.says,
				job.done ? `The marked symbol is ${truth}. The network says ${said}, P(A) = ${fmt(p)}: ${judgement}.` : "",
			);
			const rows = names.map((name, n) => [
				n + 1,
				n === example.at ? `${name}, marked` : name,
				fmt(run.i[n * units + carrier]),
				fmt(run.c[n * units + carrier]),
			]);
			describe(parts.values, `Input gate and memory of unit ${carrier}`, ["step", "symbol", "i", "c"], rows);
		},
		start: () => job.start(),
		pause: () => job.pause(),
		isBusy: () => !job.done,
	};
}
