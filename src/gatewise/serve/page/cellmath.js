// The numbers of one unit at one step, and the arithmetic of the seven steps as text.

import { fmt, signed } from "./dom.js";

/** The numbers inside the cell of a unit (of an answer) at step t, with c and h of the previous step in its direction. */
export function numbersAt(unit, t) {
	const before = unit.direction === "backward" ? t + 1 : t - 1;
	const there = before >= 0 && before < unit.c.length;
	const [i, f, g, o, c, h] = ["i", "f", "g", "o", "c", "h"].map((name) => unit[name][t]);
	const cPrev = there ? unit.c[before] : unit.c0;
	const hPrev = there ? unit.h[before] : unit.h0;
	const tanh = Math.tanh(c);
	return { i, f, g, o, c, h, cPrev, hPrev, kept: f * cPrev, written: i * g, tanh, contribution: unit.contribution?.[t] ?? null };
}

const round = (x) => Number(x.toFixed(2));

/** "a × b = c" with two digits; "…" follows if the rounded numbers do not give the rounded result. */
function equation(terms, sign, result) {
	const [a, b] = terms.map(round);
	const exact = round(sign === "×" ? a * b : a + b) === round(result);
	const [x, y] = terms.map((term) => fmt(term));
	const second = sign === "+" && terms[1] < 0 ? `(${y})` : y;
	return `${x} ${sign} ${second} = ${fmt(result)}${exact ? "" : " …"}`;
}

/** The text of step s (1 to 7). sums: the unit's pre-activations, if known; clamped: the clamped gates. */
export function stepLine(s, n, { word, tokenNoun, scoreName, now, clamped = new Set(), sums = null }) {
	const gate = (name) => {
		if (clamped.has(name)) return `${name} = ${fmt(n[name])} (clamped)`;
		if (!sums) return `${name} = ${fmt(n[name])}`;
		const { x, h, bias } = sums[name];
		const act = name === "g" ? "tanh" : "σ";
		return `${name} = ${act}(${fmt(x)} from the ${tokenNoun} ${signed(h)} from h ${signed(bias)} bias) = ${fmt(n[name])}`;
	};
	const share = (name) => `${Math.round(100 * n[name])}%`;
	return [
		`The ${tokenNoun} “${word}” and the previous h of all units enter the four gates. This unit’s previous h is ${fmt(n.hPrev)}.`,
		`${gate("f")}: ${share("f")} of the old memory is kept.`,
		`${gate("i")}: ${share("i")} of the candidate is written. ${gate("g")}.`,
		`kept = f · previous c = ${equation([n.f, n.cPrev], "×", n.kept)}`,
		`i · g = ${equation([n.i, n.g], "×", n.written)};  c = kept + written = ${equation([n.kept, n.written], "+", n.c)}`,
		`${gate("o")};  h = o · tanh c = ${equation([n.o, n.tanh], "×", n.h)}`,
		n.contribution === null
			? `h = ${fmt(n.h)} is passed to the layer above and to the next ${tokenNoun}.`
			: `h = ${fmt(n.h)} is passed on. This unit adds ${fmt(n.contribution, 3, true)} to the ${scoreName} here. ` +
				`The prediction is now ${now}.`,
	][s - 1];
}
