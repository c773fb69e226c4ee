// A file `*.lstm`: the layout of safetensors, with the forms of gatewise/storage/compact.py.

const TYPES = {
	F32: Float32Array,
	F16: Uint16Array,
	I8: Int8Array,
	U16: Uint16Array,
	U8: Uint8Array,
	I32: Int32Array,
	I64: BigInt64Array,
};

export const damaged = (name) => new Error(`a .lstm file with a damaged tensor ${name}`);

/** The metadata and the tensors of a file, an ArrayBuffer. Throws an Error for anything else. */
export function readTensors(bytes) {
	const length = bytes.byteLength < 8 ? Infinity : Number(new DataView(bytes).getBigUint64(0, true));
	if (length > Math.min(bytes.byteLength - 8, 1e7)) throw new Error("not a .lstm file, or only a part of one");
	const { __metadata__: metadata, ...entries } = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length)));
	const data = bytes.slice(8 + length);
	const tensors = new Map();
	for (const [
		name,
		{
			dtype,
			shape,
			data_offsets: [from, to],
		},
	] of Object.entries(entries)) {
		const Type = TYPES[dtype];
		const size = shape.reduce((product, one) => product * one, 1);
		const isInside = [from, to, ...shape].every((one) => Number.isInteger(one) && one >= 0) && to <= data.byteLength;
		if (!Type || !isInside || to - from !== size * Type.BYTES_PER_ELEMENT) throw damaged(name);
		tensors.set(name, { shape, dtype, values: new Type(data.slice(from, to)) });
	}
	return { metadata, tensors };
}

/** The numbers of a tensor that is stored as it is. */
export function valuesOf(tensors, name) {
	if (!tensors.has(name)) throw new Error(`a .lstm file without the tensor ${name}`);
	return tensors.get(name).values;
}

/** A tensor of `size` numbers in float32, whatever its form in the file. */
export function float32(tensors, name, size) {
	const values = valuesOf(tensors, name);
	const { shape, dtype } = tensors.get(name);
	const width = shape.length > 1 ? shape[1] : 1;
	const [scale, rows] = [tensors.get(`${name}.scale`)?.values, tensors.get(`${name}.rows`)?.values];
	const stored = dtype === "F32" ? values : new Float32Array(values.length);
	if (dtype === "F16") for (let n = 0; n < stored.length; n += 1) stored[n] = half(values[n]);
	else if (dtype !== "F32") stored.set(values);
	if (scale) for (let n = 0; n < stored.length; n += 1) stored[n] *= scale[Math.floor(n / width)];
	const count = rows ? rows.length * width : stored.length;
	if (
		count !== size ||
		(scale && scale.length * width !== stored.length) ||
		rows?.some((place) => (place + 1) * width > stored.length)
	)
		throw damaged(name);
	if (!rows) return stored;
	const all = new Float32Array(count);
	rows.forEach((place, n) => all.set(stored.subarray(place * width, (place + 1) * width), n * width));
	return all;
}

/** The number of a float16, given as its bits. */
const half = (bits) =>
	(bits >> 15 ? -1 : 1) *
	((bits >> 10) & 31 ? 2 ** (((bits >> 10) & 31) - 15) * (1 + (bits & 1023) / 1024) : 2 ** -24 * (bits & 1023));
