// The link to what is seen, to be given away, with parts hidden for a lesson.

import { button, el, put, say } from "./dom.js";
import { PARTS } from "./url.js";

export function createLink(dialog, store, address) {
	const out = el("textarea", { rows: 3, readonly: true, "aria-label": "The link" });
	const told = el("p", { class: "quiet" });
	const copy = button("Copy", { class: "primary", onclick: () => give() });
	const checks = PARTS.map((part) => {
		const box = el("input", { type: "checkbox", value: part });
		box.addEventListener("change", () => fill());
		return el("label", {}, box, ` ${part}`);
	});
	const themes = el("select", { "aria-label": "Theme of the link", onchange: () => fill() });
	for (const [value, name] of [["", "theme as the reader has it"], ["light", "light"], ["dark", "dark"]]) themes.append(el("option", { value }, name));
	dialog.append(
		el("h2", { id: "linktitle" }, "A link to this picture"), out, told,
		el("fieldset", {}, el("legend", {}, "Hide for a lesson"), el("div", { class: "checks" }, checks)), themes,
		el("p", {}, copy, " ", button("Close", { onclick: () => dialog.close() })),
	);
	dialog.setAttribute("aria-labelledby", "linktitle");
	async function fill() {
		const hide = checks.map((label) => label.firstChild).filter((box) => box.checked).map((box) => box.value);
		const { url, long } = await address.of({ ...store.get(), hide }, { th: themes.value });
		out.value = url;
		put(told, `${url.length.toLocaleString("en")} characters. What stands after # is not sent to a server with the page's address; ` +
			`the text goes to the server it is opened on.${long ? " The text is too long for a link: it is left out." : ""}`);
	}

	async function give() {
		try {
			await navigator.clipboard.writeText(out.value);
			say("Link copied.");
			put(copy, "Copied");
			setTimeout(() => put(copy, "Copy"), 1500);
		} catch {
			out.select();
			put(told, "The browser does not let a page copy here: the link is marked, copy it by hand.");
		}
	}

	return {
		show() {
			for (const label of checks) label.firstChild.checked = store.get().hide.includes(label.firstChild.value);
			fill();
			dialog.showModal();
		},
	};
}
