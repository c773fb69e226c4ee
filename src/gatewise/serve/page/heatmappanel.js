// The controls of the heat map: gate or state, order of the units, legend, one sentence, the table and the CSV.

import { STOPS, currentTheme } from "./colour.js";
import { button, createSelect, createTable, download, el, fmt, setText, signed, within } from "./dom.js";
import { createHeatmap } from "./heatmap.js";
import { orderOf, toCsv, TOP, topOf } from "./heatmapdata.js";
import { GATES, selectedUnit, selectedWord, tokenNounOf, unitCount } from "./store.js";

const HEATMAPS = { i: GATES.i, ...GATES, c: "memory cell", h: "hidden state" };
const SORTS = {
	effect: "effect on the score", index: "index", jump: "largest jump of c", first: "time of the jump",
};
const WINDOW = 12; // rows and columns of the table

export function createHeatmapPanel(root, store, { onNeedUnit }) {
	const names = Object.entries(HEATMAPS).map(([name, title]) => [name, `${name}, ${title}`]);
	const shown = createSelect({ "aria-label": "Gate or state of the heat map", onchange: () => store.set({ heatmap: shown.value }) }, names);
	const sort = createSelect({ onchange: () => store.set({ sort: sort.value }) }, Object.entries(SORTS));
	const scope = createSelect({ "aria-label": "Units of the heat map", onchange: () => store.set({ allUnits: scope.value === "all" }) }, [
		["top", `show the ${TOP} with the largest effect`], ["all", "all units"],
	]);
	const legend = el("span", { class: "ramp", role: "img", "aria-label": "Colour scale" });
	const [low, high] = [el("span"), el("span")];
	const tools = el("div", { class: "tools" });
	const status = el("p", { class: "muted status" });
	const tableBox = el("div", { class: "tablebox", hidden: true });
	let words = [];
	let timer = 0;

	const map = createHeatmap(el("div"), {
		onHover: (hover) => {
			const old = store.get().hover;
			if (old?.t !== hover?.t || old?.k !== hover?.k) store.set({ hover });
			clearTimeout(timer);
			if (hover && !store.get().data.unitOf.has(hover.k)) timer = setTimeout(() => onNeedUnit(hover.k), 150);
		},
		onSelect: ({ t, k }) => store.set({ w: t, u: k, hover: null }),
		readout,
	});
	const tableButton = button("As a table", { "aria-expanded": "false", onclick: () => toggleTable() });
	tools.append(
		shown,
		el("label", {}, "sort units by ", sort),
		scope,
		el("span", { class: "legend" }, low, legend, high),
		tableButton, button("CSV", { title: "Download all units of the heat map as CSV", onclick: () => save() }),
	);
	root.append(tools, map.node.parentElement, status, tableBox);
	const heatmapOf = (state) => state.data?.heatmaps.get(state.heatmap) ?? null;
	let cached = { order: [], key: null };

	const orderOfAll = (state, heatmap) => orderOf(state.data.units, state.sort, heatmap.rows);
	/** The shown units in order. */
	function currentOrder(state, heatmap) {
		const all = state.allUnits || heatmap.rows <= TOP;
		const key = [state.sort, state.data.units, heatmap.rows, all || selectedUnit(state)];
		if (!cached.key || key.some((part, n) => part !== cached.key[n])) {
			const order = orderOfAll(state, heatmap);
			cached = { key, order: all ? order : topOf(order, state.data.units, selectedUnit(state)) };
		}
		return cached.order;
	}

	function readout(t, k) {
		const state = store.get();
		const place = `unit ${k} · ${tokenNounOf(state)} ${t + 1} “${words[t]}”`;
		const unit = state.data?.unitOf.get(k);
		if (unit) {
			const numbers = ["i", "f", "g", "o", "c", "h"].map((x) => `${x} ${fmt(unit[x][t], 2, "gch".includes(x))}`);
			return `${place} · ${numbers.join("  ")}`;
		}
		const heatmap = heatmapOf(state);
		return heatmap ? `${place} · ${state.heatmap} ${fmt(heatmap.values[k * heatmap.columns + t], 2, heatmap.signed)}` : place;
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

	function toggleTable() {
		tableBox.hidden = !tableBox.hidden;
		tableButton.setAttribute("aria-expanded", String(!tableBox.hidden));
		drawTable();
	}

	/** The numbers around the selection as a table. */
	function drawTable() {
		const state = store.get();
		const heatmap = heatmapOf(state);
		if (!heatmap || tableBox.hidden) return;
		const [t, k, order] = [selectedWord(state), selectedUnit(state), currentOrder(state, heatmap)];
		const row = Math.max(0, order.indexOf(k));
		const start = (place, length) => within(place - WINDOW / 2, length - WINDOW + 1);
		const [r, c] = [start(row, order.length), start(t, heatmap.columns)];
		const columns = words.slice(c, c + WINDOW);
		const number = (unit, n) => fmt(heatmap.values[unit * heatmap.columns + c + n], 2, heatmap.signed);
		const rows = order.slice(r, r + WINDOW).map((unit) => [String(unit), ...columns.map((_, n) => number(unit, n))]);
		const caption = `${HEATMAPS[state.heatmap]} ${state.heatmap}, units in the order of the heat map, ` +
			`columns ${c + 1} to ${c + columns.length} of ${heatmap.columns}`;
		tableBox.replaceChildren(createTable(caption, ["unit", ...columns], rows));
	}

	function save() {
		const state = store.get();
		const heatmap = heatmapOf(state);
		if (heatmap) download(`gatewise-${state.heatmap}.csv`, "text/csv", toCsv(heatmap, orderOfAll(state, heatmap), words));
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
			if (state.data) setText(status, "");
			else {
				map.clear();
				setText(status, `The heat map shows the units of a ${tokenNounOf(state) === "step" ? "series" : "text"}.`);
				tableBox.replaceChildren();
			}
			if (!heatmap || heatmap.columns !== words.length) {
				return;
			}
			const order = currentOrder(state, heatmap);
			const selected = { t: selectedWord(state), k: selectedUnit(state) };
			map.draw({ heatmap, order, words, theme: currentTheme(), selected, hovered: state.hover });
			drawLegend(heatmap);
			drawTable();
		},
	};
}
