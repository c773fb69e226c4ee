// What is known beyond this text: a unit over a data set, how training went, the model's card.

import { el, fmt, put, shown, svg } from "./dom.js";
import { directionOf, unitNow } from "./store.js";

const GATES = { i: "input gate i", f: "forget gate f", g: "candidate g", o: "output gate o" };
const percent = (x) => `${(100 * x).toFixed(1)}%`;

function table(caption, head, rows) {
	return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, el("table", {},
		el("caption", {}, caption),
		el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col" }, name)))),
		el("tbody", {}, rows.map(([first, ...rest]) => el("tr", {}, el("th", { scope: "row" }, first), rest.map((cell) => el("td", {}, cell)))))));
}

/** The unit's page: what it weighs, and over data that somebody looked at, its passages and words. */
export function createUnitPanel(root, store, source) {
	let asked = null;
	const known = new Map();

	async function draw(state) {
		if (!state.model) return;
		const { model } = state.model;
		const [unit, layer] = [unitNow(state), state.layer ?? model.layers - 1];
		const key = `${unit} ${layer}`;
		if (asked === key) return;
		asked = key;
		try {
			if (!known.has(key)) known.set(key, await source.unit(unit % model.units, layer, directionOf(model, unit)));
			if (asked === key) show(known.get(key), state);
		} catch (error) {
			asked = null;
			root.replaceChildren(el("p", {}, error.message));
		}
	}

	function passage({ row, label, words, place, moved }) {
		const parts = words.flatMap((word, n) => [n === place ? el("mark", {}, shown(word, 40)) : shown(word, 40), " "]);
		return el("li", {}, el("span", { class: "moved" }, fmt(moved, 2, true)), " ", el("bdi", {}, parts), el("span", { class: "quiet" }, ` (row ${row + 1}, ${shown(label, 24)})`));
	}

	function show(found, state) {
		const { summary: facts, over, weights } = found;
		const parts = [el("h3", {}, `Unit ${found.unit}, layer ${found.layer + 1}, ${found.direction}`)];
		const unit = state.data?.unitOf.get(found.unit);
		if (unit) {
			const life = unit.half_life === null ? "forgets nothing" : `forgets half in ${fmt(unit.half_life, 1)} steps`;
			parts.push(el("p", {}, `In this text it ${life}.`));
		}
		if (weights?.rows.length === 1) {
			const said = weights.rows[0].map((weight, n) => `${weights.parts[n]} of its h × ${fmt(weight, 2, true)}`);
			parts.push(el("p", {}, `What it adds to the logit of “${shown(state.model.model.labels[1], 24)}”: ${said.join(" and ")}.`));
		}
		if (!facts) {
			const how = "gatewise explain MODEL --data SOURCE";
			parts.push(el("p", { class: "quiet" }, "Nobody has looked at the units over a data set yet. ", el("code", {}, how), " does, and keeps passages, words and the accuracy without each unit in the model folder."));
			root.replaceChildren(...parts);
			return;
		}
		parts.push(el("p", {}, `Over ${over.n} sequences of ${shown(over.data, 120)}: accuracy ${percent(over.accuracy)}, with this unit ablated ${percent(facts.accuracy_ablated)}; ` +
			`mean change of the predicted class's probability ${fmt(facts.probability_change, 3)}. Half-life ${facts.half_life === null ? "endless" : `${fmt(facts.half_life, 1)} steps`}.`));
		parts.push(table("How open its gates were", ["gate", "below 0.1", "between", "above 0.9"],
			Object.entries(facts.shares).map(([gate, share]) => [GATES[gate], ...share.map(percent)])));
		for (const [list, name] of [[facts.rises, "Where its memory rose most"], [facts.falls, "Where it fell most"]]) {
			if (list.length) parts.push(el("h4", {}, name), el("ol", { class: "passages" }, list.map(passage)));
		}
		const words = (list) => list.map((one) => `${shown(one.word, 24)} ${fmt(one.mean)}`).join(" · ");
		const rows = Object.keys(facts.top_words).map((gate) => [GATES[gate], words(facts.top_words[gate]), words(facts.bottom_words[gate])]);
		if (rows.length) parts.push(table("Words at which a gate was highest and lowest on average", ["gate", "highest", "lowest"], rows));
		root.replaceChildren(...parts);
	}

	return { draw };
}

/** Loss and accuracy by epoch as two small charts, the epoch that was kept marked, and the same numbers as a table. */
export function drawTraining(root, { history, best_epoch: kept }) {
	if (!history.length) {
		root.replaceChildren(el("p", { class: "quiet" }, "The model folder holds no history of its training."));
		return;
	}
	const charts = [["loss", "val_loss", "loss"], ["accuracy", "val_accuracy", "accuracy"]]
		.filter(([name]) => history.some((row) => name in row))
		.map(([a, b, name]) => chart(history, a, b, name, kept));
	const head = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"].filter((key) => history.some((row) => key in row));
	const rows = history.map((row) => head.map((key, n) => (n ? fmt(row[key], key === "seconds" ? 1 : 4) : `${row.epoch}${row.epoch === kept ? " (kept)" : ""}`)));
	root.replaceChildren(el("div", { class: "charts" }, charts), table("Training, epoch by epoch", head.map((key) => key.replace("val_", "validation ")), rows));
}

function chart(history, train, valid, name, kept) {
	const [w, h, pad] = [360, 170, 34];
	const values = history.flatMap((row) => [row[train], row[valid]]).filter(Number.isFinite);
	const [low, high] = [Math.min(...values), Math.max(...values)];
	const x = (n) => pad + ((w - pad - 78) * n) / Math.max(1, history.length - 1);
	const y = (value) => 14 + ((h - 40) * (high - value)) / (high - low || 1);
	const label = `${name} by epoch: training ${fmt(history[0][train], 3)} to ${fmt(history.at(-1)[train], 3)}, validation ${fmt(history[0][valid], 3)} to ${fmt(history.at(-1)[valid], 3)}`;
	const picture = svg("svg", { viewBox: `0 0 ${w} ${h}`, class: "chart", role: "img", "aria-label": label });
	for (const value of [low, high]) picture.append(svg("text", { x: pad - 6, y: y(value) + 4, "text-anchor": "end" }, fmt(value)));
	const keptAt = history.findIndex((row) => row.epoch === kept);
	if (keptAt >= 0) {
		picture.append(svg("path", { class: "kept", d: `M${x(keptAt)},8V${h - 24}` }), svg("text", { x: x(keptAt), y: h - 2, "text-anchor": "middle" }, `kept ${kept}`));
	}
	for (const [key, mark, said] of [[train, "train", "training"], [valid, "valid", "validation"]]) {
		const points = history.map((row, n) => [x(n), row[key]]).filter(([, value]) => Number.isFinite(value));
		if (!points.length) continue;
		picture.append(svg("polyline", { class: mark, points: points.map(([a, value]) => `${a.toFixed(1)},${y(value).toFixed(1)}`).join(" ") }));
		for (const [a, value] of points) picture.append(svg("circle", { class: mark, cx: a, cy: y(value), r: 3 }));
		picture.append(svg("text", { class: mark, x: x(history.length - 1) + 8, y: y(points.at(-1)[1]) + 4 }, said));
	}
	return el("figure", {}, el("figcaption", {}, name), picture);
}

/** The card as the model folder has it: our own Markdown, so headings, tables and lines are all there is in it. */
export function drawCard(root, markdown) {
	const parts = [];
	const plain = (text) => text.replaceAll("`", "").replace(/&(amp|lt|gt|#124|#91|#93);/g, (_, name) => ({ amp: "&", lt: "<", gt: ">", "#124": "|", "#91": "[", "#93": "]" })[name]);
	const lines = markdown.split("\n");
	for (let n = 1; n < lines.length; n += 1) {
		const line = lines[n];
		if (line.startsWith("## ")) parts.push(el("h3", {}, plain(line.slice(3))));
		else if (line.startsWith("|")) {
			const rows = [];
			for (; n < lines.length && lines[n].startsWith("|"); n += 1) rows.push(lines[n].split("|").slice(1, -1).map((cell) => plain(cell.trim())));
			const body = rows.filter((row) => !row.every((cell) => /^:?-+:?$/.test(cell)));
			const head = body[0].some(Boolean) ? body.shift() : null;
			const name = parts.at(-1)?.tagName === "H3" ? parts.at(-1).textContent : "The layers";
			const caption = el("caption", { class: "unseen" }, name);
			const line = ([first, ...rest]) => el("tr", {}, el("th", { scope: "row" }, first), rest.map((cell) => el("td", {}, cell)));
			const top = head ? el("thead", {}, el("tr", {}, head.map((cell) => el("th", { scope: "col" }, cell)))) : null;
			parts.push(el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": name }, el("table", {}, caption, top, el("tbody", {}, body.map(line)))));
			n -= 1;
		} else if (line.trim()) {
			const last = parts.at(-1);
			if (last?.tagName === "P" && lines[n - 1].trim()) put(last, `${last.textContent} ${plain(line)}`);
			else parts.push(el("p", {}, plain(line)));
		}
	}
	root.replaceChildren(...parts);
}
