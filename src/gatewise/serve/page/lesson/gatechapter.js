// What the chapters on the forget gate and on the output gate share: a small network learns a task, then one of its gates is held.

import { fmt, setText, svg } from "../dom.js";
import { path, stroke, text, yAxis } from "../drawing.js";
import { sigmoid } from "../model/arrays.js";
import { accuracyOf } from "../trainer/training.js";
import { createCellFigure, numbersOf } from "./cellfigure.js";
import { gateRows, heightOfRows } from "./gaterows.js";
import { sharesOf, TASKS, trainingRun } from "./networks.js";
import { choice, describe, handle, question } from "./parts.js";
import { unseen } from "./tasks/symbols.js";
import { createTimeline } from "./timeline.js";

const SEED = 1;
const TESTED = 200; // sequences of the accuracies that a sentence names,
const QUICK = 60; // and while a handle is dragged
const TOP = 22; // of the first row, below its name
const LINE = 62; // height of the line
const [HEADS, HEIGHT] = [24, 204];

/** config: task, gate: names; base: gates that this cell does not have, held at 1; level: of the cell; gateName; first: the step at which the cell stands; line: {name, range, ticks,
 * values(run, unit)}; example(examples): the sequence that is shown; asked(example): [step, label] of its answers;
 * counts(example, step): the targets whose share of right answers is shown; answer(free, held): of the question. */
export function mountGate(parts, lesson, config) {
	const { gate, base = {} } = config;
	const task = TASKS[config.task];
	const examples = unseen(task, SEED, TESTED);
	const example = config.example(examples);
	const names = example.ids.map((id) => task.names[id]);
	const T = names.length;
	const units = task.settings.units;

	const value = lesson.param("v", { value: 1, min: 0, max: 1, step: 0.01 });
	const mode = lesson.param("m", { value: "held", values: ["learned", "held"] });
	const trained = lesson.param("r", { value: "free", values: ["free", "held"] });
	const step = lesson.param("s", { value: config.first(example), min: 0, max: T - 1, step: 1 });
	handle(parts.value, value, { label: `${config.gateName}, held at` });
	value.watch(() => mode.set("held"));
	choice([...parts.mode.children], mode);
	choice([...parts.trained.children], trained);

	const onStep = () => {
		if (job().done || !lesson.isStill) lesson.draw();
		if (job().done) asked.refresh();
	};
	const free = trainingRun(config.task, base, onStep);
	const other = () => trainingRun(config.task, { ...base, [gate]: 1 }, onStep); // it learns with the gate at 1
	const job = () => (trained.get() === "free" ? free : other());
	trained.watch(() => {
		free.pause();
		job().start();
	});

	const accuracy = (held, count = TESTED) =>
		lesson.cached(`${config.task} ${trained.get()} ${job().curve.length} ${JSON.stringify(held)} ${count}`, () =>
			accuracyOf(job().network, examples.slice(0, count), { held: { ...base, ...held }, which: config.counts }),
		);
	const asked = question(parts.question, lesson, () => {
		if (!free.done) return { right: null, text: "The network is still learning." };
		const test = (held) => accuracyOf(free.network, examples, { held: { ...base, ...held }, which: config.counts });
		return config.answer(test({}), test({ [gate]: 1 }));
	});

	const timeline = createTimeline(parts.time, { height: HEIGHT, step, label: "Step of the cell" });
	const cell = createCellFigure(parts.cell, { level: config.level });
	/** The unit that carries most of the answer. */
	const unit = () =>
		lesson.cached(`${config.task} unit ${trained.get()} ${job().curve.length}`, () => {
			const shares = sharesOf(job().network, examples.slice(0, QUICK), config.asked, base);
			return shares.indexOf(Math.max(...shares));
		});

	function drawRows(run, learned, k) {
		const layout = timeline.fit(names);
		const top = TOP + heightOfRows(units) + HEADS;
		const values = config.line.values(run, k);
		const before = config.line.values(learned, k);
		const [low, high] = config.line.range([...values, ...before]);
		const y = (v) => top + ((high - v) / (high - low)) * LINE;
		const until = Math.max(0, Math.round(T * (lesson.reveal || 1)));
		const points = Array.from(values.slice(0, until), (v, t) => [layout.x(t), y(v)]);
		const p = sigmoid(run.logit);
		timeline.own.replaceChildren(
			text(layout.left, 14, `${config.gateName} of the ${units} units; filled is 1`, "t14 muted", "start"),
			...(lesson.revealed
				? gateRows(layout, run[gate], { units, top: TOP, carrier: k })
				: [text(layout.left + 20, TOP + heightOfRows(units) / 2, "?", "t20 muted")]),
			text(layout.left, top - 8, config.line.name(k), "t14 muted", "start"),
			...yAxis(config.line.ticks(values), y, layout.left, layout.right),
			...(lesson.revealed
				? [
						stroke(path(Array.from(before, (v, t) => [layout.x(t), y(v)])), "pline before"),
						stroke(path(points), "pline", { "data-wire": "c" }),
						...config
							.marks(example, run)
							.map(([t, name]) => svg("circle", { cx: layout.x(t), cy: y(values[t]), r: 5, class: name })),
					]
				: []),
		);
		timeline.drawNames({ marked: config.marked(example) });
		setText(parts.says, lesson.revealed && job().done ? config.says(example, run, p) : "");
	}

	return {
		draw() {
			const held = lesson.revealed && mode.get() === "held" ? { [gate]: value.get() } : {};
			const learned = job().network.forward(example.x, base);
			const run = job().network.forward(example.x, { ...base, ...held });
			const k = unit();
			const t = step.get();
			const isFast = parts.value.matches(":active");
			setText(parts.right, fmt(accuracy({ [gate]: value.get() }, isFast ? QUICK : TESTED)));
			const { curve, done, steps } = job();
			const recent = curve.slice(-5);
			const recentAccuracy = recent.reduce((sum, one) => sum + one.accuracy / recent.length, 0);
			const now = done ? `Trained on ${steps} batches` : `Batch ${curve.length} of ${steps}`;
			setText(parts.progress, `${now}${recent.length ? `, accuracy ${fmt(recentAccuracy)}` : ""}.`);
			drawRows(run, learned, k);
			const scale = Math.max(1, ...Array.from({ length: T }, (_, n) => Math.abs(run.c[n * units + k])));
			cell.draw({
				n: numbersOf(run, t, k),
				token: names[t],
				scale,
				held: new Set(Object.keys(held)),
				title: `Unit ${k} at step ${t + 1}`,
			});
			if (!lesson.revealed) return;
			const values = config.line.values(run, k);
			const rows = names.map((name, n) => [n + 1, name, fmt(run[gate][n * units + k]), fmt(values[n])]);
			describe(parts.values, config.line.name(k), ["step", "symbol", `${gate} of unit ${k}`, "line"], rows);
		},
		show: () => job().start(),
		hide: () => job().pause(),
		isBusy: () => !job().done,
	};
}
