// The tour: six cards, each highlighting a part of the page. It starts by a button only and stores nothing.

import { announce, button, el, setText } from "./dom.js";

const CARDS = [
	["input", "Text", "Type or paste a text, or choose an example. The prediction is computed again with every key."],
	["prediction", "Prediction", "The predicted class and the probability. The row below names the attribution method and adds its scores up to the score of the prediction."],
	["words", "Words", "The colour of a word is its score: ▲ blue for the class, ▼ orange against it. The line is the prediction for the text up to each word. Select a word to see the cell at that word."],
	["cellsection", "Cell", "One unit of the LSTM at the selected word. Gates f, i and o and the candidate g update the memory c, and the output h follows. The seven steps show each formula with its numbers."],
	["interventions", "Interventions", "Clamp a gate to a value, or ablate the unit: the page shows the prediction before and after."],
	["heatmap", "Heat map", "One gate or state of many units (rows) at all words (columns), the units with the largest effect first. Select a cell to see that unit at that word."],
];

/** opener: the button that gets the focus back. */
export function createTour(opener) {
	const title = el("h2", { id: "tourtitle" });
	const text = el("p", { id: "tourtext" });
	const back = button("Back", { onclick: () => show(at - 1) });
	const next = button("Next", { class: "primary", onclick: () => (at === cards.length - 1 ? leave() : show(at + 1)) });
	const card = el("div", { class: "tourcard", role: "dialog", "aria-labelledby": "tourtitle", "aria-describedby": "tourtext", hidden: true },
		title, text, el("div", { class: "buttons" }, back, next, button("Leave the tour", { onclick: () => leave() })));
	document.body.append(card);
	let cards = [];
	let at = 0;
	let lit = null;
	let opened = []; // details that the tour has opened

	function light(part) {
		lit?.classList.remove("toured");
		lit = part;
		if (!part) return;
		part.classList.add("toured");
		if (part.tagName === "DETAILS" && !part.open) {
			part.open = true;
			opened.push(part);
		}
		part.scrollIntoView({ block: "center" });
		place();
	}

	/** Put the card where it covers least of the part. */
	function place() {
		const { left, right, top, bottom } = lit.getBoundingClientRect();
		card.classList.toggle("atleft", left > innerWidth - right);
		card.classList.toggle("attop", top > innerHeight - bottom);
	}

	function show(n) {
		at = n;
		const [id, name, line] = cards[n];
		setText(title, `${n + 1} of ${cards.length}: ${name}`);
		setText(text, line);
		back.disabled = n === 0;
		setText(next, n === cards.length - 1 ? "Finish" : "Next");
		light(document.getElementById(id));
		if (!card.contains(document.activeElement) || document.activeElement.disabled) next.focus();
		else announce(`${title.textContent}. ${line}`);
	}

	function onKey(event) {
		const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
		if (event.key === "Escape") leave();
		else if (by && card.contains(event.target)) {
			if (cards[at + by]) show(at + by);
		} else return;
		event.preventDefault();
		event.stopPropagation();
	}

	function leave() {
		light(null);
		for (const part of opened) part.open = false;
		opened = [];
		card.hidden = true;
		document.removeEventListener("keydown", onKey, true);
		opener.focus();
	}

	return {
		start() {
			cards = CARDS.filter(([id]) => document.getElementById(id).checkVisibility()); // a link can hide parts
			card.hidden = false;
			document.addEventListener("keydown", onKey, true);
			show(0);
		},
	};
}
