// The details of the attribution: method, colours, the explained class, the sum of the scores, and what they are.

import { createSelect, el, fmt, safeText, setText } from "./dom.js";
import { tokenNounOf } from "./store.js";
import { methodNotes, scoreText, sumText } from "./value.js";

export function createDetails(root, store) {
	const method = el("select", {
		"aria-label": "Attribution method",
		onchange: () => store.set({ method: method.value }),
	});
	const scale = createSelect({ onchange: () => store.set({ colourScale: scale.value }) }, [
		["absolute", "the same for every text"],
		["relative", "relative to this text"],
	]);
	const target = el("select", {
		"aria-label": "Class to explain",
		onchange: () => store.set({ target: target.value || null }),
	});
	const against = el("select", {
		"aria-label": "Class to compare with",
		onchange: () => store.set({ against: against.value || null }),
	});
	const score = el(
		"span",
		{ class: "scorechoice", hidden: true },
		el("label", {}, "explain ", target),
		el("label", {}, " against ", against),
	);
	const sums = el("p", { class: "sum" });
	const notes = [0, 1].map(() => el("p", { class: "muted note" }));
	const counts = el("p", { class: "muted note" });
	const methodLabel = el("label", {}, "Method ", method);
	root.prepend(
		el("div", { class: "attributionrow" }, methodLabel, el("label", {}, "Scale of the colours ", scale), score),
		sums,
		...notes,
		counts,
	);

	function drawMethods(attribution, model) {
		const names = attribution ? attribution.methods : Object.keys(model?.faithfulness ?? {});
		if (method.options.length !== names.length)
			method.replaceChildren(...names.map((name) => el("option", { value: name })));
		const shown = model?.model.task === "regression" ? (x) => scoreText(x, true) : fmt;
		[...method.options].forEach((option, n) => {
			const found = model?.faithfulness[names[n]];
			const measured = found ? `, comprehensiveness ${shown(found.comprehensiveness)}` : ", not measured";
			setText(option, names[n] + (model?.attribution_method === names[n] ? " (default)" : "") + measured);
		});
		if (attribution) method.value = attribution.method;
		methodLabel.hidden = !names.length;
	}

	/** The classes that can be explained: of two classes and of one number there is no choice. */
	function drawChoice(state, { labels, task }) {
		score.hidden = !state.choice || labels.length < (task === "classification" ? 3 : 2);
		if (score.hidden) return;
		against.parentElement.hidden = task !== "classification";
		const first =
			task === "regression" ? "the first number" : task === "multilabel" ? "the most probable label" : "the prediction";
		for (const [select, name, value] of [
			[target, first, state.target],
			[against, "all others", state.against],
		]) {
			if (select.options.length !== labels.length + 1) {
				select.replaceChildren(
					el("option", { value: "" }, name),
					...labels.map((one) => el("option", { value: one }, safeText(one))),
				);
			}
			select.value = labels.includes(value) ? value : "";
		}
	}

	function draw(state) {
		const { data, model, earlyPrediction } = state;
		const attribution = data?.attribution;
		scale.value = state.colourScale;
		drawMethods(attribution, model);
		if (data) drawChoice(state, data.model);
		sums.classList.toggle("stale", Boolean(earlyPrediction || attribution?.stale)); // they belong to the text before
		const known = attribution && !attribution.stale;
		if (known || !attribution) {
			setText(sums, known ? sumText(attribution, data.prediction, tokenNounOf(state)) : "");
			const lines = known ? methodNotes(attribution, data.prediction, data.model) : ["", ""];
			lines.forEach((line, n) => setText(notes[n], line));
		}
		setText(counts, data?.cache ? `Computed in ${fmt(data.cache.ms, 0)} ms.` : "");
	}

	return { draw };
}
