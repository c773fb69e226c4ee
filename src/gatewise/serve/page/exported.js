// What a page of `gatewise export-page` says of itself, and what one with fixed texts cannot do. Loaded on such a page only.

import { announce, el, safeText } from "./dom.js";

const byId = (id) => document.getElementById(id);
const serve = () => el("code", {}, "gatewise serve");

/** exported: of a page with fixed texts, made: of one that computes its answers; fields of model.json. */
export function describe({ exported, made }, store) {
	if (exported) limitPage(exported.inputs, store);
	const { version, date, fingerprint, command } = exported ?? made;
	document.querySelector("footer").append(" ", el("span", {},
		`Exported on ${safeText(date, 40)} by gatewise ${safeText(version, 20)} from model ${safeText(fingerprint, 20)}`,
		...(command ? [": ", el("code", {}, safeText(command, 400))] : []), "."));
}

/** Fix the texts and remove the interventions. */
function limitPage(inputs, store) {
	const noun = inputs[0].series ? "series" : "texts";
	byId("clear").hidden = byId("edit").hidden = true;
	byId("hint").after(el("span", { id: "exported" }, `An exported page: its ${noun} are fixed, choose one above. Other ${noun} need a server: `, serve(), "."));
	const sentence = el("p", { class: "muted" }, "Interventions are not available on an exported page. They need a server: ", serve(), ".");
	byId("interventions").querySelector(":scope > div").replaceChildren(sentence);
	store.set({ choice: false });
	store.subscribe(({ changes }) => {
		if (!changes.length) return;
		store.set({ changes: [] });
		announce(sentence.textContent);
	});
}
