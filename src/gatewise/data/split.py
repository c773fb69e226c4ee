"""The data in two parts, without a leak."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.data.labelled import Labelled
from gatewise.errors import DataError, InputError

__all__ = ["split"]

_PASSES = 20


def split(
    labelled: Labelled, fraction: float, seed: int, by: Literal["group", "row"] = "group"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of two parts: the first has about `fraction` of each class, the second the rest.

    by="group" keeps whole groups on one side (for reviews: all of a film), by="row" only rows with the same content;
    by group those stay together too. The same data and seed give the same parts, whatever the version of NumPy.

    Returns two ascending int64 arrays, neither empty. InputError for a fraction not between 0 and 1; DataError where
    all rows hang together.
    """
    if not 0 < fraction < 1:
        raise InputError(f"fraction must lie between 0 and 1, got {fraction}")
    if by not in ("group", "row"):
        raise InputError(f"by must be 'group' or 'row', not {by!r}")
    bundles = _bundles([labelled.keys] if by == "row" else [labelled.groups, labelled.keys])
    if len(bundles) < 2:
        raise DataError(f"the data cannot be split: all {len(labelled):,} rows belong together")
    salt = f"{seed}:".encode()

    def chance(bundle: list[int]) -> bytes:
        name = int(labelled.keys[bundle].min()).to_bytes(8, "little", signed=True)
        return hashlib.blake2b(salt + name, digest_size=16).digest()

    bundles.sort(key=chance)
    counts = np.bincount(labelled.labels, minlength=len(labelled.classes))
    # The smaller part is filled from nothing: a bundle goes over if that brings the classes nearer to what is wanted,
    # Σ (missing - count)² < Σ missing², and comes back by the same rule, until nothing moves any more.
    small = min(fraction, 1 - fraction)
    missing = [small * int(count) for count in counts]
    classes = [list(Counter(labelled.labels[bundle].tolist()).items()) for bundle in bundles]
    taken = [False] * len(bundles)
    for _ in range(_PASSES):
        moved = False
        for number, of_class in enumerate(classes):
            sign = -1 if taken[number] else 1
            if sum(count * (2 * sign * missing[label] - count) for label, count in of_class) > 0:
                taken[number] = not taken[number]
                for label, count in of_class:
                    missing[label] -= sign * count
                moved = True
        if not moved:
            break
    if all(taken) or not any(taken):  # a handful of rows: the smallest bundle alone is better than nothing
        smallest = min(range(len(bundles)), key=lambda number: len(bundles[number]))
        taken[smallest] = not taken[smallest]
    part, rest = (
        _rows([b for b, there in zip(bundles, taken, strict=True) if there is side]) for side in (True, False)
    )
    return (part, rest) if small == fraction else (rest, part)


def _rows(bundles: list[list[int]]) -> NDArray[np.int64]:
    return np.array(sorted(row for bundle in bundles for row in bundle), dtype=np.int64)


def _bundles(columns: list[NDArray[np.int64]]) -> list[list[int]]:
    """Row numbers that hang together: by the same number in a column, directly or through other rows."""
    parent = list(range(len(columns[0])))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for column in columns:
        first: dict[int, int] = {}
        for row, number in enumerate(column.tolist()):
            parent[root(row)] = root(first.setdefault(number, row))
    bundles: dict[int, list[int]] = {}
    for row in range(len(parent)):
        bundles.setdefault(root(row), []).append(row)
    return list(bundles.values())
