// A damaged .lstm file is refused, each damage with its message.

import assert from "node:assert/strict";
import { test } from "node:test";

const { parseModel } = await import(new URL("../../../../src/gatewise/serve/page/model/lstm.js", import.meta.url));

const ARCHITECTURE = {
	inputs: "tokens",
	vocab_size: 5,
	embedding_dim: 1,
	layers: [{ units: 1, direction: "forward", merge: "concat" }],
	pooling: "last",
	hidden: [],
	outputs: 1,
	max_length: 0,
	padding: "none",
};
const INFO = {
	format: 2,
	architecture: ARCHITECTURE,
	preprocessor: { kind: "keras" },
	members: [{ kind: "lstm", weight: 1 }],
	shift: [0],
	outputs: 1,
};
const F32 = (...shape) => ({ dtype: "F32", shape });

/** A file of one unit, five embeddings in int8; `change` is applied to its header, {name: {dtype, shape, data_offsets}}. */
function file(change = () => {}, info = {}) {
	const tensors = {
		"dense.weight": F32(1, 1),
		"dense.bias": F32(1),
		"lstm.0.forward.weight_ih": F32(4, 1),
		"lstm.0.forward.weight_hh": F32(4, 1),
		"lstm.0.forward.bias": F32(4),
		"embedding.weight.scale": F32(5),
		"embedding.weight": { dtype: "I8", shape: [5, 1] },
		vocabulary: { dtype: "U8", shape: [4] },
	};
	let at = 0;
	for (const one of Object.values(tensors))
		one.data_offsets = [at, (at += one.shape.reduce((a, b) => a * b) * (one.dtype === "F32" ? 4 : 1))];
	const header = { __metadata__: { "gatewise.lstm": JSON.stringify({ ...INFO, ...info }) }, ...tensors };
	change(header);
	const text = new TextEncoder().encode(JSON.stringify(header));
	const bytes = new Uint8Array(8 + text.length + at);
	new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
	bytes.set(text, 8);
	bytes.set(new TextEncoder().encode("good"), bytes.length - 4);
	return bytes.buffer;
}

const DAMAGES = {
	"cut off": [file().slice(0, -1), /damaged tensor vocabulary/],
	"shorter than its header": [file().slice(0, 40), /only a part/],
	empty: [new ArrayBuffer(0), /not a \.lstm file/],
	"a header that is no JSON": [new Uint8Array(file()).map((byte, n) => (n === 8 ? 0 : byte)).buffer, /JSON/],
	"offsets before the data": [
		file((header) => (header["dense.bias"].data_offsets = [-4, 0])),
		/damaged tensor dense\.bias/,
	],
	"another shape": [file((header) => (header["dense.bias"].shape = [-1])), /damaged tensor dense\.bias/],
	"a tensor of another size": [
		file((header) => Object.assign(header, { "lstm.0.forward.bias": header["dense.bias"] })),
		/damaged tensor lstm\.0\.forward\.bias/,
	],
	"too few scales": [
		file((header) => (header["embedding.weight.scale"] = header["dense.bias"])),
		/damaged tensor embedding\.weight/,
	],
	"rows beyond the table": [
		file(
			(header) =>
				(header["embedding.weight.rows"] = {
					...header["embedding.weight"],
					dtype: "U8",
					shape: [1],
					data_offsets: [header.vocabulary.data_offsets[0], header.vocabulary.data_offsets[0] + 1],
				}),
			{ architecture: { ...ARCHITECTURE, vocab_size: 1 } },
		),
		/damaged tensor embedding\.weight/,
	],
	"ids beyond the vocabulary": [
		file((header) => (header["embedding.weight.ids"] = header.vocabulary)),
		/damaged tensor embedding\.weight\.ids/,
	],
	"a missing tensor": [file((header) => delete header["dense.bias"]), /without the tensor dense\.bias/],
	"another format": [file(() => {}, { format: 1 }), /format 1/],
};

test("a whole file is read", () => assert.equal(parseModel(file()).run("good").T, 2));

for (const [name, [bytes, message]] of Object.entries(DAMAGES))
	test(`refused: ${name}`, () => assert.throws(() => parseModel(bytes), message));
