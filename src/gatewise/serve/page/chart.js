// A chart of lines over a common axis: the loss of a training run, and the same of the run before.

import { svg } from "./dom.js";
import { path, pictureOf, stroke, text, yAxis } from "./drawing.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [36, 10, 26, 22];

/** A chart with a title and a range of y. draw({lines: [{class, points: [[x, y]], name, at, below}], xs: [first, last], xName, mark, dots}):
 * at: the point at which the name stands; mark: an x with a name; dots: single points [x, y, name]. Points outside of the range
 * are drawn at its edge. room: px right of the lines, in which their names stand; without it they stand over the lines. */
export function createChart(title, [low, high], height, ticks, room = 0) {
	const picture = pictureOf(svg("svg", { class: "picture", role: "group", "aria-label": title }));
	return {
		node: picture.node,
		draw({ lines, xs, xName, mark = null, dots = [] }) {
			const width = picture.fit(height) - room;
			const x = (value) => LEFT + ((width - LEFT - RIGHT) * (value - xs[0])) / (xs[1] - xs[0] || 1);
			const y = (value) =>
				TOP + ((height - TOP - BOTTOM) * (high - Math.max(low, Math.min(high, value)))) / (high - low);
			const drawn = lines.filter(({ points }) => points.length);
			const names = drawn
				.filter(({ name }) => name)
				.map(({ name, points, class: kind, at = -1, below = false }) => {
					const [a, b] = points.at(at);
					if (room) return text(x(a) + 8, y(b) + (below ? 12 : 2), name, `t14 ${kind}`, "start");
					return text(x(a), y(b) + (below ? 18 : -8), name, `t14 ${kind}`, at === -1 ? "end" : "middle");
				});
			picture.node.replaceChildren(
				text(0, 15, title, "bold", "start"),
				...yAxis(
					ticks.map((tick) => [tick, tick]),
					y,
					LEFT,
					width - RIGHT,
				),
				...(mark
					? [
							stroke(`M${x(mark.x)},${TOP}V${height - BOTTOM}`, "best"),
							text(x(mark.x), height - 4, mark.x === xs[1] ? `${xs[1]}, ${mark.name}` : mark.name, "t14"),
						]
					: []),
				...names,
				...dots.flatMap(([a, b, name]) => [
					svg("circle", { class: "single", cx: x(a), cy: y(b), r: 4 }),
					text(x(a), y(b) - 9, name, "t14 muted"),
				]),
				...drawn.map(({ class: kind, points }) => stroke(path(points.map(([a, b]) => [x(a), y(b)])), `trace ${kind}`)),
				text(LEFT, height - 4, `${xName} ${xs[0]}`, "t14 muted", "start"),
				...(mark?.x === xs[1] ? [] : [text(width - RIGHT, height - 4, xs[1], "t14 muted", "end")]),
			);
		},
	};
}
