// Planes of numbers, units (rows) by steps (columns): decoding, sorting, and a pyramid that keeps what stands out.

/** From an answer's plane: {name, lo, hi, clip, rows, columns, at(row, column), levels}. */
export function decode(plane) {
	const raw = atob(plane.b64);
	const bytes = new Uint8Array(raw.length);
	for (let n = 0; n < raw.length; n += 1) bytes[n] = raw.charCodeAt(n);
	const view = new DataView(bytes.buffer);
	const [rows, columns] = plane.shape;
	const values = new Float32Array(rows * columns);
	const scale = (plane.hi - plane.lo) / 65535;
	for (let n = 0; n < values.length; n += 1) values[n] = plane.lo + view.getUint16(2 * n, true) * scale;
	const signed = plane.lo < 0;
	return { name: plane.name, layer: plane.layer, clip: plane.clip, signed, rows, columns, values };
}

/** Values (rows x columns) with their rows in another order, as palette places 0..255. */
export function toLevels(plane, order, values = plane.values) {
	const { columns, clip, signed } = plane;
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

/** Half as many rows or columns, each new cell the one farthest from the middle: a mean would hide a spike. */
export function halve({ rows, columns, levels }, downRows, downColumns, middle = 127.5) {
	const [y, x] = [downRows ? 2 : 1, downColumns ? 2 : 1];
	const [h, w] = [Math.ceil(rows / y), Math.ceil(columns / x)];
	const out = new Uint8Array(h * w);
	for (let r = 0; r < h; r += 1) {
		for (let c = 0; c < w; c += 1) {
			let best = levels[r * y * columns + c * x];
			for (let dy = 0; dy < y; dy += 1) {
				for (let dx = 0; dx < x; dx += 1) {
					if (r * y + dy >= rows || c * x + dx >= columns) continue;
					const here = levels[(r * y + dy) * columns + c * x + dx];
					if (Math.abs(here - middle) > Math.abs(best - middle)) best = here;
				}
			}
			out[r * w + c] = best;
		}
	}
	return { rows: h, columns: w, levels: out };
}

/** Units in the order that is chosen. how: effect, index, jump, first, alike. */
export function orderOf(units, how, count, alike) {
	if (how === "alike" && alike) return alike.order;
	return units?.order?.[how] ?? Array.from({ length: count }, (_, n) => n);
}

/** One sentence on a map: who does most, and where. words: names of the steps. */
export function summary(units, words, towards) {
	if (!units) return "";
	const by = units.effect ?? units.jump;
	const top = by.reduce((best, x, n) => (Math.abs(x) > Math.abs(by[best]) ? n : best), 0);
	const where = words[units.at[top]] ?? "";
	const does = units.effect
		? `moved the score for “${towards}” most, by ${signed(by[top])}`
		: "jumps farthest";
	return `Of ${by.length} units, unit ${top} ${does}; its memory jumped farthest at “${where}”.`;
}

const signed = (x) => (x < 0 ? "\u2212" : "+") + Math.abs(x).toFixed(2);
