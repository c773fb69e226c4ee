// Wiring: one store, one loader, the figure, and what only the served page has around it.

import { source } from "./api.js";
import { createChange, fitting } from "./change.js";
import { button, fmt, put, say, shown } from "./dom.js";
import { chipsFor } from "./examples.js";
import { createFigure } from "./figure.js";
import { createKeys } from "./keys.js";
import { createAddress } from "./address.js";
import { createLoader } from "./loader.js";
import { createStore, stepsOf, unitNow } from "./store.js";
import { createTheme } from "./theme.js";
import { read } from "./url.js";
import { createPresent } from "./present.js";

const at = (id) => document.getElementById(id);
const inside = (id) => at(id).querySelector(":scope > div");
const store = createStore();
const loader = createLoader(store, source);
const present = createPresent(store);
const theme = createTheme(at("dotheme"), store);
const box = at("text");

const change = createChange(inside("change"), store);
const figure = createFigure(
	{ verdict: at("verdict"), staff: at("words"), unit: at("unit"), cell: at("cell"), steps: at("steps"), map: inside("map") },
	store, loader, { onGate: (gate) => { at("change").open = true; change.focus(gate); } },
);
const address = createAddress(store);

// What is not on the first screen comes when it is first opened.
const once = (make) => {
	let made = null;
	return () => (made ??= make());
};
const compare = once(async () => (await import("./compare.js")).createCompare(inside("compare"), store, loader));
const panels = once(async () => {
	const { createUnitPanel, drawCard, drawTraining } = await import("./panels.js");
	drawTraining(inside("training"), store.get().model);
	drawCard(inside("card"), store.get().model.card);
	return createUnitPanel(inside("unitpage"), store, source);
});
const link = once(async () => (await import("./link.js")).createLink(at("link"), store, address));
const showLink = async () => (await link()).show();

// The text box: every key asks at once, and an answer to an older text is dropped.
let committed = "";
box.addEventListener("input", () => {
	store.set({ text: box.value, example: null, w: null, changes: fitting(store.get().changes, 1e9) });
	loader.load();
});
box.addEventListener("blur", () => commit());
const commit = () => {
	if (committed === store.get().text) return;
	committed = store.get().text;
	address.push();
};

/** Another text in one step, which undo takes back. */
function setText(text, what, example = null) {
	store.set({ text, example, w: null, u: null, changes: [] }, { undo: what });
}
at("clear").addEventListener("click", () => {
	setText("", "text cleared");
	box.focus();
});
at("guess").addEventListener("change", () => store.set({ guess: at("guess").checked }));

const turnOfChip = new Map();
let chips = [];
function useChip(n) {
	const chip = chips[n];
	if (!chip) return;
	const turn = turnOfChip.get(n) ?? 0;
	turnOfChip.set(n, turn + 1);
	const [people, text, other] = chip.texts[turn % chip.texts.length];
	setText(text, `example ${chip.name}`, { name: chip.name, people, text, look: chip.look });
	if (other) openCompare(other);
}

async function openCompare(text) {
	at("compare").open = true;
	store.set({ b: text ?? store.get().b ?? "" });
	return compare();
}
async function toggleCompare() {
	const open = !at("compare").open;
	at("compare").open = open;
	if (open) {
		(await openCompare()).focus();
		at("compare").scrollIntoView({ block: "nearest" });
	} else store.set({ b: null }, { undo: "comparison closed" });
}
at("docompare").addEventListener("click", toggleCompare);
at("dolink").addEventListener("click", showLink);
at("dopresent").addEventListener("click", () => present());

const planeKey = (name) => () => store.set({ plane: name });
const sorts = ["effect", "index", "jump", "first", "alike"];
const next = (list, now) => list[(list.indexOf(now) + 1) % list.length];
const keys = createKeys(at("figure"), at("keys"), {
	e: () => box.focus(),
	" ": () => figure.player.toggle(),
	",": () => figure.player.speed(-1),
	".": () => figure.player.speed(1),
	i: planeKey("i"), f: planeKey("f"), g: planeKey("g"), o: planeKey("o"), c: planeKey("c"), h: planeKey("h"),
	s: () => store.set({ sort: next(sorts, store.get().sort) }, { undo: "units sorted" }),
	"+": () => onMap((map) => map.zoom(0.6))(), "-": () => onMap((map) => map.zoom(1.6))(), 0: () => onMap((map) => map.fit())(),
	t: () => { at("map").open = true; onMap((map) => map.toggleTable())(); },
	v: () => store.set({ by: next(["account", "unit", "off"], store.get().by) }),
	k: () => { at("change").open = true; change.focus("f"); },
	x: () => change.toggleSilence(),
	b: () => void toggleCompare(),
	q: () => store.set({ guess: !store.get().guess }),
	m: () => present(),
	l: () => void showLink(),
	d: () => theme.turn(),
	"?": () => keys.show(),
	1: () => useChip(0), 2: () => useChip(1), 3: () => useChip(2), 4: () => useChip(3),
	// In present mode the arrows always step.
	ArrowRight: () => store.get().present && figure.player.go(1), ArrowLeft: () => store.get().present && figure.player.go(-1),
	ArrowUp: () => store.get().present && figure.turn(-1), ArrowDown: () => store.get().present && figure.turn(1),
}, {
	undo: () => change.tell(store.undo()),
	redo: () => change.tell(store.redo()),
	escape: (event) => {
		if (event.target === box) at("words").querySelector("[tabindex='0']")?.focus();
		else if (store.get().present) present(false);
		else store.set({ hover: null, w: null, u: null });
	},
});
at("dokeys").addEventListener("click", () => keys.show());
function drawAround(state, changed) {
	const any = (...names) => names.some((name) => changed.has(name));
	if (any("text") && box.value !== state.text) {
		box.value = state.text;
		loader.load();
		commit();
	}
	if (any("data", "text")) {
		const { text, warnings = [], cache } = state.data ?? {};
		const unknown = text?.tokens?.unknown.length ?? 0;
		const tokenNoun = state.model?.model.task === "series" ? "step" : "word";
		const counted = text ? text.kept - Object.keys(text.tokens?.names ?? {}).length : 0;
		const known = tokenNoun === "step" ? "" : unknown ? ` · ${unknown} not in the vocabulary` : " · all known";
		put(at("counts"), text ? `${counted.toLocaleString("en")} ${tokenNoun}${counted === 1 ? "" : "s"}${known} · ${fmt(cache.ms, 0)} ms` : "");
		const said = warnings.map((one) => one.say).join(" ");
		const look = state.example?.look ? `${state.example.name}: ${state.example.look}` : "";
		put(at("look"), [state.linkNote, said, look].filter(Boolean).join(" · "));
		if (state.data?.text && fitting(state.changes, text.kept).length < state.changes.length) store.set({ changes: fitting(state.changes, text.kept) });
	}
	if (any("problem")) {
		at("problem").hidden = !state.problem;
		at("problem").replaceChildren(...(state.problem ? [shown(state.problem.say, 300), " ", button("Retry", { onclick: () => state.problem.retry?.() })] : []));
	}
	if (any("busy")) at("busy").hidden = !state.busy;
	if (any("guess")) at("guess").checked = state.guess;
	if (any("present")) {
		document.body.classList.toggle("present", state.present);
		at("dopresent").setAttribute("aria-pressed", state.present);
		if (state.present) at("map").open = false;
	}
	if (any("b")) at("docompare").setAttribute("aria-pressed", state.b !== null);
	if (any("hide")) {
		const ids = { cell: "cellbox", unit: "unitpage" };
		for (const part of ["change", "map", "compare", "unit", "training", "card", "cell", "examples"]) at(ids[part] ?? part).classList.toggle("lessonhidden", state.hide.includes(part));
		document.body.classList.toggle("nocell", state.hide.includes("cell"));
	}
	if (any("data", "w", "u", "changes", "model")) change.draw(state);
	if (any("data", "u", "layer", "model") && at("unitpage").open) panels().then((unit) => unit.draw(state));
	if (any("data", "guess", "guessOf")) {
		const p = state.data && !(state.guess && state.guessOf !== state.data.id) ? state.data.verdict : null;
		put(at("sticky"), p ? `${shown(p.label, 24)} · ${shown(p.towards, 24)} ${fmt(p.p)}` : "");
		if (changed.has("data") && p && document.activeElement === box) say(`${p.label}, ${p.towards} ${fmt(p.p)}`);
	}
}
store.subscribe(drawAround);
store.subscribe(() => address.replace());
for (const id of ["unitpage", "training", "card"]) {
	at(id).addEventListener("toggle", async () => store.get().model && (await panels()).draw(store.get()));
}
at("compare").addEventListener("toggle", () => at("compare").open && openCompare());
let mapSeen = false;
const asDetails = () => {
	const needed = at("map").open && mapSeen;
	if (needed) figure.openMap();
	loader.need(needed);
};
const onMap = (does) => () => void figure.openMap().then(does);
new IntersectionObserver(([entry]) => {
	mapSeen = entry.isIntersecting;
	asDetails();
}, { rootMargin: "200px" }).observe(at("map"));
at("map").addEventListener("toggle", asDetails);
new IntersectionObserver(([entry]) => {
	at("sticky").hidden = entry.isIntersecting || entry.boundingClientRect.top > 0;
}).observe(at("verdict"));

function showModel(model) {
	const { task, units, layers, directions } = model.model;
	const best = model.evaluations.at(-1);
	const parts = [`${units * directions.length} units`];
	if (layers > 1) parts.push(`${layers} layers`);
	if (directions.length > 1) parts.push("both directions");
	if (best) parts.push(`${shown(best.data, 60)}: accuracy ${fmt(best.accuracy, 3)}`);
	put(at("about"), [shown(model.name, 40), ...parts].join(" · "));
	chips = chipsFor(model.model);
	at("examples").replaceChildren(...chips.map((chip, n) => button(chip.name, { class: "chip", onclick: () => useChip(n) })));
	if (task === "series") {
		box.placeholder = `Numbers, ${model.model.channels} a line: one line a step. The verdict follows as you type.`;
		at("words").setAttribute("aria-label", "The series as it was read");
	}
}

async function boot(fromLink) {
	const { theme: wanted, madeWith, broken, ...found } = fromLink;
	if (wanted) theme.set(wanted);
	try {
		const model = await source.model();
		store.set({ model });
		showModel(model);
		const other = madeWith && madeWith !== model.model.fingerprint;
		const cut = broken ? "The link was cut on its way: its text is not whole. " : ""; // it stays, whatever an answer says
		if (cut || other) store.set({ linkNote: cut + (other ? `The link was made with model ${madeWith}, this is ${model.model.fingerprint}: numbers differ.` : "") });
	} catch (error) {
		store.set({ problem: { say: error.message, retry: () => boot(fromLink) } });
		return;
	}
	if (found.b) openCompare(found.b);
	if (found.text === undefined) useFirst(found);
	else store.set(found);
	committed = store.get().text;
}

function useFirst(found) {
	turnOfChip.set(0, 1);
	const [people, text] = chips[0].texts[0];
	store.set({ ...found, text, example: { ...chips[0], people, text } });
}

globalThis.addEventListener("hashchange", async () => {
	if (address.own()) return;
	const { theme: wanted, ...found } = await read(location.hash);
	if (wanted) theme.set(wanted);
	store.set({ w: null, u: null, changes: [], b: null, method: null, ...found });
});
for (const id of ["change", "map"]) at(id).open = innerWidth > 760; // a phone shows them when they are asked for
figure.draw();
globalThis.gatewise = { store, stepsOf, unitNow }; // for whoever is curious in the console, and for our tests: there before a packed link is read
boot(await read(location.hash));
