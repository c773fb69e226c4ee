"""Splits without leakage, and batches."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.data.labelled import Labelled
from gatewise.errors import DataError, InputError

_MAX_PASSES = 20
_POOL = 50  # batches that are sorted by length together; small enough to mix rows anew in every epoch


def split(
    labelled: Labelled, fraction: float, seed: int, by: Literal["group", "row"] = "group"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of two parts, stratified: the first has about `fraction` of each class, the second the rest.

    by="row" keeps rows with equal content in one part; by="group" also keeps groups in one part (for reviews: a film).
    The result depends on the data and the seed only, not on the version of NumPy.

    Returns two ascending int64 arrays, neither empty. Raises InputError for a fraction not between 0 and 1, DataError
    if all rows belong to one group.
    """
    if not 0 < fraction < 1:
        raise InputError(f"fraction must lie between 0 and 1, got {fraction}")
    if by not in ("group", "row"):
        raise InputError(f"by must be 'group' or 'row', not {by!r}")
    components = _components([labelled.keys] if by == "row" else [labelled.groups, labelled.keys])
    if len(components) < 2:
        raise DataError(f"the data cannot be split: all {len(labelled):,} rows belong to one group")
    salt = f"{seed}:".encode()

    def random_key(component: list[int]) -> bytes:
        name = int(labelled.keys[component].min()).to_bytes(8, "little", signed=True)
        return hashlib.blake2b(salt + name, digest_size=16).digest()

    components.sort(key=random_key)
    counts = np.bincount(labelled.labels, minlength=len(labelled.classes))
    # The smaller part starts empty. A component moves to it if that brings the class counts closer to the target,
    # Σ (missing - count)² < Σ missing², and moves back by the same rule, until no component moves.
    small = min(fraction, 1 - fraction)
    missing = [small * int(count) for count in counts]
    classes = [list(Counter(labelled.labels[component].tolist()).items()) for component in components]
    taken = [False] * len(components)
    for _ in range(_MAX_PASSES):
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
    if all(taken) or not any(taken):  # few rows: neither part may be empty
        smallest = min(range(len(components)), key=lambda number: len(components[number]))
        taken[smallest] = not taken[smallest]
    in_part = np.zeros(len(labelled), dtype=bool)
    for component, is_taken in zip(components, taken, strict=True):
        in_part[component] = is_taken
    part, rest = np.flatnonzero(in_part), np.flatnonzero(~in_part)
    return (part, rest) if small == fraction else (rest, part)


def _components(columns: list[NDArray[np.int64]]) -> list[list[int]]:
    """Connected components of the rows, where rows with equal numbers in a column are connected."""
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
    components: dict[int, list[int]] = {}
    for row in range(len(parent)):
        components.setdefault(root(row), []).append(row)
    return list(components.values())


def batches(
    lengths: NDArray[np.int64], batch_size: int, rng: np.random.Generator, bucket_by_length: bool
) -> list[NDArray[np.int64]]:
    """Every row number once, shuffled, in arrays of `batch_size`; the last array may be shorter.

    lengths (n,): steps of each row. bucket_by_length: rows of similar length share a batch, so that less is padded:
    pools of 50 batches are sorted by length and cut, and the batches are shuffled.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    order = rng.permutation(len(lengths)).astype(np.int64)
    if not bucket_by_length:
        return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
    out: list[NDArray[np.int64]] = []
    for first in range(0, len(order), batch_size * _POOL):
        pool = order[first : first + batch_size * _POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        out += [pool[start : start + batch_size] for start in range(0, len(pool), batch_size)]
    return [out[number] for number in rng.permutation(len(out))]
