// The inputs of a network that is a graph: the numbers of a row as the tensors that its ONNX file reads.

const TYPES = {
	float: ["float32", Float32Array, Number],
	int64: ["int64", BigInt64Array, BigInt],
	int32: ["int32", Int32Array, Number],
	bool: ["bool", Uint8Array, Number],
};
const RELATIONS = {
	"==": (a, b) => a === b,
	"!=": (a, b) => a !== b,
	"<=": (a, b) => a <= b,
	"<": (a, b) => a < b,
};
const product = (sizes) => sizes.reduce((all, size) => all * size, 1);
const isNumber = (x) => typeof x === "bigint" || (typeof x === "number" && Number.isFinite(Math.fround(x)));

/** The sizes of nested lists, and their numbers in order; null where they have different lengths, or something else in them. */
function flatOf(nested) {
	if (!Array.isArray(nested)) return isNumber(nested) ? { sizes: [], numbers: [Number(nested)] } : null;
	const parts = nested.map(flatOf);
	if (!parts.length || parts.includes(null)) return null;
	const [{ sizes }] = parts;
	if (parts.some((part) => String(part.sizes) !== String(sizes))) return null;
	return { sizes: [nested.length, ...sizes], numbers: parts.flatMap((part) => part.numbers) };
}

/** fn of each index of these sizes, in order. */
function eachIndex(sizes, fn) {
	const count = product(sizes);
	const index = sizes.map(() => 0);
	for (let place = 0; place < count; place += 1) {
		fn(index, place);
		for (let axis = sizes.length - 1; axis >= 0; axis -= 1) {
			index[axis] += 1;
			if (index[axis] < sizes[axis]) break;
			index[axis] = 0;
		}
	}
}

/** The place of an index among numbers whose axes stand in this order. */
const placeOf = (index, sizes, order) => order.reduce((place, axis) => place * sizes[axis] + index[axis], 0);

/** graph: of model.json. Returns feedsOf(row, where). A row is the only input as a list of steps, or an object of nested lists
 * by the name of the input. where: for errors. */
export function createFeeds({ main, inputs, lengths, rows, guards }, Tensor) {
	const isSingle = inputs.filter(({ name }) => name !== lengths).length === 1;
	const axesOf = ({ dims, batch }) => dims.map((_, axis) => axis).filter((axis) => axis !== batch);

	/** The numbers of an input in its own order. */
	function rowOf(input, value, bound, where) {
		const { name, dims, steps, dtype, range } = input;
		const found = flatOf(value);
		const axes = axesOf(input);
		if (!found) throw new Error(`${where}: ${name} must be numbers in nested lists of equal lengths`);
		const count = isSingle && steps !== null ? found.sizes[0] : null;
		const sizes = axes.map((axis, n) => {
			const dim = dims[axis];
			if (typeof dim === "number") return dim;
			return (bound[dim] ??= axis === steps && isSingle ? count : found.sizes[n]);
		});
		const fits = isSingle
			? found.numbers.length === product(sizes) && (count === null || count === sizes[axes.indexOf(steps)])
			: String(found.sizes) === String(sizes);
		if (!fits) {
			const shown = axes.map((axis) => dims[axis]).join(" × ");
			throw new Error(`${where}: ${name} must have the sizes ${shown}, and has ${found.sizes.join(" × ")}`);
		}
		const low = range?.[0] ?? (dtype === "bool" ? 0 : -Infinity);
		const high = range?.[1] ?? (dtype === "bool" ? 1 : Infinity);
		for (const number of found.numbers) {
			if (dtype !== "float" && !Number.isInteger(number)) throw new Error(`${where}: ${name} takes whole numbers`);
			if (number < low || number > high)
				throw new Error(`${where}: ${name} has ${number}, and its numbers are from ${low} to ${high}`);
		}
		if (!isSingle || steps === null) return { sizes, numbers: found.numbers };
		// The steps of the only input come first.
		const own = axes.indexOf(steps);
		const order = [own, ...sizes.map((_, axis) => axis).filter((axis) => axis !== own)];
		const numbers = [];
		eachIndex(sizes, (index) => numbers.push(found.numbers[placeOf(index, sizes, order)]));
		return { sizes, numbers };
	}

	/** The tensor with the row as often as the network needs it. */
	function tensorOf({ dtype, batch }, { sizes, numbers }) {
		const [type, Numbers, convert] = TYPES[dtype];
		const dims = batch === null ? sizes : sizes.toSpliced(batch, 0, rows);
		const data = new Numbers(product(dims));
		const all = sizes.map((_, axis) => axis);
		eachIndex(dims, (index, place) => {
			const own = batch === null ? index : index.toSpliced(batch, 1);
			data[place] = convert(numbers[placeOf(own, sizes, all)]);
		});
		return new Tensor(type, data, dims);
	}

	return (row, where) => {
		const names = inputs.map(({ name }) => name).filter((name) => name !== lengths);
		const isObject = typeof row === "object" && row !== null && !Array.isArray(row);
		if (!isSingle && (!isObject || String(Object.keys(row).sort()) !== String([...names].sort())))
			throw new Error(`${where} must be an object with the inputs ${names.join(", ")}`);
		const bound = {};
		const feeds = {};
		const ordered = [...inputs].sort((a, b) => (b.name === main) - (a.name === main));
		for (const input of ordered) {
			if (input.name === lengths) continue;
			feeds[input.name] = tensorOf(input, rowOf(input, isSingle ? row : row[input.name], bound, where));
		}
		const first = inputs.find(({ name }) => name === main);
		const stepsDim = first.steps === null ? 1 : first.dims[first.steps];
		const steps = bound[stepsDim] ?? stepsDim;
		const ofLengths = inputs.find(({ name }) => name === lengths);
		if (ofLengths) feeds[lengths] = tensorOf({ ...ofLengths, batch: 0 }, { sizes: [], numbers: [steps] });
		for (const { left, relation, right, shown } of guards) {
			const [a, b] = [left, right].map((size) =>
				typeof size === "number" ? size : size in bound ? bound[size] : rows,
			);
			if (!RELATIONS[relation](a, b)) {
				const sizes = Object.entries(bound).map(([name, size]) => `${name} = ${size}`);
				throw new Error(
					`${where}: the network was read for inputs with ${shown}, and this one has ${sizes.join(", ")}`,
				);
			}
		}
		return feeds;
	};
}
