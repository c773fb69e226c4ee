// What claims.json claims of the lesson, measured on the page's own modules in Node: by name a function that returns its numbers, one
// per example or per seed. test_lesson_claims.py sets PAGE, the folder of the modules, and MODEL, the files of the tutorial's model.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { MODEL, PAGE } = process.env;
const page = (name) => import(pathToFileURL(`${PAGE}/${name}.js`));
const { rowOf, product, sigmoid } = await page("model/arrays");
const { readTensors } = await page("model/tensors");
const { parseModel } = await page("model/lstm");
const { advance, GATES } = await page("model/network");
const { adam, backward, createNetwork, createTraining, crossEntropy, forward, prefixLogits, seeded } =
	await page("trainer");
const { nearestWords } = await page("lesson/ids");
const { gradientShare } = await page("lesson/learning");
const { holdingUnit, leftOfChange, stepAfterStrongest } = await page("lesson/memory");
const { gateShares } = await page("lesson/gates");
const { strongestStep } = await page("lesson/sentence");
const { firstHigher, firstSymbol, seriesOf, SYMBOLS } = await page("lesson/tasks");

const SEEDS = [1, 2, 3, 4, 5];
const STARTS_OF_LEARNING = [8, 1, 2, 3, 4]; // the first one is that of chapter 6, its examples have the seed 102
const STARTS_OF_SERIES = [12, 1, 2, 3, 4]; // the first one is that of chapter 7, its examples have the seed 112
const UNITS = 8;
const [UNK, PAD, FIRST_WORD, WORDS] = [2, 0, 4, 10_000];

function read(name) {
	const bytes = readFileSync(`${MODEL}/${name}`);
	return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
}
function loadModel() {
	const model = parseModel(read("tutorial.lstm"));
	model.network.addRows(readTensors(read("tutorial-rest.lstm")).tensors);
	return model;
}
const model = loadModel();
const H = model.units;

// The examples of the menu of lesson.html; the fifth one is X_train[5], as shell.js has it.
const SENTENCES = JSON.parse(process.env.SENTENCES);
const REVIEW = JSON.parse(process.env.REVIEW);
const IDS = [...SENTENCES.map((text) => Array.from(model.encode(text).ids)), [1, ...REVIEW]];

const runOf = (ids, changes = [], options = {}) => model.run({ ids: Int32Array.from(ids) }, { changes, ...options });
const held = (gate, value, from = null, to = from) => ({ gate, unit: "all", from, to, value });
const largest = (values) => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
const lastOf = (run) => run.h.subarray((run.T - 1) * H);
const range = (from, to) => Array.from({ length: to - from }, (_, n) => from + n);
const mean = (values) => values.reduce((total, x) => total + x, 0) / values.length;
const shareOf = (values) => mean(values.map(Number));

/** A shuffled copy. */
function shuffled(values, random) {
	const copy = [...values];
	for (let n = copy.length - 1; n > 0; n -= 1) {
		const other = Math.floor(random() * (n + 1));
		const kept = copy[n];
		copy[n] = copy[other];
		copy[other] = kept;
	}
	return copy;
}

/** The model with its words numbered otherwise: P of the examples must stay. */
function changeUnderOtherIds(seed) {
	const order = shuffled(range(FIRST_WORD, WORDS), seeded(seed)); // the new id of word n is order[n - FIRST_WORD]
	const newId = (id) => (id < FIRST_WORD ? id : order[id - FIRST_WORD]);
	const renamed = loadModel();
	for (const id of range(FIRST_WORD, WORDS))
		renamed.network.embedding.set(model.network.inputOf(id), newId(id) * model.info.embeddingDim);
	return largest(
		IDS.map((ids) => renamed.run({ ids: Int32Array.from(ids, newId) }).probability - runOf(ids).probability),
	);
}

const effects = new Map();
/** How much a word alone changes the logit. */
function effectOf(id) {
	if (!effects.has(id)) effects.set(id, runOf([1, id]).logit - runOf([1]).logit);
	return effects.get(id);
}
const movers = () =>
	range(FIRST_WORD, 2000)
		.sort((a, b) => Math.abs(effectOf(b)) - Math.abs(effectOf(a)))
		.slice(0, 100);
const isSameWay = (a, b) => Math.sign(effectOf(a)) === Math.sign(effectOf(b));
const idOf = (word) => model.encode(word).ids[1];

/** The strongest step of a sentence and what chapter 3 computes of it. */
function memoryOf(ids) {
	const run = runOf(ids);
	const t = strongestStep(run);
	const without = runOf(ids, [held("i", 0, t)]);
	const k = holdingUnit(model, run, without, t);
	const last = Math.min(t + 7, run.T - 1);
	return { run, t, without, k, last, ...leftOfChange(model, run, without, { t, k, last }) };
}

/** What is left of the change if the gates of all later words are held as they are without it, less the product of f. */
function leftWithoutH(ids) {
	const { run, t, k, last, byForgetGate } = memoryOf(ids);
	const asBefore = [];
	for (let n = t + 1; n < run.T; n += 1) {
		for (let unit = 0; unit < H; unit += 1) {
			for (const gate of ["i", "f", "g", "o"])
				asBefore.push({ gate, unit, from: n, to: n, value: run[gate][n * H + unit] });
		}
	}
	const cut = runOf(ids, [held("i", 0, t), ...asBefore]);
	const change = (n) => run.c[n * H + k] - cut.c[n * H + k];
	return change(last) / change(t) - byForgetGate;
}

/** f of unit k at 0 at step 2, its h held as it was: the largest change of c in the other units at any step. */
function changeOfOthers(k) {
	const [ids] = IDS;
	const run = runOf(ids);
	const sameOutput = range(0, run.T).map((n) => ({ gate: "h", unit: k, from: n, to: n, value: run.h[n * H + k] }));
	const changed = runOf(ids, [{ gate: "f", unit: k, from: 2, to: 2, value: 0 }, ...sameOutput]);
	if (changed.c[2 * H + k] === run.c[2 * H + k]) throw new Error("f at 0 changes nothing of its own unit");
	return largest(Array.from(run.c, (c, n) => (n % H === k ? 0 : changed.c[n] - c)));
}

/** The largest |c - what it should be| of a run; before(n): c before place n. */
function memoryError(run, expected) {
	const before = (n) => (n < H ? run.start.c[n] : run.c[n - H]);
	return largest(Array.from(run.c, (c, n) => c - expected(run, n, before(n))));
}

function leastChangeUnderHeldGates(ids) {
	const run = runOf(ids);
	const changes = [];
	for (const gate of ["f", "i", "o", "g"]) {
		for (const value of [0, 0.5, 1]) {
			const changed = runOf(ids, [held(gate, value)]);
			for (let t = 1; t < run.T; t += 1)
				changes.push(largest(range(t * H, (t + 1) * H).map((n) => changed.c[n] - run.c[n])));
		}
	}
	return Math.min(...changes);
}

/** A network with random parameters, an input, and its loss when gates are sigmoids or steps. */
function randomNetwork(seed) {
	const random = seeded(seed);
	const network = createNetwork({ inputs: 3, units: 4, seed });
	network.parameters.forEach((_, n) => (network.parameters[n] = 1.6 * random() - 0.8));
	const x = Float64Array.from({ length: 18 }, () => 2 * random() - 1);
	return { network, x, label: seed % 2 };
}
/** A run of the trainer's network with changes of single steps, or with gates of 0 or 1. */
function runWith(network, x, changes = [], isBinary = false) {
	const { inputs, units } = network;
	const T = x.length / inputs;
	const states = Object.fromEntries(GATES.map((name) => [name, new Float64Array(T * units)]));
	const start = { h: new Float64Array(units), c: new Float64Array(units) };
	const run = { ...network, ...states, x, T, start, held: changes.map((one) => ({ unit: null, ...one })) };
	for (let t = 0; t < T; t += 1)
		advance(run, t, product(network.weightIh, rowOf(x, t, inputs), network.bias), isBinary);
	return { ...run, logit: prefixLogits(network, run).at(-1) };
}
const STEP = 1e-5;
/** The slope of the loss in each weight of the gates i, f and o, by finite differences. */
function slopesOfGates({ network, x, label }, isBinary) {
	const { units } = network;
	const loss = () => crossEntropy(runWith(network, x, [], isBinary).logit, label);
	const rows = [...range(0, 2 * units), ...range(3 * units, 4 * units)];
	const slopes = [];
	for (const [weights, columns] of [
		[network.weightIh, network.inputs],
		[network.weightHh, units],
		[network.bias, 1],
	]) {
		for (const row of rows) {
			for (const column of range(0, columns)) {
				const at = row * columns + column;
				const value = weights[at];
				weights[at] = value + STEP;
				const above = loss();
				weights[at] = value - STEP;
				const below = loss();
				weights[at] = value;
				slopes.push((above - below) / (2 * STEP));
			}
		}
	}
	return slopes;
}
function gradientOf({ network, x, label }) {
	const gradient = new Float64Array(network.parameters.length);
	const run = forward(network, x);
	backward(network, run, sigmoid(run.logit) - label, gradient);
	return gradient;
}
function gradientError(seed) {
	const random = randomNetwork(seed);
	const { network, x, label } = random;
	const gradient = gradientOf(random);
	const slopes = Array.from(network.parameters, (value, n) => {
		network.parameters[n] = value + STEP;
		const above = crossEntropy(forward(network, x).logit, label);
		network.parameters[n] = value - STEP;
		const below = crossEntropy(forward(network, x).logit, label);
		network.parameters[n] = value;
		return (above - below) / (2 * STEP);
	});
	return largest(slopes.map((slope, n) => slope - gradient[n]));
}
/** Which share of the gates' weights one step of Adam moves. */
function shareMovedByAdam(seed) {
	const random = randomNetwork(seed);
	const { network } = random;
	const before = Float64Array.from(network.parameters);
	adam(network.parameters)(gradientOf(random));
	const gateWeights = 4 * network.units * (network.inputs + network.units + 1);
	return shareOf(range(0, gateWeights).map((n) => network.parameters[n] !== before[n]));
}

/** One step of a random network from a state, with one of its parts replaced: how many of the four gates of each unit change, in the
 * mean of the units. */
function gatesThatChange(seed, part) {
	const { network, x } = randomNetwork(seed);
	const random = seeded(seed + 50);
	const values = () => Float64Array.from({ length: network.units }, () => 2 * random() - 1);
	const stepFrom = ({ h, c, input }) => {
		const states = Object.fromEntries(GATES.map((name) => [name, new Float64Array(network.units)]));
		const run = { ...network, ...states, T: 1, start: { h, c }, held: [] };
		advance(run, 0, product(network.weightIh, input, network.bias));
		return run;
	};
	const given = { h: values(), c: values(), input: x.subarray(0, 3) };
	const other = { h: values(), c: values(), input: x.subarray(3, 6) };
	const before = stepFrom(given);
	const after = stepFrom({ ...given, [part]: other[part] });
	const changed = ["i", "f", "g", "o"].map((gate) =>
		shareOf(Array.from(before[gate], (value, k) => value !== after[gate][k])),
	);
	return changed.reduce((total, share) => total + share, 0);
}
/** c after 20 steps that add nothing, from a step that makes it 1. */
function keptAfter20(f) {
	const network = createNetwork({ inputs: 1, units: 1 });
	const changes = [
		{ gate: "f", value: f },
		{ gate: "g", value: 1 },
		{ gate: "i", value: 1, from: 0, to: 0 },
		{ gate: "i", value: 0, from: 1, to: 20 },
	];
	return runWith(network, new Float64Array(21), changes).c[20];
}
const grownMemory = (o) =>
	runWith(createNetwork({ inputs: 1, units: 1 }), new Float64Array(50), [
		{ gate: "f", value: 1 },
		{ gate: "i", value: 1 },
		{ gate: "g", value: 1 },
		{ gate: "o", value: o },
	]);
/** With f, o and h as they are: c with and without what the last step adds. */
function errorOfSum(seed) {
	const { network, x } = randomNetwork(seed);
	const whole = runWith(network, x);
	const last = whole.T - 1;
	const nothing = runWith(network, x, [{ gate: "i", value: 0, from: last, to: last }]);
	const at = last * network.units;
	return largest(range(at, at + network.units).map((n) => whole.c[n] - nothing.c[n] - whole.i[n] * whole.g[n]));
}

/** Trained networks of chapter 6, by distance and setting: {network, accuracy of the last 20 batches}. */
const learned = new Map();
function learn(seed, distance, { forgetBias = 1, f = null } = {}) {
	const key = [seed, distance, forgetBias, f].join();
	if (learned.has(key)) return learned.get(key);
	const network = createNetwork({ inputs: SYMBOLS.length, units: UNITS, seed, forgetBias });
	const heldGates = f === null ? {} : { f };
	const training = createTraining(network, firstSymbol(distance, seeded(seed + 94)), { held: heldGates });
	const rows = range(0, 200).map(() => training.next().accuracy);
	const found = { network, accuracy: mean(rows.slice(-20)) };
	learned.set(key, found);
	return found;
}
function accuracyOf(network, distance, heldGates = {}) {
	const draw = firstSymbol(distance, seeded(999));
	return shareOf(
		range(0, 200).map(() => {
			const { x, label } = draw();
			return forward(network, x, heldGates).logit > 0 === (label === 1);
		}),
	);
}
/** f held at 1/2 while the distance grows from 1 to 20: the accuracy over 20. */
function learnByDistance(seed) {
	const network = createNetwork({ inputs: SYMBOLS.length, units: UNITS, seed });
	for (const distance of range(1, 21)) {
		const training = createTraining(network, firstSymbol(distance, seeded(seed + 500 + distance)), {
			held: { f: 0.5 },
		});
		const steps = distance < 4 ? 60 : 20;
		for (let n = 0; n < steps; n += 1) training.next();
	}
	return accuracyOf(network, 20, { f: 0.5 });
}
const withoutRecurrentWeights = (network) => ({ ...network, weightHh: new Float64Array(network.weightHh.length) });
const untrained = (seed) => createNetwork({ inputs: SYMBOLS.length, units: UNITS, seed });

/** Trained networks of chapter 7. */
const trainedOnSeries = new Map();
function learnSeries(seed) {
	if (trainedOnSeries.has(seed)) return trainedOnSeries.get(seed);
	const network = createNetwork({ inputs: 1, units: UNITS, seed, forgetBias: 3 });
	const training = createTraining(network, firstHigher(seeded(seed + 100)), { rate: 0.02 });
	const rows = range(0, 300).map(() => training.next().accuracy);
	const found = { network, accuracy: mean(rows.slice(-20)) };
	trainedOnSeries.set(seed, found);
	return found;
}
const FIRST_PEAK = 10; // as in series.js
const shownSeries = (first, second, gap = 18) =>
	seriesOf(
		[
			[FIRST_PEAK, first],
			[FIRST_PEAK + gap, second],
		],
		seeded(7),
	);
/** The accuracy on 300 series whose first peak is at step 10 and whose second one is at least 10 steps later, with a gate at 0 at step 15. */
function accuracyWithEmptied(seed, gate) {
	const { network } = learnSeries(seed);
	const random = seeded(seed + 999);
	return shareOf(
		range(0, 300).map(() => {
			const second = FIRST_PEAK + 10 + Math.floor(20 * random());
			const low = 0.3 + 0.95 * random();
			const high = Math.min(1.5, low + 0.25 + (1.25 - low) * random());
			const isFirst = random() < 0.5;
			const x = seriesOf(
				[
					[FIRST_PEAK, isFirst ? high : low],
					[second, isFirst ? low : high],
				],
				random,
			);
			return runWith(network, x, [{ gate, value: 0, from: 15, to: 15 }]).logit > 0 === isFirst;
		}),
	);
}
/** The share of c, for heights between the two ends, that lies between c of the ends, at the step of the band. */
function shareInsideOfBand(seed) {
	const { network } = learnSeries(seed);
	const at = (FIRST_PEAK + 18 - 4) * UNITS;
	const memories = range(0, 13).map((n) =>
		forward(network, shownSeries(0.3 + 0.1 * n, 0.7)).c.subarray(at, at + UNITS),
	);
	const changes = range(0, UNITS).map((k) => Math.abs(memories[0][k] - memories[12][k]));
	const unit = changes.indexOf(Math.max(...changes));
	const low = Math.min(memories[0][unit], memories[12][unit]) - 1e-9;
	const high = Math.max(memories[0][unit], memories[12][unit]) + 1e-9;
	return shareOf(memories.map((c) => low <= c[unit] && c[unit] <= high));
}

const perExample = (measure) => () => IDS.map(measure);
const perSentence = (measure) => () => IDS.slice(0, 4).map(measure);
const perSeed = (measure) => () => SEEDS.map(measure);
const perStart = (measure) => () => STARTS_OF_LEARNING.map(measure);
const perSeriesStart = (measure) => () => STARTS_OF_SERIES.map(measure);

export const MEASURES = {
	specialIds: () => [
		Number(
			model.wordOf(PAD) === "<pad>" &&
				model.encode("the").ids[0] === 1 &&
				model.encode("zounds").ids[1] === UNK &&
				model.wordOf(3) === "<unused>" &&
				model.wordOf(FIRST_WORD) === "the",
		),
	],
	keptIds: () => [
		shareOf([
			...range(FIRST_WORD, WORDS)
				.filter((id) => /^[a-z]+$/.test(model.wordOf(id)))
				.map((id) => idOf(model.wordOf(id)) === id),
			idOf("zounds") === UNK,
			idOf("gatewise") === UNK,
		]),
	],
	rowLength: () => [model.network.inputOf(idOf("film")).length],
	idOfThe: () => [idOf("the")],
	otherIds: perSeed(changeUnderOtherIds),
	similarRows: () => [
		shareOf(movers().flatMap((id) => nearestWords(model, id).map((word) => isSameWay(id, idOfAnyWord(word))))),
	],
	randomRows: perSeed((seed) => {
		const random = seeded(seed);
		return shareOf(
			movers().flatMap((id) =>
				range(0, 5).map(() => isSameWay(id, FIRST_WORD + Math.floor((WORDS - FIRST_WORD) * random()))),
			),
		);
	}),

	maxLength: () => [model.info.maxLength],
	padIsAStep: () => [largest(model.network.pads(1).map((c, k) => c - runOf([PAD], [], { pads: 0 }).c[k]))],
	padsSettle: () => {
		const c = model.network.pads(1000);
		return [largest(c.subarray(199 * H).map((value, n) => value - c[199 * H + (n % H)]))];
	},
	maskedStart: () => {
		const { start } = runOf(IDS[0], [], { pads: 0 });
		return [largest([...start.c, ...start.h])];
	},
	withoutPads: perExample((ids) => Math.abs(runOf(ids, [], { pads: 0 }).probability - runOf(ids).probability)),
	lastStep: perExample((ids) => {
		const run = runOf(ids);
		const [dense] = model.network.dense;
		return product(dense.weight, lastOf(run), dense.bias)[0] - run.logit;
	}),
	padsBehind: perExample((ids) => runOf([...ids, ...Array(700).fill(PAD)], [], { pads: 0 }).probability),

	ownMemory: () => [16, 83, 3, 42, 71].map(changeOfOthers),
	sumOfMemory: perExample((ids) => memoryError(runOf(ids), ({ f, i, g }, n, before) => f[n] * before + i[n] * g[n])),
	emptiedMoves: perSentence((ids) => {
		const run = runOf(ids);
		return Math.abs(runOf(ids, [held("f", 0, stepAfterStrongest(run))]).probability - run.probability);
	}),
	emptiedAndUnread: perSentence((ids) => {
		const { run, without } = memoryOf(ids);
		const emptied = runOf(ids, [held("f", 0, stepAfterStrongest(run))]);
		return (emptied.probability - run.probability) / (without.probability - run.probability);
	}),
	keptPerWord: perSentence((ids) => {
		const { byForgetGate, steps } = memoryOf(ids);
		return byForgetGate ** (1 / steps);
	}),
	withoutH: perSentence(leftWithoutH),
	leftByForgetGate: perSentence((ids) => memoryOf(ids).byForgetGate),
	chosenUnit: perSentence((ids) => {
		const { run, t, without, k } = memoryOf(ids);
		const kept = range(0, H).map((unit) =>
			mean(range(t + 1, run.T).map((n) => Math.abs(run.c[n * H + unit] - without.c[n * H + unit]))),
		);
		return kept[k] / Math.max(...kept);
	}),
	leftInModel: perSentence((ids) => memoryOf(ids).share),

	gateIsSigmoid: perExample((ids) => {
		const run = runOf(ids);
		const [lstm] = run.lstms;
		const errors = range(0, run.T).flatMap((t) =>
			[0, 16, 99].flatMap((k) => {
				const parts = model.network.preactivations(lstm, k, t);
				return ["i", "f", "o"].map(
					(gate) => run[gate][t * H + k] - 1 / (1 + Math.exp(-(parts[gate].x + parts[gate].h + parts[gate].bias))),
				);
			}),
		);
		return largest(errors);
	}),
	heldGateChangesMemory: perExample(leastChangeUnderHeldGates),
	forgetGateEnds: perExample((ids) =>
		Math.max(
			memoryError(runOf(ids, [held("f", 0)]), ({ i, g }, n) => i[n] * g[n]),
			memoryError(runOf(ids, [held("f", 1)]), ({ i, g }, n, before) => before + i[n] * g[n]),
		),
	),
	loweringShare: perExample((ids) => {
		const { i, g } = runOf(ids);
		return shareOf(Array.from(g, (value, n) => i[n] * value < 0));
	}),
	gatesBetween: perExample((ids) => {
		const run = runOf(ids);
		return gateShares([run.f, run.i, run.o])[1];
	}),
	gradientOfStep: perSeed((seed) => shareOf(slopesOfGates(randomNetwork(seed), true).map((slope) => slope !== 0))),
	movedByAdam: perSeed(shareMovedByAdam),

	sigmoidOfLogit: perExample((ids) => {
		const { logit, probability } = runOf(ids);
		return probability - 1 / (1 + Math.exp(-logit));
	}),
	tutorialParameters: () => [
		largest([88_588 * 32 - 2_834_816, 4 * H * (32 + H + 1) - 53_200, H + 1 - 101, model.info.vocabSizeBefore - 88_588]),
	],
	rowsInTheModel: () => [model.info.vocabSize],
	productsRaise: perExample((ids) => {
		const run = runOf(ids);
		const h = lastOf(run);
		const { weight } = model.network.dense[0];
		return shareOf(
			Array.from(
				h,
				(value, k) =>
					Math.sign(run.probability - sigmoid(run.logit - weight[k] * value)) === Math.sign(weight[k] * value),
			),
		);
	}),
	weightsOfLstm: () => {
		const [{ weightIh, weightHh, bias }] = model.network.top.lstms;
		return [weightIh.length + weightHh.length + bias.length - 4 * H * (model.info.embeddingDim + H + 1)];
	},
	surerPredictions: () => {
		const sureness = (logit) => Math.abs(sigmoid(logit) - 0.5);
		const logits = [0, 1, 2, 4, 8];
		return [
			[1, -1].reduce(
				(count, sign) =>
					count + logits.slice(1).filter((logit, n) => sureness(sign * logit) > sureness(sign * logits[n])).length,
				0,
			),
		];
	},
	everyWordCounts: perExample((ids) => {
		const h = lastOf(runOf(ids));
		const changes = range(1, ids.length).map((at) => {
			const replaced = ids.map((id, n) => (n === at ? (id === UNK ? PAD : UNK) : id));
			return largest(lastOf(runOf(replaced)).map((value, k) => value - h[k]));
		});
		return Math.min(...changes);
	}),
	lossIsCrossEntropy: perSeed((seed) => {
		const logit = 8 * seeded(seed)() - 4;
		const label = seed % 2;
		const right = label ? sigmoid(logit) : 1 - sigmoid(logit);
		return crossEntropy(logit, label) + Math.log(right);
	}),

	gradientIsExact: perSeed(gradientError),
	parametersOfEight: () => [untrained(8).parameters.length],
	epochs: () => [model.info.history.length],
	bestEpoch: () => {
		const losses = model.info.history.map((row) => row.val_loss);
		return [model.info.history[losses.indexOf(Math.min(...losses))].epoch - model.info.bestEpoch];
	},
	gradientAtHalf: perStart((seed) => gradientShare(untrained(seed), 20, { f: 0.5 })),
	gradientAtBias1: perStart((seed) => gradientShare(untrained(seed), 20, {})),
	learnedOver20: perStart((seed) => learn(seed, 20).accuracy),
	learnedAtHalf: perStart((seed) => learn(seed, 20, { f: 0.5 }).accuracy),
	learnedAtHalfByDistance: perStart(learnByDistance),
	countOver40: () => [STARTS_OF_LEARNING.filter((seed) => learn(seed, 40).accuracy > 0.99).length],
	learnedOver40WithBias3: perStart((seed) => learn(seed, 40, { forgetBias: 3 }).accuracy),
	heldAfterTraining: perStart((seed) => accuracyOf(learn(seed, 20).network, 20, { f: 0.5 })),
	withoutRecurrence: perStart((seed) => accuracyOf(withoutRecurrentWeights(learn(seed, 20).network), 20)),

	inputsOfSeries: () => [firstHigher(seeded(3))().x.length / 44],
	prefixOfSeries: perSeed((seed) => {
		const { network, x } = randomNetwork(seed);
		const logits = prefixLogits(network, forward(network, x));
		return largest(range(1, 7).map((steps) => logits[steps - 1] - forward(network, x.subarray(0, 3 * steps)).logit));
	}),
	learnedSeries: perSeriesStart((seed) => learnSeries(seed).accuracy),
	swapped: perSeriesStart((seed) => {
		const { network } = learnSeries(seed);
		const probability = (first, second) => sigmoid(forward(network, shownSeries(first, second)).logit);
		return probability(1.1, 0.7) + probability(0.7, 1.1) - 1;
	}),
	meanOfSwapped: () =>
		[7, 12, 18, 24, 30].map(
			(gap) => mean(Array.from(shownSeries(1.1, 0.7, gap))) - mean(Array.from(shownSeries(0.7, 1.1, gap))),
		),
	emptiedBetweenPeaks: perSeriesStart((seed) => accuracyWithEmptied(seed, "f")),
	hiddenBetweenPeaks: perSeriesStart((seed) => accuracyWithEmptied(seed, "h")),
	insideOfBand: perSeriesStart(shareInsideOfBand),

	gatesOfInputs: perSeed((seed) => Math.min(gatesThatChange(seed, "input"), gatesThatChange(seed, "h"))),
	gatesOfMemory: perSeed((seed) => gatesThatChange(seed, "c")),
	keptAt95: () => [keptAfter20(0.95)],
	keptAt73: () => [keptAfter20(0.73)],
	sumOfStep: perSeed(errorOfSum),
	unboundedMemory: () => [grownMemory(1).c[49]],
	boundedOutput: () => [1, 0.25].map((o) => grownMemory(o).h[49]),
};

/** The id of any word of the model: idOf reads a text, which divides some words. */
function idOfAnyWord(word) {
	for (let id = FIRST_WORD; id < WORDS; id += 1) if (model.wordOf(id) === word) return id;
	throw new Error(`no word ${word}`);
}

const wanted = JSON.parse(process.env.WANTED);
console.log(JSON.stringify(Object.fromEntries(wanted.map((name) => [name, MEASURES[name]()]))));
