// What stands written on the heat map once its cells are large enough: units, words, numbers.

import { lut } from "./colour.js";
import { fmt } from "./dom.js";

/** cut: the window in cells; w, h: the map's size in CSS pixels; levels: palette places of every cell. */
export function writeOn(context, { view, cut, levels, dpr, gutter, strip, w, h, colour }) {
	context.setTransform(dpr, 0, 0, dpr, 0, 0);
	context.fillStyle = colour;
	context.font = "12px system-ui, sans-serif";
	context.textBaseline = "middle";
	const [tall, broad] = [h / cut.rows, w / cut.columns];
	const rows = range(cut.r, cut.rows, view.order.length);
	const columns = range(cut.c, cut.columns, view.plane.columns);
	if (tall >= 13) {
		context.textAlign = "right";
		for (const r of rows) context.fillText(view.order[r], gutter - 6, (r - cut.r + 0.5) * tall);
	}
	context.textAlign = "left";
	for (const c of broad >= 36 ? columns : []) {
		context.save();
		context.beginPath();
		context.rect(gutter + (c - cut.c) * broad, h, broad - 3, strip);
		context.clip();
		context.fillText(view.words[c], gutter + (c - cut.c) * broad + 2, h + strip / 2);
		context.restore();
	}
	if (tall < 24 || broad < 44) return;
	const table = lut(view.plane.signed ? "signed" : "gate", view.theme);
	context.textAlign = "center";
	for (const r of rows) {
		for (const c of columns) {
			const on = table[levels.levels[r * levels.columns + c]];
			const bright = 0.299 * (on & 255) + 0.587 * ((on >> 8) & 255) + 0.114 * ((on >> 16) & 255);
			context.fillStyle = bright > 140 ? "#16181d" : "#fbfaf7";
			const value = view.plane.values[view.order[r] * view.plane.columns + c];
			context.fillText(fmt(value), gutter + (c - cut.c + 0.5) * broad, (r - cut.r + 0.5) * tall);
		}
	}
}

/** The whole cells of a window, from `first` on, `count` of them, at most to `length`. */
function range(first, count, length) {
	const start = Math.ceil(first);
	return Array.from({ length: Math.max(0, Math.min(length, Math.floor(first + count)) - start) }, (_, n) => start + n);
}
