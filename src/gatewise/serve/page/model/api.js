// The API of an exported page whose model runs in the browser: `gatewise export-page` puts this module in the place of api.js.
// A worker computes the answers, so that the page never waits for them.

import { whileBusy } from "../busy.js";
import { readBytes, readText } from "../files.js";

const waiting = new Map(); // by number: the promise of an answer
let number = 0;
let worker = null; // a promise of it, once it has the model

function ask(to, message) {
	number += 1;
	return new Promise((resolve, reject) => {
		waiting.set(number, { resolve, reject });
		to.postMessage({ ...message, number });
	});
}

/** The worker is a part of this page: a page that was opened as a file may load no other one. */
async function startWorker() {
	const [source, model, view] = await Promise.all([readText("worker.js"), readBytes("model.lstm"), readText("view.json")]);
	const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
	const own = { createScriptURL: () => url };
	const made = new Worker((globalThis.trustedTypes?.createPolicy("gatewise-worker", own) ?? own).createScriptURL(""));
	made.addEventListener("message", ({ data }) => {
		const { resolve, reject } = waiting.get(data.number);
		waiting.delete(data.number);
		if (data.message) reject(new Error(data.message));
		else resolve(data.answer);
	});
	await ask(made, { start: { model, view: JSON.parse(view) } });
	return made;
}

const explain = (request, signal) => whileBusy(async () => {
	worker ??= startWorker().catch((error) => {
		worker = null; // the next request tries again
		throw error;
	});
	const started = performance.now();
	const answer = await ask(await worker, { request });
	signal?.throwIfAborted();
	return { ...answer, cache: { reused: false, ms: performance.now() - started } };
});

export const api = {
	explain,
	model: async () => JSON.parse(await readText("model.json")),
	unit: async (unit, layer) => JSON.parse(await readText(`units-${layer}.json`))[unit],
};
