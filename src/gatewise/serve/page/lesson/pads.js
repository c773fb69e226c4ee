// Chapter 2: the pads in front of a text are steps too, and the words start from the state that they leave.

import { el, fmt, svg } from "../dom.js";
import { createPicture, path, text } from "./figure.js";
import { handle, page, question, slider, term } from "./parts.js";

const COUNTS = [0, 1, 2, 3, 5, 7, 10, 14, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 700];
const LEFT = 56; // of both plots: the axis labels

function mount(element, lesson) {
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
	const options = { label: "Number of pads", min: 0, max: length, step: 1, value: 0, format: String, onInput: change, reset: () => change(null) };
	// A slider over the logarithm: the first pads change the state most.
	const fromLog = (z) => Math.round(10 ** z - 1);
	const logOptions = { ...options, max: 3, step: 0.01, format: (z) => String(fromLog(z)), onInput: (z) => change(fromLog(z)) };
	const number = handle(logOptions);
	const words = el("span", {}, "");

	const strip = svg("g", {});
	const grip = svg("g", {});
	const steps = createPicture("The sequence of 1,000 steps", strip, grip);
	const setGrip = slider(grip, { ...options, at: (event) => length - lesson.encoded().ids.length - (steps.at(event)[0] / stripWidth) * length });
	let stripWidth = 800;

	const plot = svg("g", {});
	const cursor = svg("g", {});
	const curves = createPicture("The state after the pads, and the prediction", plot, cursor);
	let plotWidth = 800;
	const place = (n) => LEFT + (Math.log10(1 + n) / 3) * (plotWidth - LEFT - 16);
	const setCursor = slider(cursor, { ...logOptions, at: (event) => (3 * (curves.at(event)[0] - LEFT)) / (plotWidth - LEFT - 16) });
	let drawn = ""; // what the plot shows

	page(element, lesson, "pads", {
		prose: [
			["The model reads 1,000 steps. This text has ", words, ", so ", number.element, " ", term("pads", "pads"), " (id 0) stand in front of them."],
			["A pad goes through the cell like a word. The pads drive the ", term("state", "memory c"), " of all 100 units to a state that stays."],
			["The words start from this state. A mask would skip the pads: ", term("p", "the prediction"), " at 0."],
		],
		question: question({
			ask: "Is the prediction the same without the pads?",
			options: ["The same", "Another one"],
			answer() {
				const [all, none] = [run(most()).probability, run(0).probability];
				return { right: Math.abs(all - none) < 0.005 ? 0 : 1, text: `P = ${fmt(all)} with ${most()} pads, ${fmt(none)} without.` };
			},
		}),
		why: ["A batch has sequences of one length. The pads stand in front, so that the last step, which the prediction reads, is a word."],
		figure: el("div", {}, el("div", {}, steps.node), el("div", {}, curves.node)),
		code: { keras: "pad_sequences(x, maxlen=1000)", gatewise: 'padding="pre", max_length=1000' },
	});

	function drawStrip(n) {
		stripWidth = steps.fit(92);
		const x = (step) => (stripWidth * step) / length;
		const [first, word] = [most() - n, most()];
		const shown = text(x(first + n / 2), 46, `${n} pads`, "t20");
		const middle = (x(word) + stripWidth) / 2;
		strip.replaceChildren(
			svg("rect", { x: 0, y: 18, width: stripWidth, height: 44, rx: 6, class: "empty" }),
			svg("rect", { x: x(first), y: 18, width: x(n), height: 44, class: "padbox", "data-wire": "pads" }),
			...Array.from({ length: 24 }, (_, k) => (k / 24) * length).filter((at) => at >= first && at < word).map((at) => svg("path", { d: `M${x(at)},18v44`, class: "thin" })),
			...(x(n) > 110 ? [shown] : []),
			svg("rect", { x: x(word), y: 18, width: stripWidth - x(word), height: 44, rx: 3, class: "wordbox" }),
			text(Math.min(stripWidth, Math.max(middle, 40)), 84, `${length - most()} ids`, "t16", "end"), text(0, 84, "step 1", "t14 muted", "start"));
		grip.replaceChildren(svg("path", { d: `M${x(first)},10v60`, class: "cutline" }), svg("rect", { x: x(first) - 9, y: 26, width: 18, height: 28, rx: 9, class: "grip" }),
			svg("rect", { x: x(first) - 24, y: 4, width: 48, height: 72, class: "reach" }));
	}

	/** The plots. The runs behind the curve of the prediction take several frames of 6 ms. */
	function drawPlot() {
		const height = 350;
		plotWidth = curves.fit(height);
		const counts = [...COUNTS.filter((n) => n < most()), most()];
		const known = lesson.cached("known", () => []);
		const next = counts.filter((n) => !known.includes(n));
		const end = performance.now() + 6;
		while (next.length && performance.now() < end) {
			run(next[0]);
			known.push(next.shift());
		}
		if (next.length) lesson.draw();
		const key = [lesson.text(), plotWidth, known.length].join();
		if (key === drawn) return;
		drawn = key;
		const { c } = model.pads(most());
		const H = model.units;
		const range = Math.max(...c.slice(-H).map(Math.abs), 0.1);
		const [top, middle, bottom] = [8, 84, 160];
		const yc = (v) => middle - (v / range) * (middle - top);
		const lines = Array.from({ length: H }, (_, k) => {
			const points = counts.map((n) => [place(n), yc(n ? c[(n - 1) * H + k] : 0)]);
			return svg("path", { d: path(points), class: c[c.length - H + k] < 0 ? "curve minus" : "curve plus" });
		});
		const [one, zero] = [206, 302];
		const yp = (p) => zero - p * (zero - one);
		const ticks = [0, 1, 10, 100, most()].map((n) => text(Math.min(place(n), plotWidth - 14), height - 26, n.toLocaleString("en"), "t14 muted"));
		plot.replaceChildren(
			svg("g", { "data-wire": "state" }, ...lines, svg("path", { d: `M${LEFT},${middle}H${plotWidth - 16}`, class: "axis" }),
				text(LEFT - 8, yc(range) + 10, `+${fmt(range)}`, "t14 muted", "end"), text(LEFT - 8, middle + 5, "0", "t14 muted", "end"), text(LEFT - 8, bottom, `−${fmt(range)}`, "t14 muted", "end"),
				text(LEFT + 6, bottom + 14, "memory c of 100 units after the pads", "t14 muted", "start")),
			svg("g", { "data-wire": "p" }, svg("path", { d: `M${LEFT},${yp(0.5)}H${plotWidth - 16}`, class: "thin" }),
				svg("path", { d: path(counts.filter((n) => known.includes(n)).map((n) => [place(n), yp(run(n).probability)])), class: "pline" }),
				...[0, 0.5, 1].map((p) => text(LEFT - 8, yp(p) + 5, p === 0.5 ? "½" : p, "t14 muted", "end")), text(LEFT + 6, one + 2, `P(${model.info.labels[1]}) by number of pads`, "t14 muted", "start")),
			...ticks);
	}

	function drawCursor(n) {
		const x = place(n);
		const p = run(n).probability;
		const y = 302 - p * 96;
		const end = x > plotWidth - 90;
		cursor.replaceChildren(svg("path", { d: `M${x},4V306`, class: "cutline" }), svg("circle", { cx: x, cy: y, r: 8, class: "grip" }),
			text(x + (end ? -14 : 14), y - 12, fmt(p), "t20 bold", end ? "end" : "start"), svg("rect", { x: x - 24, y: 0, width: 48, height: 306, class: "reach" }));
	}

	return {
		run: () => run(count()),
		draw() {
			const n = count();
			words.textContent = `${length - most()} ids`;
			const log = (x) => Math.log10(1 + x);
			number.set(log(n), [0, log(most())]);
			setGrip(n, [0, most()]);
			setCursor(log(n), [0, log(most())]);
			drawStrip(n);
			drawPlot();
			drawCursor(n);
		},
	};
}

export const chapter = { id: "pads", title: "Pads", review: true, mount };
