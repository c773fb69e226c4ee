// The frame of the lesson: its chapters, one at a time, the address of each, and what a chapter asks of it.

import { announce, el, oncePerFrame, partsOf, safeText } from "../dom.js";
import { once } from "../once.js";
import { createTerms } from "./terms.js";

const REVEAL = 1200; // milliseconds in which an answer appears
const ADDRESS_DELAY = 300;
const DONE = "gatewise-lesson"; // the chapters whose question was answered, in this browser

/** chapters: by id mount(parts, lesson) -> {draw, show, hide, isBusy}, all optional but draw. parts: the elements with data-part
 * of its template in lesson.html. A chapter gets `lesson` with its own parameters: see `createChapter`. */
export function createLesson(model, chapters, { nav, main }) {
	const mounted = new Map();
	const links = [...nav.querySelectorAll("a")];
	const ids = links.map((link) => link.hash.slice(1));
	const results = new Map();
	let current = null; // the chapter that is shown
	const shared = {
		model,
		/** Whether the embeddings of all words are there: those of rare words come last. */
		isWhole: () => model.network.rows === model.info.vocabSize,
		/** Whether nothing may move by itself. */
		get isStill() {
			return matchMedia("(prefers-reduced-motion: reduce)").matches;
		},
		cached: (key, compute) => once(results, key, compute, 200),
		draw: () => draw(),
		onRevealed: (id) => markDone(id),
	};

	let timer = 0;
	const draw = oncePerFrame(() => {
		if (!current) return;
		const { element, view, lesson } = current;
		lesson.advance();
		element.toggleAttribute("data-revealed", lesson.revealed);
		view.draw();
		element.dispatchEvent(new Event("drawn"));
		main.toggleAttribute("data-training", Boolean(view.isBusy?.()) || lesson.reveal % 1 > 0);
		if (lesson.reveal % 1 > 0) draw();
		clearTimeout(timer);
		timer = setTimeout(writeAddress, ADDRESS_DELAY);
	});

	function writeAddress() {
		const address = `#${current.id}${current.lesson.address()}`;
		const asked = location.hash.slice(1).split("&")[0];
		const isFollowed = ids.includes(asked) && asked !== current.id; // its event is to come
		if (location.hash !== address && !isFollowed) history.replaceState(null, "", address);
	}

	function show(id, values) {
		const isOther = id !== current?.id;
		if (isOther) {
			current?.view.hide?.();
			current = mounted.get(id) ?? mount(id, values);
		}
		if (values.size) current.lesson.read(values);
		if (!isOther) return draw();
		main.hidden = false;
		main.replaceChildren(current.element);
		for (const link of links) link.ariaCurrent = link.hash === `#${id}` ? "page" : null;
		document.title = `${links[ids.indexOf(id)].ariaLabel} – the LSTM, step by step`;
		current.view.show?.();
		scrollTo(0, 0);
		draw();
	}

	function mount(id, values) {
		const element = document.getElementById(id).content.firstElementChild;
		element.append(turn(ids.indexOf(id)));
		createTerms(element);
		const chapter = { id, element, lesson: createChapter(id, shared, values), view: { draw() {} } };
		mounted.set(id, chapter);
		main.replaceChildren(element); // in the document, so that a figure can be measured
		current = chapter;
		chapter.view = chapters[id](partsOf(element), chapter.lesson);
		return chapter;
	}

	/** The links to the chapters before and after chapter number n. */
	function turn(n) {
		const name = (link) => link.ariaLabel.replace(/^\d+ /, "");
		const before = links[n - 1];
		const after = links[n + 1];
		return el(
			"nav",
			{ class: "turn", "aria-label": "Next chapter" },
			before && el("a", { href: before.hash, "aria-label": `Back to ${name(before)}` }, "←"),
			after
				? el("a", { class: "next", href: after.hash }, `${name(after)} →`)
				: el("a", { class: "next", href: "index.html" }, "The lab →"),
		);
	}

	const done = new Set(stored((storage) => storage.getItem(DONE))?.split(" "));
	function showDone() {
		for (const [n, link] of links.entries()) link.classList.toggle("done", done.has(ids[n]));
	}
	function markDone(id) {
		done.add(id);
		stored((storage) => storage.setItem(DONE, [...done].join(" ")));
		showDone();
	}

	function readAddress() {
		const [id, ...rest] = location.hash.slice(1).split("&");
		const values = new Map(new URLSearchParams(rest.join("&")));
		if (ids.includes(id)) show(id, values);
		else if (!current) show(ids[0], new Map());
	}
	addEventListener("hashchange", () => {
		const before = current.id;
		readAddress();
		if (current.id === before) return;
		main.focus({ preventScroll: true }); // the focused link is gone; Tab goes on at the top of the chapter
		announce(document.title);
	});
	new ResizeObserver(draw).observe(main);
	showDone();
	readAddress();
	return { ...shared, chapter: () => current.id, of: (id) => mounted.get(id)?.lesson, set: draw };
}

/** What the browser keeps, and nothing where storage is off. */
function stored(use) {
	try {
		return use(localStorage);
	} catch {
		return null;
	}
}

/** What a chapter gets: the shared parts, its parameters, and whether its answer is revealed. */
function createChapter(id, shared, given) {
	const params = new Map();
	let begun = 0; // the time at which the answer began to appear
	const lesson = Object.create(shared, {
		/** From 0 to 1: how far the answer has appeared. */
		reveal: { value: 0, writable: true },
		revealed: { get: () => params.get("g")?.get() != null },
	});

	/** A value that the address holds. {value: the default; min, max, step} of a number, {values} of a choice, {length} of a text.
	 * null is a value where the default is null. limits(): [min, max], if they change. */
	lesson.param = (name, spec) => {
		const param = createParam(spec, (isByReader) => {
			if (name === "g") setReveal(isByReader);
			lesson.draw();
		});
		params.set(name, param);
		if (given.has(name)) param.read(given.get(name));
		return param;
	};
	function setReveal(isByReader) {
		begun = isByReader && !lesson.isStill ? performance.now() : 0;
		lesson.reveal = lesson.revealed ? (begun ? 1e-9 : 1) : 0;
		if (lesson.revealed && isByReader) lesson.onRevealed(id);
	}
	lesson.advance = () => {
		if (!begun || !lesson.revealed) return;
		const share = Math.min(1, (performance.now() - begun) / REVEAL);
		lesson.reveal = share < 1 ? Math.max(1e-9, 1 - (1 - share) ** 3) : 1;
		if (share === 1) begun = 0;
	};
	lesson.read = (values) => {
		for (const [name, param] of params) {
			if (values.has(name)) param.read(values.get(name));
			else param.reset(false);
		}
	};
	lesson.address = () => {
		const parts = [...params].filter(([, param]) => !param.isDefault());
		return parts.map(([name, param]) => `&${name}=${encodeURIComponent(param.written())}`).join("");
	};
	return lesson;
}

function createParam(spec, onChange) {
	const { value: start, min, max, step, values = null, length = null } = spec;
	const watchers = [];
	let now = start;
	const limits = spec.limits ?? (() => [min, max]);
	const clipped = (x) => {
		const [low, high] = limits();
		return Math.max(low, Math.min(high, Number((Math.round(x / step) * step).toFixed(6))));
	};
	/** The value that `x` stands for; undefined if it is not allowed. */
	function checked(x) {
		if (x === null) return start === null ? null : undefined;
		if (values) return values.includes(x) ? x : undefined;
		if (length) return safeText(x, length).replace(/\p{Surrogate}/gu, "\ufffd");
		return Number.isFinite(x) ? clipped(x) : undefined;
	}
	function change(x, isByReader) {
		const next = checked(x);
		if (next === undefined || next === now) return;
		now = next;
		for (const watcher of watchers) watcher();
		onChange(isByReader);
	}
	return {
		get: () => now,
		set: (x) => change(x, true),
		reset: (isByReader = true) => change(start, isByReader),
		isDefault: () => now === start,
		limits,
		step,
		/** Call `watcher` after each change. */
		watch: (watcher) => watchers.push(watcher),
		read(text) {
			const isNumber = !values && !length;
			change(isNumber ? (text.trim() ? Number(text) : undefined) : text, false);
		},
		written: () => String(now),
	};
}
