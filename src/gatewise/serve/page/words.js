// The words of a text: cut from the text at the positions of an answer, and compared with another text's words.

import { safeText } from "./dom.js";

/** The names of the steps that the network reads. */
export function wordsOf(text, part) {
	if (!part) return [];
	if (part.values) return part.values.map((_, n) => String(n + 1));
	const { start, end, names } = part.tokens;
	return start.map((from, n) => names[n] ?? text.slice(from, end[n]));
}

/** The text as pieces in order, each with the `gap` after it: {word: n, show} for a step, {truncated: true, show}. raw: with
 * every character as it is. */
export function pieces(text, part, raw = false) {
	if (part.values) return part.values.map((_, n) => ({ word: n, show: String(n + 1), gap: " " }));
	const { start, end, names, truncated } = part.tokens;
	const all = start.map((from, n) => ({ from, to: end[n], word: n, name: names[n] }));
	all.push(...truncated.filter(([a, b]) => b > a).map(([from, to]) => ({ from, to, truncated: true })));
	all.sort((a, b) => a.from - b.from || a.to - b.to);
	let at = 0;
	const out = [];
	for (const piece of all) {
		const before = text.slice(at, piece.from);
		if (before && out.length) out.at(-1).gap += before;
		else if (before) out.push({ show: "", gap: before });
		const isStart = piece.from === piece.to;
		const own = text.slice(Math.max(at, piece.from), piece.to);
		const show = isStart ? "⊢" : raw ? own : safeText(own, 80);
		out.push({ word: piece.word, truncated: piece.truncated, isStart, show, gap: isStart && !raw ? " " : "" });
		at = Math.max(at, piece.to);
	}
	if (out.length) out.at(-1).gap += text.slice(at);
	return out;
}

/** The length of the common prefix of two lists. */
export function commonPrefix(a, b, same = (x, y) => x === y) {
	let n = 0;
	while (n < a.length && n < b.length && same(a[n], b[n])) n += 1;
	return n;
}

/** The positions in two lists of words that are not in their longest common subsequence: [Set, Set]. */
export function differingWords(a, b) {
	const [x, y] = [a.map((w) => w.toLowerCase()), b.map((w) => w.toLowerCase())];
	if (x.length * y.length > 4e6) return [new Set(), new Set()];
	const width = y.length + 1;
	const best = new Uint16Array((x.length + 1) * width);
	for (let i = x.length - 1; i >= 0; i -= 1) {
		for (let j = y.length - 1; j >= 0; j -= 1) {
			const skip = Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
			best[i * width + j] = x[i] === y[j] ? best[(i + 1) * width + j + 1] + 1 : skip;
		}
	}
	const [first, second] = [new Set(x.keys()), new Set(y.keys())];
	for (let i = 0, j = 0; i < x.length && j < y.length;) {
		if (x[i] === y[j]) {
			first.delete(i);
			second.delete(j);
			i += 1;
			j += 1;
		} else if (best[(i + 1) * width + j] >= best[i * width + j + 1]) i += 1;
		else j += 1;
	}
	return [first, second];
}

/** Pasted numbers, one time step per line, as rows; ? and nan are missing values, null. Throws an Error that names the wrong line. */
export function parseSeries(text, channels) {
	const rows = [];
	for (const [n, line] of text.split(/\r?\n/).entries()) {
		if (!line.trim()) continue;
		const row = line
			.trim()
			.split(/[\s,;]+/)
			.filter(Boolean)
			.map((cell) => (/^(\?|nan)$/i.test(cell) ? null : Number(cell)));
		if (row.length !== channels || !row.every((x) => x === null || Number.isFinite(x))) {
			throw new Error(`Line ${n + 1}: expected ${channels === 1 ? "one number" : `${channels} numbers`} per line.`);
		}
		rows.push(row);
	}
	return rows;
}
