// Chapter 5: the whole model as one strip, whose boxes open, and the prediction as a sum.

import { el, fmt, setAttr, setText, svg } from "../dom.js";
import {
	drawMatrix,
	gripAt,
	layoutWords,
	path,
	pictureOf,
	PROBABILITIES,
	rect,
	stroke,
	text,
	yAxis,
} from "../drawing.js";
import { choice, handle, question, slider, unitHandle } from "./parts.js";

const LEFT = 46;
const HEIGHT = 216; // of the opened box
const [ZERO, REACH] = [106, 92]; // of the bars: y of 0, and the height of the largest
const MOST_ROWS = 16; // of a matrix that can have their names
const TUTORIAL = { Embedding: 2_834_816, LSTM: 53_200, Dense: 101 };
const SIGMOID = Array.from({ length: 97 }, (_, n) => -6 + n / 8).map((z) => [z, 1 / (1 + Math.exp(-z))]);
const largest = (values) => values.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-6);
const whole = (n) => n.toLocaleString("en");

export function mount(parts, lesson) {
	const { model } = lesson;
	const { info, units: H } = model;
	const [D, label] = [info.embeddingDim, info.labels[1]];
	const { drawing, grip, heat, rows } = parts;
	const [detail, smallWords, smallSigma] = [parts.detail, parts.smallWords, parts.smallSigma].map(pictureOf);
	const [dense] = model.network.dense;
	const weights = Array.from(dense.weight, (w) => info.weight * w);
	const bias = info.weight * dense.bias[0] + info.shift[0];
	const counts = info.parameters.map(({ count }) => count);
	let open = "dense";

	const strongest = () =>
		lesson.cached("answer unit", () => {
			const h = lastOf(lesson.plain());
			return weights.map((w, k) => [Math.abs(w * h[k]), k]).sort((a, b) => b[0] - a[0])[0][1];
		});
	const lastOf = (run) => run.h.subarray((run.T - 1) * H);
	const unit = () => lesson.state.unit ?? strongest();
	const hold = (value) => {
		const [k, t] = [unit(), lesson.plain().T - 1];
		const others = lesson.state.changes.filter((one) => one.unit !== k);
		lesson.set({
			unit: k,
			changes: value === null ? others : [...others, { gate: "h", unit: k, from: t, to: t, value }],
		});
	};
	const setUnit = unitHandle(parts.unit, lesson);
	const options = {
		label: "h of this unit at the last word",
		min: -1,
		max: 1,
		step: 0.01,
		value: 0,
		onInput: hold,
		reset: () => hold(null),
	};
	const setValue = handle(parts.value, options);
	const setGrip = slider(grip, { ...options, vertical: true, pixels: () => 240 * Math.sign(weights[unit()]) });

	const setOpen = choice([...parts.boxes.children], (name) => {
		open = name;
		lesson.draw();
	});
	for (const [n, name] of ["embeddingCount", "lstmCount", "denseCount"].entries())
		setText(parts[name], `${whole(counts[n])} params`);
	setText(parts.rowsHere, whole(counts[0]));
	question(parts.question, () => {
		const unread = whole(info.vocabSizeBefore - info.vocabSize);
		return {
			right: 1,
			text: `Ids end at ${whole(info.vocabSize - 1)}: ${unread} of the tutorial’s ${whole(info.vocabSizeBefore)} rows are never read.`,
		};
	});

	function drawRows(canvas, { ids, T }) {
		const inputs = Array.from(ids, (id) => model.network.inputOf(id));
		const most = Math.max(...inputs.map(largest));
		drawMatrix(canvas, D, T, (d, t) => inputs[t][d] / most);
	}
	function drawStates(canvas, { h, T }) {
		const most = largest(h);
		drawMatrix(canvas, H, T, (k, t) => h[t * H + k] / most);
	}

	const DETAILS = {
		words() {
			const { ids } = lesson.encoded();
			const width = detail.fit(HEIGHT);
			const size = layoutWords(lesson.names(), width, { size: 20, gap: 24 }).rows > 3 ? 16 : 20;
			const { places, rows: count } = layoutWords(lesson.names(), width, { size, gap: size });
			const pitch = Math.max(42, Math.min(64, HEIGHT / count));
			detail.fit(Math.max(HEIGHT, count * pitch));
			drawing.replaceChildren(
				...places.flatMap(({ x, row }, n) => [
					text(x, 20 + pitch * row, lesson.names()[n], `t${size}`),
					text(x, 38 + pitch * row, ids[n], "t14 muted"),
				]),
			);
			return `${ids.length} ids, after ${whole(info.maxLength - ids.length)} pads. No parameters.`;
		},
		embedding(run) {
			drawRows(heat, run);
			return (
				`Each of the ${run.T} rows is the row of a word, ${D} numbers. ${whole(info.vocabSize)} × ${D} = ${whole(counts[0])} parameters. The tutorial has ` +
				`${whole(info.vocabSizeBefore)} × ${D} = ${whole(TUTORIAL.Embedding)}: rows for all words of the index, though ids end at ${whole(info.vocabSize - 1)}. This model leaves them out.`
			);
		},
		lstm(run) {
			drawStates(heat, run);
			return (
				`h of the ${H} units (columns) after each of ${run.T} steps (rows). 4 × ${H} × (${D} + ${H} + 1) = ${whole(counts[1])} parameters, as in the tutorial: ` +
				`each of f, i, g and o of a unit has ${D} weights for the word, ${H} for h and a bias.`
			);
		},
		dense(run) {
			const width = detail.fit(HEIGHT);
			const h = lastOf(run);
			const order = lesson.cached("answer order", () => {
				const before = lastOf(lesson.plain());
				return weights.map((w, k) => k).sort((a, b) => weights[b] * before[b] - weights[a] * before[a]);
			});
			const values = order.map((k) => weights[k] * h[k]);
			const range = lesson.cached(
				"answer range",
				() => 1.5 * Math.max(0.05, ...order.map((k) => Math.abs(weights[k] * lastOf(lesson.plain())[k]))),
			);
			const y = (v) => ZERO - (REACH * Math.max(-range, Math.min(range, v))) / range;
			const step = (width - LEFT) / H;
			const chosen = order.indexOf(unit());
			const ticks = [
				[range, `+${fmt(range)}`],
				[0, "0"],
				[-range, fmt(-range)],
			];
			drawing.replaceChildren(
				...yAxis(ticks, y, LEFT, width),
				stroke(`M${LEFT},${ZERO}H${width}`, "axis"),
				...values.map((v, n) => {
					const name = `product ${v > 0 ? "for" : "against"}${n === chosen ? " chosen" : ""}`;
					const height = Math.max(0.5, Math.abs(ZERO - y(v)));
					return rect(LEFT + n * step, Math.min(ZERO, y(v)), step - 1, height, name, {
						onclick: () => lesson.set({ unit: order[n] }),
					});
				}),
			);
			const [x, top] = [LEFT + (chosen + 0.5) * step, y(values[chosen])];
			const left = x > width / 2;
			const sum = `unit ${unit()}: ${fmt(weights[unit()])} · ${fmt(h[unit()])} = ${fmt(values[chosen])}`;
			grip.replaceChildren(
				text(x + (left ? -22 : 22), top + 6, sum, "t16 bold", left ? "end" : "start"),
				...gripAt(x, top, [28, 18], [x - 22, 8, 44, 200]),
			);
			setGrip(h[unit()]);
			return `w · h of the ${H} units at the last word, the largest first: blue raises P(${label}), orange lowers it. ${H} weights and a bias: ${counts[2]} parameters.`;
		},
		sigma(run) {
			const width = detail.fit(HEIGHT);
			const [x, y] = [(z) => LEFT + ((z + 6) / 12) * (width - LEFT), (p) => 190 - 172 * p];
			const [x1, y1] = [x(Math.max(-6, Math.min(6, run.logit))), y(run.probability)];
			const sum = `σ(${fmt(run.logit)}) = ${fmt(run.probability)}`;
			drawing.replaceChildren(
				...yAxis(PROBABILITIES, y, LEFT, width),
				...[-6, -3, 0, 3, 6].map((z) => text(Math.min(width - 10, x(z)), 210, fmt(z, 0), "t14 muted")),
				stroke(`M${x1},${y(0)}V${y1}H${LEFT}`, "cutline dashed"),
				stroke(path(SIGMOID.map(([z, p]) => [x(z), y(p)])), "pline"),
				svg("circle", { cx: x1, cy: y1, r: 8, class: "grip" }),
				text(x1 + (x1 > 0.7 * width ? -16 : 16), y1 + 6, sum, "t20 bold", x1 > 0.7 * width ? "end" : "start"),
			);
			return "σ(z) = 1 / (1 + e⁻ᶻ). A logit of 0 is P = ½; the further from 0, the surer the prediction.";
		},
	};

	function drawStrip(run) {
		const [T, h] = [run.T, lastOf(run)];
		const [most, top] = [largest(weights), largest(h)];
		smallWords.fit(52);
		parts.smallWords.replaceChildren(
			...[0, 1, 2].map((row) =>
				text(
					4,
					14 + 18 * row,
					lesson
						.encoded()
						.ids.slice(4 * row, 4 * row + 4)
						.join(" "),
					"t14",
					"start",
				),
			),
		);
		drawRows(parts.smallEmbedding, run);
		drawStates(parts.smallLstm, run);
		drawMatrix(parts.smallDense, H, 2, (k, row) => (row ? h[k] / top : weights[k] / most));
		const width = smallSigma.fit(52);
		const place = ([z, p]) => [((z + 6) / 12) * width, 48 - 44 * p];
		const [cx, cy] = place([Math.max(-6, Math.min(6, run.logit)), run.probability]);
		parts.smallSigma.replaceChildren(
			stroke(path(SIGMOID.map(place)), "pline thinner"),
			svg("circle", { cx, cy, r: 6, class: "grip" }),
		);
		setText(parts.wordsShape, `${T} steps`);
		setText(parts.embeddingShape, `${T} × ${D}`);
		setText(parts.lstmShape, `${T} × ${H}`);
		setOpen(open);
	}

	return {
		draw() {
			const run = lesson.run();
			const hasNames = (open === "embedding" || open === "lstm") && run.T <= MOST_ROWS;
			setUnit(unit());
			setValue(lastOf(run)[unit()]);
			drawStrip(run);
			setAttr(parts.stage, "data-open", open); // lesson.css shows the picture or the matrix
			rows.replaceChildren(...(hasNames ? lesson.names().map((name) => el("span", {}, name)) : []));
			setText(parts.caption, DETAILS[open](run));
			const sum = run.logit - bias;
			setText(
				parts.equation,
				`P = σ(w · h + b) = σ(${fmt(sum)} ${bias < 0 ? "−" : "+"} ${fmt(Math.abs(bias))}) = σ(${fmt(run.logit)}) = ${fmt(run.probability)}`,
			);
		},
	};
}
