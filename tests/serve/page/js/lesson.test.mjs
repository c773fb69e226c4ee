// The measurements of the lesson's chapters.

import assert from "node:assert/strict";
import { test } from "node:test";

const page = new URL("../../../../src/gatewise/serve/page/", import.meta.url);
const { shareText } = await import(new URL("lesson/gradients.js", page));
const { followingUnit, turnOf } = await import(new URL("lesson/mind.js", page));
const { gateShares } = await import(new URL("lesson/whole.js", page));

test("the turn is the last step at which P crosses 1/2, else the largest change", () => {
	assert.equal(turnOf([0.6, 0.4, 0.7, 0.2, 0.1, 0.8]), 5);
	assert.equal(turnOf([0.6, 0.4, 0.3, 0.2]), 1);
	assert.equal(turnOf([0.6, 0.7, 0.95, 0.9]), 2);
	assert.equal(turnOf([0.6]), 0);
});

test("the unit that follows P has the largest covariance with it, not one that falls", () => {
	const c = [0, 0, 0, 3, -9, 0.1, 0, 0, 0, 3, -9, 0.1]; // three units, four steps
	assert.equal(followingUnit({ T: 4, units: 3, c, prefix: [0.1, 0.9, 0.1, 0.9] }), 0);
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

test("a share of a gradient has two digits, one below 0.01, or a bound", () => {
	assert.deepEqual([1, 0.5, 0.01, 0.0042, 0.00000031, 1e-12].map(shareText), [
		"1.00",
		"0.50",
		"0.01",
		"0.004",
		"0.0000003",
		"less than 0.0000001",
	]);
});
