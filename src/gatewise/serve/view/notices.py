"""Notices about a text that is unlike the training texts: unknown words, another language, few words."""

from __future__ import annotations

import numpy as np

from gatewise.explain.example import Example
from gatewise.explain.serialize import Json
from gatewise.types import Array

UNKNOWN = 0.5  # share of unknown words from which the prediction rests on the minority
FREQUENT = 150  # so many most frequent words make up about half of a running text
FEW_FREQUENT, MANY_UNKNOWN = 0.25, 0.3  # shares below and above which a text is not of the training language
RUNNING = 8  # words from which a text counts as a running text
SHORT = 10  # times shorter than the median training text


def text_notices(example: Example, unknown: int | None, frequent: range | None, median_length: int) -> list[Json]:
    """Warnings, at most one per kind: {"code", "message"}. For a series none.

    unknown: the token id of unknown words. frequent: the ids of the most frequent words of the training texts, None
    where the ids do not tell. median_length: steps of the median training text, 0 if it was not recorded.
    """
    if unknown is None or not isinstance(example.item, str):
        return []
    names = [example.names[row] for row in example.rows]
    words: Array = example.read[[any(ch.isalpha() for ch in name) and name != "<start>" for name in names]]  # (W,) ids
    count, missing = len(words), int((words == unknown).sum())
    found: list[Json] = []
    common = count if frequent is None else int(np.isin(words, frequent).sum())
    if count >= RUNNING and common < FEW_FREQUENT * count and missing > MANY_UNKNOWN * count:
        message = (
            "The text seems to be in another language than the training texts: many words are not in the vocabulary. "
            "The prediction means little."
        )
        found.append({"code": "language", "message": message})
    elif missing > UNKNOWN * count:
        message = "Most words are not in the vocabulary. The prediction means little."
        found.append({"code": "unknown_words", "message": message})
    if len(example) * SHORT < median_length:
        message = f"Short text ({len(example)} words and marks; training median {median_length}): less reliable."
        found.append({"code": "short", "message": message})
    return found
