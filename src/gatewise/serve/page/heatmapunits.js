// Units as rows of the heat maps of a layer, for pages without a server.

import { directionOf } from "./store.js";

/** The units of decoded heat maps, each built on first use. model: the network in a few numbers; c0, h0: by unit; layer:
 * of them, null for the top one. */
export class HeatmapUnits {
	constructor({ model, c0, h0, layer = null }, heatmaps) {
		Object.assign(this, { model, c0, h0, layer, heatmaps, built: new Map() });
	}
	has(k) {
		return this.heatmaps.size > 0 && k >= 0 && k < this.heatmaps.get("c").rows;
	}
	get(k) {
		if (!this.has(k)) return undefined;
		if (!this.built.has(k)) {
			const row = (name) => {
				const heatmap = this.heatmaps.get(name);
				return heatmap && Array.from(heatmap.values.subarray(k * heatmap.columns, (k + 1) * heatmap.columns));
			};
			const parts = Object.fromEntries([..."ifgoch", "contribution"].map((name) => [name, row(name)]));
			const direction = directionOf(this.model, k, this.layer);
			this.built.set(k, { k, direction, c0: this.c0[k], h0: this.h0[k], preactivations: null, half_life: halfLife(parts.f), ...parts });
		}
		return this.built.get(k);
	}
}

/** Steps until half of a memory is forgotten, ln 2 / mean(-ln f); null where it never is. */
function halfLife(forget) {
	const rate = forget.reduce((sum, f) => sum - Math.log(Math.max(f, 1e-6)), 0) / forget.length;
	return rate > 1e-6 ? Math.LN2 / rate : null;
}
