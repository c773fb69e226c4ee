// Was the first symbol A or B? Some other symbols follow it.

import { below, oneHot } from "./symbols.js";

const NAMES = ["A", "B", "w", "x", "y", "z"];

/** The task over `distance` other symbols. */
export const firstSymbol = (distance) => ({
	names: NAMES,
	inputs: NAMES.length,
	steps: 100,
	settings: { units: 8, forgetBias: 3, rate: 0.01, batch: 32 },
	/** The example {ids, x, label}: the label is 1 for A. */
	example: (ids) => ({ ids, x: oneHot(ids, NAMES.length), label: Number(ids[0] === 0) }),
	draw(random) {
		return () => this.example([below(2, random), ...Array.from({ length: distance }, () => 2 + below(4, random))]);
	},
});
