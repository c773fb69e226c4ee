// Chapter 1: a word becomes a number, and the number a row of the embedding.

import { button, el, fmt, setAttr, setText, svg } from "../dom.js";
import { colourOf, gripAt, measure, pictureOf, rect, stroke, text } from "../drawing.js";
import { handle, question, slider } from "./parts.js";
import { strongestStep } from "./sentence.js";

const [START, UNKNOWN, FIRST_WORD] = [1, 2, 4];
const MOST = 10_000;
const NEAREST = 5;
const EDGE = 16; // of the scale of ids

/** The words whose embeddings have the largest cosine with that of `id`, the nearest first. */
export function nearestWords(model, id, count = NEAREST) {
	const x = model.network.inputOf(id);
	const found = [];
	for (let other = FIRST_WORD; other < model.info.vocabSize; other += 1) {
		if (other === id) continue;
		const y = model.network.inputOf(other);
		let [xy, yy] = [0, 0];
		for (let d = 0; d < y.length; d += 1) {
			xy += x[d] * y[d];
			yy += y[d] * y[d];
		}
		const cosine = xy / Math.sqrt(yy || 1);
		if (found.length < count || cosine > found.at(-1)[0]) {
			found.push([cosine, other]);
			found.sort((a, b) => b[0] - a[0]);
			found.length = Math.min(found.length, count);
		}
	}
	return found.map(([, other]) => model.wordOf(other));
}

export function mount({ limit: ofLimit, cards, about, ranks, axis, cut, row, rowName, near, question: asked }, lesson) {
	const { model } = lesson;
	let limit = MOST; // num_words
	let selected = null;
	const read = (id) => (id >= limit ? UNKNOWN : id);
	const readIds = () => lesson.encoded().ids.map(read);
	// A slider over the logarithm: every tenth of the way is as many times fewer words.
	const fromLog = (z) => (z >= 4 ? MOST : Math.max(10, Math.round(10 ** z)));
	const change = (z) => {
		limit = fromLog(z);
		lesson.draw();
	};
	const limits = {
		min: 1,
		max: 4,
		step: 0.02,
		value: 4,
		format: (z) => fromLog(z).toLocaleString("en"),
		reset: () => change(4),
	};
	const setLimit = handle(ofLimit, { label: "num_words: ids from here on become UNK", ...limits, onInput: change });

	const [scale, cells] = [ranks, row].map(pictureOf);
	const atPointer = (event) => 4 * ((scale.at(event)[0] - EDGE) / (scale.width() - 2 * EDGE));
	const setCut = slider(cut, { label: "num_words", ...limits, onInput: change, at: atPointer });
	question(asked, () => ({ right: 1, text: "Rank 1, after the four special ids 0 to 3." }));

	const cardOf = (n) =>
		button(
			"",
			{ class: "card", onclick: () => ((selected = n), lesson.draw()) },
			el("span", {}),
			el("b", { "data-wire": "id" }),
		);
	function drawCards() {
		const { ids } = lesson.encoded();
		const names = lesson.names();
		const unknown = ids.filter((id) => read(id) === UNKNOWN).length;
		setText(
			about,
			lesson.isReview()
				? `X_train[5] of the tutorial, with its ${ids.length} ids.`
				: `${ids.length} ids, START first; ${unknown} ${unknown === 1 ? "word is" : "words are"} UNK.`,
		);
		if (cards.childElementCount !== names.length) cards.replaceChildren(...names.map((_, n) => cardOf(n)));
		names.forEach((name, n) => {
			const card = cards.children[n];
			const [word, id] = card.children;
			const now = read(ids[n]);
			setText(word, now === UNKNOWN ? "UNK" : name);
			setText(id, now);
			setAttr(card, "class", `card${now === UNKNOWN ? " unk" : n === 0 ? " start" : ""}`);
			setAttr(card, "data-wire", now === UNKNOWN ? "unk" : n === 0 ? "start" : "");
			setAttr(card, "aria-pressed", n === selected);
			card.title = now === UNKNOWN && n ? name : "";
		});
	}

	function drawRanks() {
		const height = 96;
		const width = scale.fit(height);
		const x = (id) => EDGE + (Math.log10(Math.max(1, id)) / 4) * (width - 2 * EDGE);
		const base = 64;
		const ends = [-1e9, -1e9]; // of the labels in two rows
		const { ids } = lesson.encoded();
		const names = lesson.names();
		const first = ids.map((id, n) => [id, n]).filter(([id, n]) => id !== UNKNOWN && ids.indexOf(id) === n);
		const order = first.sort((a, b) => a[0] - b[0]);
		const marks = order.flatMap(([id, n]) => {
			const gone = id >= limit;
			const half = measure(names[n], 14) / 2;
			const level = ends.findIndex((end) => end + 8 < x(id) - half);
			const dot = svg("circle", { cx: x(id), cy: base, r: n === selected ? 6 : 4, class: gone ? "gone" : "dot" });
			if (level < 0 || x(id) + half > width || x(id) - half < 0) return [dot];
			ends[level] = x(id) + half;
			const y = level ? 20 : 40;
			return [stroke(`M${x(id)},${y + 5}V${base}`, "thin"), dot, text(x(id), y, names[n], gone ? "t14 gone" : "t14")];
		});
		const tickAt = (id) => Math.min(width - 24, Math.max(8, x(id)));
		const ticks = [1, 10, 100, 1000, 10_000].map((id) => text(tickAt(id), 92, id.toLocaleString("en"), "t14 muted"));
		axis.replaceChildren(stroke(`M${EDGE},${base}H${width - EDGE}`, "axis"), ...ticks, ...marks);
		const at = x(limit);
		cut.replaceChildren(
			rect(at, 4, Math.max(0, width - at), 72, "shade"),
			stroke(`M${at},4V76`, "cutline"),
			...gripAt(at, 64, [18, 28], [at - 24, 0, 48, 90]),
		);
		setCut(Math.log10(limit));
		setLimit(Math.log10(limit));
	}

	const drawRow = () => {
		const { ids } = lesson.encoded();
		const id = read(ids[Math.min(selected, ids.length - 1)]);
		const name = id === START ? "START" : id === UNKNOWN ? "UNK" : `“${model.wordOf(id)}”`;
		const values = model.network.inputOf(id);
		const wide = cells.fit(44);
		const step = wide / values.length;
		const top = Math.max(...values.map(Math.abs), 0.05);
		row.replaceChildren(
			...Array.from(values, (x, n) => {
				const cell = rect(n * step, 2, step - 1, 40, "", { fill: colourOf(x / top) });
				cell.append(svg("title", {}, fmt(x, 3, true)));
				return cell;
			}),
		);
		const size = `${values.length} numbers from −${fmt(top)} to +${fmt(top)}`;
		setText(rowName, `Row ${id.toLocaleString("en")} of the embedding is ${name}: ${size}`);
		const words = id < FIRST_WORD ? [] : lesson.cached(`nearest ${id}`, () => nearestWords(model, id));
		setText(near, words.length ? `Most similar rows: ${words.join(", ")}` : "\u00a0");
	};

	return {
		isChanged: () => limit < MOST,
		reset: () => (limit = MOST),
		run: () => lesson.cached(`limit ${limit}`, () => model.run({ ids: readIds() })),
		draw() {
			const { ids } = lesson.encoded();
			if (selected === null || selected >= ids.length) selected = strongestStep(lesson.plain(), ids.length - 1);
			drawCards();
			drawRanks();
			drawRow();
		},
	};
}
