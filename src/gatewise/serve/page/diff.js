// Two texts' words beside one another.

/** Which words of two lists are not common to both, by their longest common subsequence: [Set, Set]. */
export function differing(a, b) {
	const [x, y] = [a.map((w) => w.toLowerCase()), b.map((w) => w.toLowerCase())];
	if (x.length * y.length > 4e6) return [new Set(), new Set()];
	const width = y.length + 1;
	const best = new Uint16Array((x.length + 1) * width);
	for (let i = x.length - 1; i >= 0; i -= 1) {
		for (let j = y.length - 1; j >= 0; j -= 1) {
			const skip = Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
			best[i * width + j] = x[i] === y[j] ? best[(i + 1) * width + j + 1] + 1 : skip;
		}
	}
	const [only, other] = [new Set(x.keys()), new Set(y.keys())];
	for (let i = 0, j = 0; i < x.length && j < y.length; ) {
		if (x[i] === y[j]) {
			only.delete(i);
			other.delete(j);
			i += 1;
			j += 1;
		} else if (best[(i + 1) * width + j] >= best[i * width + j + 1]) i += 1;
		else j += 1;
	}
	return [only, other];
}
