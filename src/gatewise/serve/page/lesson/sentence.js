// The words of the text in rows, above each of them the prediction so far, and room for one more track.

import { setAttr, svg } from "../dom.js";
import { layoutWords, path, pictureOf, PROBABILITIES, stroke, text, yAxis } from "../drawing.js";

const GAP = 20; // above the line of the prediction
const BETWEEN = 18; // above the track of the chapter
const WORD = 34; // height of the words
const LEFT = 46; // for the labels of the tracks

/** The step until `last`, the first half of a run if not given, at which the prediction changes most. */
export function strongestStep({ T, prefix }, last = Math.floor(T / 2)) {
	const jump = (t) => Math.abs(prefix[t] - (prefix[t - 1] ?? 0.5));
	let best = Math.min(1, T - 1);
	for (let t = 2; t <= last; t += 1) if (jump(t) > jump(best)) best = t;
	return best;
}

/** node: the picture. room: the height in units for all rows, of which the track of the chapter, between the prediction and the words, has
 * `share`. Places are counted from the state after the pads: place n + 1 belongs to step n. */
export function createSentence(node, lesson, { room = 400, share = 0.66 } = {}) {
	const lines = svg("g", { class: "lines" });
	const own = svg("g", {});
	const words = svg("g", { class: "words", role: "radiogroup", "aria-label": "Word" });
	const front = svg("g", {});
	const picture = pictureOf(node);
	node.append(lines, own, words, front);
	const buttons = [];
	let layout = null;

	function wordButton(n) {
		const node = svg("g", { role: "radio", class: "word", onclick: () => lesson.set({ t: n }) });
		node.append(svg("rect", { rx: 6 }), svg("text", { "text-anchor": "middle" }));
		node.addEventListener("keydown", (event) => {
			const to = {
				ArrowRight: n + 1,
				ArrowDown: n + 1,
				ArrowLeft: n - 1,
				ArrowUp: n - 1,
				Home: 0,
				End: layout.names.length - 2,
			}[event.key];
			if (to === undefined) return;
			event.preventDefault();
			if (to < 0 || to > layout.names.length - 2) return;
			lesson.set({ t: to });
			buttons[to].focus();
		});
		return node;
	}

	return {
		own,
		front,
		/** Place the words: {places, rows, width, height, pixels per unit, left, high, low, top(row), track(row), word(row)}: heights and tops of the parts. */
		fit() {
			const names = ["pads", ...lesson.names()];
			const found = layoutWords(names, picture.width(), { left: LEFT });
			const rowHeight = Math.max(190, room / found.rows);
			const height = found.rows * rowHeight;
			const width = picture.fit(height);
			const [all, top] = [rowHeight - GAP - BETWEEN - WORD - 6, (row) => row * rowHeight + GAP];
			const [high, low] = [(1 - share) * all, share * all];
			const track = (row) => top(row) + high + BETWEEN;
			const word = (row) => track(row) + low + 4;
			layout = { ...found, pixels: picture.pixels(), names, width, height, high, low, left: LEFT, top, track, word };
			return layout;
		},
		/** The lines of the prediction: of the run, and thin of the run without changes, if it differs. */
		drawPrediction(run, before) {
			const y = (row, p) => layout.top(row) + (1 - p) * layout.high;
			const values = (one) => [one.base.probability, ...one.prefix];
			const parts = [];
			for (let row = 0; row < layout.rows; row += 1) {
				parts.push(...yAxis(PROBABILITIES, (p) => y(row, p), LEFT, layout.width));
			}
			if (before !== run) parts.push(stroke(this.line(values(before), y), "pline before"));
			parts.push(stroke(this.line(values(run), y), "pline", { "data-wire": "p" }));
			parts.push(
				text(LEFT + 4, layout.top(0) - 6, `P(${lesson.model.info.labels[1]}) after each word`, "t14 muted", "start"),
			);
			lines.replaceChildren(...parts);
		},
		/** A line that connects values, one per place; each row begins with the value before it. y(row, value). */
		line(values, y) {
			let d = "";
			for (let row = 0; row < layout.rows; row += 1) {
				const inside = layout.places.map((place, n) => [place, n]).filter(([place]) => place.row === row);
				const first = inside[0]?.[1] ?? 0;
				const points = inside.map(([{ x }, n]) => [x, y(row, values[n])]);
				if (first) points.unshift([LEFT, y(row, values[first - 1])]);
				d += path(points);
			}
			return d;
		},
		drawWords(selected) {
			while (buttons.length < layout.names.length - 1) buttons.push(wordButton(buttons.length));
			const { words: found } = lesson.encoded();
			const shown = buttons.slice(0, layout.names.length - 1);
			shown.forEach((node, n) => {
				const { x, row, width } = layout.places[n + 1];
				const y = layout.word(row);
				const [rect, label] = node.children;
				for (const [name, value] of Object.entries({ x: x - width / 2 + 2, y, width: width - 4, height: WORD - 6 }))
					setAttr(rect, name, value);
				setAttr(label, "x", x);
				setAttr(label, "y", y + 19);
				if (label.textContent !== layout.names[n + 1]) label.textContent = layout.names[n + 1];
				setAttr(node, "class", `word${n === 0 || found[n - 1]?.unknown ? " special" : ""}`);
				setAttr(node, "aria-checked", n === selected);
				setAttr(node, "tabindex", n === selected ? 0 : -1);
				setAttr(node, "aria-label", layout.names[n + 1]);
			});
			const start = layout.places[0];
			words.replaceChildren(text(start.x, layout.word(start.row) + 19, "pads", "muted"), ...shown);
		},
	};
}
