// The state as the URL's fragment (after #), which restores the same view and which browsers do not send to a server.

import { safeText } from "./dom.js";
import { SORTS, START, unitCount } from "./store.js";

const MAX_TEXT = 6000; // characters of an encoded text: mail programs cut longer links
/** The state of a link that names nothing. */
export const UNLINKED = Object.fromEntries(
	"w u s heatmap sort allUnits method layer target against changes b".split(" ").map((key) => [key, START[key]]),
);

const matching =
	(pattern, valueOf = (text) => text) =>
	(text) =>
		pattern.test(text) ? valueOf(text) : undefined;
const index = matching(/^\d{1,6}$/, Number);
const flag = matching(/^1$/, () => true);
/** The fields of a link: the key, the name in the state, and read(text), which is undefined for an invalid value. */
const FIELDS = [
	...["w", "step", "u", "layer"].map((key) => [key, key, index]),
	["s", "s", matching(/^[1-7]$/, Number)],
	["p", "heatmap", matching(/^[ifgoch]$/)],
	["o", "sort", (text) => (Object.hasOwn(SORTS, text) ? text : undefined)],
	["all", "allUnits", flag],
	["m", "method", matching(/^[a-z-]{1,40}$/)],
	["served", "served", matching(/^[\w.-]{1,200}$/)],
	...["target", "against"].map((key) => [key, key, (text) => text.slice(0, 300)]),
	["present", "present", flag],
	["model", "madeWith", matching(/^[0-9a-f]{8}$/)],
];
const NAMES = { w: "word", step: "word", u: "unit", layer: "layer" }; // of the fields that are named where they are dropped

/** Parse f37:1@3-9 into {gate, unit, value, from, to}; "*" stands for all units. Null for anything else. */
export function parseChange(text) {
	const found = /^([ifgoh])(\d{1,6}|\*)(?:l(\d{1,2}))?:(-?\d(?:\.\d{1,6})?)(?:@(\d{1,6})-(\d{1,6}))?$/.exec(text);
	if (!found) return null;
	const [, gate, unit, layer, number, from, to] = found;
	const value = Number(number);
	if (value > 1 || value < (gate === "g" ? -1 : 0) || (from && Number(to) < Number(from))) return null;
	if (gate === "h" && (value !== 0 || unit === "*" || from)) return null;
	const change = {
		gate,
		unit: unit === "*" ? "all" : Number(unit),
		value,
		from: null,
		to: null,
		...(layer ? { layer: Number(layer) } : {}),
	};
	return from ? { ...change, from: Number(from), to: Number(to) } : change;
}

export function writeChange({ gate, unit, value, from, to, layer }) {
	const range = from == null ? "" : `@${from}-${to}`;
	return `${gate}${unit === "all" ? "*" : unit}${layer === undefined ? "" : `l${layer}`}:${Number(value.toFixed(4))}${range}`;
}

/** The state of a fragment. Missing and invalid values are left out; `dropped` has the units, layers and changes among them. */
export function readFragment(fragment) {
	const query = new URLSearchParams(fragment.replace(/^#/, ""));
	const found = {};
	const dropped = [];
	for (const [key, name] of [
		["t", "text"],
		["b", "b"],
	])
		if (query.has(key)) found[name] = query.get(key).slice(0, 100_000);
	if (query.has("cut")) found.cut = true;
	for (const [key, name, read] of FIELDS) {
		const text = query.get(key);
		const value = text ? read(text) : undefined;
		if (value !== undefined) found[name] = value;
		else if (text && NAMES[key]) dropped.push([key, text]);
	}
	if (query.get("x")) {
		const changes = query.get("x").split(",").slice(0, 32);
		found.changes = changes.map(parseChange).filter(Boolean);
		dropped.push(...changes.filter((text) => !parseChange(text)).map((text) => ["x", text]));
	}
	if (dropped.length) found.dropped = dropped;
	return found;
}

/** The name of what readFragment could not read: [key, text]. */
function nameOf([key, text]) {
	if (key !== "x") return `${NAMES[key]} ${safeText(text)}`;
	return /^[a-z]/i.test(text) && !/^[ifgoh]/.test(text) ? `gate ${safeText(text[0])}` : `change ${safeText(text, 20)}`;
}

/** A link's state without what the model lacks, and one sentence that names it: {found, note}. model: of GET /model. */
export function fitToModel({ dropped = [], ...found }, { model, methods }) {
	const missing = dropped.map(nameOf);
	const unitsOf = (layer) => unitCount({ model: { model }, layer });
	const drop = (key, name) => {
		missing.push(name);
		delete found[key];
	};
	const layers = model.layers.length;
	if (found.layer >= layers) drop("layer", `layer ${found.layer}`);
	if (found.u >= unitsOf(found.layer)) drop("u", `unit ${found.u}`);
	if (found.method && !methods.includes(found.method)) drop("method", `method ${found.method}`);
	for (const key of ["target", "against"]) {
		if (found[key] !== undefined && !model.labels.includes(found[key]))
			drop(key, `class “${safeText(found[key], 40)}”`);
	}
	const compared = model.task === "classification" && found.against !== found.target;
	if (found.against !== undefined && !compared) drop("against", `comparison with “${safeText(found.against, 40)}”`);
	const isFitting = ({ gate, unit, value, layer }) => {
		const name =
			layer >= layers
				? `layer ${layer}`
				: unit !== "all" && unit >= unitsOf(layer)
					? `unit ${unit}`
					: model.gate === "binary" && "ifo".includes(gate) && value !== 0 && value !== 1
						? `value ${value} of gate ${gate}`
						: null;
		if (name) missing.push(name);
		return !name;
	};
	const named = (one) => (one.layer === layers - 1 && one.unit !== "all" ? { ...one, layer: undefined } : one);
	if (found.changes) found.changes = found.changes.filter(isFitting).map(named);
	const names = [...new Set(missing)].slice(0, 8);
	return {
		found,
		note: names.length ? `The link names what this model lacks, and it is left out: ${names.join(", ")}.` : "",
	};
}

/** The fragment of a state. A text that is too long for a link is left out, and `cut` says so. */
export function writeFragment(state, extra = {}) {
	const query = new URLSearchParams();
	for (const [key, text] of [
		["t", state.text],
		["b", state.b],
	]) {
		if (!text) continue;
		if (encodeURIComponent(text).length > MAX_TEXT) query.set("cut", "1");
		else query.set(key, text);
	}
	for (const [key, name] of FIELDS)
		if (state[name] !== START[name]) query.set(key, state[name] === true ? "1" : state[name]);
	if (state.changes.length) query.set("x", state.changes.map(writeChange).join(","));
	for (const [key, value] of Object.entries(extra)) if (value) query.set(key, value);
	return query.toString();
}

/** Keeps the URL of the window equal to the state. */
export function createAddress(store) {
	let written = location.hash;
	let timer = 0;

	function urlOf(state = store.get(), extra = {}) {
		const fragment = writeFragment(state, { model: state.model?.model.fingerprint, ...extra });
		return `${location.origin}${location.pathname}${location.search}#${fragment}`;
	}

	function update(push) {
		const url = urlOf();
		if (url === location.href || location.hash !== written) return; // a link that is not read yet stays
		written = new URL(url).hash;
		history[push ? "pushState" : "replaceState"](null, "", url);
	}

	return {
		urlOf,
		push: () => store.get().model && update(true),
		replace() {
			if (timer || !store.get().model) return;
			timer = setTimeout(() => {
				timer = 0;
				update(false);
			}, 300);
		},
		/** The hash of a link that was opened since the last call; null where there is none. */
		opened: () => (location.hash === written ? null : (written = location.hash)),
	};
}
