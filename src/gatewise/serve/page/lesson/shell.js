// The frame of the lesson: its chapters, one at a time, and the state that they share: text, word, unit, changes.

import { announce, fmt, oncePerFrame, partsOf, safeText, setAttr, setText } from "../dom.js";
import { once } from "../once.js";
import { lightTerms } from "./parts.js";

const MAX_WORDS = 60; // that a figure shows
const MAX_LENGTH = 2000; // characters of a text

/** chapters: by id mount(parts, lesson) -> {run, isChanged, reset, draw, show, hide}. parts: those of its article in
 * lesson.html; data-alone: without text and prediction; data-review: with the text of the tutorial. run(): the run whose
 * prediction is shown, if not that with the changes of the state; isChanged(), reset(): of other changes of the chapter. */
export function createLesson(model, chapters, { nav, bar, main }) {
	const state = { chapter: null, text: null, t: null, unit: null, changes: [] };
	const mounted = new Map();
	const runs = new Map();
	const links = nav.querySelectorAll("a");
	const first = bar.querySelector("option").value; // the text of the chapters

	const lesson = {
		model,
		state,
		/** Change the state and draw the chapter and the bar in the next frame. */
		set(patch) {
			if ("text" in patch && patch.text !== state.text) Object.assign(state, { t: null, changes: [] });
			Object.assign(state, patch);
			if (patch.text) state.text = patch.text.replace(/\p{Surrogate}/gu, "\ufffd"); // halves of characters
			draw();
		},
		draw: () => draw(),
		/** The text that is shown: that of the reader, else that of the chapter. */
		text: () => {
			const wanted = state.text ?? (current()?.element.matches("[data-review]") ? reviewText(model) : first);
			return lesson.isWhole() || model.encode(wanted).ids.every((id) => !Number.isNaN(model.network.inputOf(id)[0]))
				? wanted
				: first;
		},
		/** Whether the embeddings of all words are there: those of rare words come last. */
		isWhole: () => model.network.rows === model.info.vocabSize,
		isReview: () => lesson.text() === reviewText(model),
		/** What the model reads of it: {words, ids}; of a long text its last words. */
		encoded: () =>
			lesson.cached("encoded", () => {
				const found = model.encode(lesson.text());
				const all = found.steps.slice(1); // after START
				const words = all.slice(-MAX_WORDS);
				return { words, cut: all.length - words.length, ids: [found.ids[0], ...words.map(({ id }) => id)] };
			}),
		/** The names of the steps: START and the words. */
		names: () => ["START", ...lesson.encoded().words.map(({ text }) => text)],
		/** The run with these changes; without an argument, with those of the state. */
		run: (changes = state.changes) =>
			lesson.cached(JSON.stringify(changes), () => model.run({ ids: lesson.encoded().ids }, { changes })),
		plain: () => lesson.run([]),
		/** What depends on the text alone, and on whether its rare words are there: computed once. */
		cached: (key, compute) => once(runs, `${key} ${model.network.rows} ${lesson.text()}`, compute, 100),
		/** The run whose prediction stands in the bar: a chapter can have its own. */
		shown: () => current()?.view.run?.() ?? lesson.run(),
		isChanged: () => state.changes.length > 0 || Boolean(current()?.view.isChanged?.()),
		reset() {
			current()?.view.reset?.();
			lesson.set({ changes: [], unit: null });
		},
	};
	const drawBar = createBar(bar, lesson);
	const current = () => mounted.get(state.chapter);

	let timer = 0;
	const draw = oncePerFrame(() => {
		const found = current();
		if (!found) return;
		if (!bar.hidden) drawBar();
		found.view.draw?.();
		found.element.dispatchEvent(new Event("drawn"));
		clearTimeout(timer);
		timer = setTimeout(() => {
			// The address holds the chapter and a text of the reader, so that a link shows both.
			const address = `#${state.chapter}${state.text === null ? "" : `&t=${encodeURIComponent(state.text)}`}`;
			const asked = location.hash.slice(1).split("&")[0];
			const followed = Object.hasOwn(chapters, asked) && asked !== state.chapter; // its event is to come
			if (location.hash !== address && !followed) history.replaceState(null, "", address);
		}, 300);
	});

	function show(id) {
		if (id === state.chapter) return;
		current()?.view.hide?.();
		Object.assign(state, { chapter: id, changes: [], t: null });
		main.hidden = false;
		if (!mounted.has(id)) {
			const element = document.getElementById(id).content.firstElementChild;
			lightTerms(element);
			mounted.set(id, { element, view: {} });
			main.replaceChildren(element);
			current().view = chapters[id](partsOf(element), lesson);
		}
		main.replaceChildren(current().element);
		bar.hidden = "alone" in current().element.dataset;
		for (const link of links) link.ariaCurrent = link.hash === `#${id}` ? "page" : null;
		document.title = `${nav.querySelector("[aria-current]").ariaLabel} – LSTM step by step`;
		current().view.show?.();
		scrollTo(0, 0);
		draw();
	}

	function readAddress() {
		const [id, ...rest] = location.hash.slice(1).split("&");
		const text = new URLSearchParams(rest.join("&")).get("t");
		if (text !== null) lesson.set({ text: safeText(text, MAX_LENGTH) });
		if (Object.hasOwn(chapters, id)) show(id);
		else if (!state.chapter) show(Object.keys(chapters)[0]);
	}
	addEventListener("hashchange", () => {
		readAddress();
		main.focus({ preventScroll: true }); // the focused link is gone; Tab goes on at the top of the chapter
		announce(document.title);
	});
	new ResizeObserver(draw).observe(main);
	readAddress();
	return lesson;
}

// The ids of X_train[5] after START, as the tutorial prints them.
const REVIEW = [
	[778, 128, 74, 12, 630, 163, 15, 4, 1766, 7982, 1051, 2, 32, 85, 156, 45, 40, 148, 139, 121, 664, 665],
	[10, 10, 1361, 173, 4, 749, 2, 16, 3804, 8, 4, 226, 65, 12, 43, 127, 24, 2, 10, 10],
].flat();
const reviewText = (model) => REVIEW.map((id) => (id === 2 ? "<unk>" : model.wordOf(id))).join(" ");

/** The text, to edit, and the prediction for it. */
function createBar(root, lesson) {
	const { input, select, review, number, label, mark, ghost, reset, note } = partsOf(root);
	const [negative, positive] = lesson.model.info.labels;
	review.value = reviewText(lesson.model);
	reset.addEventListener("click", lesson.reset);
	input.addEventListener("input", () => lesson.set({ text: input.value }));
	select.addEventListener("change", () => {
		lesson.set({ text: select.value });
		if (!select.value) input.focus();
	});
	return () => {
		const text = lesson.text();
		if (input.value !== text) input.value = text;
		input.readOnly = !lesson.isWhole();
		const { cut } = lesson.encoded();
		setText(
			note,
			cut ? `The lesson uses the last ${MAX_WORDS} words of this text, without the ${cut} before them.` : "",
		);
		select.value = [...select.options].find(({ value }) => value === text)?.value ?? "";
		const [now, before] = [lesson.shown().probability, lesson.plain().probability];
		if (number.textContent && number.textContent !== fmt(now)) announce(`P(${positive}) = ${fmt(now)}`);
		setText(number, fmt(now));
		reset.disabled = !lesson.isChanged();
		setText(label, Math.abs(now - 0.5) <= 0.05 ? "undecided" : now > 0.5 ? positive : negative);
		setAttr(root, "data-side", now > 0.5 ? "for" : "against");
		mark.style.setProperty("left", `${100 * now}%`);
		ghost.style.setProperty("left", `${100 * before}%`);
		ghost.hidden = Math.abs(now - before) < 0.005;
	};
}
