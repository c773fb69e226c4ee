// An explanation without the figure: prediction, sum, coloured words and notes. The entry of the notebook and of two texts
// side by side.

import { el, safeText } from "./dom.js";
import { createReading } from "./reading.js";
import { headingText, methodNotes, othersText, sumText, weightsText } from "./value.js";

/** The words joined by spaces into a text, with the position of each word. */
export function textOf(words) {
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

function drawSide({ name, view }) {
	const { attribution, model, prediction, words } = view;
	const tokenNoun = model.inputs === "text" ? "word" : "step";
	const lines = [
		[othersText(prediction, model), "others muted"],
		[attribution.lstm_note, "note"],
		[sumText(attribution, prediction, tokenNoun), "note"],
	];
	const column = el(
		"div",
		{},
		el("h2", {}, `${name}: ${headingText(prediction, model)}`),
		lines.filter(([line]) => line).map(([line, kind]) => el("p", { class: kind }, line)),
	);
	const { text, part } = textOf(words);
	const line = el("div", { class: "linebox", hidden: !view.prefix }); // most methods compute no prefix predictions
	const reading = createReading(column, line, { label: name });
	column.append(line);
	reading.draw({ ...view, inputText: text, text: part }, {});
	const notes = methodNotes(attribution, prediction, model).map((note) => el("p", { class: "muted note" }, note));
	column.append(el("details", { class: "about" }, el("summary", {}, "About these numbers"), notes));
	return column;
}

/** The report over the data inside the HTML. drawFigure(root, view): draws a view with its heat maps; null: there are none. */
export function drawReport(drawFigure) {
	const root = document.getElementById("report");
	const { view, sides, applied, source } = JSON.parse(document.getElementById("data").textContent);
	root.append(el("header", {}, el("h1", {}, "gatewise"), el("p", { class: "muted" }, document.title)));
	const { members = [] } = view ?? sides[0].view;
	if (members.length) root.append(el("p", { class: "muted" }, `Weights of the members: ${weightsText(members)}`));
	const changes = applied && el("p", { class: "status" }, applied.map((line) => safeText(line, 120)).join(" · "));
	if (sides)
		root.append(
			el("section", { "aria-label": "Side by side" }, changes, el("div", { class: "pair" }, sides.map(drawSide))),
		);
	if (view && drawFigure) drawFigure(root, view);
	else if (view) root.append(drawSide({ name: "Prediction", view }));
	root.append(
		el(
			"footer",
			{ class: "muted" },
			source ? el("p", {}, safeText(source, 800)) : null,
			"Scores are attributions of the prediction by the method named above. They are not causes. " +
				"Made by gatewise; this page loads nothing from a server.",
		),
	);
	// The notebook around this frame needs to know how high the report is, whenever that changes.
	const report = () =>
		globalThis.parent.postMessage(
			{ gatewiseHeight: Math.ceil(root.getBoundingClientRect().bottom + scrollY) + 24 },
			"*",
		);
	if (globalThis.parent !== globalThis) new ResizeObserver(report).observe(root);
}

export const start = () => drawReport(null);
