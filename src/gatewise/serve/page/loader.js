// Loads the answers in parts: the prediction first, then the prefix predictions; the units and the attribution when typing
// pauses; heat maps when they are visible. One prediction is in flight at a time: a key that comes meanwhile waits for it,
// the answer is painted, and the newest text is next.

import { decode } from "./heatmapdata.js";
import { drawsUnits, selectedUnit } from "./store.js";
import { commonPrefix, parseSeries, wordsOf } from "./words.js";

const UNITS_DELAY = 140; // ms without a key until units are requested
const ATTRIBUTION_DELAY = 350; // ms until the attribution is: it may cost a hundred predictions
const TIMEOUT = 60_000; // ms until a prediction counts as lost: the next one would wait for ever

/** The field of a request that holds what the model reads. */
function inputOf({ model: about, text, arrays, arrayReader }) {
	const model = about?.model;
	if (arrayReader) return { arrays: arrayReader.rowOf(model.arrays, text, arrays) };
	return model?.inputs === "series" ? { series: parseSeries(text, model.channels) } : { text };
}

/** hasUnits: whether the units are loaded, of which the second text of a comparison has none. */
export function createLoader(store, api, { hasUnits = true } = {}) {
	let current = 0; // the number of the last load
	let running = false; // whether a prediction is in flight
	let controller = new AbortController(); // of the parts that only the last text needs
	let timer = 0;
	let heatmapVisible = false;
	const pending = new Set(); // requested parts
	const summaries = new Map(); // of units: promises

	/** signal: of a prediction, which the next load does not cancel. */
	async function fetchParts(include, load, signal = null) {
		const check = () => {
			if (!signal && load !== current) throw new DOMException("outdated", "AbortError");
		};
		check();
		const state = store.get();
		const request = {
			...inputOf(state),
			...(state.columns && { columns: state.columns }),
			...(state.served === null ? {} : { model: state.served }),
			include,
		};
		if (state.layer !== null) request.layer = state.layer;
		for (const key of ["target", "against"])
			if (state.model?.model.labels.includes(state[key])) request[key] = state[key];
		if (state.step !== null && state.model?.model.per_step) request.step = state.step;
		if (state.changes.length) request.changes = state.changes;
		// Integrated gradients do not support clamps: the server then chooses another method.
		const supported = state.method !== "integrated-gradients" || !state.changes.length;
		if (state.method && supported && include.includes("attribution")) request.method = state.method;
		const answer = await api.explain(request, signal ?? controller.signal);
		check();
		const tokens = state.arrayReader?.tokensOf(state.model.model.arrays, state.text);
		if (tokens) answer.text = { ...answer.text, values: undefined, tokens };
		if (state.method !== store.get().method) delete answer.attribution; // that of the new one follows
		const isReplaced = !supported && answer.attribution && !answer.warnings.some(({ code }) => code === "method");
		if (isReplaced)
			answer.warnings.push({
				code: "method",
				message: `Integrated gradients do not support clamps. The attribution shown is ${answer.attribution.method}.`,
			});
		return answer;
	}

	function fail(error, retry) {
		if (error.name === "AbortError") return;
		store.set({ error: { message: error.message, retry }, earlyPrediction: null });
	}

	function merge(answer) {
		const old = store.get().data;
		const units = new Map(old?.unitOf ?? []);
		if (answer.unit) units.set(answer.unit.k, answer.unit);
		const heatmaps = new Map(old?.heatmaps ?? []);
		for (const heatmap of answer.heatmaps ?? []) heatmaps.set(heatmap.name, decode(heatmap));
		const parts = {};
		for (const part of ["prefix", "attribution", "units", "offer"]) if (answer[part]) parts[part] = answer[part];
		if (answer.prefix && answer.changed) parts.changed = answer.changed;
		const warnings = answer.warnings.length ? answer.warnings : (old?.warnings ?? []);
		store.set({ data: { ...old, ...parts, unitOf: units, heatmaps, warnings }, error: null });
	}

	/** The old scores of the words that have not changed, until the new attribution is there. */
	function staleAttribution(old, answer, text) {
		if (!old?.attribution) return null;
		const same = commonPrefix(old.words, wordsOf(text, answer.text));
		const scores = Array.from({ length: answer.text.kept }, (_, n) => (n < same ? old.attribution.scores[n] : 0));
		return { ...old.attribution, scores, stale: true };
	}

	function load() {
		current += 1;
		controller.abort();
		controller = new AbortController();
		pending.clear();
		clearTimeout(timer);
		if (isEmpty()) store.set({ data: null, earlyPrediction: null, error: null, outdated: false });
		else if (!running) run();
	}

	const isEmpty = () => !store.get().text.trim();

	/** Predict until the newest text has its answer. */
	async function run() {
		running = true;
		await Promise.resolve(); // one change of the store can call `load` more than once
		for (let done = 0; done !== current && !isEmpty();) {
			done = current;
			await predict(done);
		}
		running = false;
	}

	async function predict(mine) {
		try {
			const state = store.get();
			const fetchPrediction = (include) => fetchParts(include, mine, AbortSignal.timeout(TIMEOUT));
			// For a large network the prefix predictions cost as much as the prediction, which does not wait for them.
			if (state.data) {
				const { prediction, changed } = await fetchPrediction(["prediction"]);
				if (isEmpty()) return;
				store.set({ earlyPrediction: { ...prediction, changed, inputText: state.text, changes: state.changes } });
				if (mine !== current) return; // the newer text has waited
			}
			// The cell follows a change without waiting for the ranking of the units.
			const shown = state.data?.unitOf.has(selectedUnit(state)) ? [`unit:${selectedUnit(state)}`] : [];
			const outputs = (state.model?.model.outputs?.length ?? 0) > 1 ? ["outputs"] : [];
			const answer = await fetchPrediction(["prediction", "prefix", ...shown, ...outputs]);
			if (isEmpty()) return;
			const old = store.get();
			const attribution = staleAttribution(old.data, answer, state.text);
			const words = wordsOf(state.text, answer.text);
			const lastUnit = selectedUnit(old);
			const own = {
				inputText: state.text,
				changes: state.changes,
				words,
				attribution,
				lastUnit,
				load: mine,
				at: new Date(),
				unitOf: new Map(answer.unit ? [[answer.unit.k, answer.unit]] : []),
				heatmaps: new Map(),
			};
			store.set({ data: { ...answer, ...own }, earlyPrediction: null, error: null, outdated: false });
			if (mine === current) timer = setTimeout(() => loadDetails(mine), UNITS_DELAY);
		} catch (error) {
			if (mine !== current) return;
			fail(error, load);
			store.set({ outdated: Boolean(store.get().data) });
		}
	}

	async function loadDetails(mine) {
		try {
			const { u, data } = store.get();
			const withUnits = hasUnits && drawsUnits(store.get());
			if (withUnits) merge(await fetchParts(["units", `unit:${u ?? "opening"}`], mine));
			if (heatmapVisible && withUnits) await loadHeatmap();
			if (data.prefix.stride > 1) merge(await fetchParts(["prefix:all"], mine)); // the line at every word
			if (!data.attribution || data.attribution.stale) {
				if (store.get().data.attribution)
					await new Promise((done) => setTimeout(done, ATTRIBUTION_DELAY - UNITS_DELAY));
				if (mine !== current) return;
				merge(await fetchParts(["attribution"], mine));
			}
			const state = store.get();
			if (withUnits && !state.data.unitOf.has(selectedUnit(state))) await loadUnit(selectedUnit(state));
		} catch (error) {
			fail(error, load);
		}
	}

	/** Not while a newer text waits: `loadDetails` loads what is selected. */
	async function loadPart(name, include) {
		if (pending.has(name) || store.get().data?.load !== current) return;
		pending.add(name);
		try {
			merge(await fetchParts(include, current));
		} catch (error) {
			fail(error, load);
		} finally {
			pending.delete(name);
		}
	}

	/** GET /units of the selected unit, asked for once. */
	function summaryOf(state) {
		const [unit, layer] = [selectedUnit(state), state.layer ?? state.model.model.layers.length - 1];
		const key = `${unit} ${layer}`;
		const forget = (error) => {
			summaries.delete(key);
			throw error;
		};
		if (!summaries.has(key)) summaries.set(key, api.unit(unit, layer, state.served).catch(forget));
		return summaries.get(key);
	}

	const loadUnit = (k) => loadPart(`unit:${k}`, [`unit:${k}`]);
	const loadHeatmap = () => {
		const { heatmap, data } = store.get();
		return data?.heatmaps.has(heatmap) ? null : loadPart(`heatmap:${heatmap}`, [`heatmap:${heatmap}`]);
	};

	store.subscribe((state, keys) => {
		if (["changes", "columns", "arrays", "layer", "target", "against", "step"].some((key) => keys.has(key))) load();
		if (keys.has("method") && !keys.has("changes")) loadPart(`attribution ${state.method}`, ["attribution"]);
		if (keys.has("u") && state.u !== null && drawsUnits(state) && !state.data?.unitOf.has(state.u)) loadUnit(state.u);
		if (keys.has("heatmap") && heatmapVisible && drawsUnits(state)) loadHeatmap();
	});

	return {
		load,
		loadPart,
		loadUnit,
		summaryOf,
		showHeatmap(visible) {
			heatmapVisible = visible;
			if (visible && store.get().data?.units) loadHeatmap();
		},
	};
}
