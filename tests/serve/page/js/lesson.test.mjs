// The measurements of the lesson's chapters.

import assert from "node:assert/strict";
import { test } from "node:test";

const page = new URL("../../../../src/gatewise/serve/page/", import.meta.url);
const { holdingUnit } = await import(new URL("lesson/memory.js", page));
const { strongestStep } = await import(new URL("lesson/sentence.js", page));
const { gateShares } = await import(new URL("lesson/gates.js", page));
const { nearestWords } = await import(new URL("lesson/ids.js", page));

test("the strongest step is the one of the first half that changes the prediction most", () => {
	assert.equal(strongestStep({ T: 8, prefix: [0.5, 0.52, 0.2, 0.3, 0.35, 0.3, 0.9, 0.1] }), 2);
	assert.equal(strongestStep({ T: 1, prefix: [0.5] }), 0);
	assert.equal(strongestStep({ T: 2, prefix: [0.5, 0.9] }), 1);
});

test("the holding unit keeps the largest change of c after the step, not at it", () => {
	const [run, without] = [
		{ T: 4, c: [0, 0, 0, 9, 1, 0, 1, -3, 0.1, 1, -3, 0.2] },
		{ T: 4, c: [0, 0, 0, 0, 1, 0, 1, -1, 0, 1, -1, 0] },
	];
	assert.equal(holdingUnit({ units: 3 }, run, without, 1), 1);
});

test("gate shares are below 0.1, between, and above 0.9", () => {
	assert.deepEqual(
		gateShares([
			[0.05, 0.5],
			[0.1, 0.95],
		]),
		[0.25, 0.5, 0.25],
	);
});

test("the nearest words are those with the largest cosine, without the word itself", () => {
	const rows = [
		[0, 0],
		[0, 0],
		[0, 0],
		[0, 0],
		[1, 0],
		[0, 3],
		[2, 0.1],
		[-1, 0],
	];
	const model = { info: { vocabSize: 8 }, network: { inputOf: (id) => rows[id] }, wordOf: (id) => `w${id}` };
	assert.deepEqual(nearestWords(model, 4, 2), ["w6", "w5"]);
});
