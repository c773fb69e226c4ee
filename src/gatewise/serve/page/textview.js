// The words of a text, coloured by their scores: in a report on their own, on the served page below an editor of the same text.

import { tint } from "./colour.js";
import { el, safeText, setAttr, setText, within } from "./dom.js";
import { scoreText } from "./value.js";
import { commonPrefix, pieces } from "./words.js";

/** onHover(word or null), onSelect(word). label: the name of the list for screen readers. raw: each character as it is, as an
 * editor above the words shows it. */
export function createTextView(root, { onHover, onSelect, label = "The words", raw = false } = {}) {
	const list = el("div", { class: "words", role: "listbox", "aria-label": label, dir: "auto" });
	const keys = ["key p3", "key n3", "full"].map((name) => el("span", { class: name }));
	const legend = el("p", { class: "legend", hidden: true }, keys);
	root.append(list, legend);
	let view = null;
	let typed = null; // the text of the editor
	let nodes = []; // one per piece: {key, raw, span, gap}
	let spans = []; // by word
	let focus = 0;

	function make(piece) {
		const truncated = { class: "truncated", title: "truncated: the network does not read it" };
		const props = piece.truncated ? truncated : { class: "word", role: "option", tabindex: -1 };
		const span = piece.show ? el("span", props, piece.show) : null;
		return {
			key: piece.key,
			raw: piece.isStart ? "" : piece.show + piece.gap,
			span,
			gap: document.createTextNode(piece.gap),
		};
	}

	const keyOf = (piece) => `${piece.show}\0${piece.gap}\0${piece.truncated ?? ""}${piece.isStart ?? ""}`;

	/** Replace `removed` nodes from the place `front` on. */
	function replace(front, removed, fresh) {
		for (const { span, gap } of nodes.slice(front, front + removed)) {
			span?.remove();
			gap.remove();
		}
		const tail = nodes.slice(front + removed);
		const before = tail.length ? (tail[0].span ?? tail[0].gap) : null;
		const all = document.createDocumentFragment();
		for (const { span, gap } of fresh) all.append(...(span ? [span, gap] : [gap]));
		list.insertBefore(all, before);
		nodes = [...nodes.slice(0, front), ...fresh, ...tail];
		setAttr(list, "role", nodes.some(({ span }) => span) ? "listbox" : "group"); // a list box has options
	}

	/** Replace only the nodes between the common beginning and the common end of the old and the new text. */
	function build(text, part) {
		const wanted = pieces(text, part, raw).map((piece) => ({ ...piece, key: keyOf(piece) }));
		const same = (a, b) => a.key === b.key;
		const front = commonPrefix(nodes, wanted, same);
		const back = commonPrefix(nodes.slice(front).reverse(), wanted.slice(front).reverse(), same);
		replace(front, nodes.length - front - back, wanted.slice(front, wanted.length - back).map(make));
		spans = [];
		wanted.forEach((piece, n) => {
			if (piece.word === undefined || !nodes[n].span) return;
			spans[piece.word] = nodes[n].span;
			nodes[n].span.dataset.word = piece.word;
		});
	}

	const wordOf = (event) => {
		const span = event.target.closest?.("[data-word]");
		return span ? Number(span.dataset.word) : null;
	};
	list.addEventListener("pointerover", (event) => onHover?.(wordOf(event)));
	list.addEventListener("pointerleave", () => onHover?.(null));
	list.addEventListener("click", (event) => wordOf(event) !== null && onSelect?.(wordOf(event)));
	list.addEventListener("keydown", (event) => {
		const forward = getComputedStyle(list).direction === "rtl" ? -1 : 1;
		const by = { ArrowLeft: -forward, ArrowRight: forward, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 }[event.key];
		if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
		if (by !== undefined) {
			event.preventDefault();
			const next = within(focus + by, spans.length);
			onSelect?.(next);
			spans[next]?.focus();
		} else if (event.key === "Enter") onSelect?.(focus);
	});

	function drawWords() {
		const { scores, selected, hovered, marked, range } = view;
		const unknown = new Set(view.part.tokens?.unknown ?? []);
		spans.forEach((span, n) => {
			const score = scores?.[n];
			const isStart = view.part.tokens?.names?.[n] !== undefined;
			const isMarked = marked?.has(n) || (range && range.from <= n && n <= range.to);
			const kinds = {
				start: isStart,
				unknown: unknown.has(n),
				selected: n === selected,
				hovered: n === hovered,
				explained: n === view.step,
				marked: isMarked,
			};
			const names = Object.keys(kinds).filter((kind) => kinds[kind]);
			setAttr(
				span,
				"class",
				["word", score === undefined ? "" : tint(score, view.clamp), ...names].filter(Boolean).join(" "),
			);
			setAttr(span, "aria-selected", n === selected);
			const name = view.labels ? safeText(view.labels[n], 20) : "";
			if (name) span.dataset.label = name;
			else delete span.dataset.label;
			const note = unknown.has(n) ? " (not in the vocabulary)" : "";
			const shown = isStart ? "start of the text" : safeText(span.textContent, 80);
			setAttr(
				span,
				"aria-label",
				`${shown}${name ? `, ${name}` : ""}${note}${score === undefined || view.stale ? "" : `, ${scoreText(score, view.isNumber)}`}`,
			);
		});
		if (spans[focus]) setAttr(spans[focus], "tabindex", -1);
		focus = within(selected ?? 0, spans.length);
		if (spans[focus]) setAttr(spans[focus], "tabindex", 0);
		drawLegend();
		list.classList.toggle("tagged", Boolean(view.labels));
	}

	/** What the colours of the words mean. */
	function drawLegend() {
		const { sides, clamp, isNumber } = view;
		legend.hidden = !sides;
		if (!sides) return;
		const full = `${scoreText(clamp ?? 0, isNumber).replace(/[+±]?/, "±")}${isNumber ? "" : " logits"}`;
		[`▲ ${sides.plus}`, `▼ ${sides.minus}`, `full colour at ${full}`].forEach((line, n) => setText(keys[n], line));
	}

	/** Scroll to a word that was selected elsewhere, without scrolling the page. */
	function reveal(span) {
		const box = list.parentElement;
		if (!span || box.scrollHeight <= box.clientHeight) return;
		const [top, bottom] = [span.offsetTop - 8, span.offsetTop + span.offsetHeight + 20];
		if (top < box.scrollTop) box.scrollTop = top;
		else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
	}

	return {
		/** {text, part, scores, clamp: the score of the strongest colour, isNumber, sides: of `sidesOf`, selected, hovered, range, marked,
		 * labels and step: of a tagger} */
		draw(next) {
			if (typed !== null && next.text !== typed) return; // of an earlier text
			const fresh = !view || view.text !== next.text || view.part !== next.part;
			const selected = view?.selected !== next.selected;
			view = next;
			if (fresh) build(next.text, next.part);
			drawWords();
			if (selected && !fresh) reveal(spans[view.selected]);
		},
		/** The text of the editor, at each key: the words that stay keep their colours until the answer comes. */
		type(text) {
			if (text === typed) return;
			[typed, view, spans] = [text, null, []];
			let [front, from, back, to] = [0, 0, 0, text.length];
			while (front < nodes.length && text.startsWith(nodes[front].raw, from)) from += nodes[front++].raw.length;
			while (
				back < nodes.length - front &&
				to - nodes.at(-1 - back).raw.length >= from &&
				text.endsWith(nodes.at(-1 - back).raw, to)
			) {
				to -= nodes.at(-1 - back).raw.length;
				back += 1;
			}
			const middle = text.slice(from, to);
			const fresh = middle ? [{ key: null, raw: middle, span: null, gap: document.createTextNode(middle) }] : [];
			replace(front, nodes.length - front - back, fresh);
		},
		/** The word at a position of the text, or of the screen; null between words. */
		wordAt: (position) => {
			const { start, end } = view?.part.tokens ?? { start: [], end: [] };
			const found = start.findLastIndex((from, n) => from <= position && position <= end[n] && end[n] > from);
			return found < 0 ? null : found;
		},
		wordUnder: (x, y) => {
			const found = spans.findIndex((span) =>
				[...(span?.getClientRects() ?? [])].some((r) => r.left <= x && x <= r.right && r.top <= y && y <= r.bottom),
			);
			return found < 0 ? null : found;
		},
		focus: () => spans[focus]?.focus(),
	};
}

/** The meaning of the words' colours: the class that a score supports. */
export function sidesOf(prediction, model) {
	if (model.task === "regression") return { plus: "raises the number", minus: "lowers the number" };
	const name = safeText(prediction.target);
	const other =
		prediction.against ??
		(model.labels.length === 2 && model.task === "classification"
			? model.labels.find((one) => one !== prediction.target)
			: null);
	return { plus: `towards “${name}”`, minus: other ? `towards “${safeText(other)}”` : `away from “${name}”` };
}
