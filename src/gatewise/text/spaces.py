"""The encoding of taggers: the words of a text are separated by spaces, and each is one step.

A word that is not in the vocabulary is read as its lower-case form, else as its shape: "Xx-ed" for "Zounded" and "d.d"
for "3.14". The rare words of the training texts, which are not in the vocabulary either, train the embeddings of the
shapes (as Petrov et al. 2006 do for parsers). So a tagger learns what capitals, digits and endings say.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gatewise.target import SPACED_WORD, words_of
from gatewise.text.encoding import Encoded, checked_texts, utf8
from gatewise.text.keras import KerasEncoding

_LONGEST = 1_000_000  # characters of a text
_RUN = re.compile(r"(.)\1+")


def shapes_of(word: str) -> tuple[str, str]:
    """The shape of a word with its last two letters, and without: X, x and d for runs of capitals, letters and digits.
    As no word does, a shape begins with a space.

    >>> shapes_of("Zounded"), shapes_of("B-52")
    ((' Xx-ed', ' Xx'), (' X-d', ' X-d'))
    """
    marks = ("d" if ch.isdigit() else "X" if ch.isupper() else "x" if ch.isalpha() else ch for ch in word[:100])
    shape = " " + _RUN.sub(r"\1", "".join(marks))[:8]
    return f"{shape}-{word[-2:].lower()}" if word.isalpha() and len(word) > 3 else shape, shape


class SpaceEncoding(KerasEncoding):
    """Words and shapes, from id 4 by frequency, as the Keras encoding has its words; no id comes before a text."""

    kind = "spaces"

    @classmethod
    def fit(cls, texts: Iterable[str], vocab_size: int = 30_000, min_count: int = 2) -> Self:
        """The `vocab_size` most frequent words and shapes of rare words, at most, of those that occur at least
        `min_count` times.
        """
        words = Counter(word for text in checked_texts(texts, _LONGEST) for word in words_of(text))
        rare = [word for word, count in words.items() if max(count, words[word.lower()]) < min_count]
        counts = words + Counter(shape for word in rare for shape in {*shapes_of(word)})
        ranked = sorted((entry for entry in counts if counts[entry] >= min_count), key=lambda e: (-counts[e], e))
        return cls({entry: rank for rank, entry in enumerate(ranked[: vocab_size - 4], 1)}, vocab_size)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Ids (n,), one per word. Raises InputError for a lone surrogate or a too long text."""
        words, ids = words_of(utf8(text, _LONGEST).decode()), self._ids
        entries = ((word, word.lower(), *shapes_of(word)) if word not in ids else (word,) for word in words)
        return np.array([next((ids[e] for e in some if e in ids), self.unknown) for some in entries], dtype=np.int32)

    def tokenize(self, text: str) -> Encoded:
        """`encode` with the words and their spans."""
        return Encoded(self.encode(text), words_of(text), [match.span() for match in SPACED_WORD.finditer(text)])
