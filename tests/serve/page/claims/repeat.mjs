// The claims of chapter 2, measured.

import { page, range } from "./common.mjs";

const { repeated, STEPS } = await page("lesson/repeat");
const linear = (w, x) => repeated(w, x, (z) => z);
const WEIGHTS_BELOW = [0.1, 0.5, 0.8, 0.9, 0.95];
const WEIGHTS_ABOVE = [1.2, 1.3, 1.4, 1.5];

export const measures = {
	followsFormula: () =>
		WEIGHTS_ABOVE.map((w) => {
			const h = repeated(w, 1);
			return Math.max(...range(1, STEPS).map((t) => Math.abs(h[t] - Math.tanh(w * h[t - 1]))));
		}),
	steps: () => [repeated(0.9, 1).length - 1],
	leftAt09: () => [repeated(0.9, 1).at(-1) / repeated(0.9, 1)[0]],
	fades: () => WEIGHTS_BELOW.map((w) => repeated(w, 1).at(-1) / repeated(w, 1)[0]),
	explodes: () => WEIGHTS_ABOVE.map((w) => linear(w, 1).at(-1)),
	sameEnd: () => WEIGHTS_ABOVE.map((w) => repeated(w, 1).at(-1) - repeated(w, 0.2).at(-1)),
	staysAbove: () => WEIGHTS_ABOVE.map((w) => repeated(w, 0.2).at(-1)),
	linearKeepsSize: () => WEIGHTS_ABOVE.map((w) => linear(w, 1).at(-1) / linear(w, 0.2).at(-1)),
};
