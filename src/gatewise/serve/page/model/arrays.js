// Arithmetic on typed arrays; a matrix is one array, row by row.

export const sum = (values) => values.reduce((total, one) => total + one, 0);
export const zeros = (size) => new Float64Array(size);
export const rowOf = (matrix, n, width) => matrix.subarray(n * width, (n + 1) * width);
export const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Add a multiple of a row to another one. */
export function addTo(target, row, times = 1) {
	for (let n = 0; n < target.length; n += 1) target[n] += times * row[n];
	return target;
}

/** The product of a vector with the row of a matrix that begins at `first`. */
export function dot(matrix, first, vector) {
	let total = 0;
	for (let n = 0; n < vector.length; n += 1) total += matrix[first + n] * vector[n];
	return total;
}

/** W x + b, in the type of b. A loop: `map` of a typed array takes twice as long, and each step of each network computes products. */
export function product(matrix, vector, plus) {
	const out = plus.slice();
	for (let n = 0; n < out.length; n += 1) out[n] = plus[n] + dot(matrix, n * vector.length, vector);
	return out;
}
