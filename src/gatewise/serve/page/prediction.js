// The prediction, its probability on a scale, the attribution method with its sum, and the prediction before a change.

import { button, createSelect, el, fmt, safeText, setText } from "./dom.js";
import { hasSentimentLabels } from "./examples.js";
import { selectedWord, tokenNounOf } from "./store.js";
import { changeText, labelOf, methodNotes, othersText, probabilityName, scoreText, sumText } from "./value.js";

export function createPredictionView(root, store) {
	const heading = el("span", { class: "heading" }, "Prediction:");
	const label = el("span", { class: "label" });
	const of = el("span", { class: "of" }); // P(class) =, as everywhere on the page
	const number = el("span", { class: "probability" });
	const marker = el("span", { class: "marker" });
	const beforeMarker = el("span", { class: "marker before", hidden: true });
	const [left, right] = [el("span", { class: "end" }), el("span", { class: "end" })];
	const others = el("p", { class: "others muted", hidden: true });
	const explain = button("", { class: "explainstep", hidden: true, onclick: () => store.set({ step: selectedWord(store.get()) }) });
	const bar = el("div", { class: "bar", "aria-hidden": "true" }, el("span", { class: "middle" }), beforeMarker, marker);
	const notes = el("p", { class: "changenote", hidden: true });
	const sums = el("p", { class: "sum" });
	const method = el("select", { "aria-label": "Attribution method", onchange: () => store.set({ method: method.value }) });
	const colourBy = createSelect({ "aria-label": "Colour of the words", onchange: () => store.set({ colourBy: colourBy.value }) },
		[["attribution", "attribution"], ["unit", "memory c of the unit"], ["off", "off"]]);
	const target = el("select", { "aria-label": "Class to explain", onchange: () => store.set({ target: target.value || null }) });
	const against = el("select", { "aria-label": "Class to compare with", onchange: () => store.set({ against: against.value || null }) });
	const score = el("span", { class: "scorechoice", hidden: true }, el("label", {}, "explain ", target), el("label", {}, " against ", against));
	const lstmNote = el("p", { class: "note", hidden: true });
	const aboutNotes = [0, 1].map(() => el("p", { class: "muted note" }));
	const guess = el("div", { class: "guess", hidden: true });
	const scale = el("div", { class: "scale" }, left, bar, right);
	const row = el("div", { class: "predictionrow" }, heading, label, el("span", { class: "number" }, of, number), scale);
	const about = el("details", { class: "about" }, el("summary", {}, "About these numbers"), aboutNotes);
	const attributionRow = el("div", { class: "attributionrow" }, el("label", {}, "colour ", colourBy), method, score, sums);
	root.append(row, explain, others, guess, notes, lstmNote, attributionRow, about);

	const slider = el("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "Your guess in percent" });
	const guessed = el("output", {}, "50%");
	slider.addEventListener("input", () => setText(guessed, `${slider.value}%`));
	const question = el("label", { class: "question" });
	const show = el("button", { type: "button", class: "primary" }, "Show the prediction");
	show.addEventListener("click", () => {
		store.set({ guessed: Number(slider.value) / 100, guessedId: store.get().data?.id });
	});
	guess.append(question, slider, guessed, show);

	/** Whether the prediction, the prefix predictions and the colours are withheld until the reader has guessed. */
	const isWithheld = (state) => state.guess && state.data && state.data.prediction.probability !== null && state.guessedId !== state.data.id;

	function drawMethods(attribution, model) {
		const names = attribution ? attribution.methods : Object.keys(model?.faithfulness ?? {});
		if (method.options.length !== names.length) {
			method.replaceChildren(...names.map((name) => el("option", { value: name })));
		}
		const shown = model?.model.task === "regression" ? (x) => scoreText(x, true) : fmt;
		[...method.options].forEach((option, n) => {
			const score = model?.faithfulness[names[n]];
			const measured = score ? `, comprehensiveness ${shown(score.comprehensiveness)}` : ", not measured";
			setText(option, names[n] + (model?.attribution_method === names[n] ? " (default)" : "") + measured);
		});
		if (attribution) method.value = attribution.method;
		method.hidden = colourBy.hidden = about.hidden = !names.length;
		colourBy.parentElement.hidden = !names.length;
	}

	/** The classes that can be explained: of two classes and of one number there is no choice. */
	function drawChoice(state, labels, task) {
		score.hidden = !state.choice || labels.length < (task === "classification" ? 3 : 2);
		if (score.hidden) return;
		against.parentElement.hidden = task !== "classification";
		for (const [select, first, value] of [[target, task === "regression" ? "the first number" : task === "multilabel" ? "the most probable label" : "the prediction", state.target], [against, "all others", state.against]]) {
			if (select.options.length !== labels.length + 1) {
				select.replaceChildren(el("option", { value: "" }, first), ...labels.map((name) => el("option", { value: name }, safeText(name))));
			}
			select.value = labels.includes(value) ? value : "";
		}
	}

	function draw(state) {
		const { data, model } = state;
		const withheld = isWithheld(state);
		root.classList.toggle("withheld", Boolean(withheld));
		guess.hidden = !withheld;
		colourBy.value = state.colourBy;
		drawMethods(data?.attribution, model);
		const explained = data?.prediction.step ?? null;
		const wordAt = (n) => (tokenNounOf(state) === "step" ? `step ${n + 1}` : `“${safeText(data.words[n], 24)}”`);
		const ofStep = explained === null ? "" : ` for ${wordAt(explained)}`;
		setText(heading, `${state.outdated ? "Earlier prediction" : "Prediction"}${ofStep}:`);
		explain.hidden = !state.choice || explained === null || selectedWord(state) === explained;
		if (!explain.hidden) setText(explain, `Explain the label of ${wordAt(selectedWord(state))}`);
		if (!data) {
			setText(label, "–");
			setText(number, "");
			setText(of, "");
			for (const node of [notes, beforeMarker, marker, others, lstmNote, scale]) node.hidden = true;
			for (const node of [sums, left, right, ...aboutNotes]) setText(node, "");
			label.className = "label";
			return;
		}
		const { attribution, changed } = data;
		const prediction = state.earlyPrediction ?? data.prediction;
		const labels = data.model.labels.map((name) => safeText(name));
		const { task } = data.model;
		const binary = labels.length === 2 && task === "classification";
		const name = safeText(prediction.target);
		setText(question, `Guess the probability of “${name}”:`);
		const shown = labelOf(prediction, data.model);
		setText(label, withheld ? "?" : shown);
		const side = shown === "undecided" ? "" : prediction.favours ? "for" : "against";
		label.className = `label ${withheld ? "" : side}`;
		const p = withheld || task !== "classification" ? null : prediction.probability;
		setText(of, p === null ? "" : `${probabilityName(prediction.target)} =`);
		setText(number, p === null ? "" : fmt(p));
		const most = withheld ? "" : othersText(prediction, data.model);
		others.hidden = !most;
		setText(others, most);
		drawChoice(state, data.model.labels, task);
		scale.hidden = task === "regression";
		left.classList.toggle("against", binary);
		right.classList.toggle("for", binary);
		setText(left, binary ? labels[1 - data.model.labels.indexOf(prediction.target)] : task === "multilabel" ? `not ${name}` : "other");
		setText(right, name);
		marker.hidden = withheld;
		marker.style.setProperty("left", `${(100 * (prediction.probability ?? 0)).toFixed(2)}%`);
		marker.className = `marker ${side}`;
		beforeMarker.hidden = withheld || !changed;
		drawNotes(state, withheld);
		sums.classList.toggle("stale", Boolean(state.earlyPrediction || attribution?.stale)); // they belong to the text before
		if (withheld) setText(sums, "");
		else if (attribution && !attribution.stale) {
			setText(sums, sumText(attribution, prediction, tokenNounOf(state)));
			methodNotes(attribution, prediction).forEach((note, n) => setText(aboutNotes[n], note));
		}
		const note = withheld ? "" : attribution?.lstm_note;
		lstmNote.hidden = !note;
		setText(lstmNote, note ?? "");
	}

	function drawNotes(state, withheld) {
		const { prediction, changed, inputText } = state.data;
		const before = changed?.before;
		const lines = [];
		if (before && !withheld) {
			beforeMarker.style.setProperty("left", `${(100 * (before.probability ?? 0)).toFixed(2)}%`);
			const [old, shown] = [before, prediction].map((one) => labelOf(one, state.data.model));
			const now = old === shown ? "still" : "now";
			const what = prediction.probability === null ? "" : `: ${now} ${shown}`;
			lines.push(`${changeText(before, prediction)}${what}.`);
		}
		if (state.guess && !withheld && state.guessed !== undefined) {
			const percent = (x) => Math.round(100 * x);
			const off = percent(Math.abs(state.guessed - prediction.probability));
			lines.push(`Your guess: ${percent(state.guessed)}%. Prediction: ${percent(prediction.probability)}%. Difference: ${off} points.`);
		}
		if (!withheld && state.example?.label && state.example.text === inputText) lines.push(compareWithLabel(state));
		notes.hidden = !lines.length;
		setText(notes, lines.join(" "));
	}

	/** The label of an example beneath its prediction; "good" and "bad" are those of the film sentences. */
	function compareWithLabel({ example, data }) {
		const [negative, positive] = data.model.labels;
		const label = example.own ? example.label : example.label === "good" ? positive : negative;
		const shown = labelOf(data.prediction, data.model);
		const prediction = `Label: ${safeText(label, 80)}. Prediction: ${shown}`;
		if (data.model.task === "regression" || shown === "undecided") return `${prediction}.`;
		return `${prediction}, ${label === data.prediction.label ? "correct" : "wrong"}.`;
	}

	return { draw, isWithheld };
}
