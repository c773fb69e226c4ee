// Two texts side by side: the words that differ are marked, and one sentence states the difference of the predictions.

import { failure, partsOf, setText } from "./dom.js";
import { createLoader } from "./loader.js";
import { createReading } from "./reading.js";
import { createStore, tokenNounOf } from "./store.js";
import { changeText, headingText, labelOf } from "./value.js";
import { differingWords } from "./words.js";

/** How many words differ, in a sentence. counts: of the first text and of the second. */
export const differenceOf = ([a, b], noun) =>
	a || b ? `Marked: ${a} ${noun}${a === 1 ? "" : "s"} of the first text, ${b} of the second.` : `No ${noun} differs.`;

export function createCompare(root, store, api) {
	const parts = partsOf(root);
	const { box, status, pair } = parts;
	const views = Object.entries({ First: parts.first, Second: parts.second }).map(([name, side]) => ({
		name,
		head: side.firstElementChild,
		...createReading(side, side, { label: `${name} text` }),
	}));
	const second = createStore(); // of the second text, which is explained for the class of the first one
	const loader = createLoader(second, api, { hasUnits: false });

	box.addEventListener("input", () => store.set({ b: box.value }));

	function load() {
		const { arrays, arrayReader, b, columns, data, method, model, served } = store.get();
		second.set({
			text: b ?? "",
			arrays,
			arrayReader,
			columns,
			method,
			model,
			served,
			target: data?.prediction.target ?? null,
		});
		if (data) loader.load();
	}

	function draw(state) {
		if (box.value !== (state.b ?? "")) box.value = state.b ?? "";
		const { data: other, error } = second.get();
		pair.hidden = !other || !state.data || !state.b || (error && other.inputText !== state.b);
		const hint = state.b ? "" : "Write a second text. The words that differ are marked.";
		const line = pair.hidden ? hint : drawPair(state, other);
		if (error) status.replaceChildren(...failure(error.message, error.retry).childNodes);
		else setText(status, line);
	}

	/** Draw both texts; returns a sentence on their difference, "" until both are explained for one class. */
	function drawPair(state, other) {
		const both = [state.data, other];
		const compared = both.map(({ words, text }) => text.values?.map(String) ?? words); // series: by their numbers
		const marked = differingWords(...compared);
		both.forEach((data, n) => {
			setText(views[n].head, `${views[n].name}: ${headingText(data.prediction, data.model)}`);
			views[n].draw(data, { isRelative: state.colourScale === "relative", marked: marked[n] });
		});
		const [before, after] = both.map((data) => data.prediction);
		if (before.target !== after.target || second.get().text !== other.inputText) return "";
		if (state.data.inputText === other.inputText)
			return "Both texts are the same. Change the second one: the words that differ are marked.";
		const tokenNoun = tokenNounOf(state);
		const [one, two] = compared.map((list) =>
			list
				.map((word) => word.toLowerCase())
				.sort()
				.join(" "),
		);
		const changed =
			labelOf(after, other.model) === labelOf(before, state.data.model)
				? "The prediction is the same"
				: "The prediction changes";
		const difference =
			one === two && tokenNoun === "word"
				? "Both texts have the same words in another order: a bag-of-words model cannot tell them apart."
				: differenceOf(
						marked.map((set) => set.size),
						tokenNoun,
					);
		return `${changed}: ${changeText(before, after)}. ${difference}`;
	}

	store.subscribe((state, keys) => {
		const isOther = state.data && state.data.prediction.target !== second.get().target;
		if (
			keys.has("b") ||
			keys.has("method") ||
			keys.has("columns") ||
			keys.has("arrays") ||
			(keys.has("data") && state.b !== null && (second.get().error || isOther))
		)
			load();
		if (keys.has("b") || keys.has("data") || keys.has("colourScale")) draw(state);
	});
	second.subscribe(() => draw(store.get()));
	draw(store.get());
	load();
}
