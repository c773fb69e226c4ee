"""The words of a text as steps: they are separated by spaces."""

from __future__ import annotations

import re
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
    """A list or array of words as the text of which `words_of` finds them; anything else as it is. A space in a word
    becomes a no-break space. Raises InputError for an empty word.
    """
    found = words.tolist() if isinstance(words, np.ndarray) and words.dtype.kind in "OU" else words
    if not isinstance(found, list | tuple) or not found or not all(isinstance(word, str) for word in found):
        return words
    if blank := [n for n, word in enumerate(found, start=1) if not word.strip()]:
        raise InputError(f"word {blank[0]} is empty")
    return " ".join(re.sub(r"\s+", "\u00a0", word.strip()) for word in found)
