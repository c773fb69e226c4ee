// The entry of the self-contained HTML report and of the notebook: the figure of the page over data inside the HTML.

import { createFigure } from "./figure.js";
import { el, safeText } from "./dom.js";
import { decode } from "./heatmapdata.js";
import { HeatmapUnits } from "./heatmapunits.js";
import { createStore } from "./store.js";
import { createTextView, sidesOf } from "./textview.js";
import { headingText, lineOf, weightsText } from "./value.js";

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

function dataOf(view) {
	const { text, part } = textOf(view.words);
	const heatmaps = new Map((view.heatmaps ?? []).map((heatmap) => [heatmap.name, decode(heatmap)]));
	const values = view.values ? { kept: view.words.length, steps: view.words.length, values: view.values } : part;
	return { ...view, inputText: text, text: values, heatmaps, unitOf: new HeatmapUnits(view, heatmaps), warnings: [], id: "report" };
}

function drawSides(sides, applied) {
	const columns = sides.map(({ name, view }) => {
		const column = el("div");
		const { target } = view.prediction;
		const note = view.attribution?.lstm_note;
		column.append(el("h2", {}, `${name}: ${headingText(view.prediction, view.model)}`), note ? el("p", { class: "note" }, note) : "");
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
		steps: part("steps"), heatmap: part("heatmapbox", "Heat map: units and words"),
	};
	const cell = el("section", { class: "right", "aria-label": "LSTM cell" }, places.unit, places.cell, places.steps);
	const inside = view.heatmaps ? cell : null;
	if (view.lstm_note) root.append(el("p", { class: "note" }, view.lstm_note));
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

/** Tell the notebook around this frame how high the report is, whenever that changes. */
function reportHeight(root) {
	const report = () => globalThis.parent.postMessage({ gatewiseHeight: Math.ceil(root.getBoundingClientRect().bottom + scrollY) + 24 }, "*");
	new ResizeObserver(report).observe(root);
}

export function start() {
	const root = document.getElementById("report");
	const { view, sides, applied, source } = JSON.parse(document.getElementById("data").textContent);
	root.append(el("header", {}, el("h1", {}, "gatewise"), el("p", { class: "muted" }, document.title)));
	const { members = [] } = view ?? sides[0].view;
	if (members.length) root.append(el("p", { class: "muted" }, `Weights of the members: ${weightsText(members)}`));
	if (sides) root.append(drawSides(sides, applied));
	if (view) drawFigure(root, view);
	root.append(el("footer", { class: "muted" }, source ? el("p", {}, safeText(source, 800)) : null, "Scores are attributions of the prediction by the method named above. They are not causes. " +
		"Made by gatewise; this page loads nothing from a server."));
	if (globalThis.parent !== globalThis) reportHeight(root);
}
