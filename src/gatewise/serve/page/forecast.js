// The page of a forecaster: a series, its forecast with an interval, and below, on the same axis, what each value contributes.

import { api } from "./api.js";
import { createTable, el, oncePerFrame, safeText, setText } from "./dom.js";
import { path, pictureOf, rect, stroke, text, yAxis } from "./drawing.js";
import { number } from "./value.js";

const [LEFT, RIGHT, TOP, SERIES, BARS, BOTTOM] = [72, 16, 12, 280, 120, 28]; // units of the picture
const MOST_VALUES = 400; // that are drawn
const byId = (id) => document.getElementById(id);
const picture = pictureOf(byId("picture"));
let about = null; // the forecaster
let found = null; // the last answer, of one series
let asked = 0; // requests

/** The contribution of each value of the history, over all columns. */
const contributions = ({ history, attribution }) =>
	history.values.map((_, n) => Object.values(attribution.contributions).reduce((sum, column) => sum + column[n], 0));

function draw() {
	if (!found) return;
	const { history, forecast, times, lower, upper, attribution } = found;
	const from = Math.max(0, history.values.length - MOST_VALUES);
	const past = history.values.slice(from);
	const width = picture.fit(TOP + SERIES + BARS + BOTTOM);
	const last = past.length - 1;
	const x = (n) => LEFT + ((width - LEFT - RIGHT) * n) / (last + forecast.length);
	const [low, high] = [Math.min(...past, ...lower), Math.max(...past, ...upper)];
	const y = (value) => TOP + (SERIES * (high - value)) / (high - low || 1);
	const scores = contributions(found).slice(from);
	const [zero, most] = [TOP + SERIES + BARS / 2 + 12, Math.max(...scores.map(Math.abs)) || 1];
	const ahead = (values) => values.map((value, n) => [x(last + 1 + n), y(value)]);
	const chosen = last + attribution.step;
	picture.node.replaceChildren(
		...yAxis(
			[low, (low + high) / 2, high].map((value) => [value, number(value)]),
			y,
			LEFT,
			width - RIGHT,
		),
		stroke(`${path([...ahead(upper), ...ahead(lower).reverse()])}Z`, "band"),
		stroke(path(past.map((value, n) => [x(n), y(value)])), "trace"),
		stroke(path([[x(last), y(past[last])], ...ahead(forecast)]), "trace future"),
		stroke(`M${x(chosen)},${TOP}V${zero + BARS / 2 - 12}`, "best"),
		stroke(`M${LEFT},${zero}H${width - RIGHT}`, "thin"),
		text(LEFT - 8, zero + 5, `±${number(most)}`, "t14 muted", "end"),
		...scores.map((score, n) => {
			const height = ((BARS / 2 - 12) * Math.abs(score)) / most;
			return rect(
				x(n) - 1,
				score > 0 ? zero - height : zero,
				Math.max(2, x(1) - x(0) - 1),
				height,
				score > 0 ? "plus" : "minus",
			);
		}),
		text(LEFT, TOP + SERIES + BARS + 20, history.times[from], "t14 muted", "start"),
		...(width - RIGHT - x(last) > 100
			? [text(x(last), TOP + SERIES + BARS + 20, history.times.at(-1), "t14 muted", "end")]
			: []),
		text(width - RIGHT, TOP + SERIES + BARS + 20, times.at(-1), "t14 muted", "end"),
	);
}

function show(answer, name, level, step) {
	const { forecast, [`lo-${level}`]: lower, [`hi-${level}`]: upper, [about.time]: times } = answer.series[name];
	const { [about.time]: dates, [about.target]: values } = answer.history[name];
	found = { times, forecast, lower, upper, history: { times: dates, values }, attribution: answer.attribution[name] };
	const { attribution } = found;
	const [shown, n] = [Math.min(step, forecast.length), Math.min(step, forecast.length) - 1];
	const sum = contributions(found).reduce((a, b) => a + b, 0);
	const parts = `${number(attribution.base)} for a window of means, ${sum < 0 ? "−" : "+"} ${number(Math.abs(sum))} from the values`;
	setText(
		byId("sentence"),
		`Step ${shown}, ${times[n]}: ${number(forecast[n])}, ${level}% from ${number(lower[n])} to ${number(upper[n])}. ${parts}.`,
	);
	byId("numbers").replaceChildren(
		createTable(
			`Forecast and ${level}% interval`,
			["time", "forecast", "from", "to"],
			times.map((time, k) => [time, ...[forecast[k], lower[k], upper[k]].map(number)]),
		),
	);
	draw();
}

let inputs = []; // for the columns that are known in advance: one list per column, of the steps

function askForFuture({ future, future_rows: rows, horizon, time }) {
	byId("future").hidden = false;
	byId("horizon").max = horizon;
	const steps = rows[time].slice(0, horizon);
	inputs = future.map((name) =>
		steps.map((step) => el("input", { type: "number", step: "any", "aria-label": `${safeText(name)}, ${step}` })),
	);
	const body = steps.map((step, n) => [step, ...inputs.map((column) => column[n])]);
	byId("future").lastElementChild.replaceChildren(
		createTable(
			"Values of the next steps",
			[time, ...future].map((name) => safeText(name)),
			body,
		),
	);
}

/** A value fills the empty steps below it. */
byId("future").addEventListener("change", ({ target }) => {
	const column = inputs.find((one) => one.includes(target));
	for (const one of column.slice(column.indexOf(target))) one.value ||= target.value;
	load();
});

async function load() {
	const mine = (asked += 1);
	const horizon = Math.max(1, byId("horizon").valueAsNumber || about.horizon);
	byId("step").max = horizon;
	const [series, level, step] = [byId("series").value, Number(byId("level").value), byId("step").valueAsNumber];
	const place = about.series.indexOf(series) * about.horizon;
	inputs[0]?.forEach((one, n) =>
		setText(one.closest("tr").firstElementChild, about.future_rows[about.time][place + n]),
	);
	if (inputs.flat().some(({ value }) => !value)) {
		setText(byId("sentence"), `Enter ${about.future.map((name) => safeText(name)).join(" and ")} for each step.`);
		return;
	}
	// The server needs the values of all series.
	const columns = inputs.map((column, k) => [
		about.future[k],
		about.series.flatMap(() => column.map((one) => one.valueAsNumber)),
	]);
	const future = columns.length ? { ...about.future_rows, ...Object.fromEntries(columns) } : undefined;
	const body = {
		model: about.served,
		series,
		horizon,
		level: [level],
		include: ["history", "attribution"],
		step,
		future,
	};
	try {
		const answer = await api.forecast(body);
		if (mine === asked) show(answer, series, level, step);
		setText(byId("error"), "");
	} catch (error) {
		setText(byId("error"), safeText(error.message, 300));
	}
}

async function start() {
	about = await api.model(new URLSearchParams(location.hash.slice(1)).get("served"));
	const { models, served, series, members, horizon, report } = about;
	if (!horizon) return location.replace("./");
	byId("models").replaceChildren(...models.map(({ name }) => el("option", { value: name }, name)));
	byId("models").value = served;
	byId("models").hidden = models.length < 2;
	byId("series").replaceChildren(...series.map((name) => el("option", { value: name }, safeText(name, 60))));
	byId("horizon").value = horizon;
	if (about.future.length) askForFuture(about);
	setText(
		byId("about"),
		members
			.filter(({ weight }) => weight >= 0.1)
			.map(({ name, weight }) => `${name.split(":")[0]} ${weight.toFixed(2)}`)
			.join(", "),
	);
	setText(byId("report"), report.join("\n"));
	return load();
}

byId("models").addEventListener("change", () => location.assign(`./#served=${byId("models").value}`));
byId("controls").addEventListener("change", load);
byId("controls").addEventListener("submit", (event) => event.preventDefault());
new ResizeObserver(oncePerFrame(draw)).observe(byId("picture"));
start();
