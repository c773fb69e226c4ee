// Small helpers: elements, numbers as they are read, text as it may be shown, and one polite voice for screen readers.

const SVG = "http://www.w3.org/2000/svg";

/** A number with a real minus and a fixed number of digits; plus: with its sign. */
export function fmt(x, digits = 2, plus = false) {
	if (x === null || x === undefined || !Number.isFinite(x)) return "–";
	const shown = Math.abs(x).toFixed(digits);
	if (Number(shown) === 0) return plus ? `±${shown}` : shown;
	return (x < 0 ? "\u2212" : plus ? "+" : "") + shown;
}

/** A very small number in powers of ten, any other as usual. */
export function tiny(x) {
	if (!x) return "0";
	if (Math.abs(x) >= 5e-4) return fmt(x, 3, true);
	return (x < 0 ? "" : "+") + x.toExponential(0).replaceAll("-", "\u2212");
}

/** Text as it may be shown: nothing invisible in it but joiners, at most `limit` characters. */
export function shown(text, limit = 60) {
	const flat = String(text).replace(/[\p{Cc}\p{Cn}\p{Co}\p{Cs}]|(?![\u200c\u200d])\p{Cf}/gu, "\ufffd");
	const chars = flat.length > limit ? [...flat] : flat;
	return chars.length > limit ? `${chars.slice(0, limit).join("")}…` : flat;
}

function fill(node, props, children) {
	for (const [name, value] of Object.entries(props ?? {})) {
		if (value === null || value === undefined || value === false) continue;
		if (typeof value === "function") node.addEventListener(name.slice(2), value);
		else node.setAttribute(name, value === true ? "" : String(value));
	}
	node.append(...children.flat().filter((child) => child !== null && child !== undefined));
	return node;
}

/** An HTML element: el("p", {class: "x", onclick: f}, "text", node). Strings become text, never markup. */
export function el(tag, props, ...children) {
	return fill(document.createElement(tag), props, children);
}

/** The same in SVG. */
export function svg(tag, props, ...children) {
	return fill(document.createElementNS(SVG, tag), props, children);
}

export function button(label, props, ...more) {
	return el("button", { type: "button", ...props }, label, ...more);
}

/** Set a text or an attribute only where it differs: a write that changes nothing still costs a layout. */
export function put(node, text) {
	if (node.textContent !== text) node.textContent = text;
}
export function attr(node, name, value) {
	if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

let voice = null;
let waiting = 0;
/** Say a line in the live region, at most every 300 ms, the last one wins. */
export function say(text) {
	voice ??= document.querySelector("[data-voice]");
	if (!voice) return;
	clearTimeout(waiting);
	waiting = setTimeout(() => put(voice, text), 300);
}

/** Call `f` once in the next frame, however often it is asked for. */
export function once(f) {
	let asked = 0;
	return () => {
		asked ||= requestAnimationFrame(() => {
			asked = 0;
			f();
		});
	};
}

export const calm = () => globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;

/** A file to keep: the browser's own download, from memory. */
export function download(name, type, content) {
	const url = URL.createObjectURL(new Blob([content], { type }));
	const link = el("a", { href: url, download: name });
	document.body.append(link);
	link.click();
	link.remove();
	setTimeout(() => URL.revokeObjectURL(url), 1000);
}
