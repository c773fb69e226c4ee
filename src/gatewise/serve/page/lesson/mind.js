// Chapter 1: a network reads a sentence, and its prediction turns at a word. What holds it in between?

import { el, fmt, setText } from "../dom.js";
import { PROBABILITIES } from "../drawing.js";
import { createCellFigure, numbersOf } from "./cellfigure.js";
import { describe, handle, question } from "./parts.js";
import { createSentence } from "./sentence.js";

export const SENTENCE = "A boring start, but the end of this film is excellent.";
const MAX_WORDS = 40; // that the figure shows
const MAX_LENGTH = 400; // characters

/** The last step at which P crosses 1/2; the step of the largest change where it never does. prefix: P after each step. */
export function turnOf(prefix) {
	for (let t = prefix.length - 1; t > 0; t -= 1) if (prefix[t] > 0.5 !== prefix[t - 1] > 0.5) return t;
	let largest = Math.min(1, prefix.length - 1);
	const change = (t) => Math.abs(prefix[t] - prefix[t - 1]);
	for (let t = 2; t < prefix.length; t += 1) if (change(t) > change(largest)) largest = t;
	return largest;
}

/** The unit whose memory rises and falls most with the prediction over the steps: the largest covariance. */
export function followingUnit({ T, units, c, prefix }) {
	const mean = prefix.reduce((sum, p) => sum + p, 0) / T;
	const covariance = (k) => prefix.reduce((sum, p, t) => sum + (p - mean) * c[t * units + k], 0);
	const all = Array.from({ length: units }, (_, k) => covariance(k));
	return all.indexOf(Math.max(...all));
}

/** What the model reads of a text: {words, ids, cut: how many words before them it leaves out}. */
export function readText(model, sentence) {
	const { ids, steps } = model.encode(sentence);
	const words = steps.slice(1).slice(-MAX_WORDS); // without START
	const cut = steps.length - 1 - words.length;
	return { words, cut, ids: [ids[0], ...words.map(({ id }) => id)] };
}

export function mount(parts, lesson) {
	const { model } = lesson;
	const own = lesson.param("t", { value: SENTENCE, length: MAX_LENGTH });
	/** The text, or that of the lesson while the embeddings of its words are missing. */
	const text = () =>
		lesson.isWhole() || readText(model, own.get()).ids.every((id) => !Number.isNaN(model.network.inputOf(id)[0]))
			? own.get()
			: SENTENCE;
	const reading = () =>
		lesson.cached(`mind ${model.network.rows} ${text()}`, () => {
			const encoded = readText(model, text());
			const run = model.run({ ids: Int32Array.from(encoded.ids) });
			return { ...encoded, run, unit: followingUnit(run), turn: turnOf(run.prefix) };
		});
	const last = () => reading().run.T - 1;
	const read = lesson.param("w", { value: null, step: 1, limits: () => [0, last()] });
	const shown = () => Math.min(read.get() ?? last(), last());

	const chips = readText(model, SENTENCE).words.map(({ text: word }) => el("button", { type: "button" }, word));
	parts.options.append(...chips);
	question(parts.question, lesson, () => {
		const encoded = readText(model, SENTENCE);
		const { prefix } = model.run({ ids: Int32Array.from(encoded.ids) });
		const turn = turnOf(prefix);
		const word = (t) => encoded.words[t - 1].text;
		const but = encoded.words.findIndex((one) => one.text === "but") + 1;
		return {
			right: turn - 1,
			text: `It turns at “${word(turn)}”, from ${fmt(prefix[turn - 1])} to ${fmt(prefix[turn])}. “but” moves P by ${fmt(Math.abs(prefix[but] - prefix[but - 1]))}.`,
		};
	});
	const showRead = handle(parts.read, read, { label: "Words read", format: String, shown: last, pixels: () => 320 });

	parts.input.addEventListener("input", () => {
		own.set(parts.input.value);
		read.reset();
	});
	const sentence = createSentence(parts.sentence, { tracks: [104, 84], step: read });
	const cell = createCellFigure(parts.cell, { level: "box" });

	return {
		draw() {
			const { words, run, unit, cut } = reading();
			const names = ["▸", ...words.map((one) => one.text)];
			if (document.activeElement !== parts.input && parts.input.value !== own.get()) parts.input.value = own.get();
			parts.input.readOnly = !lesson.isWhole();
			setText(parts.note, cut ? `The figure has the last ${MAX_WORDS} words; ${cut} stand before them.` : "");
			// Until the answer, nothing is read; then the words come one after the other.
			const until = lesson.revealed ? shown() * (lesson.reveal || 1) : -1;
			const t = Math.max(0, Math.floor(until));
			showRead();
			setText(parts.p, fmt(run.prefix[t]));
			parts.p.dataset.side = run.prefix[t] > 0.5 ? "for" : "against";
			const memory = Array.from({ length: run.T }, (_, n) => run.c[n * run.units + unit]);
			const size = Math.max(0.1, ...memory.map(Math.abs));
			sentence.fit(names);
			sentence.drawTrack({
				track: 0,
				name: `P(${model.info.labels[1]}) after each word`,
				values: run.prefix,
				range: [0, 1],
				ticks: PROBABILITIES,
				until,
				wire: "p",
			});
			sentence.drawTrack({
				track: 1,
				name: `memory c of unit ${unit}`,
				values: memory,
				range: [-size, size],
				ticks: [[0, "0"]],
				until,
				wire: "c",
				kind: "pline memory",
			});
			sentence.drawWords(lesson.revealed ? t : null, (n) => words[n - 1]?.unknown);
			cell.draw({
				n: lesson.revealed ? numbersOf(run, t, unit) : null,
				token: names[t],
				title: `Unit ${unit}, closed: the previous memory goes in, the memory comes out`,
			});
			if (!lesson.revealed) return;
			describe(
				parts.values,
				"After each word",
				["word", "P", `c of unit ${unit}`],
				names.map((name, n) => [name || "start", fmt(run.prefix[n]), fmt(memory[n])]),
			);
		},
	};
}
