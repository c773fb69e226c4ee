// Around the heat map: which plane, which order, zoom, legend, one sentence, the table of numbers and the CSV.

import { lut, themeNow } from "./colour.js";
import { button, download, el, fmt, put } from "./dom.js";
import { createHeatmap } from "./heatmap.js";
import { orderOf, summary } from "./plane.js";
import { unitNow, wordNow } from "./store.js";

export const PLANES = {
	i: "input gate", f: "forget gate", g: "candidate", o: "output gate", c: "memory cell", h: "hidden state",
};
const SORTS = {
	effect: "effect on the verdict", index: "number", jump: "largest jump of c", first: "when it jumps", alike: "alike together",
};

export function createMapPanel(root, store, { onNeedUnit }) {
	const choice = el("div", { class: "choice", role: "radiogroup", "aria-label": "What the map shows" });
	const buttons = Object.entries(PLANES).map(([name, title]) =>
		button(name, { role: "radio", title, "aria-label": `${name}, ${title}`, onclick: () => store.set({ plane: name }) }));
	choice.append(...buttons);
	const change = () => store.set({ sort: sort.value }, { undo: `units sorted by ${SORTS[store.get().sort]}` });
	const sort = el("select", { onchange: change });
	for (const [value, name] of Object.entries(SORTS)) sort.append(el("option", { value }, name));
	const legend = el("canvas", { width: 120, height: 12, class: "ramp", role: "img" });
	const [low, high] = [el("span"), el("span")];
	const tools = el("div", { class: "tools" });
	const told = el("p", { class: "quiet told" });
	const tableBox = el("div", { class: "tablebox", hidden: true });
	let words = [];
	let waiting = 0;

	const map = createHeatmap(el("div"), {
		onHover: (hover) => {
			const old = store.get().hover;
			if (old?.t !== hover?.t || old?.k !== hover?.k) store.set({ hover });
			clearTimeout(waiting);
			if (hover && !store.get().data.unitOf.has(hover.k)) waiting = setTimeout(() => onNeedUnit(hover.k), 150);
		},
		onPick: ({ t, k }) => store.set({ w: t, u: k, hover: null }),
		readout,
	});
	const as = button("As a table", { "aria-expanded": "false", onclick: () => toggle() });
	const csv = button("CSV", { title: "The whole plane as CSV", onclick: () => save() });
	tools.append(
		choice,
		el("label", {}, "sort units by ", sort),
		el("span", { class: "group" },
			button("−", { "aria-label": "Zoom out", class: "icon", onclick: () => map.zoom(1.6) }),
			button("+", { "aria-label": "Zoom in", class: "icon", onclick: () => map.zoom(0.6) }),
			button("fit", { onclick: () => map.fit() })),
		el("span", { class: "legend" }, low, legend, high),
		as, csv,
	);
	root.append(tools, map.node.parentElement, told, tableBox);
	const planeOf = (state) => state.data?.planes.get(state.plane) ?? null;
	let current = { order: [], key: null };

	function orderNow(state, plane) {
		const key = [state.sort, state.data.units, state.data.alike, plane.rows];
		if (!current.key || key.some((part, n) => part !== current.key[n])) {
			current = { key, order: orderOf(state.data.units, state.sort, plane.rows, state.data.alike) };
		}
		return current.order;
	}

	function readout(t, k) {
		const state = store.get();
		const place = `unit ${k} · ${state.model?.model.task === "series" ? "step" : "word"} ${t + 1} “${words[t]}”`;
		const unit = state.data?.unitOf.get(k);
		if (unit) {
			const numbers = ["i", "f", "g", "o", "c", "h"].map((x) => `${x} ${fmt(unit[x][t], 2, "gch".includes(x))}`);
			return `${place} · ${numbers.join("  ")}`;
		}
		const plane = planeOf(state);
		return plane ? `${place} · ${state.plane} ${fmt(plane.values[k * plane.columns + t], 2, plane.signed)}` : place;
	}

	function drawLegend(plane) {
		const context = legend.getContext("2d");
		const table = lut(plane.signed ? "signed" : "gate", themeNow());
		for (let x = 0; x < 120; x += 1) {
			const colour = table[Math.round((255 * x) / 119)];
			context.fillStyle = `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;
			context.fillRect(x, 0, 1, 12);
		}
		put(low, plane.signed ? fmt(-plane.clip) : "0");
		put(high, plane.signed ? fmt(plane.clip, 2, true) : "1");
		const ends = plane.signed ? `±${fmt(plane.clip)}, which 99% do not pass` : "0 to 1";
		legend.setAttribute("aria-label", `colours from ${ends}`);
		legend.title = ends;
	}

	function toggle(open = tableBox.hidden) {
		tableBox.hidden = !open;
		as.setAttribute("aria-expanded", String(open));
		if (open) drawTable();
	}

	async function drawTable() {
		const { drawTable: table } = await import("./table.js");
		const state = store.get();
		const plane = planeOf(state);
		if (!plane || tableBox.hidden) return;
		const order = orderNow(state, plane);
		const title = `${PLANES[state.plane]} ${state.plane}`;
		table(tableBox, { plane, order, words, title, t: wordNow(state), k: unitNow(state) }, (w, u) => store.set({ w, u }));
	}

	async function save() {
		const { toCsv } = await import("./table.js");
		const state = store.get();
		const plane = planeOf(state);
		if (plane) download(`gatewise-${state.plane}.csv`, "text/csv", toCsv(plane, orderNow(state, plane), words));
	}

	return {
		draw(state) {
			words = state.data?.words ?? [];
			buttons.forEach((one, n) => {
				const on = Object.keys(PLANES)[n] === state.plane;
				one.setAttribute("aria-checked", on);
				one.tabIndex = on ? 0 : -1;
			});
			sort.value = state.sort;
			const plane = planeOf(state);
			root.classList.toggle("empty", !state.data);
			if (!plane || plane.columns !== words.length) return;
			const order = orderNow(state, plane);
			const selected = { t: wordNow(state), k: unitNow(state) };
			map.draw({ plane, order, words, theme: themeNow(), selected, hovered: state.hover });
			drawLegend(plane);
			put(told, summary(state.data.units, words, state.data.verdict.towards));
			if (!tableBox.hidden) drawTable();
		},
		toggleTable: () => toggle(),
		zoom: map.zoom,
		fit: map.fit,
		node: map.node,
		/** Arrow keys inside the radio group. */
		keys: choice,
	};
}
