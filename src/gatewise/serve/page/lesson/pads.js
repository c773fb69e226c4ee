// Chapter 2: the pads in front of a text are steps too, and the words start from the state that they leave.

import { fmt, setText, svg } from "../dom.js";
import { gripAt, path, pictureOf, PROBABILITIES, rect, stroke, text, yAxis } from "../drawing.js";
import { handle, question, slider } from "./parts.js";

const COUNTS = [0, 1, 2, 4, 7, 12, 20, 35, 60, 100, 200, 400, 700];
const LEFT = 56; // of both plots: the axis labels

export function mount(parts, lesson) {
	const { words, strip, grip, plot, cursor } = parts;
	const [steps, curves] = [parts.steps, parts.curves].map(pictureOf);
	const { model } = lesson;
	const length = model.info.maxLength;
	let pads = null; // null: as many as the model has
	const most = () => length - lesson.encoded().ids.length;
	const count = () => Math.min(pads ?? most(), most());
	const run = (n) => lesson.cached(`pads ${n}`, () => model.run({ ids: lesson.encoded().ids }, { pads: n }));
	const change = (n) => {
		pads = n;
		lesson.draw();
	};
	const options = {
		label: "Number of pads",
		min: 0,
		max: length,
		step: 1,
		value: 0,
		format: String,
		onInput: change,
		reset: () => change(null),
	};
	// A slider over the logarithm: the first pads change the state most.
	const fromLog = (z) => Math.round(10 ** z - 1);
	const logOptions = {
		...options,
		max: 3,
		step: 0.01,
		format: (z) => String(fromLog(z)),
		onInput: (z) => change(fromLog(z)),
	};
	const setCount = handle(parts.count, logOptions);
	const setGrip = slider(grip, {
		...options,
		at: (event) => length - lesson.encoded().ids.length - (steps.at(event)[0] / steps.width()) * length,
	});
	const span = () => curves.width() - LEFT - 16;
	const place = (n) => LEFT + (Math.log10(1 + n) / 3) * span();
	const setCursor = slider(cursor, { ...logOptions, at: (event) => (3 * (curves.at(event)[0] - LEFT)) / span() });
	const yOf = (p) => 302 - 96 * p;
	let drawn = ""; // what the plot shows

	const askAgain = question(parts.question, () => {
		const [all, none] = [run(most()).probability, run(0).probability];
		return {
			right: Math.abs(all - none) < 0.005 ? 0 : 1,
			text: `P = ${fmt(all)} with ${most()} pads, ${fmt(none)} without.`,
		};
	});

	function drawStrip(n) {
		const width = steps.fit(92);
		const x = (step) => (width * step) / length;
		const [first, word] = [most() - n, most()];
		const inside = Array.from({ length: 24 }, (_, k) => (k / 24) * length).filter((at) => at >= first && at < word);
		strip.replaceChildren(
			rect(0, 18, width, 44, "empty", { rx: 6 }),
			rect(x(first), 18, x(n), 44, "padbox", { "data-wire": "pads" }),
			...inside.map((at) => stroke(`M${x(at)},18v44`, "thin")),
			...(x(n) > 110 ? [text(x(first + n / 2), 46, `${n} pads`, "t20")] : []),
			rect(x(word), 18, width - x(word), 44, "wordbox", { rx: 3 }),
			text(width, 84, `${length - most()} ids`, "", "end"),
			text(0, 84, "step 1", "t14 muted", "start"),
		);
		grip.replaceChildren(
			stroke(`M${x(first)},10v60`, "cutline"),
			...gripAt(x(first), 40, [18, 28], [x(first) - 24, 4, 48, 72]),
		);
	}

	function drawPlot() {
		const height = 350;
		const width = curves.fit(height);
		const counts = [...COUNTS.filter((n) => n < most()), most()];
		const key = [lesson.text(), width].join();
		if (key === drawn) return;
		drawn = key;
		const c = model.network.pads(most());
		const H = model.units;
		const range = Math.max(...c.slice(-H).map(Math.abs), 0.1);
		const [top, middle, bottom] = [8, 84, 160];
		const yc = (v) => middle - (v / range) * (middle - top);
		const lines = Array.from({ length: H }, (_, k) => {
			const points = counts.map((n) => [place(n), yc(n ? c[(n - 1) * H + k] : 0)]);
			return stroke(path(points), c[c.length - H + k] < 0 ? "curve minus" : "curve plus");
		});
		const right = width - 16;
		const ticks = [0, 1, 10, 100, most()].map((n) =>
			text(Math.min(place(n), width - 14), height - 26, n.toLocaleString("en"), "t14 muted"),
		);
		const signs = [
			[range, `+${fmt(range)}`],
			[0, "0"],
			[-range, `−${fmt(range)}`],
		];
		const prediction = counts.map((n) => [place(n), yOf(run(n).probability)]);
		plot.replaceChildren(
			svg(
				"g",
				{ "data-wire": "state" },
				...yAxis(signs, yc, LEFT, right),
				...lines,
				text(LEFT + 6, bottom + 14, `memory c of ${H} units after the pads`, "t14 muted", "start"),
			),
			svg(
				"g",
				{ "data-wire": "p" },
				...yAxis(PROBABILITIES, yOf, LEFT, right),
				stroke(path(prediction), "pline"),
				text(LEFT + 6, yOf(1) - 6, `P(${model.info.labels[1]}) by number of pads`, "t14 muted", "start"),
			),
			...ticks,
		);
	}

	function drawCursor(n) {
		const [x, p] = [place(n), run(n).probability];
		const end = x > curves.width() - 90;
		cursor.replaceChildren(
			stroke(`M${x},4V306`, "cutline"),
			text(x + (end ? -14 : 14), yOf(p) - 12, fmt(p), "t20 bold", end ? "end" : "start"),
			...gripAt(x, yOf(p), [16, 16], [x - 24, 0, 48, 306]),
		);
	}

	return {
		run: () => run(count()),
		isChanged: () => count() < most(),
		reset: () => (pads = null),
		draw() {
			const n = count();
			askAgain(lesson.text());
			setText(words, `${length - most()} ids`);
			const log = (x) => Math.log10(1 + x);
			setCount(log(n), [0, log(most())]);
			setGrip(n, [0, most()]);
			setCursor(log(n), [0, log(most())]);
			drawStrip(n);
			drawPlot();
			drawCursor(n);
		},
	};
}
