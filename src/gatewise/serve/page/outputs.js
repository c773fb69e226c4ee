// The outputs of a network that are not explained.

import { el, safeText, setText } from "./dom.js";
import { number } from "./value.js";

const MAX_NUMBERS = 6; // of an output that are shown

/** The outputs of a network that are not explained, each with its first numbers. */
function outputsText(outputs) {
	const lines = outputs
		.filter(({ explained }) => !explained)
		.map(({ name, shape, values }) => {
			const numbers = [values].flat(Infinity);
			const shown = numbers.slice(0, MAX_NUMBERS).map((x) => (x === null ? "not finite" : number(Number(x))));
			const rest = numbers.length > MAX_NUMBERS ? ` … (${shape.join(" × ")})` : "";
			return `${safeText(name, 40)}: ${shown.join(" ")}${rest}`;
		});
	return lines.length ? `Other outputs: ${lines.join("; ")}` : "";
}

/** A line in `root` with the outputs of the answer that is shown. */
export function createOutputs(root, store) {
	const line = el("p", { class: "others muted outputs", hidden: true });
	root.append(line);
	store.subscribe(({ data }, keys) => {
		if (!keys.has("data")) return;
		const text = outputsText(data?.outputs ?? []);
		line.hidden = !text;
		setText(line, text);
	});
}
