"""The known word that an unknown one misspells: the most frequent word one edit away (Damerau 1964; Norvig 2007, "How
to write a spelling corrector").

An edit leaves a letter out, inserts one, replaces one or swaps two neighbours. The first letter stays, except in a swap
with the second one. A letter that is repeated for emphasis ("goooood") counts twice or once. Words of 4 to 20 letters
from a to z are respelt. Shorter words are left alone: too many of them are one edit away from another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORD = re.compile(r"[a-z]{4,20}")
_RUN = re.compile(r"(.)\1{2,}")


def respelt(word: str, id_of: Callable[[str], int | None]) -> int | None:
    """The id of the known word that `word`, in lower case, misspells; None where there is none.

    id_of: the id of a known word, smaller for a more frequent one; None for an unknown one.
    """
    with_pairs = _RUN.sub(r"\1\1", word)
    for shorter in (with_pairs, _RUN.sub(r"\1", word)):
        if shorter != word:
            known = id_of(shorter)
            if known is not None:
                return known
    if not _WORD.fullmatch(with_pairs):
        return None
    ids = map(id_of, _edited(with_pairs))
    return min((id for id in ids if id is not None), default=None)


def _edited(word: str) -> Iterator[str]:
    """The words of at least four letters that are one edit away."""
    yield word[1] + word[0] + word[2:]
    for at in range(1, len(word) + 1):
        before = word[:at]
        after = word[at:]
        if after and len(word) > 4:
            yield before + after[1:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        for letter in _LETTERS:
            yield before + letter + after
            if after:
                yield before + letter + after[1:]
