// The heat map on a canvas: one pixel per cell off screen, scaled to the window that is shown.

import { lut } from "./colour.js";
import { announce, el, fmt, oncePerFrame, setText, within } from "./dom.js";
import { halve, toLevels } from "./heatmapdata.js";

const GUTTER = 46; // px left of the cells, for units
const STRIP = 20; // px below the cells, for words
const MAX_PIXELS = 16e6;

/** onHover({t, k} or null), onSelect({t, k}); readout(t, k): the line of text for one cell. */
export function createHeatmap(root, { onHover, onSelect, readout }) {
	const base = el("canvas", { class: "base" });
	const over = el("canvas", { class: "over" });
	const line = el("p", { class: "readout", id: "readout" });
	// The sheet is as large as the whole map at the present zoom, so that it scrolls; the pane stays in view.
	const pane = el("div", { class: "pane" }, base, over);
	const sheet = el("div", { class: "sheet" }, pane);
	const box = el("div", { class: "map", tabindex: 0, role: "application", "aria-label": "Heat map" }, sheet);
	box.setAttribute("aria-describedby", "readout");
	const strip = el("canvas", { class: "overview", hidden: true });
	root.append(line, box, strip);
	let view = null;
	let canvases = []; // off-screen canvases, by the number of halvings of the columns
	let levels = null;
	let shown = null; // {r, c, rows, columns}: the window, in cells
	let isWhole = true; // whether the window is the largest one, which a new size of the element gives again
	let size = { width: 0, height: 0, dpr: 1 };
	let cursor = null; // the cell of the keyboard: {t, row}

	const area = () => ({ w: size.width - GUTTER, h: size.height - STRIP });
	/** The largest window: all columns, and as many units as have a pixel each. */
	const whole = () => ({ r: 0, c: 0, rows: Math.min(view.order.length, Math.max(1, Math.floor(area().h))), columns: view.heatmap.columns });

	function canvasOf(halvings) {
		if (canvases[halvings]) return canvases[halvings];
		let now = levels;
		for (let n = 0; n < halvings; n += 1) now = halve(now, view.heatmap.signed ? 127.5 : 0);
		const off = document.createElement("canvas");
		off.width = now.columns;
		off.height = now.rows;
		const context = off.getContext("2d");
		const image = context.createImageData(now.columns, now.rows);
		const pixels = new Uint32Array(image.data.buffer);
		const table = lut(view.heatmap.signed ? "signed" : "gate", view.theme);
		for (let n = 0; n < pixels.length; n += 1) pixels[n] = table[now.levels[n]];
		context.putImageData(image, 0, 0);
		canvases[halvings] = off;
		return off;
	}

	function paint() {
		if (!view || !size.width) return;
		const { dpr } = size;
		const context = base.getContext("2d");
		context.setTransform(1, 0, 0, 1, 0, 0);
		context.clearRect(0, 0, base.width, base.height);
		context.imageSmoothingEnabled = false;
		const { w, h } = area();
		let halvings = 0;
		while ((w * dpr * 2 ** halvings) / shown.columns < 1 && halvings < 12) halvings += 1;
		const target = [GUTTER * dpr, 0, Math.round(w * dpr), Math.round(h * dpr)];
		const f = 2 ** halvings;
		context.drawImage(canvasOf(halvings), shown.c / f, shown.r, shown.columns / f, shown.rows, ...target);
		drawLabels(context);
		drawOverview();
		drawCrosshair();
	}

	/** Units, words and numbers, once the cells are large enough for them. */
	function drawLabels(context) {
		const { w, h } = area();
		const [tall, broad] = [h / shown.rows, w / shown.columns];
		const rows = wholeCells(shown.r, shown.rows, view.order.length);
		const columns = wholeCells(shown.c, shown.columns, view.heatmap.columns);
		context.setTransform(size.dpr, 0, 0, size.dpr, 0, 0);
		context.fillStyle = getComputedStyle(box).color;
		context.font = "12px system-ui, sans-serif";
		context.textBaseline = "middle";
		if (tall >= 13) {
			context.textAlign = "right";
			for (const r of rows) context.fillText(view.order[r], GUTTER - 6, (r - shown.r + 0.5) * tall);
		}
		context.textAlign = "left";
		for (const c of broad >= 36 ? columns : []) {
			const x = GUTTER + (c - shown.c) * broad;
			context.save();
			context.beginPath();
			context.rect(x, h, broad - 3, STRIP);
			context.clip();
			context.fillText(view.words[c], x + 2, h + STRIP / 2);
			context.restore();
		}
		if (tall < 24 || broad < 44) return;
		const table = lut(view.heatmap.signed ? "signed" : "gate", view.theme);
		context.textAlign = "center";
		for (const r of rows) {
			for (const c of columns) {
				const background = table[levels.levels[r * levels.columns + c]];
				const brightness = 0.299 * (background & 255) + 0.587 * ((background >> 8) & 255) + 0.114 * ((background >> 16) & 255);
				context.fillStyle = brightness > 140 ? "#16181d" : "#fbfaf7";
				const value = view.heatmap.values[view.order[r] * view.heatmap.columns + c];
				context.fillText(fmt(value), GUTTER + (c - shown.c + 0.5) * broad, (r - shown.r + 0.5) * tall);
			}
		}
	}

	function drawCrosshair() {
		const context = over.getContext("2d");
		const { dpr } = size;
		context.setTransform(1, 0, 0, 1, 0, 0);
		context.clearRect(0, 0, over.width, over.height);
		context.setTransform(dpr, 0, 0, dpr, 0, 0);
		const { w, h } = area();
		const [tall, broad] = [h / shown.rows, w / shown.columns];
		const colour = getComputedStyle(box).color;
		for (const [place, dashed] of [[view.selected, false], [view.hovered, true]]) {
			if (!place || !view.rowOf.has(place.k)) continue;
			const row = view.rowOf.get(place.k);
			const [x, y] = [GUTTER + (place.t - shown.c) * broad, (row - shown.r) * tall];
			context.strokeStyle = colour;
			context.lineWidth = dashed ? 1 : 2;
			context.setLineDash(dashed ? [3, 3] : []);
			context.save();
			context.beginPath();
			context.rect(GUTTER, 0, w, h);
			context.clip();
			context.strokeRect(x - 0.5, -2, Math.max(broad, 2) + 1, h + 4);
			context.strokeRect(GUTTER - 2, y - 0.5, w + 4, Math.max(tall, 2) + 1);
			context.restore();
			if (broad < 36) tag(context, view.words[place.t], x + broad / 2, h + STRIP / 2, dashed);
			if (tall < 13) tag(context, String(place.k), GUTTER / 2, Math.min(h - 8, Math.max(8, y + tall / 2)), dashed);
		}
	}

	function tag(context, text, x, y, dashed) {
		context.font = `${dashed ? "" : "bold "}12px system-ui, sans-serif`;
		const half = context.measureText(text).width / 2 + 3;
		const at = Math.max(half, Math.min(size.width - half, x));
		context.fillStyle = getComputedStyle(box).backgroundColor;
		context.fillRect(at - half, y - 8, 2 * half, 16);
		context.fillStyle = getComputedStyle(box).color;
		context.textAlign = "center";
		context.textBaseline = "middle";
		context.fillText(text, at, y);
	}

	function drawOverview() {
		const zoomed = shown.rows < view.order.length || shown.columns < view.heatmap.columns;
		strip.hidden = !zoomed;
		if (!zoomed) return;
		strip.width = size.width * size.dpr;
		strip.height = 28 * size.dpr;
		const context = strip.getContext("2d");
		const [w, h] = [(size.width - GUTTER) * size.dpr, strip.height];
		const left = GUTTER * size.dpr;
		context.drawImage(canvasOf(0), left, 0, w, h);
		context.lineWidth = 2 * size.dpr;
		context.strokeStyle = getComputedStyle(box).color;
		const [x, y] = [w / view.heatmap.columns, h / view.order.length];
		context.strokeRect(left + shown.c * x, shown.r * y, shown.columns * x, shown.rows * y);
	}

	const paintLater = oncePerFrame(paint);
	const drawCrosshairLater = oncePerFrame(() => view && drawCrosshair());

	/** The sheet's size and scroll position for the window. */
	function fitSheet() {
		const full = { rows: view.order.length, columns: view.heatmap.columns };
		const { w, h } = area();
		const [more, below] = [(w * full.columns) / shown.columns - w, (h * full.rows) / shown.rows - h];
		sheet.style.setProperty("width", more < 1 ? "100%" : `${size.width + more}px`);
		sheet.style.setProperty("height", below < 1 ? "100%" : `${size.height + below}px`);
		box.scrollLeft = (w * shown.c) / shown.columns;
		box.scrollTop = (h * shown.r) / shown.rows;
		scrolled = [box.scrollLeft, box.scrollTop];
	}
	let scrolled = [0, 0]; // the position that the window has set
	box.addEventListener("scroll", () => {
		if (!view || Math.abs(box.scrollLeft - scrolled[0]) + Math.abs(box.scrollTop - scrolled[1]) < 1) return;
		const { w, h } = area();
		scrolled = [box.scrollLeft, box.scrollTop];
		const c = within((box.scrollLeft * shown.columns) / w, view.heatmap.columns - shown.columns + 1);
		shown = { ...shown, c, r: within((box.scrollTop * shown.rows) / h, view.order.length - shown.rows + 1) };
		paintLater();
	});

	new ResizeObserver(() => {
		const dpr = Math.min(globalThis.devicePixelRatio || 1, Math.sqrt(MAX_PIXELS / (box.clientWidth * box.clientHeight || 1)));
		size = { width: box.clientWidth, height: box.clientHeight, dpr };
		pane.style.setProperty("width", `${size.width}px`);
		pane.style.setProperty("height", `${size.height}px`);
		for (const canvas of [base, over]) {
			canvas.width = Math.round(size.width * dpr);
			canvas.height = Math.round(size.height * dpr);
		}
		if (view && size.width) {
			const { r, c, rows, columns } = !shown || isWhole ? whole() : shown;
			move(r, c, Math.min(rows, whole().rows), columns);
		}
	}).observe(box);

	function cellAt(event) {
		const bounds = box.getBoundingClientRect();
		const { w, h } = area();
		const t = Math.floor(shown.c + ((event.clientX - bounds.left - GUTTER) / w) * shown.columns);
		const row = Math.floor(shown.r + ((event.clientY - bounds.top) / h) * shown.rows);
		const inside = t >= 0 && t < view.heatmap.columns && row >= 0 && row < view.order.length;
		return inside && event.clientY - bounds.top < h ? { t, k: view.order[row] } : null;
	}

	/** Zoom by a factor around a point, given as {c, r} in cells; the point keeps its place if the window shows it. */
	function zoomAround(factor, { c, r }) {
		const full = whole();
		const columns = Math.max(Math.min(8, full.columns), Math.min(full.columns, shown.columns * factor));
		const rows = Math.max(Math.min(8, full.rows), Math.min(full.rows, shown.rows * factor));
		const place = (at, start, count) => (at >= start && at <= start + count ? (at - start) / count : 0.5);
		move(r - rows * place(r, shown.r, shown.rows), c - columns * place(c, shown.c, shown.columns), rows, columns);
	}
	/** Zoom by a factor around the selected cell. */
	const zoom = (factor) => view && shown && zoomAround(factor, { c: view.selected.t + 0.5, r: view.rowOf.get(view.selected.k) + 0.5 });

	function move(r, c, rows = shown.rows, columns = shown.columns) {
		const full = whole();
		shown = { r: within(r, view.order.length - rows + 1), c: within(c, full.columns - columns + 1), rows, columns };
		isWhole = rows >= full.rows && columns >= full.columns;
		fitSheet();
		paintLater();
	}

	/** Move the window so that it shows a cell. */
	function reveal({ t, k }) {
		const row = view.rowOf.get(k);
		const r = row < shown.r ? row : row >= shown.r + shown.rows ? row - shown.rows + 1 : shown.r;
		const c = t < shown.c ? t : t >= shown.c + shown.columns ? t - shown.columns + 1 : shown.c;
		if (r !== shown.r || c !== shown.c) move(r, c);
	}

	const hoverLater = oncePerFrame(() => {
		if (view && pointer) onHover(cellAt(pointer));
	});
	let pointer = null;
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
	const zoomAt = (event, factor) => {
		const bounds = box.getBoundingClientRect();
		const { w, h } = area();
		const c = shown.c + ((event.clientX - bounds.left - GUTTER) / w) * shown.columns;
		zoomAround(factor, { c, r: shown.r + ((event.clientY - bounds.top) / h) * shown.rows });
	};
	box.addEventListener("dblclick", (event) => view && zoomAt(event, 0.4));
	box.addEventListener("wheel", (event) => {
		if (!event.ctrlKey || !view) return;
		event.preventDefault();
		zoomAt(event, event.deltaY > 0 ? 1.2 : 1 / 1.2);
	}, { passive: false });
	box.addEventListener("focus", () => {
		if (view?.selected) cursor = { t: view.selected.t, row: view.rowOf.get(view.selected.k) };
	});
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
			const fresh = !view || view.heatmap !== next.heatmap || view.order !== next.order || view.theme !== next.theme;
			const sized = view?.order.length !== next.order.length || view.heatmap.columns !== next.heatmap.columns;
			view = { ...next, rowOf: fresh ? new Map(next.order.map((k, row) => [k, row])) : view.rowOf };
			if (fresh) {
				levels = { rows: next.order.length, columns: next.heatmap.columns, levels: toLevels(next.heatmap, next.order) };
				canvases = [];
				if (sized || !shown) {
					shown = whole();
					isWhole = true;
					cursor = null;
				}
				if (size.width) move(shown.r, shown.c);
				if (size.width && sized) reveal(next.selected);
			} else drawCrosshairLater();
			const place = next.hovered ?? next.selected;
			setText(line, place ? readout(place.t, place.k) : "");
		},
		clear() {
			if (!view) return;
			view = null;
			for (const canvas of [base, over]) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
			strip.hidden = true;
			setText(line, "");
		},
		zoom,
		fit: () => view && move(0, 0, whole().rows, whole().columns),
		node: box,
	};
}

/** The cells that a window shows whole: from `first` on, `count` of them, at most `length`. */
function wholeCells(first, count, length) {
	const start = Math.ceil(first);
	return Array.from({ length: Math.max(0, Math.min(length, Math.floor(first + count)) - start) }, (_, n) => start + n);
}
