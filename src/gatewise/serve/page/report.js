// The entry of the self-contained HTML report: an explanation and the figure of the page over data inside the HTML.

import { createFigure } from "./figure.js";
import { drawReport, textOf } from "./explanation.js";
import { el } from "./dom.js";
import { decode } from "./heatmapdata.js";
import { createHeatmapPanel } from "./heatmappanel.js";
import { createStore, directionOf } from "./store.js";

/** Unit k as a row of the heat maps of the top layer. */
function unitOf(k, { model, c0, h0 }, heatmaps) {
	const found = { k, direction: directionOf(model, k, null), c0: c0[k], h0: h0[k], preactivations: null };
	for (const [name, { values, columns }] of heatmaps)
		found[name] = Array.from(values.subarray(k * columns, (k + 1) * columns));
	return found;
}

function dataOf(view) {
	const { text, part } = textOf(view.words);
	const heatmaps = new Map(view.heatmaps.map((heatmap) => [heatmap.name, decode(heatmap)]));
	const values = view.values ? { kept: view.words.length, steps: view.words.length, values: view.values } : part;
	const units = new Map(view.c0.map((_, k) => [k, unitOf(k, view, heatmaps)]));
	return { ...view, inputText: text, text: values, heatmaps, unitOf: units, warnings: [], id: "report" };
}

function drawFigure(root, view) {
	const part = (name, label = null) => el(label ? "section" : "div", { class: name, "aria-label": label });
	const places = {
		words: part("wordsbox", "The words"),
		line: part("linebox", "Predictions after each word"),
		prediction: part("prediction", "Prediction"),
		unit: part("unitrow"),
		cell: part("cellbox"),
		steps: part("steps"),
		details: el("div"),
	};
	const heatmap = part("heatmapbox", "Heat map: units and words");
	const cell = el(
		"section",
		{ class: "cellsection", "aria-label": "LSTM cell" },
		places.unit,
		places.cell,
		places.steps,
	);
	if (view.lstm_note) root.append(el("p", { class: "note" }, view.lstm_note));
	root.append(
		places.words,
		el("div", { class: "answer" }, places.line, places.prediction),
		cell,
		el("details", {}, el("summary", {}, "Details"), places.details),
		heatmap,
	);
	const store = createStore({ choice: false, changes: view.clamps ?? [], u: view.unit ?? null });
	const figure = createFigure(places, store);
	const { method, faithfulness: measured } = view.attribution;
	const faithfulness = measured ? { [method]: measured } : {};
	store.set({ model: { model: view.model, faithfulness, attribution_method: "" }, data: dataOf(view) });
	figure.addHeatmap(createHeatmapPanel(heatmap, store));
}

export const start = () => drawReport(drawFigure);
