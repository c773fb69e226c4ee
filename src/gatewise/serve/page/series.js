// A series: each channel is a line over the steps, scaled to its range. The selected step is marked.

import { el, fmt, setAttr, setText, svg } from "./dom.js";

const [W, H, MAX_CHANNELS] = [1000, 120, 8];
const DASHES = ["none", "8 4", "2 3", "10 3 2 3"];

export function createSeries(root) {
	const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", class: "series", role: "img", "aria-label": "The series" });
	const line = el("p", { class: "muted caption" });
	const cursor = svg("path", { class: "cursor" });
	root.append(picture, line);
	let drawn = null;

	function build(values) {
		drawn = values;
		const channels = values[0].length;
		const lines = Array.from({ length: Math.min(channels, MAX_CHANNELS) }, (_, c) => {
			const column = values.map((row) => row[c]);
			const known = column.filter((x) => x !== null);
			const [low, high] = [Math.min(...known), Math.max(...known)];
			const place = (x, t) => `${(((t + 0.5) / values.length) * W).toFixed(1)},${(8 + (H - 16) * (1 - (x - low) / (high - low || 1))).toFixed(1)}`;
			// A missing value interrupts the line.
			const d = column.map((x, t) => (x === null ? "" : `${t > 0 && column[t - 1] !== null ? "L" : "M"}${place(x, t)}`)).join("");
			return svg("path", { d, class: `channel c${c % 4}`, "stroke-dasharray": DASHES[Math.floor(c / 2) % 4] });
		});
		picture.replaceChildren(...lines, cursor);
		setAttr(picture, "aria-label", `${channels} channels over ${values.length} steps`);
	}

	/** values: null to clear. */
	return (values, t) => {
		if (!values) {
			drawn = null;
			picture.replaceChildren();
			setText(line, "");
			return;
		}
		if (values !== drawn) build(values);
		setAttr(cursor, "d", `M${((t + 0.5) / values.length) * W},0V${H}`);
		const numbers = values[t].slice(0, MAX_CHANNELS).map((x, c) => `channel ${c + 1}: ${x === null ? "missing" : fmt(x, 3)}`);
		setText(line, `step ${t + 1} · ${numbers.join("  ")}${values[t].length > MAX_CHANNELS ? ` … (${values[t].length} channels)` : ""}`);
	};
}
