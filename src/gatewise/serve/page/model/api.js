// The API of an exported page whose model runs in the browser: `gatewise export-page` puts this module in the place of api.js.
// A worker computes the answers, so that the page never waits for them.

import { readBytes, readText } from "../files.js";

let worker = null; // a promise of it, once it has the model

/** The answer to a message, which comes through a channel of its own. */
const ask = (to, message) =>
	new Promise((resolve, reject) => {
		const { port1, port2 } = new MessageChannel();
		port1.onmessage = ({ data: { answer, error } }) =>
			error === undefined ? resolve(answer) : reject(new Error(error));
		to.postMessage(message, [port2]);
	});

/** The worker is a part of this page: a page that was opened as a file may load no other one. */
async function startWorker() {
	const [source, model, view] = await Promise.all([
		readText("worker.js"),
		readBytes("model.lstm"),
		readText("view.json"),
	]);
	const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
	const own = { createScriptURL: () => url };
	const made = new Worker((globalThis.trustedTypes?.createPolicy("gatewise-worker", own) ?? own).createScriptURL(""));
	await ask(made, { start: { model, view: JSON.parse(view) } });
	return made;
}

async function explain(request, signal) {
	worker ??= startWorker().catch((error) => {
		worker = null; // the next request tries again
		throw error;
	});
	const started = performance.now();
	const answer = await ask(await worker, { request });
	signal?.throwIfAborted();
	return { ...answer, cache: { reused: false, ms: performance.now() - started } };
}

export const api = {
	explain,
	model: async () => JSON.parse(await readText("model.json")),
	unit: async (unit, layer) => JSON.parse(await readText(`units-${layer}.json`))[unit],
};
