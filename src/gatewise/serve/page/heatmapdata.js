// The numbers of a heat map, units (rows) by steps (columns): decoding, sorting, downsampling, CSV.

/** Decode a heat map of an answer into {name, layer, clip, signed, rows, columns, values}, unless it was made in the page. */
export function decode(heatmap) {
	if (heatmap.values) return heatmap;
	const {
		name,
		layer,
		clip,
		low,
		high,
		shape: [rows, columns],
	} = heatmap;
	const bytes = Uint8Array.from(atob(heatmap.base64), (letter) => letter.charCodeAt(0));
	const values = Float32Array.from(new Uint16Array(bytes.buffer), (level) => low + (level * (high - low)) / 65535);
	return { name, layer, clip, signed: low < 0, rows, columns, values };
}

/** The values (rows x columns) as palette indices 0..255, with the rows in the given order. */
export function toLevels({ columns, clip, signed, values }, order) {
	const rows = order.length;
	const out = new Uint8Array(rows * columns);
	const [low, span] = signed ? [-clip, 2 * clip] : [0, clip];
	for (let r = 0; r < rows; r += 1) {
		const from = order[r] * columns;
		for (let c = 0; c < columns; c += 1) {
			const level = (255 * (values[from + c] - low)) / span;
			out[r * columns + c] = level < 0 ? 0 : level > 255 ? 255 : Math.round(level);
		}
	}
	return out;
}

/** The units in order. how: effect, index, jump, first. */
export const orderOf = (units, how, count) => units?.order?.[how] ?? Array.from({ length: count }, (_, n) => n);

export const TOP = 32; // units that the heat map shows unless all are chosen

/** The units among the TOP ones by effect, in the given order; the selected unit is always one of them. */
export function topOf(order, units, selected) {
	const best = new Set((units?.order.effect ?? units?.order.jump ?? order).slice(0, TOP));
	best.add(selected);
	return order.filter((k) => best.has(k));
}

/** The heat map as CSV. A text cell that begins like a formula gets an apostrophe. */
export function toCsv(heatmap, order, words) {
	const quoted = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
	const lines = [["unit", ...words.map(quoted)].join(",")];
	for (const k of order) {
		const row = heatmap.values.subarray(k * heatmap.columns, (k + 1) * heatmap.columns);
		lines.push([k, ...Array.from(row, (x) => x.toFixed(5))].join(","));
	}
	return `${lines.join("\r\n")}\r\n`;
}
