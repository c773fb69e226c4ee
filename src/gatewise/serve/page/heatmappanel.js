// The controls of the heat map: gate or state, order of the units, legend and CSV.

import { STOPS, currentTheme } from "./colour.js";
import { button, createSelect, download, el, fmt, setText, signed } from "./dom.js";
import { createHeatmap } from "./heatmap.js";
import { orderOf, toCsv, TOP, topOf } from "./heatmapdata.js";
import { GATES, SORTS, selectedUnit, selectedWord, tokenNounOf, unitCount } from "./store.js";

const HEATMAPS = { i: GATES.i, ...GATES, c: "memory cell", h: "hidden state" };

/** onNeedUnit(k): the pointer rests on a unit whose numbers are not there. */
export function createHeatmapPanel(root, store, { onNeedUnit = null } = {}) {
	const names = Object.entries(HEATMAPS).map(([name, title]) => [name, `${name}, ${title}`]);
	const shown = createSelect(
		{ "aria-label": "Gate or state of the heat map", onchange: () => store.set({ heatmap: shown.value }) },
		names,
	);
	const sort = createSelect({ onchange: () => store.set({ sort: sort.value }) }, Object.entries(SORTS));
	const scope = createSelect(
		{ "aria-label": "Units of the heat map", onchange: () => store.set({ allUnits: scope.value === "all" }) },
		[
			["top", `show the ${TOP} with the largest effect`],
			["all", "all units"],
		],
	);
	const legend = el("span", { class: "ramp", role: "img", "aria-label": "Colour scale" });
	const [low, high] = [el("span"), el("span")];
	const status = el("p", { class: "muted status" });
	let words = [];
	let timer = 0;

	const map = createHeatmap(el("div"), {
		onHover: (hover) => {
			const old = store.get().hover;
			if (old?.t !== hover?.t || old?.k !== hover?.k) store.set({ hover });
			clearTimeout(timer);
			if (onNeedUnit && hover && !store.get().data.unitOf.has(hover.k))
				timer = setTimeout(() => onNeedUnit(hover.k), 150);
		},
		onSelect: ({ t, k }) => store.set({ w: t, u: k, hover: null }),
		readout,
	});
	const tools = el(
		"div",
		{ class: "tools" },
		shown,
		el("label", {}, "sort units by ", sort),
		scope,
		el("span", { class: "legend" }, low, legend, high),
		button("CSV", { title: "Download all units of the heat map as CSV", onclick: () => save() }),
	);
	root.append(tools, map.node.parentElement, status);
	const heatmapOf = (state) => state.data?.heatmaps.get(state.heatmap) ?? null;
	const orderOfAll = (state, heatmap) => orderOf(state.data.units, state.sort, heatmap.rows);

	function readout(t, k) {
		const state = store.get();
		const place = `unit ${k} · ${tokenNounOf(state)} ${t + 1} “${words[t]}”`;
		const unit = state.data?.unitOf.get(k);
		if (unit) {
			const numbers = ["i", "f", "g", "o", "c", "h"].map((x) => `${x} ${fmt(unit[x][t], 2, "gch".includes(x))}`);
			return `${place} · ${numbers.join("  ")}`;
		}
		const heatmap = heatmapOf(state);
		return heatmap
			? `${place} · ${state.heatmap} ${fmt(heatmap.values[k * heatmap.columns + t], 2, heatmap.signed)}`
			: place;
	}

	function drawLegend(heatmap) {
		const stops = STOPS[heatmap.signed ? "signed" : "gate"][currentTheme()];
		legend.style.setProperty("background", `linear-gradient(to right, ${stops.join()})`);
		setText(low, heatmap.signed ? fmt(-heatmap.clip) : "0");
		setText(high, heatmap.signed ? signed(heatmap.clip) : "1");
		const range = heatmap.signed ? `±${fmt(heatmap.clip)}, the 99th percentile` : "0 to 1";
		legend.setAttribute("aria-label", `colours from ${range}`);
		legend.title = range;
	}

	function save() {
		const state = store.get();
		const heatmap = heatmapOf(state);
		if (heatmap)
			download(`gatewise-${state.heatmap}.csv`, "text/csv", toCsv(heatmap, orderOfAll(state, heatmap), words));
	}

	return {
		draw(state) {
			words = state.data?.words ?? [];
			shown.value = state.heatmap;
			sort.value = state.sort;
			scope.value = state.allUnits ? "all" : "top";
			scope.hidden = unitCount(state) <= TOP;
			setText(scope.options[1], `show all ${unitCount(state).toLocaleString("en")}`);
			const heatmap = heatmapOf(state);
			root.classList.toggle("empty", !state.data);
			const input = tokenNounOf(state) === "step" ? "series" : "text";
			if (!state.data) map.clear();
			setText(status, state.data ? "" : `The heat map shows the units of a ${input}.`);
			if (!heatmap || heatmap.columns !== words.length) return;
			const all = orderOfAll(state, heatmap);
			const order = state.allUnits || heatmap.rows <= TOP ? all : topOf(all, state.data.units, selectedUnit(state));
			const selected = { t: selectedWord(state), k: selectedUnit(state) };
			map.draw({ heatmap, order, words, theme: currentTheme(), selected, hovered: state.hover });
			drawLegend(heatmap);
		},
	};
}
