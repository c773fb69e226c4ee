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

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError
from gatewise.kernels import read_only
from gatewise.members.member import Inputs, Member, PaddedSequences, Rule, check_entry
from gatewise.network.batch import ragged_chunks
from gatewise.ragged import Ragged, step_numbers
from gatewise.storage.tensors import tensors_from_bytes, tensors_to_bytes
from gatewise.types import Array, Lengths

if TYPE_CHECKING:
    from gatewise.members.spelling import Spelling

MAX_NGRAMS = 100_000_000  # in a file
MAX_ORDER = 3  # tokens of an n-gram
BITS = 21  # of a key, per token
MAX_CHARACTERS = 5  # of an n-gram of characters
CHARACTER_BITS = 12  # of a key, per character
MAX_VOCAB_SIZE = (1 << BITS) - 1  # token + 1 must fit into the bits
TOKENS_PER_CHUNK = 1 << 18  # tokens whose n-grams are looked up together: bounds memory, about 100 bytes per token
CHARACTERS_PER_TOKEN = 8  # of a piece of a word, with its share of the boundaries
_MANY_KEYS = 4096  # from which it is faster to sort the keys before they are looked up


def check_vocab_size(vocab_size: int) -> None:
    """Raise InputError for a vocabulary whose tokens do not fit into the keys."""
    if vocab_size > MAX_VOCAB_SIZE:
        raise InputError(f"n-grams need a vocabulary of at most {MAX_VOCAB_SIZE:,} tokens, not {vocab_size:,}")


def keys_of(
    tokens: Array, lengths: Lengths, order: int, bits: int = BITS
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For n = 1 to `order`: the keys (M,) of all n-grams within the sequences, and the step at which each ends (M,).
    tokens (N,), lengths (B,): the sequences, as `joined` returns them. bits: of a key, per token.
    """
    tokens = tokens.astype(np.int64) + 1
    end = np.arange(len(tokens))
    position = step_numbers(lengths)
    key = tokens
    for n in range(1, order + 1):
        yield key, end
        longer = position[end] >= n
        end = end[longer]
        key = (tokens[end - n] << bits * n) | key[longer]


@dataclass(frozen=True, eq=False)
class Ngrams(Member):
    """Weights (K, outputs) float32 of the n-grams `keys` (K,) int64, ascending, of 1 to `order` tokens.

    scale: (K,) float32, at least 0, from which the norm of a text is computed; None for sums without a norm. spelling:
    the characters of the tokens, for n-grams of characters. Raises InputError for other arrays.
    """

    order: int
    keys: NDArray[np.int64]
    weight: NDArray[np.float32]
    scale: NDArray[np.float32] | None = None
    spelling: Spelling | None = None
    kind: ClassVar[str] = "ngrams"
    noun: ClassVar[str] = "n-grams"

    def __post_init__(self) -> None:
        max_order = MAX_ORDER
        if self.spelling is not None:
            max_order = MAX_CHARACTERS
        if not 1 <= self.order <= max_order:
            raise InputError(f"n-grams: the order must be from 1 to {max_order}, not {self.order}")
        keys = self.keys
        weight = self.weight
        scale = self.scale
        if keys.ndim != 1 or keys.dtype != np.int64:
            raise InputError(f"n-grams: keys must be (K,) int64, not {keys.shape} {keys.dtype}")
        if weight.ndim != 2 or len(weight) != len(keys) or weight.dtype != np.float32:
            expected = f"({len(keys)}, outputs) float32"
            raise InputError(f"n-grams: weight must be {expected}, not {weight.shape} {weight.dtype}")
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
        """The bits of a key per token, or per character."""
        if self.spelling is None:
            return BITS
        return CHARACTER_BITS

    @property
    def width(self) -> int:
        """The numbers that `read` makes of a token: 1, or about as many as it has characters."""
        if self.spelling is None:
            return 1
        return CHARACTERS_PER_TOKEN

    def prune(self, vocab_size: int, most: int | None = None) -> Ngrams:
        """The n-grams of the first `vocab_size` tokens, or of their characters; at most `most` of them, those with the
        largest |weight|.
        """
        spelling = None
        size = vocab_size
        if self.spelling is not None:
            spelling = self.spelling.prune(vocab_size)
            size = spelling.size
        tokens = [(self.keys >> self.bits * j) & ((1 << self.bits) - 1) for j in range(self.order)]  # plus 1; 0: none
        rows = np.flatnonzero(np.max(tokens, axis=0) <= size)
        if most is not None and most < len(rows):
            largest = np.argsort(-np.abs(self.weight[rows]).max(axis=1), kind="stable")[:most]
            rows = np.sort(rows[largest])
        scale = None
        if self.scale is not None:
            scale = self.scale[rows]
        return Ngrams(self.order, self.keys[rows], self.weight[rows], scale, spelling)

    def truncate_vocab(self, vocab_size: int) -> Ngrams:
        return self.prune(vocab_size)

    def add(self, other: Ngrams) -> Ngrams:
        """The model whose logits are the sum of both. Raises InputError for another number of outputs, for n-grams of
        characters, and for a `scale`: a sum of two quotients with different norms is no quotient with one norm.
        """
        if any(ngrams.scale is not None or ngrams.spelling is not None for ngrams in (self, other)):
            raise InputError("n-grams: models with a norm, or of characters, cannot be added")
        if self.weight.shape[1] != other.weight.shape[1]:
            raise InputError(f"n-grams: weights for {self.weight.shape[1]} logits and for {other.weight.shape[1]}")
        keys = np.union1d(self.keys, other.keys)
        weight = np.zeros((len(keys), self.weight.shape[1]), dtype=np.float32)
        for ngrams in (self, other):
            weight[np.searchsorted(keys, ngrams.keys)] += ngrams.weight
        return Ngrams(max(self.order, other.order), keys, weight)

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[1])

    def check(self, inputs: Inputs) -> None:
        inputs.require("tokens", "n-grams need token inputs; the model reads series")
        check_vocab_size(inputs.size)
        if self.spelling is None:
            self._check_keys(inputs.size, "token", "vocabulary")
            return
        size = self.spelling.size
        if len(self.spelling) != inputs.size or size >= 1 << self.bits:
            raise InputError(f"n-grams: the characters are not those of {inputs}")
        self._check_keys(size, "character", "alphabet")

    def _check_keys(self, size: int, noun: str, all_of_them: str) -> None:
        """Raise InputError unless each key consists of 1 to `order` tokens, or characters, below `size`."""
        keys = self.keys
        if len(keys) and not 0 < keys[0] <= keys[-1] < 1 << self.bits * self.order:
            raise InputError(f"n-grams: a key does not have 1 to {self.order} {noun}s")
        # All keys of n tokens are below those of n + 1.
        first_of_size = np.searchsorted(keys, [1 << self.bits * n for n in range(self.order)])
        edges = [*first_of_size.tolist(), len(keys)]
        for n in range(1, self.order + 1):
            for j in range(n):
                token = (keys[edges[n - 1] : edges[n]] >> self.bits * j) & ((1 << self.bits) - 1)  # plus 1
                if len(token) and not 0 < token.min() <= token.max() <= size:
                    raise InputError(f"n-grams: a {noun} is not below the {all_of_them} size {size:,}")

    def summary(self) -> list[tuple[str, str, int]]:
        name = f"1- to {self.order}-grams"
        if self.order == 1:
            name = "1-grams"
        if self.spelling is not None:
            name += " of characters"
        return [(name, f"({self.outputs},)", self.weight.size)]

    def read(self, sequences: Ragged) -> tuple[NDArray[np.int64], Lengths, NDArray[np.int64]]:
        """The tokens or characters (N,) of which n-grams consist, the number that each sequence or word has, and the
        step of each token or character, counted over all sequences.
        """
        tokens = sequences.values.astype(np.int64)
        lengths = sequences.lengths
        if self.spelling is not None:
            return self.spelling.read(tokens, lengths)
        return tokens, lengths, np.arange(len(tokens))

    def occurrences(
        self, values: NDArray[np.int64], lengths: Lengths
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """All occurrences of known n-grams, by size, then in the order of the text. values, lengths: as of `read`.

        row (M,): of `keys`. end (M,): the place in `values` at which the n-gram ends. size (M,): its n.
        """
        rows: list[NDArray[np.int64]] = []
        ends: list[NDArray[np.int64]] = []
        counts: list[int] = []
        for key, end in keys_of(values, lengths, self.order, self.bits):
            row, is_known = self._rows_of(key)
            rows.append(row[is_known])
            ends.append(end[is_known])
            counts.append(int(is_known.sum()))
        return np.concatenate(rows), np.concatenate(ends), np.repeat(np.arange(1, self.order + 1), counts)

    def _rows_of(self, key: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The row (M,) of each key (M,) in `keys`, and whether the key is there: for an unknown key the row is any."""
        if not len(self.keys):
            return np.zeros(len(key), dtype=np.int64), np.zeros(len(key), dtype=bool)
        last = len(self.keys) - 1
        if len(key) < _MANY_KEYS:
            row = np.minimum(np.searchsorted(self.keys, key), last)
        else:
            # In ascending order, successive searches touch neighbouring keys, which are in the processor's cache.
            unique, place = np.unique(key, return_inverse=True)
            row = np.minimum(np.searchsorted(self.keys, unique), last)[place]
        return row, self.keys[row] == key

    def logits(self, sequences: Ragged | Iterable[Array]) -> Array:
        """Logits (n, outputs) float64 of n sequences of token ids, before truncation. An iterator is read in chunks."""
        logits = [np.zeros((0, self.outputs))]
        tokens_per_chunk = TOKENS_PER_CHUNK // max(1, self.outputs // 4) // self.width
        for chunk in ragged_chunks(sequences, tokens_per_chunk):
            owner, row, count = counted_ngrams(self, chunk)
            tf = self._frequency(count)
            sums = _sums(self.weight[row] * tf[:, None], owner, len(chunk))
            if self.scale is not None:
                squares = np.bincount(owner, np.square(tf * self.scale[row]), len(chunk))
                sums = sums / _norms(squares)[:, None]
            logits.append(sums)
        return np.concatenate(logits)

    def attribution(self, sequence: Array) -> Array:
        """As `Member`. The weight of an n-gram is divided equally among its occurrences and their tokens, or their
        characters.
        """
        values, lengths, step = self.read(Ragged.of([sequence]))
        occurrence_row, end, size = self.occurrences(values, lengths)
        row, ngram, count = np.unique(occurrence_row, return_inverse=True, return_counts=True)
        contributions = self._contributions(row, count)[ngram]  # (M, outputs)
        share = contributions / (size * count[ngram])[:, None]
        out = np.zeros((len(sequence), self.outputs))
        for back in range(self.order):  # to the last token of each n-gram, then to the one before, and so on
            is_long_enough = size > back
            out += _sums(share[is_long_enough], step[end[is_long_enough] - back], len(sequence))
        return out

    def prefix_logits(self, sequence: Array) -> Array:
        values, lengths, step = self.read(Ragged.of([sequence]))
        steps = len(sequence)
        row, end, _ = self.occurrences(values, lengths)
        order = np.lexsort((end, row))  # by n-gram, then by step
        row = row[order]
        at = step[end[order]]
        first_of_ngram = np.flatnonzero(np.diff(row, prepend=-1))
        counts = np.diff(first_of_ngram, append=len(row))
        earlier = np.arange(len(row)) - np.repeat(first_of_ngram, counts)  # occurrences of the same n-gram before
        added, added_squares = self._added(row, at, earlier, steps)
        sums = np.cumsum(added, axis=0)
        squares = np.cumsum(added_squares, axis=0)
        if self.spelling is not None and steps:
            # A prefix that ends within a word has the end of the word there, which the next prefix does not have.
            cut_row, cut_at = self._ngrams_of_cut_words(sequence)
            until = np.searchsorted(row * np.int64(steps) + at, cut_row * np.int64(steps) + cut_at, "right")
            cut_earlier = until - np.searchsorted(row, cut_row)
            added, added_squares = self._added(cut_row, cut_at, cut_earlier, steps)
            sums = sums + added
            squares = squares + added_squares
        return np.concatenate([np.zeros((1, self.outputs)), sums / _norms(squares)[:, None]])

    def _ngrams_of_cut_words(self, sequence: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The known n-grams (M,) that end with the end of a word which a prefix cuts, and the last step (M,) of that
        prefix.
        """
        from gatewise.members.spelling import CLOSES

        assert self.spelling is not None
        values, lengths, step = self.spelling.cut_words(np.asarray(sequence), self.order - 1)
        row, end, _ = self.occurrences(values, lengths)
        closes = values[end] == CLOSES
        return row[closes], step[end[closes]]

    def _added(
        self, row: NDArray[np.int64], step: NDArray[np.int64], earlier: NDArray[np.int64], steps: int
    ) -> tuple[Array, Array]:
        """What occurrences (M,) of n-grams add at each step to the sum (steps, outputs) and to the square of the norm
        (steps,), which is 0 without a scale. earlier (M,): the number of earlier occurrences of the same n-gram.
        """
        tf = self._frequency(earlier + 1)
        tf_before = self._frequency(earlier)
        sums = _sums(self.weight[row] * (tf - tf_before)[:, None], step, steps)
        if self.scale is None:
            return sums, np.zeros(steps)
        squares = np.square(self.scale[row]) * (tf**2 - tf_before**2)
        return sums, np.bincount(step, squares, steps)

    def _frequency(self, count: Array) -> Array:
        """The term frequency of an n-gram that occurs `count` times: without a scale, an n-gram counts once."""
        if self.scale is None:
            return np.minimum(count, 1.0)
        return term_frequency(count)

    def _contributions(self, row: NDArray[np.int64], count: NDArray[np.int64]) -> Array:
        """The contribution (M, outputs) float64 of each distinct n-gram of a text to its logits, from the number of its
        occurrences.
        """
        tf = self._frequency(count)
        contributions: Array = self.weight[row] * tf[:, None]
        if self.scale is not None:
            squares = np.square(tf * self.scale[row]).sum(keepdims=True)
            contributions = contributions / _norms(squares)
        return np.asarray(contributions)

    def phrases(self, sequence: Array) -> list[tuple[range, Array, int]]:
        """As `Member`: the distinct n-grams, ordered by the end of their first occurrence. N-grams of characters are
        no phrases.
        """
        if self.spelling is not None:
            return []
        values, lengths, _ = self.read(Ragged.of([sequence]))
        occurrence_row, end, size = self.occurrences(values, lengths)
        row, first, count = np.unique(occurrence_row, return_index=True, return_counts=True)
        steps = [range(e - n + 1, e + 1) for e, n in zip(end[first].tolist(), size[first].tolist(), strict=True)]
        phrases = zip(steps, self._contributions(row, count), count.tolist(), strict=True)
        return sorted(phrases, key=lambda phrase: (phrase[0].stop, phrase[0].start))

    def note(self, rule: Rule) -> str:
        if rule == "left-out":
            return "The n-grams of the edited text are counted again."
        if self.scale is not None or self.spelling is not None:
            units = "words"
            if self.spelling is not None:
                units = "characters"
            return {
                "prefix": "The n-grams are added as the change of their logits when the word is read.",
                "shared": f"The part of each n-gram is added in equal parts to its {units}.",
            }[rule]
        return {
            "prefix": "The weight of each n-gram is added, once, at the word that completes it.",
            "shared": "The weight of each n-gram is added in equal parts to its words.",
        }[rule]

    def entry(self) -> dict[str, Any]:
        entry: dict[str, Any] = {"order": self.order, "count": len(self.keys)}
        if self.scale is not None:
            entry["scaled"] = True
        if self.spelling is not None:
            entry["characters"] = len(self.spelling.characters)
        return entry

    def arrays(self) -> dict[str, Array]:
        arrays: dict[str, Array] = {"keys": self.keys, "weight": self.weight}
        if self.scale is not None:
            arrays["scale"] = self.scale
        if self.spelling is not None:
            arrays["characters"] = self.spelling.characters
        return arrays

    @classmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        check_entry(entry, ["order", "count"], ["scaled", "characters"], cls.kind)
        order = entry["order"]
        count = entry["count"]
        characters = entry.get("characters", 1)
        types = {type(number) for number in (order, count, characters)}
        if types != {int} or not 0 <= count <= MAX_NGRAMS or not 1 <= characters <= MAX_NGRAMS:
            raise InputError("member 'ngrams': order, count and characters must be whole numbers")
        if entry.get("scaled", True) is not True:
            raise InputError("member 'ngrams': scaled can only be true")
        expected = {"keys": ((count,), "int64"), "weight": ((count, outputs), "float32")}
        if "scaled" in entry:
            expected["scale"] = ((count,), "float32")
        if "characters" in entry:
            expected["characters"] = ((characters,), "int32")
        tensors = {name: read_only(tensor) for name, tensor in tensors_from_bytes(raw, expected, file).items()}
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
        is_token = ids >= 0  # an n-gram of fewer tokens has none in the first places
        return np.asarray(ids[is_token][:count])


def counted_ngrams(ngrams: Ngrams, sequences: Ragged) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct n-grams of each sequence. owner (M,): the number of the sequence, ascending. row (M,): the n-gram,
    ascending within a sequence. count (M,): the number of its occurrences there.
    """
    values, lengths, step = ngrams.read(sequences)
    row, end, _ = ngrams.occurrences(values, lengths)
    owner_of_step = np.repeat(np.arange(len(sequences)), sequences.lengths)
    # One number for owner and n-gram, which is sorted: np.unique of both takes ten times as long.
    size = max(len(ngrams.keys), 1)
    pairs = owner_of_step[step[end]].astype(np.int64) * size + row
    pairs.sort()
    is_first = np.ones(len(pairs), dtype=bool)
    np.not_equal(pairs[1:], pairs[:-1], out=is_first[1:])
    first = np.flatnonzero(is_first)
    owner, distinct_row = np.divmod(pairs[first], size)
    edges = np.append(first, len(pairs))
    count = edges[1:] - edges[:-1]
    return owner.astype(np.intp, copy=False), distinct_row.astype(np.intp, copy=False), count


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
