// Hands on the gates: hold one, silence a unit, see the old and the new verdict; every change is a chip that comes off again.

import { button, el, fmt, put, say } from "./dom.js";
import { stepsOf, unitNow, wordNow } from "./store.js";

const NAMES = { f: "forget gate f", i: "input gate i", g: "candidate g", o: "output gate o" };

const sameTarget = (a, b) => a.gate === b.gate && a.unit === b.unit && a.from === b.from && a.to === b.to;

/** One change in words. */
export function inWords({ gate, unit, value, from, to }, tokenNoun = "word") {
	const who = unit === "all" ? "all units" : `unit ${unit}`;
	if (gate === "h") return `${who} silenced`;
	const range = from === null || from === undefined ? "" : from === to ? `, ${tokenNoun} ${from + 1}` : `, ${tokenNoun}s ${from + 1}–${to + 1}`;
	return `${gate} of ${who} held at ${fmt(value)}${range}`;
}

export function createChange(root, store) {
	const scope = el("select", { "aria-label": "Of which units" });
	scope.append(el("option", { value: "unit" }, "this unit"), el("option", { value: "all" }, "all units"));
	const range = el("select", { "aria-label": "At which words", onchange: () => draw(store.get()) });
	for (const [value, name] of [["word", "this word"], ["range", "from … to"], ["all", "everywhere"]]) range.append(el("option", { value }, name));
	range.value = "all";
	scope.addEventListener("change", () => draw(store.get()));
	const [from, to] = [el("input", { type: "number", min: 1, "aria-label": "From" }), el("input", { type: "number", min: 1, "aria-label": "To" })];
	const ends = el("span", { class: "ends", hidden: true }, from, " – ", to);
	for (const node of [from, to]) node.addEventListener("change", () => draw(store.get()));
	const rows = {};
	const sliders = el("div", { class: "sliders" });
	for (const [gate, name] of Object.entries(NAMES)) {
		const slider = el("input", { type: "range", min: gate === "g" ? -1 : 0, max: 1, step: 0.05, "aria-label": `Hold the ${name}` });
		const value = el("output", {}, "auto");
		const free = button("×", { class: "icon", title: `Let the ${name} go`, "aria-label": `Let the ${name} go`, onclick: () => release(gate) });
		slider.addEventListener("input", () => hold(gate, Number(slider.value)));
		slider.addEventListener("keydown", (event) => event.key === "Delete" && release(gate));
		rows[gate] = { slider, value, free };
		sliders.append(el("div", { class: "slider" }, el("span", { class: "gatelabel" }, gate), slider, value, free));
	}
	const silence = button("Silence this unit", { onclick: () => toggleSilence() });
	const chips = el("div", { class: "chips" });
	const told = el("p", { class: "told quiet" });
	const tell = (line) => {
		put(told, line);
		say(line);
	};
	const undo = button("undo", { onclick: () => tell(store.undo()) });
	const redo = button("redo", { onclick: () => tell(store.redo()) });
	const clear = button("clear changes", { onclick: () => store.set({ changes: [] }, { undo: "all changes cleared" }) });
	root.append(
		el("div", { class: "row" }, "hold a gate of ", scope, " at ", range, ends),
		sliders,
		el("div", { class: "row" }, silence, undo, redo, clear),
		chips, told,
	);
	let last = { at: 0, target: null };

	function target(gate, state = store.get()) {
		const unit = scope.value === "all" ? "all" : unitNow(state);
		const w = wordNow(state);
		const most = stepsOf(state);
		if (range.value === "word") return { gate, unit, from: w, to: w };
		if (range.value === "range") {
			const number = (node, other) => Math.max(0, Math.min(most - 1, (Number(node.value) || other + 1) - 1));
			const ends = [number(from, w), number(to, w)].sort((a, b) => a - b);
			return { gate, unit, from: ends[0], to: ends[1] };
		}
		return { gate, unit, from: null, to: null };
	}

	function hold(gate, value) {
		const wanted = target(gate);
		const { changes, data } = store.get();
		if (!data || (changes.length >= 32 && !changes.some((one) => sameTarget(one, wanted)))) return;
		// One pull at a slider is one thing to undo.
		const going = Date.now() - last.at < 1000 && last.target && sameTarget(last.target, wanted);
		last = { at: Date.now(), target: wanted };
		const next = [...changes.filter((one) => !sameTarget(one, wanted)), { ...wanted, value }];
		store.set({ changes: next }, going ? {} : { undo: inWords({ ...wanted, value }) });
	}

	function release(gate) {
		const wanted = target(gate);
		const { changes } = store.get();
		const next = changes.filter((one) => !sameTarget(one, wanted));
		if (next.length < changes.length) store.set({ changes: next }, { undo: `${gate} let go` });
	}

	function toggleSilence() {
		const state = store.get();
		if (!state.data) return;
		const wanted = { gate: "h", unit: unitNow(state), from: null, to: null };
		const rest = state.changes.filter((one) => !sameTarget(one, wanted));
		const on = rest.length === state.changes.length;
		store.set({ changes: on ? [...rest, { ...wanted, value: 0 }] : rest }, { undo: `unit ${wanted.unit} ${on ? "silenced" : "heard again"}` });
	}

	function draw(state) {
		const tokenNoun = state.model?.model.task === "series" ? "step" : "word";
		ends.hidden = range.value !== "range";
		const t = wordNow(state);
		const unit = state.data?.unitOf.get(unitNow(state));
		for (const [gate, { slider, value, free }] of Object.entries(rows)) {
			const now = state.changes.find((one) => sameTarget(one, target(gate, state)));
			free.style.setProperty("visibility", now ? "visible" : "hidden");
			const number = now ? now.value : (unit?.[gate][t] ?? 0.5);
			if (document.activeElement !== slider || !now) slider.value = number;
			slider.classList.toggle("isheld", Boolean(now));
			put(value, now ? fmt(now.value) : "auto");
			slider.setAttribute("aria-valuetext", now ? `held at ${fmt(now.value)}` : `free, now ${fmt(number)}`);
			slider.disabled = !state.data;
		}
		const silent = state.changes.some((one) => one.gate === "h" && one.unit === unitNow(state));
		put(silence, `${silent ? "Hear" : "Silence"} unit ${unitNow(state)}${silent ? " again" : ""}`);
		silence.setAttribute("aria-pressed", silent);
		const { undo: can, redo: may } = store.can();
		[undo.disabled, redo.disabled, clear.disabled] = [!can, !may, !state.changes.length];
		const wanted = state.changes.map((one) => inWords(one, tokenNoun));
		if (chips.dataset.shown !== wanted.join("|")) {
			chips.dataset.shown = wanted.join("|");
			chips.replaceChildren(...state.changes.map((one, n) =>
				button(`${wanted[n]} ×`, {
					class: "chip", "aria-label": `Take back: ${wanted[n]}`,
					onclick: () => store.set({ changes: store.get().changes.filter((other) => !sameTarget(other, one)) }, { undo: `${wanted[n]} taken back` }),
				})));
		}
	}

	return {
		draw,
		toggleSilence,
		tell,
		/** From the picture of the cell: a gate's slider. */
		focus: (gate) => rows[gate].slider.focus(),
	};
}

/** Changes that still fit a text of so many steps. */
export function fitting(changes, steps) {
	return changes
		.filter((one) => one.from === null || one.from === undefined || one.from < steps)
		.map((one) => (one.to !== null && one.to >= steps ? { ...one, to: steps - 1 } : one));
}
