// A letter comes first. Say it at each "?", and nothing elsewhere: there P(A) is to be 1/2.

import { below, oneHot } from "./symbols.js";

const NAMES = ["A", "B", "?", "·"];
const [A, , ASK, FILLER] = NAMES.keys();
const LENGTH = 20;
const ASKS = 0.2; // share of the steps after the letter

export const ask = {
	names: NAMES,
	inputs: NAMES.length,
	steps: 200,
	settings: { units: 8, forgetBias: 3, frozen: ["i", "f", "g", "o"], rate: 0.02, batch: 32 },
	/** The example {ids, x, kinds, targets}. Questions and saying nothing have half of the weight each. */
	example(ids) {
		const asks = ids.filter((id) => id === ASK).length;
		const targets = ids.map((id, t) =>
			id === ASK ? [t, Number(ids[0] === A), 0.5 / asks] : [t, 0.5, 0.5 / (ids.length - asks)],
		);
		return { ids, x: oneHot(ids, NAMES.length), kinds: ids.map((id) => (id === ASK ? "?" : "other")), targets };
	},
	draw(random) {
		return () => {
			const later = Array.from({ length: LENGTH - 1 }, () => (random() < ASKS ? ASK : FILLER));
			if (!later.includes(ASK)) later[below(LENGTH - 1, random)] = ASK;
			return this.example([below(2, random), ...later]);
		};
	},
};
