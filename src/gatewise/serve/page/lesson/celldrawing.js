// The drawing of an LSTM cell as SVG: made once, then only numbers, widths and colours change. Width is size; colour is sign, or a
// gate. It grows from chapter to chapter; the lab's cell (cell.js) is whole.

import { destination, numberOf, partTitle } from "../cellmath.js";

import { fmt, setAttr, setText, signed, svg } from "../dom.js";
import { rect, text as drawText } from "../drawing.js";
import { GATES } from "../store.js";
import { CARRIES, LEVELS } from "./cellshapes.js";

const LABELS = { c0: "previous c", h0: "previous h", c: "memory c", h: "output h" };
const SHORT = { c0: "prev. c ", h0: "prev. h ", c: "c ", h: "h " };
const OF_MEMORY = new Set(["c0", "c", "kept", "written", "tanh"]); // texts of a cell that has a memory
let count = 0; // of drawings: ids are unique in a document

/** A drawing in an element. shapeFor(width in px): a layout of cellshape.js; level: of LEVELS there, which parts the cell has;
 * before: the level whose parts are not new; isOpen: draw what is in the cell; onGate(gate): a gate was pressed. */
export function createCellDrawing(stage, { shapeFor, level = "whole", before = null, isOpen = true, onGate = null }) {
	let parts = null;
	let shape = null;
	let view = null;
	let known = null; // the width of the stage: to measure after a change makes the browser compute the layout
	const number = (count += 1);
	const has = (name) => isOpen && LEVELS[level].has(name);
	/** A part, which grows into the drawing if it is new. */
	const part = (name, ...nodes) => {
		const isNew = before && !LEVELS[before].has(name);
		return svg("g", { class: isNew ? "grown" : null }, ...nodes);
	};
	const isShown = (name) => {
		if (!isOpen) return name === "c0" || name === "c";
		if (level === "plain") return !OF_MEMORY.has(name);
		return name !== "kept" || has("kept");
	};

	function build(next) {
		shape = next;
		const { box, body, head } = shape;
		const middle = shape.large ? 10 : 6; // from the middle of a text to its baseline
		parts = { edges: {}, flows: {}, texts: {}, gates: {}, points: {}, closed: {}, titles: {}, back: {} };
		const size = { class: `cell${shape.large ? " large" : ""}`, viewBox: `0 0 ${box[0]} ${box[1]}` };
		parts.title = svg("title", { id: `celltitle${number}` });
		const arrow = {
			id: `arrow${number}`,
			viewBox: "0 0 10 10",
			refX: 0,
			refY: 5,
			markerWidth: head - 1,
			markerHeight: head - 1,
			orient: "auto",
		};
		const marker = svg(
			"marker",
			{ ...arrow, markerUnits: "userSpaceOnUse" },
			svg("path", { d: "M0,0L10,5L0,10z", class: "head" }),
		);
		const [left, top, width, height, rx] = body;
		const picture = svg(
			"svg",
			{ ...size, role: "group", "aria-labelledby": `celltitle${number}` },
			parts.title,
			svg("defs", {}, marker),
			rect(left, top, width, height, "body", { rx }),
		);
		for (const [name, d] of Object.entries(shape.paths)) {
			if (!has(name)) continue;
			const bus = !(name in CARRIES);
			const end = name === "tanh" ? null : `url(#arrow${number})`; // no room for a head there
			parts.edges[name] = svg("path", { class: `edge ${bus ? "bus" : ""}`, d, "marker-end": end });
			parts.flows[name] = svg("path", { class: "flow", d });
			// The pointer meets a line within 7 units of it.
			picture.append(
				part(name, tooltip(name), parts.edges[name], parts.flows[name], svg("path", { class: "reach", d })),
			);
		}
		for (const name of ["c", "h"]) {
			parts.back[name] = svg("path", {
				class: "back",
				d: shape.paths[`back${name}`],
				"marker-end": `url(#arrow${number})`,
			});
			if (isOpen && (name === "h" || level !== "plain")) picture.append(parts.back[name]);
		}
		for (const [name, [x, y]] of Object.entries(shape.gates)) {
			if (!has(`G:${name}`)) continue;
			parts.closed[name] = svg("path", { class: "closed", d: `M${x - 9},${y - shape.gate[1] / 2 - 9}h18` });
			picture.append(part(`G:${name}`, parts.closed[name], gateBox(name, x, y)));
		}
		for (const [name, [x, y, sign]] of Object.entries(shape.points)) {
			if (!has(`P:${name}`)) continue;
			parts.points[`P:${name}`] = svg(
				"g",
				{ class: "point" },
				tooltip(`P:${name}`),
				svg("circle", { cx: x, cy: y, r: shape.radius }),
				text([x, y + middle], null, sign),
			);
		}
		const [tx, ty, tw, th] = shape.tanh;
		if (has("T"))
			parts.points.T = svg(
				"g",
				{ class: "point" },
				tooltip("T"),
				svg("ellipse", { cx: tx, cy: ty, rx: tw, ry: th }),
				text([tx, ty + middle - 1], "small", "tanh"),
			);
		for (const [name, letter] of [
			["x", "x"],
			["up", "h"],
		]) {
			if (name === "up" && !has("hup")) continue;
			const [x, y, r] = shape[name];
			parts.points[`N:${name}`] = svg(
				"g",
				{ class: "node" },
				svg("circle", { cx: x, cy: y, r }),
				text([x, y + middle], "small", letter),
			);
		}
		picture.append(
			...Object.entries(parts.points).map(([name, node]) => part(name.startsWith("N:") ? "x" : name, node)),
		);
		if (!isOpen) picture.append(text([left + width / 2, top + height / 2 + 11], "unknown", "?"));
		for (const [name, [x, y, w, h]] of Object.entries(shape.pills)) {
			if (!isShown(name)) continue;
			parts.texts[name] = text([x, y + middle], "number");
			picture.append(rect(x - w / 2, y - h / 2, w, h, "pill", { rx: h / 2 }), parts.texts[name]);
		}
		for (const [name, place] of Object.entries(shape.labels ?? {})) {
			if (isShown(name)) picture.append(text(place, "label", LABELS[name]));
		}
		for (const [name, place] of Object.entries(shape.texts)) {
			if (isShown(name)) picture.append((parts.texts[name] = text(place, "number")));
		}
		[parts.word, parts.upText] = [text(shape.word, "wordname"), text(shape.upText, "label")];
		picture.append(parts.word, ...(has("hup") ? [parts.upText] : []));
		stage.replaceChildren(picture);
	}

	const tooltip = (name) => (parts.titles[name] = svg("title"));
	const text = ([x, y, anchor], name, content = "") => drawText(x, y, content, name, anchor);

	/** The name of a gate; whole where it fits. */
	const nameOf = (name, isClamped = false) => {
		if (level === "plain") return "tanh";
		if (isClamped) return shape.labels || shape.large ? `${name} held` : "held";
		return shape.symbols ? GATES[name] : GATES[name].replace(" gate", "");
	};

	function gateBox(name, x, y) {
		const [w, h] = shape.gate;
		const [above, below] = shape.lines;
		const number = text([x, y + below], "number");
		// By keyboard a gate is clamped by controls outside of the drawing.
		const group = svg("g", { class: "gate", onclick: () => onGate?.(name) });
		const top = text([x, y + above], "gatename", nameOf(name));
		group.append(tooltip(`G:${name}`), rect(x - w / 2, y - h / 2, w, h, null, { rx: 6 }), top, number);
		parts.gates[name] = { group, number, top };
		return group;
	}

	function draw() {
		if (!view || !parts) return;
		const { n, word, title, tokenNoun, clamped, scale, back = null } = view;
		const lit = view.lit ?? new Set(Object.keys(parts.edges));
		const line = (value, kind) => 1.5 + 6.5 * Math.min(1, Math.abs(value) / (kind === "memory" ? scale : 1));
		setText(parts.title, title);
		for (const [name, edge] of Object.entries(parts.edges)) {
			const on = lit.has(name);
			const [what, kind] = CARRIES[name] ?? [null, "bus"];
			const value = what ? n[what] : 0;
			const size = what ? line(value, kind) : 1.5;
			setAttr(edge, "stroke-width", size.toFixed(1));
			const sign = kind === "bus" || kind === "gate" ? kind : value < 0 ? "minus" : "plus";
			setAttr(edge, "class", `edge ${sign}${on ? " lit" : ""}`);
			setAttr(parts.flows[name], "class", on && view.lit ? "flow on" : "flow");
			setAttr(parts.flows[name], "stroke-width", Math.max(1, size * 0.55).toFixed(1));
		}
		for (const [name, arrow] of Object.entries(parts.back)) {
			const size = back?.[name] ?? null;
			setAttr(arrow, "class", size === null ? "back" : "back on");
			if (size !== null) setAttr(arrow, "stroke-width", line(size, "gate").toFixed(1));
		}
		for (const [name, { group, number, top }] of Object.entries(parts.gates)) {
			const isClamped = clamped?.has(name);
			const isLit = view.lit && lit.has(`G:${name}`);
			setAttr(group, "class", `gate${isLit ? " lit" : ""}${isClamped ? " clamped" : ""}`);
			setText(number, shape.symbols && level !== "plain" ? `${name} = ${fmt(n[name])}` : fmt(n[name]));
			setText(top, nameOf(name, isClamped));
			setAttr(parts.closed[name], "class", name !== "g" && n[name] < 0.05 ? "closed on" : "closed");
		}
		for (const [name, node] of Object.entries(parts.titles)) setText(node, partTitle(name, n, tokenNoun));
		for (const [name, group] of Object.entries(parts.points))
			group.classList.toggle("lit", Boolean(view.lit?.has(name)));
		setText(parts.upText, destination(n));
		const names = shape.labels ? {} : SHORT;
		for (const [name, node] of Object.entries(parts.texts))
			setText(node, (names[name] ?? "") + signed(n[numberOf(name)]));
		setText(parts.word, word(shape.wordLength ?? (shape.labels ? 40 : 22)));
	}

	/** Build the shape for that width in px, unless it is there. */
	function fit(width) {
		if (parts && shape === shapeFor(width)) return;
		build(shapeFor(width));
		draw();
	}
	new ResizeObserver(([entry]) => fit((known = entry.contentRect.width))).observe(stage);

	return {
		/** {n: the numbers, word(limit): what enters, in so many characters, title: of the picture, tokenNoun, lit: Set of parts, all without; clamped: Set of gates,
		 * scale: the c of a line of full width, back: {c, h}: sizes of the gradient, from 0 to 1}. */
		draw(next) {
			view = next;
			fit((known ??= stage.clientWidth));
			draw();
		},
		/** The cell without numbers, drawn if it was not. */
		outline() {
			view = null;
			build(shape ?? shapeFor((known ??= stage.clientWidth)));
		},
		/** The cell without numbers. */
		clear() {
			if (!view) return;
			view = null;
			build(shape);
		},
	};
}
