// The figure that page, report and notebook share: verdict, staff, cell with its steps, heat map; drawn from one store.

import { createCell } from "./cell.js";
import { numbersAt, stepLine } from "./cellmath.js";
import { button, el, fmt, put } from "./dom.js";
import { createPlayer } from "./player.js";
import { createStaff } from "./staff.js";
import { directionOf, stepsOf, unitNow, unitsOf, wordNow } from "./store.js";
import { createVerdict } from "./verdict.js";

const EMPTY = "Write something above, or take an example: each word gets its colour, and the line shows the verdict as it comes about.";

/** places: {verdict, staff, unit, cell, map}, elements; onGate: a gate of the picture was pressed. */
export function createFigure(places, store, loader, { onGate, empty = EMPTY } = {}) {
	const verdict = createVerdict(places.verdict, store);
	const staff = createStaff(places.staff, {
		onHover: (t) => {
			const k = unitNow(store.get());
			const old = store.get().hover;
			if (t === null ? old : old?.t !== t) store.set({ hover: t === null ? null : { t, k } });
		},
		onPick: (w) => store.set({ w, hover: null }),
	});
	const cell = createCell(places.cell, { onGate });
	const player = createPlayer(places.steps, store);
	let map = null;
	/** The map comes when it is first seen: nothing above it waits for it. */
	async function openMap() {
		const { createMapPanel } = await import("./mappanel.js");
		map ??= createMapPanel(places.map, store, { onNeedUnit: (k) => loader.unit(k) });
		map.draw(store.get());
		return map;
	}
	const unitLine = el("span", { class: "unitline" });
	const top = el("select", { "aria-label": "Units that moved the verdict most", onchange: () => top.value && store.set({ u: Number(top.value) }) });
	const turn = (by) => {
		const state = store.get();
		const count = unitsOf(state);
		if (count) store.set({ u: (unitNow(state) + by + count) % count });
	};
	const layer = el("select", { "aria-label": "Layer", hidden: true, onchange: () => store.set({ layer: Number(layer.value), u: null }) });
	places.unit.append(unitLine, layer,
		button("‹", { class: "icon", "aria-label": "Unit before", onclick: () => turn(-1) }),
		button("›", { class: "icon", "aria-label": "Next unit", onclick: () => turn(1) }), top);

	const back = (state) => verdict.keptBack(state);
	let series = null;
	/** Of a series, the numbers themselves below the steps. */
	async function drawSeries(state) {
		if (!state.data?.text.values) return;
		series ??= import("./series.js").then(({ createSeries }) => createSeries(places.staff));
		const draw = await series;
		const { data, hover } = store.get();
		if (data?.text.values) draw(data.text.values, Math.min(hover?.t ?? wordNow(store.get()), data.text.values.length - 1));
	}

	function scoresOf(state) {
		const { data, by } = state;
		if (back(state) || by === "off") return [undefined, ""];
		if (by === "unit") {
			const unit = data.unitOf.get(unitNow(state));
			return [unit?.c ?? undefined, `memory c of unit ${unitNow(state)}`];
		}
		return data.account ? [data.account.words, `${data.account.method}, in logits`] : [undefined, ""];
	}

	function drawStaff(state) {
		const { data } = state;
		if (!data) {
			staff.clear(empty);
			return;
		}
		const [scores, colourOf] = scoresOf(state);
		staff.draw({
			text: data.shown,
			part: data.text,
			scores,
			colourOf,
			running: back(state) ? null : data.running,
			before: back(state) ? null : (data.changed?.before ?? null),
			selected: wordNow(state),
			hovered: state.hover?.t ?? null,
			towards: data.verdict.towards,
			tokenNoun: state.model?.model.task === "series" ? "step" : "word",
		});
	}

	function drawUnits(state) {
		const order = state.data?.units?.order.effect ?? state.data?.units?.order.jump ?? [];
		const wanted = order.slice(0, 12).map(String);
		if ([...top.options].slice(1).map((one) => one.value).join() !== wanted.join()) {
			top.replaceChildren(el("option", { value: "" }, "top units"), ...wanted.map((k) => {
				const effect = state.data.units.effect?.[k];
				return el("option", { value: k }, effect === undefined ? `unit ${k}` : `${k} (${fmt(effect, 2, true)})`);
			}));
		}
		top.value = wanted.includes(String(unitNow(state))) ? String(unitNow(state)) : "";
		const model = state.model?.model;
		if (model && layer.options.length !== model.layers) {
			layer.replaceChildren(...Array.from({ length: model.layers }, (_, n) => el("option", { value: n }, `layer ${n + 1}`)));
			layer.hidden = model.layers < 2;
		}
		if (model) layer.value = String(state.layer ?? model.layers - 1);
	}

	function drawCell(state) {
		const { data, hover } = state;
		const k = hover && data?.unitOf.has(hover.k) ? hover.k : unitNow(state);
		const t = Math.min(hover ? hover.t : wordNow(state), stepsOf(state) - 1);
		const unit = data?.unitOf.get(k);
		const tokenNoun = state.model?.model.task === "series" ? "step" : "word";
		const word = data?.words[t] ?? "";
		const both = (state.model?.model.directions.length ?? 1) > 1;
		const way = both ? `, ${directionOf(state.model.model, k)}` : "";
		put(unitLine, data ? `${tokenNoun} ${t + 1} “${[...word].slice(0, 16).join("")}” · unit ${k}${way}` : "");
		places.cell.classList.toggle("waiting", !unit || unit.c.length !== stepsOf(state));
		if (!unit || unit.c.length !== stepsOf(state)) return;
		const held = new Set(state.changes.filter((one) => covers(one, k, t)).map((one) => (one.gate === "h" ? "o" : one.gate)));
		cell.draw({ unit, t, step: state.s, word, held, scale: data.units?.c_p99 ?? 1 });
		const sums = unit.z ? Object.fromEntries(Object.entries(unit.z).map(([gate, z]) => [gate, { x: z.x[t], h: z.h[t], b: z.b }])) : null;
		const running = data.running.every === 1 ? data.running.p[t + 1] : data.verdict.p;
		const hidden = back(state);
		const line = stepLine(state.s, numbersAt(unit, t), {
			word, tokenNoun, label: data.verdict.towards, towards: data.verdict.towards, running: hidden ? NaN : running, held, sums,
		});
		player.draw(state.s, line);
	}

	const covers = (one, k, t) => (one.unit === "all" || one.unit === k) && (one.from === null || one.from === undefined || (one.from <= t && t <= one.to));

	function draw(state = store.get(), keys = null) {
		const any = (...names) => !keys || names.some((name) => keys.has(name));
		if (any("data", "early", "guess", "guessed", "guessOf", "model", "by", "example")) verdict.draw(state);
		if (any("data", "w", "u", "hover", "by", "guess", "guessOf", "model")) drawStaff(state);
		if (any("data", "w", "hover")) drawSeries(state);
		if (any("data", "u", "layer", "model")) drawUnits(state);
		if (any("data", "w", "u", "s", "hover", "changes", "guess", "guessOf")) drawCell(state);
		if (any("data", "w", "u", "hover", "plane", "sort", "theme", "alike")) map?.draw(state);
	}
	store.subscribe(draw);
	const redraw = () => draw();
	globalThis.matchMedia?.("(prefers-color-scheme: dark)").addEventListener("change", redraw);

	places.cell.parentElement.addEventListener("keydown", (event) => {
		if (event.target.closest("select, input") || event.ctrlKey || event.altKey || event.metaKey) return;
		const state = store.get();
		const word = (by) => store.set({ w: Math.max(0, Math.min(stepsOf(state) - 1, wordNow(state) + by)) });
		const acts = {
			ArrowRight: () => (event.shiftKey ? word(1) : player.go(1)),
			ArrowLeft: () => (event.shiftKey ? word(-1) : player.go(-1)),
			Home: () => player.go(-7),
			End: () => player.go(7),
			ArrowUp: () => turn(-1),
			ArrowDown: () => turn(1),
		};
		if (!acts[event.key]) return;
		event.preventDefault();
		acts[event.key]();
	});
	return { draw, staff, cell, player, openMap, turn };
}
