// A stream of the series: its steps go to the server one after the other, as a sensor sends them. Each answer has the
// predictions so far and the state, with which the next request continues.

import { announce, button, createSelect, el, failure, fmt, safeText, setAttr, setText, svg } from "./dom.js";
import { linekey, styleOf } from "./line.js";
import { parseSeries } from "./words.js";

const [W, H, MAX_LINES] = [1000, 120, 8];
const TURN = 250; // ms from one request to the next
const SHOWN = 600; // steps, the last ones

/** {kind, data} of each server-sent event; the kind of a prediction is "". The last event has the state, or an error. */
const eventsOf = (text) => text.split("\n\n").filter(Boolean).map((block) => {
	const [, kind = "", data] = block.match(/^(?:event: (.*)\n)?data: (.*)$/);
	return { kind, data: JSON.parse(data) };
});


export function createStream(root, store, api) {
	const play = button("Start", { class: "primary", onclick: () => (timer ? pause() : start()) });
	const speed = createSelect({ "aria-label": "Steps per second" }, [[4, "4 steps per second"], [20, "20 steps per second"], [200, "200 steps per second"]]);
	const line = el("p", { class: "muted", role: "status" });
	const error = el("div");
	const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", class: "series", role: "img" });
	const legend = el("p", { class: "muted caption" });
	root.replaceChildren(
		el("p", {}, "The steps of the series above go to the server one after the other. It returns the prediction so far; the state of the LSTM comes back with it, and the server keeps nothing."),
		el("div", { class: "buttons" }, play, button("Restart", { onclick: restart }), speed), error, line, picture, legend,
	);
	let [text, rest, found, state, timer, busy] = ["", [], [], null, 0, false];

	function restart() {
		pause();
		({ text } = store.get());
		[found, state] = [[], null];
		error.replaceChildren();
		try {
			rest = parseSeries(text, store.get().model.model.channels);
		} catch (problem) {
			rest = [];
			error.replaceChildren(failure(problem.message, restart));
		}
		draw();
	}
	function pause() {
		clearTimeout(timer);
		timer = 0;
		setText(play, found.length && rest.length ? "Continue" : "Start");
	}
	function start() {
		if (text !== store.get().text || !rest.length) restart();
		setText(play, "Pause");
		timer = setTimeout(turn, 0);
	}
	async function turn() {
		const count = Math.max(1, (Number(speed.value) * TURN) / 1000);
		if (!rest.length || document.hidden || !(await push(rest.slice(0, count)))) return pause();
		rest = rest.slice(count);
		if (timer) timer = setTimeout(turn, TURN);
		return rest.length ? undefined : pause();
	}
	/** Whether the server has read these steps. */
	async function push(inputs) {
		if (busy) return false;
		busy = true;
		const { served, model } = store.get();
		const others = model.members.some(({ name, weight }) => name !== "LSTM" && weight);
		const body = { inputs, ...(state && { state }), ...(served && { model: served }), ...(others && { network_only: true }) };
		try {
			const events = eventsOf(await api.stream(body));
			const last = events.pop();
			found = [...found, ...events.map(({ data }) => data)].slice(-SHOWN);
			if (last.kind === "error") throw new Error(last.data.error.message);
			({ state } = last.data);
			error.replaceChildren();
			return true;
		} catch (problem) {
			error.replaceChildren(failure(problem.message, start));
			return false;
		} finally {
			busy = false;
			draw();
		}
	}

	function draw() {
		const last = found.at(-1);
		const numbers = (one) => one.probabilities ?? one.values ?? { prediction: one.value };
		const names = last ? Object.keys(numbers(last)).slice(0, MAX_LINES) : [];
		const all = names.flatMap((name) => found.map((one) => numbers(one)[name]));
		const [low, high] = last?.probabilities ? [0, 1] : [Math.min(...all), Math.max(...all)];
		const place = (x, t) => `${(((t + 0.5) / found.length) * W).toFixed(1)},${(8 + (H - 16) * (1 - (x - low) / (high - low || 1))).toFixed(1)}`;
		picture.replaceChildren(...names.map((name, n) => svg("polyline", {
			points: found.map((one, t) => place(numbers(one)[name], t)).join(" "), ...styleOf(n),
		})));
		const shown = last && (last.label ?? last.labels?.join(", ") ?? null);
		const label = last ? `step ${last.steps.toLocaleString("en")}${shown === null ? "" : ` · ${safeText(shown || "no label", 60)}`}` : "No step yet.";
		setText(line, label);
		legend.replaceChildren(...names.flatMap((name, n) => [n ? " · " : "", linekey(styleOf(n)), ` ${safeText(name, 40)} ${fmt(numbers(last)[name], 3)}`]));
		setAttr(picture, "aria-label", `The prediction after each of the last ${found.length} steps`);
		if (last && !rest.length) announce(label);
	}
	restart();
	store.subscribe((_, changed) => changed.has("text") && !timer && restart());
}
