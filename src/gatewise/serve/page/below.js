// What the first screen of the page does not need: one module, loaded after the first answer.

import { createCompare } from "./compare.js";
import { createHeatmapPanel } from "./heatmappanel.js";
import { createUnitPanel, drawCard, drawTraining } from "./panels.js";
import { createOffer } from "./offer.js";
import { createStream } from "./stream.js";
import { createWeightNote } from "./weightnote.js";

/** Draw the panels into `places`, elements by name; returns that of the heat map, which the figure draws. */
export function createBelow(places, store, loader, api) {
	const { model } = store.get();
	createOffer(document.getElementById("changes"), document.getElementById("interventions"), store, loader);
	createWeightNote(document.querySelector(".weightnote"), model);
	drawTraining(places.training, model);
	drawCard(places.card, model.card);
	createUnitPanel(places.unitpanel, store, loader);
	createCompare(places.compare, store, api);
	if (!places.stream.parentElement.hidden) createStream(places.stream, store, api);
	return createHeatmapPanel(places.heatmap, store, { onNeedUnit: (k) => loader.loadUnit(k) });
}
