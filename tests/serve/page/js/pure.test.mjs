// The page's parts that need no browser. `node --test`; pytest runs it too (tests/serve/page/test_modules.py).

import assert from "node:assert/strict";
import { test } from "node:test";

const page = (name) => import(new URL(`../../../../src/gatewise/serve/page/${name}.js`, import.meta.url));
const { fmt, safeText } = await page("dom");
const { clampOf, lut, mix, rgb, STOPS, tint } = await page("colour");
const { decode, orderOf, toCsv, toLevels, TOP, topOf } = await page("heatmapdata");
const { commonPrefix, differingWords, parseSeries, pieces, wordsOf } = await page("words");
const { numbersAt, stepFormula, stepLine } = await page("cellmath");
const { changeText, lineOf, headingText, methodNotes, othersText, scoreText, sumText, number, valueText, weightsText } =
	await page("value");
const { fitToModel, parseChange, readFragment, writeChange, writeFragment } = await page("url");
const { covers, directionOf, layerOf, START, selectedWord, unitCount } = await page("store");
const { describeChange, fittingChanges } = await page("interventions");
const { differenceOf } = await page("compare");

test("numbers have a real minus and a stable width", () => {
	assert.equal(fmt(-1.005, 2), "\u22121.00");
	assert.equal(fmt(0.126, 2, true), "+0.13");
	assert.equal(fmt(-0.0001, 2, true), "±0.00");
	assert.equal(fmt(NaN), "–");
});

test("what is shown of a text holds nothing invisible", () => {
	assert.equal(safeText("a\u202eb\u0000\u001b[2J"), "a\ufffdb\ufffd\ufffd[2J");
	assert.equal(safeText("👩‍👩‍👧‍👦"), "👩‍👩‍👧‍👦");
	assert.equal(safeText("x".repeat(100), 5), "xxxxx…");
});

test("members are named with their weights, also 0", () => {
	assert.equal(
		weightsText([
			{ name: "LSTM", weight: 0 },
			{ name: "n-grams", weight: 1 },
		]),
		"LSTM 0.00, n-grams 1.00",
	);
});

test("ramps meet their stops, and + and − of a strength are equally far from the middle", () => {
	for (const theme of ["light", "dark"]) {
		for (const kind of ["signed", "gate"]) {
			const stops = STOPS[kind][theme];
			stops.forEach((stop, n) => assert.deepEqual(mix(stops, n / (stops.length - 1)), rgb(stop)));
			assert.equal(lut(kind, theme).length, 256);
			assert.equal(new Set(lut(kind, theme)).size > 150, true);
		}
	}
	assert.equal(tint(1, 1), "p4");
	assert.equal(tint(-0.3, 1), "n1");
	assert.equal(tint(0.05, 1), "");
	assert.equal(clampOf([0.1, -9, 0.2]), 9);
	assert.equal(clampOf([]), 1);
});

const levels = Uint16Array.from([0, 65535, 32768, 1000, 2000, 60000]);
const sample = {
	name: "c",
	layer: 0,
	low: -2,
	high: 2,
	clip: 1,
	shape: [2, 3],
	base64: Buffer.from(levels.buffer).toString("base64"),
};

test("a heatmap is decoded, sorted and clipped", () => {
	const heatmap = decode(sample);
	assert.equal(heatmap.signed, true);
	levels.forEach((level, n) => assert.ok(Math.abs(heatmap.values[n] - (-2 + (4 * level) / 65535)) < 1e-6));
	assert.deepEqual([...toLevels(heatmap, [1, 0])], [0, 0, 255, 0, 255, 128]);
	assert.deepEqual(orderOf(null, "effect", 3), [0, 1, 2]);
	assert.deepEqual(orderOf({ order: { jump: [2, 0, 1] } }, "jump", 3), [2, 0, 1]);
	const csv = toCsv(heatmap, [1, 0], ["=cmd", 'a"b', "c"]);
	assert.ok(csv.startsWith(`unit,"'=cmd","a""b","c"\r\n1,`));
});

test("the heat map shows the units with the largest effect, and the selected one", () => {
	const effect = Array.from({ length: 50 }, (_, n) => (7 * n) % 50);
	const index = Array.from({ length: 50 }, (_, n) => n);
	assert.deepEqual(topOf(effect, { order: { effect } }, effect[0]), effect.slice(0, TOP));
	const found = topOf(index, { order: { effect } }, effect[TOP + 3]);
	assert.deepEqual(
		found,
		[...effect.slice(0, TOP), effect[TOP + 3]].sort((a, b) => a - b),
	);
});

test("each step has its formula, in the direction of the unit", () => {
	const text = (s, unit) =>
		stepFormula(s, unit)
			.map((part) => (part.sub ? `[${part.text}]` : part.text))
			.join("");
	const forward = { direction: "forward", contribution: [1] };
	assert.equal(text(1, forward), "z[f], z[i], z[g], z[o] = W x[t] + U h[t−1] + b");
	assert.equal(text(2, forward), "f[t] = σ(z[f])");
	assert.equal(text(3, forward), "i[t] = σ(z[i]),  g[t] = tanh(z[g])");
	assert.equal(text(4, forward), "kept = f[t] · c[t−1]");
	assert.equal(text(5, forward), "c[t] = f[t] · c[t−1] + i[t] · g[t]");
	assert.equal(text(6, forward), "o[t] = σ(z[o]),  h[t] = o[t] · tanh(c[t])");
	assert.equal(text(4, { ...forward, direction: "backward" }), "kept = f[t] · c[t+1]");
	assert.equal(text(7, forward), "network logits = dense(pool(h[1] … h[T]))");
	assert.equal(text(7, { direction: "forward", contribution: null }), "x[t] of the next layer = h[t]");
});

const part = {
	kept: 3,
	tokens: { start: [0, 0, 9], end: [0, 4, 13], truncated: [[5, 8]], names: { 0: "<start>" }, unknown: [] },
};

test("a text falls into its words and what lies between", () => {
	const text = "Good bad film!";
	assert.deepEqual(wordsOf(text, part), ["<start>", "Good", "film"]);
	const found = pieces(text, part);
	assert.equal(found.map(({ isStart, show, gap }) => (isStart ? "" : show + gap)).join(""), text);
	assert.deepEqual(
		found.map(({ word, truncated }) => (truncated ? "truncated" : word)),
		[0, 1, "truncated", 2],
	);
	assert.equal(commonPrefix([1, 2, 3], [1, 2, 4]), 2);
});

test("two texts' words, and which differ", () => {
	const [a, b] = differingWords("it was good not bad".split(" "), "It was bad not good".split(" "));
	assert.deepEqual([[...a].length, [...b].length], [2, 2]);
	assert.deepEqual(
		differingWords([], ["x"]).map((set) => [...set]),
		[[], [0]],
	);
});

test("a series is read line by line", () => {
	assert.deepEqual(parseSeries("1 2\n\n3,-4e1", 2), [
		[1, 2],
		[3, -40],
	]);
	assert.throws(() => parseSeries("1 2\n3", 2), /Line 2: expected 2 numbers/);
	assert.throws(() => parseSeries("x", 1), /Line 1: expected one number/);
});

const unit = {
	k: 1,
	direction: "forward",
	h0: 0.1,
	c0: 0.2,
	i: [0.5, 0.31],
	f: [0.9, 0.93],
	g: [0.2, -0.78],
	o: [0.4, 0.66],
	c: [1.42, 1.0788],
	h: [0.3, 0.52],
	contribution: [0.1, -0.2],
};

test("the cell's numbers hang together in both directions", () => {
	const n = numbersAt(unit, 1);
	assert.deepEqual([n.cPrev, n.hPrev], [1.42, 0.3]);
	assert.ok(Math.abs(n.kept + n.written - n.c) < 1e-9);
	assert.deepEqual([numbersAt(unit, 0).cPrev, numbersAt({ ...unit, direction: "backward" }, 0).cPrev], [0.2, 1.0788]);
});

test("a line of arithmetic adds up, or says that it is rounded", () => {
	const about = { word: "not", tokenNoun: "word", scoreName: "logit of good", now: "P(good) = 0.37" };
	const n = numbersAt(unit, 1);
	assert.equal(stepLine(4, n, about), "kept = f · previous c = 0.93 × 1.42 = 1.32");
	assert.equal(
		stepLine(5, n, about),
		"i · g = 0.31 × \u22120.78 = \u22120.24;  c = kept + written = 1.32 + (\u22120.24) = 1.08",
	);
	assert.match(stepLine(4, { ...n, f: 0.934, kept: 0.934 * 1.42 }, about), /0\.93 × 1\.42 = 1\.33 …$/);
	assert.match(stepLine(2, n, { ...about, clamped: new Set(["f"]) }), /clamped/);
	for (let s = 1; s <= 7; s += 1) assert.ok(!/NaN|undefined/.test(stepLine(s, n, about)));
});

test("changes travel in a link, and nothing else does", () => {
	for (const text of ["f37:1@3-9", "i*:0.25", "g4:-0.5", "h37:0", "f37l0:1@3-9", "h3l1:0", "f*l2:1"])
		assert.equal(writeChange(parseChange(text)), text);
	for (const text of ["f37:2", "h3:1", "h*:0", "q1:1", "f1:1@9-3", "f1:-0.5", "f1:1@3", "", "f1:1,f2:1"])
		assert.equal(parseChange(text), null);
});

test("the state goes into a link and comes back", async () => {
	const text = "Ünïcode & = # % + 🎬 </script>";
	const changes = [parseChange("f3:0.5@1-2"), parseChange("h4:0")];
	const state = {
		...START,
		text,
		b: "other",
		w: 4,
		u: 3,
		s: 2,
		heatmap: "f",
		sort: "jump",
		method: "cell-decomposition",
		changes,
		layer: 1,
	};
	const fragment = writeFragment(state);
	const back = readFragment(`#${fragment}`);
	for (const key of ["text", "b", "w", "u", "s", "heatmap", "sort", "method", "changes", "layer"])
		assert.deepEqual(back[key], state[key], key);
});

test("a text that is too long for a link is left out, and the link says so", () => {
	const text = "a good film ".repeat(100);
	assert.equal(readFragment(writeFragment({ ...START, text })).text, text);
	assert.deepEqual(readFragment(writeFragment({ ...START, text: text.repeat(5) })), { cut: true });
});

test("a link's nonsense stays out", async () => {
	const found = readFragment("#w=-1&u=1e9&s=99&p=zz&o=constructor&m=A&x=f1:9,h*:0&model=xyz");
	const dropped = [
		["w", "-1"],
		["u", "1e9"],
		["x", "f1:9"],
		["x", "h*:0"],
	];
	assert.deepEqual(found, { changes: [], dropped });
});

test("of a link only what the model has is kept, and the rest is named", async () => {
	const model = {
		layers: [{ units: 6, directions: ["forward", "backward"] }],
		labels: ["bad", "good"],
		task: "classification",
		gate: "sigmoid",
	};
	const fit = async (fragment, more = {}) =>
		fitToModel(readFragment(fragment), { model: { ...model, ...more }, methods: ["leave-one-out"] });
	const fine = "#t=good&u=11&layer=0&m=leave-one-out&target=good&against=bad&x=f11:0.5,o*:1";
	const kept = await fit(fine);
	assert.equal(kept.note, "");
	const { dropped, ...expected } = readFragment(fine);
	assert.deepEqual([kept.found, dropped], [expected, undefined]);
	const { found, note } = await fit("#t=good&u=12&layer=3&m=magic&target=fine&x=f12:0.5,z3:1,f3:0.5");
	assert.deepEqual(found, { text: "good", changes: [{ gate: "f", unit: 3, value: 0.5, from: null, to: null }] });
	assert.equal(
		note,
		"The link names what this model lacks, and it is left out: gate z, layer 3, unit 12, method magic, class “fine”.",
	);
	const layers = [{ units: 3, directions: ["backward"] }, ...model.layers];
	assert.match((await fit("#u=4&layer=0&x=f4:0,f2l0:0,f3l0:0", { layers })).note, /: unit 4, unit 3\.$/);
	assert.match((await fit("#w=-1&u=1e9&x=f1:9")).note, /: word -1, unit 1e9, change f1:9\.$/);
	assert.match((await fit("#x=f1:0.5", { gate: "binary" })).note, /value 0.5 of gate f/);
	assert.match((await fit("#target=good&against=good")).note, /comparison with “good”/);
});

test("the word that is looked at is the one that the attribution ranks first", () => {
	const data = { text: { kept: 3 }, attribution: { scores: [0.1, -2, 1] } };
	assert.equal(selectedWord({ ...START, data }), 1);
	assert.equal(selectedWord({ ...START, data, w: 9 }), 2);
	assert.equal(selectedWord(START), 0);
});

test("changes are cut to the text, and said in words", () => {
	const ranged = { gate: "f", unit: 3, value: 1, from: 2, to: 9 };
	assert.deepEqual(
		fittingChanges([ranged, { ...ranged, from: 7 }, { ...ranged, from: null, to: null }], 5).map((one) => one.to),
		[4, null],
	);
	assert.equal(describeChange(ranged), "f of unit 3 clamped to 1.00, words 3–10");
	assert.equal(describeChange({ gate: "h", unit: 5, value: 0 }), "unit 5 ablated");
	assert.equal(describeChange({ gate: "h", unit: 5, value: 0, layer: 0 }), "unit 5 of layer 1 ablated");
});

test("a change is of its layer and direction", () => {
	const both = ["forward", "backward"];
	const model = {
		model: {
			layers: [
				{ units: 4, directions: both },
				{ units: 4, directions: both },
			],
		},
	};
	const [top, lower] = [
		{ ...START, model },
		{ ...START, model, layer: 0 },
	];
	const cases = [
		[{ unit: 3 }, [true, false]],
		[{ unit: 3, layer: 0 }, [false, true]],
		[{ unit: 3, layer: 1 }, [true, false]],
		[{ unit: "all" }, [true, true]],
		[{ unit: "all", layer: 1 }, [true, false]],
		[{ unit: 2 }, [false, false]],
		[{ unit: "all", direction: "backward" }, [false, false]],
		[{ unit: 3, from: 2, to: 4 }, [false, false]],
	];
	for (const [change, expected] of cases)
		assert.deepEqual(
			[top, lower].map((state) => covers(change, 3, 1, state)),
			expected,
			JSON.stringify(change),
		);
	assert.equal(covers({ unit: "all", direction: "backward" }, 5, 1, top), true);
	assert.deepEqual([top, { ...top, layer: 1 }, lower, START].map(layerOf), [{}, {}, { layer: 0 }, {}]);
});

test("units and directions are those of the layer", () => {
	const layers = [
		{ units: 3, directions: ["backward"] },
		{ units: 2, directions: ["forward", "backward"] },
	];
	const model = { model: { layers } };
	assert.deepEqual(
		[null, 0, 1].map((layer) => unitCount({ model, layer })),
		[4, 3, 4],
	);
	assert.deepEqual(
		[
			[1, null],
			[2, null],
			[2, 0],
		].map(([unit, layer]) => directionOf(model.model, unit, layer)),
		["forward", "backward", "backward"],
	);
});

test("the number of differing words is a sentence", () => {
	const sentences = [
		[0, 0],
		[1, 1],
		[2, 0],
	].map((counts) => differenceOf(counts, "word"));
	assert.deepEqual(sentences, [
		"No word differs.",
		"Marked: 1 word of the first text, 1 of the second.",
		"Marked: 2 words of the first text, 0 of the second.",
	]);
});

test("a value is a probability, or a number in its own unit", () => {
	const label = { probability: 0.824, score: 1.2, target: "good" };
	const price = { probability: null, score: -1234.567, target: "price" };
	assert.equal(valueText(label), "P(good) = 0.82");
	const two = { task: "classification", labels: ["buy", "pass"] };
	const buy = { label: "buy", target: "pass", probability: 0.06, probabilities: [0.94, 0.06] };
	assert.equal(headingText(buy, two), "buy, P(buy) = 0.94");
	assert.equal(
		headingText({ ...buy, undecided: true, probability: 0.48, probabilities: [0.52, 0.48] }, two),
		"undecided, P(pass) = 0.48",
	);
	assert.equal(
		headingText({ ...label, label: "good, new", target: "good" }, { task: "multilabel", labels: ["good", "new"] }),
		"good, new, P(good) = 0.82",
	);
	assert.equal(valueText(price), "\u22121,235");
	assert.equal(number(0.00012345), "0.0001234");
	assert.deepEqual(
		[0.00012345, -2, 0].map((x) => scoreText(x, true)),
		["+0.0001234", "\u22122", "0"],
	);
	assert.deepEqual(
		[0.00012345, -2].map((x) => scoreText(x, false)),
		["\u00b10.00", "\u22122.00"],
	);
	assert.match(changeText(label, { ...label, probability: 0.7 }), / → 0\.70 \(\u22120\.12\)$/);
	assert.match(changeText(price, { ...price, score: -1200 }), / → \u22121,200 \(\+34\.57\)$/);
	const three = { probabilities: [0.1, 0.6, 0.3] };
	assert.equal(
		othersText(three, { labels: ["a", "b", "c"], task: "classification" }),
		"most probable: b 0.600 · c 0.300 · a 0.100",
	);
	assert.equal(othersText({ probabilities: [0.1, 0.9] }, { labels: ["a", "b"], task: "classification" }), "");
	assert.equal(othersText({ probabilities: null }, { labels: ["a"], task: "regression" }), "");
});

test("the line of a regression is scaled to its numbers, those before a change included", () => {
	const after = { stride: 1, probability: null, score: [2, 3, 4] };
	const line = lineOf(after, { stride: 1, probability: null, score: [0, 1, 1] });
	assert.deepEqual([line.probability, line.low, line.high], [[0.5, 0.75, 1], 0, 4]);
	const classes = { stride: 2, probability: [0.5, 0.9], score: [0, 2] };
	assert.equal(lineOf(classes), classes);
});

test("a score is shown as a sum over its members, with what the method leaves out", () => {
	const attribution = {
		base_value: 0.25,
		scores: [1, -0.5],
		residual: -0.2,
		score: 0.55,
		score_name: "logit of good",
		adds_up: false,
		members: [{ name: "LSTM", weight: 1 }],
	};
	assert.equal(
		sumText(attribution, { probability: 0.6 }, "word"),
		"Logit of good +0.55 = base value +0.25, words +0.50, residual \u22120.20",
	);
	const members = [
		{ name: "LSTM", weight: 0.5, scores: [1, -1], truncated_part: 0 },
		{ name: "n-grams", weight: 1, scores: [0, 0.25], truncated_part: 0.25 },
	];
	const exact = { ...attribution, members, residual: 1e-8, adds_up: true };
	assert.equal(
		sumText(exact, { probability: 0.6, against: "bad" }, "word"),
		"Logit of good minus bad +0.55 = base value +0.25, LSTM ±0.00 (weight 0.50), n-grams +0.50 (weight 1.00)",
	);
	assert.equal(
		sumText({ ...attribution, residual: 1e-5 }, { probability: null }, "step"),
		"Logit of good +0.55 = base value +0.25, steps +0.5",
	);
	assert.deepEqual(
		methodNotes({ method: "m", note: "N.", faithfulness_note: "F." }, { probability: 0.5, calibrated: true }),
		["m: N.", "F. Probabilities are calibrated on the validation set."],
	);
	const [, line] = methodNotes(
		{ method: "m", note: "N.", faithfulness_note: "F." },
		{ probability: null },
		{ inputs: "series", not_causal: "node 'softmax': Softmax over all steps" },
	);
	assert.equal(
		line,
		"F.  The prediction after each step is a run of its own: the network is not known to be causal, because node 'softmax': Softmax over all steps.",
	);
});
