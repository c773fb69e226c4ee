// Chapter 6: a small LSTM trains in the page; then the training run of the tutorial's model.

import { fmt, setText, svg } from "../dom.js";
import { sigmoid } from "../model/arrays.js";
import { backward, createNetwork, createTraining, forward, seeded } from "../trainer.js";
import { createChart } from "../chart.js";
import { colourOf, path, pictureOf, rect, stroke, text } from "../drawing.js";
import { choice, handle, question } from "./parts.js";
import { firstSymbol, oneHot, SYMBOLS } from "./tasks.js";

const UNITS = 8;
const SEED = 8; // of the first weights
const LAST = 200; // steps of a run
const WINDOW = 5; // batches over which the curves are smoothed
const EDGE = 44;
const NAMES = 128; // width of the answers next to the lines
const ROW = 12; // height of a unit
const TUTORIAL = [
	[2, 0.8846, "tutorial"],
	[5, 0.8246, ""],
]; // its validation accuracy, as far as it prints it

/** The length of the gradient that the weights of A and B get over `distance` other symbols, in the mean of 64 sequences, as a share of
 * that without others. A and B occur in the first step only, so it is what reaches that step. held: gates of `forward`. */
export function gradientShare(network, distance, held) {
	const lengthOver = (others) => {
		const draw = firstSymbol(others, seeded(77));
		let total = 0;
		for (let n = 0; n < 64; n += 1) {
			const { x, label } = draw();
			const run = forward(network, x, held);
			const gradient = new Float64Array(network.parameters.length);
			backward(network, run, sigmoid(run.logit) - label, gradient);
			let squares = 0;
			for (let row = 0; row < 4 * network.units; row += 1) {
				const first = row * network.inputs; // the weights of A and B begin each row of the first matrix
				squares += gradient[first] ** 2 + gradient[first + 1] ** 2;
			}
			total += Math.sqrt(squares);
		}
		return total;
	};
	return lengthOver(distance) / lengthOver(0);
}

export function mount(parts, lesson) {
	const { progress, start } = parts;
	let setting = { distance: 20, gate: "learned", bias: "1" };
	let run = null;
	let before = null; // the curves of the run before
	let playing = 0;

	const between = seeded(11);
	const others = Array.from({ length: 40 }, () => 2 + Math.floor(4 * between()));
	const probe = (symbol) => oneHot([symbol, ...others.slice(0, setting.distance)]);

	function restart(patch) {
		if (run?.curve.length > 20) before = run;
		setting = { ...setting, ...patch };
		const network = createNetwork({
			inputs: SYMBOLS.length,
			units: UNITS,
			seed: SEED,
			forgetBias: Number(setting.bias),
		});
		const held = setting.gate === "held" ? { f: 0.5 } : {};
		run = {
			network,
			held,
			setting,
			curve: [],
			training: createTraining(network, firstSymbol(setting.distance, seeded(102)), { held }),
		};
		play();
	}

	/** The mean of the last batches. */
	const recent = ({ curve }, name, end = curve.length) => {
		const rows = curve.slice(Math.max(0, end - WINDOW), end);
		return rows.reduce((sum, row) => sum + row[name] / rows.length, 0);
	};

	function frame() {
		run.curve.push(run.training.next()); // one step a frame: a reader can watch it
		playing = run.curve.length < LAST ? requestAnimationFrame(frame) : 0;
		lesson.draw();
	}
	function play() {
		playing ||= requestAnimationFrame(frame);
		lesson.draw();
	}
	function pause() {
		cancelAnimationFrame(playing);
		playing = 0;
		lesson.draw();
	}

	const setDistance = handle(parts.distance, {
		label: "Number of symbols between the first one and the answer",
		value: 20,
		min: 1,
		max: 40,
		step: 1,
		format: String,
		onInput: (distance) => restart({ distance }),
		reset: () => restart({ distance: 20 }),
	});
	start.addEventListener("click", () => (playing ? pause() : run.curve.length < LAST ? play() : restart({})));
	const setGate = choice([...parts.gate.children], (gate) => restart({ gate }));
	const setBias = choice([...parts.bias.children], (bias) => restart({ bias }));
	question(parts.question, () => {
		restart({ gate: "held", distance: 20, bias: "1" });
		const untrained = createNetwork({ inputs: SYMBOLS.length, units: UNITS, seed: SEED, forgetBias: 1 });
		const share = (held) =>
			Number(gradientShare(untrained, 20, held).toPrecision(1))
				.toFixed(5)
				.replace(/0+$/, "");
		return {
			right: 1,
			text: `Not from this start: over the others ${share({ f: 0.5 })} of the gradient reaches A and B, with f learned ${share({})}.`,
		};
	});
	const sequence = pictureOf(parts.sequence);
	const [loss, accuracy] = [
		createChart("Loss, 8 units", [0, 1], 140, [0, 0.69]),
		createChart("Accuracy, 8 units", [0, 1], 140, [0, 0.5, 1]),
	];
	const epochs = createChart("Accuracy, 100 units", [0.7, 1], 140, [0.7, 0.8, 0.9, 1]);
	for (const [name, chart] of Object.entries({ loss, accuracy, epochs })) parts[name].append(chart.node);
	const own = lesson.model.info;
	const tested = own.evaluations.find(({ data }) => data.includes("the test half"));
	const figure = tested
		? `test accuracy ${fmt(tested.accuracy, 4)}`
		: `validation accuracy ${fmt(own.history.find(({ epoch }) => epoch === own.bestEpoch)?.val_accuracy, 4)}`;
	setText(parts.best, `Epoch ${own.bestEpoch} has the lowest validation loss: ${figure}.`);

	function drawSequence() {
		const { network, held } = run;
		const T = setting.distance + 1;
		const pair = [0, 1].map((symbol) => forward(network, probe(symbol), held));
		const [shown] = pair;
		const top = 52;
		const memoryTop = top + UNITS * ROW + 34;
		const width = sequence.fit(memoryTop + 88);
		const each = (width - EDGE - NAMES) / T;
		const x = (t) => EDGE + each * t;
		const between =
			each < 12
				? [text(x((T + 1) / 2), 18, `${setting.distance} others`, "muted")]
				: others
						.slice(0, setting.distance)
						.map((id, t) => text(x(t + 1.5), 18, SYMBOLS[id], each < 15 ? "t14 muted" : "muted"));
		const gates = Array.from({ length: UNITS * T }, (_, n) => ({
			k: Math.floor(n / T),
			t: n % T,
			f: shown.f[(n % T) * UNITS + Math.floor(n / T)],
		}));
		const mean = gates.reduce((total, { f }) => total + f, 0) / gates.length;
		// The unit whose part of the logit differs most between A and B.
		const gap = (k) => Math.abs(network.weight[k] * (pair[0].h[(T - 1) * UNITS + k] - pair[1].h[(T - 1) * UNITS + k]));
		const unit = [...network.weight.keys()].reduce((a, b) => (gap(b) > gap(a) ? b : a));
		const steps = Array.from({ length: T }, (_, t) => t);
		const range = Math.max(1, ...pair.flatMap(({ c }) => steps.map((t) => Math.abs(c[t * UNITS + unit]))));
		const y = (c) => memoryTop + 44 - (40 * c) / range;
		const ends = pair.map(({ c }) => y(c[(T - 1) * UNITS + unit]));
		const apart = Math.max(0, 18 - Math.abs(ends[0] - ends[1])) / 2;
		const lines = pair.flatMap(({ c, logit }, symbol) => {
			const p = sigmoid(logit);
			const right = p > 0.5 === (symbol === 1);
			const sure = Math.abs(p - 0.5) > 0.05;
			const shift = ends[symbol] < ends[1 - symbol] || (ends[0] === ends[1] && symbol) ? -apart : apart;
			return [
				svg("path", {
					class: symbol ? "trace other" : "trace",
					d: path(steps.map((t) => [x(t + 0.5), y(c[t * UNITS + unit])])),
				}),
				text(
					x(T) + 6,
					ends[symbol] + 5 + shift,
					`${SYMBOLS[symbol]}: P(${SYMBOLS[symbol]}) = ${fmt(symbol ? p : 1 - p)} ${sure ? (right ? "✓" : "✗") : ""}`,
					`t14 ${sure ? (right ? "plus" : "minus") : "muted"}`,
					"start",
				),
			];
		});
		const begun = setting.gate === "held" ? "" : `, at the start ${setting.bias === "3" ? "0.95" : "0.73"}`;
		parts.sequence.replaceChildren(
			text(x(0.5) + 6, 18, "A/B", "bold", "end"),
			...between,
			text(EDGE, 40, `Forget gates: mean ${fmt(mean)}${begun}`, "t14", "start"),
			svg(
				"g",
				{ "data-wire": "forget" },
				...gates.map(({ k, t, f }) =>
					rect(x(t), top + k * ROW, Math.max(1, each - 1), ROW - 1, null, { fill: colourOf(f, "gate") }),
				),
			),
			text(EDGE, memoryTop - 10, `Memory c of unit ${unit + 1}: first symbol A, dashed B`, "t14", "start"),
			svg(
				"g",
				{ "data-wire": "memory" },
				stroke(`M${EDGE},${y(0)}H${x(T)}`, "axis"),
				text(EDGE - 6, y(0) + 5, "0", "t14 muted", "end"),
				...lines,
			),
		);
	}

	const nameOf = ({ setting: { distance, gate, bias } }) =>
		`${distance}, ${gate === "held" ? "f = 1/2" : bias === "3" ? "bias 3" : "learned"}`;
	function drawCharts() {
		for (const [chart, name] of [
			[loss, "loss"],
			[accuracy, "accuracy"],
		]) {
			const points = (one) => one.curve.map((_, n) => [n + 1, recent(one, name, n + 1)]);
			const lines = [{ class: "now", points: points(run) }];
			if (before) lines.unshift({ class: "ghost", points: points(before) });
			chart.draw({ lines, xs: [1, LAST], xName: "step" });
		}
		const points = (name) => own.history.map((row) => [row.epoch, row[name]]);
		epochs.draw({
			lines: [
				{ class: "ghost", points: points("accuracy"), name: "training" },
				{ class: "now", points: points("val_accuracy"), name: "validation", at: 3, below: true },
			],
			xs: [1, own.history.length],
			xName: "epoch",
			mark: { x: own.bestEpoch, name: "kept" },
			dots: TUTORIAL,
		});
	}

	return {
		draw() {
			if (!run) return;
			drawSequence();
			drawCharts();
			setGate(setting.gate);
			setBias(setting.bias);
			setDistance(setting.distance);
			progress.toggleAttribute("data-training", Boolean(playing));
			setText(start, playing ? "Pause" : run.curve.length < LAST ? "Train" : "Train again");
			const n = run.curve.length;
			setText(
				progress,
				n
					? `step ${n}: loss ${fmt(recent(run, "loss"))}, accuracy ${fmt(recent(run, "accuracy"))}${before ? `; grey: ${nameOf(before)}` : ""}`
					: "not trained yet",
			);
		},
		show() {
			if (!run) restart({});
			if (matchMedia("(prefers-reduced-motion: reduce)").matches) pause();
		},
		hide: pause,
	};
}
