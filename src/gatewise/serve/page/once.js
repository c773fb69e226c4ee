// What is computed once.

/** The value of a key of a map, computed if it is not there. A map with `most` values begins again. */
export function once(map, key, compute, most = Infinity) {
	if (!map.has(key)) {
		if (map.size >= most) map.clear();
		map.set(key, compute());
	}
	return map.get(key);
}
