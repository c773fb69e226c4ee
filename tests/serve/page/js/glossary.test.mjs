// The definitions of the lesson: one sentence per term, and one for each term that lesson.html names.

import assert from "node:assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { GLOSSARY } from "../../../../src/gatewise/serve/page/lesson/glossary.js";

const html = readFileSync(new URL("../../../../src/gatewise/serve/page/lesson.html", import.meta.url), "utf8");

test("each term of the lesson has a definition", () => {
	const terms = new Set([...html.matchAll(/data-term="([^"]+)"/g)].map((found) => found[1]));
	assert.ok(terms.size > 3);
	assert.deepEqual(
		[...terms].filter((term) => !(term in GLOSSARY)),
		[],
	);
});

test("a definition is one sentence", () => {
	for (const [term, definition] of Object.entries(GLOSSARY)) {
		assert.match(definition, /^[^.]{20,}(\d\.\d+[^.]*)*\.$/, term);
		assert.ok(definition.length <= 140, `${term}: ${definition.length}`);
	}
});
