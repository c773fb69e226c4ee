// Texts to token ids, exactly as the encodings of gatewise/text. No DOM.

const UNKNOWN = 1; // the id in a vocabulary of tokens or pieces
const MOST_RESPELT = 1000; // unknown words of a text
const KERAS = { first: 4, unknown: 2, names: ["<pad>", "<start>", "<unk>", "<unused>"] }; // the ids before the words
const KERAS_WORD = /[^!"#$%&()*+,\-./:;<=>?@[\\\]^_`{|}~\t\n ]+/g;
const SPACED_WORD = /[^ \t\r\n\f\v]+/g;

const LETTER = "\\p{L}\\p{M}\\p{N}_";
const UNSPACED =
	"\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}ー\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}";
const WORD_END = "(?:'[\\p{L}\\p{M}]{1,20}){0,3}";
const MARKS = `([^${LETTER}\\s])\\1{0,99}`;
const TOKENS = {
	1: `[${LETTER}]{1,100}${WORD_END}|${MARKS}`,
	2: `[${UNSPACED}]\\p{M}{0,8}|(?:(?![${UNSPACED}])[${LETTER}]){1,100}${WORD_END}|${MARKS}`,
};
// A letter with the marks after it, of which NFC makes one.
const CLUSTER = /<[bB][rR]\s*\/?>|\S[\p{M}\u1160-\u11ff]*|\s/gu;
const IDEOGRAPH =
	/[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/u;

/** entry: {kind: keras, spaces, tokens, subwords or index, ...} of config.json; words: the vocabulary by id, for keras and spaces
 * from id 4, for index "id word" each; merges: of subwords, "left right" each. Returns {encode(text), words, wordOf(id)};
 * `encode` returns the ids that the model reads, and the `steps` {id, start, end, text, unknown}, of which one without
 * characters has a `name`. It throws an Error for a lone surrogate. */
export function createEncoding(entry, words, merges) {
	const isKeras = entry.kind === "keras" || entry.kind === "spaces";
	const first = isKeras ? KERAS.first : 0;
	const unknown = entry.kind === "index" ? entry.unknown : isKeras ? KERAS.unknown : UNKNOWN;
	const ids = new Map(
		words.map((word, n) =>
			entry.kind === "index" ? [word.replace(/^\d+ /, ""), Number.parseInt(word, 10)] : [word, n + first],
		),
	);
	const idOf = (candidates) => ids.get(candidates.find((one) => ids.has(one))) ?? unknown;
	const found = {
		keras: (text) => wordsIn(text, KERAS_WORD, (word) => idOf([asciiLower(word)])),
		spaces: (text) => wordsIn(text, SPACED_WORD, (word) => idOf([word, word.toLowerCase(), ...shapesOf(word)])),
		tokens: (text) => tokensIn(text, entry.pipeline, tokenIds(ids, entry.pipeline)),
		subwords: (text) => tokensIn(text, entry.pipeline, createPieces(ids, merges)),
		index: (text) => indexedIn(text, entry, words[0] ? ids : null),
	}[entry.kind];
	const start = entry.kind === "keras" ? 1 : (entry.start ?? null);
	const special = (id, name) => ({ id, name, start: 0, end: 0, text: "", unknown: false });
	return {
		words,
		wordOf: (id) => words[id - first] ?? KERAS.names[id],
		encode(text) {
			const lone = text.match(/\p{Surrogate}/u);
			if (lone) throw new Error(`the text is not valid Unicode: a lone surrogate at character ${lone.index}`);
			const list = found(text).map((one) => ({
				...one,
				text: text.slice(one.start, one.end).normalize("NFC"),
				unknown: one.id === unknown,
			}));
			const steps = fitted(
				[...(start === null ? [] : [special(start, "<start>")]), ...list],
				entry.steps,
				special(0, "<pad>"),
			);
			return { steps, ids: Int32Array.from(steps, ({ id }) => id) };
		},
	};
}

/** The steps that an imported network was made for, as StepRule of gatewise/model/step_rule.py. */
function fitted(steps, rule, pad) {
	if (!rule) return steps;
	const { length, side, masked } = rule;
	const rows = masked ? steps.filter(({ id }) => id) : steps;
	const read = !length ? rows : side === "pre" ? rows.slice(-length) : rows.slice(0, length);
	const pads = masked || !length ? [] : Array.from({ length: length - read.length }, () => pad);
	return side === "pre" ? [...pads, ...read] : [...read, ...pads];
}

const asciiLower = (word) => word.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** The words of a word index, as gatewise/text/index.py; without one the words are ids. */
function indexedIn(text, { vocab_size: size, unknown, lower, filters, stripped }, ids) {
	const separated = (string) => string.replace(/[^]/g, (ch) => (filters.includes(ch) ? " " : ch));
	const pattern = filters ? /[^ ]+/g : /\S+/g;
	// Of the whole text: whether a capital sigma ends a word depends on what comes after it.
	const lowered = separated(lower === "all" ? text.toLowerCase() : text).match(pattern);
	return wordsIn(separated(text), pattern, (spelled, n) => {
		const word = lowered[n];
		if (!ids && !(/^\d{1,9}$/.test(word) && Number(word) < size))
			throw new Error(`${word} (word ${n + 1}) is not a token id below ${size}`);
		const letters = word.replace(/[^]/g, (ch) => (stripped.includes(ch) ? "" : ch));
		const plain = lower === "ascii" ? asciiLower(letters) : letters;
		return ids ? (plain ? (ids.get(plain) ?? unknown) : null) : Number(word);
	}).filter(({ id }) => id !== null);
}

const wordsIn = (text, pattern, idOf) =>
	Array.from(text.matchAll(pattern), ({ 0: word, index }, n) => ({
		start: index,
		end: index + word.length,
		id: idOf(word, n),
	}));

/** The shapes of a word of a tagger, as gatewise/text/spaces.py. */
function shapesOf(word) {
	const kind = (ch) =>
		/[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089]/u.test(ch)
			? "d"
			: /\p{Uppercase}/u.test(ch)
				? "X"
				: /\p{L}/u.test(ch)
					? "x"
					: ch;
	const letters = [...word];
	const shape = [
		...` ${letters
			.slice(0, 100)
			.map(kind)
			.join("")
			.replace(/(.)\1+/gsu, "$1")}`,
	]
		.slice(0, 9)
		.join("");
	return [
		letters.length > 3 && /^\p{L}+$/u.test(word) ? `${shape}-${letters.slice(-2).join("").toLowerCase()}` : shape,
		shape,
	];
}

/** The tokens of gatewise/text/tokens.py. piecesOf(token): its pieces {id, from, to}. */
function tokensIn(text, pipeline, piecesOf) {
	const { plain, starts, ends } = normalized(text);
	return Array.from(plain.matchAll(new RegExp(TOKENS[Math.min(pipeline, 2)], "gu")), ({ 0: token, index }) =>
		piecesOf(token).map(({ id, from, to }) => ({ id, start: starts[index + from], end: ends[index + to - 1] })),
	).flat();
}

/** The text in the form in which tokens are looked up, and for each place in it the start and the end in the text. */
function normalized(text) {
	const [starts, ends] = [[], []];
	let plain = "";
	for (const { 0: cluster, index } of text.matchAll(CLUSTER)) {
		const isBreak = cluster.length > 1 && cluster[0] === "<" && cluster.endsWith(">");
		const composed = isBreak ? " " : cluster.normalize("NFC");
		let at = index; // of a letter in the text; all letters of a cluster that NFC changes have the place of the cluster
		for (const ch of composed) {
			const [start, end] = composed === cluster ? [at, (at += ch.length)] : [index, index + cluster.length];
			if (/[\p{Cc}\p{Cf}\p{Co}\0\ufffd]/u.test(ch) && !"\t\n\r".includes(ch)) continue;
			const shown = /\s/u.test(ch) ? " " : ch === "’" ? "'" : IDEOGRAPH.test(ch) ? ` ${ch} ` : ch.toLowerCase();
			plain += shown;
			for (let n = 0; n < shown.length; n += 1) {
				starts.push(start);
				ends.push(end);
			}
		}
	}
	return { plain, starts, ends };
}

/** A function that gives a token of one text as {id, from, to}. */
function tokenIds(ids, pipeline) {
	const readUnknown = pipeline === 3 ? createRespelling(ids) : () => UNKNOWN;
	return (token) => [{ id: ids.get(token) ?? readUnknown(token), from: 0, to: token.length }];
}

/** A function that gives the ids of the unknown words of one text: of the first 1,000 those of the words that they misspell. */
export function createRespelling(ids) {
	let left = MOST_RESPELT;
	return (token) => {
		left -= 1;
		return left >= 0 ? respelt(token, ids) : UNKNOWN;
	};
}

/** The id of the known word that an unknown one misspells, as gatewise/text/respelling.py. */
function respelt(token, ids) {
	const [twice, once] = ["$1$1", "$1"].map((letters) => token.replace(/(.)\1{2,}/gu, letters));
	for (const shorter of [twice, once]) if (shorter !== token && ids.has(shorter)) return ids.get(shorter);
	if (!/^[a-z]{4,20}$/.test(twice)) return UNKNOWN;
	const found = [twice[1] + twice[0] + twice.slice(2)];
	for (let at = 1; at <= twice.length; at += 1) {
		const [before, after] = [twice.slice(0, at), twice.slice(at)];
		if (after && twice.length > 4) found.push(before + after.slice(1));
		if (after.length > 1) found.push(before + after[1] + after[0] + after.slice(2));
		for (const letter of "abcdefghijklmnopqrstuvwxyz")
			found.push(before + letter + after, ...(after ? [before + letter + after.slice(1)] : []));
	}
	const known = found.filter((word) => ids.has(word)).map((word) => ids.get(word));
	return known.length ? Math.min(...known) : UNKNOWN;
}

/** Byte-pair encoding: the merge that was learnt first comes first. A piece that does not start its word has ## before it. */
function createPieces(ids, merges) {
	const ranks = new Map(merges.map((merge, rank) => [merge, rank]));
	return (token) => {
		let at = 0;
		const pieces = Array.from(token, (ch) => {
			const name = at ? `##${ch}` : ch;
			return { name, id: ids.get(name) ?? UNKNOWN, from: at, to: (at += ch.length) };
		});
		for (;;) {
			const rankAt = (n) => ranks.get(`${pieces[n].name} ${pieces[n + 1].name}`) ?? Infinity;
			let best = 0;
			for (let n = 1; n + 1 < pieces.length; n += 1) if (rankAt(n) < rankAt(best)) best = n;
			if (pieces.length < 2 || rankAt(best) === Infinity) return pieces;
			const [left, right] = pieces.splice(best, 2);
			const name = left.name + right.name.replace(/^##/, "");
			pieces.splice(best, 0, { name, id: ids.get(name) ?? UNKNOWN, from: left.from, to: right.to });
		}
	};
}
