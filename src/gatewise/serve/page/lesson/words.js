// Chapter 9: words as ids and rows of numbers; a small LSTM learns phrases in the page, and then the sentences that a reader teaches it.

import { fmt, setAttr, setText, svg } from "../dom.js";
import { colourOf, measure, pictureOf, rect, stroke, text } from "../drawing.js";
import { sigmoid } from "../model/arrays.js";
import { describe, handle, question } from "./parts.js";
import { createJob } from "./training.js";
import { ASKED, createWordTask, STEPS, TAUGHT, TEACH_STEPS, UNKNOWN, wordsOf } from "./wordtask.js";

export const SEED = 1;
const MOST_TAUGHT = 5; // sentences of the reader
const LENGTH = 90; // characters of a sentence
const ENDS = ["great", "awful"]; // of the way along which the reader moves a row
// Places in the picture of a sentence: x of the first word; y of scores, rows of the embedding, words.
const LARGE = { left: 46, scores: [34, 172], rows: 188, row: 11, words: 296, height: 320 };
const SMALL = { left: 46, scores: [24, 92], rows: 98, row: 6, words: 162, height: 186 };
const SIZE = 8; // numbers of a row

const isPhone = globalThis.matchMedia?.("(max-width: 700px)");
const count = (n) => n.toLocaleString("en");

/** The sentences of an address: "-the soup was cold;+it was warm". */
const sentencesOf = (written) =>
	written
		.split(";")
		.filter((one) => /^[+-]/.test(one))
		.map((one) => ({ words: wordsOf(one.slice(1)), label: Number(one.startsWith("+")) }))
		.filter(({ words }) => words.length)
		.slice(0, MOST_TAUGHT);

const MOST_IDS = 7;
const shortened = (ids) => ids.slice(0, MOST_IDS).join(", ") + (ids.length > MOST_IDS ? ", …" : "");

/** A word, shortened to a width. */
function fitted(word, width, size) {
	let shown = word;
	while (shown.length > 2 && measure(shown, size) > width) shown = `${shown.slice(0, -2)}…`;
	return shown;
}

/** What a word adds to the logit: the logit with it, less that without it. */
export function scoresOf(network, ids) {
	const logitOf = (some) => (some.length ? network.forward(some).logit : network.lstm.denseBias[0]);
	const whole = logitOf(ids);
	return ids.map((_, t) => whole - logitOf(ids.filter((_, n) => n !== t)));
}

export function mount(parts, lesson) {
	const task = createWordTask(SEED);
	const { network } = task;
	const before = createWordTask(SEED).network; // as it is before the first sentence is taught
	const salty = network.idOf.get(TAUGHT.words.at(-1));
	const asked = lesson.param("s", { value: ASKED, length: LENGTH });
	const own = lesson.param("own", { value: "", length: 400 });
	const move = lesson.param("m", { value: null, min: 0, max: 1, step: 0.01 });
	const snapshots = []; // the parameters while the chapter's sentence is taught
	const known = []; // the sentences that it was taught, in this order
	let job = null;
	let learned = null; // parameters after the phrases and the chapter's sentence
	const accuracy = { unseen: null, taught: null };
	let isShown = false;

	const ask = question(parts.question, lesson, () => {
		if (!snapshots.length) return { right: 2, text: "It still learns." };
		const [p0, p1] = [before, network].map((one, n) => pOf(one, wordsOf(ASKED), n ? snapshots.at(-1) : null));
		return {
			right: p1 > 0.6 ? 2 : p1 < 0.4 ? 0 : 1,
			text: `P was ${fmt(p0)} and is ${fmt(p1)}. No phrase with “not salty” was ever learned.`,
		};
	});
	const setMove = handle(parts.move, move, {
		label: "Place of the row of salty, from great to awful",
		shown: placeOfRow,
	});

	/** P(positive), with other parameters if given. */
	function pOf(one, words, parameters = null) {
		const kept = parameters && one.parameters.slice();
		if (parameters) one.parameters.set(parameters);
		const p = sigmoid(one.forward(one.idsOf(words, UNKNOWN)).logit);
		if (kept) one.parameters.set(kept);
		return p;
	}

	function endsOf() {
		const [great, awful] = ENDS.map((word) => network.rowOf(network.idOf.get(word)));
		return { great, awful };
	}
	/** Where the row of "salty" lies between those of "great" and "awful": its projection on the line between them. */
	function placeOfRow() {
		const { great, awful } = endsOf();
		const row = network.rowOf(salty);
		let along = 0;
		let squares = 0;
		for (let n = 0; n < row.length; n += 1) {
			along += (row[n] - great[n]) * (awful[n] - great[n]);
			squares += (awful[n] - great[n]) ** 2;
		}
		return Math.max(0, Math.min(1, along / (squares || 1)));
	}

	/** Go on with what is still to be learned: the phrases, the chapter's sentence, those of the reader. */
	function goOn() {
		if (!isShown || (job && !job.done)) return job?.start();
		const extra = sentencesOf(own.get());
		const isContinued = known.every((text, n) => text === textOf(extra[n]));
		if (learned && !isContinued) {
			network.parameters.set(learned);
			known.length = 0;
		}
		if (!job) start(task.train(), STEPS, afterPhrases);
		else if (!snapshots.length) teachFirst();
		else if (known.length < extra.length) teachNext(extra);
		return null;
	}
	const textOf = (sentence) => sentence && `${sentence.label} ${sentence.words.join(" ")}`;

	function start(training, steps, onDone, onStep = null) {
		job = createJob({
			training,
			steps,
			onStep() {
				onStep?.();
				if (training.curve.length === steps) finish(onDone);
				else if (!lesson.isStill) lesson.draw();
			},
		});
		job.start();
	}
	function finish(onDone) {
		onDone();
		lesson.draw();
		goOn();
	}
	function afterPhrases() {
		before.parameters.set(network.parameters);
		accuracy.unseen = task.accuracy(task.phrases.unseen);
	}
	function teachFirst() {
		const taken = [network.parameters.slice()];
		start(
			task.teach([TAUGHT]),
			TEACH_STEPS,
			() => {
				snapshots.push(...taken);
				learned = network.parameters.slice();
				accuracy.taught = task.accuracy(task.phrases.unseen);
				ask.refresh();
			},
			() => taken.push(network.parameters.slice()),
		);
	}
	function teachNext(extra) {
		const sentences = [TAUGHT, ...extra.slice(0, known.length + 1)];
		for (const { words } of sentences) before.add(words);
		start(task.teach(sentences.toReversed()), TEACH_STEPS, () => {
			known.push(textOf(extra[known.length]));
			accuracy.taught = task.accuracy(task.phrases.unseen);
		});
	}

	const isTeaching = () => Boolean(job && !job.done && snapshots.length);
	function teach(label) {
		const words = wordsOf(parts.teachText.value);
		const extra = sentencesOf(own.get());
		if (!words.length || extra.length >= MOST_TAUGHT || isTeaching()) return;
		own.set([...extra, { words, label }].map((one) => `${one.label ? "+" : "-"}${one.words.join(" ")}`).join(";"));
		goOn();
	}
	parts.negative.addEventListener("click", () => teach(0));
	parts.positive.addEventListener("click", () => teach(1));
	parts.forget.addEventListener("click", () => {
		own.reset();
		move.reset();
		if (!isTeaching()) goOn();
	});
	parts.teachText.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
	parts.askText.addEventListener("input", () => asked.set(parts.askText.value || ASKED));
	parts.askText.maxLength = parts.teachText.maxLength = LENGTH;

	const pictures = [parts.taught, parts.asked].map(pictureOf);

	/** Which parameters are shown, of the way from before the guess to after it. */
	function shownNetwork() {
		if (!lesson.revealed) return before;
		if (lesson.reveal < 1 && snapshots.length && !known.length) {
			const at = Math.round(lesson.reveal * (snapshots.length - 1));
			return { at: snapshots[at] };
		}
		return network;
	}

	function drawSentence(picture, { words, ids, rows, scores, p, p0, largest }) {
		const place = isPhone.matches ? SMALL : LARGE;
		const width = picture.fit(place.height);
		const each = (width - place.left) / words.length;
		const x = (t) => place.left + each * (t + 0.5);
		const zero = (place.scores[0] + place.scores[1]) / 2;
		const room = (place.scores[1] - place.scores[0]) / 2 - 14; // without the number
		const high = (score) => room * Math.min(1, Math.abs(score) / largest);
		const bar = Math.min(32, each * 0.66);
		const cell = Math.min(48, each - 6);
		const isSmall = Math.max(...words.map((word) => measure(word, 16))) > each - 4;
		const change = p0 === null || fmt(p0) === fmt(p) ? fmt(p) : `${fmt(p0)} → ${fmt(p)}`;
		// Where words are many, numbers without decimals, and none of words without effect.
		const numberOf = (score) => (each > 44 ? fmt(score, 1, true) : Math.abs(score) < 0.5 ? "" : fmt(score, 0, true));
		const name = (y, content) => text(0, y, content, "t14 muted", "start");
		const wire = (part, ...nodes) => svg("g", { "data-wire": part }, ...nodes);
		const ofScores = scores.flatMap((score, t) => {
			const isFor = score > 0;
			const height = high(score);
			return [
				rect(x(t) - bar / 2, isFor ? zero - height : zero, bar, height, isFor ? "for" : "against"),
				text(x(t), isFor ? zero - height - 4 : zero + height + 14, numberOf(score), "t14"),
			];
		});
		const ofRows = rows.flatMap((row, t) =>
			Array.from(row, (number, n) =>
				rect(x(t) - cell / 2, place.rows + n * place.row, cell, place.row - 1, "", {
					fill: colourOf(Math.max(-1, Math.min(1, number))),
				}),
			),
		);
		const frames = ids.flatMap((id, t) =>
			id === salty
				? [rect(x(t) - cell / 2 - 3, place.rows - 3, cell + 6, SIZE * place.row + 5, "newrow", { rx: 4 })]
				: [],
		);
		const fontSize = isSmall ? "t14 " : "";
		picture.node.replaceChildren(
			text(0, 18, `P(positive) = ${change}`, `t20 bold ${p > 0.5 ? "for" : "against"}`, "start"),
			wire("score", name(zero + 5, "score"), stroke(`M${place.left},${zero}H${width}`, "axis"), ...ofScores),
			wire("embedding", name(place.rows + (SIZE * place.row) / 2 + 5, "row"), ...ofRows, ...frames),
			name(place.words, "word"),
			...words.map((word, t) =>
				text(
					x(t),
					place.words,
					fitted(word, each - 2, isSmall ? 14 : 16),
					`${fontSize}${ids[t] === salty ? "bold" : ""}`,
				),
			),
			wire("id", name(place.words + 20, "id"), ...ids.map((id, t) => text(x(t), place.words + 20, id, "t14 muted"))),
		);
	}

	/** What is shown of a sentence: with the parameters that are shown, and the row of "salty" where the reader has moved it. */
	function numbersOf(words) {
		const shown = shownNetwork();
		const one = shown.at ? network : shown;
		const kept = one.parameters.slice();
		if (shown.at) one.parameters.set(shown.at);
		if (move.get() !== null && lesson.revealed) {
			const { great, awful } = endsOf();
			one.rowOf(salty).set(great.map((x, n) => x + move.get() * (awful[n] - x)));
		}
		const ids = one.idsOf(words, UNKNOWN);
		const numbers = {
			words,
			ids,
			rows: ids.map((id) => one.rowOf(id).slice()),
			scores: scoresOf(one, ids),
			p: sigmoid(one.forward(ids).logit),
			p0: lesson.revealed ? pOf(before, words) : null,
		};
		one.parameters.set(kept);
		return numbers;
	}

	function drawTable(words, p) {
		const [rows, lstm, dense] = network.counts();
		setText(parts.ownCount, `${count(rows)} + ${lstm} + ${dense}`);
		setText(parts.ownIds, shortened(network.idsOf(words, UNKNOWN)));
		setText(parts.ownP, fmt(p));
		const { model } = lesson;
		const encoded = model.encode(words.join(" "));
		const ids = Array.from(encoded.ids);
		setText(parts.modelIds, `${model.info.maxLength - ids.length} × 0, ${shortened(ids)}`);
		const isKnown = ids.every((id) => !Number.isNaN(model.network.inputOf(id)[0]));
		setText(
			parts.modelP,
			isKnown ? fmt(lesson.cached(`words ${words.join(" ")}`, () => model.run({ ids: encoded.ids })).probability) : "…",
		);
		setAttr(parts.lab, "href", `index.html#t=${encodeURIComponent(words.join(" "))}`);
		const isDefault = words.join(" ") === ASKED;
		parts.labP.hidden = !isDefault;
	}

	function drawTaught() {
		const extra = sentencesOf(own.get());
		const all = [TAUGHT, ...extra];
		const names = all.map(({ words, label }) => `“${words.join(" ")}” ${label ? "positive" : "negative"}`);
		setText(parts.list, `Taught: ${names.join("; ")}`);
		for (const name of ["negative", "positive"]) parts[name].disabled = isTeaching() || extra.length >= MOST_TAUGHT;
		parts.forget.disabled = own.isDefault() && move.isDefault();
	}

	function progressText() {
		if (!job) return "Not trained yet.";
		const { curve } = job;
		if (accuracy.unseen === null)
			return `Step ${curve.length} of ${STEPS}: loss ${fmt(curve.at(-1)?.loss ?? Math.LN2)}.`;
		const learnedText = `${STEPS} steps on ${task.phrases.training.length} phrases: it answers ${fmt(100 * accuracy.unseen, 0)}% of ${task.phrases.unseen.length} others right`;
		if (!lesson.revealed || accuracy.taught === null) return `${learnedText}.`;
		return `${learnedText}, ${fmt(100 * accuracy.taught, 0)}% after what it was taught.`;
	}

	return {
		draw() {
			goOn();
			const words = wordsOf(asked.get());
			const askedWords = words.length ? words : wordsOf(ASKED);
			const extra = sentencesOf(own.get());
			const taught = (lesson.revealed && extra.at(-1)) || TAUGHT;
			const shown = [numbersOf(taught.words), numbersOf(askedWords)];
			const largest = Math.max(6, ...shown.flatMap(({ scores }) => scores.map(Math.abs)));
			shown.forEach((numbers, n) => drawSentence(pictures[n], { ...numbers, largest }));
			setText(parts.taughtName, lesson.revealed ? "Taught:" : "To teach:");
			setText(parts.taughtText, `“${taught.words.join(" ")}” is ${taught.label ? "positive" : "negative"}`);
			if (document.activeElement !== parts.askText) parts.askText.value = asked.get();
			drawTaught();
			setMove();
			setText(parts.progress, progressText());
			drawTable(askedWords, shown[1].p);
			describe(
				parts.values,
				"Words, ids and scores",
				["sentence", "word", "id", "score", "P(positive) of the sentence"],
				shown.flatMap(({ words: all, ids, scores, p }, n) =>
					all.map((word, t) => [n ? "asked" : "taught", word, ids[t], fmt(scores[t], 1, true), fmt(p)]),
				),
			);
		},
		show() {
			isShown = true;
			goOn();
		},
		hide() {
			isShown = false;
			job?.pause();
		},
		isBusy: () => !snapshots.length || isTeaching(),
	};
}
