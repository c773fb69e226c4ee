// The state as the URL's fragment (after #), which restores the same view and which browsers do not send to a server.

import { SORTS, START } from "./store.js";

const HEATMAPS = "ifgoch";
export const PARTS = ["interventions", "heatmap", "compare", "unit", "training", "card", "cell", "examples"];
const MAX_TEXT = 6000; // characters of a text in a link: mail programs cut longer links
/** The state of a link that names nothing. */
export const UNLINKED = Object.fromEntries(
	"w u s heatmap sort allUnits colourBy method layer target against changes b bModel guess hide".split(" ").map((key) => [key, START[key]]));

const integer = (text, end) => (/^\d{1,6}$/.test(text ?? "") && Number(text) < end ? Number(text) : null);

/** Parse f37:1@3-9 into {gate, unit, value, from, to}; "*" stands for all units. Null for anything else. */
export function parseChange(text) {
	const found = /^([ifgoh])(\d{1,6}|\*)(?:l(\d{1,2}))?:(-?\d(?:\.\d{1,6})?)(?:@(\d{1,6})-(\d{1,6}))?$/.exec(text);
	if (!found) return null;
	const [, gate, unit, layer, number, from, to] = found;
	const value = Number(number);
	if (value > 1 || value < (gate === "g" ? -1 : 0) || (from && Number(to) < Number(from))) return null;
	if (gate === "h" && (value !== 0 || unit === "*" || from)) return null;
	const change = { gate, unit: unit === "*" ? "all" : Number(unit), value, from: null, to: null, ...(layer ? { layer: Number(layer) } : {}) };
	return from ? { ...change, from: Number(from), to: Number(to) } : change;
}

export function writeChange({ gate, unit, value, from, to, layer }) {
	const range = from == null ? "" : `@${from}-${to}`;
	return `${gate}${unit === "all" ? "*" : unit}${layer === undefined ? "" : `l${layer}`}:${Number(value.toFixed(4))}${range}`;
}

const toBase64 = (bytes) => {
	let raw = "";
	for (const byte of bytes) raw += String.fromCharCode(byte);
	return btoa(raw).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};
const fromBase64 = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

/** A text, compressed for a URL. */
export async function compress(text) {
	const stream = new Blob([new TextEncoder().encode(text)]).stream().pipeThrough(new CompressionStream("deflate-raw"));
	return toBase64(new Uint8Array(await new Response(stream).arrayBuffer()));
}

/** The inverse of `compress`. At most 100,000 characters, so that a small link cannot become an enormous text. */
export async function decompress(compressed) {
	const stream = new Blob([fromBase64(compressed)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
	const parts = [];
	let size = 0;
	for (const reader = stream.getReader(); ; ) {
		const { done, value } = await reader.read();
		if (done) break;
		size += value.length;
		if (size > 400_000) throw new Error("too long");
		parts.push(value);
	}
	return new TextDecoder().decode(await new Blob(parts).arrayBuffer()).slice(0, 100_000);
}

/** The state of a fragment. Missing and invalid values are left out; `dropped` has the units, layers and changes among them. */
export async function readFragment(fragment) {
	const query = new URLSearchParams(fragment.replace(/^#/, ""));
	const found = {};
	const dropped = [];
	for (const [plain, compressed, name] of [["t", "z", "text"], ["b", "bz", "b"]]) {
		if (query.has(plain)) found[name] = query.get(plain).slice(0, 100_000);
		else if (query.has(compressed)) {
			try {
				found[name] = await decompress(query.get(compressed));
			} catch {
				found.broken = true; // the link was cut
			}
		}
	}
	for (const key of ["w", "step", "u", "layer"]) {
		const number = integer(query.get(key), 1_000_000);
		if (number !== null) found[key] = number;
		else if (query.get(key)) dropped.push([key, query.get(key)]);
	}
	const step = integer(query.get("s"), 8);
	if (step) found.s = step;
	if (query.get("p")?.length === 1 && HEATMAPS.includes(query.get("p"))) found.heatmap = query.get("p");
	if (SORTS.includes(query.get("o"))) found.sort = query.get("o");
	if (query.get("all") === "1") found.allUnits = true;
	if (["attribution", "unit", "off"].includes(query.get("by"))) found.colourBy = query.get("by");
	if (/^[a-z-]{1,40}$/.test(query.get("m") ?? "")) found.method = query.get("m");
	for (const [key, name] of [["served", "served"], ["bm", "bModel"]]) if (/^[\w.-]{1,200}$/.test(query.get(key) ?? "")) found[name] = query.get(key);
	for (const key of ["target", "against"]) if (query.get(key)) found[key] = query.get(key).slice(0, 300);
	if (query.get("x")) {
		const changes = query.get("x").split(",").slice(0, 32);
		found.changes = changes.map(parseChange).filter(Boolean);
		dropped.push(...changes.filter((text) => !parseChange(text)).map((text) => ["x", text]));
	}
	if (query.get("g") === "1") found.guess = true;
	if (query.get("present") === "1") found.present = true;
	if (["light", "dark"].includes(query.get("th"))) found.theme = query.get("th");
	if (query.has("hide")) found.hide = query.get("hide").split(",").filter((part) => PARTS.includes(part));
	if (/^[0-9a-f]{8}$/.test(query.get("model") ?? "")) found.madeWith = query.get("model");
	if (dropped.length) found.dropped = dropped;
	return found;
}

/** The fragment of a state. long: whether a text is too long and left out. */
export async function writeFragment(state, extra = {}) {
	const query = new URLSearchParams();
	let long = false;
	for (const [plain, compressed, text] of [["t", "z", state.text], ["b", "bz", state.b]]) {
		if (text === null || text === "") continue;
		const short = text.length <= 400 ? null : await compress(text);
		if (short !== null && short.length > MAX_TEXT) long = true;
		else query.set(short === null ? plain : compressed, short ?? text);
	}
	for (const key of ["w", "step", "u", "layer"]) if (state[key] !== null) query.set(key, state[key]);
	if (state.s !== 5) query.set("s", state.s);
	if (state.heatmap !== "c") query.set("p", state.heatmap);
	if (state.sort !== "effect") query.set("o", state.sort);
	if (state.allUnits) query.set("all", "1");
	if (state.colourBy !== "attribution") query.set("by", state.colourBy);
	if (state.method) query.set("m", state.method);
	for (const [key, name] of [["served", "served"], ["bm", "bModel"]]) if (state[name] !== null) query.set(key, state[name]);
	for (const key of ["target", "against"]) if (state[key] !== null) query.set(key, state[key]);
	if (state.changes.length) query.set("x", state.changes.map(writeChange).join(","));
	if (state.guess) query.set("g", "1");
	if (state.present) query.set("present", "1");
	if (state.hide.length) query.set("hide", state.hide.join(","));
	for (const [key, value] of Object.entries(extra)) if (value) query.set(key, value);
	return { fragment: query.toString(), long };
}

/** Keeps the URL of the window equal to the state. */
export function createAddress(store) {
	let written = location.hash;
	let timer = 0;

	async function urlOf(state = store.get(), extra = {}) {
		const { fragment, long } = await writeFragment(state, { model: state.model?.model.fingerprint, ...extra });
		return { url: `${location.origin}${location.pathname}${location.search}#${fragment}`, long };
	}

	async function update(push) {
		const { url } = await urlOf();
		if (url === location.href) return;
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
		isCurrent: () => location.hash === written,
	};
}
