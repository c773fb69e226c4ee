// Saves the words or the cell as an SVG or PNG file, with a title and the beginning of the text in it.

import { download, el, safeText, svg } from "./dom.js";

const FONT = "system-ui, sans-serif";
const MARGIN = 16;
const MAX_PIXELS = 16e6;
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

function cellPicture([root]) {
	const node = root.querySelector("svg.cell");
	const copy = standalone(node);
	const [, , width, height] = node.getAttribute("viewBox").split(" ").map(Number);
	for (const [name, value] of Object.entries({ x: MARGIN, y: MARGIN, width, height })) copy.setAttribute(name, value);
	return { width, height, nodes: [copy] };
}

function wordsPicture([root, line]) {
	const list = root.querySelector(".words");
	const origin = list.getBoundingClientRect();
	const [left, top] = [MARGIN - origin.left, MARGIN - origin.top];
	const nodes = [];
	const range = document.createRange();
	for (const span of list.querySelectorAll(".word, .truncated")) {
		const [style, box] = [getComputedStyle(span), span.getBoundingClientRect()];
		const selected = span.classList.contains("selected");
		const frame = { x: box.left + left, y: box.top + top, width: box.width, height: box.height, rx: 4 };
		nodes.push(svg("rect", { ...frame, fill: hex(style.backgroundColor), stroke: selected ? hex(style.outlineColor) : "none", "stroke-width": 3 }));
		range.selectNodeContents(span.firstChild);
		const [rect] = range.getClientRects(); // a word that is longer than its line is squeezed into it
		const place = { x: rect.left + left, y: rect.bottom + top - rect.height * 0.22, textLength: rect.width, lengthAdjust: "spacingAndGlyphs" };
		const underline = /underline|line-through/.exec(style.textDecorationLine)?.[0];
		const colour = hex(getComputedStyle(document.body).color);
		nodes.push(svg("text", { ...place, "font-size": style.fontSize, fill: colour, "text-decoration": underline }, safeText(span.textContent, 1e4)));
		const after = getComputedStyle(span, "::after");
		const sign = after.content.replaceAll('"', "");
		if (/[▲▼]/.test(sign)) {
			const place = { x: box.left + box.width / 2 + left, y: box.bottom + 10 + top, "text-anchor": "middle", "font-size": after.fontSize };
			nodes.push(svg("text", { ...place, fill: hex(after.color) }, sign));
		}
	}
	const picture = line.querySelector("svg.line");
	const below = picture.getBoundingClientRect();
	const copy = standalone(picture);
	for (const [name, value] of Object.entries({ x: MARGIN, y: MARGIN + origin.height + 12, width: below.width, height: below.height })) copy.setAttribute(name, value);
	nodes.push(copy);
	return { width: Math.max(origin.width, below.width), height: origin.height + 12 + below.height, nodes };
}

/** The text in lines of at most `width` px. */
function wrap(text, width) {
	probe.font = `14px ${FONT}`;
	const lines = [""];
	for (const word of text.split(" ")) {
		const longer = `${lines.at(-1)} ${word}`.trim();
		if (probe.measureText(longer).width > width && lines.at(-1)) lines.push(word);
		else lines[lines.length - 1] = longer;
	}
	return lines;
}

const PARTS = { cell: cellPicture, words: wordsPicture };

/** The picture of a part as {picture: an SVG element, width, height}. roots: its elements on the page. */
function draw(part, roots, { title, text, caption }) {
	const { width, height, nodes } = PARTS[part](roots);
	const body = getComputedStyle(document.body);
	const lines = wrap(safeText(caption, 1000), width);
	const size = { width: Math.ceil(width + 2 * MARGIN), height: Math.ceil(height + 2 * MARGIN + 20 * lines.length) };
	const picture = svg("svg", { ...size, viewBox: `0 0 ${size.width} ${size.height}`, "font-family": FONT, role: "img" },
		svg("title", {}, title), svg("desc", {}, text),
		svg("rect", { ...size, fill: hex(body.backgroundColor) }), nodes,
		lines.map((line, n) => svg("text", { x: MARGIN, y: height + MARGIN + 20 * (n + 1), "font-size": 14, fill: hex(body.color) }, line)));
	return { picture, ...size };
}

async function toPng(source, { width, height }) {
	const image = new Image();
	image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
	await image.decode();
	const scale = Math.min(2, Math.sqrt(MAX_PIXELS / (width * height)));
	const canvas = el("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
	canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
	return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** Save a part of the page ("cell", "words") as "svg" or "png". about: {title, text, caption}. */
export async function savePicture(part, roots, format, { title, text, caption }) {
	const about = { title: safeText(title, 200), text: `Text: ${safeText(text, 200)}`, caption };
	const { picture, ...size } = draw(part, roots, about);
	const source = new XMLSerializer().serializeToString(picture);
	const content = format === "svg" ? source : await toPng(source, size);
	download(`gatewise-${part}.${format}`, format === "svg" ? "image/svg+xml" : "image/png", content);
}
