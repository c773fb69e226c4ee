// The entry of the self-contained HTML report and of the notebook: the same figure over numbers that lie in the page.

import { createFigure } from "./figure.js";
import { el, fmt, put, shown } from "./dom.js";
import { decode } from "./plane.js";
import { createStaff } from "./staff.js";
import { createStore } from "./store.js";

/** Words with spaces between, and where each stands: what a staff wants of a text. */
function textOf(words) {
	const [s, e] = [[], []];
	let text = "";
	const closing = /^[.,!?;:)\]}%…”’]+$/u;
	for (const word of words) {
		if (text && !closing.test(word)) text += " ";
		s.push(text.length);
		text += word;
		e.push(text.length);
	}
	return { text, part: { kept: words.length, steps: words.length, tokens: { s, e, id: [], unknown: [], left: [], names: {} } } };
}

/** One unit's numbers out of the planes, when they are first asked for. */
class Units {
	constructor(view, planes) {
		[this.view, this.planes, this.made] = [view, planes, new Map()];
	}
	has(k) {
		return this.planes.size > 0 && k >= 0 && k < this.planes.get("c").rows;
	}
	get(k) {
		if (!this.has(k)) return undefined;
		if (!this.made.has(k)) {
			const row = (name) => {
				const plane = this.planes.get(name);
				return Array.from(plane.values.subarray(k * plane.columns, (k + 1) * plane.columns));
			};
			const { model, c0, h0 } = this.view;
			const parts = Object.fromEntries([..."ifgoch"].map((name) => [name, row(name)]));
			const direction = model.directions[Math.floor(k / model.units)];
			this.made.set(k, { k, direction, c0: c0[k], h0: h0[k], moved: row("moved"), z: null, ...parts });
		}
		return this.made.get(k);
	}
}

function dataOf(view) {
	const { text, part } = textOf(view.words);
	const planes = new Map((view.planes ?? []).map((plane) => [plane.name, decode(plane)]));
	return { ...view, shown: text, text: part, planes, unitOf: new Units(view, planes), warnings: [], id: "report" };
}

function sidesOf(sides, applied) {
	const [one, two] = sides.map(({ name, view }) => {
		const box = el("div");
		const { verdict } = view;
		box.append(el("h2", {}, `${name}: ${shown(verdict.label, 24)}, “${shown(verdict.towards, 24)}” ${fmt(verdict.p)}`));
		const staff = createStaff(box, { label: name });
		const { text, part } = textOf(view.words);
		staff.draw({
			text, part, scores: view.account?.words, colourOf: view.account ? `${view.account.method}, in logits` : "",
			running: view.running ?? null, before: null, selected: -1, hovered: null, towards: verdict.towards, tokenNoun: "word",
		});
		return box;
	});
	const said = applied ? el("p", { class: "told" }, applied.map((line) => shown(line, 120)).join(" · ")) : null;
	return el("section", { "aria-label": "Side by side" }, said, el("div", { class: "pair" }, one, two));
}

function figureOf(root, view) {
	const part = (name, label = null) => el(label ? "section" : "div", { class: name, "aria-label": label });
	const places = {
		verdict: part("verdict", "Verdict"), staff: part("words-of", "The words"), unit: part("unitrow"), cell: part("cellbox"),
		steps: part("steps"), map: part("mapbox", "All units by all words"),
	};
	const cell = el("section", { class: "right", "aria-label": "The LSTM cell" }, places.unit, places.cell, places.steps);
	const inside = view.planes ? cell : null;
	root.append(el("div", { class: "columns stacked" }, el("div", { class: "left" }, places.verdict, places.staff), inside));
	if (!inside) el("div", {}, cell); // the figure wants its places, drawn or not
	const held = view.held ?? [];
	const named = held.find((one) => one.unit !== "all")?.unit; // a unit that somebody took hold of is looked at first
	const store = createStore({ changes: held, u: view.unit ?? named ?? null });
	const figure = createFigure(places, store, { unit() {}, need() {} });
	const account = view.account;
	const faith = account?.faithfulness ? { [account.method]: account.faithfulness } : {};
	store.set({ model: { model: view.model, faithfulness: faith, attribution_method: "" }, data: dataOf(view) });
	if (!view.planes) return;
	root.append(places.map);
	figure.openMap().then(() => places.map.querySelector("option[value=alike]")?.remove()); // that order is the server's
}

export function start() {
	const root = document.getElementById("report");
	const { view, sides, applied } = JSON.parse(document.getElementById("data").textContent);
	root.append(el("header", {}, el("h1", {}, "gatewise"), el("p", { class: "quiet" }, document.title)));
	if (sides) root.append(sidesOf(sides, applied));
	if (view) figureOf(root, view);
	const foot = el("footer", { class: "quiet" });
	put(foot, "An exact or measured account of this score, by the method that is named; not a cause. Made by gatewise; this page fetches nothing.");
	root.append(foot);
}
