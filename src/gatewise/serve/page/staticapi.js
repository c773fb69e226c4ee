// The API of an exported page with fixed texts: `gatewise export-page` puts this module in the place of api.js. The answers
// are parts of the page.

import { whileBusy } from "./busy.js";
import { readText } from "./files.js";
import { decode } from "./heatmapdata.js";
import { HeatmapUnits } from "./heatmapunits.js";

const files = new Map(); // the JSON of each file, read once

function load(name) {
	if (!files.has(name)) files.set(name, whileBusy(async () => JSON.parse(await readText(name))));
	return files.get(name);
}

/** The number of the exported input of a request, from 1. */
async function numberOf({ text, series }) {
	const { inputs } = (await load("model.json")).exported;
	const same = (one) => (series ? JSON.stringify(one.series) === JSON.stringify(series) : one.text === text);
	const place = inputs.findIndex(same);
	if (place < 0) throw new Error("This exported page has its own texts only: choose one of them.");
	return place + 1;
}

/** Unit k from its own record, or else from the heat maps, whose numbers have 16 bits. */
async function unitOf(k, found, layer, loadHeatmaps) {
	const own = found.layers[layer].unit.find((one) => one.k === k);
	if (own) return own;
	const { heatmaps, c0, h0 } = await loadHeatmaps();
	return new HeatmapUnits({ model: found.answer.model, c0, h0, layer }, new Map(heatmaps.map((one) => [one.name, decode(one)]))).get(k);
}

async function explain({ include, method, layer, changes, ...input }) {
	if (changes?.length) throw new Error("Interventions need a server: gatewise serve.");
	const number = await numberOf(input);
	const found = await load(`text-${number}.json`);
	const at = layer ?? found.layers.length - 1;
	const loadHeatmaps = () => load(`heatmaps-${number}-${at}.json`);
	const answer = { ...found.answer };
	for (const part of include) {
		const [kind, value] = part.split(":");
		if (kind === "attribution") {
			answer.attribution = found.attributions[method ?? found.method];
			if (!answer.attribution) throw new Error(`${method} takes too long for this text; it was not exported.`);
		} else if (kind === "unit") {
			const { order, opening } = found.layers[at].units;
			const shown = value === "opening" ? opening.unit : value === "top" ? (order.effect ?? order.jump)[0] : Number(value);
			answer.unit = await unitOf(shown, found, at, loadHeatmaps);
		} else if (kind === "heatmap") {
			answer.heatmaps = [...(answer.heatmaps ?? []), (await loadHeatmaps()).heatmaps.find((one) => one.name === value)];
		} else if (kind in found.layers[at]) answer[kind] = found.layers[at][kind];
	}
	return answer;
}

export const api = {
	explain,
	model: () => load("model.json"),
	unit: async (unit, layer) => (await load(`units-${layer}.json`))[unit],
};
