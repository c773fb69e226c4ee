// The entry of the self-contained HTML report and of the notebook: the figure of the page over data inside the HTML.

import { createFigure } from "./figure.js";
import { el, safeText } from "./dom.js";
import { decode } from "./heatmapdata.js";
import { createStore } from "./store.js";
import { createTextView, sidesOf } from "./textview.js";
import { headingText, lineOf } from "./value.js";

/** The words joined by spaces into a text, with the position of each word. */
function textOf(words) {
	const [start, end] = [[], []];
	let text = "";
	const closing = /^[.,!?;:)\]}%…”’]+$/u;
	for (const word of words) {
		if (text && !closing.test(word)) text += " ";
		start.push(text.length);
		text += word;
		end.push(text.length);
	}
	const tokens = { start, end, id: [], unknown: [], truncated: [], names: {} };
	return { text, part: { kept: words.length, steps: words.length, tokens } };
}

/** The units of the heat maps, each built on first use. */
class Units {
	constructor(view, heatmaps) {
		[this.view, this.heatmaps, this.built] = [view, heatmaps, new Map()];
	}
	has(k) {
		return this.heatmaps.size > 0 && k >= 0 && k < this.heatmaps.get("c").rows;
	}
	get(k) {
		if (!this.has(k)) return undefined;
		if (!this.built.has(k)) {
			const row = (name) => {
				const heatmap = this.heatmaps.get(name);
				return Array.from(heatmap.values.subarray(k * heatmap.columns, (k + 1) * heatmap.columns));
			};
			const { model, c0, h0 } = this.view;
			const parts = Object.fromEntries([..."ifgoch"].map((name) => [name, row(name)]));
			const direction = model.directions[Math.floor(k / model.units)];
			this.built.set(k, { k, direction, c0: c0[k], h0: h0[k], contribution: row("contribution"), preactivations: null, ...parts });
		}
		return this.built.get(k);
	}
}

function dataOf(view) {
	const { text, part } = textOf(view.words);
	const heatmaps = new Map((view.heatmaps ?? []).map((heatmap) => [heatmap.name, decode(heatmap)]));
	const values = view.values ? { kept: view.words.length, steps: view.words.length, values: view.values } : part;
	return { ...view, inputText: text, text: values, heatmaps, unitOf: new Units(view, heatmaps), warnings: [], id: "report" };
}

function drawSides(sides, applied) {
	const columns = sides.map(({ name, view }) => {
		const column = el("div");
		const { target } = view.prediction;
		column.append(el("h2", {}, `${name}: ${headingText(view.prediction, view.model)}`));
		const { text, part } = textOf(view.words);
		createTextView(column, { label: name }).draw({
			text, part, scores: view.attribution?.scores, colourOf: view.attribution ? view.attribution.method : "", sides: sidesOf(view.prediction, view.model),
			prefix: lineOf(view.prefix, target), before: null, selected: -1, hovered: null, tokenNoun: view.model.inputs === "series" ? "step" : "word",
		});
		return column;
	});
	const changes = applied ? el("p", { class: "status" }, applied.map((line) => safeText(line, 120)).join(" · ")) : null;
	return el("section", { "aria-label": "Side by side" }, changes, el("div", { class: "pair" }, columns));
}

function drawFigure(root, view) {
	const part = (name, label = null) => el(label ? "section" : "div", { class: name, "aria-label": label });
	const places = {
		prediction: part("prediction", "Prediction"), words: part("wordsbox", "The words"), unit: part("unitrow"), cell: part("cellbox"),
		steps: part("steps"), heatmap: part("heatmapbox", "Heat map: all units, all words"),
	};
	const cell = el("section", { class: "right", "aria-label": "LSTM cell" }, places.unit, places.cell, places.steps);
	const inside = view.heatmaps ? cell : null;
	root.append(el("div", { class: "columns stacked" }, el("div", { class: "left" }, places.prediction, places.words), inside));
	if (!inside) el("div", {}, cell); // the figure needs its places, drawn or not
	const store = createStore({ choice: false, changes: view.clamps ?? [], u: view.unit ?? null });
	const figure = createFigure(places, store, { loadUnit() {} });
	const attribution = view.attribution;
	const faithfulness = attribution?.faithfulness ? { [attribution.method]: attribution.faithfulness } : {};
	store.set({ model: { model: view.model, faithfulness, attribution_method: "" }, data: dataOf(view) });
	if (!view.heatmaps) return;
	root.append(places.heatmap);
	figure.openHeatmap().then(() => places.heatmap.querySelector("option[value=similarity]")?.remove()); // the server computes it
}

export function start() {
	const root = document.getElementById("report");
	const { view, sides, applied } = JSON.parse(document.getElementById("data").textContent);
	root.append(el("header", {}, el("h1", {}, "gatewise"), el("p", { class: "muted" }, document.title)));
	if (sides) root.append(drawSides(sides, applied));
	if (view) drawFigure(root, view);
	root.append(el("footer", { class: "muted" }, "Scores are attributions of the prediction by the method named above. They are not causes. " +
		"Made by gatewise; this page loads nothing from a server."));
}
