// The heat map on a canvas: a row for each unit, a column for each word. Where they do not all fit, the map scrolls.

import { paintLevels } from "./colour.js";
import { announce, el, oncePerFrame, setText, within } from "./dom.js";
import { toLevels } from "./heatmapdata.js";

const GUTTER = 46; // px left of the cells, for units
const STRIP = 20; // px below the cells, for words
const LEAST = 3; // px of a column, so that the pointer meets it
const [MAX_PIXELS, MAX_SIDE] = [16e6, 16_000]; // of a canvas

/** onHover({t, k} or null), onSelect({t, k}); readout(t, k): the line of text for one cell. */
export function createHeatmap(root, { onHover, onSelect, readout }) {
	const base = el("canvas", { class: "base" });
	const over = el("canvas", { class: "over" });
	const cells = el("canvas"); // one pixel each; it is stretched
	const line = el("p", { class: "readout", id: "readout" });
	const sheet = el("div", { class: "sheet" }, base, over);
	const box = el("div", { class: "map", tabindex: 0, role: "application", "aria-label": "Heat map" }, sheet);
	box.setAttribute("aria-describedby", "readout");
	root.append(line, box);
	let view = null;
	let size = null; // of the sheet in px: {broad, tall: of a cell, width, height: of all cells, dpr}
	let cursor = null; // the cell of the keyboard: {t, row}

	/** Give the sheet the size that its rows and columns need. */
	function fit() {
		if (!view || !box.clientWidth) return;
		const [rows, columns] = [view.order.length, view.heatmap.columns];
		const broad = Math.max(LEAST, (box.clientWidth - GUTTER) / columns);
		const tall = Math.max(1, (box.clientHeight - STRIP) / rows);
		const [width, height] = [broad * columns, tall * rows];
		const [w, h] = [width + GUTTER, height + STRIP];
		const dpr = Math.min(globalThis.devicePixelRatio || 1, Math.sqrt(MAX_PIXELS / (w * h)), MAX_SIDE / Math.max(w, h));
		size = { broad, tall, width, height, dpr };
		sheet.style.setProperty("width", `${w}px`);
		sheet.style.setProperty("height", `${h}px`);
		for (const canvas of [base, over]) {
			canvas.width = Math.round(w * dpr);
			canvas.height = Math.round(h * dpr);
		}
		paint();
	}

	function penOf(canvas) {
		const pen = canvas.getContext("2d");
		pen.setTransform(size.dpr, 0, 0, size.dpr, 0, 0);
		pen.clearRect(0, 0, canvas.width / size.dpr, canvas.height / size.dpr);
		pen.textBaseline = "middle";
		return pen;
	}

	function paint() {
		const { broad, tall, width, height } = size;
		const pen = penOf(base);
		pen.imageSmoothingEnabled = false;
		const { heatmap, order } = view;
		paintLevels(cells, toLevels(heatmap, order), heatmap.columns, heatmap.signed ? "signed" : "gate");
		pen.drawImage(cells, GUTTER, 0, width, height);
		pen.fillStyle = getComputedStyle(box).color;
		pen.font = "12px system-ui, sans-serif";
		if (tall >= 13) {
			pen.textAlign = "right";
			view.order.forEach((k, row) => pen.fillText(k, GUTTER - 6, (row + 0.5) * tall));
		}
		pen.textAlign = "left";
		for (let t = 0; t < view.words.length && broad >= 36; t += 1) {
			pen.save();
			pen.beginPath();
			pen.rect(GUTTER + t * broad, height, broad - 3, STRIP);
			pen.clip();
			pen.fillText(view.words[t], GUTTER + t * broad + 2, height + STRIP / 2);
			pen.restore();
		}
		drawCrosshair();
	}

	function drawCrosshair() {
		const { broad, tall, width, height } = size;
		const pen = penOf(over);
		for (const [place, dashed] of [[view.selected, false], [view.hovered, true]]) {
			if (!place || !view.rowOf.has(place.k)) continue;
			const [x, y] = [GUTTER + place.t * broad, view.rowOf.get(place.k) * tall];
			pen.strokeStyle = getComputedStyle(box).color;
			pen.lineWidth = dashed ? 1 : 2;
			pen.setLineDash(dashed ? [3, 3] : []);
			pen.strokeRect(x - 0.5, -2, broad + 1, height + 4);
			pen.strokeRect(GUTTER - 2, y - 0.5, width + 4, tall + 1);
		}
	}

	const drawCrosshairLater = oncePerFrame(() => view && size && drawCrosshair());
	new ResizeObserver(fit).observe(box);

	function cellAt(event) {
		const { left, top } = sheet.getBoundingClientRect();
		const [t, row] = [Math.floor((event.clientX - left - GUTTER) / size.broad), Math.floor((event.clientY - top) / size.tall)];
		return t >= 0 && t < view.heatmap.columns && row >= 0 && row < view.order.length ? { t, k: view.order[row] } : null;
	}

	/** Scroll the map so that it shows a cell. */
	function reveal({ t, k }) {
		const [x, y] = [GUTTER + t * size.broad, view.rowOf.get(k) * size.tall];
		box.scrollLeft = Math.min(x - GUTTER, Math.max(box.scrollLeft, x + size.broad - box.clientWidth));
		box.scrollTop = Math.min(y, Math.max(box.scrollTop, y + size.tall + STRIP - box.clientHeight));
	}

	let pointer = null;
	const hoverLater = oncePerFrame(() => view && pointer && onHover(cellAt(pointer)));
	box.addEventListener("pointermove", (event) => {
		pointer = event;
		hoverLater();
	});
	box.addEventListener("pointerleave", () => {
		pointer = null;
		onHover(null);
	});
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
			ArrowLeft: [0, -by], ArrowRight: [0, by], ArrowUp: [-by, 0], ArrowDown: [by, 0], PageUp: [-10, 0], PageDown: [10, 0],
			Home: [event.ctrlKey ? -1e9 : 0, -1e9], End: [event.ctrlKey ? 1e9 : 0, 1e9],
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
			const fresh = !view || ["heatmap", "order", "theme"].some((name) => view[name] !== next[name]);
			const sized = view?.order.length !== next.order.length || view.heatmap.columns !== next.heatmap.columns;
			view = { ...next, rowOf: fresh ? new Map(next.order.map((k, row) => [k, row])) : view.rowOf };
			if (sized) cursor = null;
			if (fresh) fit();
			else drawCrosshairLater();
			if (sized && size) reveal(next.selected);
			const place = next.hovered ?? next.selected;
			setText(line, place ? readout(place.t, place.k) : "");
		},
		clear() {
			if (!view) return;
			view = null;
			setText(line, "");
		},
		node: box,
	};
}
