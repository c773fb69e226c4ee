// Drawing for charts and for the chapters: pictures whose unit is 1/16 rem, so that they grow with the text; words in rows; lines.

import { currentTheme, lut, paintLevels } from "./colour.js";
import { setAttr, svg } from "./dom.js";
import { once } from "./once.js";

/** An <svg class="picture">, which fills its parent, as {node, width(): in units, fit(height) -> width, ...}. */
export function pictureOf(node) {
	let [known, drawn, pixels] = [0, 0, 1]; // width, height, and pixels of a unit
	new ResizeObserver(() => (known = 0)).observe(node);
	function width() {
		if (known) return known; // to measure after a change makes the browser compute the layout again
		pixels = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
		known = Math.max(40, node.parentElement.clientWidth / pixels);
		return known;
	}
	return {
		node,
		width,
		fit(height) {
			setAttr(node, "viewBox", `0 0 ${width()} ${height}`);
			if (height !== drawn) node.style.setProperty("height", `${height / 16}rem`);
			drawn = height;
			return known;
		},
		pixels: () => pixels,
		/** The place of the pointer, in units. */
		at(event) {
			const { left, top, width } = node.getBoundingClientRect();
			const scale = node.viewBox.baseVal.width / (width || 1);
			return [(event.clientX - left) * scale, (event.clientY - top) * scale];
		},
	};
}

let context = null;
const widths = new Map();
/** The width in units of a text of that size. */
export const measure = (text, size) =>
	once(
		widths,
		`${size} ${text}`,
		() => {
			context ??= document.createElement("canvas").getContext("2d");
			context.font = `${size}px system-ui, sans-serif`;
			return context.measureText(text).width;
		},
		5000,
	);

/** Names in rows of at most `width`, as equal as possible, each spread over it: [{x: middle, row, width}], and the number of rows. */
export function layoutWords(names, width, { size = 16, gap = 14, left = 0 } = {}) {
	const widths = names.map((name) => Math.min(width - left, measure(name, size) + gap));
	const broken = (limit) => {
		const rows = [[]];
		let x = left;
		widths.forEach((w, n) => {
			if (x + w > limit + 1 && x > left) {
				rows.push([]);
				x = left;
			}
			rows.at(-1).push(n);
			x += w;
		});
		return rows;
	};
	let rows = broken(width);
	for (let limit = width - 10; rows.length > 1 && limit > left + 60; limit -= 10) {
		const next = broken(limit);
		if (next.length > rows.length) break;
		rows = next;
	}
	const places = [];
	rows.forEach((row, number) => {
		const used = row.reduce((total, n) => total + widths[n], left);
		const extra = Math.max(0, Math.min(28, (width - used) / row.length));
		let x = left;
		for (const n of row) {
			const w = widths[n] + extra;
			places.push({ x: x + w / 2, row: number, width: w });
			x += w;
		}
	});
	return { places, rows: rows.length };
}

const round = (x) => Math.round(x * 10) / 10;
/** A path through points [x, y]. */
export const path = (points) => points.map(([x, y], n) => `${n ? "L" : "M"}${round(x)},${round(y)}`).join("");

export const stroke = (d, name, more = {}) => svg("path", { d, class: name, ...more });

export const rect = (x, y, width, height, name, more = {}) =>
	svg("rect", { x, y, width, height, class: name, ...more });

export const PROBABILITIES = [
	[0, "0"],
	[0.5, "½"],
	[1, "1"],
];
/** The ticks [number, label] of a y axis from x = `left` to `right`; y(number): its place. */
export const yAxis = (ticks, y, left, right) =>
	ticks.flatMap(([value, label]) => [
		stroke(`M${left},${y(value)}H${right}`, "thin"),
		text(left - 8, y(value) + 5, label, "t14 muted", "end"),
	]);

/** What a slider of a figure shows: a grip of that size around a point, and what takes the pointer: [x, y, width, height]. */
export const gripAt = (x, y, [width, height], reach) => [
	rect(x - width / 2, y - height / 2, width, height, "grip", { rx: Math.min(width, height) / 2 }),
	rect(...reach, "reach"),
];

export const text = (x, y, content, name = "", anchor = "middle") =>
	svg("text", { x: round(x), y: round(y), class: name, "text-anchor": anchor }, content);

/** The colour of a number from -1 to 1 (signed) or from 0 to 1 (gate), as rgb(...). */
export function colourOf(x, kind = "signed") {
	const level = Math.round(255 * Math.max(0, Math.min(1, kind === "gate" ? x : (x + 1) / 2)));
	const colour = lut(kind, currentTheme())[level];
	return `rgb(${colour & 255},${(colour >> 8) & 255},${(colour >> 16) & 255})`;
}

/** Draw a matrix on a canvas, one pixel per number: at(column, row) from -1 to 1. */
export function drawMatrix(canvas, columns, rows, at) {
	const level = (n) => Math.round(127.5 * (1 + at(n % columns, Math.floor(n / columns))));
	paintLevels(
		canvas,
		Uint8ClampedArray.from({ length: columns * rows }, (_, n) => level(n)),
		columns,
		"signed",
	);
}
