// All units by all words on a canvas: one pixel a cell off screen, drawn as large as it fits; zoom moves a window over it.

import { lut } from "./colour.js";
import { el, once, put, say } from "./dom.js";
import { writeOn } from "./mapwords.js";
import { halve, toLevels } from "./plane.js";

const GUTTER = 46; // px left of the map, for units
const STRIP = 20; // px below it, for words
const MOST_PIXELS = 16e6;

/** onHover({t, k} or null), onPick({t, k}), readout(t, k): the line for one cell. */
export function createHeatmap(root, { onHover, onPick, readout }) {
	const base = el("canvas", { class: "base" });
	const over = el("canvas", { class: "over" });
	const line = el("p", { class: "readout", id: "readout" });
	const box = el("div", { class: "map", tabindex: 0, role: "application", "aria-label": "Heat map" }, base, over);
	box.setAttribute("aria-describedby", "readout");
	const strip = el("canvas", { class: "overview", hidden: true });
	root.append(line, box, strip);
	let view = null;
	let picture = null; // the off-screen canvases by how far they are halved
	let levels = null;
	let cut = null; // {r, c, rows, columns}: the window, in cells
	let size = { width: 0, height: 0, dpr: 1 };
	let cursor = null; // where the keyboard stands: {t, row}

	const area = () => ({ w: size.width - GUTTER, h: size.height - STRIP });
	const whole = () => ({ r: 0, c: 0, rows: view.order.length, columns: view.plane.columns });

	function canvasOf(downRows, downColumns) {
		const key = `${downRows} ${downColumns}`;
		if (picture.has(key)) return picture.get(key);
		let now = levels;
		for (let n = 0; n < Math.max(downRows, downColumns); n += 1) now = halve(now, n < downRows, n < downColumns, view.plane.signed ? 127.5 : 0);
		const off = document.createElement("canvas");
		off.width = now.columns;
		off.height = now.rows;
		const context = off.getContext("2d");
		const image = context.createImageData(now.columns, now.rows);
		const pixels = new Uint32Array(image.data.buffer);
		const table = lut(view.plane.signed ? "signed" : "gate", view.theme);
		for (let n = 0; n < pixels.length; n += 1) pixels[n] = table[now.levels[n]];
		context.putImageData(image, 0, 0);
		picture.set(key, off);
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
		let [dx, dy] = [0, 0];
		while ((w * dpr * 2 ** dx) / cut.columns < 1 && dx < 12) dx += 1;
		while ((h * dpr * 2 ** dy) / cut.rows < 1 && dy < 12) dy += 1;
		const [fx, fy] = [2 ** dx, 2 ** dy];
		const target = [GUTTER * dpr, 0, Math.round(w * dpr), Math.round(h * dpr)];
		context.drawImage(canvasOf(dy, dx), cut.c / fx, cut.r / fy, cut.columns / fx, cut.rows / fy, ...target);
		writeOn(context, { view, cut, levels, dpr, gutter: GUTTER, strip: STRIP, ...area(), colour: getComputedStyle(box).color });
		overview();
		cross();
	}

	function cross() {
		const context = over.getContext("2d");
		const { dpr } = size;
		context.setTransform(1, 0, 0, 1, 0, 0);
		context.clearRect(0, 0, over.width, over.height);
		context.setTransform(dpr, 0, 0, dpr, 0, 0);
		const { w, h } = area();
		const [tall, broad] = [h / cut.rows, w / cut.columns];
		const colour = getComputedStyle(box).color;
		for (const [place, dashed] of [[view.selected, false], [view.hovered, true]]) {
			if (!place) continue;
			const row = view.rowOf.get(place.k);
			const [x, y] = [GUTTER + (place.t - cut.c) * broad, (row - cut.r) * tall];
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

	function overview() {
		const zoomed = cut.rows < view.order.length || cut.columns < view.plane.columns;
		strip.hidden = !zoomed;
		if (!zoomed) return;
		strip.width = size.width * size.dpr;
		strip.height = 28 * size.dpr;
		const context = strip.getContext("2d");
		const [w, h] = [(size.width - GUTTER) * size.dpr, strip.height];
		const left = GUTTER * size.dpr;
		context.drawImage(canvasOf(0, 0), left, 0, w, h);
		context.lineWidth = 2 * size.dpr;
		context.strokeStyle = getComputedStyle(box).color;
		const [x, y] = [w / view.plane.columns, h / view.order.length];
		context.strokeRect(left + cut.c * x, cut.r * y, cut.columns * x, cut.rows * y);
	}

	const later = once(paint);
	const laterCross = once(() => view && cross());

	new ResizeObserver(() => {
		const dpr = Math.min(globalThis.devicePixelRatio || 1, Math.sqrt(MOST_PIXELS / (box.clientWidth * box.clientHeight || 1)));
		size = { width: box.clientWidth, height: box.clientHeight, dpr };
		for (const canvas of [base, over]) {
			canvas.width = Math.round(size.width * dpr);
			canvas.height = Math.round(size.height * dpr);
		}
		later();
	}).observe(box);

	function cellAt(event) {
		const bounds = box.getBoundingClientRect();
		const { w, h } = area();
		const t = Math.floor(cut.c + ((event.clientX - bounds.left - GUTTER) / w) * cut.columns);
		const row = Math.floor(cut.r + ((event.clientY - bounds.top) / h) * cut.rows);
		const inside = t >= 0 && t < view.plane.columns && row >= 0 && row < view.order.length;
		return inside && event.clientY - bounds.top < h ? { t, k: view.order[row] } : null;
	}

	/** Zoom by a factor around a point given as shares of the window. */
	function zoom(factor, x = 0.5, y = 0.5) {
		if (!view) return;
		const full = whole();
		const columns = Math.max(Math.min(8, full.columns), Math.min(full.columns, cut.columns * factor));
		const rows = Math.max(Math.min(8, full.rows), Math.min(full.rows, cut.rows * factor));
		move(cut.r + (cut.rows - rows) * y, cut.c + (cut.columns - columns) * x, rows, columns);
	}

	function move(r, c, rows = cut.rows, columns = cut.columns) {
		const full = whole();
		const within = (x, most) => Math.max(0, Math.min(most, x));
		cut = { r: within(r, full.rows - rows), c: within(c, full.columns - columns), rows, columns };
		later();
	}

	/** Bring a cell into the window. */
	function reveal({ t, k }) {
		const row = view.rowOf.get(k);
		const r = row < cut.r ? row : row >= cut.r + cut.rows ? row - cut.rows + 1 : cut.r;
		const c = t < cut.c ? t : t >= cut.c + cut.columns ? t - cut.columns + 1 : cut.c;
		if (r !== cut.r || c !== cut.c) move(r, c);
	}

	const pointed = once(() => {
		if (view && pointer) onHover(cellAt(pointer));
	});
	let pointer = null;
	box.addEventListener("pointermove", (event) => {
		pointer = event;
		pointed();
	});
	box.addEventListener("pointerleave", () => {
		pointer = null;
		onHover(null);
	});
	box.addEventListener("click", (event) => {
		const cell = view && cellAt(event);
		if (cell) onPick(cell);
	});
	box.addEventListener("dblclick", (event) => {
		const bounds = box.getBoundingClientRect();
		zoom(0.4, (event.clientX - bounds.left - GUTTER) / area().w, (event.clientY - bounds.top) / area().h);
	});
	box.addEventListener("wheel", (event) => {
		if (!event.ctrlKey || !view) return;
		event.preventDefault();
		const bounds = box.getBoundingClientRect();
		zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, (event.clientX - bounds.left - GUTTER) / area().w, (event.clientY - bounds.top) / area().h);
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
		cursor ??= { t: 0, row: 0 };
		if (event.key === "Enter") onPick({ t: cursor.t, k: view.order[cursor.row] });
		else if (event.key in moves) {
			event.preventDefault();
			const [rows, columns] = moves[event.key];
			cursor.row = Math.max(0, Math.min(view.order.length - 1, cursor.row + rows));
			cursor.t = Math.max(0, Math.min(view.plane.columns - 1, cursor.t + columns));
			const cell = { t: cursor.t, k: view.order[cursor.row] };
			onHover(cell);
			reveal(cell);
			say(readout(cell.t, cell.k));
		}
	});

	return {
		/** {plane, order, words, theme, selected: {t, k}, hovered} */
		draw(next) {
			const fresh = !view || view.plane !== next.plane || view.order !== next.order || view.theme !== next.theme;
			const sized = !view || view.plane.rows !== next.plane.rows || view.plane.columns !== next.plane.columns;
			view = { ...next, rowOf: fresh ? new Map(next.order.map((k, row) => [k, row])) : view.rowOf };
			if (fresh) {
				levels = { rows: next.order.length, columns: next.plane.columns, levels: toLevels(next.plane, next.order) };
				picture = new Map();
				if (sized || !cut) cut = whole();
				later();
			} else laterCross();
			const place = next.hovered ?? next.selected;
			put(line, place ? readout(place.t, place.k) : "");
		},
		zoom,
		fit: () => view && move(0, 0, whole().rows, whole().columns),
		node: box,
		cell: () => (cursor ? { t: cursor.t, k: view.order[cursor.row] } : view?.selected),
	};
}
