// Two texts side by side: the words that differ are marked, and one sentence states the difference of the predictions.

import { createSelect, el, failure, setText } from "./dom.js";
import { asText, exportedName } from "./examples.js";
import { tokenNounOf } from "./store.js";
import { createTextView, sidesOf } from "./textview.js";
import { differenceText, headingText, labelOf, lineOf, valueText } from "./value.js";
import { differingWords, wordsOf } from "./words.js";

const DELAY = 150; // ms without a key

export function createCompare(root, store, loader) {
	const texts = store.get().model?.exported?.inputs.map((one, n) => [asText(one), exportedName(one, n, 80)]); // the only ones
	const box = texts ? createSelect({ "aria-label": "The second text" }, [["", "Choose a second text"], ...texts]) : el("textarea", { rows: 2, maxlength: 100_000, "aria-label": "The second text", spellcheck: "false" });
	const status = el("p", { class: "status", "aria-live": "polite" });
	const [one, two] = [el("div"), el("div")];
	const heads = [el("h3"), el("h3")];
	const pair = el("div", { class: "pair" }, el("div", {}, heads[0], one), el("div", {}, heads[1], two));
	root.append(box, status, pair);
	const views = [createTextView(one, { label: "First text" }), createTextView(two, { label: "Second text" })];
	let other = null; // the answer for the second text
	let failed = false;
	let timer = 0;
	let current = 0;
	let controller = new AbortController();

	box.addEventListener("input", () => store.set({ b: box.value }));

	async function load(state) {
		current += 1;
		const mine = current;
		failed = false;
		controller.abort();
		controller = new AbortController();
		const { signal } = controller;
		if (!state.b?.trim()) {
			other = null;
			draw(store.get());
			return;
		}
		try {
			const answer = await loader.loadOther(state.b, ["prediction", "prefix"], signal);
			if (mine !== current) return;
			other = { ...answer, inputText: state.b, words: wordsOf(state.b, answer.text) };
			draw(store.get());
			// The prediction does not wait for what takes seconds.
			const line = answer.prefix.stride > 1 ? ["prefix:all"] : [];
			const { attribution, prefix = answer.prefix } = await loader.loadOther(state.b, ["attribution", ...line], signal);
			if (mine !== current) return;
			other = { ...other, attribution, prefix };
			draw(store.get());
		} catch (error) {
			if (mine !== current) return;
			failed = true;
			if (other?.inputText !== state.b) other = null; // the prediction stays without its attribution
			draw(store.get());
			status.replaceChildren(...failure(error.message, () => load(store.get())).childNodes);
		}
	}

	function drawSide(n, data, marked, tokenNoun) {
		const { target } = data.prediction;
		const name = ["First", "Second"][n];
		setText(heads[n], `${name}: ${headingText(data.prediction, data.model)}`);
		views[n].draw({
			text: data.inputText, part: data.text, scores: data.attribution?.scores, colourOf: data.attribution?.method ?? "", sides: sidesOf(data.prediction, data.model),
			prefix: lineOf(data.prefix, target), before: null, selected: -1, hovered: null, marked, tokenNoun,
		});
	}

	function draw(state) {
		if (document.activeElement !== box && box.value !== (state.b ?? "")) box.value = state.b ?? "";
		pair.hidden = !other || !state.data || !state.b;
		if (pair.hidden) {
			setText(status, state.b ? "" : `${texts ? "Choose" : "Write"} a second text. The words that differ are marked.`);
			return;
		}
		const marked = differingWords(state.data.words, other.words);
		const tokenNoun = tokenNounOf(state);
		[state.data, other].forEach((data, n) => drawSide(n, data, marked[n], tokenNoun));
		const [first, second] = [state.data.prediction, other.prediction];
		const sorted = (list) => list.map((word) => word.toLowerCase()).sort().join(" ");
		const same = sorted(state.data.words) === sorted(other.words);
		const changed = labelOf(second, other.model) === labelOf(first, state.data.model) ? "The prediction is the same" : "The prediction changes";
		const difference = same
			? "Both texts have the same words in another order: a bag-of-words model cannot tell them apart."
			: `${marked[0].size} and ${marked[1].size} ${tokenNoun}s differ.`;
		setText(status, `${changed}: ${valueText(first)} → ${valueText(second)} (${differenceText(first, second)}). ${difference}`);
	}

	store.subscribe((state, keys) => {
		if (keys.has("b") || (keys.has("model") && state.b) || (keys.has("data") && failed)) {
			clearTimeout(timer);
			timer = setTimeout(() => load(store.get()), DELAY);
		}
		if (keys.has("b") || keys.has("data")) draw(state);
	});
	draw(store.get());
	load(store.get());
	return { focus: () => box.focus() };
}
