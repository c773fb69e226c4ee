// Chapter 4: the gates. Their function, the distribution of their values, and all units with one gate held.

import { fmt, setText, svg } from "../dom.js";
import { colourOf, gripAt, path, pictureOf, PROBABILITIES, rect, stroke, text, yAxis } from "../drawing.js";
import { choice, handle, question, slider } from "./parts.js";
import { createSentence, strongestStep } from "./sentence.js";

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

export function mount(parts, lesson) {
	const { model } = lesson;
	const { back, cells, grip } = parts;
	const H = model.units;
	let gate = "f";
	const held = () => lesson.state.changes.find((one) => one.gate === gate)?.value ?? null;
	const mean = (run) => run[gate].reduce((total, x) => total + x, 0) / run[gate].length;
	const hold = (value) =>
		lesson.set({ changes: value === null ? [] : [{ gate, unit: "all", from: null, to: null, value }] });
	const options = {
		label: "Gate of all units at all words",
		min: 0,
		max: 1,
		step: 0.01,
		value: 0,
		onInput: hold,
		reset: () => hold(null),
	};
	const setValue = handle(parts.value, options);
	const gates = [...parts.gates.children];
	const setGate = choice(gates, (name) => {
		gate = name;
		hold(null);
	});
	const least = () => (gate === "g" ? -1 : 0);

	const curve = pictureOf(parts.curve);
	const panel = { left: 46, top: 12, height: 140, width: 400 };
	const yOf = (v) => panel.top + ((1 - v) / (1 - least())) * panel.height;
	const atPointer = (event) => 1 - ((curve.at(event)[1] - panel.top) / panel.height) * (1 - least());
	const setGrip = slider(grip, { ...options, vertical: true, at: atPointer });

	const sentence = createSentence(parts.sentence, lesson, { room: 238, share: 0.52 });

	const askAgain = question(parts.question, () => {
		const run = lesson.plain();
		const between = gateShares([run.f, run.i, run.o])[1];
		return { right: between > 0.5 ? 1 : 0, text: `${fmt(100 * between, 1)}% of f, i and o lie between 0.1 and 0.9.` };
	});

	function drawCurve(run, value, t) {
		const width = curve.fit(panel.height + 36);
		panel.width = Math.round(0.52 * (width - panel.left));
		const low = least();
		const xOf = (z) => panel.left + ((z + EDGE) / (2 * EDGE)) * panel.width;
		const f = low ? Math.tanh : (z) => 1 / (1 + Math.exp(-z));
		const inverse = low ? Math.atanh : (v) => Math.log(v / (1 - v));
		const points = Array.from({ length: 61 }, (_, n) => -EDGE + (n * 2 * EDGE) / 60).map((z) => [xOf(z), yOf(f(z))]);
		const bottom = panel.top + panel.height;
		const right = panel.left + panel.width + 40; // of the histogram: its left edge
		const counts = new Float64Array(BINS);
		for (const x of run[gate])
			counts[Math.min(BINS - 1, Math.floor(((x - low) / (1 - low)) * BINS))] += 1 / run[gate].length;
		const bar = (share) => Math.sqrt(share) * (width - right - 60);
		const high = panel.height / BINS;
		const ticks = low
			? [
					[-1, "−1"],
					[0, "0"],
					[1, "1"],
				]
			: PROBABILITIES;
		const dots = Array.from(run[gate].subarray(t * H, (t + 1) * H), (v) => [
			Math.max(-EDGE, Math.min(EDGE, inverse(v))),
			v,
		]);
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
			text(
				panel.left + panel.width / 2,
				bottom + 20,
				`${narrow ? "" : `the ${H} units `}at “${lesson.names()[t]}”`,
				"t14 muted",
			),
			text(
				right,
				bottom + 20,
				narrow ? "at all words" : "share of each value (root scale), all words",
				"t14 muted",
				"start",
			),
		);
		const y = yOf(value);
		grip.replaceChildren(
			stroke(`M${panel.left},${y}H${right - 14}`, held() === null ? "cutline dashed" : "cutline"),
			...gripAt(right - 21, y, [30, 20], [panel.left, y - 22, right - panel.left, 44]),
		);
	}

	/** The units with the largest effect on this text, ordered by c at its strongest word. */
	const units = () =>
		lesson.cached("gate units", () => {
			const run = lesson.plain();
			const effect = (k) =>
				Array.from({ length: run.T }, (_, t) => Math.abs(run.contribution(k, t))).reduce((a, b) => a + b, 0);
			const effects = Array.from({ length: H }, (_, k) => effect(k));
			const t = strongestStep(run);
			const size = Math.max(...run.c.map(Math.abs));
			const list = effects
				.map((_, k) => k)
				.sort((a, b) => effects[b] - effects[a])
				.slice(0, SHOWN);
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
			const range = [least(), 1];
			askAgain(lesson.text());
			setGate(gate);
			const {
				dataset: { does },
				textContent: name,
			} = gates.find(({ value }) => value === gate);
			setText(parts.which, name);
			setText(parts.does, `${name}: ${does}. Its mean in this text is ${fmt(mean(before))}.`);
			setValue(value, range);
			setGrip(value, range);
			drawCurve(run, value, t);
			const layout = sentence.fit();
			sentence.drawPrediction(run, before);
			drawCells(layout, run);
			sentence.drawWords(t);
		},
	};
}
