// Chapter 7: a series of numbers through the same cell, by an LSTM that trains when the chapter opens.

import { fmt, setText, svg } from "../dom.js";
import { sigmoid } from "../model/arrays.js";
import { createNetwork, createTraining, forward, prefixLogits, seeded } from "../trainer.js";
import { path, pictureOf, PROBABILITIES, rect, stroke, text, yAxis } from "../drawing.js";
import { handle, question, slider } from "./parts.js";
import { firstHigher, seriesOf, STEPS } from "./tasks.js";

const UNITS = 8;
const BATCHES = 300;
const FRAME = 6; // milliseconds of training in a frame
const [EDGE, RIGHT] = [44, 12];
const LIFT = 16; // of the grip over its peak
const FIRST = 10; // the step of the first peak
const START = { first: 1.1, second: 0.7, gap: 18 };
const HEIGHTS = { min: 0.3, max: 1.5, step: 0.05 };

export function mount(parts, lesson) {
	const network = createNetwork({ inputs: 1, units: UNITS, seed: 12, forgetBias: 3 });
	const training = createTraining(network, firstHigher(seeded(112)), { rate: 0.02 });
	const accuracies = [];
	let place = { ...START };
	let timer = 0;

	const trained = () => accuracies.length >= BATCHES;
	function frame() {
		const still = matchMedia("(prefers-reduced-motion: reduce)").matches; // then the picture changes once, at the end
		const end = performance.now() + (still ? 5 : 1) * FRAME;
		do accuracies.push(training.next().accuracy);
		while (performance.now() < end && !trained());
		timer = trained() ? 0 : requestAnimationFrame(frame);
		if (!still || trained()) lesson.draw();
	}

	/** The series of the picture. */
	const shownSeries = () =>
		seriesOf(
			[
				[FIRST, place.first],
				[FIRST + place.gap, place.second],
			],
			seeded(7),
		);
	const probability = () => sigmoid(forward(network, shownSeries()).logit);
	function move(patch) {
		place = { ...place, ...patch };
		lesson.draw();
	}
	const optionsOf = (name, label, more) => ({
		label,
		value: place[name],
		onInput: (x) => move({ [name]: x }),
		reset: () => move({ [name]: START[name] }),
		...more,
	});
	const setNumber = {
		first: handle(parts.first, optionsOf("first", "Height of the first peak", HEIGHTS)),
		second: handle(parts.second, optionsOf("second", "Height of the second peak", HEIGHTS)),
		gap: handle(
			parts.gap,
			optionsOf("gap", "Steps between the peaks", { min: 7, max: STEPS - FIRST - 4, step: 1, format: String }),
		),
	};

	const { back, progress } = parts;
	const grips = { first: parts.firstGrip, second: parts.secondGrip };
	const picture = pictureOf(parts.picture);
	const each = () => (picture.width() - EDGE - RIGHT) / STEPS;
	const x = (t) => EDGE + each() * (t + 0.5);
	let heightAt = (y) => y; // of the series in the picture
	const setGrip = Object.fromEntries(
		Object.keys(grips).map((name) => [
			name,
			slider(
				grips[name],
				optionsOf(name, `Height of the ${name} peak in the picture`, {
					...HEIGHTS,
					vertical: true,
					at: (event) => heightAt(picture.at(event)[1] + LIFT),
				}),
			),
		]),
	);
	question(parts.question, () => {
		const before = probability();
		move({ first: place.second, second: place.first });
		const after = probability();
		const answers = [before, 1 - before, 0.5];
		const away = answers.map((answer) => Math.abs(after - answer));
		return {
			right: away.indexOf(Math.min(...away)),
			text: `It was ${fmt(before)} and is ${fmt(after)}. The mean of the series is the same, so the order decides.`,
		};
	});

	/** A row of the picture: y of a value, and its name and lines. */
	const row = (top, height, [low, high], name, ticks) => {
		const y = (value) => top + (height * (high - value)) / (high - low);
		return [y, [text(EDGE, top - 8, name, "t14", "start"), ...yAxis(ticks, y, EDGE, picture.width() - RIGHT)]];
	};
	const steps = Array.from({ length: STEPS }, (_, t) => t);
	const largest = (values) => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);

	/** The unit whose memory before the second peak changes most with the height of the first, and c at the smallest and the largest. */
	function holder(second) {
		const runs = [HEIGHTS.min, HEIGHTS.max].map(
			(height) =>
				forward(
					network,
					seriesOf(
						[
							[FIRST, height],
							[second, place.second],
						],
						seeded(7),
					),
				).c,
		);
		const changes = Array.from(network.weight, (_, k) =>
			Math.abs(runs[0][(second - 4) * UNITS + k] - runs[1][(second - 4) * UNITS + k]),
		);
		const unit = changes.indexOf(Math.max(...changes));
		return { unit, ends: runs.map((c) => steps.map((t) => c[t * UNITS + unit])) };
	}

	function draw() {
		const second = FIRST + place.gap;
		const series = shownSeries();
		const run = forward(network, series);
		const logits = prefixLogits(network, run);
		const scores = logits.map((logit, t) => logit - (t ? logits[t - 1] : network.denseBias[0]));
		const p = sigmoid(run.logit);
		setText(parts.p, fmt(p));
		parts.p.dataset.side = p > 0.5 ? "for" : "against";
		const recent = accuracies.slice(-10);
		progress.toggleAttribute("data-training", !trained());
		setText(
			progress,
			`${trained() ? "trained on" : "in training:"} ${accuracies.length} batches of 32 made-up series, accuracy ${fmt(recent.reduce((a, b) => a + b, 0) / Math.max(1, recent.length))}`,
		);
		picture.fit(474);
		const zero = [[0, "0"]];
		const [value, ofSeries] = row(26, 120, [-0.3, 1.7], "The series x", [
			[0, "0"],
			[1, "1"],
		]);
		heightAt = (y) => -0.3 + (2 * (146 - y)) / 120;
		const [answer, ofAnswer] = row(184, 64, [0, 1], "P(first is higher) after each step", PROBABILITIES);
		const size = Math.max(1, largest(scores));
		const [score, ofScores] = row(284, 64, [-size, size], "Attribution: change of the logit by a step", zero);
		const { unit, ends } = holder(second);
		const height = Math.max(0.5, largest(run.c), ...ends.map(largest));
		const [cell, ofCell] = row(
			382,
			70,
			[-height, height],
			`Memory c; unit ${unit + 1}; its band: heights 0.3 to 1.5`,
			zero,
		);
		const side = (s) => (s > 0 ? "for" : "against");
		const strength = (s) => fmt(Math.min(0.5, (0.5 * Math.abs(s)) / size));
		const trace = (k) =>
			stroke(path(steps.map((t) => [x(t), cell(run.c[t * UNITS + k])])), k === unit ? "trace" : "trace others");
		const edge = (n) => steps.map((t) => [x(t), cell(ends[n][t])]);
		const wire = (name, ...nodes) => svg("g", { "data-wire": name }, ...nodes);
		back.replaceChildren(
			wire(
				"attribution",
				...steps
					.filter((t) => Math.abs(scores[t]) > 0.02 * size)
					.map((t) =>
						rect(x(t) - each() / 2, 26, each(), 120, side(scores[t]), { "fill-opacity": strength(scores[t]) }),
					),
			),
			...ofSeries,
			...ofAnswer,
			...ofScores,
			...ofCell,
			text(x(0), 468, "step 1", "t14 muted", "start"),
			text(x(STEPS - 1), 468, STEPS, "t14 muted"),
			stroke(path(steps.map((t) => [x(t), value(series[t])])), "trace", { "data-wire": "x" }),
			wire(
				"prefix",
				stroke(path(steps.map((t) => [x(t), answer(sigmoid(logits[t]))])), "trace"),
				svg("circle", { class: "end", cx: x(STEPS - 1), cy: answer(p), r: 4 }),
			),
			wire(
				"attribution",
				...steps.map((t) =>
					rect(
						x(t) - each() / 2 + 1,
						Math.min(score(0), score(scores[t])),
						Math.max(1, each() - 2),
						Math.abs(score(scores[t]) - score(0)),
						side(scores[t]),
					),
				),
			),
			wire(
				"memory",
				stroke(path([...edge(0), ...edge(1).reverse()]), "band"),
				...[...network.weight.keys()].filter((k) => k !== unit).map(trace),
				trace(unit),
			),
		);
		for (const [name, t] of [
			["first", FIRST],
			["second", second],
		]) {
			const [px, py] = [x(t), value(place[name]) - LIFT];
			grips[name].replaceChildren(
				svg("circle", { class: "grip", cx: px, cy: py, r: 10 }),
				text(px + 16, py + 5, `${name} ${fmt(place[name])}`, "t14 bold", "start"),
				svg("rect", { class: "reach", x: px - 22, y: py - 22, width: 44, height: 44 }),
			);
			setGrip[name](place[name]);
		}
		for (const [name, set] of Object.entries(setNumber)) set(place[name]);
	}

	return {
		draw,
		show() {
			if (!trained()) timer ||= requestAnimationFrame(frame);
		},
		hide() {
			cancelAnimationFrame(timer);
			timer = 0;
		},
	};
}
