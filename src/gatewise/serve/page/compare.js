// Two texts side by side: the words that differ are marked, and one sentence states the difference of the predictions.

import { el, failure, setText } from "./dom.js";
import { createReading } from "./reading.js";
import { tokenNounOf } from "./store.js";
import { changeText, headingText, labelOf } from "./value.js";
import { differingWords, wordsOf } from "./words.js";

const DELAY = 150; // ms without a key

/** How many words differ, in a sentence. counts: of the first text and of the second. */
export const differenceOf = ([a, b], noun) =>
	(a || b ? `Marked: ${a} ${noun}${a === 1 ? "" : "s"} of the first text, ${b} of the second.` : `No ${noun} differs.`);

export function createCompare(root, store, loader) {
	const box = el("textarea", { rows: 2, dir: "auto", maxlength: 100_000, "aria-label": "The second text", spellcheck: "false" });
	const status = el("p", { class: "status", "aria-live": "polite" });
	const [one, two] = [el("div"), el("div")];
	const heads = [el("h3"), el("h3")];
	const pair = el("div", { class: "pair" }, el("div", {}, heads[0], one), el("div", {}, heads[1], two));
	root.append(box, status, pair);
	const views = [createReading(one, one, { label: "First text" }), createReading(two, two, { label: "Second text" })];
	let other = null; // the answer for the second text
	let target = null; // the class asked for: that of the first text
	let failed = false;
	let timer = 0;
	let current = 0;
	let controller = new AbortController();

	box.addEventListener("input", () => store.set({ b: box.value }));

	async function load(state) {
		current += 1;
		const mine = current;
		failed = false;
		target = state.data?.prediction.target;
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
			other = { ...answer, target, inputText: state.b, words: wordsOf(state.b, answer.text) };
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

	function drawSide(n, data, marked, isRelative) {
		setText(heads[n], `${["First", "Second"][n]}: ${headingText(data.prediction, data.model)}`);
		views[n].draw(data, { isRelative, marked });
	}

	function draw(state) {
		if (box.value !== (state.b ?? "")) box.value = state.b ?? "";
		pair.hidden = !other || !state.data || !state.b;
		if (pair.hidden) {
			setText(status, state.b ? "" : "Write a second text. The words that differ are marked.");
			return;
		}
		const equal = state.data.inputText === other.inputText;
		const tokenNoun = tokenNounOf(state);
		const compared = [state.data, other].map(({ words, text }) => text.values?.map(String) ?? words); // series: by their numbers
		const marked = differingWords(...compared);
		[state.data, other].forEach((data, n) => drawSide(n, data, equal ? new Set() : marked[n], state.colourScale === "relative"));
		const [first, second] = [state.data.prediction, other.prediction];
		if (first.target !== other.target) {
			setText(status, ""); // until the answer for that class comes
			return;
		}
		if (equal) {
			setText(status, "Both texts are the same. Change the second one: the words that differ are marked.");
			return;
		}
		const [one, two] = compared.map((list) => list.map((word) => word.toLowerCase()).sort().join(" "));
		const same = one === two && tokenNoun === "word";
		const changed = labelOf(second, other.model) === labelOf(first, state.data.model) ? "The prediction is the same" : "The prediction changes";
		const difference = same
			? "Both texts have the same words in another order: a bag-of-words model cannot tell them apart."
			: differenceOf(marked.map((set) => set.size), tokenNoun);
		setText(status, `${changed}: ${changeText(first, second)}. ${difference}`);
	}

	store.subscribe((state, keys) => {
		if (keys.has("b") || (keys.has("model") && state.b) || (keys.has("data") && (failed || (state.data && state.data.prediction.target !== target)))) {
			clearTimeout(timer);
			timer = setTimeout(() => load(store.get()), DELAY);
		}
		if (keys.has("b") || keys.has("data")) draw(store.get());
	});
	draw(store.get());
	load(store.get());
	return {
		focus() {
			box.focus();
			box.select();
		},
	};
}
