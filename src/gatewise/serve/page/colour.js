// Two colour maps: signed (magenta to green) and gate (violet), in steps of OKLab so that equal differences look equal.
// The middle of the signed map has the brightness of the page.

import { once } from "./once.js";

export const STOPS = {
	signed: {
		light: ["#a0148c", "#b95aa5", "#d08dbd", "#e3c0d5", "#f4f2ed", "#c4cfb6", "#95ad80", "#698c4a", "#3d6b00"],
		dark: ["#f39ae8", "#b779b2", "#7f597f", "#4b3a4f", "#1b1e24", "#3d4738", "#62744a", "#8aa35a", "#b5d66a"],
	},
	gate: {
		light: ["#f4f2ed", "#dbd6df", "#c2bbd1", "#aaa1c3", "#9287b5", "#7b6da6", "#665397", "#523988", "#3f1d78"],
		dark: ["#1b1e24", "#2e2f3b", "#434054", "#59526e", "#706589", "#8878a5", "#a08cc2", "#b9a1e0", "#d3b6ff"],
	},
};

/** "#rrggbb" to [r, g, b] in 0..255. */
export const rgb = (hex) => [1, 3, 5].map((n) => parseInt(hex.slice(n, n + 2), 16));

/** The colour at `at` (0..1) of a ramp through `stops`. */
export function mix(stops, at) {
	const place = Math.max(0, Math.min(1, at)) * (stops.length - 1);
	const n = Math.min(stops.length - 2, Math.floor(place));
	const [a, b] = [rgb(stops[n]), rgb(stops[n + 1])];
	return a.map((u, k) => Math.round(u + (b[k] - u) * (place - n)));
}

const made = new Map();
/** 256 colours as 32-bit RGBA, little-endian as ImageData has them. kind: signed or gate; theme: light or dark. */
export const lut = (kind, theme) =>
	once(made, `${kind} ${theme}`, () => {
		const colours = Array.from({ length: 256 }, (_, n) => mix(STOPS[kind][theme], n / 255));
		return Uint32Array.from(colours, ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
	});

/** Draw levels (0 to 255) on a canvas, one pixel each, row by row. */
export function paintLevels(canvas, levels, columns, kind) {
	const table = lut(kind, currentTheme());
	const rows = levels.length / columns;
	if (canvas.width !== columns) canvas.width = columns;
	if (canvas.height !== rows) canvas.height = rows;
	const pixels = Uint32Array.from(levels, (level) => table[level]);
	canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), columns, rows), 0, 0);
}

export const FULL = 2; // logits: the score of the strongest colour, in every text

/** The CSS class of a score: one of four strengths with a sign, "p3" or "n1"; "" below a tenth of the clamp. */
export function tint(score, clamp) {
	const strength = Math.min(4, Math.ceil((4 * Math.abs(score)) / (clamp || 1) - 0.4));
	return strength > 0 ? (score > 0 ? "p" : "n") + strength : "";
}

/** The number at which the colours saturate: the 98th percentile of the absolute values. */
export function clampOf(scores) {
	const sizes = scores.map(Math.abs).sort((a, b) => a - b);
	return sizes.length ? sizes[Math.min(sizes.length - 1, Math.floor(0.98 * sizes.length))] || 1 : 1;
}

/** The current theme: light or dark. */
export function currentTheme() {
	const chosen = document.documentElement.dataset.theme;
	if (chosen === "light" || chosen === "dark") return chosen;
	return globalThis.matchMedia?.("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}
