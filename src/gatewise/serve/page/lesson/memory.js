// Chapter 3: the memory cell of one unit through the sentence: what the forget gate keeps, what the input gate adds.

import { el, fmt, setText } from "../dom.js";
import { gripAt, stroke, text, yAxis } from "../drawing.js";
import { handle, question, slider, unitHandle } from "./parts.js";
import { createSentence, strongestStep } from "./sentence.js";

const LATER = 7; // words, of the question in lesson.html

/** The change that holds a gate of all units at step t. */
const holding = (gate, t, value) => ({ gate, unit: "all", from: t, to: t, value });

/** The step after the strongest one. There f = 0 empties a c that holds the strongest word: at the strongest word itself f acts on
 * what came before it, and P hardly changes. */
export const stepAfterStrongest = (run) => Math.min(strongestStep(run) + 1, run.T - 1);

/** What is left, at step `last`, of the change that step t made in c of unit k: `byForgetGate`, the product of f, which is all of it if
 * the gates after t are those of the run without the change; and `share`, in the model. without: the run in which step t adds nothing. */
export function leftOfChange({ units: H }, run, without, { t, k, last }) {
	const change = (n) => run.c[n * H + k] - without.c[n * H + k];
	let byForgetGate = 1;
	for (let n = t + 1; n <= last; n += 1) byForgetGate *= run.f[n * H + k];
	return { byForgetGate, share: change(last) / change(t), steps: last - t };
}

/** The unit that holds longest what step t adds: the difference in c between this run and one in which no unit adds anything
 * at step t is the largest, on average over the steps after it. */
export function holdingUnit(model, run, without, t) {
	const H = model.units;
	const held = Array.from({ length: H }, (_, k) => {
		let total = 0;
		for (let later = t + 1; later < run.T; later += 1)
			total += Math.abs(run.c[later * H + k] - without.c[later * H + k]);
		return total;
	});
	return held.indexOf(Math.max(...held));
}

export function mount(parts, lesson) {
	const { model } = lesson;
	const H = model.units;
	const at = () => Math.min(lesson.state.t ?? stepAfterStrongest(lesson.plain()), lesson.plain().T - 1);
	const nothingAdded = (t) => lesson.run([holding("i", t, 0)]);
	const measured = () =>
		lesson.cached("holding", () => {
			const t = strongestStep(lesson.plain());
			return { t, unit: holdingUnit(model, lesson.plain(), nothingAdded(t), t) };
		});
	const unit = () => lesson.state.unit ?? measured().unit;
	const left = () => {
		const { t, unit: k } = measured();
		const last = Math.min(t + LATER, lesson.plain().T - 1);
		return leftOfChange(model, lesson.plain(), nothingAdded(t), { t, k, last });
	};
	/** Hold a gate of all units at the selected word; null: as the model computes it. */
	function hold(gate, value) {
		const t = at();
		const others = lesson.state.changes.filter((one) => one.gate !== gate || one.from !== t);
		lesson.set({ t, unit: unit(), changes: value === null ? others : [...others, holding(gate, t, value)] });
	}
	const gate = (name, label) => ({
		label,
		min: 0,
		max: 1,
		step: 0.01,
		value: 0,
		onInput: (x) => hold(name, x),
		reset: () => hold(name, null),
	});
	const setKeep = handle(parts.keep, gate("f", "Forget gate of all units at this word"));
	const setAdd = handle(parts.add, gate("i", "Input gate of all units at this word"));
	const setUnit = unitHandle(parts.unit, lesson);
	const sentence = createSentence(parts.sentence, lesson);
	const { front: grip } = sentence;
	const pixels = () => 160 * Math.sign(lesson.run().g[at() * H + unit()] || 1); // a negative g points down
	const setGrip = slider(grip, { ...gate("i", "Input gate, at the arrow"), vertical: true, pixels });

	const askAgain = question(parts.question, () => {
		const { byForgetGate, share } = left();
		return {
			right: share < 0.05 ? 0 : share < 0.5 ? 1 : 2,
			text: `f alone leaves ${fmt(byForgetGate)} of it, c has ${fmt(share)}: h changes the gates of later words.`,
		};
	});

	function drawMemory(layout, run, before, k, t) {
		const c = (one) => [one.start.c[k], ...Array.from({ length: one.T }, (_, n) => one.c[n * H + k])];
		const [values, old] = [c(run), c(before)];
		// The scale is that of the run without changes, with some room; a change can widen it.
		const bound = (sign) => Math.max(1.3 * Math.max(...old.map((v) => sign * v)), ...values.map((v) => sign * v), 0.15);
		const [low, high] = [-bound(-1), bound(1)];
		const y = (row, v) => layout.track(row) + ((high - v) / (high - low)) * layout.low;
		const nodes = [];
		for (let row = 0; row < layout.rows; row += 1) {
			const ticks = [
				[high, fmt(high, 1)],
				[0, "0"],
				[low, fmt(low, 1)],
			];
			nodes.push(
				...yAxis(ticks, (v) => y(row, v), layout.left, layout.width),
				stroke(`M${layout.left},${y(row, 0)}H${layout.width}`, "axis"),
			);
		}
		for (let n = 1; n < values.length; n += 1) {
			const { x, row } = layout.places[n];
			const from = layout.places[n - 1].row === row ? layout.places[n - 1].x : layout.left;
			const kept = run.f[(n - 1) * H + k] * values[n - 1];
			const [zero, y0, y1] = [y(row, 0), y(row, kept), y(row, values[n])];
			const area = `M${from},${zero}V${y(row, values[n - 1])}L${x},${y0}V${zero}Z`;
			const way = y1 < y0 ? -1 : 1;
			const [sign, size] = [way < 0 ? "plus" : "minus", Math.min(9, Math.abs(y1 - y0))];
			nodes.push(
				stroke(area, `kept ${values[n - 1] < 0 ? "minus" : "plus"}`, { "data-wire": "keep c" }),
				stroke(`M${x},${y0}V${y1 - way * size}`, `added ${sign}`, { "data-wire": "add" }),
				stroke(`M${x - size},${y1 - way * size}h${2 * size}L${x},${y1}Z`, `tip ${sign}`, { "data-wire": "add" }),
			);
		}
		if (before !== run) nodes.push(stroke(sentence.line(old, y), "pline before"));
		nodes.push(
			stroke(sentence.line(values, y), "cline", { "data-wire": "c" }),
			text(layout.left + 4, layout.track(0) - 2, `memory c of unit ${k}`, "t14 muted", "start"),
		);
		sentence.own.replaceChildren(...nodes);
		const { x, row } = layout.places[t + 1];
		grip.replaceChildren(
			...gripAt(x, y(row, values[t + 1]), [28, 18], [x - 24, layout.track(row) - 6, 48, layout.low + 12]),
		);
	}

	function drawEquation(run, n, previous) {
		const wire = (name, content) => el("span", { "data-wire": name }, content);
		const bracket = (x) => (x < 0 ? `(${fmt(x)})` : fmt(x));
		const [keeps, adds] = [`${fmt(run.f[n])} · ${bracket(previous)}`, `${fmt(run.i[n])} · ${bracket(run.g[n])}`];
		parts.equation.replaceChildren(
			"c = ",
			wire("keep", "f · previous c"),
			" + ",
			wire("add", "i · g"),
			" = ",
			wire("keep", keeps),
			" + ",
			wire("add", adds),
			" = ",
			el("b", { "data-wire": "c" }, fmt(run.c[n])),
		);
	}

	return {
		draw() {
			const [run, before, k, t] = [lesson.run(), lesson.plain(), unit(), at()];
			const n = t * H + k;
			askAgain(lesson.text());
			setText(parts.word, lesson.names()[t]);
			setUnit(k);
			setKeep(run.f[n]);
			setAdd(run.i[n]);
			setGrip(run.i[n]);
			const layout = sentence.fit();
			sentence.drawPrediction(run, before);
			drawMemory(layout, run, before, k, t);
			sentence.drawWords(t);
			drawEquation(run, n, t ? run.c[n - H] : run.start.c[k]);
			const name = lesson.names()[measured().t];
			for (const part of ["strongest", "strongestWord"]) setText(parts[part], name);
			setText(parts.chosenWord, lesson.names()[t]);
			setText(parts.emptied, fmt(lesson.run([holding("f", t, 0)]).probability));
			setText(parts.unread, fmt(nothingAdded(measured().t).probability));
			const { byForgetGate, steps } = left();
			setText(parts.meanKept, steps ? fmt(byForgetGate ** (1 / steps)) : "a part"); // of the strongest word at the end of a text nothing follows
			setText(
				parts.chosen,
				k === measured().unit
					? `Unit ${k} is chosen by measurement: in the words after “${name}” its c keeps the largest change.`
					: `In the words after “${name}” the c of unit ${measured().unit} keeps the largest change.`,
			);
		},
	};
}
