// The layouts of the cell in the lesson: flat, so that a chapter has room for a second picture.

import { CARRIES as OF_ALL, layout } from "../cellshape.js";

const BEND = 16; // radius of a corner, as there

/** A layout with the paths of a cell that grows, and of the gradient, which goes back along c and h. */
function growing(places) {
	const { memory, bus, from, to, columns, gatesAt, inputAt, gate, radius, tanh, head } = places;
	const [g, out] = [columns[2], columns[4]];
	const [top, bottom] = [gatesAt - gate[1] / 2, gatesAt + gate[1] / 2 + head];
	const near = radius + head;
	const whole = layout(places);
	return {
		...whole,
		paths: {
			...whole.paths,
			// Of a cell without some of its parts: h of a plain network; c that nothing multiplies; h without an output gate; the
			// input of a cell whose last gate is g.
			plain: `M${g},${top}V${inputAt + BEND}Q${g},${inputAt} ${g + BEND},${inputAt}H${out - BEND}Q${out},${inputAt} ${out},${inputAt + BEND}V${bus - BEND}Q${out},${bus} ${out + BEND},${bus}H${to}`,
			pass: `M${from},${memory}H${g - near}`,
			direct: `M${out},${tanh[0] + tanh[2]}V${bus - BEND}Q${out},${bus} ${out + BEND},${bus}H${to}`,
			h0g: `M${from},${bus}H${g - BEND}Q${g},${bus} ${g},${bus - BEND}V${bottom}`,
			// The gradient goes back along c and h.
			backc: `M${to},${memory - 20}H${from + head}`,
			backh: `M${to},${bus + 12}H${from + head}`,
		},
	};
}

export const FLAT = growing({
	box: [760, 304],
	body: [96, 44, 568, 216, 24],
	head: 11,
	memory: 84,
	bus: 242,
	from: 88,
	to: 656,
	columns: [180, 285, 390, 495, 584],
	gatesAt: 186,
	inputAt: 132,
	outputAt: 144,
	gate: [94, 46],
	lines: [-5, 16],
	symbols: true,
	radius: 13,
	tanh: [114, 26, 11],
	pills: {
		c0: [46, 84, 82, 26],
		h0: [46, 242, 82, 26],
		c: [712, 84, 82, 26],
		h: [712, 242, 82, 26],
		kept: [285, 84, 76, 26],
	},
	labels: { c0: [46, 60, "middle"], h0: [46, 276, "middle"], c: [712, 60, "middle"], h: [712, 276, "middle"] },
	texts: { written: [404, 114, "start"], tanh: [598, 141, "start"] },
	x: [132, 286, 15],
	word: [154, 291, "start"],
	up: [649, 18, 14],
	upText: [627, 23, "end"],
});

/** On a phone. */
export const FLAT_COMPACT = growing({
	box: [358, 330],
	body: [6, 52, 346, 226, 20],
	head: 11,
	memory: 96,
	bus: 256,
	from: 0,
	to: 346,
	columns: [44, 118, 192, 266, 314],
	gatesAt: 200,
	inputAt: 146,
	outputAt: 158,
	gate: [72, 46],
	lines: [-5, 16],
	radius: 13,
	tanh: [128, 22, 11],
	pills: { kept: [118, 96, 60, 24] },
	texts: {
		c0: [4, 42, "start"],
		c: [330, 42, "end"],
		h0: [44, 300, "start"],
		h: [354, 300, "end"],
		written: [206, 128, "start"],
		tanh: [300, 154, "end"],
	},
	x: [26, 308, 15],
	word: [46, 322, "start"],
	up: [340, 16, 12],
	upText: [322, 21, "end"],
});

/** Of a cell that is closed: what goes in and what comes out. */
export const CLOSED = {
	...FLAT,
	box: [760, 170],
	body: [96, 28, 568, 100, 24],
	pills: { c0: [46, 78, 82, 26], c: [712, 78, 82, 26] },
	labels: { c0: [46, 54, "middle"], c: [712, 54, "middle"] },
	x: [380, 153, 15],
	word: [402, 158, "start"],
};
export const CLOSED_COMPACT = {
	...FLAT_COMPACT,
	box: [358, 150],
	body: [6, 28, 346, 76, 20],
	texts: { c0: [6, 20, "start"], c: [352, 20, "end"] },
	pills: {},
	x: [160, 132, 15],
	word: [182, 137, "start"],
};

const EDGES_OF_ALL = ["x", "hup"];
const PLAIN = [...EDGES_OF_ALL, "h0g", "G:g", "plain"];
const ADD = [...EDGES_OF_ALL, "h0g", "feedi", "G:i", "G:g", "i", "g", "written", "c", "ctanh", "P:input", "P:add", "T"];
const FORGET = [...ADD, "c0", "kept", "feedf", "G:f", "f", "P:forget", "direct"];
const WHOLE = [...FORGET, "h0", "feedg", "G:o", "o", "tanh", "h", "P:output"];
const without = (parts, ...names) => new Set(parts.filter((part) => !names.includes(part)));
/** The parts of a cell that grows, by level: edges by name, gates "G:f", points "P:add" and the tanh "T". */
export const LEVELS = {
	plain: new Set(PLAIN),
	add: new Set([...ADD, "pass", "direct"]),
	forget: new Set(FORGET),
	whole: without(WHOLE, "h0g", "direct"),
};

/** The number of each edge, as in cellshape.js. */
export const CARRIES = {
	...OF_ALL,
	plain: ["h", "signed"],
	pass: ["cPrev", "memory"],
	direct: ["h", "signed"],
};
