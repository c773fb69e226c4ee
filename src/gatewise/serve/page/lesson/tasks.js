// The two tasks that the lesson trains on. Each returns a function that draws one example {x, label}.

/** A and B are the symbols to remember, the others are between. */
export const SYMBOLS = ["A", "B", "w", "x", "y", "z"];

/** Was the first symbol A (0) or B (1)? `distance` other symbols follow it. One-hot rows of the symbols. */
export const firstSymbol = (distance, random) => () => {
	const label = Number(random() < 0.5);
	const ids = [label, ...Array.from({ length: distance }, () => 2 + Math.floor(4 * random()))];
	return { x: oneHot(ids), label, ids };
};

export function oneHot(ids) {
	const x = new Float64Array(SYMBOLS.length * ids.length);
	ids.forEach((id, t) => (x[t * SYMBOLS.length + id] = 1));
	return x;
}

export const STEPS = 44;

/** Noise with peaks [step, height], four steps wide. */
export function seriesOf(peaks, random) {
	return Float64Array.from({ length: STEPS }, (_, t) => {
		const noise = 0.1 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
		return peaks.reduce((sum, [step, height]) => sum + height * Math.exp(-(((t - step) / 2) ** 2)), noise);
	});
}

/** Is the first of two peaks higher than the second (1) or lower (0)? */
export const firstHigher = (random) => () => {
	const first = 4 + Math.floor(random() * (STEPS - 16));
	const second = first + 7 + Math.floor(random() * (STEPS - first - 11));
	const height = 0.3 + 0.95 * random();
	const [low, high] = [height, Math.min(1.5, height + 0.25 + (1.25 - height) * random())];
	const label = Number(random() < 0.5);
	return {
		x: seriesOf(
			[
				[first, label ? high : low],
				[second, label ? low : high],
			],
			random,
		),
		label,
	};
};
