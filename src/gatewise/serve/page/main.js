// The entry of the served page: one store, one loader, the figure, and the controls around it.

import { api as source } from "./api.js";
import { announce, button, el, failure, safeText, setText } from "./dom.js";
import { createEditor } from "./editor.js";
import { createFigure } from "./figure.js";
import { createInterventions, fittingChanges } from "./interventions.js";
import { createLoader } from "./loader.js";
import { createStore, drawsUnits, selectedUnit, tokenNounOf } from "./store.js";
import { createPresentation, createTheme } from "./theme.js";
import { UNLINKED, createAddress, fitToModel, readFragment } from "./url.js";
import { headingText, weightsText } from "./value.js";

const byId = (id) => document.getElementById(id);
const inside = (id) => byId(id).querySelector(":scope > div");
const store = createStore();
let requests = 0; // in flight
const counted =
	(ask) =>
	(...given) => {
		store.set({ busy: (requests += 1) > 0 });
		return ask(...given).finally(() => store.set({ busy: (requests -= 1) > 0 }));
	};
const api = Object.fromEntries(Object.entries(source).map(([name, ask]) => [name, counted(ask)]));
const loader = createLoader(store, api);
const present = createPresentation(store);
createTheme(byId("themebutton"), store);
const box = byId("text");

const interventions = createInterventions(inside("interventions"), byId("changes"), store);
const figure = createFigure(
	{
		...Object.fromEntries(
			["words", "line", "prediction", "strip", "unit", "cell", "steps"].map((id) => [id, byId(id)]),
		),
		details: inside("details"),
	},
	store,
	{ onGate: (gate) => interventions.focus(gate), raw: true },
);
const address = createAddress(store);

const BELOW = ["compare", "stream", "heatmap", "unitpanel", "training", "card"];
let isBelow = false;
/** Load what is below the first screen: after the first answer, or when it is opened before. Where that fails, it says so. */
async function loadBelow() {
	if (isBelow || !store.get().model) return;
	isBelow = true;
	const places = Object.fromEntries(BELOW.map((name) => [name, inside(name)]));
	const found = await import("./below.js").catch(() => null);
	if (found) figure.addHeatmap(found.createBelow(places, store, loader, api));
	else
		for (const place of Object.values(places))
			place.append(failure("Cannot reach the server: this part is not loaded.", reload));
}
function reload() {
	const { text, b } = store.get();
	history.replaceState({ text, b }, ""); // a long text is not in the address
	location.reload();
}

let started = false;
let typing = false; // one entry of the history until blur
const showText = createEditor(box, figure.textView, {
	onType(text) {
		store.set({
			text,
			example: null,
			linkNote: null,
			w: null,
			step: null,
			range: null,
			changes: fittingChanges(store.get().changes, 1e9),
		});
		loader.load();
		if (!typing) address.push();
		typing = true;
	},
	onSelect: (w) => store.set({ w, hover: null }),
	onHover: figure.hoverWord,
});
box.addEventListener("blur", () => (typing = false));

/** Replace the text. The second text, if there is one, begins again. */
function replaceText(text, example = null, second = null) {
	const b = second ?? (store.get().b === null ? null : text);
	store.set({ text, b, example, w: null, step: null, u: null, range: null, changes: [] });
}
byId("clear").addEventListener("click", () => {
	replaceText("");
	box.focus();
});
byId("edit").addEventListener("click", () => box.focus());

let examples = []; // of GET /model
byId("examples").addEventListener("change", () => {
	const example = examples[byId("examples").value];
	if (example) replaceText(example.text, example, example.other ?? null);
	takeColumns(example);
	byId("examples").value = -1;
});

const compare = byId("compare"); // open while there is a second text
const openCompare = (isOpen) =>
	isOpen !== (store.get().b !== null) && store.set({ b: isOpen ? store.get().text : null });
compare.addEventListener("toggle", () => openCompare(compare.open));
byId("comparebutton").addEventListener("click", () => {
	openCompare(!compare.open);
	if (!compare.open) return;
	compare.querySelector("textarea")?.focus();
	compare.querySelector("textarea")?.select();
	compare.scrollIntoView({ block: "nearest" });
});
byId("presentbutton").addEventListener("click", () => present());
byId("leavebutton").addEventListener("click", () => present(false));

document.addEventListener("keydown", (event) => {
	if (event.defaultPrevented) return;
	const isPresenting = store.get().present;
	if (event.key === "Escape") {
		if (event.target === box) figure.textView.focus();
		else if (isPresenting) present(false);
		else store.set({ hover: null, range: null });
	}
	if (isPresenting) figure.onKey(event);
});

/** One line on the selected unit over the data set of its summary, if the model has summaries. */
async function drawAboutUnit(state) {
	if (!state.model.units || !state.data) return setText(figure.aboutUnit, "");
	if (!figure.aboutUnit.textContent) setText(figure.aboutUnit, "\u00a0"); // its place
	const { summary } = await loader.summaryOf(state).catch(() => ({}));
	const now = store.get();
	if (selectedUnit(state) !== selectedUnit(now) || state.layer !== now.layer) return undefined;
	const words = (list) =>
		list
			?.slice(0, 3)
			.map(({ word }) => `“${safeText(word, 16)}”`)
			.join(", ");
	const [rises, falls] = [words(summary?.top_words.c), words(summary?.bottom_words.c)];
	const life = summary?.half_life == null ? "" : ` Half-life ${summary.half_life.toFixed(1)} ${tokenNounOf(now)}s.`;
	return setText(
		figure.aboutUnit,
		rises
			? `Over ${safeText(now.model.units.data, 60)}, its memory rises most at ${rises} and falls most at ${falls}.${life}`
			: life.trim(),
	);
}

function drawAround(state, changed) {
	const any = (...names) => names.some((name) => changed.has(name));
	if (any("text")) byId("words").classList.toggle("long", state.text.length > 600);
	if (any("text") && box.value !== state.text) {
		showText(state.text);
		typing = false;
		loader.load();
		if (started) address.push();
	}
	if (any("data", "text", "linkNote", "outdated")) {
		const { text, warnings = [] } = state.outdated && state.data.inputText !== state.text ? {} : (state.data ?? {});
		const unknown = text?.tokens?.unknown.length ?? 0;
		const tokenNoun = tokenNounOf(state);
		const counted = text ? text.kept - Object.keys(text.tokens?.names ?? {}).length : 0;
		const known = tokenNoun === "step" ? "" : unknown ? ` · ${unknown} not in the vocabulary` : " · none unknown"; // a misspelt one is read as a known one
		setText(
			byId("counts"),
			text ? `${counted.toLocaleString("en")} ${tokenNoun}${counted === 1 ? "" : "s"}${known}` : "",
		);
		const messages = warnings
			.filter(({ code }) => code !== "weight")
			.map((one) => one.message)
			.join(" ");
		const hint =
			state.example?.hint && !state.example.own ? `${safeText(state.example.group, 40)}: ${state.example.hint}` : "";
		setText(byId("hint"), [state.linkNote, messages, state.data ? hint : ""].filter(Boolean).join(" · ")); // in one frame with the counts
		const changes =
			text && state.data.inputText === state.text ? fittingChanges(state.changes, text.kept) : state.changes;
		if (changes.length < state.changes.length) store.set({ changes });
	}
	if (any("error", "outdated")) {
		const { error, outdated, data } = state;
		const what = data?.inputText === state.text ? "the prediction before the change" : "the text";
		const below = error && outdated ? ` Below: ${what} as of ${data.at.toTimeString().slice(0, 5)}.` : "";
		byId("error").replaceChildren(
			...(error ? [safeText(error.message, 300), below, " ", button("Retry", { onclick: () => error.retry?.() })] : []),
		);
		document.body.classList.toggle("outdated", outdated);
	}
	if (any("model", "layer") && state.model) document.body.classList.toggle("unitless", !drawsUnits(state));
	if (any("busy")) byId("busy").hidden = !state.busy;
	if (any("busy", "data", "text"))
		document.body.classList.toggle("behind", state.busy && state.data !== null && state.data.inputText !== state.text);
	if (any("error", "model")) document.body.classList.toggle("unstarted", Boolean(state.error && !state.model));
	// Before the first answer, what comes below the text has no height yet.
	if (any("data", "error", "text"))
		document.body.classList.toggle("starting", !state.data && !state.error && !(started && !state.text));
	if (any("present")) {
		document.body.classList.toggle("present", state.present);
		byId("presentbutton").setAttribute("aria-pressed", state.present);
		if (state.present) scrollTo(0, 0);
		// The focused control may have been hidden.
		if (state.model && !document.activeElement.checkVisibility())
			(state.present ? byId("leavebutton") : byId("menubutton")).focus();
	}
	if (any("b")) {
		byId("comparebutton").setAttribute("aria-pressed", state.b !== null);
		compare.open = state.b !== null;
	}
	if (any("data", "w", "u", "range", "changes", "model")) interventions.draw(state);
	if (any("data", "u", "layer") && state.model) drawAboutUnit(state);
	if (any("data") && state.data) loadBelow();
	if (any("data")) {
		const shown = state.data?.prediction;
		if (shown && document.activeElement === box) announce(headingText(shown, state.data.model));
	}
}
store.subscribe(drawAround);
store.subscribe(() => address.replace());
for (const panel of document.querySelectorAll("main > details")) panel.addEventListener("toggle", loadBelow);
let heatmapInView = false;
const updateHeatmap = () => loader.showHeatmap(byId("heatmap").open && heatmapInView);
new IntersectionObserver(
	([entry]) => {
		heatmapInView = entry.isIntersecting;
		updateHeatmap();
	},
	{ rootMargin: "200px" },
).observe(byId("heatmap"));
byId("heatmap").addEventListener("toggle", updateHeatmap);
/** Show another served model. The page starts again, with the same text if the model reads it. */
function chooseModel(name) {
	const state = store.get();
	const { models } = state.model;
	const inputsOf = (wanted) => models.find((one) => one.name === wanted).inputs;
	const kept =
		inputsOf(name) === inputsOf(state.model.served) ? { text: state.text, b: state.b } : { text: "", b: null };
	const own = { u: null, w: null, step: null, layer: null, method: null, target: null, against: null, changes: [] };
	const url = address.urlOf({ ...state, ...own, ...kept, served: name }, { model: null });
	history.pushState(kept.text ? kept : null, "", url); // a long text is not in the address
	location.reload();
}
byId("models").addEventListener("change", () => chooseModel(byId("models").value));

function showModel(model) {
	const { inputs, layers } = model.model;
	const evaluation = model.evaluations.at(-1);
	const sizes = layers.map(({ units, directions }) => units * directions.length);
	const parts = sizes.length ? [`${new Set(sizes).size > 1 ? sizes.join(" + ") : sizes[0]} units`] : [];
	if (layers.length > 1) parts.push(`${layers.length} layers`);
	if (layers.some(({ directions }) => directions.length > 1)) parts.push("bidirectional");
	if (model.members.length > 1) parts.push(weightsText(model.members));
	if (evaluation)
		parts.push(`${safeText(evaluation.data.split(":")[0], 60)}: ${evaluation.figures.split(",")[0].split(" (")[0]}`);
	setText(byId("modelname"), [safeText(model.name, 40), ...parts].join(" · "));
	const { models = [], served } = model; // an exported page has one model
	byId("models").replaceChildren(...models.map(({ name }) => el("option", { value: name }, name)));
	byId("models").value = served;
	byId("models").hidden = models.length < 2;
	const lineOf = (step) => step.map((x) => x ?? "?").join(" ");
	examples = model.examples.map((one) => ({ ...one, text: one.text || one.series.map(lineOf).join("\n") }));
	box.readOnly = false;
	const groups = [...new Set(examples.map(({ group }) => group))];
	byId("examples").replaceChildren(
		el("option", { value: -1 }, "Examples"),
		...groups.map((group) =>
			el(
				"optgroup",
				{ label: safeText(group, 40) },
				examples.flatMap((one, n) => (one.group === group ? el("option", { value: n }, safeText(one.title, 120)) : [])),
			),
		),
	);
	byId("examples").hidden = !examples.length;
	if (model.model.token_ids)
		box.placeholder = `Write token ids below ${model.model.token_ids}, separated by spaces. The model has no vocabulary.`;
	if (inputs === "series") {
		box.placeholder = `Paste a series: one line per time step, ${model.model.channels === 1 ? "one number" : `${model.model.channels} numbers`} per line.`;
		byId("words").classList.add("numbers");
		for (const name of ["input", "text"]) byId(name).setAttribute("aria-label", "Series");
		setText(byId("edit"), "Edit the series");
		setText(compare.querySelector("h2"), "Compare two series");
		setText(byId("heatmap").querySelector("h2"), "Heat map: units and steps");
		byId("stream").hidden = Boolean(model.made) || !model.can_stream; // it needs a server
	}
}

/** What a page of `gatewise export-page` says of itself. */
function describeExport({ version, date, fingerprint, command }) {
	setText(byId("busy").firstElementChild, "Computing"); // there is no server to wait for
	const line = `Exported on ${safeText(date, 40)} by gatewise ${safeText(version, 20)} from model ${safeText(fingerprint, 20)}`;
	document
		.querySelector("footer")
		.append(" ", el("span", {}, line, ...(command ? [": ", el("code", {}, safeText(command, 400))] : []), "."));
}

/** The columns of an example, for a model that reads some. */
function takeColumns(example) {
	const { columns } = store.get();
	if (columns && example) store.set({ columns: { ...columns, ...example.columns } });
}

async function startPage(linked) {
	const { madeWith, cut, ...state } = linked;
	let found;
	let missing = "";
	try {
		const model = await api.model(linked.served ?? null).catch((error) => {
			if (error.status !== 404 || !linked.served) throw error;
			missing = `The server does not serve the model ${linked.served} of the link. `;
			return api.model(null);
		});
		if (model.horizon) return location.replace(`forecast.html#served=${model.served}`);
		if (missing) state.served = null;
		store.set({ model, served: state.served ?? null });
		showModel(model);
		const { arrays, columns, outputs } = model.model;
		if (arrays) (await import("./inputs.js")).createInputs(arrays, store);
		if (outputs?.length > 1) (await import("./outputs.js")).createOutputs(byId("prediction"), store);
		if (columns) (await import("./columns.js")).createColumns(byId("columns"), columns, store);
		if (model.made) describeExport(model.made);
		const other = madeWith && madeWith !== model.model.fingerprint;
		const incomplete = cut && state.text === undefined ? "The text is missing: it is too long for a link. " : "";
		const fitted = fitToModel(state, model);
		found = fitted.found;
		const differs = other
			? `The link was made with model ${madeWith}, this is ${model.model.fingerprint}: numbers differ. `
			: "";
		const note = missing + incomplete + differs + fitted.note;
		if (note) store.set({ linkNote: note });
	} catch (error) {
		store.set({ error: { message: error.message, retry: () => startPage(linked) } });
		return;
	}
	if (found.text === undefined) useFirstExample(found);
	else store.set(found);
	started = true;
	if (!store.get().text) document.body.classList.remove("starting");
}

function useFirstExample(found) {
	const [example = null] = examples;
	const { inputs, token_ids: ids } = store.get().model.model;
	const askText = ids
		? `write token ids below ${ids}, separated by spaces`
		: "write a text like those that it was trained on";
	const asks = {
		text: askText,
		series: "paste a row of your data",
		row: "write the numbers of each input, separated by spaces",
	};
	const ask = asks[inputs];
	takeColumns(example);
	store.set(
		example
			? { ...found, text: example.text, example }
			: { ...found, linkNote: found.linkNote ?? `This model keeps no examples: ${ask}.` },
	);
}

document.querySelector(".skip").addEventListener("click", (event) => {
	event.preventDefault(); // the part after # is the state of the page
	if (document.activeElement !== byId("words")) byId("words").focus();
	figure.textView.focus();
});
globalThis.addEventListener("hashchange", () => {
	const opened = address.opened();
	if (!opened?.includes("=")) return;
	const state = readFragment(opened);
	if ((state.served ?? null) !== store.get().served) return location.reload();
	const { found, note } = fitToModel(state, store.get().model);
	return store.set({ ...UNLINKED, linkNote: note || null, ...found });
});
byId("heatmap").open = innerWidth > 760; // closed on a phone
figure.draw();
interventions.draw(store.get());
globalThis.gatewise = { store, selectedUnit, api }; // for the console and the tests
startPage({ ...readFragment(location.hash), ...history.state });
