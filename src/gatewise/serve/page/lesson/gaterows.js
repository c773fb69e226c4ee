// A gate of all units over time: one row per unit, one field per step.

import { colourOf, rect, text } from "../drawing.js";

const ROW = 8; // height of a unit

/** The height of the rows of some units. */
export const heightOfRows = (units) => units * ROW;

/** The fields of a gate: nodes. values: (T * units); layout: of a timeline; top: y of the first row; carrier: the unit that carries
 * most of the answer, whose row has its number. */
export function gateRows(layout, values, { units, top, carrier }) {
	const fields = Array.from(values, (value, n) => {
		const t = Math.floor(n / units);
		const row = n % units;
		const x = layout.x(t) - layout.each / 2;
		const fill = colourOf(value, "gate");
		return rect(x, top + row * ROW, Math.max(1, layout.each - 1), ROW - 1, "", { fill });
	});
	return [...fields, text(layout.left - 6, top + carrier * ROW + ROW / 2 + 4, carrier, "t14 muted", "end")];
}
