"""Schemes of labels for entities of several steps: their names, which one labels follow, and conversions.

| scheme | an entity of one step | of three | source |
|---|---|---|---|
| IOB1 | I | I I I | Ramshaw & Marcus 1995 |
| IOB2 | B | B I I | Tjong Kim Sang & Veenstra 1999 |
| BIOES | S | B I E | also IOBES |
| BILOU | U | B I L | Ratinov & Roth 2009 |

In IOB1, the first step of an entity is B where an entity of the same type ends just before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.metrics import ENTITY_LABEL, entities_of
from gatewise.target.scheme_transitions import Scheme

_SINGLE_AND_LAST = {"IOB2": ("B", "I"), "BIOES": ("S", "E"), "BILOU": ("U", "L")}


def scheme_of(rows: Iterable[Sequence[str]]) -> Scheme | None:
    """The first of IOB2, BIOES, BILOU and IOB1 that the labels of all rows follow; None if they follow none, and
    without entities.

    >>> scheme_of([["B-PER", "E-PER", "O", "S-LOC"]])
    'BIOES'
    """
    listed = [list(row) for row in rows]
    if not any(label != "O" for row in listed for label in row):
        return None
    if not all(ENTITY_LABEL.fullmatch(label) for row in listed for label in row):
        return None
    schemes: tuple[Scheme, ...] = ("IOB2", "BIOES", "BILOU", "IOB1")
    for scheme in schemes:
        if all(_written(row, scheme) == row for row in listed):
            return scheme
    return None


def convert_scheme(rows: Iterable[Sequence[str]], scheme: Scheme) -> list[list[str]]:
    """The labels of each row in a scheme. They may follow any of the schemes, or none strictly: the entities are those
    that `evaluate` counts. Raises InputError with the row and the step for a label that is neither O nor a prefix, a
    hyphen and a type.

    >>> convert_scheme([["I-PER", "I-PER", "O", "I-LOC"]], "BIOES")
    [['B-PER', 'E-PER', 'O', 'S-LOC']]
    """
    if scheme not in get_args(Scheme):
        raise InputError(f"the scheme must be one of {', '.join(get_args(Scheme))}, not {quote(scheme)}")
    converted = []
    for number, row in enumerate(rows):
        for step, label in enumerate(row, start=1):
            if not ENTITY_LABEL.fullmatch(label):
                raise InputError(f"row {number}, step {step}: {quote(label)} is neither O nor like B-TYPE")
        converted.append(_written(row, scheme))
    return converted


def entities_of_row(labels: Sequence[str]) -> list[tuple[str, int, int]]:
    """Type, first and last step of each entity of a row, as `evaluate` counts them."""
    if not labels:
        return []
    names = sorted(set(labels))
    numbers = {name: number for number, name in enumerate(names)}
    return entities_of(np.array([numbers[label] for label in labels]), np.zeros(1, dtype=np.int64), names)


def _written(labels: Sequence[str], scheme: Scheme) -> list[str]:
    """The labels of a row with the same entities, in a scheme."""
    written = ["O"] * len(labels)
    last_before = -2  # the last step of the entity before, and its type
    type_before = ""
    for type, first, last in entities_of_row(labels):
        if scheme == "IOB1":
            prefixes = ["I"] * (last - first + 1)
            if first == last_before + 1 and type == type_before:
                prefixes[0] = "B"
        else:
            single_prefix, last_prefix = _SINGLE_AND_LAST[scheme]
            prefixes = ["B", *["I"] * (last - first - 1), last_prefix] if last > first else [single_prefix]
        written[first : last + 1] = [f"{prefix}-{type}" for prefix in prefixes]
        last_before = last
        type_before = type
    return written
