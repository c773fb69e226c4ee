// Helpers: DOM elements, formatted numbers, safe text, and announcements to screen readers.

const SVG = "http://www.w3.org/2000/svg";

/** A number with a minus sign (not a hyphen) and a fixed number of digits. plus: show the sign of positive numbers. */
export function fmt(x, digits = 2, plus = false) {
	if (!Number.isFinite(x)) return "–";
	const digitsOnly = Math.abs(x).toFixed(digits);
	if (Number(digitsOnly) === 0) return plus ? `±${digitsOnly}` : digitsOnly;
	return (x < 0 ? "\u2212" : plus ? "+" : "") + digitsOnly;
}

/** A number with its sign. */
export const signed = (x) => fmt(x, 2, true);

/** Text without invisible characters other than joiners, cut to `limit` characters. */
export function safeText(text, limit = 24) {
	const flat = String(text).replace(/[\p{Cc}\p{Cn}\p{Co}\p{Cs}]|(?![\u200c\u200d])\p{Cf}/gu, "\ufffd");
	const chars = flat.length > limit ? [...flat] : flat;
	return chars.length > limit ? `${chars.slice(0, limit).join("")}…` : flat;
}

function fill(node, props, children) {
	for (const [name, value] of Object.entries(props ?? {})) {
		if (value == null || value === false) continue;
		if (typeof value === "function") node.addEventListener(name.slice(2), value);
		else node.setAttribute(name, value === true ? "" : String(value));
	}
	node.append(...children.flat().filter((child) => child != null));
	return node;
}

/** An HTML element: el("p", {class: "x", onclick: f}, "text", node). Strings become text, never markup. */
export const el = (tag, props, ...children) => fill(document.createElement(tag), props, children);

/** An SVG element. */
export const svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/** The elements of the HTML with data-part, by that name. */
export const partsOf = (root) =>
	Object.fromEntries(Array.from(root.querySelectorAll("[data-part]"), (one) => [one.dataset.part, one]));

export const button = (label, props, ...more) => el("button", { type: "button", ...props }, label, ...more);

/** An index within 0 and length - 1. */
export const within = (x, length) => Math.max(0, Math.min(length - 1, x));

/** A table that scrolls sideways. head: column names, or null; rows: lists of cells, each beginning with its row name. */
export function createTable(caption, head, rows, captionClass = null) {
	const row = ([first, ...rest]) =>
		el(
			"tr",
			{},
			first === "" ? el("td") : el("th", { scope: "row" }, first),
			rest.map((cell) => el("td", {}, cell)),
		);
	return el(
		"div",
		{ class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
		el(
			"table",
			{},
			el("caption", { class: captionClass }, caption),
			head &&
				el(
					"thead",
					{},
					el(
						"tr",
						{},
						head.map((name) => el("th", { scope: "col" }, name)),
					),
				),
			el("tbody", {}, rows.map(row)),
		),
	);
}

/** A select with options [value, name]. */
export const createSelect = (props, options = []) =>
	el(
		"select",
		props,
		options.map(([value, name]) => el("option", { value }, name)),
	);

/** Set a text or an attribute only if it differs: a write without a change still costs a layout. */
export function setText(node, text) {
	if (node.textContent !== text) node.textContent = text;
}
export function setAttr(node, name, value) {
	if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

let timer = 0;
/** Announce a line in the live region, at most every 300 ms; the last line wins. */
export function announce(text) {
	const region = document.querySelector("[data-live]");
	clearTimeout(timer);
	if (region) timer = setTimeout(() => setText(region, text), 300);
}

/** A line on a failure, with a button that tries again. */
export const failure = (message, retry) =>
	el("p", { class: "error", role: "alert" }, `${safeText(message, 300)} `, button("Retry", { onclick: retry }));

/** A function that calls `f` once in the next frame, however often it is called. */
export function oncePerFrame(f) {
	let pending = 0;
	return () => {
		pending ||= requestAnimationFrame(() => {
			pending = 0;
			f();
		});
	};
}

/** Download a file from memory. */
export function download(name, type, content) {
	const url = URL.createObjectURL(new Blob([content], { type }));
	el("a", { href: url, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(url), 1000);
}
