// Were there more A than B since R? The letters before R lean to A or to B, those after it do not.

import { below, oneHot } from "./symbols.js";

const NAMES = ["A", "B", "R", "·"];
const [A, B, RESET, FILLER] = NAMES.keys();
const LENGTH = 24;
const [EARLIEST, LATEST] = [8, 17]; // of R
const LEAN = 0.9;
const FILLERS = 0.25;

/** How many more A than B. */
const excess = (ids) => ids.filter((id) => id === A).length - ids.filter((id) => id === B).length;

export const reset = {
	names: NAMES,
	inputs: NAMES.length,
	steps: 300,
	settings: { units: 8, forgetBias: 3, frozen: ["i", "f", "g", "o"], rate: 0.02, batch: 32 },
	/** The example {ids, x, kinds, label}: the label is 1 if there are more A than B since the last R. */
	example: (ids) => ({
		ids,
		x: oneHot(ids, NAMES.length),
		kinds: ids.map((id) => (id === RESET ? "R" : "other")),
		label: Number(excess(ids.slice(ids.lastIndexOf(RESET) + 1)) > 0),
	}),
	draw(random) {
		return () => {
			for (;;) {
				const at = EARLIEST + below(LATEST - EARLIEST + 1, random);
				const lean = random() < 0.5 ? LEAN : 1 - LEAN;
				const ids = Array.from({ length: LENGTH }, (_, t) => {
					if (t === at) return RESET;
					// The last symbol says nothing, so that the answer has to come from the memory.
					if (t === LENGTH - 1 || random() < FILLERS) return FILLER;
					return random() < (t < at ? lean : 0.5) ? A : B;
				});
				if (excess(ids.slice(at)) !== 0) return this.example(ids);
			}
		};
	},
};
