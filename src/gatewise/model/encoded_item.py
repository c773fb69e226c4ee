"""`EncodedItem`: one input as a preprocessor encodes it, with what explanations show of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from gatewise.data.schema import RowSchema
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


def with_values(
    sequences: list[EncodedSequence], columns: Sequence[Mapping[str, float | str]], schema: RowSchema
) -> list[EncodedSequence]:
    """The sequences with the columns of each row, as the schema read them (`RowSchema.read`). Without columns the
    sequences are returned as they are.
    """
    if not columns:
        return sequences
    rows = zip(sequences, columns, strict=True)
    return [replace(sequence, columns=schema.values(row)) for sequence, row in rows]
