// Chapter 3: the memory cell of one unit through the sentence: what the forget gate keeps, what the input gate adds.

import { el, fmt, setText, svg } from "../dom.js";
import { colourOf, text } from "./figure.js";
import { handle, page, question, slider, term } from "./parts.js";
import { createSentence } from "./sentence.js";

const LATER = 7; // words, of the question

/** The step of the first half of a run at which the prediction changes most. */
export function strongestStep({ T, prefix }) {
	let best = Math.min(1, T - 1);
	for (let t = 2; t <= T / 2; t += 1) if (Math.abs(prefix[t] - prefix[t - 1]) > Math.abs(prefix[best] - (prefix[best - 1] ?? 0.5))) best = t;
	return best;
}

/**
 * The unit that holds longest what step t adds: the difference in c between this run and one in which no unit adds anything
 * at step t is the largest, on average over the steps after it.
 */
export function holdingUnit(model, run, without, t) {
	const H = model.units;
	const held = Array.from({ length: H }, (_, k) => {
		let total = 0;
		for (let later = t + 1; later < run.T; later += 1) total += Math.abs(run.c[later * H + k] - without.c[later * H + k]);
		return total;
	});
	return held.indexOf(Math.max(...held));
}

function mount(element, lesson) {
	const { model } = lesson;
	const H = model.units;
	const at = () => Math.min(lesson.state.t ?? strongestStep(lesson.plain()), lesson.plain().T - 1);
	const nothingAdded = (t) => lesson.run([{ gate: "i", unit: "all", from: t, to: t, value: 0 }]);
	const measured = () => lesson.cached("holding", () => {
		const t = strongestStep(lesson.plain());
		return { t, unit: holdingUnit(model, lesson.plain(), nothingAdded(t), t) };
	});
	const unit = () => lesson.state.unit ?? measured().unit;
	/** Hold a gate of all units at the selected word; null: as the model computes it. */
	function hold(gate, value) {
		const t = at();
		const others = lesson.state.changes.filter((one) => one.gate !== gate || one.from !== t);
		lesson.set({ t, unit: unit(), changes: value === null ? others : [...others, { gate, unit: "all", from: t, to: t, value }] });
	}
	const gate = (name, label) => ({ label, min: 0, max: 1, step: 0.01, value: 0, onInput: (x) => hold(name, x), reset: () => hold(name, null) });
	const keep = handle(gate("f", "Forget gate of all units at this word"));
	const add = handle(gate("i", "Input gate of all units at this word"));
	const which = handle({ label: "Unit", min: 0, max: H - 1, step: 1, value: 0, format: String, onInput: (k) => lesson.set({ unit: k }), reset: () => lesson.set({ unit: null }) });
	const word = el("b", {});
	const equation = el("p", { class: "equation" });
	const chosen = el("p", { class: "muted" });
	const sentence = createSentence("The memory of one unit at each word", lesson);
	const grip = svg("g", {});
	sentence.front.append(grip);
	const setGrip = slider(grip, { ...gate("i", "Input gate, at the arrow"), vertical: true, pixels: () => 160 * Math.sign(lesson.run().g[at() * H + unit()] || 1) });

	const asked = question({
		ask: () => `f keeps about three quarters per word. How much of what “${lesson.names()[measured().t]}” changed in c is there ${LATER} words later?`,
		options: ["Nothing", "An eighth", "All of it"],
		answer() {
			const { t, unit: k } = measured();
			const [run, without] = [lesson.plain(), nothingAdded(t)];
			const last = Math.min(t + LATER, run.T - 1);
			const change = (n) => run.c[n * H + k] - without.c[n * H + k];
			let kept = 1;
			for (let n = t + 1; n <= last; n += 1) kept *= run.f[n * H + k];
			const share = change(last) / change(t);
			return {
				right: share < 0.06 ? 0 : share < 0.5 ? 1 : 2,
				text: `f alone leaves ${fmt(kept)} of it. Yet c has ${fmt(share)} of the change: the other units add it again, through h.`,
			};
		},
	});

	page(element, lesson, "memory", {
		prose: [
			["Each unit has one number that goes from word to word: its memory cell ", term("c", "c"), ". This is unit ", which.element, "."],
			["At “", word, "” the forget gate ", term("keep", "keeps"), " ", keep.element, " of c, and the input gate ", term("add", "adds"), " ", add.element, " of the new memory g."],
			["To remember is f near 1, to forget f near 0. Drag both, for all 100 units."],
		],
		question: asked,
		why: ["No matrix multiplies c from word to word, only f does. A value can last, and so can its gradient."],
		figure: el("div", {}, el("div", {}, sentence.node), equation, chosen),
		code: { keras: "LSTM(100)  # c is not returned", gatewise: "model.trace(text).unit(16)" },
	});

	function drawMemory(layout, run, before, k, t) {
		const c = (one) => [one.start.c[k], ...Array.from({ length: one.T }, (_, n) => one.c[n * H + k])];
		const [values, old] = [c(run), c(before)];
		// The scale is that of the run without changes, with some room; a change can widen it.
		const bound = (sign) => Math.max(1.3 * Math.max(...old.map((v) => sign * v)), ...values.map((v) => sign * v), 0.15);
		const [low, high] = [-bound(-1), bound(1)];
		const y = (row, v) => layout.track(row) + ((high - v) / (high - low)) * layout.low;
		const parts = [];
		for (let row = 0; row < layout.rows; row += 1) {
			parts.push(svg("path", { d: `M${layout.left},${y(row, 0)}H${layout.width}`, class: "axis" }));
			for (const v of [high, 0, low]) parts.push(text(layout.left - 8, y(row, v) + 5, fmt(v, v ? 1 : 0), "t14 muted", "end"));
		}
		for (let n = 1; n < values.length; n += 1) {
			const { x, row } = layout.places[n];
			const from = layout.places[n - 1].row === row ? layout.places[n - 1].x : layout.left;
			const kept = run.f[(n - 1) * H + k] * values[n - 1];
			const sign = values[n - 1] < 0 ? "minus" : "plus";
			parts.push(svg("path", { d: `M${from},${y(row, 0)}L${from},${y(row, values[n - 1])}L${x},${y(row, kept)}V${y(row, 0)}Z`, class: `kept ${sign}`, "data-wire": "keep c" }));
			const [y0, y1] = [y(row, kept), y(row, values[n])];
			const way = y1 < y0 ? -1 : 1;
			const size = Math.min(9, Math.abs(y1 - y0));
			parts.push(svg("path", { d: `M${x},${y0}V${y1 - way * size}`, class: `added ${way < 0 ? "plus" : "minus"}`, "data-wire": "add" }),
				svg("path", { d: `M${x - size},${y1 - way * size}h${2 * size}L${x},${y1}Z`, class: `tip ${way < 0 ? "plus" : "minus"}`, "data-wire": "add" }));
		}
		if (before !== run) parts.push(svg("path", { d: sentence.line(old, y), class: "pline before" }));
		parts.push(svg("path", { d: sentence.line(values, y), class: "cline", "data-wire": "c" }), text(layout.left + 4, layout.track(0) - 2, `memory c of unit ${k}`, "t14 muted", "start"));
		sentence.own.replaceChildren(...parts);
		const { x, row } = layout.places[t + 1];
		const top = y(row, values[t + 1]);
		grip.replaceChildren(svg("rect", { x: x - 14, y: top - 9, width: 28, height: 18, rx: 9, class: "grip" }), svg("rect", { x: x - 24, y: layout.track(row) - 6, width: 48, height: layout.low + 12, class: "reach" }));
	}

	return {
		draw() {
			const [run, before, k, t] = [lesson.run(), lesson.plain(), unit(), at()];
			const n = t * H + k;
			asked.refresh();
			setText(word, lesson.names()[t]);
			which.set(k);
			keep.set(run.f[n]);
			add.set(run.i[n]);
			setGrip(run.i[n]);
			const layout = sentence.fit();
			sentence.drawPrediction(run, before);
			drawMemory(layout, run, before, k, t);
			sentence.drawWords(t);
			const previous = t ? run.c[n - H] : run.start.c[k];
			const bracket = (x) => (x < 0 ? `(${fmt(x)})` : fmt(x));
			equation.replaceChildren("c = ", el("span", { "data-wire": "keep" }, "f · previous c"), " + ", el("span", { "data-wire": "add" }, "i · g"), " = ",
				el("span", { "data-wire": "keep" }, `${fmt(run.f[n])} · ${bracket(previous)}`), " + ", el("span", { "data-wire": "add" }, `${fmt(run.i[n])} · ${bracket(run.g[n])}`), " = ", el("b", { "data-wire": "c" }, fmt(run.c[n])));
			setText(chosen, k === measured().unit
				? `Unit ${k} is chosen by measurement: in the words after “${lesson.names()[measured().t]}” its c keeps the largest change.`
				: `In the words after “${lesson.names()[measured().t]}” the c of unit ${measured().unit} keeps the largest change.`);
		},
	};
}

export const chapter = { id: "memory", title: "Memory", mount };
