// What of a link the model lacks.

import { safeText } from "./dom.js";
import { unitCount } from "./store.js";

/** The name of what readFragment could not read: [key, text]. */
function nameOf([key, text]) {
	if (key !== "x") return `${{ w: "word", step: "word", u: "unit", layer: "layer" }[key]} ${safeText(text)}`;
	return /^[a-z]/i.test(text) && !/^[ifgoh]/.test(text) ? `gate ${safeText(text[0])}` : `change ${safeText(text, 20)}`;
}

/** A link's state without what the model lacks, and one sentence that names it: {found, note}. model: of GET /model. */
export function fitToModel({ dropped = [], ...found }, { model, methods }) {
	const missing = dropped.map(nameOf);
	const unitsOf = (layer) => unitCount({ model: { model }, layer });
	const drop = (key, name) => {
		missing.push(name);
		delete found[key];
	};
	const layers = model.layers.length;
	if (found.layer >= layers) drop("layer", `layer ${found.layer}`);
	if (found.u >= unitsOf(found.layer)) drop("u", `unit ${found.u}`);
	if (found.method && !methods.includes(found.method)) drop("method", `method ${found.method}`);
	for (const key of ["target", "against"]) {
		if (found[key] !== undefined && !model.labels.includes(found[key])) drop(key, `class “${safeText(found[key], 40)}”`);
	}
	const compared = model.task === "classification" && found.against !== found.target;
	if (found.against !== undefined && !compared) drop("against", `comparison with “${safeText(found.against, 40)}”`);
	found.changes = found.changes?.filter(({ gate, unit, value, layer }) => {
		const name = layer >= layers ? `layer ${layer}` : unit !== "all" && unit >= unitsOf(layer) ? `unit ${unit}`
			: model.gate === "binary" && "ifo".includes(gate) && value !== 0 && value !== 1 ? `value ${value} of gate ${gate}` : null;
		if (name) missing.push(name);
		return !name;
	});
	if (!found.changes) delete found.changes;
	else found.changes = found.changes.map((one) => (one.layer === layers - 1 && one.unit !== "all" ? { ...one, layer: undefined } : one));
	const names = [...new Set(missing)].slice(0, 8);
	return { found, note: names.length ? `The link names what this model lacks, and it is left out: ${names.join(", ")}.` : "" };
}
