// The figure of the page, the HTML report and the notebook: words, line, prediction, model, cell, heat map; drawn from one store.

import { createCell } from "./cell.js";
import { reasonOf, numbersAt, stepFormula, stepLine } from "./cellmath.js";
import { createDetails } from "./details.js";
import { createSelect, el, safeText, setText, signed, within } from "./dom.js";
import { createPlayer } from "./player.js";
import { createPredictionView } from "./prediction.js";
import { createReading } from "./reading.js";
import { drawStrip } from "./strip.js";
import { valueText } from "./value.js";
import {
	covers,
	directionOf,
	drawsUnits,
	selectedUnit,
	selectedWord,
	shapeOf,
	stepCount,
	tokenNounOf,
	unitCount,
} from "./store.js";

/** Why the page draws no units. shape: of the layer, undefined where the network has none. */
function noUnitsText(shape) {
	if (!shape) return "No recurrent layer reads the steps of the input one by one, so there are no units to draw.";
	return `The page draws the units of an LSTM. This is a ${shape.cell} layer: its gates are in gatewise explain --json and Model.trace.`;
}

/** places: elements {words, line, prediction, strip, unit, cell, steps, details}. onGate(gate): a gate of the cell was pressed;
 * raw: of createTextView. */
export function createFigure(places, store, { onGate, raw = false } = {}) {
	const hoverWord = (t) => {
		const old = store.get().hover;
		if (t === null ? old : old?.t !== t) store.set({ hover: t === null ? null : { t, k: selectedUnit(store.get()) } });
	};
	const selectWord = (w) => store.set({ w, hover: null });
	const onBrush = (range) => store.set({ range });
	const reading = createReading(places.words, places.line, { onHover: hoverWord, onSelect: selectWord, onBrush, raw });
	const prediction = createPredictionView(places.prediction, store);
	const cell = createCell(places.cell, { onGate });
	const player = createPlayer(places.steps, store);
	const details = createDetails(places.details, store);
	places.details.append(cell.numbers);
	let heatmap = null; // its module comes later
	function addHeatmap(panel) {
		heatmap = panel;
		heatmap.draw(store.get());
	}
	const unitLine = el("span", { class: "unitline" });
	const units = el("select", { "aria-label": "Unit", onchange: () => store.set({ u: Number(units.value) }) });
	const moveUnit = (by) => {
		const state = store.get();
		const count = unitCount(state);
		if (count) store.set({ u: (selectedUnit(state) + by + count) % count });
	};
	const layer = createSelect({
		"aria-label": "Layer",
		hidden: true,
		onchange: () => store.set({ layer: Number(layer.value), u: null }),
	});
	const aboutUnit = el("p", { class: "aboutunit muted" });
	const weightNote = el("p", { class: "weightnote", hidden: true });
	places.unit.append(weightNote, el("span", { class: "unitchoice" }, layer, units), unitLine, aboutUnit);

	function drawWords(state) {
		const { data, range } = state;
		if (data) places.words.classList.toggle("numbers", Boolean(data.text.values)); // the chart below shows them
		reading.draw(data, {
			isRelative: state.colourScale === "relative",
			selected: selectedWord(state),
			hovered: state.hover?.t ?? null,
			range,
		});
	}

	function drawUnits(state) {
		const order = state.data?.units?.order.effect ?? state.data?.units?.order.jump ?? [];
		const shown = selectedUnit(state);
		const top = [...new Set([...order.slice(0, 12), shown])].map(String);
		if ([...units.options].map((one) => one.value).join() !== top.join() || units.dataset.id !== state.data?.id) {
			units.dataset.id = state.data?.id;
			units.replaceChildren(
				...top.map((k) => {
					const effect = state.data?.units?.effect?.[k];
					return el("option", { value: k }, effect === undefined ? `Unit ${k}` : `Unit ${k}, effect ${signed(effect)}`);
				}),
			);
		}
		units.value = String(shown);
		const model = state.model?.model;
		if (model && layer.options.length !== model.layers.length) {
			const nameOf = ({ name }, n) => `Layer ${n + 1}${name ? `, ${safeText(name, 40)}` : ""}`;
			layer.replaceChildren(...model.layers.map((one, n) => el("option", { value: n }, nameOf(one, n))));
			layer.hidden = model.layers.length < 2;
		}
		weightNote.hidden = !state.model?.lstm_note;
		setText(weightNote, state.model?.lstm_note ?? "");
		if (model) layer.value = String(state.layer ?? model.layers.length - 1);
	}

	function drawCell(state) {
		const { data, hover } = state;
		const k = hover && data?.unitOf.has(hover.k) ? hover.k : selectedUnit(state);
		const t = Math.min(hover ? hover.t : selectedWord(state), stepCount(state) - 1);
		const unit = data?.unitOf.get(k);
		const tokenNoun = tokenNounOf(state);
		const word = data?.words[t] ?? "";
		const model = state.model?.model;
		if (!drawsUnits(state)) return setText(unitLine, noUnitsText(shapeOf(model, state.layer)));
		const named = model && shapeOf(model, state.layer).directions.join() !== "forward";
		const direction = named ? `, ${directionOf(model, k, state.layer)}` : "";
		const total = unitCount(state).toLocaleString("en");
		setText(
			unitLine,
			data
				? `LSTM cell: unit ${k} of ${total}${direction}, at ${tokenNoun} ${t + 1}${data.text.values ? "" : ` “${safeText(word, 16)}”`}`
				: "",
		);
		places.cell.classList.toggle("waiting", !unit || unit.c.length !== stepCount(state));
		if (!data) {
			cell.clear();
			player.clear();
		}
		if (!unit || unit.c.length !== stepCount(state)) return undefined;
		const clamped = new Set(
			state.changes.filter((one) => covers(one, k, t, state)).map((one) => (one.gate === "h" ? "o" : one.gate)),
		);
		cell.draw({
			unit,
			t,
			step: state.s,
			word,
			tokenNoun,
			clamped,
			scale: data.units?.c_p99 ?? 1,
			large: state.present,
		});
		const sums =
			unit.preactivations &&
			Object.fromEntries(
				Object.entries(unit.preactivations).map(([gate, { x, h, bias }]) => [gate, { x: x[t], h: h[t], bias }]),
			);
		const [prefix, whole] = [data.prefix, data.prediction];
		const at = (list) => list?.[t + 1] ?? null;
		const now =
			prefix.stride === 1 ? { ...whole, probability: at(prefix.probability), score: at(prefix.score) } : whole;
		const arithmetic = stepLine(state.s, numbersAt(unit, t), {
			word,
			tokenNoun,
			scoreName: whole.score_name,
			now: valueText(now),
			clamped,
			sums,
		});
		return player.draw(state.s, stepFormula(state.s, unit), arithmetic, reasonOf(state.s, unit, tokenNoun));
	}

	function draw(state = store.get(), keys = null) {
		const any = (...names) => !keys || names.some((name) => keys.has(name));
		if (any("data", "outdated", "earlyPrediction", "model", "example", "w", "changes")) prediction.draw(state);
		if (any("data", "w", "hover", "range", "colourScale", "model")) drawWords(state);
		if (any("data", "earlyPrediction", "colourScale", "model")) details.draw(state);
		if (any("data", "model") && places.strip) drawStrip(places.strip, state, tokenNounOf(state));
		if (any("data")) for (const node of places.steps.querySelectorAll(".buttons button")) node.disabled = !state.data;
		if (any("data", "u", "layer", "model")) drawUnits(state);
		if (any("data", "w", "u", "s", "hover", "changes", "present", "model", "layer")) drawCell(state);
		if (any("data", "w", "u", "hover", "heatmap", "sort", "allUnits", "theme")) heatmap?.draw(state);
	}
	store.subscribe(draw);
	globalThis.matchMedia?.("(prefers-color-scheme: dark)").addEventListener("change", () => draw());

	/** The keys that walk through the steps, the words and the units. */
	function onKey(event) {
		if (
			event.defaultPrevented ||
			event.target.closest("select, input, textarea") ||
			event.ctrlKey ||
			event.altKey ||
			event.metaKey
		)
			return;
		const state = store.get();
		const word = (by) => store.set({ w: within(selectedWord(state) + by, stepCount(state)) });
		const actions = {
			ArrowRight: () => (event.shiftKey ? word(1) : player.go(1)),
			ArrowLeft: () => (event.shiftKey ? word(-1) : player.go(-1)),
			Home: () => player.go(-7),
			End: () => player.go(7),
			ArrowUp: () => moveUnit(-1),
			ArrowDown: () => moveUnit(1),
		};
		if (!actions[event.key]) return;
		event.preventDefault();
		actions[event.key]();
	}
	places.cell.parentElement.addEventListener("keydown", onKey);
	return { draw, addHeatmap, onKey, hoverWord, textView: reading.textView, aboutUnit };
}
