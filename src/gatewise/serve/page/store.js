// The state of the page: one selection, one hover, the server's answers. Views subscribe.

export const START = {
	text: "",
	columns: null, // values by name of the columns that the model reads too; null: it reads none
	arrays: null, // the text of each further input by name, of a network with several; null: it has one
	arrayReader: null, // {rowOf, tokensOf} for them
	w: null, // selected word; null: the word with the largest score
	step: null, // of a tagger: the explained word; null: the first one that is not O
	u: null, // selected unit; null: the unit with the largest effect
	s: 5, // step inside the cell, 1 to 7
	heatmap: "c", // gate or state of the heat map
	sort: "effect",
	allUnits: false, // whether the heat map shows all units, or those with the largest effect
	colourScale: "absolute", // of the words; or relative: to the scores of this text
	method: null, // attribution method; null: the model's default
	layer: null, // null: the top layer
	target: null, // the class that is explained; null: the predicted one
	against: null, // the class to compare with; null: all others
	choice: true, // whether both can be chosen: not in a report
	range: null, // {from, to}: the words that a brush marks
	changes: [],
	served: null, // the name of the served model; null: the first one
	b: null, // the text to compare with; null: none
	present: false,
	data: null, // the answers for a text
	outdated: false, // whether the request for a newer text or change failed, so that `data` is of an earlier one
	earlyPrediction: null, // the prediction for a new text, before its `data`
	model: null,
	hover: null, // {t, k}
	linkNote: null, // on the link that was opened
	error: null, // {message, retry}
	busy: false,
};

export const GATES = { f: "forget gate", i: "input gate", g: "candidate", o: "output gate" };
/** Orders of the units. */
export const SORTS = {
	effect: "effect on the score",
	index: "index",
	jump: "largest jump of c",
	first: "time of the jump",
};

export function createStore(start = {}) {
	let state = { ...START, ...start };
	const listeners = [];

	function set(patch) {
		const changed = Object.keys(patch).filter((key) => patch[key] !== state[key]);
		if (!changed.length) return;
		state = { ...state, ...patch };
		const keys = new Set(changed);
		for (const listener of listeners) listener(state, keys);
	}

	return {
		get: () => state,
		set,
		subscribe: (listener) => listeners.push(listener),
	};
}

/** The number of steps that the network reads. */
export const stepCount = (state) => state.data?.text?.kept ?? 0;

export const tokenNounOf = (state) => (state.model && state.model.model.inputs !== "text" ? "step" : "word");

/** The selected word; by default that of the opening frame, or until it is known the word with the largest score. */
export function selectedWord(state) {
	const steps = stepCount(state);
	if (!steps) return 0;
	if (state.w !== null) return Math.min(state.w, steps - 1);
	if (state.data.units?.opening) return state.data.units.opening.step;
	const sizes = (state.data.attribution?.scores ?? []).map(Math.abs);
	return sizes.length === steps ? sizes.indexOf(Math.max(...sizes)) : steps - 1;
}

/** The selected unit; by default that of the opening frame, or until the units are known the one shown before. */
export function selectedUnit(state) {
	if (state.u !== null) return state.u;
	return (
		state.data?.units?.opening?.unit ??
		state.data?.units?.order?.effect?.[0] ??
		state.data?.units?.order?.jump?.[0] ??
		state.data?.lastUnit ??
		0
	);
}

/** The shape of a layer, null for the top one: {units of a direction, directions}. model: in a few numbers. */
export const shapeOf = (model, layer) => model.layers[layer ?? model.layers.length - 1];

/** Whether the page draws the units of the shown layer: those of an LSTM. A graph may have another cell, or no layer. */
export function drawsUnits({ model, layer }) {
	if (!model) return true; // not loaded yet
	const shape = shapeOf(model.model, layer);
	return Boolean(shape) && !shape.cell;
}

/** The number of units of the shown layer, both directions counted. */
export function unitCount({ model, layer }) {
	const shape = model && shapeOf(model.model, layer);
	return shape ? shape.units * shape.directions.length : 0;
}

/** {layer} of a change to the shown unit, {} in the top layer. */
export const layerOf = ({ model, layer }) =>
	!model || layer === null || layer === model.model.layers.length - 1 ? {} : { layer };

/** Whether a change reaches unit k of the shown layer at step t. */
export function covers({ unit, from, to, layer, direction }, k, t, { model: { model }, layer: shown }) {
	const top = model.layers.length - 1;
	const at = shown ?? top;
	if ((layer ?? (unit === "all" ? at : top)) !== at || (unit !== "all" && unit !== k)) return false;
	return (!direction || direction === directionOf(model, k, at)) && (from == null || (from <= t && t <= to));
}

/** The direction of a unit of a layer, null for the top one. */
export function directionOf(model, unit, layer) {
	const { units, directions } = shapeOf(model, layer);
	return directions[Math.floor(unit / units)] ?? "forward";
}
