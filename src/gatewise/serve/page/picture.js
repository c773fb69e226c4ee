// Saves a picture of the page as an SVG file, with a title and the beginning of the text in it.

import { download, el, safeText, svg } from "./dom.js";

const INLINED = [
	"fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "stroke-linejoin", "opacity", "font-size", "font-weight",
];

const probe = el("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
/** A CSS colour as #rrggbb, which every viewer of SVG files reads; "none" if it is transparent. */
function hex(colour) {
	if (colour === "none") return colour;
	probe.clearRect(0, 0, 1, 1);
	probe.fillStyle = colour;
	probe.fillRect(0, 0, 1, 1);
	const [r, g, b, a] = probe.getImageData(0, 0, 1, 1).data;
	return a ? `#${[r, g, b].map((x) => x.toString(16).padStart(2, "0")).join("")}` : "none";
}

/** A copy of an SVG element of the page that needs no stylesheet. */
function standalone(node) {
	const copy = node.cloneNode(true);
	const [from, to] = [[node, ...node.querySelectorAll("*")], [copy, ...copy.querySelectorAll("*")]];
	const heads = new Map(); // a marker in each colour of a line: few viewers know context-stroke
	from.forEach((one, n) => {
		const [style, target] = [getComputedStyle(one), to[n]];
		const hidden = one.matches(".flow, .reach, defs, .closed:not(.on)");
		for (const { name } of [...target.attributes]) {
			if (/^(class|role|tabindex|aria-.*|id)$/.test(name)) target.removeAttribute(name);
		}
		if (hidden) target.remove();
		if (hidden || one.matches("title, defs *")) return;
		for (const name of INLINED) {
			const value = style.getPropertyValue(name);
			target.setAttribute(name, /^(fill|stroke)$/.test(name) ? hex(value) : value);
		}
		if (!target.hasAttribute("marker-end")) return;
		const colour = hex(style.stroke);
		if (!heads.has(colour)) heads.set(colour, `head${heads.size}`);
		target.setAttribute("marker-end", `url(#${heads.get(colour)})`);
	});
	for (const [colour, id] of heads) {
		const arrow = { id, viewBox: "0 0 10 10", refX: 0, refY: 5, markerWidth: 16, markerHeight: 16, orient: "auto", markerUnits: "userSpaceOnUse" };
		copy.append(svg("marker", arrow, svg("path", { d: "M0,0L10,5L0,10z", fill: colour })));
	}
	return copy;
}

/** Save an SVG element of the page. title: what it shows; text: the text that the page explains. */
export function savePicture(name, node, title, text) {
	const [, , width, height] = node.getAttribute("viewBox").split(" ").map(Number);
	const paper = svg("rect", { width, height, fill: hex(getComputedStyle(document.body).backgroundColor) });
	const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": "system-ui, sans-serif", role: "img" },
		svg("title", {}, safeText(`gatewise, ${title}`, 200)), svg("desc", {}, `Text: ${safeText(text, 200)}`), paper, standalone(node));
	download(`gatewise-${name}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(picture));
}
