// The prediction after each word as a line over one axis. Of a series, its channels and the attribution are on the same axis.

import { tint } from "./colour.js";
import { el, fmt, oncePerFrame, safeText, setAttr, setText, svg, within } from "./dom.js";
import { path, PROBABILITIES, rect, stroke, text, yAxis } from "./drawing.js";
import { number, scoreText } from "./value.js";

const [RIGHT, PAD] = [10, 8]; // px right of the axis, and above and below the line
const [LINE, CHANNELS, BAND] = [120, 110, 22]; // px high
const MAX_CHANNELS = 8;
const DASHES = ["none", "8 4", "2 3", "10 3 2 3"];

/** The key of a line in a legend; style: attributes of the line. */
export const linekey = (style) =>
	svg("svg", { viewBox: "0 0 24 8", class: "linekey", "aria-hidden": "true" }, stroke("M0,4H24", null, style));

/** The style of channel c. */
export const styleOf = (c) => ({ class: `channel c${c % 4}`, "stroke-dasharray": DASHES[Math.floor(c / 2) % 4] });

/** onHover(t or null), onSelect(t), onBrush({from, to} or null): a range of steps. */
export function createLine(root, { onHover, onSelect, onBrush } = {}) {
	const name = el("span");
	const readout = el("span", { class: "readout" });
	const picture = svg("svg", { class: "line", role: "slider", tabindex: 0 });
	const legend = el("p", { class: "legend muted", hidden: true });
	root.append(el("p", { class: "caption" }, name, " ", readout), picture, legend);
	let view = null;
	let type = 14; // px of its labels
	let left = 36; // px left of the axis
	let pressed = null; // the step at which a brush begins

	const count = () => view?.words.length ?? 0;
	const width = () => picture.clientWidth || 600;
	const x = (t) => left + ((t + 0.5) / count()) * (width() - left - RIGHT);
	const topOfLine = () => (view.values ? CHANNELS + BAND : 0);
	const y = (p) => topOfLine() + PAD + (1 - p) * (LINE - 2 * PAD);
	/** The place in a prefix of the prediction after step t; not an integer where that one is left out. */
	const placeOf = ({ probability, stride }, t) => (t === count() - 1 ? probability.length - 1 : (t + 1) / stride);

	function drawn(prefix, mark) {
		const known = [...Array(count()).keys()].filter((t) => Number.isInteger(placeOf(prefix, t)));
		const points = known.map((t) => [x(t), y(prefix.probability[placeOf(prefix, t)])]);
		const dots =
			prefix.stride > 1 ? points.map(([cx, cy]) => svg("circle", { class: `dot ${mark}`, cx, cy, r: 2 })) : [];
		return [stroke(`${path([[left, y(prefix.probability[0])], ...points])}H${width() - RIGHT}`, mark), ...dots];
	}

	/** The words below the axis that have room, the selected one first. */
	function labels() {
		const taken = [];
		const order = [view.hovered, view.selected, ...Array(count()).keys()].filter((t) => t !== null && t < count());
		return [...new Set(order)].slice(0, 400).flatMap((t) => {
			const word = safeText(view.words[t], 14);
			const half = (word.length * 0.58 * type) / 2 + 3;
			const at = within(x(t) - half, width() - 2 * half) + half;
			if (taken.some(([from, to]) => at - half < to && at + half > from)) return [];
			taken.push([at - half, at + half]);
			const chosen = t === view.selected || t === view.hovered;
			return [text(at, topOfLine() + LINE + type + 2, word, chosen ? "chosen" : null)];
		});
	}

	function channels() {
		const { values, scores, clamp } = view;
		const step = (width() - left - RIGHT) / count();
		const lines = Array.from({ length: Math.min(values[0].length, MAX_CHANNELS) }, (_, c) => {
			const column = values.map((row) => row[c]);
			const known = column.filter((one) => one !== null);
			const [low, high] = [Math.min(...known), Math.max(...known)];
			const place = (one, t) =>
				`${x(t).toFixed(1)},${(PAD + (CHANNELS - 2 * PAD) * (1 - (one - low) / (high - low || 1))).toFixed(1)}`;
			// A missing value interrupts the line.
			const d = column
				.map((one, t) => (one === null ? "" : `${t > 0 && column[t - 1] !== null ? "L" : "M"}${place(one, t)}`))
				.join("");
			return stroke(d, null, styleOf(c));
		});
		const band = (scores ?? []).map((score, t) =>
			rect(x(t) - step / 2, CHANNELS, step, BAND - 6, `band ${tint(score, clamp)}`),
		);
		return [...lines, ...band];
	}

	function paint() {
		if (!view) return;
		type = parseFloat(getComputedStyle(picture).fontSize);
		left = Math.round(type * (view.prefix?.numbers ? 4.5 : 2));
		const height = topOfLine() + LINE + type + 10;
		for (const [key, value] of Object.entries({ height, viewBox: `0 0 ${width()} ${height}` }))
			setAttr(picture, key, value);
		const parts = view.values ? channels() : [];
		const line = `V${topOfLine() + LINE}`;
		if (view.range) {
			const [a, b] = [x(view.range.from - 0.5), x(view.range.to + 0.5)];
			parts.unshift(rect(a, 0, b - a, topOfLine() + LINE, "brush"));
		}
		if (view.prefix) {
			const { numbers, low, high } = view.prefix;
			parts.push(
				...yAxis(
					numbers
						? [
								[0, number(low)],
								[1, number(high)],
							]
						: PROBABILITIES,
					y,
					left,
					width() - RIGHT,
				),
			);
			for (const [t, mark] of [
				[view.selected, "cursor"],
				[view.hovered, "cursor hovered"],
			]) {
				if (t !== null && t < count()) parts.push(stroke(`M${x(t).toFixed(1)},0${line}`, mark));
			}
			if (view.before) parts.push(...drawn(view.before, "beforeline"));
			parts.push(...drawn(view.prefix, "prefixline"));
			const n = placeOf(view.prefix, view.selected);
			if (Number.isInteger(n))
				parts.push(
					svg("circle", { class: "selectedpoint", cx: x(view.selected), cy: y(view.prefix.probability[n]), r: 5 }),
				);
			parts.push(
				svg("circle", { class: `end ${view.side}`, cx: width() - RIGHT, cy: y(view.prefix.probability.at(-1)), r: 6 }),
			);
		}
		parts.push(...labels());
		picture.replaceChildren(...parts);
	}
	const paintLater = oncePerFrame(paint);
	new ResizeObserver(paintLater).observe(picture);

	/** One step in words: word 5 “bad”: 0.68 → 0.99, score +3.94. */
	function textOf(t) {
		const { prefix, words, tokenNoun, scores } = view;
		const place = tokenNoun === "step" ? `step ${t + 1}` : `${tokenNoun} ${t + 1} “${safeText(words[t], 16)}”`;
		const parts = [];
		if (prefix && Number.isInteger(placeOf(prefix, t))) {
			const n = placeOf(prefix, t);
			const list = prefix.numbers ? prefix.score : prefix.probability;
			const shown = (one) => (prefix.numbers ? number(one) : fmt(one));
			parts.push(prefix.stride === 1 && !view.labelled ? `${shown(list[n - 1])} → ${shown(list[n])}` : shown(list[n]));
		}
		if (scores && !view.stale) parts.push(`score ${scoreText(scores[t], view.isNumber)}`);
		return `${place}${parts.length ? `: ${parts.join(", ")}` : ""}`;
	}

	function drawLegend() {
		const values = view?.values;
		legend.hidden = !values;
		if (!values) return;
		const row = values[view.hovered ?? view.selected] ?? values[0];
		legend.replaceChildren(
			...row
				.slice(0, MAX_CHANNELS)
				.map((one, c) =>
					el("span", {}, linekey(styleOf(c)), ` channel ${c + 1}: ${one === null ? "missing" : fmt(one, 3)}`),
				),
			...(row.length > MAX_CHANNELS ? [`… ${row.length} channels`] : []),
		);
	}

	const stepAt = (event) => {
		const box = picture.getBoundingClientRect();
		return within(Math.floor(((event.clientX - box.left - left) / (width() - left - RIGHT)) * count()), count());
	};
	picture.addEventListener("pointerdown", (event) => {
		if (!count() || event.button) return;
		pressed = stepAt(event);
		picture.setPointerCapture(event.pointerId);
	});
	picture.addEventListener("pointermove", (event) => {
		if (!count()) return;
		const t = stepAt(event);
		if (pressed === null) onHover?.(t);
		else if (t !== pressed) onBrush?.({ from: Math.min(t, pressed), to: Math.max(t, pressed) });
	});
	picture.addEventListener("pointerleave", () => onHover?.(null));
	picture.addEventListener("pointerup", (event) => {
		if (pressed !== null && stepAt(event) === pressed) {
			onBrush?.(null);
			onSelect?.(pressed);
		}
		pressed = null;
	});
	picture.addEventListener("pointercancel", () => (pressed = null));
	picture.addEventListener("keydown", (event) => {
		const by = {
			ArrowLeft: -1,
			ArrowDown: -1,
			ArrowRight: 1,
			ArrowUp: 1,
			PageUp: 10,
			PageDown: -10,
			Home: -1e9,
			End: 1e9,
		}[event.key];
		if (by === undefined || event.ctrlKey || event.altKey || event.metaKey || !count()) return;
		event.preventDefault();
		event.stopPropagation();
		const next = within(view.selected + by, count());
		if (event.shiftKey) {
			const { from, to } = view.range ?? { from: view.selected, to: view.selected };
			const other = view.selected === from ? to : from;
			onBrush?.({ from: Math.min(next, other), to: Math.max(next, other) });
		} else onBrush?.(null);
		onSelect?.(next);
	});

	return {
		/** {words, prefix and before: of lineOf, scores, clamp, isNumber, selected, hovered, range, side, name, tokenNoun, values: of a series,
		 * labelled: whether each step has its own label}; null: nothing */
		draw(next) {
			const fresh = !view || Object.keys(next ?? {}).some((key) => next[key] !== view[key]);
			view = next?.words.length ? next : null;
			root.classList.toggle("empty", !view);
			setText(name, view?.name ?? "");
			setText(readout, view ? textOf(view.hovered ?? view.selected) : "");
			if (!view) picture.replaceChildren();
			else if (fresh) paintLater();
			const noun = view?.tokenNoun ?? "word";
			for (const [key, value] of Object.entries({
				label: noun === "word" ? "Word" : "Time step",
				valuemin: 1,
				valuemax: Math.max(1, count()),
				valuenow: (view?.selected ?? 0) + 1,
				valuetext: view ? textOf(view.selected) : "none",
			})) {
				setAttr(picture, `aria-${key}`, value);
			}
			drawLegend();
		},
	};
}
