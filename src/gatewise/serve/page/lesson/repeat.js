// Chapter 2: the simplest memory, one number that is multiplied at each step. What is left of a symbol after 30 steps?

import { fmt, setText } from "../dom.js";
import { path, stroke, text, yAxis } from "../drawing.js";
import { createCellFigure, numbersOf } from "./cellfigure.js";
import { describe, handle, question } from "./parts.js";
import { createTimeline } from "./timeline.js";

export const STEPS = 30;
const WEIGHT = 0.9;
const WEAK = 0.2; // the second, smaller symbol
const [TOP, LINE, HEIGHT] = [30, 140, 206];
const ROOM = 106; // right of the lines, for their ends
const [LOW, HIGH] = [0, 1.15];

/** h of one unit after each of 30 steps, h = act(w h + x): the symbol x enters at the first step, nothing at the others. */
export function repeated(w, x, act = Math.tanh) {
	const h = new Float64Array(STEPS);
	h[0] = act(x);
	for (let t = 1; t < STEPS; t += 1) h[t] = act(w * h[t - 1]);
	return h;
}

/** A number with two digits, or if it is huge without any. */
const sizeText = (value) => (value < 1000 ? fmt(value) : Math.round(value).toLocaleString("en"));

export function mount(parts, lesson) {
	const weight = lesson.param("w", { value: WEIGHT, min: 0, max: 1.5, step: 0.01 });
	const step = lesson.param("s", { value: 0, min: 0, max: STEPS - 1, step: 1 });
	handle(parts.weight, weight, { label: "Weight w" });
	question(parts.question, lesson, () => {
		const h = repeated(WEIGHT, 1);
		const left = h.at(-1) / h[0];
		return {
			right: left > 0.3 ? 0 : left > 0.05 ? 1 : 2,
			text: `h falls from ${fmt(h[0])} to ${fmt(h.at(-1))}: ${fmt(left)} of it is left.`,
		};
	});
	const timeline = createTimeline(parts.time, { height: HEIGHT, step, label: "Step of the cell", right: ROOM });
	const cell = createCellFigure(parts.cell, { level: "plain" });
	const names = Array.from({ length: STEPS }, (_, t) => (t ? "0" : "1"));

	/** Two ends of lines, apart enough to be read. */
	function ends(layout, y, rows) {
		const placed = rows.map(([value, name, kind]) => ({ at: y(value) + 5, name, kind })).sort((a, b) => a.at - b.at);
		for (let n = 1; n < placed.length; n += 1) placed[n].at = Math.max(placed[n].at, placed[n - 1].at + 17);
		return placed.map(({ at, name, kind }) => text(layout.right + 8, at, name, `t14 ${kind}`, "start"));
	}

	function drawLines(w, h, weak, linear) {
		const layout = timeline.fit(names);
		const y = (value) => TOP + ((HIGH - Math.max(LOW, Math.min(HIGH, value))) / (HIGH - LOW)) * LINE;
		const until = lesson.revealed ? Math.max(1, Math.round(STEPS * lesson.reveal)) : 1;
		const line = (values) => path(Array.from(values.slice(0, until), (value, t) => [layout.x(t), y(value)]));
		const isWhole = lesson.reveal === 1;
		timeline.own.replaceChildren(
			text(layout.left + 30, 14, "h after each step; dashed: without tanh", "t14 muted", "start"),
			...yAxis(
				[
					[1, "1"],
					[0, "0"],
				],
				y,
				layout.left,
				layout.right,
			),
			...(lesson.revealed
				? [
						stroke(line(linear), "pline before", { "data-wire": "linear" }),
						stroke(line(weak), "pline weak", { "data-wire": "h" }),
						stroke(line(h), "pline", { "data-wire": "h" }),
					]
				: []),
			...(isWhole
				? ends(layout, y, [
						[h.at(-1), `x = 1: ${fmt(h.at(-1))}`, ""],
						[weak.at(-1), `x = ${fmt(WEAK, 1)}: ${fmt(weak.at(-1))}`, "gate"],
					])
				: []),
			...(isWhole && linear.at(-1) > HIGH
				? [text(layout.right + 8, 14, `↑ ${sizeText(linear.at(-1))}`, "t14 muted", "start")]
				: []),
		);
		timeline.drawNames({ marked: [0] });
	}

	return {
		draw() {
			const w = weight.get();
			const h = repeated(w, 1);
			const weak = repeated(w, WEAK);
			const linear = repeated(w, 1, (z) => z);
			setText(parts.left, fmt(h.at(-1)));
			setText(parts.linear, sizeText(linear.at(-1)));
			drawLines(w, h, weak, linear);
			const t = lesson.revealed ? step.get() : 0;
			const n = numbersOf({ units: 1, h }, t, 0);
			cell.draw({ n, token: t ? "x = 0" : "x = 1", title: `The unit at step ${t + 1}` });
			const sum = t ? `${fmt(w)} · ${fmt(h[t - 1])} + 0` : `${fmt(w)} · 0 + 1`;
			setText(parts.equation, `Step ${t + 1}: h = tanh(${sum}) = ${fmt(h[t])}`);
			if (!lesson.revealed) return;
			const rows = Array.from(h, (value, n) => [n + 1, fmt(value), fmt(weak[n]), sizeText(linear[n])]);
			describe(parts.values, `h with w = ${fmt(w)}`, ["step", "x = 1", `x = ${WEAK}`, "without tanh"], rows);
		},
	};
}
