// What a page of `gatewise export-page` says of itself. Loaded on such a page only.

import { el, safeText } from "./dom.js";

/** made: of model.json. */
export function describe({ version, date, fingerprint, command }) {
	document.querySelector("footer").append(" ", el("span", {},
		`Exported on ${safeText(date, 40)} by gatewise ${safeText(version, 20)} from model ${safeText(fingerprint, 20)}`,
		...(command ? [": ", el("code", {}, safeText(command, 400))] : []), "."));
}
