// The LSTM cell as SVG: drawn once, then only numbers, widths and colours change. Width is size; colour is sign, or a gate.

import { destination, numbersAt, partTitles } from "./cellmath.js";
import { CARRIES, COMPACT, LARGE, STEPS, WIDE } from "./cellshape.js";
import { el, fmt, safeText, setAttr, setText, signed, svg } from "./dom.js";
import { GATES } from "./store.js";

const NAMES = { f: "forget", i: "input", g: "candidate", o: "output" };
const NUMBERS = [
	["cPrev", "previous memory, c"],
	["hPrev", "previous output, h"],
	["f", "forget gate, f"],
	["i", "input gate, i"],
	["g", "candidate, g"],
	["o", "output gate, o"],
	["kept", "kept, f · c"],
	["written", "written, i · g"],
	["c", "memory, c"],
	["h", "output, h"],
];
let drawn = 0;

/** onGate(gate): a gate was pressed. Its `numbers` are a list that the caller places. */
export function createCell(root, { onGate } = {}) {
	const stage = el("div", { class: "cellstage" });
	const numbers = el("dl", { class: "numbers" });
	const list = el("details", { class: "cellnumbers" }, el("summary", {}, "Numbers as a list"), numbers);
	const key = (name, meaning) => el("span", {}, el("span", { class: `legendline ${name}`, "aria-hidden": "true" }), ` ${meaning}`);
	const width = el("span");
	root.append(stage, el("p", { class: "celllegend legend muted" }, key("plus", "above 0"), key("minus", "below 0"), key("gate", "gate"), width));
	let parts = null;
	let view = null;
	let shape = null;

	function build(next) {
		shape = next;
		drawn += 1;
		const id = `cell${drawn}`;
		const { box, body } = shape;
		const middle = shape === LARGE ? 10 : 6; // from the middle of a text to its baseline
		parts = { edges: {}, flows: {}, texts: {}, gates: {}, points: {}, closed: {}, titles: {} };
		const picture = svg("svg", {
			class: `cell${shape === LARGE ? " large" : ""}`,
			viewBox: `0 0 ${box[0]} ${box[1]}`,
			role: "group",
			"aria-labelledby": `${id}t`,
		});
		parts.title = svg("title", { id: `${id}t` });
		const head = svg("path", { d: "M0,0L10,5L0,10z", class: "head" });
		const arrow = { id: `${id}a`, viewBox: "0 0 10 10", refX: 0, refY: 5, markerWidth: 16, markerHeight: 16, orient: "auto" };
		const marker = svg("marker", { ...arrow, markerUnits: "userSpaceOnUse" }, head);
		picture.append(parts.title, svg("defs", {}, marker));
		const frame = { class: "body", x: body[0], y: body[1], width: body[2], height: body[3], rx: body[4] };
		picture.append(svg("rect", frame));
		for (const [name, d] of Object.entries(shape.paths)) {
			const bus = !(name in CARRIES);
			const end = name === "tanh" ? null : `url(#${id}a)`; // no room for a head there
			parts.edges[name] = svg("path", { class: `edge ${bus ? "bus" : ""}`, d, "marker-end": end });
			parts.flows[name] = svg("path", { class: "flow", d });
			// The pointer meets a line within 7 units of it.
			picture.append(svg("g", {}, tooltip(name), parts.edges[name], parts.flows[name], svg("path", { class: "reach", d })));
		}
		for (const [name, [x, y]] of Object.entries(shape.gates)) {
			parts.closed[name] = svg("path", { class: "closed", d: `M${x - 9},${y - shape.gate[1] / 2 - 9}h18` });
			picture.append(parts.closed[name], gateBox(name, x, y));
		}
		for (const [name, [x, y, sign]] of Object.entries(shape.points)) {
			const group = svg("g", { class: "point" }, tooltip(`P:${name}`), svg("circle", { cx: x, cy: y, r: shape.radius }));
			group.append(text([x, y + middle, "middle"], null, sign));
			parts.points[name] = group;
			picture.append(group);
		}
		const [tx, ty, rx, ry] = shape.tanh;
		parts.tanh = svg("g", { class: "point" }, tooltip("T"), svg("ellipse", { cx: tx, cy: ty, rx, ry }));
		parts.tanh.append(text([tx, ty + middle - 1, "middle"], "small", "tanh"));
		picture.append(parts.tanh);
		for (const [name, [x, y, w, h]] of Object.entries(shape.pills)) {
			picture.append(svg("rect", { class: "pill", x: x - w / 2, y: y - h / 2, width: w, height: h, rx: h / 2 }));
			parts.texts[name] = text([x, y + middle, "middle"], "number");
			picture.append(parts.texts[name]);
		}
		for (const [name, place] of Object.entries(shape.labels ?? {})) {
			picture.append(text(place, "label", { c0: "previous c", h0: "previous h", c: "memory c", h: "output h" }[name]));
		}
		for (const [name, place] of Object.entries(shape.texts)) picture.append((parts.texts[name] = text(place, "number")));
		parts.x = svg("g", { class: "node" }, svg("circle", { cx: shape.x[0], cy: shape.x[1], r: shape.x[2] }));
		parts.x.append(text([shape.x[0], shape.x[1] + middle, "middle"], "small", "x"));
		parts.word = text(shape.word, "wordname");
		picture.append(parts.x, parts.word);
		parts.up = svg("g", { class: "node" }, svg("circle", { cx: shape.up[0], cy: shape.up[1], r: shape.up[2] }));
		parts.up.append(text([shape.up[0], shape.up[1] + middle, "middle"], "small", "h"));
		parts.upText = text(shape.upText, "label", "to the prediction");
		picture.append(parts.up, parts.upText);
		stage.replaceChildren(picture);
	}

	const tooltip = (name) => (parts.titles[name] = svg("title"));

	function text([x, y, anchor], name, content = "") {
		return svg("text", { x, y, "text-anchor": anchor, class: name }, content);
	}

	/** The name of a gate; whole where it fits. */
	const nameOf = (name, isClamped = false) => (isClamped ? (shape === COMPACT ? "clamped" : `${name} clamped`) : shape.symbols ? GATES[name] : NAMES[name]);

	function gateBox(name, x, y) {
		const [w, h] = shape.gate;
		const [above, below] = shape.lines;
		const number = text([x, y + below, "middle"], "number");
		// By keyboard a gate is clamped by the controls of "Change it".
		const group = svg("g", { class: "gate", onclick: () => onGate?.(name) });
		const top = text([x, y + above, "middle"], "gatename", nameOf(name));
		group.append(tooltip(`G:${name}`), svg("rect", { x: x - w / 2, y: y - h / 2, width: w, height: h, rx: 6 }), top, number);
		parts.gates[name] = { group, number, top };
		return group;
	}

	function draw() {
		if (!view || !parts) return;
		const { unit, t, step, word, tokenNoun, clamped, scale } = view;
		const n = numbersAt(unit, t);
		const named = (limit) => (tokenNoun === "step" ? `step ${word}` : `“${safeText(word, limit)}”`);
		setText(parts.title, `LSTM cell of unit ${unit.k} at ${named(40)}: step ${step} of 7, ${STEPS[step - 1].name}`);
		const lit = new Set(STEPS[step - 1].lit);
		for (const [name, edge] of Object.entries(parts.edges)) {
			const on = lit.has(name);
			const [what, kind] = CARRIES[name] ?? [null, "bus"];
			const value = what ? n[what] : 0;
			const size = what ? 1.5 + 6.5 * Math.min(1, Math.abs(value) / (kind === "memory" ? scale : 1)) : 1.5;
			setAttr(edge, "stroke-width", size.toFixed(1));
			const sign = kind === "bus" || kind === "gate" ? kind : value < 0 ? "minus" : "plus";
			setAttr(edge, "class", `edge ${sign}${on ? " lit" : ""}`);
			setAttr(parts.flows[name], "class", on ? "flow on" : "flow");
			setAttr(parts.flows[name], "stroke-width", Math.max(1, size * 0.55).toFixed(1));
		}
		for (const [name, { group, number, top }] of Object.entries(parts.gates)) {
			const isClamped = clamped?.has(name);
			setAttr(group, "class", `gate${lit.has(`G:${name}`) ? " lit" : ""}${isClamped ? " clamped" : ""}`);
			setText(number, shape.symbols ? `${name} = ${fmt(n[name])}` : fmt(n[name]));
			setText(top, nameOf(name, isClamped));
			setAttr(parts.closed[name], "class", name !== "g" && n[name] < 0.05 ? "closed on" : "closed");
		}
		for (const [name, line] of Object.entries(partTitles(n, GATES, tokenNoun))) setText(parts.titles[name], line);
		for (const [name, group] of Object.entries(parts.points)) setAttr(group, "class", `point${lit.has(`P:${name}`) ? " lit" : ""}`);
		setAttr(parts.tanh, "class", `point${lit.has("T") ? " lit" : ""}`);
		setAttr(parts.x, "class", `node${lit.has("N:x") ? " lit" : ""}`);
		setAttr(parts.up, "class", `node${lit.has("N:up") ? " lit" : ""}`);
		setText(parts.upText, destination(n));
		const compact = !shape.labels;
		const numbersOf = { c0: n.cPrev, h0: n.hPrev, c: n.c, h: n.h, kept: n.kept, written: n.written, tanh: n.tanh };
		const names = compact ? { c0: "prev. c ", h0: "prev. h ", c: "c ", h: "h " } : {};
		for (const [name, node] of Object.entries(parts.texts)) setText(node, (names[name] ?? "") + signed(numbersOf[name]));
		setText(width, `width: c to ±${fmt(scale)}, else ±1`);
		setText(parts.word, named(shape.wordLength ?? (compact ? 22 : 40)));
		const rows = NUMBERS.flatMap(([name, label]) => [el("dt", {}, label), el("dd", {}, fmt(n[name], 3, !"fio".includes(name)))]);
		numbers.replaceChildren(...rows);
	}

	const shapeFor = (width) => (view?.large && width >= 560 ? LARGE : width >= 560 ? WIDE : COMPACT);

	/** Build the shape for that width in px, unless it is there. */
	function fit(width) {
		if (parts && shape === shapeFor(width)) return;
		build(shapeFor(width));
		draw();
	}
	new ResizeObserver(([entry]) => fit(entry.contentRect.width)).observe(stage);

	return {
		numbers: list,
		/** {unit, t, step, word, tokenNoun, clamped: Set of gates, scale: the c of a line of full width, large: for a presentation} */
		draw(next) {
			const other = !parts || view?.large !== next.large;
			view = next;
			if (other) fit(stage.clientWidth);
			draw();
		},
		/** The cell without numbers. */
		clear() {
			if (!view) return;
			view = null;
			numbers.replaceChildren();
			setText(width, "");
			build(shape);
		},
	};
}
