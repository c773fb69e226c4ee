// A series as it was given: each channel a line over the steps, each scaled to its own range, the step that is looked at marked.

import { attr, el, fmt, put, svg } from "./dom.js";

const [W, H, MOST] = [1000, 120, 8];
const DASHES = ["none", "8 4", "2 3", "10 3 2 3"];

export function createSeries(root) {
	const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", class: "series", role: "img" });
	const line = el("p", { class: "quiet caption" });
	const here = svg("path", { class: "hereline" });
	root.append(picture, line);
	let drawn = null;

	function build(values) {
		drawn = values;
		const channels = values[0].length;
		const lines = Array.from({ length: Math.min(channels, MOST) }, (_, c) => {
			const column = values.map((row) => row[c]);
			const [low, high] = [Math.min(...column), Math.max(...column)];
			const points = column.map((x, t) => `${((t + 0.5) / values.length) * W},${8 + (H - 16) * (1 - (x - low) / (high - low || 1))}`);
			return svg("polyline", { points: points.join(" "), class: `channel c${c % 4}`, "stroke-dasharray": DASHES[Math.floor(c / 2) % 4] });
		});
		picture.replaceChildren(...lines, here);
		attr(picture, "aria-label", `${channels} channels over ${values.length} steps`);
	}

	return (values, t) => {
		if (values !== drawn) build(values);
		attr(here, "d", `M${((t + 0.5) / values.length) * W},0V${H}`);
		const shown = values[t].slice(0, MOST).map((x, c) => `channel ${c + 1}: ${fmt(x, 3)}`);
		put(line, `step ${t + 1} · ${shown.join("  ")}${values[t].length > MOST ? ` … (${values[t].length} channels)` : ""}`);
	};
}
