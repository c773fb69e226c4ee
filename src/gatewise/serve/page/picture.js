// Saves the words, the cell or the heat map as an SVG or PNG file, with a title and the beginning of the text in it.

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

/** The lines of text inside a word: more than one where a long word wraps. */
function linesOf(span) {
	const text = span.firstChild;
	const range = document.createRange();
	const rectOf = (start, end) => {
		range.setStart(text, start);
		range.setEnd(text, end);
		return range.getClientRects();
	};
	const whole = rectOf(0, text.length);
	if (whole.length === 1) return [{ text: text.data, rect: whole[0] }];
	const lines = [];
	let at = 0;
	for (const character of text.data) {
		const [rect] = rectOf(at, at + character.length);
		at += character.length;
		if (!rect) continue;
		const last = lines.at(-1);
		if (last && Math.abs(last.rect.top - rect.top) < 2) {
			last.text += character;
			const left = Math.min(last.rect.left, rect.left); // text from the right grows to the left
			last.rect = new DOMRect(left, last.rect.top, Math.max(last.rect.right, rect.right) - left, rect.height);
		} else lines.push({ text: character, rect });
	}
	return lines;
}

function wordsPicture([root, line]) {
	const list = root.querySelector(".words");
	const origin = list.getBoundingClientRect();
	const [left, top] = [MARGIN - origin.left, MARGIN - origin.top];
	const nodes = [];
	for (const span of list.querySelectorAll(".word, .truncated")) {
		const [style, box] = [getComputedStyle(span), span.getBoundingClientRect()];
		const selected = span.classList.contains("selected");
		const frame = { x: box.left + left, y: box.top + top, width: box.width, height: box.height, rx: 4 };
		nodes.push(svg("rect", { ...frame, fill: hex(style.backgroundColor), stroke: selected ? hex(style.outlineColor) : "none", "stroke-width": 3 }));
		for (const { text, rect } of linesOf(span)) {
			const place = { x: rect.left + left, y: rect.bottom + top - rect.height * 0.22, textLength: rect.width, lengthAdjust: "spacingAndGlyphs" };
			const line = /underline|line-through/.exec(style.textDecorationLine)?.[0];
			nodes.push(svg("text", { ...place, "font-size": style.fontSize, fill: hex(getComputedStyle(document.body).color), "text-decoration": line }, safeText(text, 1e4)));
		}
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

function heatmapPicture([root]) {
	const canvas = root.querySelector(".map .base");
	const { width, height } = canvas.getBoundingClientRect();
	return { width, height, nodes: [svg("image", { x: MARGIN, y: MARGIN, width, height, href: canvas.toDataURL() })] };
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

const PARTS = { cell: cellPicture, words: wordsPicture, heatmap: heatmapPicture };

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

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
	let c = n;
	for (let bit = 0; bit < 8; bit += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
	return c;
});

/** An iTXt chunk of a PNG file (W3C PNG, 11.3.3.4): a keyword and a text in UTF-8. */
function textChunk(keyword, text) {
	const data = new TextEncoder().encode(`iTXt${keyword}\0\0\0\0\0${text}`);
	const chunk = new Uint8Array(data.length + 8);
	const view = new DataView(chunk.buffer);
	view.setUint32(0, data.length - 4);
	chunk.set(data, 4);
	view.setUint32(data.length + 4, ~data.reduce((crc, byte) => CRC[(crc ^ byte) & 255] ^ (crc >>> 8), ~0));
	return chunk;
}

async function toPng(source, { width, height }, { title, text }) {
	const image = new Image();
	image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
	await image.decode();
	const scale = Math.min(2, Math.sqrt(MAX_PIXELS / (width * height)));
	const canvas = el("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
	canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
	const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
	const header = 33; // bytes of the signature and the first chunk, IHDR
	return new Blob([blob.slice(0, header), textChunk("Title", title), textChunk("Description", text), blob.slice(header)]);
}

/** Save a part of the page ("cell", "words", "heatmap") as "svg" or "png". about: {title, text, caption}. */
export async function savePicture(part, roots, format, { title, text, caption }) {
	const about = { title: safeText(title, 200), text: `Text: ${safeText(text, 200)}`, caption };
	const { picture, ...size } = draw(part, roots, about);
	const source = new XMLSerializer().serializeToString(picture);
	const content = format === "svg" ? source : await toPng(source, size, about);
	download(`gatewise-${part}.${format}`, format === "svg" ? "image/svg+xml" : "image/png", content);
}
