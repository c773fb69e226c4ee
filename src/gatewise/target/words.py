"""The words of a text as steps: they are separated by spaces."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from gatewise.errors import InputError

SPACED_WORD = re.compile(r"[^ \t\r\n\f\v]+")


def words_of(text: str) -> list[str]:
    """The words of a text whose words are separated by spaces: each is a step. A no-break space is part of a word.

    >>> words_of("Anna lives  in Paris .")
    ['Anna', 'lives', 'in', 'Paris', '.']
    """
    return SPACED_WORD.findall(text)


def join_words(words: Any) -> Any:
    """A list or array of words as the text of which `words_of` finds them; anything else as it is, such as a text or
    the values of a series. A space in a word becomes a no-break space. Raises InputError for an empty list, an empty
    word, and another value among words.
    """
    listed = words
    if isinstance(words, np.ndarray) and words.dtype.kind in "OU":
        listed = words.tolist()
    if not isinstance(listed, list | tuple):
        return words
    if not listed:
        raise InputError("the list of words is empty: leave such rows out")
    if not any(isinstance(word, str) for word in listed):
        return words
    for number, word in enumerate(listed, start=1):
        if not isinstance(word, str):
            raise InputError(f"word {number} is of type {type(word).__name__}, not a text")
        if not word.strip():
            raise InputError(f"word {number} is empty")
    return " ".join(re.sub(r"\s+", "\u00a0", word.strip()) for word in listed)


def join_words_of_rows(rows: Iterable[Any]) -> list[Any]:
    """`join_words` of each row. Its InputError names the row."""
    texts = []
    for number, row in enumerate(rows):
        try:
            texts.append(join_words(row))
        except InputError as error:
            raise InputError(f"row {number}: {error}") from None
    return texts
