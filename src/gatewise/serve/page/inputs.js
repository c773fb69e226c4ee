// The arrays of a network with several inputs: the text of the editor is the one with the steps, and each further one has a
// field. Numbers are written in a row, those of one step after those of the step before.

import { el, safeText, setText } from "./dom.js";

const byId = (id) => document.getElementById(id);

const SEPARATORS = /[\s,;]+/;
const product = (sizes) => sizes.reduce((all, size) => all * size, 1);

/** What an input is, in words. input: {name, dtype, sizes: null for a free one, steps: the axis of the steps or null}. */
export function shapeText(input) {
	const { dtype, sizes, steps } = input;
	const kind = { float: "number", bool: "0 or 1" }[dtype] ?? "whole number";
	const shape = stepSizes(input);
	const many = kind.replace(/number$/, "numbers");
	const one = shape.every((size) => size === 1) && (shape.length < 2 || steps !== null);
	const isList = shape.length === 1 && shape[0] === null;
	const several = isList ? many : `${shape.map((size) => size ?? "any").join(" × ")} ${many}`;
	const numbers = one ? kind : several;
	return steps === null || (sizes[steps] !== null && !shape.length) ? numbers : `${numbers} per step`;
}

/** The sizes of a step of an input. */
const stepSizes = ({ sizes, steps }) => sizes.filter((_, axis) => axis !== steps);

/** The places of the ids of a text, as an answer has those of words; null where a step is no id. */
export function tokensOf([main], text) {
	if (["float", "bool"].includes(main.dtype) || main.steps === null || product(stepSizes(main)) !== 1) return null;
	const found = [...text.matchAll(/[^\s,;]+/g)];
	const start = found.map(({ index }) => index);
	const end = found.map(({ 0: id, index }) => index + id.length);
	return { start, end, id: found.map(([id]) => Number(id)), unknown: [], truncated: [], names: {} };
}

function numbersOf(name, text) {
	const cells = text.trim().split(SEPARATORS).filter(Boolean);
	const numbers = cells.map(Number);
	const wrong = numbers.findIndex((x) => !Number.isFinite(x));
	if (wrong >= 0) throw new Error(`${name}: ${safeText(cells[wrong], 20)} is not a number.`);
	return numbers;
}

/** Nested lists of the sizes. at(index): the number at a place. */
function nested(sizes, at, index = []) {
	if (index.length === sizes.length) return at(index);
	return Array.from({ length: sizes[index.length] }, (_, n) => nested(sizes, at, [...index, n]));
}

/** The numbers of a text as an array of an input. count: the number of steps; null: as many as the text has. */
function arrayOf(input, text, count) {
	const name = safeText(input.name, 40);
	const { steps } = input;
	const numbers = numbersOf(name, text);
	const sizes = input.sizes.map((size, axis) => (axis === steps ? (size ?? count) : size));
	const free = sizes.flatMap((size, axis) => (size === null ? [axis] : []));
	if (free.length > 1) throw new Error(`${name}: the page has no field for an input of several free sizes.`);
	const others = product(sizes.filter((size) => size !== null));
	if (free.length) sizes[free[0]] = numbers.length ? numbers.length / others : 1;
	const needed = product(sizes);
	if (numbers.length && (!sizes.every(Number.isInteger) || numbers.length !== needed)) {
		const per = free.length ? `a multiple of ${others} numbers` : `${needed} number${needed === 1 ? "" : "s"}`;
		throw new Error(`${name}: expected ${per} (${shapeText(input)}), and there are ${numbers.length}.`);
	}
	const order = sizes.map((_, axis) => axis).filter((axis) => axis !== steps);
	if (steps !== null) order.unshift(steps); // the numbers stand step by step
	const placeOf = (index) => order.reduce((place, axis) => place * sizes[axis] + index[axis], 0);
	return nested(sizes, (index) => numbers[placeOf(index)] ?? 0);
}

/** The arrays of a row by name. inputs: of GET /model, the first one has the steps. text: of the editor. fields: the text of
 * each further input; an empty one is zeros. Throws an Error that names the input. */
export function rowOf(inputs, text, fields) {
	const [main, ...further] = inputs;
	const first = arrayOf(main, text, null);
	const perStep = product(stepSizes(main));
	const count = main.steps === null ? 1 : numbersOf(main.name, text).length / perStep;
	const row = { [main.name]: first };
	for (const input of further) row[input.name] = arrayOf(input, fields[input.name] ?? "", count);
	return row;
}

/** The editor holds the input with the steps. */
function nameEditor(main) {
	const name = safeText(main.name, 40);
	byId("text").placeholder = `${name}: ${shapeText(main)}`;
	for (const id of ["input", "text"]) byId(id).setAttribute("aria-label", name);
	setText(byId("edit"), `Edit ${name}`);
	setText(byId("compare").querySelector("h2"), "Compare two rows");
	setText(byId("heatmap").querySelector("h2"), "Heat map: units and steps");
}

/** A field for each further input, for the `arrays` of the store, and what the loader reads them with. */
export function createInputs(inputs, store) {
	nameEditor(inputs[0]);
	const fields = el("p", { id: "arrays", class: "row", "aria-label": "The other inputs" });
	byId("columns").after(fields);
	const read = (name) => (event) => store.set({ arrays: { ...store.get().arrays, [name]: event.target.value } });
	for (const input of inputs.slice(1)) {
		const field = el("input", {
			type: "text",
			maxlength: 20_000,
			placeholder: "empty: zeros",
			"aria-label": safeText(input.name, 40),
			title: shapeText(input),
			oninput: read(input.name),
			spellcheck: false,
			autocomplete: "off",
		});
		const about = el("span", { class: "muted" }, shapeText(input));
		fields.append(el("label", {}, safeText(input.name, 40), field, about));
	}
	store.set({ arrays: {}, arrayReader: { rowOf, tokensOf } });
}
