// The numbers of one unit at one step, and the line of arithmetic that each of the seven steps is.

import { fmt } from "./dom.js";

/** unit: an answer's unit; t: the step. What flows through the cell there, c and h of the step read before included. */
export function numbersAt(unit, t) {
	const before = unit.direction === "backward" ? t + 1 : t - 1;
	const there = before >= 0 && before < unit.c.length;
	const [i, f, g, o, c, h] = ["i", "f", "g", "o", "c", "h"].map((name) => unit[name][t]);
	const cPrev = there ? unit.c[before] : unit.c0;
	const hPrev = there ? unit.h[before] : unit.h0;
	const tanh = Math.tanh(c);
	return { i, f, g, o, c, h, cPrev, hPrev, kept: f * cPrev, written: i * g, tanh, moved: unit.moved?.[t] ?? null };
}

const round = (x) => Number(x.toFixed(2));

/** "a × b = c" with two digits, and "…" after it where the rounded numbers do not give the rounded result. */
function equation(terms, sign, result) {
	const [a, b] = terms.map(round);
	const exact = round(sign === "×" ? a * b : a + b) === round(result);
	const [x, y] = terms.map((term) => fmt(term));
	const second = sign === "+" && terms[1] < 0 ? `(${y})` : y;
	return `${x} ${sign} ${second} = ${fmt(result)}${exact ? "" : " …"}`;
}

/** The line of step s (1 to 7). sums: the unit's z of this step, where known; held: gates that are held by hand. */
export function stepLine(s, n, { word, tokenNoun, label, towards, running, held = new Set(), sums = null }) {
	const gate = (name) => {
		if (held.has(name)) return `${name} = ${fmt(n[name])} (held by hand)`;
		if (!sums) return `${name} = ${fmt(n[name])}`;
		const { x, h, b } = sums[name];
		const act = name === "g" ? "tanh" : "σ";
		return `${name} = ${act}(${fmt(x)} from the ${tokenNoun} ${fmt(h, 2, true)} from h ${fmt(b, 2, true)} bias) = ${fmt(n[name])}`;
	};
	const share = (name) => `${Math.round(100 * n[name])}%`;
	return [
		`The ${tokenNoun} “${word}” and what all units said before, h, go to the four boxes. This unit’s h was ${fmt(n.hPrev)}.`,
		`${gate("f")}: ${share("f")} of the old memory stays.`,
		`${gate("i")}: ${share("i")} of the candidate is let in. ${gate("g")}.`,
		`kept = f · c before = ${equation([n.f, n.cPrev], "×", n.kept)}`,
		`i · g = ${equation([n.i, n.g], "×", n.written)};  c = kept + written = ${equation([n.kept, n.written], "+", n.c)}`,
		`${gate("o")};  h = o · tanh c = ${equation([n.o, n.tanh], "×", n.h)}`,
		n.moved === null
			? `h = ${fmt(n.h)} goes to the layer above and to the next ${tokenNoun}.`
			: `h = ${fmt(n.h)} goes on. This unit moved the score for “${towards}” by ${fmt(n.moved, 3, true)} here; ` +
				`all together the verdict stands at ${label} ${fmt(running)}.`,
	][s - 1];
}
