// Predictions of the model in this folder, in browsers and in Node:
//
//     import * as ort from "onnxruntime-web";
//     import { Tokenizer } from "@huggingface/tokenizers"; // for texts
//     import { loadModel } from "./model.js";
//     const model = await loadModel({ ort, Tokenizer });
//     const [{ label, probabilities }] = await model.predict(["A warm, funny and honest film."]);

const FOLDER = new URL("./", import.meta.url);

/** options: of the session of onnxruntime-web. Returns {about, session, predict}. */
export async function loadModel({ ort, Tokenizer, folder = FOLDER, options = {} }) {
	const json = async (name) => JSON.parse(new TextDecoder().decode(await read(new URL(name, folder))));
	const about = await json("model.json");
	const isText = !about.channels && !about.numbers;
	if (isText && !Tokenizer) throw new Error("a model of texts needs Tokenizer of @huggingface/tokenizers");
	const names = isText ? ["tokenizer.json", "tokenizer_config.json"] : [];
	const [raw, ...vocabulary] = await Promise.all([read(new URL("model.onnx", folder)), ...names.map(json)]);
	const { createRespelling } = about.respelling ? await import(new URL("encodings.js", folder)) : {};
	const known = new Map(Object.entries(vocabulary[0]?.model.vocab ?? {}));
	const tokenizer = isText ? new Tokenizer(...vocabulary) : null;
	const { createFeeds } = about.graph ? await import(new URL("graph.js", folder)) : {};
	const feedsOf = createFeeds?.(about.graph, ort.Tensor);
	const session = await ort.InferenceSession.create(raw, options);

	/** inputs: texts, or series: each a list of steps, a step a list of numbers, null where one is missing; of a network that is a
	 * graph also lists of token ids, or objects of nested lists by the name of the input. Returns
	 * {label, probabilities} of each, of several labels {labels, probabilities}, of a regression {values}. */
	async function predict(inputs) {
		if (!Array.isArray(inputs)) {
			const noun = tokenizer ? "texts" : about.numbers ? "rows" : "series";
			throw new Error(`predict needs a list of ${noun}`);
		}
		if (!inputs.length) return [];
		if (feedsOf) return predictRows(inputs);
		const sequences = inputs.map((one, n) => (tokenizer ? idsOf(one, n) : stepsOf(one, n)));
		const longest = Math.max(...sequences.map((one) => one.length));
		const shape = [sequences.length, longest, ...(tokenizer ? [] : [about.channels])];
		const numbers = new (tokenizer ? BigInt64Array : Float32Array)(shape.reduce((a, b) => a * b));
		sequences.forEach((one, n) => numbers.set(one.flat(), (n * numbers.length) / sequences.length));
		const lengths = BigInt64Array.from(sequences, (one) => BigInt(one.length));
		const found = await session.run({
			...(tokenizer
				? { tokens: new ort.Tensor("int64", numbers, shape) }
				: { series: new ort.Tensor("float32", numbers, shape) }),
			lengths: new ort.Tensor("int64", lengths, [sequences.length]),
		});
		const {
			data,
			dims: [, width],
		} = found.probabilities ?? found.values;
		return inputs.map((_, n) => answer(Array.from(data.slice(n * width, (n + 1) * width))));
	}

	/** The predictions of a network that is a graph, one after the other: each may have sizes of its own. */
	async function predictRows(inputs) {
		const answers = [];
		for (const [n, input] of inputs.entries()) {
			const feeds = feedsOf(tokenizer ? idsOf(input, n) : input, `input ${n + 1}`);
			const found = await session.run(feeds);
			const { data, dims } = found.probabilities ?? found.values;
			answers.push(answer(Array.from(data.slice(0, dims[1]))));
		}
		return answers;
	}

	function idsOf(text, n) {
		if (typeof text !== "string") throw new Error(`text ${n + 1} is not a string`);
		const { ids, tokens } = tokenizer.encode(text);
		if (!text.trim() || !ids.length) throw new Error(`text ${n + 1} has no word`);
		const unknown = known.get(vocabulary[1].unk_token);
		const respelt = createRespelling?.(known);
		return ids.map((id, k) => BigInt(respelt && id === unknown ? respelt(tokens[k]) : id));
	}

	function stepsOf(series, n) {
		const isMissing = (x) => x === null || Number.isNaN(x);
		const isNumber = (x) => isMissing(x) || (typeof x === "number" && Number.isFinite(Math.fround(x)));
		const isStep = (step) => Array.isArray(step) && step.length === about.channels && step.every(isNumber);
		const isRight = Array.isArray(series) && series.length && series.every(isStep);
		if (!isRight) throw new Error(`series ${n + 1} must have at least one step, each of ${about.channels} numbers`);
		if (!about.missing && series.flat().some(isMissing)) throw new Error(`series ${n + 1} has a missing value`);
		return series.map((step) => step.map((x) => x ?? NaN));
	}

	function answer(values) {
		const { task, classes, thresholds } = about;
		const named = Object.fromEntries(classes.map((name, k) => [name, values[k]]));
		if (task === "regression") return { values };
		if (task === "multilabel")
			return { labels: classes.filter((_, k) => values[k] >= (thresholds[k] ?? 0.5)), probabilities: named };
		const scaled = values.map((p, k) => p / Math.max(thresholds[k] ?? 1, 1e-300));
		const scores = thresholds.length === 1 ? [0, values[1] >= thresholds[0] ? 1 : -1] : scaled;
		return { label: classes[scores.indexOf(Math.max(...scores))], probabilities: named };
	}

	return { about, session, predict };
}

async function read(url) {
	if (url.protocol === "file:") return (await import("node:fs/promises")).readFile(url);
	const response = await fetch(url);
	if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
	return new Uint8Array(await response.arrayBuffer());
}
