// The layout of the LSTM cell, after Olah's drawing. A line is one unit's number; the bus of h and x at the bottom is a
// vector, thin and neutral. WIDE: from 560 px; COMPACT: below; LARGE: for presentations, with larger text.

const BEND = 16; // radius of a corner
const HALF = 14; // of the gap at which the h that goes up crosses the memory

/** A layout from the places of its parts. memory, bus: y of the lines of c and of h; from, to: x of their ends; columns: x of
 * f, i, g, o and of the output point; gatesAt, inputAt, outputAt: y of the gates and of these two points. */
export function layout({ memory, bus, from, to, columns, gatesAt, inputAt, outputAt, head = 17, ...own }) {
	const [f, i, g, o, out] = columns;
	const { gate, radius, tanh, x, up } = own;
	const [top, bottom] = [gatesAt - gate[1] / 2, gatesAt + gate[1] / 2 + head];
	const near = radius + head; // from the middle of a point to the line that ends there
	const feed = (column) => `M${column},${bus}V${bottom}`;
	const turn = (column, y, end) => `M${column},${top}V${y + BEND}Q${column},${y} ${column + BEND},${y}H${end - near}`;
	return {
		...own,
		head,
		tanh: [out, ...tanh],
		gates: { f: [f, gatesAt], i: [i, gatesAt], g: [g, gatesAt], o: [o, gatesAt] },
		points: { forget: [f, memory, "×"], input: [g, inputAt, "×"], add: [g, memory, "+"], output: [out, outputAt, "×"] },
		paths: {
			c0: `M${from},${memory}H${f - near}`,
			kept: `M${f + radius},${memory}H${g - near}`,
			c: `M${g + radius},${memory}H${to}`,
			h0: `M${from},${bus}H${o - BEND}Q${o},${bus} ${o},${bus - BEND}V${bottom}`,
			x: `M${x[0]},${x[1] - x[2]}V${bus + BEND}Q${x[0]},${bus} ${x[0] + BEND},${bus}`,
			feedf: feed(f),
			feedi: feed(i),
			feedg: feed(g),
			f: `M${f},${top}V${memory + near}`,
			i: turn(i, inputAt, g),
			g: `M${g},${top}V${inputAt + near}`,
			written: `M${g},${inputAt - radius}V${memory + near}`,
			o: turn(o, outputAt, out),
			ctanh: `M${out},${memory}V${tanh[0] - tanh[2] - head}`,
			tanh: `M${out},${tanh[0] + tanh[2]}V${outputAt - radius}`,
			h: `M${out},${outputAt + radius}V${bus - BEND}Q${out},${bus} ${out + BEND},${bus}H${to}`,
			hup: `M${up[0] - BEND},${bus}Q${up[0]},${bus} ${up[0]},${bus - BEND}V${memory + HALF}M${up[0]},${memory - HALF}V${up[1] + up[2] + head}`,
		},
	};
}

export const WIDE = layout({
	box: [800, 420],
	body: [110, 56, 600, 300, 26],
	memory: 112,
	bus: 318,
	from: 98,
	to: 701,
	columns: [200, 302, 404, 506, 594],
	gatesAt: 250,
	inputAt: 184,
	outputAt: 196,
	gate: [98, 52],
	lines: [-6, 17],
	symbols: true,
	radius: 16,
	tanh: [152, 32, 16],
	pills: {
		c0: [56, 112, 84, 26],
		h0: [56, 318, 84, 26],
		c: [756, 112, 76, 26],
		h: [756, 318, 76, 26],
		kept: [294, 112, 76, 26],
	},
	labels: { c0: [56, 84, "middle"], h0: [56, 350, "middle"], c: [756, 84, "middle"], h: [756, 350, "middle"] },
	texts: { written: [422, 157, "start"], tanh: [612, 184, "start"] },
	x: [150, 393, 19],
	word: [178, 398, "start"],
	up: [672, 28, 19],
	upText: [644, 33, "end"],
});

export const COMPACT = layout({
	box: [420, 460],
	body: [8, 62, 404, 330, 22],
	memory: 110,
	bus: 358,
	from: 0,
	to: 403,
	columns: [56, 140, 224, 308, 366],
	gatesAt: 286,
	inputAt: 198,
	outputAt: 208,
	gate: [79, 50],
	lines: [-6, 17],
	radius: 14,
	tanh: [154, 26, 13],
	pills: { kept: [140, 110, 68, 24] },
	texts: {
		c0: [8, 50, "start"],
		c: [386, 50, "end"],
		h0: [44, 384, "start"],
		h: [412, 414, "end"],
		written: [240, 168, "start"],
		tanh: [348, 191, "end"],
	},
	x: [28, 436, 17],
	word: [54, 442, "start"],
	up: [399, 18, 15],
	upText: [378, 23, "end"],
});

export const LARGE = layout({
	box: [900, 560],
	body: [66, 84, 700, 400, 30],
	memory: 140,
	bus: 450,
	from: 0,
	to: 876,
	columns: [160, 322, 484, 646, 716],
	gatesAt: 360,
	inputAt: 260,
	outputAt: 280,
	gate: [154, 84],
	lines: [-8, 30],
	radius: 22,
	tanh: [210, 42, 22],
	pills: { kept: [322, 140, 110, 42] },
	texts: {
		c0: [0, 66, "start"],
		c: [900, 66, "end"],
		h0: [0, 520, "start"],
		h: [900, 534, "end"],
		written: [500, 208, "start"],
		tanh: [686, 256, "end"],
	},
	x: [300, 526, 24],
	word: [336, 536, "start"],
	wordLength: 14,
	up: [740, 30, 24],
	upText: [706, 40, "end"],
});

// The edges, boxes and points that each of the seven steps highlights.
export const STEPS = [
	{ name: "read", lit: ["h0", "x", "feedf", "feedi", "feedg", "N:x"] },
	{ name: "forget", lit: ["feedf", "f", "G:f", "P:forget"] },
	{ name: "input", lit: ["feedi", "feedg", "i", "g", "G:i", "G:g", "P:input"] },
	{ name: "keep", lit: ["c0", "f", "kept", "P:forget"] },
	{ name: "write", lit: ["i", "g", "written", "kept", "c", "P:input", "P:add"] },
	{ name: "output", lit: ["ctanh", "tanh", "o", "h", "G:o", "T", "P:output"] },
	{ name: "pass on", lit: ["h", "hup", "c", "N:up"] },
];

// The number of each edge: its size is the width of the line, its kind the colour.
export const CARRIES = {
	c0: ["cPrev", "memory"],
	kept: ["kept", "memory"],
	c: ["c", "memory"],
	written: ["written", "memory"],
	ctanh: ["c", "memory"],
	f: ["f", "gate"],
	i: ["i", "gate"],
	o: ["o", "gate"],
	g: ["g", "signed"],
	tanh: ["tanh", "signed"],
	h: ["h", "signed"],
	hup: ["h", "signed"],
};
