// Chapter 10: a series of numbers, read step by step as from a sensor, by two networks: one was asked after the last step, one after each.

import { fmt, setText, svg } from "../dom.js";
import { measure, path, pictureOf, PROBABILITIES, rect, stroke, text, yAxis } from "../drawing.js";
import { sigmoid } from "../model/arrays.js";
import { seeded } from "../trainer/random.js";
import { describe, handle, question, slider } from "./parts.js";
import { BATCHES, seriesOf, STEPS, trainingOfPeaks } from "./peaks.js";
import { createJob } from "./training.js";

const SEED = 12;
const NOISE_SEED = 7;
const FIRST = 10; // the step of the first peak
const SECOND = 28;
const PASSED = FIRST + 4; // the first peak is over
const HEIGHTS = { min: 0.3, max: 1.5, step: 0.05 };
const EDGE = 46;
const RIGHT = 12;
const LEGEND = 18; // height of the names of the lines
const LIFT = 16; // of the grip over its peak
const STEP_TIME = 90; // milliseconds of a step of the stream
const ROWS = {
	large: { series: [26, 136], answer: [218, 100], memory: [356, 60], axis: 436, height: 442 },
	small: { series: [26, 106], answer: [190, 84], memory: [312, 50], axis: 384, height: 392 },
};
const END = "asked at the end";
const EACH = "asked at each step";
const isPhone = globalThis.matchMedia?.("(max-width: 700px)");
const steps = Array.from({ length: STEPS }, (_, t) => t);

export function mount(parts, lesson) {
	const first = lesson.param("h", { ...HEIGHTS, value: 1.1 });
	const second = lesson.param("h2", { ...HEIGHTS, value: 0.7 });
	const at = lesson.param("t", { value: null, min: 0, max: STEPS - 1, step: 1 });
	const trainings = [trainingOfPeaks(SEED), trainingOfPeaks(SEED, true)];
	const [last, each] = trainings.map(({ network }) => network);
	const jobs = trainings.map((training) =>
		createJob({
			training,
			steps: BATCHES,
			onStep() {
				const isLast = training.curve.length === BATCHES;
				if (isLast) ask.refresh();
				if (isLast || !lesson.isStill) lesson.draw();
			},
		}),
	);
	const isTrained = () => trainings.every(({ curve }) => curve.length >= BATCHES);
	let playing = 0;

	const shownSeries = () =>
		seriesOf(
			[
				[FIRST, first.get()],
				[SECOND, second.get()],
			],
			seeded(NOISE_SEED),
		);

	const ask = question(parts.question, lesson, () => {
		if (!isTrained()) return { right: 0, text: "They still learn." };
		const p = Array.from(last.forward(shownSeries()).logits, sigmoid);
		const end = p.at(-1);
		const right = p[PASSED] < 0.25 ? 0 : p[PASSED] > 0.75 ? 2 : 1;
		return {
			right,
			text: `At step ${PASSED + 1} it is ${fmt(p[PASSED])}, at the end ${fmt(end)}: only that was ever asked.`,
		};
	});
	handle(parts.first, first, { label: "Height of the first peak" });
	const grips = [parts.firstGrip, parts.secondGrip];
	const picture = pictureOf(parts.picture);
	let heightAt = (y) => y; // of the series in the picture
	[first, second].forEach((param, n) =>
		slider(grips[n], param, {
			label: `Height of the ${n ? "second" : "first"} peak in the picture`,
			vertical: true,
			at: (event) => heightAt(picture.at(event)[1] + LIFT),
		}),
	);
	const stepWidth = () => (picture.width() - EDGE - RIGHT) / STEPS;
	const x = (t) => EDGE + stepWidth() * (t + 0.5);
	slider(parts.cursor, at, {
		label: "Step of the stream",
		format: (t) => `step ${t + 1}`,
		shown: () => STEPS - 1,
		at: (event) => Math.floor((picture.at(event)[0] - EDGE) / stepWidth()),
	});

	/** One step of the stream after the other. */
	function play() {
		stop();
		const begun = performance.now();
		const next = () => {
			const t = Math.floor((performance.now() - begun) / STEP_TIME);
			playing = t < STEPS ? requestAnimationFrame(next) : 0;
			if (t < STEPS) at.set(t);
			else at.reset();
		};
		at.set(0);
		playing = requestAnimationFrame(next);
	}
	function stop() {
		cancelAnimationFrame(playing);
		playing = 0;
	}
	parts.play.addEventListener("click", () => {
		if (!playing) return play();
		stop();
		at.reset();
		return null;
	});

	/** The step up to which the stream has come. */
	function reached() {
		if (at.get() !== null) return at.get();
		return lesson.reveal < 1 ? Math.floor(lesson.reveal * (STEPS - 1)) : STEPS - 1;
	}

	/** The unit of the first network whose memory before the second peak changes most with the height of the first. */
	const holder = () =>
		lesson.cached(`numbers holder ${trainings[0].curve.length}`, () => {
			const [low, high] = [HEIGHTS.min, HEIGHTS.max].map(
				(height) => last.forward(seriesOf([[FIRST, height]], seeded(NOISE_SEED))).c,
			);
			const row = (SECOND - 4) * last.units;
			const changes = Array.from({ length: last.units }, (_, k) => Math.abs(low[row + k] - high[row + k]));
			return changes.indexOf(Math.max(...changes));
		});

	/** A row of the picture: y of a value, and its name and lines. */
	function row([top, height], [low, high], name, ticks, above = 0) {
		const y = (value) => top + (height * (high - value)) / (high - low);
		return [y, [text(EDGE, top - 9 - above, name, "t14", "start"), ...yAxis(ticks, y, EDGE, picture.width() - RIGHT)]];
	}

	function drawPicture(series, runs, t1) {
		const place = isPhone.matches ? ROWS.small : ROWS.large;
		const width = picture.fit(place.height);
		const [value, ofSeries] = row(place.series, [-0.3, 1.7], "The sensor: x", [
			[0, "0"],
			[1, "1"],
		]);
		heightAt = (y) => 1.7 - (2 * (y - place.series[0])) / place.series[1];
		const [answer, ofAnswer] = row(place.answer, [0, 1], "P(first is higher)", PROBABILITIES, LEGEND);
		const unit = holder();
		const c = steps.map((t) => runs[0].c[t * last.units + unit]);
		const size = Math.max(0.5, ...c.map(Math.abs));
		const [cell, ofCell] = row(place.memory, [-size, size], `Memory c of unit ${unit + 1}`, [[0, "0"]]);
		const line = (y, values, name, more = {}) =>
			stroke(path(steps.slice(0, t1 + 1).map((t) => [x(t), y(values[t])])), name, more);
		const probabilities = runs.map(({ logits }) => Array.from(logits, sigmoid));
		const isRevealed = lesson.revealed;
		const y = place.answer[0] - 10;
		const legend = [
			text(EDGE, y, END, "t14 bold", "start"),
			text(EDGE + 1.15 * measure(END, 14) + 18, y, EACH, "t14 each", "start"),
		];
		parts.back.replaceChildren(
			...ofSeries,
			...ofAnswer,
			...ofCell,
			text(x(0), place.axis, "step 1", "t14 muted", "start"),
			svg(
				"g",
				{ "data-wire": "x" },
				stroke(
					path(steps.map((t) => [x(t), value(series[t])])),
					t1 < STEPS - 1 && isRevealed ? "trace others" : "trace",
				),
				isRevealed ? line(value, series, "trace") : "",
			),
			...(isRevealed
				? [
						line(answer, probabilities[1], "trace each", { "data-wire": "stream" }),
						line(answer, probabilities[0], "trace"),
						svg("circle", { class: "end", cx: x(t1), cy: answer(probabilities[0][t1]), r: 4 }),
						...legend,
						svg("g", { "data-wire": "cell-state" }, line(cell, c, "trace")),
					]
				: [
						rect(EDGE, place.answer[0], width - EDGE - RIGHT, place.answer[1], "covered"),
						text((EDGE + width) / 2, place.answer[0] + place.answer[1] / 2 + 7, "?", "t20 bold"),
					]),
		);
		[first, second].forEach((param, n) => {
			const [px, py] = [x(n ? SECOND : FIRST), value(param.get()) - LIFT];
			grips[n].replaceChildren(
				svg("circle", { class: "grip", cx: px, cy: py, r: 10 }),
				text(px + 16, py + 5, `${n ? "second" : "first"} ${fmt(param.get())}`, "t14 bold", "start"),
				rect(px - 22, py - 22, 44, 44, "reach"),
			);
		});
		parts.cursor.replaceChildren(
			...(isRevealed
				? [
						stroke(`M${x(t1)},${place.series[0]}V${place.axis - 16}`, "cutline dashed"),
						rect(x(t1) - 12, place.axis - 20, 24, 14, "grip", { rx: 7 }),
						rect(
							x(t1) - 22,
							place.answer[0] + place.answer[1] + 4,
							44,
							place.axis - place.answer[0] - place.answer[1],
							"reach",
						),
					]
				: []),
		);
	}

	return {
		draw() {
			const series = shownSeries();
			const runs = [last, each].map((network) => network.forward(series));
			const t1 = lesson.revealed ? reached() : STEPS - 1;
			drawPicture(series, runs, t1);
			const answers = runs.map(({ logits }) => sigmoid(logits[t1]));
			setText(parts.play, playing ? "Stop" : "Play it as a stream");
			setText(
				parts.now,
				!isTrained()
					? `In training: batch ${Math.min(...trainings.map(({ curve }) => curve.length))} of ${BATCHES}.`
					: lesson.revealed
						? `Step ${t1 + 1}: ${fmt(answers[0])} ${END}, ${fmt(answers[1])} ${EACH}.`
						: `Trained on ${BATCHES} batches of 32 series.`,
			);
			if (lesson.revealed)
				describe(
					parts.values,
					"The series and P(first is higher)",
					["step", "x", "P, asked after the last step", "P, asked after each step"],
					steps.map((t) => [t + 1, fmt(series[t]), ...runs.map(({ logits }) => fmt(sigmoid(logits[t])))]),
				);
		},
		show() {
			for (const job of jobs) if (!job.done) job.start();
		},
		hide() {
			stop();
			for (const job of jobs) job.pause();
		},
		isBusy: () => !isTrained(),
	};
}
