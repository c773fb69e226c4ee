// The cell that goes through the lesson: the lab's drawing, with the parts that a chapter has reached.

import { safeText } from "../dom.js";
import { createCellDrawing } from "./celldrawing.js";
import { CLOSED, CLOSED_COMPACT, FLAT, FLAT_COMPACT } from "./cellshapes.js";

const WIDE = 600; // pixels from which the wide drawing fits
// What a chapter calls the parts of the drawing.
const LIT = {
	x: ["x", "N:x"],
	c: ["c0", "pass", "kept", "c", "P:forget", "P:add"],
	f: ["feedf", "G:f", "f", "P:forget"],
	i: ["feedi", "G:i", "i", "P:input"],
	g: ["feedg", "h0g", "G:g", "g", "written"],
	o: ["h0", "G:o", "o", "P:output"],
	h: ["ctanh", "T", "tanh", "P:output", "h", "direct", "plain", "hup", "N:up"],
};

const BEFORE = { add: "plain", forget: "add", hide: "forget" }; // the level of the chapter before

/** The numbers of unit k at step t of a run, of the model or of trainer.js: that of a plain network has h alone. */
export function numbersOf(run, t, k) {
	const H = run.units;
	const now = t * H + k;
	const hPrev = t ? run.h[now - H] : (run.start?.h[k] ?? 0);
	if (!run.c) return { hPrev, g: run.h[now], h: run.h[now], contribution: 0 };
	const [i, f, g, o, c, h] = ["i", "f", "g", "o", "c", "h"].map((name) => run[name][now]);
	const cPrev = t ? run.c[now - H] : (run.start?.c[k] ?? 0);
	return { i, f, g, o, c, h, cPrev, hPrev, kept: f * cPrev, written: i * g, tanh: Math.tanh(c), contribution: 0 };
}

/** level: "box" (closed), "plain", "add", "forget", "hide" or "whole": the parts that it has. */
export function createCellFigure(node, { level }) {
	node.classList.add("lessoncell");
	const isOpen = level !== "box";
	const [wide, narrow] = isOpen ? [FLAT, FLAT_COMPACT] : [CLOSED, CLOSED_COMPACT];
	const fontScale = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
	const drawing = createCellDrawing(node, {
		shapeFor: (width) => (width / fontScale() < WIDE ? narrow : wide),
		level: isOpen && level !== "hide" ? level : "whole",
		before: BEFORE[level] ?? null,
		isOpen,
	});
	return {
		/** n: of `numbersOf`; token: what enters; lit: names of parts, x c f i g o h or those of cellshape.js; held: Set of gates;
		 * gradients: {c, h} from 0 to 1; scale: the c of a line of full width; title. */
		draw({ n, token, lit = null, held = new Set(), gradients = null, scale = 1, title = "The cell of one unit" }) {
			if (!n) return drawing.outline();
			drawing.draw({
				n,
				word: (limit) => safeText(token ?? "", limit),
				title: `${title}${token ? `, at “${safeText(token, 40)}”` : ""}`,
				tokenNoun: "step",
				lit: lit && new Set(lit.flatMap((name) => LIT[name] ?? [name])),
				clamped: held,
				scale,
				back: gradients,
			});
		},
	};
}
