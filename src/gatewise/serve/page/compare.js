// Two texts side by side, on one axis: two staffs, the words that differ marked, and one sentence on the difference.

import { el, fmt, put, shown } from "./dom.js";
import { createStaff } from "./staff.js";
import { differing } from "./diff.js";
import { wordsOf } from "./words.js";

const RESTS = 150;

export function createCompare(root, store, loader) {
	const box = el("textarea", { rows: 2, maxlength: 100_000, "aria-label": "The second text", spellcheck: "false" });
	const told = el("p", { class: "told", "aria-live": "polite" });
	const [one, two] = [el("div"), el("div")];
	const heads = [el("h3"), el("h3")];
	const pair = el("div", { class: "pair" }, el("div", {}, heads[0], one), el("div", {}, heads[1], two));
	root.append(box, told, pair);
	const staffs = [createStaff(one, { label: "First text" }), createStaff(two, { label: "Second text" })];
	let other = null; // the answer for the second text
	let timer = 0;
	let turn = 0;

	box.addEventListener("input", () => {
		store.set({ b: box.value });
	});

	async function ask(state) {
		turn += 1;
		const mine = turn;
		if (!state.b?.trim()) {
			other = null;
			draw(store.get());
			return;
		}
		try {
			const answer = await loader.beside(state.b);
			if (mine !== turn) return;
			other = { ...answer, shown: state.b, words: wordsOf(state.b, answer.text) };
			draw(store.get());
		} catch (error) {
			if (mine === turn) put(told, error.message);
		}
	}

	function side(staff, head, data, marked, tokenNoun, name) {
		put(head, `${name}: ${shown(data.verdict.label, 24)}, “${shown(data.verdict.towards, 24)}” ${fmt(data.verdict.p)}`);
		staff.draw({
			text: data.shown, part: data.text, scores: data.account?.words, colourOf: data.account?.method ?? "",
			running: data.running, before: null, selected: -1, hovered: null, marked, towards: data.verdict.towards, tokenNoun,
		});
	}

	function draw(state) {
		if (document.activeElement !== box && box.value !== (state.b ?? "")) box.value = state.b ?? "";
		pair.hidden = !other || !state.data || !state.b;
		if (pair.hidden) {
			put(told, state.b ? "" : "Write a second text: both are read, and what differs is marked.");
			return;
		}
		const [only, also] = differing(state.data.words, other.words);
		const tokenNoun = state.model?.model.task === "series" ? "step" : "word";
		side(staffs[0], heads[0], state.data, only, tokenNoun, "First");
		side(staffs[1], heads[1], other, also, tokenNoun, "Second");
		const moved = other.verdict.p - state.data.verdict.p;
		const sorted = (list) => list.map((word) => word.toLowerCase()).sort().join(" ");
		const same = sorted(state.data.words) === sorted(other.words);
		const turned = other.verdict.label === state.data.verdict.label ? "The verdict is the same" : "The verdict turns";
		put(told, `${turned}: “${shown(state.data.verdict.towards, 24)}” ${fmt(state.data.verdict.p)} → ${fmt(other.verdict.p)} ` +
			`(${fmt(moved, 2, true)}). ${same ? "Both have the same words in another order: a bag of words cannot tell them apart." : `${only.size} and ${also.size} ${tokenNoun}s differ.`}`);
	}

	store.subscribe((state, keys) => {
		if (keys.has("b") || (keys.has("model") && state.b)) {
			clearTimeout(timer);
			timer = setTimeout(() => ask(store.get()), RESTS);
		}
		if (keys.has("b") || keys.has("data")) draw(state);
	});
	draw(store.get());
	ask(store.get());
	return { draw, focus: () => box.focus() };
}
