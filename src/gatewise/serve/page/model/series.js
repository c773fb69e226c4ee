// Series to what the members read, exactly as gatewise/model/series_preprocessor.py. No DOM.

const TIMES = 8; // parts of the longest training series, for the channels of time
const HEIGHT = 4; // of these channels at their time

/** A series, rows of numbers with null where one is missing, as the steps of a sequence, standardised, missing values
 * interpolated: {read, series}, float32. read: the channels for the LSTM; series: the steps of the series from which these are
 * made, which the convolutions read. own: the entry of config.json. */
export function readSeries(
	series,
	{ mean, std, mask = false, steps = [0, 0], window = 0, level = [], spread = [], missing = "interpolate" },
) {
	if (missing === "refuse" && series.some((row) => row.includes(null)))
		throw new Error("a value is missing, for which the imported network has no rule");
	const scaled = mean.map((one, c) =>
		filled(series.map((row) => (row[c] === null ? NaN : Math.fround((row[c] - one) / std[c])))),
	);
	if (mask) scaled.push(series.map((row) => Math.fround(row.filter((x) => x === null).length / mean.length)));
	const rows = series.map((_, t) => Float32Array.from(scaled, (column) => column[t]));
	if (!window) return rows.map((row) => ({ read: row, series: row }));
	const read =
		window === 1 ? rows : amplitudes(scaled, window).map((row) => row.map((x, n) => (x - level[n]) / spread[n]));
	return read.map((row, n) => {
		const values = Array.from({ length: window }, (_, t) => [
			...(rows[n * window + t] ?? new Float32Array(scaled.length).fill(NaN)),
		]);
		const time = timeChannels(Math.min((n + 1) * window, rows.length), steps[1]);
		return { read: Float32Array.from([...row, ...time]), series: Float32Array.from(values.flat()) };
	});
}

/** The numbers of a channel with those in place of NaN on the line between their neighbours; all are missing: the mean, 0. */
function filled(column) {
	const known = Array.from(column.keys()).filter((t) => !Number.isNaN(column[t]));
	let next = 0; // in `known`: the first one that is not before t
	return column.map((x, t) => {
		while (known[next] < t) next += 1;
		if (!Number.isNaN(x) || !known.length) return x || 0;
		const [a, b] = [known[Math.max(0, next - 1)], known[Math.min(next, known.length - 1)]];
		return Math.fround(a === b ? column[a] : column[a] + ((column[b] - column[a]) * (t - a)) / (b - a));
	});
}

/** For each window the mean of each channel and the amplitudes of its oscillations: gatewise/network/series.py. */
function amplitudes(columns, window) {
	const octaves = Math.floor(Math.log2(window));
	const length = columns[0].length;
	const starts = Array.from({ length: Math.ceil(length / window) }, (_, n) => n * window);
	const means = (column) =>
		starts.map((start) => {
			const part = column.slice(start, start + window);
			return part.reduce((total, x) => total + x, 0) / part.length;
		});
	const reach = 2 ** octaves;
	const mirrored = (place) => Math.max(0, Math.min(length - 1, 2 * length - 1 - place, Math.max(place, -1 - place)));
	let sums = columns.map((column) => Array.from({ length: length + 2 * reach }, (_, n) => column[mirrored(n - reach)])); // of w steps
	const parts = columns.map(means);
	for (let w = 1; w < reach; w *= 2) {
		for (const one of sums)
			parts.push(
				means(columns[0].map((_, t) => (one[reach + t] - one[reach - w + t]) ** 2)).map((x) => Math.sqrt(x / (2 * w))),
			);
		sums = sums.map((one) => one.slice(0, -w).map((x, n) => x + one[n + w]));
	}
	return starts.map((_, n) => parts.map((part) => part[n]));
}

/** The time since the start in steps, as values of hat functions over the longest training series. */
function timeChannels(step, longest) {
	const place = TIMES * Math.min(step / Math.max(longest, 1), 1);
	return Array.from({ length: TIMES + 1 }, (_, n) => HEIGHT * Math.max(0, 1 - Math.abs(place - n)));
}
