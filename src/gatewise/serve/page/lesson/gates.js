// Chapter 4: the gates. Their function, the distribution of their values, and all units with one gate held.

import { el, fmt, setText, svg } from "../dom.js";
import { colourOf, createPicture, gripAt, path, PROBABILITIES, rect, stroke, text, yAxis } from "../drawing.js";
import { choice, handle, page, question, slider, term } from "./parts.js";
import { createSentence, strongestStep } from "./sentence.js";

const GATES = {
	f: { name: "forget gate f", does: "how much of c is kept", low: 0 },
	i: { name: "input gate i", does: "how much of the new memory g is added", low: 0 },
	o: { name: "output gate o", does: "how much of tanh c goes into h", low: 0 },
	g: { name: "new memory g", does: "what can be added to c", low: -1 },
};
const BINS = 20;
const SHOWN = 32; // units in the picture of c
const EDGE = 5; // of z in the curve

/** The shares of values below 0.1, between, and above 0.9, of arrays of gate values. */
export function gateShares(arrays) {
	const counts = [0, 0, 0];
	for (const values of arrays) for (const x of values) counts[x < 0.1 ? 0 : x > 0.9 ? 2 : 1] += 1;
	const total = counts[0] + counts[1] + counts[2];
	return counts.map((count) => count / total);
}

function mount(element, lesson) {
	const { model } = lesson;
	const H = model.units;
	let gate = "f";
	const held = () => lesson.state.changes.find((one) => one.gate === gate)?.value ?? null;
	const mean = (run) => run[gate].reduce((total, x) => total + x, 0) / run[gate].length;
	const hold = (value) => lesson.set({ changes: value === null ? [] : [{ gate, unit: "all", from: null, to: null, value }] });
	const options = { label: "Gate of all units at all words", min: 0, max: 1, step: 0.01, value: 0, onInput: hold, reset: () => hold(null) };
	const number = handle(options);
	const which = el("b", {});
	const gates = choice("Gate", Object.entries(GATES).map(([name, one]) => [name, one.name]), (name) => {
		gate = name;
		hold(null);
	});
	const does = el("span", { class: "muted" });

	const [back, grip] = [svg("g", {}), svg("g", {})];
	const curve = createPicture("The function of the gate, and how often it has which value", back, grip);
	const panel = { left: 46, top: 12, height: 140, width: 400 };
	const yOf = (v) => panel.top + ((1 - v) / (1 - GATES[gate].low)) * panel.height;
	const atPointer = (event) => 1 - ((curve.at(event)[1] - panel.top) / panel.height) * (1 - GATES[gate].low);
	const setGrip = slider(grip, { ...options, vertical: true, at: atPointer });

	const sentence = createSentence("The memory of the units at each word", lesson, { room: 244, share: 0.52 });
	const cells = el("canvas", { class: "under", "aria-hidden": "true", "data-wire": "c" });

	const asked = question({
		ask: "“A gate is 0 or 1”, says the tutorial. Is it?",
		options: ["Nearly always", "Nearly never"],
		answer() {
			const run = lesson.plain();
			const between = gateShares([run.f, run.i, run.o])[1];
			return { right: between > 0.5 ? 1 : 0, text: `${fmt(100 * between, 1)}% of f, i and o lie between 0.1 and 0.9.` };
		},
	});

	page(element, lesson, "gates", {
		prose: [
			["A gate is a ", term("sigmoid", "sigmoid"), " of the word and of h: σ(z) = 1 / (1 + e⁻ᶻ), a number from 0 to 1 for each unit."],
			["Hold the ", which, " of all 100 units at ", number.element, " and the ", term("c", "memory"), " changes at every word."],
			["With f = 0 nothing of c is kept, with f = 1 nothing is forgotten. New memory g is a ", term("sigmoid", "tanh"),
				", −1 to 1: it can lower c."],
		],
		question: asked,
		why: ["The gradient of a step from 0 to 1 is 0. The sigmoid has one everywhere, so Adam can learn when to forget."],
		figure: el("div", {}, gates.element, does, el("div", {}, curve.node),
			el("div", { class: "over" }, cells, sentence.node)),
		code: { keras: 'LSTM(100, recurrent_activation="sigmoid")', gatewise: '--set gate=sigmoid  # or gate=binary' },
	});

	function drawCurve(run, value, t) {
		const width = curve.fit(panel.height + 36);
		panel.width = Math.round(0.52 * (width - panel.left));
		const { low } = GATES[gate];
		const xOf = (z) => panel.left + ((z + EDGE) / (2 * EDGE)) * panel.width;
		const f = low ? Math.tanh : (z) => 1 / (1 + Math.exp(-z));
		const inverse = low ? Math.atanh : (v) => Math.log(v / (1 - v));
		const points = Array.from({ length: 61 }, (_, n) => -EDGE + (n * 2 * EDGE) / 60).map((z) => [xOf(z), yOf(f(z))]);
		const bottom = panel.top + panel.height;
		const right = panel.left + panel.width + 40; // of the histogram: its left edge
		const counts = new Float64Array(BINS);
		for (const x of run[gate]) counts[Math.min(BINS - 1, Math.floor(((x - low) / (1 - low)) * BINS))] += 1 / run[gate].length;
		const bar = (share) => Math.sqrt(share) * (width - right - 60);
		const high = panel.height / BINS;
		const ticks = low ? [[-1, "−1"], [0, "0"], [1, "1"]] : PROBABILITIES;
		const dots = Array.from(run[gate].subarray(t * H, (t + 1) * H), (v) => [Math.max(-EDGE, Math.min(EDGE, inverse(v))), v]);
		const bars = Array.from(counts, (share, n) => [share, n]).filter(([share]) => share);
		const [most, level] = [Math.max(...counts), counts.indexOf(Math.max(...counts))];
		const narrow = width < 700;
		back.replaceChildren(
			...yAxis(ticks, yOf, panel.left, width),
			stroke(`M${xOf(0)},${panel.top}V${bottom}`, "thin"),
			stroke(path(points), "pline", { "data-wire": "sigmoid" }),
			...dots.map(([z, v]) => svg("circle", { cx: xOf(z), cy: yOf(v), r: 4, class: "valuedot" })),
			...bars.map(([share, n]) => rect(right, bottom - (n + 1) * high + 1, Math.max(1, bar(share)), high - 1.5, "bin")),
			text(right + bar(most) + 6, bottom - (level + 0.5) * high + 5, `${Math.round(100 * most)}%`, "t14", "start"),
			text(panel.left + panel.width / 2, bottom + 20, `${narrow ? "" : `the ${H} units `}at “${lesson.names()[t]}”`, "t14 muted"),
			text(right, bottom + 20, narrow ? "at all words" : "share of each value (root scale), all words", "t14 muted", "start"),
		);
		const y = yOf(value);
		grip.replaceChildren(
			stroke(`M${panel.left},${y}H${right - 14}`, held() === null ? "cutline dashed" : "cutline"),
			...gripAt(right - 21, y, [30, 20], [panel.left, y - 22, right - panel.left, 44]),
		);
	}

	/** The units with the largest effect on this text, ordered by c at its strongest word. */
	const units = () => lesson.cached("gate units", () => {
		const run = lesson.plain();
		const effect = (k) => Array.from({ length: run.T }, (_, t) => Math.abs(run.contribution(k, t))).reduce((a, b) => a + b, 0);
		const effects = Array.from({ length: H }, (_, k) => effect(k));
		const t = strongestStep(run);
		const size = Math.max(...run.c.map(Math.abs));
		const list = effects.map((_, k) => k).sort((a, b) => effects[b] - effects[a]).slice(0, SHOWN);
		return { size, list: list.sort((a, b) => run.c[t * H + b] - run.c[t * H + a]) };
	});

	function drawCells(layout, run) {
		const { list, size } = units();
		const scale = layout.pixels * devicePixelRatio;
		cells.width = Math.round(layout.width * scale);
		cells.height = Math.round(layout.height * scale);
		const pen = cells.getContext("2d");
		pen.scale(scale, scale);
		const high = layout.low / list.length;
		layout.places.forEach(({ x, row, width }, n) => {
			const c = n ? run.c.subarray((n - 1) * H, n * H) : run.start.c;
			list.forEach((k, m) => {
				pen.fillStyle = colourOf(c[k] / size);
				pen.fillRect(x - width / 2 + 1, layout.track(row) + m * high, width - 2, high + 0.3);
			});
		});
		const label = `memory c of ${layout.width < 500 ? "" : "the "}${list.length} units${layout.width < 500 ? "" : " with the largest effect"}`;
		sentence.own.replaceChildren(text(layout.left + 4, layout.track(0) - 3, label, "t14 muted", "start"));
	}

	return {
		draw() {
			const [run, before] = [lesson.run(), lesson.plain()];
			const value = held() ?? mean(run);
			const t = Math.min(lesson.state.t ?? run.T - 1, run.T - 1);
			const range = [GATES[gate].low, 1];
			asked.refresh(lesson.text());
			gates.set(gate);
			setText(which, GATES[gate].name);
			setText(does, `${GATES[gate].name}: ${GATES[gate].does}. Its mean in this text is ${fmt(mean(before))}.`);
			number.set(value, range);
			setGrip(value, range);
			drawCurve(run, value, t);
			const layout = sentence.fit();
			sentence.drawPrediction(run, before);
			drawCells(layout, run);
			sentence.drawWords(t);
		},
	};
}

export const chapter = { id: "gates", title: "Gates", mount };
