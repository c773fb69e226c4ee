// The heat map: a row for each unit, a column for each word. Where they do not all fit, the map scrolls.

import { paintLevels } from "./colour.js";
import { announce, el, setText, within } from "./dom.js";
import { toLevels } from "./heatmapdata.js";

const [GUTTER, STRIP] = [46, 20]; // px left of the cells, for units, and below them, for words: as in style.css
const LEAST = 3; // px of a column, so that the pointer meets it
const NAMED = [36, 14]; // px of a column, and of a row, that show their names

/** onHover({t, k} or null), onSelect({t, k}); readout(t, k): the line of text for one cell. */
export function createHeatmap(root, { onHover, onSelect, readout }) {
	const canvas = el("canvas"); // one pixel per cell; it is stretched
	const [selected, hovered] = ["selected", "hovered"].map((name) =>
		el("div", { class: `cross ${name}`, hidden: true }),
	);
	const cells = el("div", { class: "cells" }, canvas, selected, hovered);
	const [unitNames, wordNames] = [el("div", { class: "unitnames" }), el("div", { class: "wordnames" })];
	const line = el("p", { class: "readout", id: "readout" });
	const sheet = el("div", { class: "sheet" }, cells, unitNames, wordNames);
	const box = el(
		"div",
		{ class: "map", tabindex: 0, role: "application", "aria-label": "Heat map", "aria-describedby": "readout" },
		sheet,
	);
	root.append(line, box);
	let view = null;
	let cursor = null; // the cell of the keyboard: {t, row}

	/** Give the sheet the size that its rows and columns need, and names to those that have room for them. */
	function fit() {
		if (!view || !box.clientWidth) return;
		const { order, words } = view;
		sheet.style.setProperty("min-width", `${GUTTER + LEAST * words.length}px`);
		sheet.style.setProperty("min-height", `${STRIP + order.length}px`);
		const fill = (node, names, has) => node.replaceChildren(...(has ? names.map((name) => el("span", {}, name)) : []));
		fill(wordNames, words, cells.clientWidth >= NAMED[0] * words.length);
		fill(unitNames, order, cells.clientHeight >= NAMED[1] * order.length);
	}
	new ResizeObserver(fit).observe(box);

	function paint({ heatmap, order }) {
		paintLevels(canvas, toLevels(heatmap, order), heatmap.columns, heatmap.signed ? "signed" : "gate");
		cells.style.setProperty("--columns", heatmap.columns);
		cells.style.setProperty("--rows", order.length);
		fit();
	}

	/** Frame the column and the row of a cell, or of none. */
	function frame(node, cell) {
		const row = cell ? view.rowOf.get(cell.k) : undefined;
		node.hidden = row === undefined;
		node.style.setProperty("--t", cell?.t);
		node.style.setProperty("--row", row);
	}

	function cellAt(event) {
		const { left, top, width, height } = cells.getBoundingClientRect();
		const t = Math.floor(((event.clientX - left) / width) * view.heatmap.columns);
		const row = Math.floor(((event.clientY - top) / height) * view.order.length);
		return t >= 0 && t < view.heatmap.columns && row >= 0 && row < view.order.length ? { t, k: view.order[row] } : null;
	}

	/** Scroll the map so that it shows a cell. */
	function reveal({ t, k }) {
		const [broad, tall] = [cells.clientWidth / view.heatmap.columns, cells.clientHeight / view.order.length];
		const [x, y] = [t * broad, view.rowOf.get(k) * tall];
		box.scrollLeft = Math.min(x, Math.max(box.scrollLeft, x + GUTTER + broad - box.clientWidth));
		box.scrollTop = Math.min(y, Math.max(box.scrollTop, y + tall + STRIP - box.clientHeight));
	}

	box.addEventListener("pointermove", (event) => view && onHover(cellAt(event)));
	box.addEventListener("pointerleave", () => onHover(null));
	box.addEventListener("click", (event) => {
		const cell = view && cellAt(event);
		if (cell) onSelect(cell);
	});
	box.addEventListener("focus", () => (cursor = null));
	box.addEventListener("blur", () => onHover(null));
	box.addEventListener("keydown", (event) => {
		if (!view) return;
		const by = event.shiftKey ? 10 : 1;
		const moves = {
			ArrowLeft: [0, -by],
			ArrowRight: [0, by],
			ArrowUp: [-by, 0],
			ArrowDown: [by, 0],
			PageUp: [-10, 0],
			PageDown: [10, 0],
			Home: [event.ctrlKey ? -1e9 : 0, -1e9],
			End: [event.ctrlKey ? 1e9 : 0, 1e9],
		};
		cursor ??= { t: view.selected.t, row: view.rowOf.get(view.selected.k) };
		if (event.key === "Enter") onSelect({ t: cursor.t, k: view.order[cursor.row] });
		else if (event.key in moves) {
			event.preventDefault();
			const [rows, columns] = moves[event.key];
			cursor.row = within(cursor.row + rows, view.order.length);
			cursor.t = within(cursor.t + columns, view.heatmap.columns);
			const cell = { t: cursor.t, k: view.order[cursor.row] };
			onHover(cell);
			reveal(cell);
			announce(readout(cell.t, cell.k));
		}
	});

	return {
		/** {heatmap, order, words, theme, selected: {t, k}, hovered} */
		draw(next) {
			const isSorted = view?.order.length === next.order.length && next.order.every((k, row) => k === view.order[row]);
			const fresh = !isSorted || ["heatmap", "theme"].some((name) => view[name] !== next[name]);
			const sized = view?.order.length !== next.order.length || view.heatmap.columns !== next.heatmap.columns;
			view = { ...next, rowOf: fresh ? new Map(next.order.map((k, row) => [k, row])) : view.rowOf };
			if (sized) cursor = null;
			if (fresh) paint(view);
			frame(selected, view.selected);
			frame(hovered, view.hovered);
			if (sized) reveal(next.selected);
			const place = next.hovered ?? next.selected;
			setText(line, place ? readout(place.t, place.k) : "");
		},
		clear: () => setText(line, ""),
		node: box,
	};
}
