// Words in rows, from left to right; above them lines over the words: a prediction after each word, or the memory of a unit.

import { setAttr, svg } from "../dom.js";
import { layoutWords, path, pictureOf, stroke, text, yAxis } from "../drawing.js";

const GAP = 22; // above a track, for its name
const WORD = 34; // height of the words
const LEFT = 46; // for the labels of the tracks

/** node: a picture. tracks: the heights of the lines over each row, from the top; step: the parameter that is the chosen place. */
export function createSentence(node, { tracks, step }) {
	const lines = svg("g");
	const words = svg("g", { role: "radiogroup", "aria-label": "Word" });
	const picture = pictureOf(node);
	node.append(lines, words);
	const buttons = [];
	const rowHeight = tracks.reduce((sum, height) => sum + height + GAP, WORD + 8);
	let layout = null;

	function wordButton(n) {
		const button = svg("g", { role: "radio", class: "word", onclick: () => step.set(n) });
		button.append(svg("rect", { rx: 6 }), svg("text", { "text-anchor": "middle" }));
		button.addEventListener("keydown", (event) => {
			const last = layout.names.length - 1;
			const places = { ArrowRight: n + 1, ArrowDown: n + 1, ArrowLeft: n - 1, ArrowUp: n - 1, Home: 0, End: last };
			const to = places[event.key];
			if (to === undefined) return;
			event.preventDefault();
			if (to < 0 || to > last) return;
			step.set(to);
			buttons[to].focus();
		});
		return button;
	}
	const topOf = (row, track) =>
		row * rowHeight + tracks.slice(0, track).reduce((sum, height) => sum + height + GAP, GAP);

	return {
		/** Place the words: {places: [{x, row, width}], rows, width}. */
		fit(names) {
			const placed = layoutWords(names, picture.width(), { left: LEFT });
			const width = picture.fit(placed.rows * rowHeight);
			layout = { ...placed, names, width };
			lines.replaceChildren();
			return layout;
		},
		/** A line over the words. values: one per word, drawn until place `until`, a number with a fraction; range: [low, high];
		 * ticks: [value, label]; track: its number; wire: the part of the figure. */
		drawTrack({ track, name, values, range: [low, high], ticks, until = Infinity, wire = null, kind = "pline" }) {
			const y = (row, value) => topOf(row, track) + ((high - value) / (high - low)) * tracks[track];
			const nodes = [text(LEFT, topOf(0, track) - 8, name, "t14 muted", "start")];
			for (let row = 0; row < layout.rows; row += 1)
				nodes.push(...yAxis(ticks, (value) => y(row, value), LEFT, layout.width));
			let d = "";
			for (let row = 0; row < layout.rows; row += 1) {
				const inside = layout.places.map((place, n) => [place, n]).filter(([place]) => place.row === row);
				const first = inside[0]?.[1] ?? 0;
				const points = inside.filter(([, n]) => n <= until).map(([{ x }, n]) => [x, y(row, values[n])]);
				if (first && first - 1 <= until) points.unshift([LEFT, y(row, values[first - 1])]);
				const next = inside.find(([, n]) => n > until && n - 1 <= until);
				if (next && points.length) {
					const [x0, y0] = points.at(-1);
					const share = until - (next[1] - 1);
					points.push([x0 + share * (next[0].x - x0), y0 + share * (y(row, values[next[1]]) - y0)]);
				}
				d += path(points);
			}
			nodes.push(stroke(d, kind, wire ? { "data-wire": wire } : {}));
			const last = Math.floor(until);
			const end = layout.places[Math.min(last, values.length - 1)];
			if (end)
				nodes.push(
					svg("circle", {
						cx: end.x,
						cy: y(end.row, values[Math.min(last, values.length - 1)]),
						r: 5,
						class: `${kind} end`,
					}),
				);
			lines.append(...nodes);
			return y;
		},
		/** Things over the lines. */
		append: (...nodes) => lines.append(...nodes),
		/** selected: the place that is chosen; unknown(n): whether the model does not know the word. */
		drawWords(selected, unknown = () => false) {
			while (buttons.length < layout.names.length) buttons.push(wordButton(buttons.length));
			const shown = buttons.slice(0, layout.names.length);
			shown.forEach((button, n) => {
				const { x, row, width } = layout.places[n];
				const y = (row + 1) * rowHeight - WORD;
				const [rect, label] = button.children;
				for (const [name, value] of Object.entries({ x: x - width / 2 + 2, y, width: width - 4, height: WORD - 6 }))
					setAttr(rect, name, value);
				setAttr(label, "x", x);
				setAttr(label, "y", y + 19);
				if (label.textContent !== layout.names[n]) label.textContent = layout.names[n];
				setAttr(button, "class", `word${n === 0 || unknown(n) ? " special" : ""}`);
				setAttr(button, "aria-checked", n === selected);
				setAttr(button, "tabindex", n === (selected ?? 0) ? 0 : -1);
				setAttr(button, "aria-label", n ? layout.names[n] : "before the first word");
			});
			words.replaceChildren(...shown);
		},
	};
}
