// The panels about the model: a unit over a data set, the training history, the model card.

import { createChart } from "./chart.js";
import { createTable, el, failure, fmt, safeText, setText, signed } from "./dom.js";
import { GATES, selectedUnit } from "./store.js";

const gateName = (gate) => `${GATES[gate]} ${gate}`;
const halfLife = ({ half_life: steps }) => (steps === null ? "infinite" : `${fmt(steps, 1)} steps`);
const percent = (x) => `${(100 * x).toFixed(1)}%`;

/** The single output of a network in words. */
const scoreNameOf = ({ task, labels }) =>
	task === "regression" ? "prediction" : `logit of “${safeText(labels.at(-1))}”`;

/** One unit: its weights, and its summary over a data set with excerpts and words, if the model folder has one. */
export function createUnitPanel(root, store, loader) {
	let current = null;
	const ofText = el("p");

	async function draw(state) {
		if (!state.model) return;
		if (!state.data) ofText.remove(); // the answer for another unit may take long
		const unit = selectedUnit(state);
		const shown = `${unit} ${state.layer} ${state.data?.id} ${state.data?.unitOf.has(unit)}`;
		if (current === shown) return;
		current = shown;
		try {
			const found = await loader.summaryOf(state);
			if (current === shown) show(found, store.get());
		} catch (error) {
			if (current !== shown) return;
			current = null;
			root.replaceChildren(failure(error.message, () => draw(store.get())));
		}
	}

	function drawExcerpt({ row, label, words, place, change }) {
		const parts = words.flatMap((word, n) => [
			n === place ? el("mark", {}, safeText(word, 40)) : safeText(word, 40),
			" ",
		]);
		return el(
			"li",
			{},
			el("span", { class: "delta" }, signed(change)),
			" ",
			el("bdi", {}, parts),
			el("span", { class: "muted" }, ` (row ${row + 1}, ${safeText(label)})`),
		);
	}

	function show(found, state) {
		const { summary, dataset, weights } = found;
		const parts = [el("h3", {}, `Unit ${found.unit}, layer ${found.layer + 1}, ${found.direction}`)];
		const unit = state.data?.unitOf.get(found.unit);
		if (unit) {
			setText(ofText, `Half-life of the memory in this text: ${halfLife(unit)}.`);
			parts.push(ofText);
		}
		if (weights?.rows.length === 1) {
			const terms = weights.rows[0].map((weight, n) => `${weights.parts[n]} of its h × ${signed(weight)}`);
			parts.push(el("p", {}, `Its part of the ${scoreNameOf(state.model.model)}: ${terms.join(" + ")}.`));
		}
		if (!summary) {
			const command = "gatewise explain -m MODEL --data SOURCE";
			parts.push(
				el(
					"p",
					{ class: "muted" },
					"The model folder has no unit summaries. ",
					el("code", {}, command),
					" computes them over a data set and stores excerpts, words and the accuracy with each unit ablated.",
				),
			);
			root.replaceChildren(...parts);
			return;
		}
		const ablated =
			summary.accuracy_ablated === null
				? ""
				: `accuracy ${percent(dataset.accuracy)}, ${percent(summary.accuracy_ablated)} with this unit ablated; ` +
					`the probability of the prediction then changes by ${fmt(summary.probability_change, 3)} on average; `;
		parts.push(
			el(
				"p",
				{},
				`On ${dataset.n} sequences of ${safeText(dataset.data, 120)}: ${ablated}half-life ${halfLife(summary)}.`,
			),
		);
		const words = (list) => list.map((one) => `${safeText(one.word)} ${fmt(one.mean)}`).join(" · ");
		if (summary.top_words.c)
			parts.push(
				createTable(
					"Words at which its memory changes most",
					["c rises", "c falls"],
					[[words(summary.top_words.c), words(summary.bottom_words.c)]],
				),
			);
		parts.push(
			createTable(
				"Distribution of the gate values",
				["gate", "below 0.1", "between", "above 0.9"],
				Object.entries(summary.shares).map(([gate, share]) => [gateName(gate), ...share.map(percent)]),
			),
		);
		for (const [list, name] of [
			[summary.rises, "Largest increases of its memory"],
			[summary.falls, "Largest decreases"],
		]) {
			if (list.length) parts.push(el("h4", {}, name), el("ol", { class: "excerpts" }, list.map(drawExcerpt)));
		}
		const rows = Object.keys(summary.top_words)
			.filter((gate) => gate !== "c")
			.map((gate) => [gateName(gate), words(summary.top_words[gate]), words(summary.bottom_words[gate])]);
		if (rows.length)
			parts.push(
				createTable("Words with the highest and the lowest mean gate value", ["gate", "highest", "lowest"], rows),
			);
		root.replaceChildren(...parts);
	}

	const panel = root.parentElement;
	const drawIfOpen = () => panel.open && draw(store.get());
	panel.addEventListener("toggle", drawIfOpen);
	store.subscribe((_, keys) => ["data", "u", "layer"].some((key) => keys.has(key)) && drawIfOpen());
	drawIfOpen();
}

/** Loss and accuracy by epoch, as two charts and as a table, with the epoch of the model marked. */
export function drawTraining(root, { history, best_epoch: best }) {
	if (!history.length) {
		root.replaceChildren(el("p", { class: "muted" }, "The model folder has no training history."));
		return;
	}
	const charts = [
		["loss", "val_loss", "loss"],
		["accuracy", "val_accuracy", "accuracy"],
		["rmse", "val_rmse", "RMSE"],
	]
		.filter(([train, valid]) => history.some((row) => train in row || valid in row))
		.map(([a, b, name]) => chart(history, a, b, name, best));
	const head = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "val_rmse", "seconds"].filter((key) =>
		history.some((row) => key in row),
	);
	const rows = history.map((row) =>
		head.map((key, n) =>
			n ? fmt(row[key], key === "seconds" ? 1 : 4) : `${row.epoch}${row.epoch === best ? " (best)" : ""}`,
		),
	);
	root.replaceChildren(
		el("div", { class: "charts" }, charts),
		createTable(
			"Training, epoch by epoch",
			head.map((key) => key.replace("val_", "validation ")),
			rows,
		),
	);
}

/** A chart of one figure by epoch, in training and in validation; it is drawn once it has a width. */
function chart(history, train, valid, name, best) {
	const points = (key) => history.filter((row) => Number.isFinite(row[key])).map((row) => [row.epoch, row[key]]);
	const ends = [train, valid].map((key) => points(key).at(-1)?.[1] ?? 0);
	const values = [...points(train), ...points(valid)].map(([, value]) => value);
	const range = [Math.min(...values), Math.max(...values)];
	const isBelow = (n) => ends[n] < ends[1 - n] && ends[1 - n] - ends[n] < 0.2 * (range[1] - range[0]); // the name, where both are close
	const lines = [
		{ class: "ghost", points: points(train), name: "training", below: isBelow(0) },
		{ class: "now", points: points(valid), name: "validation", below: isBelow(1) },
	];
	const made = createChart(
		name,
		range,
		170,
		range.map((one) => Number(one.toPrecision(2))),
		72,
	);
	const xs = [history[0].epoch, history.at(-1).epoch];
	const about = { lines, xs, xName: "epoch", mark: best && { x: best, name: "best" } };
	new ResizeObserver(() => made.draw(about)).observe(made.node);
	return el("figure", {}, made.node);
}

/** The model card. Its Markdown is written by gatewise: blocks between empty lines, each of them a heading, a table or a paragraph. */
export function drawCard(root, markdown) {
	const parts = [];
	const plain = (text) =>
		text
			.replaceAll("`", "")
			.replace(
				/&(amp|lt|gt|#124|#91|#93);/g,
				(_, name) => ({ amp: "&", lt: "<", gt: ">", "#124": "|", "#91": "[", "#93": "]" })[name],
			);
	for (const block of markdown
		.trim()
		.split(/\n{2,}/)
		.slice(1)) {
		const lines = block.split("\n");
		if (block.startsWith("## ")) parts.push(el("h3", {}, plain(block.slice(3))));
		else if (!block.startsWith("|")) parts.push(el("p", {}, plain(lines.join(" "))));
		else {
			const [head, , ...rows] = lines.map((line) =>
				line
					.split("|")
					.slice(1, -1)
					.map((cell) => plain(cell.trim())),
			);
			const name = parts.at(-1)?.tagName === "H3" ? parts.at(-1).textContent : `The ${head[0]}s`; // layers, members
			parts.push(createTable(name, head.some(Boolean) ? head : null, rows, "visually-hidden"));
		}
	}
	root.replaceChildren(...parts);
}
