// Chapter 11: why attention took the place of the LSTM, where the LSTM still fits, and how to go on: the code of the cell, line by line.

import { fmt, setAttr, setText, svg } from "../dom.js";
import { pictureOf, rect, stroke, text } from "../drawing.js";
import { sigmoid } from "../model/arrays.js";
import { createCellFigure } from "./cellfigure.js";
import { choice, describe, handle, question } from "./parts.js";

const WIDTH = 64; // units of the LSTM, numbers per step of the attention
const SMALLEST = 3; // of the lengths 2 ** n
const LARGEST = 14;
const MOST_DRAWN = 24; // steps in the picture
const VIEWS = ["race", "where", "data", "network", "code"];
const count = (n) => n.toLocaleString("en");

/** What a layer of `width` costs over T steps: multiplications, steps one after the other, numbers kept for the next step. The LSTM
 * multiplies the input and h by matrices of 4 x width rows; attention (one head) makes query, key, value and output of each
 * step, and compares and sums over it and the steps before it. */
export const costs = (T, width = WIDTH) => ({
	lstm: { work: 8 * width ** 2 * T, inTurn: T, kept: 2 * width },
	attention: { work: 4 * width ** 2 * T + width * T * (T + 1), inTurn: 1, kept: 2 * width * T },
});

/** The lines of cell.py, the parts of the figure that they compute, and their numbers: `example` is that of its docstring. */
const example = { pre: { i: 0, f: 2, g: 0.5, o: 1 }, cPrev: 0.4 };
const numbers = (() => {
	const { pre, cPrev } = example;
	const [i, f, g, o] = [sigmoid(pre.i), sigmoid(pre.f), Math.tanh(pre.g), sigmoid(pre.o)];
	const c = f * cPrev + i * g;
	const tanh = Math.tanh(c);
	return { i, f, g, o, c, h: o * tanh, cPrev, hPrev: 0, kept: f * cPrev, written: i * g, tanh, contribution: 0 };
})();
const dh = 1; // the gradient of h in the backward lines
const dc = dh * numbers.o * (1 - numbers.tanh ** 2);
const n4 = (x) => fmt(x, 4);
export const LINES = [
	["pre = pre_x + h_prev @ weight_hh.T", ["x"], "0, 2, 0.5 and 1"],
	[
		"gates = np.concatenate([sigmoid(pre_i), sigmoid(pre_f), np.tanh(pre_g), sigmoid(pre_o)], axis=-1)",
		["i", "f", "g", "o"],
		["i", "f", "g", "o"].map((name) => `${name} = ${n4(numbers[name])}`).join(", "),
	],
	[
		"c = f * c_prev + i * g",
		["c", "f", "i", "g"],
		`${n4(numbers.f)} · 0.4 + 0.5 · ${n4(numbers.g)} = ${n4(numbers.c)}`,
	],
	["h = o * np.tanh(c)", ["h", "o"], `${n4(numbers.o)} · ${n4(numbers.tanh)} = ${n4(numbers.h)}`],
	["dc = dc + dh * o * (1 - tanh_c * tanh_c)", ["c", "h"], `with dh = 1 and dc = 0: ${n4(dc)}`],
	["dpre_f = dc * c_prev * s_f * (1 - s_f)", ["f"], n4(dc * numbers.cPrev * numbers.f * (1 - numbers.f))],
	["dpre_i = dc * g * s_i * (1 - s_i)", ["i"], n4(dc * numbers.g * numbers.i * (1 - numbers.i))],
	["return dpre, dpre @ weight_hh, dc * f", ["c"], `to the step before: dc · f = ${n4(dc * numbers.f)}`],
];

export function mount(parts, lesson) {
	const power = lesson.param("n", { value: 8, min: SMALLEST, max: LARGEST, step: 1 });
	const view = lesson.param("v", { value: VIEWS[0], values: VIEWS });
	const line = lesson.param("line", { value: 2, min: 0, max: LINES.length - 1, step: 1 });
	const picture = pictureOf(parts.race);
	const length = () => 2 ** power.get();
	handle(parts.length, power, { label: "Words of the text", format: (n) => count(2 ** Math.round(n)) });
	question(parts.question, lesson, () => ({
		right: 0,
		text: "Each step needs the h of the step before it. The chip waits 1,000 times, in training too.",
	}));
	choice([...parts.views.children], view);
	const cell = createCellFigure(parts.cell, { level: "whole" });
	const lines = [...parts.lines.children];
	lines.forEach((one, n) => {
		const code = one.firstElementChild;
		setText(code, LINES[n][0]);
		for (const name of ["click", "focus", "pointerenter"]) one.addEventListener(name, () => line.set(n));
	});

	function drawRace() {
		const T = length();
		const drawn = Math.min(T, MOST_DRAWN);
		const width = picture.fit(236);
		const each = (width - 8) / drawn;
		const size = Math.min(20, each - 4);
		const x = (t) => 4 + each * (t + 0.5);
		const isRevealed = lesson.revealed;
		const done = isRevealed ? Math.floor(lesson.reveal * drawn) : 0;
		const [yLstm, yAttention] = [56, 194];
		const nodes = (y, isDone) =>
			Array.from({ length: drawn }, (_, t) =>
				rect(x(t) - size / 2, y - size / 2, size, size, isDone(t) ? "step done" : "step", { rx: 4 }),
			);
		const arcs = [];
		if (isRevealed) {
			for (let t = 1; t < drawn; t += 1) {
				for (let s = 0; s < t; s += 1) {
					const high = 8 + 58 * ((t - s) / drawn);
					arcs.push(
						`M${x(s)},${yAttention - size / 2}C${x(s)},${yAttention - high - 14} ${x(t)},${yAttention - high - 14} ${x(t)},${yAttention - size / 2}`,
					);
				}
			}
		}
		const chain = Array.from(
			{ length: Math.max(0, done - 1) },
			(_, t) => `M${x(t) + size / 2},${yLstm}H${x(t + 1) - size / 2}`,
		);
		const all = T > drawn ? `${drawn} of ${count(T)} steps` : `${T} steps`;
		parts.race.replaceChildren(
			text(4, 20, `LSTM: ${all}`, "bold", "start"),
			text(width - 4, 20, isRevealed ? `${count(lesson.reveal < 1 ? done : T)} in turn` : "", "bold", "end"),
			svg("g", { "data-wire": "state" }, stroke(chain.join(""), "chain")),
			...nodes(yLstm, (t) => t < done),
			text(4, 104, `Attention: ${all}`, "bold", "start"),
			text(width - 4, 104, isRevealed ? "all at once" : "", "bold", "end"),
			svg("g", { "data-wire": "attention" }, stroke(arcs.join(""), "arcs")),
			...nodes(yAttention, () => isRevealed),
		);
	}

	function drawCosts() {
		const { lstm, attention } = costs(length());
		for (const [name, cost] of Object.entries({ lstm, attention })) {
			for (const [key, value] of Object.entries(cost)) setText(parts[`${name}-${key}`], count(value));
		}
		const ratio = attention.work / lstm.work;
		setText(parts.ratio, `Attention needs ${fmt(ratio)} times the multiplications of the LSTM.`);
	}

	function drawCode() {
		const [, lit, result] = LINES[line.get()];
		lines.forEach((one, n) => setAttr(one, "aria-pressed", n === line.get()));
		cell.draw({ n: numbers, token: "x", lit, title: "The example of cell.py" });
		setText(parts.result, `Here: ${result}`);
	}

	return {
		draw() {
			for (const name of VIEWS) parts[name === "race" ? "raceview" : name].hidden = name !== view.get();
			if (view.get() === "race") drawRace();
			if (view.get() === "code") drawCode();
			drawCosts();
			if (lesson.revealed) {
				const { lstm, attention } = costs(length());
				describe(
					parts.values,
					`LSTM and attention over ${count(length())} words`,
					["figure", "LSTM", "attention"],
					[
						["steps in turn", lstm.inTurn, attention.inTurn],
						["multiplications", lstm.work, attention.work],
						["numbers kept", lstm.kept, attention.kept],
					].map(([name, ...values]) => [name, ...values.map(count)]),
				);
			}
		},
	};
}
