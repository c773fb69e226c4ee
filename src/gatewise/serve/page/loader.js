// Answers in layers: the verdict first, then its line, the account and units when the typing rests, planes when they are
// seen. One request a layer is on its way; an older answer never overwrites a younger one.

import { decode } from "./plane.js";
import { unitNow } from "./store.js";
import { parseSeries, samePrefix, wordsOf } from "./words.js";

const RESTS = 140; // ms without a key until units are asked for
const ACCOUNT = 350; // and until the account is: it may cost a hundred times the verdict, which the next key waits for

/** What a request says of the input. */
export function itemOf(state, text = state.text) {
	if (state.model?.model.task !== "series") return { text };
	return { series: parseSeries(text, state.model.model.channels) };
}

const plainChange = ({ gate, unit, from, to, value }) =>
	from === null || from === undefined ? { gate, unit, value } : { gate, unit, value, from, to };

export function createLoader(store, source) {
	let turn = 0;
	let running = new AbortController();
	let timer = 0;
	let needed = false; // whether somebody sees the heat map
	const asked = new Set(); // parts that are on their way for this turn

	const empty = (state) => !state.text.trim();

	async function fetchParts(want, mine, more = {}) {
		const state = store.get();
		const request = { ...itemOf(state), want, ...more };
		if (state.layer !== null) request.layer = state.layer;
		if (state.changes.length) request.changes = state.changes.map(plainChange);
		// Integrated gradients run through the kernel, which holds no gate: the server says which account it takes then.
		const runs = state.method !== "integrated-gradients" || !state.changes.length;
		if (state.method && runs && want.includes("account")) request.method = state.method;
		const answer = await source.explain(request, running.signal);
		if (mine !== turn) throw Object.assign(new Error("late"), { name: "AbortError" });
		return answer;
	}

	function failed(error, retry) {
		if (error.name === "AbortError") return;
		const problem = { say: error.message, field: error.field ?? null, code: error.code ?? "", retry };
		store.set({ problem, early: null, busy: false });
	}

	function merge(answer) {
		const old = store.get().data;
		const units = new Map(old?.unitOf ?? []);
		if (answer.unit) units.set(answer.unit.k, answer.unit);
		const planes = new Map(old?.planes ?? []);
		for (const plane of answer.planes ?? []) planes.set(plane.name, decode(plane));
		const parts = {};
		for (const part of ["account", "units", "alike"]) if (answer[part]) parts[part] = answer[part];
		const warnings = answer.warnings.length ? answer.warnings : (old?.warnings ?? []);
		store.set({ data: { ...old, ...parts, unitOf: units, planes, warnings }, problem: null });
	}

	/** The tints of words that stand where they stood, until the new account is there. */
	function carried(old, answer, text) {
		if (!old?.account) return null;
		const same = samePrefix(old.words, wordsOf(text, answer.text));
		const scores = old.account.words;
		const words = Array.from({ length: answer.text.kept }, (_, n) => (n < same ? scores[n] : 0));
		return { ...old.account, words, stale: true };
	}

	async function first() {
		turn += 1;
		const mine = turn;
		running.abort();
		running = new AbortController();
		asked.clear();
		clearTimeout(timer);
		if (empty(store.get())) {
			store.set({ data: null, early: null, problem: null, busy: false });
			return;
		}
		const slow = setTimeout(() => mine === turn && store.set({ busy: true }), 120);
		try {
			const state = store.get();
			// Of a large network the line costs as much as the verdict: the verdict does not wait for it.
			if (state.data && !state.changes.length && !state.guess) {
				const { verdict } = await fetchParts(["verdict"], mine);
				store.set({ early: { ...verdict, shown: state.text } });
			}
			const answer = await fetchParts(["verdict", "running"], mine);
			const account = carried(state.data, answer, state.text);
			const data = { ...answer, shown: state.text, words: wordsOf(state.text, answer.text), account };
			data.unitOf = new Map();
			data.planes = new Map();
			data.old = { planes: state.data?.planes ?? new Map(), units: state.data?.units ?? state.data?.old?.units };
			store.set({ data, early: null, problem: null, busy: false });
			timer = setTimeout(() => details(mine), RESTS);
		} catch (error) {
			failed(error, first);
		} finally {
			clearTimeout(slow);
		}
	}

	async function details(mine) {
		try {
			const { u, data } = store.get();
			merge(await fetchParts(["units", `unit:${u ?? "top"}`], mine));
			if (needed) await plane(mine);
			if (!data.account || data.account.stale) {
				if (store.get().data.account) await new Promise((done) => setTimeout(done, ACCOUNT - RESTS));
				if (mine !== turn) return;
				merge(await fetchParts(["account"], mine));
			}
			const state = store.get();
			if (!state.data.unitOf.has(unitNow(state))) await unit(unitNow(state), mine);
		} catch (error) {
			failed(error, first);
		}
	}

	async function part(name, want, mine = turn) {
		if (asked.has(name) || !store.get().data) return;
		asked.add(name);
		try {
			merge(await fetchParts(want, mine));
		} catch (error) {
			failed(error, first);
		} finally {
			asked.delete(name);
		}
	}

	const unit = (k, mine) => part(`unit:${k}`, [`unit:${k}`], mine);
	const plane = (mine) => {
		const { plane: name, data } = store.get();
		return data?.planes.has(name) ? null : part(`plane:${name}`, [`plane:${name}`], mine);
	};

	store.subscribe((state, keys) => {
		if (keys.has("changes") || keys.has("layer")) first();
		if (keys.has("method") && !keys.has("changes") && state.data) part(`account ${state.method}`, ["account"]);
		if (keys.has("u") && state.data && state.u !== null && !state.data.unitOf.has(state.u)) unit(state.u);
		if (keys.has("plane") && needed) plane();
		if (keys.has("sort") && state.sort === "alike" && state.data && !state.data.alike) part("alike", ["alike"]);
	});

	return {
		load: first,
		unit,
		need(yes) {
			needed = yes;
			if (yes && store.get().data?.units) plane();
		},
		/** Another text beside this one: all that a staff needs of it. */
		beside: (text) => source.explain({ ...itemOf(store.get(), text), want: ["verdict", "running", "account"] }),
	};
}
