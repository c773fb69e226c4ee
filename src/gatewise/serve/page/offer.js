// The clamp that the page offers first: that with the largest measured effect on this text.

import { button, el, partsOf, safeText, setText } from "./dom.js";
import { tokenNounOf } from "./store.js";
import { changeText } from "./value.js";

const LEAST_EFFECT = 0.01; // of a change of P that is offered

/** root: of the changes that were made, in whose place it stands; controls: of a change. */
export function createOffer(root, controls, store, loader) {
	const { gate, scope } = partsOf(controls);
	const take = () => {
		const { prediction: _, ...change } = store.get().data.offer;
		gate.value = change.gate;
		scope.value = "all word";
		store.set({ w: change.from, changes: [change] });
	};
	const offer = button("", { class: "chip offer", hidden: true, onclick: take });
	const noOffer = el("span", { class: "note muted", hidden: true });
	root.prepend(offer, noOffer);
	let asked = null; // the answer whose offer was requested

	/** Once all that the reader sees is there. */
	function load({ data, changes }) {
		const isComplete = data?.units && data.attribution && !data.attribution.stale;
		if (!isComplete || changes.length || data.id === asked) return;
		asked = data.id;
		loader.loadPart("offer", ["offer"]);
	}

	function draw() {
		const { data, changes, outdated } = store.get();
		const tokenNoun = tokenNounOf(store.get());
		const found = changes.length || outdated ? null : data?.offer;
		offer.hidden = true;
		noOffer.hidden = true;
		if (!found) return;
		const { prediction } = data;
		const effect = Math.abs(found.prediction.probability - prediction.probability);
		const isLarge = prediction.probability === null || effect >= LEAST_EFFECT;
		offer.hidden = !isLarge;
		noOffer.hidden = isLarge;
		const place = `${tokenNoun} ${found.from + 1}, “${safeText(data.words[found.from], 16)}”`;
		setText(offer, `Try: close the input gate at ${place}: ${changeText(prediction, found.prediction)}`);
		setText(
			noOffer,
			`Closing the input gate at any one ${tokenNoun} changes the prediction by less than ${LEAST_EFFECT}.`,
		);
	}
	store.subscribe((state, keys) => {
		if (!["data", "changes", "outdated"].some((key) => keys.has(key))) return;
		load(state);
		draw();
	});
	load(store.get());
}
