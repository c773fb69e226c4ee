"""Splits and cross-validation folds without leakage."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.data.labelled import Labelled
from gatewise.data.times import seconds_of
from gatewise.errors import DataError, InputError, counted

_MAX_PASSES = 20


def split(
    labelled: Labelled,
    fraction: float,
    seed: int,
    by: Literal["group", "row", "time"] = "group",
    times: Sequence[Any] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of two parts: the first has about `fraction` of the rows, the second the rest.

    >>> data = gw.data.Labelled.of([f"film {n}" for n in range(10)], ["+", "-"] * 5)
    >>> [len(part) for part in gw.data.split(data, 0.8, seed=0)]
    [8, 2]

    by="row" keeps rows with equal content in one part; by="group" also keeps groups in one part (for reviews: a film).
    Both are stratified: by class, by each label of a multi-label row (Sechidis et al. 2011), or by the ten quantiles of
    a number. The result depends on the data and the seed only, not on the version of NumPy.

    by="time": the first part is the earlier one. times (n,): numbers, dates or ISO texts; None: those of
    `labelled.time`, and without them the order of the rows. Rows of equal time stay together. Nothing is random, and
    groups and duplicates do not count.

    Returns two ascending int64 arrays, neither empty. Raises InputError for a fraction not between 0 and 1 and for
    unusable times, DataError if all rows must stay together or have one time.
    """
    if not 0 < fraction < 1:
        raise InputError(f"fraction must lie between 0 and 1, got {fraction}")
    if by not in ("group", "row", "time"):
        raise InputError(f"by must be 'group', 'row' or 'time', not {by!r}")
    if by == "time":
        return _split_by_time(labelled, times, fraction)
    if times is not None:
        raise InputError("times need a split by='time'")
    components = _several_components(labelled, by)
    keys = _shuffled(labelled, components, seed)
    components = [components[number] for number in sorted(range(len(keys)), key=keys.__getitem__)]
    small = min(fraction, 1 - fraction)
    strata = _pooled(labelled.target.strata(labelled.labels), small)
    # The smaller part starts empty. A component moves to it if that brings the counts of the strata closer to the
    # target, Σ (missing - count)² < Σ missing², and moves back by the same rule, until no component moves.
    missing = {stratum: small * count for stratum, count in Counter(chain.from_iterable(strata)).items()}
    counts = [list(_counts(strata, component).items()) for component in components]
    taken = [False] * len(components)
    for _ in range(_MAX_PASSES):
        moved = False
        for number, of_stratum in enumerate(counts):
            sign = -1 if taken[number] else 1
            if sum(count * (2 * sign * missing[stratum] - count) for stratum, count in of_stratum) > 0:
                taken[number] = not taken[number]
                for stratum, count in of_stratum:
                    missing[stratum] -= sign * count
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


def hold_out(
    labelled: Labelled, fraction: float, seed: int, by: Literal["group", "row", "time"] = "group"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of a training set and a validation set, the second with about `fraction` of the rows (see `split`).

    Every class that has a row has one in the training set: the rows that `split` would hold out of a class that is
    not in training move there, with their duplicates and groups. The validation set is empty where nothing is left.
    """
    train, validation = split(labelled, 1 - fraction, seed, by)
    if labelled.target.class_counts(labelled.labels) is None:  # numbers have no classes
        return train, validation
    strata = labelled.target.strata(labelled.labels)
    trained = set(chain.from_iterable(strata[row] for row in train.tolist()))
    if all(trained.issuperset(strata[row]) for row in validation.tolist()):
        return train, validation
    held = np.isin(np.arange(len(labelled)), validation)
    for component in _components(labelled, by):
        if held[component].any() and not trained.issuperset(_counts(strata, component)):
            held[component] = False
            trained.update(_counts(strata, component))
    return np.flatnonzero(~held), np.flatnonzero(held)


def cross_validation_folds(labelled: Labelled, k: int, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Row numbers of the training and the held-out rows of `k` folds, stratified as in `split`; every row is held out
    once. Duplicates and groups stay on one side. With k equal to the number of groups (of rows, where no two are
    equal) it is leave-one-out.

    There are fewer folds where there are fewer groups. Raises InputError for k below 2, DataError if all rows must
    stay together.
    """
    if k < 2:
        raise InputError(f"cross-validation needs at least 2 folds, not {k}")
    components = _several_components(labelled)
    k = min(k, len(components))
    strata = labelled.target.strata(labelled.labels)
    rows_of = Counter(chain.from_iterable(strata))
    counts = [_counts(strata, component) for component in components]
    keys = _shuffled(labelled, components, seed)
    rarest = [min(rows_of[stratum] for stratum in count) for count in counts]
    rarest_first = sorted((rarest[n], -len(components[n]), keys[n], n) for n in range(len(keys)))
    # Each component joins the fold that has the fewest rows of its strata, and of these the smallest fold.
    in_fold: list[Counter[int]] = [Counter() for _ in range(k)]
    sizes, fold_of = [0] * k, np.zeros(len(labelled), dtype=np.int64)
    for *_, number in rarest_first:
        there = [sum(in_fold[fold][stratum] * count for stratum, count in counts[number].items()) for fold in range(k)]
        fold = min(range(k), key=lambda fold: (there[fold], sizes[fold], fold))
        in_fold[fold].update(counts[number])
        sizes[fold] += len(components[number])
        fold_of[components[number]] = fold
    used = [fold for fold in range(k) if sizes[fold]]
    return [(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in used]


def leave_one_out_folds(labelled: Labelled) -> list[NDArray[np.int64]]:
    """The rows that are held out together in leave-one-out: one row each, with its duplicates and its group."""
    return [np.array(rows, dtype=np.int64) for rows in _components(labelled)]


def _several_components(labelled: Labelled, by: str = "group") -> list[list[int]]:
    """The components. Raises DataError if all rows must stay together."""
    components = _components(labelled, by)
    if len(components) > 1:
        return components
    rows = f"the data cannot be split: all {counted(len(labelled), 'row')}"
    groups = len(np.unique(labelled.groups))
    if len(np.unique(labelled.keys)) == 1:
        raise DataError(f"{rows} are equal")
    if len(np.unique(labelled.input_keys)) == 1:
        raise DataError(f"{rows} must stay together: their {labelled.nouns.many} are equal")
    if groups > 1:
        raise DataError(f"{rows} must stay together: equal rows in different groups connect all {groups:,} groups")
    raise DataError(f"{rows} belong to one group")


def _split_by_time(
    labelled: Labelled, times: Sequence[Any] | None, fraction: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    n = len(labelled)
    order = labelled.time if labelled.time.size else np.arange(n, dtype=np.float64)
    if times is not None:
        if np.shape(times) != (n,):
            raise InputError(f"times must be ({n},), got {np.shape(times)}")
        order = seconds_of(times, lambda row: f"times: row {row}")
    moments, place, count = np.unique(order, return_inverse=True, return_counts=True)
    if len(moments) < 2:
        raise DataError(f"the data cannot be split by time: all {n:,} rows have one time")
    # The cut between two times that comes closest to the fraction.
    cut = 1 + int(np.argmin(np.abs(np.cumsum(count)[:-1] - fraction * n)))
    return np.flatnonzero(place < cut), np.flatnonzero(place >= cut)


def _shuffled(labelled: Labelled, components: list[list[int]], seed: int) -> list[bytes]:
    """A key for each component, which shuffles them by seed and content."""
    smallest = [int(labelled.keys[component].min()).to_bytes(8, "little", signed=True) for component in components]
    return [hashlib.blake2b(f"{seed}:".encode() + name, digest_size=16).digest() for name in smallest]


def _pooled(strata: list[tuple[int, ...]], part: float) -> list[tuple[int, ...]]:
    """The strata, those with so few rows that none would be in a part of this size as one: of 1,000 classes of five
    rows each, a tenth of the rows is held out, not none.
    """
    few = {stratum for stratum, count in Counter(chain.from_iterable(strata)).items() if 2 * part * count <= 1}
    return [tuple(-1 if stratum in few else stratum for stratum in row) for row in strata] if few else strata


def _counts(strata: list[tuple[int, ...]], component: list[int]) -> Counter[int]:
    """Rows of each stratum in a component."""
    return Counter(stratum for row in component for stratum in strata[row])


def _components(labelled: Labelled, by: str = "group") -> list[list[int]]:
    """Connected components of the rows: equal rows are connected, and those of one group; by "time" none are."""
    first = np.arange(len(labelled))  # the first row that each row is known to be connected with
    columns = {"row": [labelled.input_keys], "group": [labelled.groups, labelled.input_keys], "time": []}[by]
    places = [np.unique(column, return_inverse=True)[1] for column in columns]
    before = None
    while before is None or not np.array_equal(first, before):
        before = first
        for place in places:
            smallest = np.full(len(first), len(first))
            np.minimum.at(smallest, place, first)
            first = smallest[place]
        first = first[first]
    order = np.argsort(first, kind="stable")
    return [rows.tolist() for rows in np.split(order, np.flatnonzero(np.diff(first[order])) + 1) if len(rows)]
