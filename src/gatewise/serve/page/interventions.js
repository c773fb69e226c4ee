// Interventions: clamp a gate or ablate a unit. Every change is a chip that can be removed.

import { announce, button, createSelect, el, fmt, iconButton, setText, within } from "./dom.js";
import { GATES, layerOf, selectedUnit, selectedWord, stepCount, tokenNounOf } from "./store.js";

const sameTarget = (a, b) => ["gate", "unit", "layer", "from", "to"].every((key) => a[key] === b[key]);

const ablation = (state) => ({ gate: "h", unit: selectedUnit(state), ...layerOf(state), from: null, to: null });

/** A change in words. */
export function describeChange({ gate, unit, value, from, to, layer }, tokenNoun = "word") {
	const units = (unit === "all" ? "all units" : `unit ${unit}`) + (layer === undefined ? "" : ` of layer ${layer + 1}`);
	if (gate === "h") return `${units} ablated`;
	const range = from == null ? "" : from === to ? `, ${tokenNoun} ${from + 1}` : `, ${tokenNoun}s ${from + 1}–${to + 1}`;
	return `${gate} of ${units} clamped to ${fmt(value)}${range}`;
}

export function createInterventions(root, store) {
	const redraw = () => draw(store.get());
	const scope = createSelect({ "aria-label": "Units to clamp", onchange: redraw }, [["unit", "this unit"], ["all", "all units"]]);
	const range = createSelect({ "aria-label": "Words at which to clamp", onchange: redraw },
		[["word", "this word"], ["range", "from … to"], ["all", "everywhere"]]);
	range.value = "all";
	const [from, to] = [el("input", { type: "number", min: 1, "aria-label": "From" }), el("input", { type: "number", min: 1, "aria-label": "To" })];
	const ends = el("span", { class: "ends", hidden: true }, from, " – ", to);
	for (const node of [from, to]) node.addEventListener("change", redraw);
	const rows = {};
	const sliders = el("div", { class: "sliders" });
	for (const gate in GATES) {
		const name = `${GATES[gate]} ${gate}`;
		const slider = el("input", { type: "range", min: gate === "g" ? -1 : 0, max: 1, step: 0.05, "aria-label": `Clamp the ${name}` });
		const value = el("output", {}, "auto");
		const releaseButton = iconButton("×", `Release the ${name}`, () => release(gate));
		slider.addEventListener("pointerdown", pin);
		slider.addEventListener("input", () => clamp(gate, Number(slider.value)));
		slider.addEventListener("keydown", (event) => event.key === "Delete" && release(gate));
		rows[gate] = { slider, value, releaseButton };
		sliders.append(el("div", { class: "slider" }, el("span", { class: "gatelabel" }, gate), slider, value, releaseButton));
	}
	const ablateButton = button("Ablate this unit", { onclick: () => toggleAblation() });
	const chips = el("div", { class: "chips" });
	const status = el("p", { class: "status muted" });
	const showStatus = (line) => {
		setText(status, line);
		announce(line);
	};
	const undo = button("undo", { onclick: () => showStatus(store.undo()) });
	const redo = button("redo", { onclick: () => showStatus(store.redo()) });
	const clear = button("clear changes", { onclick: () => store.set({ changes: [] }, { undo: "all changes cleared" }) });
	root.append(
		el("div", { class: "row" }, "clamp a gate of ", scope, " at ", range, ends),
		sliders,
		el("div", { class: "row" }, ablateButton, undo, redo, clear),
		chips, status,
	);
	let last = { at: 0, target: null };

	/** Select the shown unit and word for good: every answer changes the ranking that the default follows. */
	function pin() {
		const state = store.get();
		if (state.data) store.set({ u: selectedUnit(state), w: selectedWord(state) });
	}

	function target(gate, state = store.get()) {
		const all = scope.value === "all";
		const place = all ? { gate, unit: "all" } : { gate, unit: selectedUnit(state), ...layerOf(state) };
		const w = selectedWord(state);
		const steps = stepCount(state);
		if (range.value === "word") return { ...place, from: w, to: w };
		if (range.value === "range") {
			const number = (node, other) => within((Number(node.value) || other + 1) - 1, steps);
			const ends = [number(from, w), number(to, w)].sort((a, b) => a - b);
			return { ...place, from: ends[0], to: ends[1] };
		}
		return { ...place, from: null, to: null };
	}

	function clamp(gate, value) {
		const state = store.get();
		const change = target(gate);
		const { changes, data } = state;
		if (!data || (changes.length >= 32 && !changes.some((one) => sameTarget(one, change)))) return;
		// One drag of a slider is one undo step.
		const dragging = Date.now() - last.at < 1000 && last.target && sameTarget(last.target, change);
		last = { at: Date.now(), target: change };
		const next = [...changes.filter((one) => !sameTarget(one, change)), { ...change, value }];
		// In one step: a draw between both would set the slider back.
		store.set({ u: selectedUnit(state), w: selectedWord(state), changes: next }, dragging ? {} : { undo: describeChange({ ...change, value }) });
	}

	function release(gate) {
		const change = target(gate);
		const { changes } = store.get();
		const next = changes.filter((one) => !sameTarget(one, change));
		if (next.length < changes.length) store.set({ changes: next }, { undo: `${gate} released` });
	}

	function toggleAblation() {
		pin();
		const state = store.get();
		if (!state.data) return;
		const change = ablation(state);
		const rest = state.changes.filter((one) => !sameTarget(one, change));
		const on = rest.length === state.changes.length;
		store.set({ changes: on ? [...rest, { ...change, value: 0 }] : rest }, { undo: `unit ${change.unit} ${on ? "ablated" : "restored"}` });
	}

	function draw(state) {
		const tokenNoun = tokenNounOf(state);
		ends.hidden = range.value !== "range";
		const t = selectedWord(state);
		const unit = state.data?.unitOf.get(selectedUnit(state));
		for (const [gate, { slider, value, releaseButton }] of Object.entries(rows)) {
			const now = state.changes.find((one) => sameTarget(one, target(gate, state)));
			releaseButton.style.setProperty("visibility", now ? "visible" : "hidden");
			const number = now ? now.value : (unit?.[gate][t] ?? (gate === "g" ? 0 : 0.5));
			if (document.activeElement !== slider || !now) slider.value = number;
			slider.classList.toggle("clamped", Boolean(now));
			setText(value, now ? fmt(now.value) : "auto");
			slider.setAttribute("aria-valuetext", now ? `clamped to ${fmt(now.value)}` : `not clamped, now ${fmt(number)}`);
			slider.disabled = !state.data;
		}
		const ablated = state.changes.some((one) => sameTarget(one, ablation(state)));
		setText(ablateButton, `${ablated ? "Restore" : "Ablate"} ${state.data ? `unit ${selectedUnit(state)}` : "this unit"}`);
		ablateButton.disabled = !state.data;
		const can = store.can();
		[undo.disabled, redo.disabled, clear.disabled] = [!can.undo, !can.redo, !state.changes.length];
		const names = state.changes.map((one) => describeChange(one, tokenNoun));
		if (chips.dataset.shown !== names.join("|")) {
			chips.dataset.shown = names.join("|");
			chips.replaceChildren(...state.changes.map((one, n) =>
				button(`${names[n]} ×`, {
					class: "chip", "aria-label": `Remove: ${names[n]}`,
					onclick: () => store.set({ changes: store.get().changes.filter((other) => !sameTarget(other, one)) }, { undo: `${names[n]} removed` }),
				})));
		}
	}

	return {
		draw,
		toggleAblation,
		showStatus,
		/** Focus a gate's slider. */
		focus(gate) {
			pin();
			rows[gate].slider.focus();
		},
	};
}

/** The changes that fit a text of so many steps. */
export function fittingChanges(changes, steps) {
	return changes
		.filter((one) => one.from == null || one.from < steps)
		.map((one) => (one.to !== null && one.to >= steps ? { ...one, to: steps - 1 } : one));
}
