// The whole state in the part of the address after #: it opens the same picture again, and no server ever sees it.

const GATES = "ifgo";
const PLANES = "ifgoch";
const SORTS = ["effect", "index", "jump", "first", "alike"];
const PARTS = ["change", "map", "compare", "unit", "training", "card", "cell", "examples"];
const MOST = 6000; // characters of a link that mail programs still keep whole

const whole = (text, most) => (/^\d{1,6}$/.test(text ?? "") && Number(text) < most ? Number(text) : null);

/** f37:1@3-9 as {gate, unit, value, from, to}; null for what means nothing. "*" stands for all units. */
export function parseChange(text) {
	const found = /^([ifgoh])(\d{1,6}|\*):(-?\d(?:\.\d{1,6})?)(?:@(\d{1,6})-(\d{1,6}))?$/.exec(text);
	if (!found) return null;
	const [, gate, unit, number, from, to] = found;
	const value = Number(number);
	if (value > 1 || value < (gate === "g" ? -1 : 0) || (from && Number(to) < Number(from))) return null;
	if (gate === "h" && (value !== 0 || unit === "*" || from)) return null;
	const change = { gate, unit: unit === "*" ? "all" : Number(unit), value, from: null, to: null };
	return from ? { ...change, from: Number(from), to: Number(to) } : change;
}

export function writeChange({ gate, unit, value, from, to }) {
	const range = from === null || from === undefined ? "" : `@${from}-${to}`;
	return `${gate}${unit === "all" ? "*" : unit}:${Number(value.toFixed(4))}${range}`;
}

async function through(stream, bytes) {
	const reply = new Response(new Blob([bytes]).stream().pipeThrough(stream));
	return new Uint8Array(await reply.arrayBuffer());
}

const toBase = (bytes) => {
	let raw = "";
	for (const byte of bytes) raw += String.fromCharCode(byte);
	return btoa(raw).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};
const fromBase = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

export async function pack(text) {
	return toBase(await through(new CompressionStream("deflate-raw"), new TextEncoder().encode(text)));
}

/** Back from `pack`; at most 100,000 characters, so that a small link cannot become an enormous text. */
export async function unpack(packed) {
	const stream = new Blob([fromBase(packed)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
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

/** The state that a fragment describes; what it does not say, or says wrongly, stays out. */
export async function read(fragment) {
	const query = new URLSearchParams(fragment.replace(/^#/, ""));
	const found = {};
	for (const [plain, packed, name] of [["t", "z", "text"], ["b", "bz", "b"]]) {
		if (query.has(plain)) found[name] = query.get(plain).slice(0, 100_000);
		else if (query.has(packed)) {
			try {
				found[name] = await unpack(query.get(packed));
			} catch {
				found.broken = true; // a link that was cut on its way
			}
		}
	}
	const numbers = { w: "w", u: "u", layer: "layer" };
	for (const [key, name] of Object.entries(numbers)) {
		const number = whole(query.get(key), 1_000_000);
		if (number !== null) found[name] = number;
	}
	const step = whole(query.get("s"), 8);
	if (step) found.s = step;
	if (query.get("p")?.length === 1 && PLANES.includes(query.get("p"))) found.plane = query.get("p");
	if (SORTS.includes(query.get("o"))) found.sort = query.get("o");
	if (["account", "unit", "off"].includes(query.get("by"))) found.by = query.get("by");
	if (/^[a-z-]{1,40}$/.test(query.get("m") ?? "")) found.method = query.get("m");
	if (query.has("x")) found.changes = query.get("x").split(",").slice(0, 32).map(parseChange).filter(Boolean);
	if (query.get("g") === "1") found.guess = true;
	if (query.get("present") === "1") found.present = true;
	if (["light", "dark"].includes(query.get("th"))) found.theme = query.get("th");
	if (query.has("hide")) found.hide = query.get("hide").split(",").filter((part) => PARTS.includes(part));
	if (/^[0-9a-f]{8}$/.test(query.get("model") ?? "")) found.madeWith = query.get("model");
	return found;
}

/** The fragment of a state, and whether the text had to be left out of it. */
export async function write(state, extra = {}) {
	const query = new URLSearchParams();
	let long = false;
	for (const [plain, packed, text] of [["t", "z", state.text], ["b", "bz", state.b]]) {
		if (text === null || text === "") continue;
		const small = text.length <= 400 ? null : await pack(text);
		if (small !== null && small.length > MOST) long = true;
		else query.set(small === null ? plain : packed, small ?? text);
	}
	for (const key of ["w", "u", "layer"]) if (state[key] !== null) query.set(key, state[key]);
	if (state.s !== 5) query.set("s", state.s);
	if (state.plane !== "c") query.set("p", state.plane);
	if (state.sort !== "effect") query.set("o", state.sort);
	if (state.by !== "account") query.set("by", state.by);
	if (state.method) query.set("m", state.method);
	if (state.changes.length) query.set("x", state.changes.map(writeChange).join(","));
	if (state.guess) query.set("g", "1");
	if (state.present) query.set("present", "1");
	if (state.hide.length) query.set("hide", state.hide.join(","));
	for (const [key, value] of Object.entries(extra)) if (value) query.set(key, value);
	return { fragment: query.toString(), long };
}

export { GATES, PARTS, SORTS };
