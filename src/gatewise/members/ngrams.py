"""The linear n-gram model, a member of text models: one weight per n-gram of tokens or of characters. NumPy only.

    logit = Σ weight(g) over the distinct n-grams g of 1 to `order` tokens in the text

An n-gram counts once however often it occurs (Wang & Manning 2012: presence works better than counts). An n-gram is a
sequence of adjacent tokens, so its weight can be attributed to them without a remainder.

With a `spelling` of the tokens, which are pieces of words then, an n-gram is a sequence of characters within a word
(Bojanowski et al. 2017), with its beginning and its end as characters. Its weight is attributed to the tokens that have
the characters.

With `scale` n-grams count by the logarithm of how often they occur, and the sum is divided by the norm of the text, as
with TF-IDF features (for example scikit-learn's TfidfVectorizer(sublinear_tf=True)):

    logit = Σ tf(g) weight(g) / √(Σ (tf(g) scale(g))²)       tf(g) = 1 + log(occurrences of g)

N-grams are stored as integers without hashing: an n-gram of tokens t_1 ... t_n is one int64, 21 bits per token, the
last token lowest:

    key = Σ_j (t_j + 1) 2^(21 (n - j))        n = 1, 2, 3

Keys are unique, and all keys of n tokens are below those of n + 1. Three times 21 bits limit the vocabulary to
2,097,151 tokens. Characters have 12 bits each, n = 1 to 5, which limits the alphabet to 4,095.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError
from gatewise.kernels import read_only
from gatewise.members.member import Inputs, Member, PaddedSequences, Rule, check_entry
from gatewise.network.batch import chunks
from gatewise.ragged import joined, starts_of
from gatewise.storage.tensors import tensors_from_bytes, tensors_to_bytes
from gatewise.types import Array, Lengths

if TYPE_CHECKING:
    from gatewise.members.spelling import Spelling

MAX_NGRAMS = 100_000_000  # in a file
MAX_ORDER, BITS = 3, 21  # tokens of an n-gram, at most, and bits per token of a key
MAX_CHARACTERS, CHARACTER_BITS = 5, 12  # of an n-gram of characters
MAX_VOCAB_SIZE = (1 << BITS) - 1  # token + 1 must fit into the bits
TOKENS_PER_CHUNK = 1 << 18  # tokens whose n-grams are looked up together: bounds memory, about 100 bytes per token
CHARACTERS_PER_TOKEN = 8  # of a piece of a word, with its share of the boundaries


def check_vocab_size(vocab_size: int) -> None:
    """Raise InputError for a vocabulary whose tokens do not fit into the keys."""
    if vocab_size > MAX_VOCAB_SIZE:
        raise InputError(f"n-grams need a vocabulary of at most {MAX_VOCAB_SIZE:,} tokens, not {vocab_size:,}")


def keys_of(
    tokens: Array, lengths: Lengths, order: int, bits: int = BITS
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For n = 1 to `order`: the keys (M,) of all n-grams within the sequences, and the step at which each ends (M,).
    tokens (N,), lengths (B,): the sequences, as `joined` returns them. bits: per token of a key.
    """
    tokens = tokens.astype(np.int64) + 1
    end = np.arange(len(tokens))
    position = end - np.repeat(starts_of(lengths), lengths)  # of each step within its sequence
    key = tokens
    for n in range(1, order + 1):
        yield key, end
        longer = position[end] >= n
        end = end[longer]
        key = (tokens[end - n] << bits * n) | key[longer]


@dataclass(frozen=True, eq=False)
class Ngrams(Member):
    """Weights (K, outputs) float32 of the n-grams `keys` (K,) int64, ascending, of 1 to `order` tokens.

    scale: (K,) float32, at least 0, what the norm of a text is computed from; None for sums without a norm. spelling:
    of the tokens, for n-grams of characters. Raises InputError for other arrays.
    """

    order: int
    keys: NDArray[np.int64]
    weight: NDArray[np.float32]
    scale: NDArray[np.float32] | None = None
    spelling: Spelling | None = None
    kind: ClassVar[str] = "ngrams"
    noun: ClassVar[str] = "n-grams"

    def __post_init__(self) -> None:
        most = MAX_ORDER if self.spelling is None else MAX_CHARACTERS
        if not 1 <= self.order <= most:
            raise InputError(f"n-grams: the order must be from 1 to {most}, not {self.order}")
        keys, weight, scale = self.keys, self.weight, self.scale
        if keys.ndim != 1 or keys.dtype != np.int64:
            raise InputError(f"n-grams: keys must be (K,) int64, not {keys.shape} {keys.dtype}")
        if weight.ndim != 2 or len(weight) != len(keys) or weight.dtype != np.float32:
            found = f"{weight.shape} {weight.dtype}"
            raise InputError(f"n-grams: weight must be ({len(keys)}, outputs) float32, not {found}")
        if scale is not None and (scale.shape != keys.shape or scale.dtype != np.float32):
            raise InputError(f"n-grams: scale must be ({len(keys)},) float32, not {scale.shape} {scale.dtype}")
        if (keys[1:] <= keys[:-1]).any():
            raise InputError("n-grams: the keys must ascend, each once")
        if not np.isfinite(weight).all():
            raise InputError("n-grams: a weight is NaN or infinite")
        if scale is not None and not (np.isfinite(scale) & (scale >= 0)).all():
            raise InputError("n-grams: a scale is negative, NaN or infinite")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def bits(self) -> int:
        """Per token, or character, of a key."""
        return BITS if self.spelling is None else CHARACTER_BITS

    @property
    def width(self) -> int:
        """How many numbers `read` makes of a token on average, at most."""
        return 1 if self.spelling is None else CHARACTERS_PER_TOKEN

    def prune(self, vocab_size: int, most: int | None = None) -> Ngrams:
        """The n-grams of the first `vocab_size` tokens, or of their characters, only, and of these the `most` with the
        largest |weight|.
        """
        spelling = None if self.spelling is None else self.spelling.prune(vocab_size)
        size = vocab_size if spelling is None else spelling.size
        fields = [(self.keys >> self.bits * j) & ((1 << self.bits) - 1) for j in range(self.order)]
        which = np.flatnonzero(np.max(fields, axis=0) <= size)
        if most is not None and most < len(which):
            largest = np.argsort(-np.abs(self.weight[which]).max(axis=1), kind="stable")[:most]
            which = np.sort(which[largest])
        scale = None if self.scale is None else self.scale[which]
        return Ngrams(self.order, self.keys[which], self.weight[which], scale, spelling)

    def add(self, other: Ngrams) -> Ngrams:
        """The model whose logits are the sum of both. Raises InputError for another number of outputs, for a `scale`:
        two norms do not add up to one, and for characters.
        """
        if any(one.scale is not None or one.spelling is not None for one in (self, other)):
            raise InputError("n-grams: models with a norm, or of characters, cannot be added")
        if self.weight.shape[1] != other.weight.shape[1]:
            raise InputError(f"n-grams: weights for {self.weight.shape[1]} logits and for {other.weight.shape[1]}")
        keys = np.union1d(self.keys, other.keys)
        weight = np.zeros((len(keys), self.weight.shape[1]), dtype=np.float32)
        for one in (self, other):
            weight[np.searchsorted(keys, one.keys)] += one.weight
        return Ngrams(max(self.order, other.order), keys, weight)

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[1])

    def check(self, inputs: Inputs) -> None:
        inputs.require("tokens", "n-grams need token inputs; the model reads series")
        check_vocab_size(inputs.size)
        size, one, most = inputs.size, "token", "vocabulary"
        if self.spelling is not None:
            size, one, most = self.spelling.size, "character", "alphabet"
            if len(self.spelling) != inputs.size or size >= 1 << self.bits:
                raise InputError(f"n-grams: the characters are not those of {inputs}")
        keys = self.keys
        if len(keys) and not 0 < keys[0] <= keys[-1] < 1 << self.bits * self.order:
            raise InputError(f"n-grams: a key does not have 1 to {self.order} {one}s")
        edges = [*np.searchsorted(keys, [1 << self.bits * n for n in range(self.order)]).tolist(), len(keys)]
        for n in range(1, self.order + 1):
            for j in range(n):
                token = (keys[edges[n - 1] : edges[n]] >> self.bits * j) & ((1 << self.bits) - 1)
                if len(token) and not 0 < token.min() <= token.max() <= size:
                    raise InputError(f"n-grams: a {one} is not below the {most} size {size:,}")

    def summary(self) -> list[tuple[str, str, int]]:
        name = "1-grams" if self.order == 1 else f"1- to {self.order}-grams"
        unit = "" if self.spelling is None else " of characters"
        return [(name + unit, f"({self.outputs},)", self.weight.size)]

    def read(self, sequences: Sequence[Array]) -> tuple[NDArray[np.int64], Lengths, NDArray[np.int64]]:
        """What the n-grams consist of, tokens or characters (N,), how many each sequence or word has, and the step of
        each, counted over all sequences.
        """
        tokens, lengths = joined(sequences, np.int64)
        return (
            (tokens, lengths, np.arange(len(tokens))) if self.spelling is None else self.spelling.read(tokens, lengths)
        )

    def occurrences(
        self, values: NDArray[np.int64], lengths: Lengths
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """All occurrences of known n-grams, by size, then in the order of the text. values, lengths: as of `read`.

        row (M,): of `keys`; end (M,): where in `values` the n-gram ends; size (M,): its n.
        """
        rows, ends, counts = [], [], []
        for key, end in keys_of(values, lengths, self.order, self.bits):
            unique, which = key, None
            if len(key) >= 4096:  # in ascending order, successive searches touch neighbouring keys: the cache
                unique, which = np.unique(key, return_inverse=True)
            row = np.minimum(np.searchsorted(self.keys, unique), max(len(self.keys) - 1, 0))
            row = row if which is None else row[which]
            known = self.keys[row] == key if len(self.keys) else np.zeros(len(key), dtype=bool)
            rows.append(row[known])
            ends.append(end[known])
            counts.append(len(rows[-1]))
        return np.concatenate(rows), np.concatenate(ends), np.repeat(np.arange(1, self.order + 1), counts)

    def logits(self, sequences: Iterable[Array]) -> Array:
        """Logits (n, outputs) float64 of n sequences of token ids, before truncation. An iterator is read in parts."""
        outputs = self.weight.shape[1]
        parts = [np.zeros((0, outputs))]
        for some in chunks(sequences, TOKENS_PER_CHUNK // max(1, outputs // 4) // self.width):
            owner, row, count = counted_ngrams(self, some)
            tf = self._frequency(count)
            sums = _sums(self.weight[row] * tf[:, None], owner, len(some))
            if self.scale is not None:
                sums = sums / _norms(np.bincount(owner, np.square(tf * self.scale[row]), len(some)))[:, None]
            parts.append(sums)
        return np.concatenate(parts)

    def attribution(self, sequence: Array) -> Array:
        """As `Member`. The weight of an n-gram is divided equally among its occurrences and their tokens, or their
        characters.
        """
        values, lengths, step = self.read([sequence])
        found, end, size = self.occurrences(values, lengths)
        row, place, times = np.unique(found, return_inverse=True, return_counts=True)
        whole = self._parts(row, times)[place]  # (M, outputs)
        share = whole / (size * times[place])[:, None]
        out = np.zeros((len(sequence), self.weight.shape[1]))
        for back in range(self.order):
            reaches = size > back
            out += _sums(share[reaches], step[end[reaches] - back], len(sequence))
        return out

    def prefix_logits(self, sequence: Array) -> Array:
        values, lengths, step = self.read([sequence])
        steps, (row, end, _) = len(sequence), self.occurrences(values, lengths)
        order = np.lexsort((end, row))  # by n-gram, then by step
        row, at = row[order], step[end[order]]
        start = np.flatnonzero(np.diff(row, prepend=-1))
        earlier = np.arange(len(row)) - np.repeat(start, np.diff(start, append=len(row)))  # occurrences before it
        sums, squares = (np.cumsum(part, axis=0) for part in self._added(row, at, earlier, steps))
        if self.spelling is not None and steps:  # a prefix that ends within a word has its end there
            from gatewise.members.spelling import CLOSES

            values, lengths, step = self.spelling.cut_words(np.asarray(sequence), self.order - 1)
            cut, end, _ = self.occurrences(values, lengths)
            closes = values[end] == CLOSES
            cut, there = cut[closes], step[end[closes]]
            until = np.searchsorted(row * np.int64(steps) + at, cut * np.int64(steps) + there, "right")
            before = until - np.searchsorted(row, cut)
            sums, squares = (
                one + more for one, more in zip((sums, squares), self._added(cut, there, before, steps), strict=True)
            )
        return np.concatenate([np.zeros((1, self.outputs)), sums / _norms(squares)[:, None]])

    def _added(
        self, row: NDArray[np.int64], step: NDArray[np.int64], earlier: NDArray[np.int64], steps: int
    ) -> tuple[Array, Array]:
        """What occurrences (M,) of n-grams, with earlier ones (M,), add at each step to the sum (steps, outputs) and to
        the square of the norm (steps,), which is 0 without a scale.
        """
        tf, before = self._frequency(earlier + 1), self._frequency(earlier)
        sums = _sums(self.weight[row] * (tf - before)[:, None], step, steps)
        scale = np.zeros(len(row)) if self.scale is None else self.scale[row]
        return sums, np.bincount(step, np.square(scale) * (tf**2 - before**2), steps)

    def _frequency(self, count: Array) -> Array:
        """What an n-gram counts for that occurs `count` times."""
        return np.minimum(count, 1.0) if self.scale is None else term_frequency(count)

    def _parts(self, row: NDArray[np.int64], count: NDArray[np.int64]) -> Array:
        """The part (M, outputs) float64 that each distinct n-gram of a text has in its logits, from its occurrences."""
        tf = self._frequency(count)
        norm = 1.0 if self.scale is None else _norms(np.square(tf * self.scale[row]).sum(keepdims=True))
        return np.asarray(self.weight[row] * tf[:, None] / norm)

    def phrases(self, sequence: Array) -> list[tuple[range, Array, int]]:
        """As `Member`: the distinct n-grams, ordered by the end of their first occurrence; none of characters."""
        if self.spelling is not None:
            return []
        found, end, size = self.occurrences(*joined([sequence], np.int64))
        row, first, times = np.unique(found, return_index=True, return_counts=True)
        steps = [range(e - n + 1, e + 1) for e, n in zip(end[first].tolist(), size[first].tolist(), strict=True)]
        phrases = zip(steps, self._parts(row, times), times.tolist(), strict=True)
        return sorted(phrases, key=lambda phrase: (phrase[0].stop, phrase[0].start))

    def note(self, rule: Rule) -> str:
        if rule == "left-out":
            return "The n-grams of the edited text are counted again."
        if self.scale is not None or self.spelling is not None:
            words = "words" if self.spelling is None else "characters"
            return {
                "prefix": "The n-grams are added as the change of their logits when the word is read.",
                "shared": f"The part of each n-gram is added in equal parts to its {words}.",
            }[rule]
        return {
            "prefix": "The weight of each n-gram is added, once, at the word that completes it.",
            "shared": "The weight of each n-gram is added in equal parts to its words.",
        }[rule]

    def entry(self) -> dict[str, Any]:
        found: dict[str, Any] = {"order": self.order, "count": len(self.keys)}
        if self.scale is not None:
            found["scaled"] = True
        if self.spelling is not None:
            found["characters"] = len(self.spelling.characters)
        return found

    def arrays(self) -> dict[str, Array]:
        found: dict[str, Array] = {"keys": self.keys, "weight": self.weight}
        if self.scale is not None:
            found["scale"] = self.scale
        if self.spelling is not None:
            found["characters"] = self.spelling.characters
        return found

    @classmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        check_entry(entry, ["order", "count"], ["scaled", "characters"], cls.kind)
        order, count, characters = entry["order"], entry["count"], entry.get("characters", 1)
        numbers = {type(one) for one in (order, count, characters)}
        if numbers != {int} or not 0 <= count <= MAX_NGRAMS or not 1 <= characters <= MAX_NGRAMS:
            raise InputError("member 'ngrams': order, count and characters must be whole numbers")
        if entry.get("scaled", True) is not True:
            raise InputError("member 'ngrams': scaled can only be true")
        expected = {"keys": ((count,), "int64"), "weight": ((count, outputs), "float32")}
        if "scaled" in entry:
            expected["scale"] = ((count,), "float32")
        if "characters" in entry:
            expected["characters"] = ((characters,), "int32")
        tensors = {name: read_only(one) for name, one in tensors_from_bytes(raw, expected, file).items()}
        spelling = None
        try:
            if "characters" in entry:
                from gatewise.members.spelling import Spelling  # few models read characters

                spelling = Spelling(tensors["characters"])
            return cls(order, tensors["keys"], tensors["weight"], tensors.get("scale"), spelling)
        except InputError as error:
            raise ModelFileError(f"{file}: {error}") from error

    def to_onnx(self, graph: Any, padded: PaddedSequences) -> str:
        from gatewise.members.onnx.ngrams import ngram_logits

        if not len(self):
            zeros = np.zeros((1, self.outputs))
            return str(graph.add("Mul", graph.cast(graph.column(padded.lengths), np.float64), zeros))
        return ngram_logits(graph, self, padded.steps, padded.lengths)

    @classmethod
    def file_of_onnx(cls, entry: dict[str, Any], constants: Mapping[str, Array]) -> tuple[dict[str, Any], bytes]:
        from gatewise.members.onnx.ngrams import arrays_of

        return entry, tensors_to_bytes(arrays_of(constants))

    def onnx_tokens(self, rng: np.random.Generator, count: int) -> Array:
        if not len(self) or self.spelling is not None:
            return super().onnx_tokens(rng, count)
        keys = rng.choice(self.keys, count)
        ids = np.stack([(keys >> BITS * j & MAX_VOCAB_SIZE) - 1 for j in reversed(range(MAX_ORDER))], axis=1)
        return np.asarray(ids[ids >= 0][:count])


def counted_ngrams(
    ngrams: Ngrams, sequences: Sequence[Array]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct n-grams of each sequence: owner (M,), its number, ascending; row (M,), the n-gram, ascending in it;
    count (M,): how often it occurs there.
    """
    values, lengths, step = ngrams.read(sequences)
    row, end, _ = ngrams.occurrences(values, lengths)
    owner, known = np.repeat(np.arange(len(sequences)), [len(s) for s in sequences]), max(len(ngrams.keys), 1)
    both = owner[step[end]].astype(np.int64) * known + row  # np.unique is ten times as slow
    both.sort()
    first = np.flatnonzero(np.diff(both, prepend=-1))
    owner, row = (part.astype(np.intp, copy=False) for part in np.divmod(both[first], known))
    return owner, row, np.diff(first, append=len(both))


def term_frequency(count: Array) -> Array:
    """1 + log(count), and 0 for 0."""
    return np.where(count > 0, 1 + np.log(np.maximum(count, 1)), 0.0)


def _sums(values: Array, owner: NDArray[np.int64], n: int) -> Array:
    """Sums (n, outputs) float64 of the values (M, outputs) of each owner (M,)."""
    outputs = values.shape[1]
    cells = (owner[:, None] * outputs + np.arange(outputs)).ravel()
    return np.bincount(cells, values.ravel(), n * outputs).reshape(n, outputs)


def _norms(squares: Array) -> Array:
    """Square roots, and 1 for 0: a text without n-grams has the logit 0."""
    return np.where(squares > 0, np.sqrt(squares), 1.0)
