// The entry of the served page: one store, one loader, the figure, and the controls around it.

import { api, onBusy } from "./api.js";
import { announce, button, el, fmt, lazy, safeText, setText } from "./dom.js";
import { examplesFor } from "./examples.js";
import { createFigure } from "./figure.js";
import { createInterventions, fittingChanges } from "./interventions.js";
import { createKeys } from "./keys.js";
import { createLoader } from "./loader.js";
import { SORTS, createStore, selectedUnit, tokenNounOf } from "./store.js";
import { createPresentation, createTheme } from "./theme.js";
import { PARTS, UNLINKED, createAddress, readFragment } from "./url.js";
import { labelOf, valueText, weightsText } from "./value.js";

const byId = (id) => document.getElementById(id);
const inside = (id) => byId(id).querySelector(":scope > div");
const store = createStore();
const loader = createLoader(store, api);
const present = createPresentation(store);
const theme = createTheme(byId("themebutton"), store);
const box = byId("text");

const interventions = createInterventions(inside("interventions"), store);
const figure = createFigure(
	{ ...Object.fromEntries(["prediction", "words", "unit", "cell", "steps"].map((id) => [id, byId(id)])), heatmap: inside("heatmap") },
	store, loader, { onGate: (gate) => clampGate(gate), importAgain: (name, suffix) => import(`./${name}.js${suffix}`) },
);
const address = createAddress(store);

function clampGate(gate) {
	byId("interventions").open = true;
	interventions.focus(gate);
}

// Parts below the first screen are loaded when they are first opened.
const compare = lazy(async (suffix) => {
	const { createCompare } = await (suffix ? import(`./compare.js${suffix}`) : import("./compare.js"));
	inside("compare").replaceChildren();
	return createCompare(inside("compare"), store, loader);
}, inside("compare"));
const stream = lazy(async (suffix) => (await (suffix ? import(`./stream.js${suffix}`) : import("./stream.js"))).createStream(inside("stream"), store, api), inside("stream"));
const panels = lazy(async (suffix) => {
	const { createUnitPanel, drawCard, drawTraining } = await (suffix ? import(`./panels.js${suffix}`) : import("./panels.js"));
	drawTraining(inside("training"), store.get().model);
	drawCard(inside("card"), store.get().model.card);
	const unit = createUnitPanel(inside("unitpanel"), store, api);
	if (byId("unitpanel").open) unit.draw(store.get());
	return unit;
}, inside("training"), inside("card"), inside("unitpanel"));
const link = lazy(async (suffix) => {
	const { createLink } = await (suffix ? import(`./link.js${suffix}`) : import("./link.js"));
	return createLink(byId("link"), store, address);
});
const tour = lazy(async (suffix) => {
	const { createTour } = await (suffix ? import(`./tour.js${suffix}`) : import("./tour.js"));
	return createTour(byId("tourbutton"));
});
const startTour = async () => {
	const cards = await tour();
	if (cards) cards.start();
	else store.set({ error: { message: "Cannot reach the server.", retry: startTour } });
};
const showLink = async () => {
	const dialog = await link();
	if (dialog) dialog.show();
	else store.set({ error: { message: "Cannot reach the server.", retry: showLink } });
};

let started = false;
let typing = false; // one entry of the history until blur
box.addEventListener("input", () => {
	store.set({ text: box.value, example: null, linkNote: null, w: null, step: null, changes: fittingChanges(store.get().changes, 1e9) });
	loader.load();
	if (!typing) address.push();
	typing = true;
});
box.addEventListener("blur", () => (typing = false));

/** Replace the text in one step, which undo reverts. */
function replaceText(text, name, example = null) {
	store.set({ text, example, w: null, step: null, u: null, changes: [] }, { undo: name });
}
byId("clear").addEventListener("click", () => {
	replaceText("", "text cleared");
	box.focus();
});
byId("guess").addEventListener("change", () => store.set({ guess: byId("guess").checked }));

let examples = [];
const uses = new Map(); // how often each example was chosen: it has several texts
function useExample(n) {
	if (!examples[n]) return;
	const { name, hint, texts, own = false } = examples[n];
	const used = uses.get(n) ?? 0;
	uses.set(n, used + 1);
	const [label, text, other] = texts[used % texts.length];
	replaceText(text, `example ${name}`, { name, label, text, hint, own });
	if (other) openCompare(other);
}

async function openCompare(text) {
	byId("compare").open = true;
	store.set({ b: text ?? store.get().b ?? store.get().text });
	return compare();
}
async function toggleCompare() {
	const open = !byId("compare").open;
	byId("compare").open = open;
	if (open) {
		(await openCompare())?.focus();
		byId("compare").scrollIntoView({ block: "nearest" });
	}
}
byId("comparebutton").addEventListener("click", toggleCompare);
byId("linkbutton").addEventListener("click", showLink);
byId("tourbutton").addEventListener("click", startTour);
byId("presentbutton").addEventListener("click", () => present());
byId("leavebutton").addEventListener("click", () => present(false));

const next = (list, now) => list[(list.indexOf(now) + 1) % list.length];
const keys = createKeys(byId("figure"), byId("keys"), {
	e: () => box.focus(),
	" ": () => figure.player.toggle(),
	",": () => figure.player.speed(-1),
	".": () => figure.player.speed(1),
	...Object.fromEntries([..."ifgoch"].map((name) => [name, () => store.set({ heatmap: name })])),
	s: () => store.set({ sort: next(SORTS, store.get().sort) }, { undo: "units sorted" }),
	"+": () => onHeatmap((map) => map.zoom(0.6)), "-": () => onHeatmap((map) => map.zoom(1.6)), 0: () => onHeatmap((map) => map.fit()),
	t: () => { byId("heatmap").open = true; onHeatmap((map) => map.toggleTable()); },
	v: () => store.set({ colourBy: next(["attribution", "unit", "off"], store.get().colourBy) }),
	k: () => clampGate("f"),
	x: () => interventions.toggleAblation(),
	b: () => void toggleCompare(),
	q: () => store.set({ guess: !store.get().guess }),
	m: () => present(),
	l: () => void showLink(),
	d: () => theme.next(),
	"?": () => keys.show(),
	...Object.fromEntries([1, 2, 3, 4].map((n) => [n, () => useExample(n - 1)])),
	// In presentation mode the arrow keys always step.
	ArrowRight: () => store.get().present && figure.player.go(1), ArrowLeft: () => store.get().present && figure.player.go(-1),
	ArrowUp: () => store.get().present && figure.moveUnit(-1), ArrowDown: () => store.get().present && figure.moveUnit(1),
}, {
	undo: () => interventions.showStatus(store.undo()),
	redo: () => interventions.showStatus(store.redo()),
	escape: (event) => {
		if (event.target === box) byId("words").querySelector("[tabindex='0']")?.focus();
		else if (store.get().present) present(false);
		else if (!figure.collapseCell()) store.set({ hover: null });
	},
});
byId("keysbutton").addEventListener("click", () => keys.show());
function drawAround(state, changed) {
	const any = (...names) => names.some((name) => changed.has(name));
	if (any("text") && box.value !== state.text) {
		box.value = state.text;
		typing = false;
		loader.load();
		if (started) address.push();
	}
	if (any("data", "text", "linkNote", "outdated")) {
		const { text, warnings = [], cache } = state.outdated && state.data.inputText !== state.text ? {} : (state.data ?? {});
		const unknown = text?.tokens?.unknown.length ?? 0;
		const tokenNoun = tokenNounOf(state);
		const counted = text ? text.kept - Object.keys(text.tokens?.names ?? {}).length : 0;
		const known = tokenNoun === "step" ? "" : unknown ? ` · ${unknown} not in the vocabulary` : " · all in the vocabulary";
		setText(byId("counts"), text ? `${counted.toLocaleString("en")} ${tokenNoun}${counted === 1 ? "" : "s"}${known}${cache ? ` · ${fmt(cache.ms, 0)} ms` : ""}` : "");
		const messages = warnings.map((one) => one.message).join(" ");
		const hint = state.example?.hint ? `${state.example.name}: ${state.example.hint}` : "";
		setText(byId("hint"), [state.linkNote, messages, hint].filter(Boolean).join(" · "));
		const changes = text && state.data.inputText === state.text ? fittingChanges(state.changes, text.kept) : state.changes;
		if (changes.length < state.changes.length) store.set({ changes });
	}
	if (any("error", "outdated")) {
		const { error, outdated, data } = state;
		const what = data?.inputText === state.text ? "the prediction before the change" : "the text";
		const below = error && outdated ? ` Below: ${what} as of ${data.at.toTimeString().slice(0, 5)}.` : "";
		byId("error").hidden = !error;
		byId("error").replaceChildren(...(error ? [safeText(error.message, 300), below, " ", button("Retry", { onclick: () => error.retry?.() })] : []));
		document.body.classList.toggle("outdated", outdated);
	}
	if (any("busy")) byId("busy").hidden = !state.busy;
	if (any("busy", "data", "text")) document.body.classList.toggle("behind", state.busy && state.data !== null && state.data.inputText !== state.text);
	if (any("error", "model")) document.body.classList.toggle("unstarted", Boolean(state.error && !state.model));
	// Before the first answer, what comes below the text has no height yet.
	if (any("data", "error", "model", "text")) document.body.classList.toggle("starting", !state.data && !state.error && !(state.model && !state.text));
	if (any("guess")) byId("guess").checked = state.guess;
	if (any("present")) {
		document.body.classList.toggle("present", state.present);
		byId("presentbutton").setAttribute("aria-pressed", state.present);
		if (state.present) {
			byId("heatmap").open = false;
			scrollTo(0, 0);
		}
		// The focused control may have been hidden.
		if (state.model && !document.activeElement.checkVisibility()) (state.present ? byId("leavebutton") : byId("presentbutton")).focus();
	}
	if (any("b")) {
		byId("comparebutton").setAttribute("aria-pressed", state.b !== null);
		byId("compare").open = state.b !== null;
	}
	if (any("hide")) {
		const ids = { cell: "cellsection", unit: "unitpanel" };
		for (const part of PARTS) byId(ids[part] ?? part).classList.toggle("hiddenpart", state.hide.includes(part));
		document.body.classList.toggle("nocell", state.hide.includes("cell"));
	}
	if (any("data", "w", "u", "changes", "model")) interventions.draw(state);
	if (any("data", "u", "layer", "model") && byId("unitpanel").open) panels().then((unit) => unit?.draw(state));
	if (any("data", "guess", "guessedId", "outdated")) {
		const shown = state.data && !(state.guess && state.guessedId !== state.data.id) ? state.data.prediction : null;
		setText(byId("sticky"), shown ? `${state.outdated ? "Outdated: " : ""}${labelOf(shown, state.data.model)} · ${valueText(shown)}` : "");
		if (changed.has("data") && shown && document.activeElement === box) announce(`${labelOf(shown, state.data.model)}, ${valueText(shown)}`);
	}
}
store.subscribe(drawAround);
onBusy((busy) => store.set({ busy }));
store.subscribe(() => address.replace());
for (const id of ["unitpanel", "training", "card"]) {
	byId(id).addEventListener("toggle", async () => byId(id).open && store.get().model && (await panels())?.draw(store.get()));
}
byId("stream").addEventListener("toggle", () => void stream());
byId("compare").addEventListener("toggle", () => {
	if (byId("compare").open) openCompare();
	else if (store.get().b !== null) store.set({ b: null, bModel: null }, { undo: "comparison closed" });
});
let heatmapInView = false;
function updateHeatmap() {
	const visible = byId("heatmap").open && heatmapInView;
	if (visible) figure.openHeatmap();
	loader.showHeatmap(visible);
}
const onHeatmap = (action) => void figure.openHeatmap().then((map) => map && action(map));
new IntersectionObserver(([entry]) => {
	heatmapInView = entry.isIntersecting;
	updateHeatmap();
}, { rootMargin: "200px" }).observe(byId("heatmap"));
byId("heatmap").addEventListener("toggle", updateHeatmap);
new IntersectionObserver(([entry]) => {
	byId("sticky").hidden = entry.isIntersecting || entry.boundingClientRect.top > 0;
}).observe(byId("prediction"));

/** Show another served model. The page starts again, with the same text if the model reads it. */
async function chooseModel(name) {
	const state = store.get();
	const { models } = state.model;
	const inputsOf = (wanted) => models.find((one) => one.name === wanted).inputs;
	const kept = inputsOf(name) === inputsOf(state.model.served) ? { text: state.text, b: state.b } : { text: "", b: null };
	const own = { u: null, w: null, step: null, layer: null, method: null, target: null, against: null, changes: [], bModel: null };
	const { url } = await address.urlOf({ ...state, ...own, ...kept, served: name }, { model: null });
	history.pushState(kept.text ? kept : null, "", url); // a long text is not in the address
	location.reload();
}
byId("models").addEventListener("change", () => chooseModel(byId("models").value));

function showModel(model) {
	const { inputs, layers } = model.model;
	const evaluation = model.evaluations.at(-1);
	const sizes = layers.map(({ units, directions }) => units * directions.length);
	const parts = [`${new Set(sizes).size > 1 ? sizes.join(" + ") : sizes[0]} units`];
	if (layers.length > 1) parts.push(`${layers.length} layers`);
	if (layers.some(({ directions }) => directions.length > 1)) parts.push("bidirectional");
	if (model.members.length > 1) parts.push(weightsText(model.members));
	if (evaluation) parts.push(`${safeText(evaluation.data.split(":")[0], 60)}: ${evaluation.figures.split(",")[0].split(" (")[0]}`);
	setText(byId("modelname"), [safeText(model.name, 40), ...parts].join(" · "));
	const { models = [], served } = model; // an exported page has one model
	byId("models").replaceChildren(...models.map(({ name }) => el("option", { value: name }, name)));
	byId("models").value = served;
	byId("models").hidden = models.length < 2;
	examples = examplesFor(model);
	box.readOnly = Boolean(model.exported);
	byId("guess").parentElement.hidden = model.model.task === "regression"; // a number has no probability to guess
	const chipOf = (n) => button(examples[n].name, { class: "chip", onclick: () => useExample(n) });
	const [plain, failing] = [false, true].map((fails) => [...examples.keys()].filter((n) => Boolean(examples[n].fails) === fails).map(chipOf));
	const group = failing.length ? [el("span", { class: "chips", role: "group", "aria-labelledby": "fails" }, el("span", { class: "muted", id: "fails" }, "Where it fails:"), failing)] : [];
	byId("examples").replaceChildren(...plain, ...group);
	byId("examples").hidden = !examples.length;
	if (inputs === "series") {
		setText(byId("purpose"), "This page shows how a trained LSTM network computes a prediction from a series, one time step at a time.");
		box.placeholder = `${model.model.channels} numbers per line, one line per time step. The prediction updates as you type.`;
		byId("words").setAttribute("aria-label", "The steps of the series");
		setText(byId("compare").querySelector("h2"), "Compare two series");
		byId("stream").hidden = Boolean(model.exported);
		setText(byId("heatmap").querySelector("h2"), "Heat map: units and steps");
	}
}

/** A link's state without what the model lacks, and one sentence that names it. */
async function fit(state, model) {
	if (!model || !location.hash) return { found: state, note: "" };
	return (await import("./linkfit.js")).fitToModel(state, model);
}

/** The model of that name, or if the server has no such model the first one with a sentence that says so. */
async function fetchModel(name) {
	try {
		return { model: await api.model(name), missing: "" };
	} catch (error) {
		if (error.status !== 404 || name === null) throw error;
		return { model: await api.model(null), missing: `The server does not serve the model ${name} of the link. ` };
	}
}

async function startPage(linked) {
	const { theme: linkedTheme, madeWith, broken, ...state } = linked;
	let found;
	if (linkedTheme) theme.set(linkedTheme);
	try {
		const { model, missing } = await fetchModel(linked.served ?? null);
		if (missing) state.served = null;
		store.set({ model, served: state.served ?? null });
		showModel(model);
		if (model.exported ?? model.made) (await import("./exported.js")).describe(model, store);
		const other = madeWith && madeWith !== model.model.fingerprint;
		const cut = `${missing}${broken ? "The link is incomplete: its text is missing. " : ""}`;
		const fitted = await fit(state, model);
		found = fitted.found;
		const differs = other ? `The link was made with model ${madeWith}, this is ${model.model.fingerprint}: numbers differ. ` : "";
		if (cut || other || fitted.note) store.set({ linkNote: cut + differs + fitted.note });
	} catch (error) {
		store.set({ error: { message: error.message, retry: () => startPage(linked) } });
		return;
	}
	if (found.text === undefined) useFirstExample(found);
	else store.set(found);
	started = true;
}

function useFirstExample(found) {
	uses.set(0, 1);
	if (!examples.length) {
		store.set({ ...found, linkNote: found.linkNote ?? "This model keeps no examples: write a text like those that it was trained on." });
		return;
	}
	const { name, hint, own = false, texts: [[label, text]] } = examples[0];
	store.set({ ...found, text, example: { name, hint, label, text, own } });
}

document.querySelector(".skip").addEventListener("click", (event) => {
	event.preventDefault(); // the part after # is the state of the page
	(byId("words").querySelector("[tabindex='0']") ?? byId("words")).focus();
});
globalThis.addEventListener("hashchange", async () => {
	if (address.isCurrent() || !location.hash.includes("=")) return;
	const { theme: linkedTheme, ...state } = await readFragment(location.hash);
	if ((state.served ?? null) !== store.get().served) return location.reload();
	if (linkedTheme) theme.set(linkedTheme);
	const { found, note } = await fit(state, store.get().model);
	return store.set({ ...UNLINKED, linkNote: note || null, ...found });
});
for (const id of ["interventions", "heatmap"]) byId(id).open = innerWidth > 760; // closed on a phone
figure.draw();
interventions.draw(store.get());
globalThis.gatewise = { store, selectedUnit }; // for the console and the tests
startPage({ ...(await readFragment(location.hash)), ...history.state });
