// The heat map's numbers as a table, twelve by twelve around what is looked at, and the whole plane as CSV.

import { button, el, fmt } from "./dom.js";

const WINDOW = 12;

/** look(t, k): another word and unit to look at. */
export function drawTable(root, { plane, order, words, title, t, k }, look) {
	const row = Math.max(0, order.indexOf(k));
	const start = (place, length) => Math.max(0, Math.min(length - WINDOW, place - WINDOW / 2));
	const [r, c] = [start(row, order.length), start(t, plane.columns)];
	const columns = words.slice(c, c + WINDOW);
	const head = el("tr", {}, el("th", { scope: "col" }, "unit"), columns.map((word) => el("th", { scope: "col" }, word)));
	const number = (unit, n) => fmt(plane.values[unit * plane.columns + c + n], 2, plane.signed);
	const rows = order.slice(r, r + WINDOW).map((unit) =>
		el("tr", {}, el("th", { scope: "row" }, String(unit)), columns.map((_, n) => el("td", {}, number(unit, n)))));
	const caption = `${title}, units in the order of the map, columns ${c + 1} to ${c + columns.length} of ${plane.columns}`;
	const table = el("table", {}, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, rows));
	const within = (x, length) => Math.max(0, Math.min(length - 1, x));
	const step = (name, dt, dr) => button(name, { onclick: () => look(within(t + dt, plane.columns), order[within(row + dr, order.length)]) });
	root.replaceChildren(
		el("div", { class: "group" }, step("earlier", -WINDOW, 0), step("later", WINDOW, 0), step("up", 0, -WINDOW), step("down", 0, WINDOW)),
		el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of numbers" }, table),
	);
}

/** The plane as CSV, formulas made harmless: a cell of text that begins like one gets an apostrophe. */
export function toCsv(plane, order, words) {
	const quoted = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
	const lines = [["unit", ...words.map(quoted)].join(",")];
	for (const k of order) {
		const row = plane.values.subarray(k * plane.columns, (k + 1) * plane.columns);
		lines.push([k, ...Array.from(row, (x) => x.toFixed(5))].join(","));
	}
	return `${lines.join("\r\n")}\r\n`;
}
