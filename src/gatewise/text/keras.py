r"""Text to token ids exactly as in Keras's IMDB data set, from the raw text; and the encoding of the Keras tutorial.

Keras publishes the reviews as ids only. These are the steps from the text, checked against the 25,000 train reviews:

    words       A-Z to lower case (ASCII only: 'É' stays), each of !"#$%&()*+,-./:;<=>?@[\]^_`{|}~, tab and new line to
                a space, split at spaces; the apostrophe stays, and so does the 'br' of '<br />', as a word
    index       words ranked from 1 by how often they occur in the train reviews: 88,584
    ids         0 padding, 1 start, 2 unknown, 3 never used, then rank + 3; ids from `num_words` on become 2

The published index breaks ties in an undocumented way. `keras_index` breaks them by first appearance, so that it is
reproducible.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError
from gatewise.ragged import Ragged
from gatewise.storage.strict_json import parse_json
from gatewise.text.encoding import Encoded, checked_texts, ragged_ids, utf8

_TO_SPACE = b'!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
# Lower case and spaces change ASCII only, so one table over the UTF-8 bytes does both, ten times as fast as
# str.translate.
_TABLE = bytes(range(256)).lower().translate(bytes.maketrans(_TO_SPACE, b" " * len(_TO_SPACE)))
_SPECIALS = {0: "<pad>", 1: "<start>", 2: "<unk>", 3: "<unused>"}


def keras_words(text: str) -> list[str]:
    """The words of a text. Raises InputError for a lone surrogate.

    >>> keras_words("It's <br />GREAT...  É!")
    ["it's", 'br', 'great', 'É']
    """
    return [word for word in utf8(text).translate(_TABLE).decode("utf-8").split(" ") if word]


def keras_index(reviews: Iterable[str]) -> dict[str, int]:
    """Word to rank, 1 for the most frequent word; ties in order of first appearance.

    >>> keras_index(["good film", "a GOOD one, a"])
    {'good': 1, 'a': 2, 'film': 3, 'one': 4}
    """
    counts: Counter[str] = Counter()
    for review in checked_texts(reviews):
        counts.update(keras_words(review))
    return {word: rank for rank, (word, _) in enumerate(counts.most_common(), start=1)}


def keras_encode(
    text: str,
    index: Mapping[str, int],
    num_words: int | None = 10_000,
    *,
    index_from: int = 3,
    start: int | None = 1,
    unknown: int | None = 2,
) -> NDArray[np.int32]:
    """The ids (n,) of a text, as `keras.datasets.imdb.load_data` gives them.

    A word has the id `index[word] + index_from`. Ids of `num_words` or more and words outside the index become
    `unknown`; None drops them. `start` is put first unless it is None. `num_words=None` keeps all ids (in Keras, None
    drops the word with the highest id).

    >>> keras_encode("A good film, zounds", {"good": 1, "a": 2, "film": 3}, num_words=6).tolist()
    [1, 5, 4, 2, 2]
    """
    words = keras_words(text)
    ranks = np.fromiter((index.get(word, -1) for word in words), dtype=np.int64, count=len(words))
    ids = np.where(ranks < 0, -1, ranks + index_from)
    if start is not None:
        ids = np.concatenate([[start], ids])
    is_unknown = ids < 0
    if num_words is not None:
        is_unknown |= ids >= num_words
    if unknown is None:
        ids = ids[~is_unknown]
    else:
        ids = np.where(is_unknown, unknown, ids)
    return ids.astype(np.int32)


def keras_decode(ids: Iterable[int], index: Mapping[str, int], *, index_from: int = 3) -> str:
    """The words of ids, joined by spaces; 0 to 3 are <pad> <start> <unk> <unused>. Raises InputError for other ids.

    >>> keras_decode([0, 1, 5, 4, 2], {"good": 1, "a": 2, "film": 3})
    '<pad> <start> a good <unk>'
    """
    word_of = {id: name for id, name in _SPECIALS.items() if id <= index_from}
    word_of |= {rank + index_from: word for word, rank in index.items()}
    words = []
    for position, id in enumerate(ids):
        if int(id) not in word_of:
            raise InputError(f"id {int(id)} at position {position} is not in the index")
        words.append(word_of[int(id)])
    return " ".join(words)


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0,
) -> NDArray[Any]:
    """Sequences of different lengths as one array (B, maxlen, ...), as `keras.utils.pad_sequences`.

    Args:
        sequences: B lists or arrays, each (length, ...) with the same trailing shape.
        maxlen: steps of the result; None is the length of the longest sequence.
        dtype: of the result.
        padding: 'pre' pads a short sequence before its first step, 'post' after its last.
        truncating: 'pre' removes the first steps of a long sequence, 'post' the last.
        value: the padding value.

    >>> pad_sequences([[7, 8, 9], [5], []], maxlen=2).tolist()
    [[8, 9], [0, 5], [0, 0]]
    """
    for name, choice in (("padding", padding), ("truncating", truncating)):
        if choice not in ("pre", "post"):
            raise InputError(f"{name} must be 'pre' or 'post', not {choice!r}")
    try:
        lengths = [len(sequence) for sequence in sequences]
    except TypeError:
        raise InputError("sequences must be a list of lists or arrays") from None
    if maxlen is None:
        maxlen = max(lengths, default=0)
    if maxlen < 0:
        raise InputError(f"maxlen must not be negative, got {maxlen}")
    shape: tuple[int, ...] = next((np.asarray(s).shape[1:] for s in sequences if len(s)), ())
    padded = np.full((len(lengths), maxlen, *shape), value, dtype=dtype)  # (B, maxlen, ...)
    for row, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        kept = min(length, maxlen)
        if kept == 0:
            continue
        if truncating == "pre":
            sequence = sequence[length - kept :]
        else:
            sequence = sequence[:kept]
        steps = np.asarray(sequence, dtype=dtype)
        if steps.shape[1:] != shape:
            raise InputError(f"sequence {row}: a step has the shape {steps.shape[1:]}, those before it {shape}")
        if padding == "pre":
            padded[row, maxlen - kept :] = steps
        else:
            padded[row, :kept] = steps
    return padded


class KerasEncoding:
    """The encoding of the Keras tutorial: START, then the Keras words; ids of `num_words` or more become 2 (unknown).

    index: word to rank, 1 to n without a gap. vocab_size is n + 4 (88,588 for the published index) and not `num_words`,
    because the tutorial's embedding has a row for each word of the index. A text without a word is [1].
    """

    kind = "keras"
    feature_count: ClassVar[int] = 0
    """The number of the ids of the features of words, with that of no feature; 0: a step is one id."""
    unknown = 2
    file = "vocabulary.json"

    def __init__(self, index: Mapping[str, int], num_words: int = 10_000) -> None:
        if num_words < 5:
            raise InputError(f"num_words must be at least 5, because the first word has id 4; got {num_words}")
        by_rank = sorted(index, key=index.__getitem__)
        for rank, word in enumerate(by_rank, start=1):
            if index[word] != rank:
                raise InputError(f"the ranks of the word index must be 1, 2, 3, …; rank {rank} is missing")
        self.index = dict(index)
        self.num_words = num_words
        self.vocab_size = len(by_rank) + 4
        self._by_rank = by_rank
        # Only words with an id below num_words: the others are unknown, and a small dict stays in cache.
        self._ids = {word: rank + 4 for rank, word in enumerate(by_rank[: num_words - 4])}

    @classmethod
    def fit(cls, texts: Iterable[str], num_words: int = 10_000) -> Self:
        """The encoding with the words of `texts`, ranked by count."""
        return cls(keras_index(texts), num_words)

    def truncate_vocab(self, vocab_size: int) -> Self:
        """A copy with the first `vocab_size` entries, so with the most frequent words; other words become unknown.

        Raises InputError for less than 5 and for more than there are.
        """
        if not 5 <= vocab_size <= self.vocab_size:
            raise InputError(f"vocab_size must be 5 to {self.vocab_size:,}, the size now, got {vocab_size:,}")
        index = {word: rank for rank, word in enumerate(self._by_rank[: vocab_size - 4], start=1)}
        return type(self)(index, min(self.num_words, vocab_size))

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids (n,); the first is 1 (START). Raises InputError for a lone surrogate."""
        return np.array(self._ids_of_text(text), dtype=np.int32)

    def _ids_of_text(self, text: str) -> list[int]:
        return self._ids_of(keras_words(text))

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        """`encode` of each text: ids (N,) int32. The InputError names the row, from 0."""
        return ragged_ids(map(self._ids_of_text, checked_texts(texts)))

    def tokenize(self, text: str) -> Encoded:
        """`encode` with '<start>' and the words of the text, and their spans; (0, 0) for '<start>'."""
        plain = utf8(text).translate(_TABLE).decode("utf-8")  # as long as the text: the table keeps every byte one byte
        words = list(re.finditer("[^ ]+", plain))
        names = [word[0] for word in words]
        ids = np.array(self._ids_of(names), dtype=np.int32)
        return Encoded(ids, ["<start>", *names], [(0, 0), *(word.span() for word in words)])

    def _ids_of(self, words: Sequence[str]) -> list[int]:
        get = self._ids.get
        return [1, *[get(word, 2) for word in words]]

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The config entry, and the files by name."""
        words = json.dumps(self._by_rank, ensure_ascii=False, separators=(",", ":"))
        return {"kind": self.kind, "num_words": self.num_words}, {self.file: words.encode("utf-8")}

    @classmethod
    def from_files(cls, config: Mapping[str, Any], read: Callable[[str], bytes]) -> Self:
        """The encoding that `to_files` wrote. Raises ModelFileError for any other config or file."""
        num_words = config.get("num_words")
        if set(config) != {"kind", "num_words"} or type(num_words) is not int:
            raise ModelFileError("encoding 'keras': the config must have 'kind' and a whole number 'num_words'")
        words = parse_json(read(cls.file), cls.file)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ModelFileError(f"{cls.file}: must be a list of words")
        index = {word: rank for rank, word in enumerate(words, start=1)}
        if len(index) != len(words):
            raise ModelFileError(f"{cls.file}: a word occurs twice")
        try:
            return cls(index, num_words)
        except InputError as error:
            raise ModelFileError(f"encoding 'keras': {error}") from None
