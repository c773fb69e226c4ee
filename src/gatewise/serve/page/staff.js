// Words as a staff: row by row as they stand in the text, tinted by their scores, the running verdict as a line above.

import { clampOf, tint } from "./colour.js";
import { attr, el, fmt, once, put, svg } from "./dom.js";
import { pieces, samePrefix } from "./words.js";

const ABOVE = 46; // px of a row that belong to the line: the margin of .word in style.css
const TALL = 42;
const EDGE = 5;

/** onHover(word or null), onPick(word), onMove(by) of the arrow keys; label: what a screen reader calls the list. */
export function createStaff(root, { onHover, onPick, label = "The words" } = {}) {
	const list = el("div", { class: "words", role: "listbox", "aria-label": label, dir: "auto" });
	const lines = svg("svg", { class: "lines", "aria-hidden": "true" });
	const caption = el("p", { class: "caption quiet" });
	const box = el("div", { class: "staff" }, lines, list);
	root.append(box, caption);
	let view = null;
	let nodes = []; // one a piece: {key, span, gap}
	let spans = []; // by word
	let focus = 0;

	function make(piece) {
		const span = piece.show ? el("span", { class: piece.left ? "unread" : "word" }, piece.show) : null;
		if (span && piece.word !== undefined) {
			attr(span, "role", "option");
			attr(span, "tabindex", "-1");
		}
		if (span && piece.start) span.classList.add("start");
		if (span && piece.left) span.title = "not read by the network";
		return { span, gap: document.createTextNode(piece.gap) };
	}

	const keyOf = (piece) => `${piece.show}\0${piece.gap}\0${piece.left ?? ""}${piece.start ?? ""}`;

	/** The old nodes stay wherever beginnings and endings are the same. */
	function build(text, part) {
		const wanted = pieces(text, part).map((piece) => ({ ...piece, key: keyOf(piece) }));
		const same = (a, b) => a.key === b.key;
		const front = samePrefix(nodes, wanted, same);
		const [oldRest, newRest] = [nodes.slice(front).reverse(), wanted.slice(front).reverse()];
		const back = samePrefix(oldRest, newRest, same);
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
	list.addEventListener("click", (event) => wordOf(event) !== null && onPick?.(wordOf(event)));
	list.addEventListener("keydown", (event) => {
		const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 }[event.key];
		if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
		if (by !== undefined) {
			event.preventDefault();
			const next = Math.max(0, Math.min(spans.length - 1, focus + by));
			onPick?.(next);
			spans[next]?.focus();
		} else if (event.key === "Enter") onPick?.(focus);
	});

	/** One polyline over each row, through the middles of its words; a row begins where the last one ended. */
	function drawLines() {
		if (!view?.running || !spans.length) {
			lines.replaceChildren();
			return;
		}
		const boxes = spans.map((span) => [span.offsetLeft + span.offsetWidth / 2, span.offsetTop - ABOVE]);
		const [width, height] = [list.offsetWidth, list.offsetHeight];
		attr(lines, "viewBox", `0 0 ${width} ${height}`);
		attr(lines, "width", width);
		attr(lines, "height", height);
		const rows = [...new Set(boxes.map((box) => box[1]))];
		const y = (top, p) => top + EDGE + (1 - p) * (TALL - 2 * EDGE);
		const marks = rows.map((top) => svg("path", { class: "half", d: `M0,${y(top, 0.5)}H${width}` }));
		const path = (running, name) => {
			const { p, every } = running;
			let d = "";
			let top = null;
			let last = p[0];
			const dots = [];
			boxes.forEach(([x, row], t) => {
				if (row !== top) {
					if (top !== null) d += `H${width}`;
					d += `M0,${y(row, last).toFixed(1)}`;
					top = row;
				}
				const n = t === boxes.length - 1 ? p.length - 1 : (t + 1) / every;
				if (!Number.isInteger(n)) return;
				last = p[n];
				d += `L${x.toFixed(1)},${y(row, last).toFixed(1)}`;
				if (every > 1) dots.push(svg("circle", { class: `dot ${name}`, cx: x, cy: y(row, last), r: 2 }));
			});
			return [svg("path", { class: name, d, fill: "none" }), ...dots];
		};
		const drawn = [...marks];
		if (view.before?.running) drawn.push(...path(view.before.running, "ghost"));
		drawn.push(...path(view.running, "verdictline"));
		const at = boxes[view.selected];
		const n = view.selected === boxes.length - 1 ? view.running.p.length - 1 : (view.selected + 1) / view.running.every;
		if (at && Number.isInteger(n)) {
			drawn.push(svg("circle", { class: "here", cx: at[0], cy: y(at[1], view.running.p[n]), r: 4.5 }));
		}
		lines.replaceChildren(...drawn);
	}
	const later = once(drawLines);
	new ResizeObserver(later).observe(list);

	function drawWords() {
		const { scores, selected, hovered, marked, towards } = view;
		const clamp = clampOf(scores ?? []);
		const unknown = new Set(view.part.tokens?.unknown ?? []);
		spans.forEach((span, n) => {
			const score = scores?.[n];
			const names = ["word", score === undefined ? "" : tint(score, clamp)];
			if (view.part.tokens?.names?.[n] !== undefined) names.push("start");
			if (unknown.has(n)) names.push("unknown");
			if (n === selected) names.push("selected");
			if (n === hovered) names.push("hovered");
			if (marked?.has(n)) names.push("marked");
			const joined = names.filter(Boolean).join(" ");
			if (span.className !== joined) span.className = joined;
			attr(span, "aria-selected", n === selected);
			const said = unknown.has(n) ? " (not in the vocabulary)" : "";
			const name = view.part.tokens?.names?.[n] ? "start of the text" : span.textContent;
			attr(span, "aria-label", `${name}${said}${score === undefined ? "" : `, ${fmt(score, 2, true)}`}`);
		});
		if (spans[focus]) attr(spans[focus], "tabindex", -1);
		focus = Math.max(0, Math.min(selected ?? 0, spans.length - 1));
		if (spans[focus]) attr(spans[focus], "tabindex", 0);
		const about = scores ? `colour: ${view.colourOf}, full at ±${fmt(clamp)}` : "";
		const line = view.running ? `line: the verdict if the text ended here, ${towards} at the top` : "";
		const every = view.running?.every > 1 ? `, every ${view.running.every}th ${view.tokenNoun}` : "";
		put(caption, [about, line + every, view.before ? "thin line: before the change" : ""].filter(Boolean).join(" · "));
	}

	/** A word that is chosen elsewhere comes into sight, without moving the page. */
	function reveal(span) {
		if (!span || box.scrollHeight <= box.clientHeight) return;
		const [top, bottom] = [span.offsetTop - ABOVE, span.offsetTop + span.offsetHeight + 14];
		if (top < box.scrollTop) box.scrollTop = top;
		else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
	}

	return {
		/** {text, part, scores, colourOf, running, before, selected, hovered, marked, towards, tokenNoun} */
		draw(next) {
			const fresh = !view || view.text !== next.text || view.part !== next.part;
			const moved = fresh || view.running !== next.running || view.before !== next.before;
			const picked = view?.selected !== next.selected;
			view = next;
			if (fresh) build(next.text, next.part);
			drawWords();
			if (moved || picked) later();
			if (picked && !fresh) reveal(spans[view.selected]);
		},
		clear(sentence) {
			view = null;
			nodes = [];
			spans = [];
			list.replaceChildren();
			lines.replaceChildren();
			put(caption, sentence);
		},
		focus: () => spans[focus]?.focus(),
		node: list,
	};
}
