// The words of the text in rows, coloured by their scores, with the prefix predictions as a line above each row.

import { clampOf, tint } from "./colour.js";
import { el, fmt, oncePerFrame, safeText, setAttr, setText, svg, within } from "./dom.js";
import { number, scoreText } from "./value.js";
import { commonPrefix, pieces } from "./words.js";

const LINE_SPACE = 46; // px above each row: the margin of .word in style.css
const LINE_HEIGHT = 42;
const LINE_PADDING = 5;

/** onHover(word or null), onSelect(word). label: the name of the list for screen readers. */
export function createTextView(root, { onHover, onSelect, label = "The words" } = {}) {
	const list = el("div", { class: "words", role: "listbox", "aria-label": label, dir: "auto" });
	const lines = svg("svg", { class: "lines", "aria-hidden": "true" });
	const caption = el("p", { class: "caption muted" });
	const box = el("div", { class: "textview" }, lines, list);
	const legend = el("p", { class: "legend", hidden: true });
	root.append(box, legend, caption);
	let view = null;
	let nodes = []; // one per piece: {key, span, gap}
	let spans = []; // by word
	let focus = 0;

	function make(piece) {
		const span = piece.show ? el("span", { class: piece.truncated ? "truncated" : "word" }, piece.show) : null;
		if (span && piece.word !== undefined) {
			setAttr(span, "role", "option");
			setAttr(span, "tabindex", "-1");
		}
		if (span && piece.isStart) span.classList.add("start");
		if (span && piece.truncated) span.title = "truncated: the network does not read it";
		return { span, gap: document.createTextNode(piece.gap) };
	}

	const keyOf = (piece) => `${piece.show}\0${piece.gap}\0${piece.truncated ?? ""}${piece.isStart ?? ""}`;

	/** Replace only the nodes between the common beginning and the common end of the old and the new text. */
	function build(text, part) {
		const wanted = pieces(text, part).map((piece) => ({ ...piece, key: keyOf(piece) }));
		const same = (a, b) => a.key === b.key;
		const front = commonPrefix(nodes, wanted, same);
		const [oldRest, newRest] = [nodes.slice(front).reverse(), wanted.slice(front).reverse()];
		const back = commonPrefix(oldRest, newRest, same);
		for (const { span, gap } of nodes.slice(front, nodes.length - back)) {
			span?.remove();
			gap.remove();
		}
		const tail = nodes.slice(nodes.length - back);
		const before = tail.length ? (tail[0].span ?? tail[0].gap) : null;
		const fresh = wanted.slice(front, wanted.length - back).map((piece) => ({ key: piece.key, ...make(piece) }));
		const all = document.createDocumentFragment();
		for (const { span, gap } of fresh) all.append(...(span ? [span, gap] : [gap]));
		list.insertBefore(all, before);
		nodes = [...nodes.slice(0, front), ...fresh, ...tail];
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
		const forward = isRightToLeft() ? -1 : 1;
		const by = { ArrowLeft: -forward, ArrowRight: forward, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 }[event.key];
		if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
		if (by !== undefined) {
			event.preventDefault();
			const next = within(focus + by, spans.length);
			onSelect?.(next);
			spans[next]?.focus();
		} else if (event.key === "Enter") onSelect?.(focus);
	});

	const isRightToLeft = () => getComputedStyle(list).direction === "rtl";

	/** No line, and no room for one: an empty text must not scroll. */
	function noLines() {
		lines.replaceChildren();
		setAttr(lines, "height", 0);
	}

	/** One line over each row, through the centres of its words. A row begins where the last one ended. */
	function drawLines() {
		if (!view?.prefix || !spans.length) {
			noLines();
			return;
		}
		const boxes = spans.map((span) => [span.offsetLeft + span.offsetWidth / 2, span.offsetTop - LINE_SPACE]);
		const [width, height] = [list.offsetWidth, list.offsetHeight];
		setAttr(lines, "viewBox", `0 0 ${width} ${height}`);
		setAttr(lines, "width", width);
		setAttr(lines, "height", height);
		const rows = [...new Set(boxes.map((box) => box[1]))];
		const [rowStart, rowEnd] = isRightToLeft() ? [width, 0] : [0, width];
		const y = (top, p) => top + LINE_PADDING + (1 - p) * (LINE_HEIGHT - 2 * LINE_PADDING);
		const half = view.prefix.numbers ? [] : rows; // the middle of numbers means nothing
		const marks = half.map((top) => svg("path", { class: "half", d: `M0,${y(top, 0.5)}H${width}` }));
		const path = ({ probability, stride }, name) => {
			let d = "";
			let top = null;
			let last = probability[0];
			const dots = [];
			boxes.forEach(([x, row], t) => {
				if (row !== top) {
					if (top !== null) d += `H${rowEnd}`;
					d += `M${rowStart},${y(row, last).toFixed(1)}`;
					top = row;
				}
				const n = t === boxes.length - 1 ? probability.length - 1 : (t + 1) / stride;
				if (!Number.isInteger(n)) return;
				last = probability[n];
				d += `L${x.toFixed(1)},${y(row, last).toFixed(1)}`;
				if (stride > 1) dots.push(svg("circle", { class: `dot ${name}`, cx: x, cy: y(row, last), r: 2 }));
			});
			return [svg("path", { class: name, d, fill: "none" }), ...dots];
		};
		const drawn = [...marks];
		if (view.before) drawn.push(...path(view.before, "beforeline"));
		drawn.push(...path(view.prefix, "prefixline"));
		const at = boxes[view.selected];
		const { probability, stride } = view.prefix;
		const n = view.selected === boxes.length - 1 ? probability.length - 1 : (view.selected + 1) / stride;
		if (at && Number.isInteger(n)) {
			drawn.push(svg("circle", { class: "selectedpoint", cx: at[0], cy: y(at[1], probability[n]), r: 4.5 }));
		}
		lines.replaceChildren(...drawn);
	}
	const drawLinesLater = oncePerFrame(drawLines);
	new ResizeObserver(drawLinesLater).observe(list);

	function drawWords() {
		const { scores, selected, hovered, marked } = view;
		const clamp = clampOf(scores ?? []);
		const unknown = new Set(view.part.tokens?.unknown ?? []);
		spans.forEach((span, n) => {
			const score = scores?.[n];
			const names = ["word", score === undefined ? "" : tint(score, clamp)];
			if (view.part.tokens?.names?.[n] !== undefined) names.push("start");
			if (unknown.has(n)) names.push("unknown");
			if (n === selected) names.push("selected");
			if (n === hovered) names.push("hovered");
			if (n === view.step) names.push("explained");
			if (marked?.has(n)) names.push("marked");
			const joined = names.filter(Boolean).join(" ");
			if (span.className !== joined) span.className = joined;
			setAttr(span, "aria-selected", n === selected);
			const label = view.labels ? safeText(view.labels[n], 20) : "";
			if (label) span.dataset.label = label;
			else delete span.dataset.label;
			span.style.setProperty("min-width", label ? `${Math.ceil(0.7 * label.length) + 1}ch` : "");
			const note = unknown.has(n) ? " (not in the vocabulary)" : "";
			const name = view.part.tokens?.names?.[n] ? "start of the text" : span.textContent;
			setAttr(span, "aria-label", `${name}${label ? `, ${label}` : ""}${note}${score === undefined ? "" : `, ${scoreText(score, view.prefix?.numbers)}`}`);
		});
		if (spans[focus]) setAttr(spans[focus], "tabindex", -1);
		focus = within(selected ?? 0, spans.length);
		if (spans[focus]) setAttr(spans[focus], "tabindex", 0);
		drawLegend(legend, scores || view.prefix ? view.sides : null); // before the scores come, so that nothing moves then
		list.classList.toggle("tagged", Boolean(view.labels));
		list.classList.toggle("sign", view.sides?.sign ?? false);
		const colour = scores ? `Colour: ${view.colourOf}, full at ±${view.prefix?.numbers ? number(clamp) : fmt(clamp)}` : "";
		const stride = view.prefix?.stride > 1 ? `, every ${view.prefix.stride} ${view.tokenNoun}s` : "";
		const line = view.prefix ? `Line: prediction ${view.labels ? "at" : "up to"} each ${view.tokenNoun}, ${view.prefix.note}${stride}` : "";
		setText(caption, [colour, line, view.before ? "Thin line: before the change" : ""].filter(Boolean).join(" · "));
	}

	/** Scroll to a word that was selected elsewhere, without scrolling the page. */
	function reveal(span) {
		if (!span || box.scrollHeight <= box.clientHeight) return;
		const [top, bottom] = [span.offsetTop - LINE_SPACE, span.offsetTop + span.offsetHeight + 14];
		if (top < box.scrollTop) box.scrollTop = top;
		else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
	}

	return {
		/** {text, part, scores, colourOf, sides: of `sidesOf`, prefix, before, selected, hovered, marked, tokenNoun, labels and step: of a tagger}; prefix, before: of lineOf */
		draw(next) {
			const fresh = !view || view.text !== next.text || view.part !== next.part;
			const moved = fresh || view.prefix !== next.prefix || view.before !== next.before;
			const selected = view?.selected !== next.selected;
			view = next;
			if (fresh) build(next.text, next.part);
			drawWords();
			if (moved || selected) drawLinesLater();
			if (selected && !fresh) reveal(spans[view.selected]);
		},
		clear(message) {
			view = null;
			nodes = [];
			spans = [];
			list.replaceChildren();
			noLines();
			legend.hidden = true;
			setText(caption, message);
		},
	};
}

/** What the two colours of the words mean. */
function drawLegend(node, sides) {
	node.hidden = !sides;
	if (!sides || node.textContent === `▲ ${sides.plus}▼ ${sides.minus}`) return;
	const entry = (name, text) => el("span", { class: `key ${name}` }, text);
	node.classList.toggle("sign", Boolean(sides.sign));
	node.replaceChildren(entry("p3", `▲ ${sides.plus}`), entry("n3", `▼ ${sides.minus}`));
}

/** The meaning of the words' colours: the class that a score supports, or of a unit's memory the sign. */
export function sidesOf(prediction, model, isUnit = false) {
	if (isUnit) return { plus: "above 0", minus: "below 0", sign: true };
	if (model.task === "regression") return { plus: "raises the number", minus: "lowers the number" };
	const name = safeText(prediction.target);
	const other = prediction.against ?? (model.labels.length === 2 && model.task === "classification" ? model.labels.find((one) => one !== prediction.target) : null);
	return { plus: `towards “${name}”`, minus: other ? `towards “${safeText(other)}”` : `away from “${name}”` };
}
