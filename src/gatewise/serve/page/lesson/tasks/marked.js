// A or B at each step, one of them is marked: which?

import { below } from "./symbols.js";

const NAMES = ["A", "B"];
const LENGTH = 25;
const WIDTH = 3; // A, B and the mark

export const marked = {
	names: NAMES,
	inputs: WIDTH,
	steps: 400,
	settings: { units: 8, forgetBias: 3, frozen: ["i", "f", "g", "o"], rate: 0.02, batch: 32 },
	/** The example {ids, at, x, kinds, label} with the mark at step `at`: the label is 1 for A. */
	example(ids, at) {
		const x = new Float64Array(WIDTH * ids.length);
		ids.forEach((id, t) => (x[t * WIDTH + id] = 1));
		x[at * WIDTH + 2] = 1;
		const kinds = ids.map((_, t) => (t === at ? "marked" : "other"));
		return { ids, at, x, kinds, label: Number(ids[at] === 0) };
	},
	draw(random) {
		return () => {
			const at = below(LENGTH, random);
			const ids = Array.from({ length: LENGTH }, () => Number(random() >= 0.5));
			return this.example(ids, at);
		};
	},
};
