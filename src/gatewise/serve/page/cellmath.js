// The numbers of one unit at one step, and the arithmetic of the seven steps as text.

import { CARRIES } from "./cellshape.js";
import { fmt, signed } from "./dom.js";
import { GATES } from "./store.js";

/** The numbers inside the cell of a unit (of an answer) at step t, with c and h of the previous step in its direction. */
export function numbersAt(unit, t) {
	const before = unit.direction === "backward" ? t + 1 : t - 1;
	const there = before >= 0 && before < unit.c.length;
	const [i, f, g, o, c, h] = ["i", "f", "g", "o", "c", "h"].map((name) => unit[name][t]);
	const cPrev = there ? unit.c[before] : unit.c0;
	const hPrev = there ? unit.h[before] : unit.h0;
	const tanh = Math.tanh(c);
	return {
		i,
		f,
		g,
		o,
		c,
		h,
		cPrev,
		hPrev,
		kept: f * cPrev,
		written: i * g,
		tanh,
		contribution: unit.contribution?.[t] ?? null,
	};
}

// The formulas of the steps in the notation of the arithmetic; "_" begins a subscript.
const FORMULAS = [
	"z_f, z_i, z_g, z_o = W x_t + U h_{t−1} + b",
	"f_t = σ(z_f)",
	"i_t = σ(z_i),  g_t = tanh(z_g)",
	"kept = f_t · c_{t−1}",
	"c_t = f_t · c_{t−1} + i_t · g_t",
	"o_t = σ(z_o),  h_t = o_t · tanh(c_t)",
];

/** The formula of step s (1 to 7) as parts {text, sub: whether it is a subscript}. */
export function stepFormula(s, unit) {
	const last = unit.contribution ? "network logits = dense(pool(h_1 … h_T))" : "x_t of the next layer = h_t";
	const formula = FORMULAS[s - 1] ?? last;
	const there = unit.direction === "backward" ? formula.replaceAll("t−1", "t+1") : formula;
	return there
		.split(/_(?:\{([^}]+)\}|(\w))/)
		.map((text, n) => ({ text: text ?? "", sub: n % 3 > 0 }))
		.filter(({ text }) => text);
}

// Why each step is there.
const REASONS = [
	"All four gates compute from the same two vectors: the input at this word, and the h of all units at the previous one.",
	"A sigmoid lies between 0 and 1, so a gate scales the memory: at 0 none of it is kept, at 1 all of it.",
	"The candidate is a tanh, between −1 and 1: it can lower a memory as well as raise it. The input gate scales it.",
	"The old memory is multiplied by f: 20 words at f = 0.95 keep 36% of it, at f = 0.73 less than 1%.",
	"The new memory is a sum: what a word adds leaves what f kept as it is.",
	"The memory has no bound. The tanh brings it back between −1 and 1, and the output gate scales how much of it leaves the cell.",
	"The memory c stays inside the cell. Only h is passed on: to all gates at the next word, and to the layer above.",
];

/** Why step s (1 to 7) is there, for a unit and its words or steps. */
export const reasonOf = (s, unit, tokenNoun) => {
	const line =
		unit.direction === "backward"
			? REASONS[s - 1].replace("the previous one", "the next one").replace("at the next word", "at the previous word")
			: REASONS[s - 1];
	return tokenNoun === "word" ? line : line.replaceAll("word", "step");
};

/** Where the h of the unit goes from this layer. */
export const destination = (n) => (n.contribution === null ? "to the next layer" : "to the prediction");

/** The numbers of the cell and their formulas, in the order of the list. */
export const NUMBERS = {
	cPrev: "previous memory c",
	hPrev: "previous output h",
	f: "forget gate f = σ(z_f)",
	i: "input gate i = σ(z_i)",
	g: "candidate g = tanh(z_g)",
	o: "output gate o = σ(z_o)",
	kept: "kept = f · previous c",
	written: "written = i · g",
	c: "memory c = kept + written",
	h: "output h = o · tanh c",
};
const POINTS = { "P:forget": "kept", "P:input": "written", "P:add": "c", "P:output": "h", T: "tanh" };

/** The number that a part of the cell carries: an edge, a gate "G:f" or a point "P:add". */
export const numberOf = (part) =>
	part === "h0" ? "hPrev" : (POINTS[part] ?? CARRIES[part]?.[0] ?? part.replace("G:", ""));

/** One line on a part of the cell: the name of its number, the formula and the value. */
export function partTitle(part, n, tokenNoun) {
	if (part === "x") return `x, the input of the layer at this ${tokenNoun}: a vector`;
	if (part.startsWith("feed"))
		return `The ${tokenNoun} and the previous h of all units enter the ${GATES[part.slice(4)]}`;
	const name = numberOf(part);
	return `${NUMBERS[name] ?? "tanh c"} = ${fmt(n[name], 2, !"fio".includes(name))}${part === "hup" ? `, ${destination(n)}` : ""}`;
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
			? `h = ${fmt(n.h)} is passed to the next layer and to the next ${tokenNoun}.`
			: `h = ${fmt(n.h)} is passed on. This unit adds ${fmt(n.contribution, 3, true)} to the ${scoreName} here. ` +
				`The prediction is now ${now}.`,
	][s - 1];
}
