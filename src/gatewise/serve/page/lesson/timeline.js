// Symbols on an axis of time, from left to right; above them the rows of a chapter.

import { setAttr, svg } from "../dom.js";
import { pictureOf, rect, text } from "../drawing.js";
import { slider } from "./parts.js";

const LEFT = 46; // for the names of the rows
const NAMES = 30; // height of the symbols

/** node: a picture; height: in units, with the symbols; step: a parameter, the step of the cursor, which then can be dragged. */
export function createTimeline(node, { height, step = null, label = "Step", left = LEFT, right = 8 }) {
	const picture = pictureOf(node);
	const own = svg("g");
	const names = svg("g");
	const cursor = svg("g");
	node.append(own, names, cursor);
	let layout = null;
	const at = (event) => Math.floor((picture.at(event)[0] - left) / layout.each);
	if (step) slider(cursor, step, { label, format: (t) => `step ${t + 1}${layout ? `, ${layout.names[t]}` : ""}`, at });

	return {
		/** The group into which a chapter draws its rows. */
		own,
		/** Place the symbols: {x(t): the middle of step t, each: width of a step, left, width, bottom: y above the symbols}. */
		fit(symbols) {
			const width = picture.fit(height);
			const each = (width - left - right) / symbols.length;
			const x = (t) => left + each * (t + 0.5);
			layout = { names: symbols, x, each, left, right: width - right, width, bottom: height - NAMES };
			return layout;
		},
		/** marked: steps whose symbols are bold; classes(t): a class of the symbol of step t. */
		drawNames({ marked = [], classes = () => "" } = {}) {
			const { names: symbols, x, each, bottom } = layout;
			const size = each < 15 ? "t14 " : "";
			// Too many symbols for the width: those that are marked, and each nth of the others.
			const every = Math.ceil(9 / each);
			const isShown = (t) => marked.includes(t) || (t % every === 0 && !marked.some((m) => Math.abs(m - t) < every));
			names.replaceChildren(
				...symbols.flatMap((symbol, t) =>
					isShown(t)
						? [text(x(t), bottom + 20, symbol, `${size}${marked.includes(t) ? "bold" : "muted"} ${classes(t)}`)]
						: [],
				),
			);
			if (!step) return;
			const t = step.get() ?? 0;
			const width = Math.max(each, 22);
			cursor.replaceChildren(
				rect(x(t) - width / 2, 0, width, height - 2, "cursorstep", { rx: 6 }),
				rect(left, bottom - 2, layout.right - left, NAMES, "reach"),
				rect(x(t) - width / 2, 0, width, height - 2, "reach"),
			);
			setAttr(cursor, "aria-valuetext", `step ${t + 1}, ${symbols[t]}`);
		},
	};
}
