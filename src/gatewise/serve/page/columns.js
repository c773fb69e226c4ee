// The numeric and categorical columns of the row, which the model reads besides its text or series: a field per column, and
// what each adds to the score.

import { el, safeText, setText, signed } from "./dom.js";

/** Fields in `parent` for the `columns` of the store. An empty field is a missing value, null. */
export function createColumns(parent, { numeric, categorical }, store) {
	const fields = new Map();
	const valueOf = ([name, { input }]) => [
		name,
		input.value === "" ? null : numeric.includes(name) ? input.valueAsNumber : input.value,
	];
	const read = () => store.set({ columns: Object.fromEntries([...fields].map(valueOf)) });
	for (const name of [...numeric, ...categorical]) {
		const kind = numeric.includes(name) ? { type: "number", step: "any" } : { type: "text", maxlength: 1000 };
		const input = el("input", { ...kind, placeholder: "missing", oninput: read });
		const part = el("span", { class: "number" });
		fields.set(name, { input, part });
		parent.append(el("label", {}, safeText(name, 40), input, part));
	}
	parent.hidden = false;
	store.subscribe(({ columns, data }, changed) => {
		if (!changed.has("data") && !changed.has("columns")) return;
		const parts = new Map((data?.attribution?.columns ?? []).map((one) => [one.column, one.score]));
		for (const [name, { input, part }] of fields) {
			if (document.activeElement !== input) input.value = columns[name] ?? "";
			setText(part, parts.has(name) ? signed(parts.get(name)) : "");
		}
	});
	read();
}
