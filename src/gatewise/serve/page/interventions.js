// "Change it": clamp a gate or ablate a unit. Every change is a chip that can be removed.

import { button, fmt, partsOf, setText } from "./dom.js";
import { GATES, layerOf, selectedUnit, selectedWord, tokenNounOf } from "./store.js";

const sameTarget = (a, b) => ["gate", "unit", "layer", "from", "to"].every((key) => a[key] === b[key]);

/** The changes without that of the same gate, units and steps. */
const without = (changes, change) => changes.filter((one) => !sameTarget(one, change));

/** A change in words. */
export function describeChange({ gate, unit, value, from, to, layer }, tokenNoun = "word") {
	const units = (unit === "all" ? "all units" : `unit ${unit}`) + (layer === undefined ? "" : ` of layer ${layer + 1}`);
	if (gate === "h") return `${units} ablated`;
	const range =
		from == null ? "" : from === to ? `, ${tokenNoun} ${from + 1}` : `, ${tokenNoun}s ${from + 1}–${to + 1}`;
	return `${gate} of ${units} clamped to ${fmt(value)}${range}`;
}

/** root: of the controls; listed: of the changes that were made, which has its place before there is one. */
export function createInterventions(root, listed, store) {
	const redraw = () => draw(store.get());
	const { gate, scope, row, slider, value, ablate } = partsOf(root);
	const { chips, clear } = partsOf(listed);
	for (const select of [gate, scope]) select.addEventListener("change", redraw);
	slider.addEventListener("pointerdown", pin);
	slider.addEventListener("input", () => clamp(Number(slider.value)));
	slider.addEventListener("keydown", (event) => event.key === "Delete" && release());
	ablate.addEventListener("click", () => release() || clamp(0));
	clear.addEventListener("click", () => store.set({ changes: [] }));

	/** Select the shown unit and word for good: every answer changes the ranking that the default follows. */
	function pin() {
		const state = store.get();
		if (state.data) store.set({ u: selectedUnit(state), w: selectedWord(state) });
	}

	/** What the controls change: {gate, unit, layer, from, to}. */
	function target(state = store.get()) {
		const [units, place] = gate.value === "h" ? ["unit", "all"] : scope.value.split(" ");
		const change =
			units === "all"
				? { gate: gate.value, unit: "all" }
				: { gate: gate.value, unit: selectedUnit(state), ...layerOf(state) };
		const w = selectedWord(state);
		if (place === "word") return { ...change, from: w, to: w };
		return place === "range" && state.range ? { ...change, ...state.range } : { ...change, from: null, to: null };
	}

	function clamp(to) {
		const state = store.get();
		const change = target();
		const others = without(state.changes, change);
		if (!state.data || others.length >= 32) return;
		// In one step: a draw between both would set the slider back.
		store.set({ u: selectedUnit(state), w: selectedWord(state), changes: [...others, { ...change, value: to }] });
	}

	/** Take the change of the controls back; returns whether there was one. */
	function release() {
		const { changes } = store.get();
		const next = without(changes, target());
		if (next.length < changes.length) store.set({ changes: next });
		return next.length < changes.length;
	}

	function drawScope({ range }, tokenNoun) {
		const brushed = range ? `at ${tokenNoun}s ${range.from + 1}–${range.to + 1}` : "";
		const places = { word: `at this ${tokenNoun}`, all: "everywhere", range: brushed };
		if (range && scope.options[0].hidden) scope.value = "all range";
		if (!range && scope.value.endsWith("range")) scope.value = "all word";
		for (const option of scope.options) {
			const [units, place] = option.value.split(" ");
			setText(option, `${units === "all" ? "all units" : "this unit"} ${places[place]}`);
			option.hidden = !places[place];
		}
	}

	let offered = null; // the default change of the model

	function draw(state) {
		const tokenNoun = tokenNounOf(state);
		if (state.model?.change && offered !== state.model.change) {
			offered = state.model.change;
			gate.value = offered.gate;
		}
		drawScope(state, tokenNoun);
		const name = gate.value;
		row.hidden = scope.hidden = name === "h";
		ablate.hidden = name !== "h";
		const now = state.changes.find((one) => sameTarget(one, target(state)));
		if (name === "h")
			setText(ablate, `${now ? "Restore" : "Ablate"} ${state.data ? `unit ${selectedUnit(state)}` : "this unit"}`);
		else {
			slider.min = name === "g" ? -1 : 0;
			slider.step = name !== "g" && state.model?.model.gate === "binary" ? 1 : 0.05;
			const number = now?.value ?? state.data?.unitOf.get(selectedUnit(state))?.[name][selectedWord(state)] ?? 0.5;
			if (document.activeElement !== slider || !now) slider.value = number;
			slider.classList.toggle("clamped", Boolean(now));
			setText(value, now ? fmt(now.value) : "auto");
			slider.setAttribute("aria-label", `Clamp the ${GATES[name]} ${name}`);
			slider.setAttribute(
				"aria-valuetext",
				now ? `clamped to ${fmt(now.value)}` : `not clamped, ${fmt(number)} in the selected unit`,
			);
		}
		for (const node of [slider, ablate]) node.disabled = !state.data;
		clear.hidden = !state.changes.length;
		const names = state.changes.map((one) => describeChange(one, tokenNoun));
		if (chips.dataset.shown !== names.join("|")) {
			chips.dataset.shown = names.join("|");
			chips.replaceChildren(
				...state.changes.map((one, n) =>
					button(`${names[n]} ×`, {
						class: "chip",
						"aria-label": `Remove: ${names[n]}`,
						onclick: () => store.set({ changes: without(store.get().changes, one) }),
					}),
				),
			);
		}
	}

	return {
		draw,
		/** Focus the slider of a gate. */
		focus(name) {
			pin();
			gate.value = name;
			redraw();
			slider.focus();
		},
	};
}

/** The changes that fit a text of so many steps; the same list, if all of them do. */
export function fittingChanges(changes, steps) {
	const fitting = changes
		.filter((one) => one.from == null || one.from < steps)
		.map((one) => (one.to !== null && one.to >= steps ? { ...one, to: steps - 1 } : one));
	return fitting.length === changes.length && fitting.every((one, n) => one === changes[n]) ? changes : fitting;
}
