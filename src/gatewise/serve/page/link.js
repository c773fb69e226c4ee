// The dialog with a link to the current view. A lesson can hide parts of the page.

import { announce, button, createSelect, el, fillDialog, setText } from "./dom.js";
import { PARTS } from "./url.js";

export function createLink(dialog, store, address) {
	const out = el("textarea", { rows: 3, readonly: true, "aria-label": "The link" });
	const status = el("p", { class: "muted" });
	const copyButton = button("Copy", { class: "primary", onclick: () => copy() });
	const checks = PARTS.map((part) => {
		const box = el("input", { type: "checkbox", value: part });
		box.addEventListener("change", () => fill());
		return el("label", {}, box, ` ${part}`);
	});
	const themes = createSelect({ "aria-label": "Theme of the link", onchange: () => fill() },
		[["", "the reader's theme"], ["light", "light"], ["dark", "dark"]]);
	fillDialog(dialog, "Link to this view", out, status,
		el("fieldset", {}, el("legend", {}, "Parts to hide"), el("div", { class: "checks" }, checks)), themes, " ", copyButton);

	async function fill() {
		const hide = checks.map((label) => label.firstChild).filter((box) => box.checked).map((box) => box.value);
		const { url, long } = await address.urlOf({ ...store.get(), hide }, { th: themes.value });
		out.value = url;
		setText(status, `${url.length.toLocaleString("en")} characters. Browsers do not send the part after # with the address of a page. ` +
			`The text goes to the server on which the link is opened.${long ? " The text is too long for a link and is left out." : ""}`);
	}

	async function copy() {
		try {
			await navigator.clipboard.writeText(out.value);
			announce("Link copied.");
			setText(copyButton, "Copied");
			setTimeout(() => setText(copyButton, "Copy"), 1500);
		} catch {
			out.select();
			setText(status, "The browser does not allow copying here. The link is selected: copy it by hand.");
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
