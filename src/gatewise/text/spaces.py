"""The encoding of taggers: the words of a text are separated by spaces, and each is one step.

A word that is not in the vocabulary is read as its lower-case form if that is known, otherwise as its shape: "Xx-ed"
for "Zounded" and "d.d" for "3.14". The rare words of the training texts, which are not in the vocabulary either, train
the embeddings of the shapes (as Petrov et al. 2006 do for parsers). So a tagger learns from capitals, digits and
endings.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Self

from gatewise.target import SPACED_WORD, words_of
from gatewise.text.encoding import Encoded, checked_texts, utf8
from gatewise.text.keras import KerasEncoding

LONGEST_TEXT = 1_000_000  # characters
_SHAPED = 100  # characters of a word from which its shape is made
_LONGEST_SHAPE = 8  # classes
_RUN = re.compile(r"(.)\1+")


def shapes_of(word: str) -> tuple[str, str]:
    """The shape of a word with its last two letters, and the shape without them. X, x and d stand for runs of capitals,
    letters and digits. A shape begins with a space, so that it is never a word.

    >>> shapes_of("Zounded"), shapes_of("B-52")
    ((' Xx-ed', ' Xx'), (' X-d', ' X-d'))
    """
    classes = "".join(map(class_of, word[:_SHAPED]))
    shape = " " + _RUN.sub(r"\1", classes)[:_LONGEST_SHAPE]
    if word.isalpha() and len(word) > 3:
        return f"{shape}-{word[-2:].lower()}", shape
    return shape, shape


def class_of(character: str) -> str:
    """d for a digit, X for a capital, x for another letter; other characters stand for themselves."""
    if character.isdigit():
        return "d"
    if character.isupper():
        return "X"
    if character.isalpha():
        return "x"
    return character


class SpaceEncoding(KerasEncoding):
    """Words and shapes, from id 4 by frequency, as the Keras encoding has its words; no id comes before a text."""

    kind = "spaces"

    @classmethod
    def fit(cls, texts: Iterable[str], vocab_size: int = 30_000, min_count: int = 2) -> Self:
        """The encoding with the most frequent words and shapes of rare words, at most `vocab_size`; each of them occurs
        at least `min_count` times.
        """
        words = Counter(word for text in checked_texts(texts, LONGEST_TEXT) for word in words_of(text))
        rare = [word for word, count in words.items() if max(count, words[word.lower()]) < min_count]
        shapes = Counter(shape for word in rare for shape in {*shapes_of(word)})
        counts = words + shapes
        frequent = [entry for entry, count in counts.items() if count >= min_count]
        ranked = sorted(frequent, key=lambda entry: (-counts[entry], entry))
        index = {entry: rank for rank, entry in enumerate(ranked[: vocab_size - 4], start=1)}
        return cls(index, vocab_size)

    def _ids_of_text(self, text: str) -> list[int]:
        """One id per word. Raises InputError for a lone surrogate or a too long text."""
        words = words_of(utf8(text, LONGEST_TEXT).decode())
        return [self._id(word) for word in words]

    def _id(self, word: str) -> int:
        """The id of a word, of its lower-case form or of its shape; the first one that is known."""
        if word in self._ids:
            return self._ids[word]
        for entry in (word.lower(), *shapes_of(word)):
            if entry in self._ids:
                return self._ids[entry]
        return self.unknown

    def tokenize(self, text: str) -> Encoded:
        """`encode` with the words and their spans."""
        return Encoded(self.encode(text), words_of(text), [match.span() for match in SPACED_WORD.finditer(text)])
