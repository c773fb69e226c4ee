// The terms of a chapter: each opens its one-sentence definition where it stands, and lights the part of the figure that it names.

import { announce, el, setAttr, setText } from "../dom.js";
import { GLOSSARY } from "./glossary.js";

const DELAY = 200; // milliseconds that the pointer stays before a definition opens, and is away before it closes
const GAP = 6; // pixels between a term and its definition

/** Terms are elements with data-term in the sentences of `element`; parts of the figure have data-wire. */
export function createTerms(element) {
	const box = el("div", { class: "definition", popover: "manual", role: "note", "aria-label": "Definition" });
	const described = el("div", { hidden: true });
	element.append(box, described);
	let open = null; // the term whose definition is shown
	let isKept = false; // opened by a press, not by the pointer alone
	let timer = 0;

	for (const term of element.querySelectorAll("[data-term]")) {
		const name = term.dataset.term;
		const id = `definition-${element.classList.item(1)}-${name.replace(/\W/g, "-")}`;
		if (!described.querySelector(`#${id}`)) described.append(el("span", { id }, GLOSSARY[name] ?? ""));
		const role = { role: "button", tabindex: 0, "aria-expanded": false, "aria-describedby": id };
		for (const [key, value] of Object.entries(role)) setAttr(term, key, value);
	}
	const termOf = (event) => event.target.closest?.("[data-term]");

	function show(term, kept) {
		clearTimeout(timer);
		if (open !== term) close();
		open = term;
		isKept = kept;
		setText(box, GLOSSARY[term.dataset.term] ?? "");
		setAttr(term, "aria-expanded", true);
		box.showPopover();
		place(term);
	}
	function place(term) {
		const [at, size] = [term.getBoundingClientRect(), box.getBoundingClientRect()];
		const left = Math.max(8, Math.min(at.left, innerWidth - size.width - 8));
		const isBelow = at.bottom + GAP + size.height < innerHeight;
		box.style.setProperty("left", `${left}px`);
		box.style.setProperty("top", `${isBelow ? at.bottom + GAP : Math.max(0, at.top - GAP - size.height)}px`);
	}
	function close() {
		clearTimeout(timer);
		if (!open) return;
		setAttr(open, "aria-expanded", false);
		open = null;
		if (box.matches(":popover-open")) box.hidePopover();
	}
	const later = (action) => {
		clearTimeout(timer);
		timer = setTimeout(action, DELAY);
	};

	function press(term) {
		if (open === term && isKept) return close();
		show(term, true);
		announce(box.textContent);
	}
	element.addEventListener("click", (event) => {
		const term = termOf(event);
		if (term) press(term);
		else if (!box.contains(event.target)) close();
	});
	element.addEventListener("keydown", (event) => {
		if (event.key === "Escape") close();
		if (!termOf(event) || (event.key !== "Enter" && event.key !== " ")) return;
		event.preventDefault();
		press(termOf(event));
	});
	element.addEventListener("pointerover", (event) => {
		if (event.pointerType !== "mouse") return;
		const term = termOf(event);
		if (term && term !== open) later(() => show(term, false));
		else if (term) clearTimeout(timer);
		else if (box.contains(event.target)) clearTimeout(timer);
	});
	element.addEventListener("pointerout", (event) => {
		const isLeft = termOf(event) || box.contains(event.target);
		if (event.pointerType === "mouse" && isLeft && !isKept) later(close);
	});
	element.addEventListener("focusout", (event) => termOf(event) && close());
	addEventListener("scroll", close, { passive: true });
	addEventListener("hashchange", close);

	const light = (term) => lightOnly(element, term?.dataset.term ?? "");
	for (const name of ["focusin", "pointerover"])
		element.addEventListener(name, (event) => termOf(event) && light(termOf(event)));
	element.addEventListener("focusout", () => light(null));
	element.addEventListener("pointerout", () => light(document.activeElement?.closest("[data-term]")));
	element.addEventListener("drawn", () => element.dataset.lit && lightOnly(element, element.dataset.lit)); // nodes are new
}

function lightOnly(element, name) {
	let found = false;
	for (const wire of element.querySelectorAll("[data-wire]")) {
		const isLit = wire.dataset.wire.split(" ").includes(name);
		wire.classList.toggle("lit", isLit);
		found ||= isLit;
	}
	element.classList.toggle("lighting", found);
	element.dataset.lit = name;
}
