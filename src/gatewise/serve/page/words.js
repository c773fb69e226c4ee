// Steps as words: cut from the text where the answer says they stand, and two texts' words beside one another.

import { shown } from "./dom.js";

/** The names of the steps that were read. */
export function wordsOf(text, part) {
	if (!part) return [];
	if (part.values) return part.values.map((_, n) => String(n + 1));
	const { s, e, names } = part.tokens;
	return s.map((from, n) => names[n] ?? text.slice(from, e[n]));
}

/** The text as pieces in order: {word: n, show} for a step, {left: true, show} for what is not read, {gap: show}. */
export function pieces(text, part) {
	if (part.values) return part.values.map((_, n) => ({ word: n, show: String(n + 1), gap: " " }));
	const { s, e, names, left } = part.tokens;
	const all = s.map((from, n) => ({ from, to: e[n], word: n, name: names[n] }));
	all.push(...left.filter(([a, b]) => b > a).map(([from, to]) => ({ from, to, left: true })));
	all.sort((a, b) => a.from - b.from || a.to - b.to);
	let at = 0;
	const out = [];
	for (const piece of all) {
		const before = text.slice(at, piece.from);
		if (before) out.length ? (out.at(-1).gap += before) : out.push({ show: "", gap: before });
		const start = piece.from === piece.to;
		const show = start ? "⊢" : shown(text.slice(piece.from, piece.to), 80);
		out.push({ word: piece.word, left: piece.left, start, show, gap: start ? " " : "" });
		at = Math.max(at, piece.to);
	}
	if (out.length) out.at(-1).gap += text.slice(at);
	return out;
}

/** How many entries two lists share at their beginnings. */
export function samePrefix(a, b, same = (x, y) => x === y) {
	let n = 0;
	while (n < a.length && n < b.length && same(a[n], b[n])) n += 1;
	return n;
}

/** Numbers that were pasted, one step a line, as rows; throws an Error that says which line is wrong. */
export function parseSeries(text, channels) {
	const rows = [];
	for (const [n, line] of text.split(/\r?\n/).entries()) {
		if (!line.trim()) continue;
		const row = line.trim().split(/[\s,;]+/).filter(Boolean).map(Number);
		if (row.length !== channels || !row.every(Number.isFinite)) {
			throw new Error(`Line ${n + 1}: ${channels === 1 ? "one number" : `${channels} numbers`} a line, please.`);
		}
		rows.push(row);
	}
	return rows;
}
