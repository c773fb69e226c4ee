"""Splits without leakage, and batches with every row once."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data import Labelled, batches, split
from gatewise.data.splits import cross_validation_folds, hold_out
from gatewise.errors import DataError, InputError
from gatewise.target import target_of
from tests.refusals import assert_refused


def random_data(rng: np.random.Generator, n: int, groups: int, texts: int, classes: int) -> Labelled:
    names = tuple(f"class {k}" for k in range(classes))
    rows = [f"text {t}" for t in rng.integers(texts, size=n)]
    return Labelled(rows, rng.integers(classes, size=n), target_of(names), rng.integers(groups, size=n), "made up")


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(2, 200),
    groups=st.integers(1, 60),
    texts=st.integers(1, 300),
    classes=st.integers(1, 5),
    fraction=st.floats(0.01, 0.99),
    by=st.sampled_from(["group", "row"]),
)
def test_a_split_is_disjoint_complete_and_leaks_nothing(
    seed: int, n: int, groups: int, texts: int, classes: int, fraction: float, by: str
) -> None:
    data = random_data(np.random.default_rng(seed), n, groups, texts, classes)
    try:
        first, second = split(data, fraction, seed, by)  # type: ignore[arg-type]
    except DataError:  # then all hangs together: going round by shared groups and texts from row 0 reaches every row
        reached = {0}
        for _ in range(n):
            keys, sets = data.keys[sorted(reached)], data.groups[sorted(reached)]
            near = np.isin(data.keys, keys) | (np.isin(data.groups, sets) & (by == "group"))
            reached |= set(np.flatnonzero(near).tolist())
        assert len(reached) == n
        return
    assert len(first) > 0
    assert len(second) > 0
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(n))
    assert (first.dtype, second.dtype) == (np.int64, np.int64)
    assert not set(data.keys[first].tolist()) & set(data.keys[second].tolist())
    if by == "group":
        assert not set(data.groups[first].tolist()) & set(data.groups[second].tolist())
    again = split(data, fraction, seed, by)  # type: ignore[arg-type]
    assert (again[0].tolist(), again[1].tolist()) == (first.tolist(), second.tolist())


@given(seed=st.integers(0, 99), fraction=st.sampled_from([0.1, 0.25, 0.5, 0.8, 0.95]), classes=st.integers(1, 4))
def test_single_rows_are_split_to_the_row_in_every_class(seed: int, fraction: float, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=300)
    data = Labelled([f"text {k}" for k in range(300)], labels, target_of(tuple("abcd"[:classes])))
    first, _ = split(data, fraction, seed)
    for k in range(classes):
        assert abs(np.sum(labels[first] == k) - fraction * np.sum(labels == k)) <= 0.5


def test_groups_are_split_near_the_fraction_in_every_class() -> None:
    rng = np.random.default_rng(4)
    data = random_data(rng, 4_000, 400, 100_000, 3)
    first, second = split(data, 0.8, 9)
    for k in range(3):
        share = np.sum(data.labels[first] == k) / np.sum(data.labels == k)
        assert abs(share - 0.8) < 0.002
    assert len(set(data.groups[second].tolist())) > 60


def test_seeds_differ_and_the_content_decides_not_the_order() -> None:
    rng = np.random.default_rng(6)
    data = random_data(rng, 500, 500, 10**9, 2)
    chosen = [frozenset(data.keys[split(data, 0.8, seed, "row")[1]].tolist()) for seed in range(4)]
    assert len(set(chosen)) == 4
    # About a fifth of a held-out part is held out by another seed too.
    assert 5 < len(chosen[0] & chosen[1]) < 40
    turned = data.take(rng.permutation(500))
    assert frozenset(turned.keys[split(turned, 0.8, 0, "row")[1]].tolist()) == chosen[0]


def test_the_split_of_a_seed_never_changes() -> None:
    """The rows held out in released versions: a change here makes results of different versions incomparable."""
    data = Labelled([f"text {k}" for k in range(20)], np.array([0, 1] * 10), target_of(("a", "b")))
    assert split(data, 0.8, 0)[1].tolist() == [6, 7, 15, 16]


def test_what_cannot_be_split_is_refused() -> None:
    data = Labelled(["a", "A ", "b"], np.array([0, 1, 1]), target_of(("a", "b")), np.array([1, 2, 2]), "here")
    joined = "all 3 rows must stay together: equal rows in different groups connect all 2 groups"
    assert_refused(joined, split, data, 0.5, 0, error=DataError)
    assert_refused(joined, cross_validation_folds, data, 2, 0, error=DataError)
    assert sorted(map(len, split(data, 0.5, 0, "row"))) == [1, 2]
    one_group = Labelled(["a", "b", "c"], np.array([0, 1, 1]), target_of(("a", "b")), np.array([7, 7, 7]), "here")
    assert_refused("all 3 rows belong to one group", split, one_group, 0.5, 0, error=DataError)
    equal = Labelled(["a", "A ", "a"], np.array([0, 1, 1]), target_of(("a", "b")), np.array([1, 2, 3]), "here")
    for by in ("row", "group"):
        assert_refused("all 3 rows are equal", split, equal, 0.5, 0, by, error=DataError)
    assert_refused("all 0 rows", split, data.take([]), 0.5, 0, error=DataError)
    for fraction in (0.0, 1.0, -1.0, float("nan")):
        assert_refused("fraction must lie between 0 and 1", split, data, fraction, 0)
    assert_refused("by must be 'group', 'row' or 'time', not 'film'", split, data, 0.5, 0, "film")


@given(
    lengths=st.lists(st.integers(0, 2_000), max_size=400),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 99),
    bucket_by_length=st.booleans(),
)
def test_batches_have_every_row_once(lengths: list[int], batch_size: int, seed: int, bucket_by_length: bool) -> None:
    steps = np.array(lengths, dtype=np.int64)
    cut = batches(steps, batch_size, np.random.default_rng(seed), bucket_by_length)
    assert sorted(row for rows in cut for row in rows.tolist()) == list(range(len(lengths)))
    sizes = [len(rows) for rows in cut]
    assert len(cut) == -(-len(lengths) // batch_size)
    assert sorted(sizes, reverse=True)[:-1] == [batch_size] * (len(cut) - 1 if cut else 0)
    assert all(rows.dtype == np.int64 for rows in cut)
    again = batches(steps, batch_size, np.random.default_rng(seed), bucket_by_length)
    assert [rows.tolist() for rows in again] == [rows.tolist() for rows in cut]


def test_length_buckets_waste_little_and_are_shuffled() -> None:
    rng = np.random.default_rng(8)
    lengths = rng.lognormal(5, 0.8, size=20_000).astype(np.int64)

    def waste(cut: list[np.ndarray]) -> float:
        padded = sum(len(rows) * int(lengths[rows].max()) for rows in cut)
        return 1 - int(lengths.sum()) / padded

    plain = batches(lengths, 32, np.random.default_rng(1), False)
    grouped = batches(lengths, 32, np.random.default_rng(1), True)
    assert waste(grouped) < 0.15 < 0.5 < waste(plain)
    means = np.array([lengths[rows].mean() for rows in grouped])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.15  # no run from short to long
    other = batches(lengths, 32, np.random.default_rng(2), True)
    assert {tuple(sorted(rows)) for rows in grouped}.isdisjoint(tuple(sorted(rows)) for rows in other)


def test_numbers_are_split_by_quantile() -> None:
    rng = np.random.default_rng(21)
    numbers = rng.lognormal(0, 1, 400)
    data = Labelled.of([f"text {k}" for k in range(400)], numbers, task="regression")
    for seed in range(3):
        _, held = split(data, 0.8, seed)
        place = np.searchsorted(np.sort(numbers), numbers[held]) // 40  # the tenth of each held-out number
        assert np.bincount(place, minlength=10).tolist() == [8] * 10


def test_each_label_of_multilabel_rows_is_split_near_the_fraction() -> None:
    rng = np.random.default_rng(22)
    has = rng.random((600, 4)) < [0.5, 0.2, 0.1, 0.03]
    labels = [[name for name, one in zip("abcd", row, strict=True) if one] for row in has]
    data = Labelled.of([f"text {k}" for k in range(600)], labels, task="multilabel")
    _, held = split(data, 0.75, 5)
    for k in range(4):
        assert abs(data.labels[held, k].sum() - 0.25 * data.labels[:, k].sum()) <= 2
    none = data.labels.sum(axis=1) == 0
    assert abs(none[held].sum() - 0.25 * none.sum()) <= 2


@pytest.mark.parametrize("given", ["nothing", "times", "times of the data"])
def test_by_time_the_last_rows_are_held_out(given: str) -> None:
    rng = np.random.default_rng(23)
    times = np.arange("2020-01-01", "2020-04-10", dtype="datetime64[D]")  # 100 days
    order = np.arange(100) if given == "nothing" else rng.permutation(100)
    own = list(times[order])
    data = Labelled.of(["one text"] * 100, rng.integers(0, 2, 100), times=own if given == "times of the data" else None)
    first, last = split(data, 0.8, 0, "time", own if given == "times" else None)
    assert len(last) == 20
    assert times[order][first].max() < times[order][last].min()


def test_texts_are_ordered_as_times() -> None:
    data = Labelled.of([f"text {k}" for k in range(12)], [0, 1] * 6)
    for times in (
        [str(k) for k in range(12)],
        [f"2024-01-01T{k}:00" if k > 9 else f"2024-01-01T0{k}:00" for k in range(12)],
    ):
        assert split(data, 0.75, 0, "time", times)[1].tolist() == [9, 10, 11]
    days = [date(2024, 1, 12 - k) for k in range(12)]
    assert split(data, 0.75, 0, "time", days)[1].tolist() == [0, 1, 2]


def test_rows_of_one_time_stay_together() -> None:
    data = Labelled.of([f"text {k}" for k in range(50)], [0, 1] * 25)
    times = np.repeat(np.arange(10), 5)[::-1]
    first, last = split(data, 0.77, 0, "time", times)
    assert set(times[first]).isdisjoint(times[last])
    assert len(last) == 10
    for wrong, message in (
        ([1.0] * 49, "50,"),
        ([np.nan] * 50, "row 0: the time is missing"),
        (["1/2/2024"] * 50, "row 0: the time '1/2/2024' is neither"),
        ([2024] * 49 + ["2023-05-01"], "row 49: 2023-05-01 and 2024 are not of one kind"),
        ([3] * 50, "one time"),
    ):
        assert_refused(message, split, data, 0.77, 0, "time", wrong, error=(InputError, DataError))
    assert_refused("times need", split, data, 0.77, 0, "group", times)


@pytest.mark.parametrize("by", ["row", "group", "time"])
def test_a_class_of_one_row_is_trained_on(by: str) -> None:
    names = ["a"] * 30 + ["b"] * 12 + ["c"]
    data = Labelled.of([f"text {k}" for k in range(43)], names)
    for seed in range(5):
        train, held = hold_out(data, 0.4, seed, by)  # type: ignore[arg-type]
        assert set(data.labels[train].tolist()) == {0, 1, 2}
        assert 8 <= len(held) <= 18
        assert sorted([*train.tolist(), *held.tolist()]) == list(range(43))


def test_a_class_of_one_group_is_trained_on_as_a_whole() -> None:
    groups = np.concatenate([np.arange(30), np.full(6, 30)])
    data = Labelled([f"text {k}" for k in range(36)], np.repeat([0, 1], [30, 6]), target_of(("a", "b")), groups)
    for seed in range(6):
        train, held = hold_out(data, 0.5, seed)
        assert set(np.flatnonzero(groups == 30)) <= set(train.tolist())
        assert len(held) >= 10


@given(seed=st.integers(0, 2**32), n=st.integers(4, 80), k=st.integers(2, 9), texts=st.integers(2, 90))
def test_folds_hold_out_every_row_once_and_leak_nothing(seed: int, n: int, k: int, texts: int) -> None:
    data = random_data(np.random.default_rng(seed), n, 10 * n, texts, 3)
    try:
        folds = cross_validation_folds(data, k, seed)
    except DataError:
        assert len(set(data.keys.tolist())) == 1 or len(set(data.groups.tolist())) < n
        return
    assert len(folds) <= k
    assert sorted(np.concatenate([held for _, held in folds]).tolist()) == list(range(n))
    for train, held in folds:
        assert sorted([*train.tolist(), *held.tolist()]) == list(range(n))
        assert not set(data.keys[train].tolist()) & set(data.keys[held].tolist())
        assert not set(data.groups[train].tolist()) & set(data.groups[held].tolist())


def test_folds_are_stratified_and_leave_one_out() -> None:
    names = ["a"] * 20 + ["b"] * 10 + ["c"] * 5
    data = Labelled.of([f"text {n}" for n in range(35)], names)
    for _, held in cross_validation_folds(data, 5, 3):
        assert np.bincount(data.labels[held], minlength=3).tolist() == [4, 2, 1]
    assert [len(held) for _, held in cross_validation_folds(data, 35, 0)] == [1] * 35
    assert len(cross_validation_folds(data, 99, 0)) == 35
    assert_refused("at least 2", cross_validation_folds, data, 1, 0)


def test_many_classes_of_few_rows_have_a_validation_set() -> None:
    """A tenth of five rows is none of any class: one row of 5,000 was held out, which chose everything."""
    labels = np.repeat(np.arange(200), 5)
    data = Labelled.of([f"text {n}" for n in range(1000)], labels, task="classification")
    train, validation = hold_out(data, 0.1, 3)
    assert 80 <= len(validation) <= 120
    assert set(labels[train]) == set(range(200))
    assert np.bincount(labels[validation]).max() <= 3
