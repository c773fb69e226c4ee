"""`EncodedItem`: one input as a preprocessor encodes it, with what explanations show of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gatewise.members.encoded_sequence import EncodedSequence


class EncodedItem(NamedTuple):
    """item: the text, or the series (length, C), without columns. sequence: what the members read, with T steps. names
    (T,): a display name for each step. spans: start and end of each step in a text (`gatewise.text.Encoded`); empty for
    a series.
    """

    item: Any
    sequence: EncodedSequence
    names: list[str]
    spans: Sequence[tuple[int, int]]
