// What is below the first screen of the page: one module, loaded after the first answer.

import { createCompare } from "./compare.js";
import { createHeatmapPanel } from "./heatmappanel.js";
import { createUnitPanel, drawCard, drawTraining } from "./panels.js";
import { createStream } from "./stream.js";

/** Draw the panels into `places`, elements by name; returns that of the heat map, which the figure draws. */
export function createBelow(places, store, loader, api) {
	const { model } = store.get();
	drawTraining(places.training, model);
	drawCard(places.card, model.card);
	createUnitPanel(places.unitpanel, store, loader);
	createCompare(places.compare, store, api);
	if (!places.stream.parentElement.hidden) createStream(places.stream, store, api);
	return createHeatmapPanel(places.heatmap, store, { onNeedUnit: (k) => loader.loadUnit(k) });
}
