// Two colour maps: signed (magenta to green) and gate (violet), interpolated in OKLab so that equal differences look equal.
// The middle of the signed map has the brightness of the page.

export const STOPS = {
	signed: { light: ["#a0148c", "#f4f2ed", "#3d6b00"], dark: ["#f39ae8", "#1b1e24", "#b5d66a"] },
	gate: {
		light: ["#f4f2ed", "#c2bbd1", "#9287b5", "#665397", "#3f1d78"],
		dark: ["#1b1e24", "#434054", "#706589", "#a08cc2", "#d3b6ff"],
	},
};

const linear = (u) => (u <= 0.04045 ? u / 12.92 : ((u + 0.055) / 1.055) ** 2.4);
const gamma = (u) => (u <= 0.0031308 ? 12.92 * u : 1.055 * u ** (1 / 2.4) - 0.055);

/** "#rrggbb" to [r, g, b] in 0..255. */
export function rgb(hex) {
	return [1, 3, 5].map((n) => parseInt(hex.slice(n, n + 2), 16));
}

function toLab([r, g, b]) {
	const [x, y, z] = [r, g, b].map((u) => linear(u / 255));
	const l = Math.cbrt(0.4122214708 * x + 0.5363325363 * y + 0.0514459929 * z);
	const m = Math.cbrt(0.2119034982 * x + 0.6806995451 * y + 0.1073969566 * z);
	const s = Math.cbrt(0.0883024619 * x + 0.2817188376 * y + 0.6299787005 * z);
	return [
		0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
		1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
		0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
	];
}

function fromLab([L, a, b]) {
	const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
	const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
	const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
	return [
		4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
		-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
		-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
	].map((u) => Math.max(0, Math.min(255, Math.round(255 * gamma(Math.max(0, Math.min(1, u)))))));
}

/** The colour at `at` (0..1) of a ramp through `stops`. */
export function mix(stops, at) {
	const place = Math.max(0, Math.min(1, at)) * (stops.length - 1);
	const n = Math.min(stops.length - 2, Math.floor(place));
	const [a, b] = [toLab(rgb(stops[n])), toLab(rgb(stops[n + 1]))];
	return fromLab(a.map((u, k) => u + (b[k] - u) * (place - n)));
}

const made = new Map();
/** 256 colours as 32-bit RGBA, little-endian as ImageData has them. kind: signed or gate; theme: light or dark. */
export function lut(kind, theme) {
	const key = `${kind} ${theme}`;
	if (!made.has(key)) {
		const table = new Uint32Array(256);
		for (let n = 0; n < 256; n += 1) {
			const [r, g, b] = mix(STOPS[kind][theme], n / 255);
			table[n] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
		}
		made.set(key, table);
	}
	return made.get(key);
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
