// The whole model as one strip: the words, each layer with its shape and its parameters, the members, the logit and P.

import { el, fmt, safeText } from "./dom.js";
import { number, probabilityName, scoreText } from "./value.js";

const counted = (n) => `${n.toLocaleString("en")} parameter${n === 1 ? "" : "s"}`;

export function drawStrip(root, { model: about, data }, tokenNoun) {
	if (!about) return;
	const { model, layers, members } = about;
	const steps = data?.text.kept ?? null;
	const shapeOf = (output) =>
		output
			.replace(/[()]/g, "")
			.replace(/,$/, "")
			.replace("steps", steps ?? "steps")
			.replaceAll(", ", " × ");
	const starts = Object.keys(data?.text.tokens?.names ?? {}).length;
	const before = [starts ? "START" : "", data?.text.pads ? `${data.text.pads.toLocaleString("en")} pads` : ""]
		.filter(Boolean)
		.join(", ");
	const channels = `${model.channels} channel${model.channels === 1 ? "" : "s"}`;
	const further = (model.arrays ?? []).slice(1).map(({ name }) => safeText(name, 40));
	const notes = { text: before ? `and ${before}` : "token ids", series: channels, row: `and ${further.join(", ")}` };
	/** {name, shape, note, sign: what stands before it} */
	const boxes = [
		{
			name: `${tokenNoun}s`,
			shape: steps === null ? "–" : String(steps - starts),
			note: notes[model.inputs],
		},
	];
	layers.forEach(({ name, output, parameters, member, weight }, n) => {
		const shown = members.length > 1 && layers[n + 1]?.member !== member ? `, weight ${weight.toFixed(2)}` : "";
		const note = `${parameters ? counted(parameters) : "no parameters"}${shown}`;
		const sign = n && layers[n - 1].member !== member ? "+" : undefined;
		boxes.push({ name: safeText(name, 40), shape: shapeOf(output), note, sign, cell: /LSTM/.test(name) });
	});
	const prediction = data?.prediction;
	const isNumber = model.task === "regression";
	if (prediction && isNumber) boxes.push({ name: "prediction", shape: number(prediction.score), note: "", sign: "=" });
	else if (prediction) {
		boxes.push({
			name: safeText(prediction.score_name, 40),
			shape: scoreText(prediction.score, false),
			note: "a sum",
			sign: "=",
		});
		if (prediction.probability !== null) {
			const act = model.task === "classification" && model.labels.length > 2 ? "softmax" : "σ(logit)";
			boxes.push({
				name: probabilityName(prediction.target),
				shape: fmt(prediction.probability),
				note: prediction.calibrated ? `${act}, calibrated` : act,
			});
		}
	}
	root.replaceChildren(
		...boxes.map(({ name, shape, note, sign = "→", cell }, n) =>
			el(
				"li",
				{ class: cell ? "cellofmodel" : null },
				n ? el("span", { class: "sign", "aria-hidden": "true" }, sign) : null,
				el(
					"span",
					{ class: "box" },
					el("strong", {}, name),
					el("span", {}, shape),
					el("span", { class: "muted" }, note),
				),
			),
		),
	);
}
