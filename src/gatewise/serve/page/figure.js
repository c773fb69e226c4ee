// The figure of the page, the HTML report and the notebook: prediction, words, cell, heat map; drawn from one store.

import { createCell } from "./cell.js";
import { numbersAt, stepFormula, stepLine } from "./cellmath.js";
import { el, iconButton, lazy, saveButtons, setAttr, setText, signed, within } from "./dom.js";
import { createPlayer } from "./player.js";
import { createPredictionView } from "./prediction.js";
import { createTextView, sidesOf } from "./textview.js";
import { lineOf, valueText } from "./value.js";
import { covers, directionOf, selectedUnit, selectedWord, shapeOf, stepCount, tokenNounOf, unitCount } from "./store.js";

const EMPTY = "The words of a text are coloured by their scores; the line shows the prefix predictions.";

/** places: elements {prediction, words, unit, cell, steps, heatmap}. onGate(gate): a gate of the cell was pressed.
 * importAgain(name, suffix): a module that could not be loaded before.
 */
export function createFigure(places, store, loader, { onGate, importAgain } = {}) {
	const prediction = createPredictionView(places.prediction, store);
	const textView = createTextView(places.words, {
		onHover: (t) => {
			const k = selectedUnit(store.get());
			const old = store.get().hover;
			if (t === null ? old : old?.t !== t) store.set({ hover: t === null ? null : { t, k } });
		},
		onSelect: (w) => store.set({ w, hover: null }),
	});
	const cell = createCell(places.cell, { onGate, onSave: (format) => save("cell", format, places.cell.querySelector("title").textContent) });
	const player = createPlayer(places.steps, store);
	let heatmap = null;
	/** The heat map is loaded when it is first visible. */
	const loadHeatmap = lazy(async (suffix) => {
		const { createHeatmapPanel } = await (suffix ? importAgain("heatmappanel", suffix) : import("./heatmappanel.js"));
		places.heatmap.replaceChildren();
		return createHeatmapPanel(places.heatmap, store, { onNeedUnit: (k) => loader.loadUnit(k), onSave: (format, caption) => save("heatmap", format, caption) });
	}, places.heatmap);
	const loadPicture = lazy((suffix) => (suffix ? importAgain("picture", suffix) : import("./picture.js")));
	/** Save a part as a picture. caption: the line below it. */
	async function save(part, format, caption) {
		if (!store.get().data) return;
		const picture = await loadPicture();
		const { data } = store.get();
		const title = `gatewise, ${{ words: "words", cell: "LSTM cell", heatmap: "heat map" }[part]}: ${caption}`;
		if (picture && data) await picture.savePicture(part, places[part], format, { title, text: data.inputText, caption });
		else if (data) store.set({ error: { message: "Cannot reach the server.", retry: () => save(part, format, caption) } });
	}
	const captionNode = places.words.querySelector(".caption");
	const captionRow = el("div", { class: "captionrow" });
	captionNode.replaceWith(captionRow);
	captionRow.append(captionNode, saveButtons("words", (format) => save("words", format, captionOfWords())));
	const captionOfWords = () => [...places.words.querySelectorAll(".legend .key"), captionNode].map((one) => one.textContent).join(" · ");

	async function openHeatmap() {
		heatmap = await loadHeatmap();
		heatmap?.draw(store.get());
		return heatmap;
	}
	const unitLine = el("span", { class: "unitline" });
	const topUnits = el("select", { "aria-label": "Units with the largest effect", onchange: () => topUnits.value && store.set({ u: Number(topUnits.value) }) });
	const moveUnit = (by) => {
		const state = store.get();
		const count = unitCount(state);
		if (count) store.set({ u: (selectedUnit(state) + by + count) % count });
	};
	const expandButton = iconButton("⤢", "Expand the cell", () => expand(!expanded));
	expandButton.classList.add("expand");
	setAttr(expandButton, "aria-pressed", false);
	let expanded = false;
	/** Show the cell over the full width, or in its column again. Returns whether that was a change. */
	function expand(on) {
		if (on === expanded) return false;
		expanded = on;
		places.cell.closest(".columns")?.classList.toggle("expanded", on);
		setAttr(expandButton, "aria-pressed", on);
		expandButton.title = on ? "Leave the full width (Esc)" : "Expand the cell";
		places.cell.parentElement.scrollIntoView({ block: "nearest" });
		expandButton.focus();
		return true;
	}
	const layer = el("select", { "aria-label": "Layer", hidden: true, onchange: () => store.set({ layer: Number(layer.value), u: null }) });
	places.unit.append(unitLine, layer,
		iconButton("‹", "Previous unit", () => moveUnit(-1)),
		iconButton("›", "Next unit", () => moveUnit(1)), topUnits, expandButton);

	let series = null;
	const loadSeries = lazy(async (suffix) =>
		(await (suffix ? importAgain("series", suffix) : import("./series.js"))).createSeries(places.words));
	/** The channels of a series, below the steps. */
	async function drawSeries(state) {
		if (!state.data?.text.values) {
			series?.(null);
			return;
		}
		series = await loadSeries();
		const { data, hover } = store.get();
		if (data?.text.values) series?.(data.text.values, Math.min(hover?.t ?? selectedWord(store.get()), data.text.values.length - 1));
	}

	function scoresOf(state) {
		const { data, colourBy } = state;
		if (prediction.isWithheld(state) || colourBy === "off") return [undefined, ""];
		if (colourBy === "unit") {
			const unit = data.unitOf.get(selectedUnit(state));
			return [unit?.c ?? undefined, `memory c of unit ${selectedUnit(state)}`];
		}
		const unit = state.model?.model.task === "regression" ? "in the unit of the prediction" : "in logits";
		return data.attribution ? [data.attribution.scores, `${data.attribution.method}, ${unit}`] : [undefined, ""];
	}

	function drawWords(state) {
		const { data } = state;
		if (!data) {
			textView.clear(EMPTY);
			return;
		}
		const [scores, colourOf] = scoresOf(state);
		const withheld = prediction.isWithheld(state);
		const before = data.changed?.before.prefix ?? null;
		textView.draw({
			text: data.inputText,
			part: data.text,
			scores,
			colourOf,
			sides: sidesOf(data.prediction, data.model, state.colourBy === "unit"),
			prefix: withheld ? null : lineOf(data.prefix, data.prediction.target, before),
			before: withheld ? null : lineOf(before, data.prediction.target, data.prefix),
			selected: selectedWord(state),
			hovered: state.hover?.t ?? null,
			tokenNoun: tokenNounOf(state),
			labels: withheld ? null : data.prediction.steps,
			step: data.prediction.step,
		});
	}

	function drawUnits(state) {
		const order = state.data?.units?.order.effect ?? state.data?.units?.order.jump ?? [];
		const top = order.slice(0, 12).map(String);
		if ([...topUnits.options].slice(1).map((one) => one.value).join() !== top.join()) {
			topUnits.replaceChildren(el("option", { value: "" }, "top units"), ...top.map((k) => {
				const effect = state.data.units.effect?.[k];
				return el("option", { value: k }, effect === undefined ? `unit ${k}` : `${k} (effect ${signed(effect)})`);
			}));
		}
		topUnits.value = top.includes(String(selectedUnit(state))) ? String(selectedUnit(state)) : "";
		const model = state.model?.model;
		if (model && layer.options.length !== model.layers.length) {
			layer.replaceChildren(...model.layers.map((_, n) => el("option", { value: n }, `layer ${n + 1}`)));
			layer.hidden = model.layers.length < 2;
		}
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
		const named = model && shapeOf(model, state.layer).directions.join() !== "forward";
		const direction = named ? `, ${directionOf(model, k, state.layer)}` : "";
		setText(unitLine, data ? `${tokenNoun} ${t + 1} “${[...word].slice(0, 16).join("")}” · unit ${k}${direction}` : "");
		places.cell.classList.toggle("waiting", !unit || unit.c.length !== stepCount(state));
		if (!data) {
			cell.clear();
			player.clear();
		}
		if (!unit || unit.c.length !== stepCount(state)) return;
		const clamped = new Set(state.changes.filter((one) => covers(one, k, t, state)).map((one) => (one.gate === "h" ? "o" : one.gate)));
		cell.draw({ unit, t, step: state.s, word, tokenNoun, clamped, scale: data.units?.c_p99 ?? 1, large: state.present });
		const sums = unit.preactivations && Object.fromEntries(
			Object.entries(unit.preactivations).map(([gate, { x, h, bias }]) => [gate, { x: x[t], h: h[t], bias }]));
		const [prefix, whole] = [data.prefix, data.prediction];
		const at = (list) => list?.[t + 1] ?? null;
		const now = prefix.stride === 1 ? { ...whole, probability: at(prefix.probability), score: at(prefix.score) } : whole;
		const line = stepLine(state.s, numbersAt(unit, t), {
			word, tokenNoun, scoreName: whole.score_name, now: prediction.isWithheld(state) ? "–" : valueText(now), clamped, sums,
		});
		player.draw(state.s, stepFormula(state.s, unit), line);
	}

	function draw(state = store.get(), keys = null) {
		const any = (...names) => !keys || names.some((name) => keys.has(name));
		if (any("data", "outdated", "earlyPrediction", "guess", "guessed", "guessedId", "model", "colourBy", "example", "w")) prediction.draw(state);
		if (any("data", "w", "u", "hover", "colourBy", "guess", "guessedId", "model")) drawWords(state);
		if (any("data", "w", "hover")) drawSeries(state);
		if (any("data")) {
			for (const place of Object.values(places)) for (const node of place.querySelectorAll(".save button, .buttons button")) node.disabled = !state.data;
		}
		if (any("data", "u", "layer", "model")) drawUnits(state);
		if (any("data", "w", "u", "s", "hover", "changes", "guess", "guessedId", "present")) drawCell(state);
		if (any("data", "w", "u", "hover", "heatmap", "sort", "allUnits", "theme")) heatmap?.draw(state);
	}
	store.subscribe(draw);
	const redraw = () => draw();
	globalThis.matchMedia?.("(prefers-color-scheme: dark)").addEventListener("change", redraw);

	places.cell.parentElement.addEventListener("keydown", (event) => {
		if (event.target.closest("select, input") || event.ctrlKey || event.altKey || event.metaKey) return;
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
	});
	return { draw, player, openHeatmap, moveUnit, collapseCell: () => expand(false) };
}
