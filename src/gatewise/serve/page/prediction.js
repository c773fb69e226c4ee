// The prediction, its probability on a scale, the attribution method with its sum, and the prediction before a change.

import { createSelect, el, fmt, fmtSmall, safeText, setText, signed } from "./dom.js";

const SENTIMENT_LABELS = ["negative positive", "neg pos", "bad good"];
const sum = (row) => row.reduce((a, b) => a + b, 0);

export function createPredictionView(root, store) {
	const heading = el("span", { class: "heading" }, "Prediction:");
	const label = el("span", { class: "label" });
	const number = el("span", { class: "probability" });
	const marker = el("span", { class: "marker" });
	const beforeMarker = el("span", { class: "marker before", hidden: true });
	const [left, right] = [el("span", { class: "end" }), el("span", { class: "end" })];
	const bar = el("div", { class: "bar", "aria-hidden": "true" }, el("span", { class: "middle" }), beforeMarker, marker);
	const notes = el("p", { class: "changenote", hidden: true });
	const sums = el("p", { class: "sum" });
	const method = el("select", { "aria-label": "Attribution method", onchange: () => store.set({ method: method.value }) });
	const colourBy = createSelect({ "aria-label": "Colour of the words", onchange: () => store.set({ colourBy: colourBy.value }) },
		[["attribution", "attribution"], ["unit", "memory c of the unit"], ["off", "off"]]);
	const methodNote = el("p", { class: "muted note" });
	const faithfulnessNote = el("p", { class: "muted note" });
	const guess = el("div", { class: "guess", hidden: true });
	const row = el("div", { class: "predictionrow" }, heading, label, number, el("div", { class: "scale" }, left, bar, right));
	const about = el("details", { class: "about" }, el("summary", {}, "About these numbers"), methodNote, faithfulnessNote);
	const attributionRow = el("div", { class: "attributionrow" }, el("label", {}, "colour ", colourBy), method, sums);
	root.append(row, guess, notes, attributionRow, about);

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
	const isWithheld = (state) => state.guess && state.data && state.guessedId !== state.data.id;

	function drawMethods(attribution, model) {
		const names = attribution ? attribution.methods : Object.keys(model?.faithfulness ?? {});
		if (method.options.length !== names.length) {
			method.replaceChildren(...names.map((name) => el("option", { value: name })));
		}
		[...method.options].forEach((option, n) => {
			const score = model?.faithfulness[names[n]];
			const measured = score ? `, comprehensiveness ${fmt(score.comprehensiveness)}` : ", not measured";
			setText(option, names[n] + measured + (model?.attribution_method === names[n] ? " (default)" : ""));
		});
		if (attribution) method.value = attribution.method;
		method.hidden = colourBy.hidden = about.hidden = !names.length;
		colourBy.parentElement.hidden = !names.length;
	}

	function drawSums(attribution, prediction) {
		const words = attribution.parts // with n-grams, each score has two parts
			? `network ${signed(sum(attribution.parts.network))}  n-grams ${signed(sum(attribution.parts.ngrams) + attribution.truncated_part)}`
			: `words ${signed(sum(attribution.scores))}`;
		const residual = attribution.adds_up ? "rounding" : "residual";
		setText(sums, `base value ${signed(attribution.base_value)}  ${words}  ${residual} ${fmtSmall(attribution.residual)}` +
			`  = logit ${signed(attribution.logit)}`);
		setText(methodNote, `${attribution.method}: ${attribution.note}`);
		const calibrated = prediction.calibrated ? "calibrated on validation data" : "not calibrated";
		setText(faithfulnessNote, `${attribution.faithfulness_note} Probabilities are ${calibrated}.`);
	}

	function draw(state) {
		const { data, model } = state;
		const withheld = isWithheld(state);
		root.classList.toggle("withheld", Boolean(withheld));
		guess.hidden = !withheld;
		colourBy.value = state.colourBy;
		drawMethods(data?.attribution, model);
		if (!data) {
			setText(label, "–");
			setText(number, "");
			for (const node of [notes, beforeMarker, marker]) node.hidden = true;
			setText(sums, "");
			return;
		}
		const { attribution, changed } = data;
		const prediction = state.earlyPrediction ?? data.prediction;
		const labels = data.model.labels.map((name) => safeText(name));
		const binary = labels.length === 2;
		const target = safeText(prediction.target);
		setText(question, `Guess the probability of “${target}”:`);
		setText(label, withheld ? "?" : safeText(prediction.label));
		const isTarget = prediction.label === prediction.target;
		label.className = `label ${withheld ? "" : isTarget ? "for" : "against"}`;
		const p = binary && !isTarget ? 1 - prediction.probability : prediction.probability;
		setText(number, withheld ? "" : fmt(p));
		setText(left, binary ? labels[1 - data.model.labels.indexOf(prediction.target)] : "other");
		setText(right, target);
		marker.hidden = withheld;
		marker.style.setProperty("left", `${(100 * prediction.probability).toFixed(2)}%`);
		marker.className = `marker ${isTarget ? "for" : "against"}`;
		beforeMarker.hidden = withheld || !changed;
		drawNotes(state, withheld, p);
		if (withheld) setText(sums, "");
		else if (attribution && !attribution.stale) drawSums(attribution, prediction);
	}

	function drawNotes(state, withheld, p) {
		const { prediction, changed, model, inputText } = state.data;
		const before = changed?.before;
		const lines = [];
		if (before && !withheld) {
			beforeMarker.style.setProperty("left", `${(100 * before.probability).toFixed(2)}%`);
			const difference = signed(prediction.probability - before.probability);
			const now = before.label === prediction.label ? "still" : "now";
			lines.push(`“${safeText(prediction.target)}” ${fmt(before.probability)} → ${fmt(prediction.probability)} (${difference}): ${now} ${safeText(prediction.label)}.`);
		}
		if (state.guess && !withheld && state.guessed !== undefined) {
			const percent = (x) => Math.round(100 * x);
			const off = percent(Math.abs(state.guessed - prediction.probability));
			lines.push(`Your guess: ${percent(state.guessed)}%. Prediction: ${percent(prediction.probability)}%. Difference: ${off} points.`);
		}
		if (!withheld && state.example?.text === inputText && hasSentimentLabels(state.example, model.labels)) lines.push(compareWithLabel(state, p));
		notes.hidden = !lines.length;
		setText(notes, lines.join(" "));
	}

	/** Whether an example's label applies to the model. */
	const hasSentimentLabels = (example, labels) => example.label && SENTIMENT_LABELS.includes(labels.join(" ").toLowerCase());

	function compareWithLabel({ example, data }, p) {
		const [negative, positive] = data.model.labels;
		const label = example.label === "good" ? positive : negative;
		const correct = label === data.prediction.label ? "correct" : "wrong";
		return `Label: ${safeText(label)}. Prediction: ${safeText(data.prediction.label)} ${fmt(p)}, ${correct}.`;
	}

	return { draw, isWithheld };
}
