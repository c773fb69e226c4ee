// A stream of the series: its steps go to the server one after the other, as a sensor sends them. Each answer has the
// predictions so far and the state, with which the next request continues.

import { failure, partsOf, safeText, setText } from "./dom.js";
import { createLine } from "./line.js";
import { lineOf, probabilityName } from "./value.js";
import { parseSeries } from "./words.js";

const [COUNT, TURN] = [5, 250]; // steps of a request, and ms until the next one

/** The data of each server-sent event: predictions, and at the end the state or an error. */
const eventsOf = (text) =>
	text
		.split("\n\n")
		.filter(Boolean)
		.map((block) => JSON.parse(block.match(/^data: (.*)$/m)[1]));

export function createStream(root, store, api) {
	const { play, status, chart } = partsOf(root);
	const line = createLine(chart);
	play.addEventListener("click", () => (play.textContent === "Pause" ? pause() : run()));
	let [rest, found, state, current] = [[], [], null, 0]; // steps to come, predictions, the state after them, number of the run

	function pause() {
		current += 1;
		setText(play, rest.length ? "Continue" : "Start");
	}
	function restart() {
		[rest, found] = [[], []];
		pause();
		draw();
	}
	async function run() {
		const mine = (current += 1);
		const { served, model, text } = store.get();
		const others = model.members.some(({ name, weight }) => name !== "LSTM" && weight);
		const options = { ...(served && { model: served }), ...(others && { network_only: true }) };
		setText(play, "Pause");
		try {
			if (!rest.length) [rest, found, state] = [parseSeries(text, model.model.channels), [], null];
			while (mine === current && rest.length) {
				const events = eventsOf(
					await api.stream({ inputs: rest.slice(0, COUNT), ...(state && { state }), ...options }),
				);
				if (mine !== current) return; // the state is that before these steps
				const last = events.pop();
				if (last.error) throw new Error(last.error.message);
				[rest, found, state] = [rest.slice(COUNT), [...found, ...events], last.state];
				draw();
				await new Promise((done) => setTimeout(done, TURN));
			}
		} catch (problem) {
			if (mine === current) status.replaceChildren(failure(problem.message, run));
		}
		if (mine === current) pause();
	}
	function draw() {
		const last = found.at(-1);
		const shown = last && (last.label ?? last.labels?.join(", "));
		setText(
			status,
			last
				? `step ${last.steps.toLocaleString("en")}${shown === undefined ? "" : ` · ${safeText(shown || "no label", 60)}`}`
				: "No step yet.",
		);
		const isNumber = !last?.probabilities;
		const target = store.get().data?.prediction.target;
		const numbers = found.map(({ probabilities, values, value }) => (probabilities ?? values)?.[target] ?? value);
		const score = [numbers[0], ...numbers];
		line.draw({
			words: found.map(({ steps }) => String(steps)),
			prefix: lineOf({ stride: 1, score, probability: isNumber ? null : score }),
			tokenNoun: "step",
			labelled: true,
			isNumber,
			side: "",
			hovered: null,
			selected: found.length - 1,
			name: isNumber ? "The prediction" : probabilityName(target),
		});
	}
	restart();
	store.subscribe((_, changed) => changed.has("text") && restart());
}
