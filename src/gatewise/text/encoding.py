"""What the encodings of texts share."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from gatewise.errors import InputError
from gatewise.ragged import Ragged
from gatewise.types import Array


def ragged_ids(texts: Iterable[list[int]]) -> Ragged:
    """The ids (N,) int32 of n texts, from a list of ids for each.

    Four bytes are kept for each id while texts are read. A list of Python's numbers keeps up to 36.
    """
    ids = array("i")
    lengths: list[int] = []
    for ids_of_text in texts:
        ids.fromlist(ids_of_text)
        lengths.append(len(ids_of_text))
    return Ragged(np.array(ids, dtype=np.int32), np.array(lengths, dtype=np.intp))


def ragged_rows(texts: Iterable[list[tuple[int, ...]]], width: int) -> Ragged:
    """The ids (N, width) int32 of n texts, from a list of rows of ids for each. Memory is as in `ragged_ids`."""
    ids = array("i")
    lengths: list[int] = []
    for rows in texts:
        for row in rows:
            ids.extend(row)
        lengths.append(len(rows))
    return Ragged(np.array(ids, dtype=np.int32).reshape(-1, width), np.array(lengths, dtype=np.intp))


class Encoded(NamedTuple):
    """One input as the network reads it. sequence: token ids (length,) int32, or channels (length, C) of a series.

    names: a display name for each step. spans: start and end of each step in the text, in code points; the two are
    equal for an id that is not a word of the text. A series has no spans.
    """

    sequence: Array
    names: list[str]
    spans: list[tuple[int, int]]


def utf8(text: str, limit: int | None = None) -> bytes:
    """`text` as UTF-8. Raises InputError for anything but a str, for a lone surrogate with its position, and for more
    than `limit` characters.

    A lone surrogate is half of a character, for example from JSON ("\\ud800") or a file name. It cannot be displayed or
    saved.
    """
    if not isinstance(text, str):
        raise InputError(f"a text must be a str, not {type(text).__name__}")
    if limit is not None and len(text) > limit:
        raise InputError(f"the text has {len(text):,} characters; the limit is {limit:,}")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        surrogate = f"U+{ord(text[error.start]):04X}"
        message = f"the text is not valid Unicode: a lone surrogate {surrogate} at character {error.start:,}"
        raise InputError(message) from None


def checked_texts(texts: Iterable[str], limit: int | None = None) -> Iterator[str]:
    """The texts, each checked by `utf8`. The InputError names the row, from 0."""
    if isinstance(texts, str):
        raise InputError("texts must be a list of texts, not one text")
    for number, text in enumerate(texts):
        try:
            utf8(text, limit)
        except InputError as error:
            raise InputError(f"row {number}: {error}") from None
        yield text
