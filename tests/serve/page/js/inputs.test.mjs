// The arrays of a network with several inputs, from the texts of the page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { rowOf, shapeText, tokensOf } from "../../../../src/gatewise/serve/page/inputs.js";

const ids = { name: "ids", dtype: "int64", sizes: [null], steps: 0 };
const country = { name: "country", dtype: "int64", sizes: [], steps: null };
const numbers = { name: "numbers", dtype: "float", sizes: [4], steps: null };
const shape = { name: "shape", dtype: "float", sizes: [null, 2], steps: 0 };
const turned = { name: "turned", dtype: "float", sizes: [2, null], steps: 1 };
const state = { name: "state", dtype: "float", sizes: [1, 3], steps: null };

test("each input has the numbers of its field, step by step", () => {
	const fields = {
		country: "3",
		numbers: "0.5 -1.2, 3e-1;2",
		shape: "1 2\n3 4\n5 6",
		turned: "1 2 3 4 5 6",
		state: "7 8 9",
	};
	assert.deepEqual(rowOf([ids, country, numbers, shape, turned, state], " 31 23\n13 ", fields), {
		ids: [31, 23, 13],
		country: 3,
		numbers: [0.5, -1.2, 0.3, 2],
		shape: [
			[1, 2],
			[3, 4],
			[5, 6],
		],
		turned: [
			[1, 3, 5],
			[2, 4, 6],
		],
		state: [[7, 8, 9]],
	});
});

test("a series is the input with the steps, and an empty field is zeros", () => {
	assert.deepEqual(rowOf([turned, shape, country], "1 2\n3 4", {}), {
		turned: [
			[1, 3],
			[2, 4],
		],
		shape: [
			[0, 0],
			[0, 0],
		],
		country: 0,
	});
});

test("what does not fit is named with its input", () => {
	const refused = (fields, message) =>
		assert.throws(() => rowOf([ids, country, numbers, shape], "1 2", fields), { message });
	refused({ numbers: "1 2 3" }, "numbers: expected 4 numbers (4 numbers), and there are 3.");
	refused({ shape: "1 2 3" }, "shape: expected 4 numbers (2 numbers per step), and there are 3.");
	refused({ country: "a" }, "country: a is not a number.");
	assert.throws(() => rowOf([shape], "1 2 3", {}), {
		message: "shape: expected a multiple of 2 numbers (2 numbers per step), and there are 3.",
	});
	const free = { name: "free", dtype: "float", sizes: [null, null], steps: null };
	assert.throws(() => rowOf([ids, free], "1", { free: "1" }), /free: the page has no field/);
});

test("an input is described in words", () => {
	assert.deepEqual([ids, country, numbers, shape, state, { ...ids, steps: null }].map(shapeText), [
		"whole number per step",
		"whole number",
		"4 numbers",
		"2 numbers per step",
		"1 × 3 numbers",
		"whole numbers",
	]);
});

test("the ids of a text have places, and numbers of a series have none", () => {
	assert.deepEqual(tokensOf([ids], " 31, 7"), {
		start: [1, 5],
		end: [3, 6],
		id: [31, 7],
		unknown: [],
		truncated: [],
		names: {},
	});
	assert.equal(tokensOf([shape], "1 2"), null);
	assert.equal(tokensOf([{ ...ids, dtype: "float" }], "1 2"), null);
});
