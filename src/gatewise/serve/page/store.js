// What the page knows, once: one selection, one hover, the answers. Views subscribe; a stack undoes what a person did.

export const START = {
	text: "",
	w: null, // the word that is looked at; null: the most telling
	u: null, // the unit; null: the one that moved the verdict most
	s: 5, // the step inside the cell, 1 to 7
	plane: "c",
	sort: "effect",
	by: "account", // what tints words: account, unit, off
	method: null, // of accounting; null: the model's default
	layer: null, // null: the top one
	changes: [],
	b: null, // the text to compare with; null: none
	guess: false,
	present: false,
	hide: [], // parts that a lesson hides
	data: null, // what is known of the text
	early: null, // its verdict, where that is all that is known as yet; shown: that text
	model: null,
	hover: null, // {t, k}
	linkNote: null, // what is to be said of the link that was opened
	problem: null, // {say, field, retry}
	busy: false,
};

const UNDONE = ["text", "changes", "sort", "b"]; // what undo brings back

export function createStore(start = {}) {
	let state = { ...START, ...start };
	const listeners = new Set();
	const [back, forth] = [[], []];

	function set(patch, { undo = null } = {}) {
		const changed = Object.keys(patch).filter((key) => patch[key] !== state[key]);
		if (!changed.length) return;
		if (undo) {
			back.push({ say: undo, was: pick(state) });
			if (back.length > 100) back.shift();
			forth.length = 0;
		}
		state = { ...state, ...patch };
		const keys = new Set(changed);
		for (const listener of [...listeners]) listener(state, keys);
	}

	function step(from, to, verb) {
		const last = from.pop();
		if (!last) return `Nothing to ${verb}.`;
		to.push({ say: last.say, was: pick(state) });
		set(last.was);
		return `${verb === "undo" ? "Undid" : "Redid"}: ${last.say}.`;
	}

	return {
		get: () => state,
		set,
		undo: () => step(back, forth, "undo"),
		redo: () => step(forth, back, "redo"),
		can: () => ({ undo: back.length > 0, redo: forth.length > 0 }),
		subscribe(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
	};
}

const pick = (state) => Object.fromEntries(UNDONE.map((key) => [key, state[key]]));

/** How many steps were read. */
export const stepsOf = (state) => state.data?.text?.kept ?? 0;

/** The word that is looked at: the chosen one, or else the one that the account ranks first. */
export function wordNow(state) {
	const steps = stepsOf(state);
	if (!steps) return 0;
	if (state.w !== null) return Math.min(state.w, steps - 1);
	const scores = state.data.account?.words ?? [];
	let best = steps - 1;
	if (scores.length === steps) for (let n = 0; n < steps; n += 1) if (Math.abs(scores[n]) > Math.abs(scores[best])) best = n;
	return best;
}

/** The unit that is looked at. */
export function unitNow(state) {
	if (state.u !== null) return state.u;
	return state.data?.units?.order?.effect?.[0] ?? state.data?.units?.order?.jump?.[0] ?? 0;
}

/** How many units the layer has, its directions side by side. */
export const unitsOf = (state) => (state.model ? state.model.model.units * state.model.model.directions.length : 0);

/** A unit's direction. */
export const directionOf = (model, unit) => model.directions[Math.floor(unit / model.units)] ?? "forward";
