// What the claims of all chapters share: the modules of the page, the model of the lesson, seeds.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { MODEL, PAGE } = process.env; // folders: of the files of the tutorial's model, and of the page

export const page = (name) => import(pathToFileURL(`${PAGE}/${name}.js`));
export const SEEDS = [1, 2, 3, 4, 5];
export const perSeed = (measure) => () => SEEDS.map(measure);
export const range = (from, to) => Array.from({ length: to - from }, (_, n) => from + n);
export const largest = (values) => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
export const mean = (values) => values.reduce((total, x) => total + x, 0) / values.length;

const { readTensors } = await page("model/tensors");
const { parseModel } = await page("model/lstm");

function read(name) {
	const bytes = readFileSync(`${MODEL}/${name}`);
	return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
}

/** The model of the lesson, with the embeddings of its rare words. */
export function loadModel() {
	const model = parseModel(read("tutorial.lstm"));
	model.network.addRows(readTensors(read("tutorial-rest.lstm")).tensors);
	return model;
}
