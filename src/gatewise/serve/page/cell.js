// The LSTM cell as SVG: drawn once, then only numbers, widths and colours change. Width is size; colour is sign, or a gate.

import { destination, numberOf, NUMBERS, numbersAt, partTitle } from "./cellmath.js";
import { CARRIES, COMPACT, LARGE, STEPS, WIDE } from "./cellshape.js";
import { el, fmt, safeText, setAttr, setText, signed, svg } from "./dom.js";
import { rect, text as drawText } from "./drawing.js";
import { GATES } from "./store.js";

/** onGate(gate): a gate was pressed. Its `numbers` are a list that the caller places. */
export function createCell(root, { onGate } = {}) {
	const stage = el("div", { class: "cellstage" });
	const numbers = el("dl", { class: "numbers" });
	const list = el("details", { class: "cellnumbers" }, el("summary", {}, "Numbers as a list"), numbers);
	const key = (name, meaning) =>
		el("span", {}, el("span", { class: `legendline ${name}`, "aria-hidden": "true" }), ` ${meaning}`);
	const width = el("span");
	root.append(
		stage,
		el(
			"p",
			{ class: "celllegend legend muted" },
			key("plus", "above 0"),
			key("minus", "below 0"),
			key("gate", "gate"),
			width,
		),
	);
	let parts = null;
	let view = null;
	let shape = null;

	function build(next) {
		shape = next;
		const { box, body } = shape;
		const middle = shape === LARGE ? 10 : 6; // from the middle of a text to its baseline
		parts = { edges: {}, flows: {}, texts: {}, gates: {}, points: {}, closed: {}, titles: {} };
		const size = { class: `cell${shape === LARGE ? " large" : ""}`, viewBox: `0 0 ${box[0]} ${box[1]}` };
		parts.title = svg("title", { id: "celltitle" });
		const arrow = {
			id: "arrow",
			viewBox: "0 0 10 10",
			refX: 0,
			refY: 5,
			markerWidth: 16,
			markerHeight: 16,
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
			{ ...size, role: "group", "aria-labelledby": "celltitle" },
			parts.title,
			svg("defs", {}, marker),
			rect(left, top, width, height, "body", { rx }),
		);
		for (const [name, d] of Object.entries(shape.paths)) {
			const bus = !(name in CARRIES);
			const end = name === "tanh" ? null : "url(#arrow)"; // no room for a head there
			parts.edges[name] = svg("path", { class: `edge ${bus ? "bus" : ""}`, d, "marker-end": end });
			parts.flows[name] = svg("path", { class: "flow", d });
			// The pointer meets a line within 7 units of it.
			picture.append(
				svg("g", {}, tooltip(name), parts.edges[name], parts.flows[name], svg("path", { class: "reach", d })),
			);
		}
		for (const [name, [x, y]] of Object.entries(shape.gates)) {
			parts.closed[name] = svg("path", { class: "closed", d: `M${x - 9},${y - shape.gate[1] / 2 - 9}h18` });
			picture.append(parts.closed[name], gateBox(name, x, y));
		}
		for (const [name, [x, y, sign]] of Object.entries(shape.points)) {
			parts.points[`P:${name}`] = svg(
				"g",
				{ class: "point" },
				tooltip(`P:${name}`),
				svg("circle", { cx: x, cy: y, r: shape.radius }),
				text([x, y + middle], null, sign),
			);
		}
		const [tx, ty, tw, th] = shape.tanh;
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
			const [x, y, r] = shape[name];
			parts.points[`N:${name}`] = svg(
				"g",
				{ class: "node" },
				svg("circle", { cx: x, cy: y, r }),
				text([x, y + middle], "small", letter),
			);
		}
		picture.append(...Object.values(parts.points));
		for (const [name, [x, y, w, h]] of Object.entries(shape.pills)) {
			parts.texts[name] = text([x, y + middle], "number");
			picture.append(rect(x - w / 2, y - h / 2, w, h, "pill", { rx: h / 2 }), parts.texts[name]);
		}
		for (const [name, place] of Object.entries(shape.labels ?? {})) {
			picture.append(text(place, "label", { c0: "previous c", h0: "previous h", c: "memory c", h: "output h" }[name]));
		}
		for (const [name, place] of Object.entries(shape.texts))
			picture.append((parts.texts[name] = text(place, "number")));
		[parts.word, parts.upText] = [text(shape.word, "wordname"), text(shape.upText, "label")];
		picture.append(parts.word, parts.upText);
		stage.replaceChildren(picture);
	}

	const tooltip = (name) => (parts.titles[name] = svg("title"));
	const text = ([x, y, anchor], name, content = "") => drawText(x, y, content, name, anchor);

	/** The name of a gate; whole where it fits. */
	const nameOf = (name, isClamped = false) =>
		isClamped
			? shape === COMPACT
				? "clamped"
				: `${name} clamped`
			: shape.symbols
				? GATES[name]
				: GATES[name].replace(" gate", "");

	function gateBox(name, x, y) {
		const [w, h] = shape.gate;
		const [above, below] = shape.lines;
		const number = text([x, y + below], "number");
		// By keyboard a gate is clamped by the controls of "Change it".
		const group = svg("g", { class: "gate", onclick: () => onGate?.(name) });
		const top = text([x, y + above], "gatename", nameOf(name));
		group.append(tooltip(`G:${name}`), rect(x - w / 2, y - h / 2, w, h, null, { rx: 6 }), top, number);
		parts.gates[name] = { group, number, top };
		return group;
	}

	function draw() {
		if (!view || !parts) return;
		const { unit, t, step, word, tokenNoun, clamped, scale } = view;
		const n = numbersAt(unit, t);
		const named = (limit) => (tokenNoun === "step" ? `step ${t + 1}` : `“${safeText(word, limit)}”`);
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
		for (const [name, title] of Object.entries(parts.titles)) setText(title, partTitle(name, n, tokenNoun));
		for (const [name, group] of Object.entries(parts.points)) group.classList.toggle("lit", lit.has(name));
		setText(parts.upText, destination(n));
		const compact = !shape.labels;
		const names = compact ? { c0: "prev. c ", h0: "prev. h ", c: "c ", h: "h " } : {};
		for (const [name, node] of Object.entries(parts.texts))
			setText(node, (names[name] ?? "") + signed(n[numberOf(name)]));
		setText(width, `width: c to ±${fmt(scale)}, else ±1`);
		setText(parts.word, named(shape.wordLength ?? (compact ? 22 : 40)));
		const rows = Object.entries(NUMBERS).flatMap(([name, label]) => [
			el("dt", {}, label),
			el("dd", {}, fmt(n[name], 3, !"fio".includes(name))),
		]);
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
