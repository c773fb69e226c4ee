"""Labels: classes, several per row, or numbers; never a class that nobody meant. Rows with labels."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gatewise.data import Labelled
from gatewise.data.labels import convert_labels
from gatewise.errors import InputError
from gatewise.target import target_of
from tests.refusals import assert_refused

NAMES = ["good", "bad", "good"]

# Others are converted as inputs are: test_inputs.py.
CONTAINERS: dict[str, Callable[[], Any]] = {
    "list": lambda: NAMES,
    "array (n, 1)": lambda: np.array(NAMES)[:, None],
    "lists of one": lambda: [[name] for name in NAMES],
    "spaces": lambda: [" good", "bad", "good "],
    "frame": lambda: pd.DataFrame({"y": NAMES}),
}


@pytest.mark.parametrize("case", CONTAINERS)
def test_containers_of_names(case: str) -> None:
    found = convert_labels(CONTAINERS[case]())
    assert found.labels.tolist() == [1, 0, 1]
    assert found.labels.dtype == np.int64
    assert found.target == target_of(("bad", "good"))


def test_the_type_of_the_labels_is_kept() -> None:
    for labels, classes, label_type in (
        ([10, 9, 10], ("9", "10"), "int"),
        (np.array([10, 9, 10], dtype=np.uint8), ("9", "10"), "int"),
        ([2.0, -1.0, 2.0], ("-1.0", "2.0"), "float"),
        ([2, -1.0, 2], ("-1.0", "2.0"), "float"),
        ([True, False, True], ("False", "True"), "bool"),
        (np.array([[1], [0], [1]]), ("0", "1"), "int"),
        (["10", "9", "10"], ("9", "10"), "str"),
        (["nan", "None", "nan"], ("None", "nan"), "str"),  # these are words
    ):
        found = convert_labels(labels)
        assert found.target == target_of(classes, label_type=label_type)
        assert found.labels.tolist() == [classes.index(name) for name in (classes[1], classes[0], classes[1])]


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "None": (lambda: ["a", None], "row 1 has no label (None)"),
    "NaN": (lambda: ["a", "b", float("nan")], "row 2 has no label (NaN)"),
    "NaN among numbers": (lambda: np.array([1.0, np.nan]), "row 1 has no label (NaN)"),
    "pandas NA": (lambda: pd.Series(["a", pd.NA], dtype="string"), "row 1 has no label (NA)"),
    "Int64 with NA": (lambda: pd.Series([1, pd.NA], dtype="Int64"), "row 1 has no label (NA)"),
    "NaT": (lambda: ["a", pd.NaT], "row 1 has no label (NaT)"),
    "an empty text": (lambda: ["a", "  "], "row 1 has no label (an empty text)"),
    "bytes": (lambda: [b"a", b"b"], "row 0 is bytes; labels are texts, numbers or True and False"),
    "a set": (lambda: {"a", "b"}, "a set has no order"),
    "a date": (lambda: [pd.Timestamp("2020-01-01")], "row 0 is a Timestamp"),
    "infinity": (lambda: [1.0, np.inf], "row 1 is a number (inf)"),
    "texts and numbers": (lambda: ["a", "b", 1], "labels: row 2 is a number (1), but row 0 is a text ('a')"),
    "numbers and bools": (lambda: [1, True], "labels: row 1 is True, but row 0 is a number (1)"),
    "continuous": (lambda: [0.0, 1.0, 0.5], "row 2 is 0.5: this looks like regression: pass task='regression'"),
    "many numbers": (lambda: list(range(100, 121)), "21 different numbers in 21 rows: this looks like regression"),
    "one-hot": (
        lambda: np.eye(3)[[0, 2, 1, 1]],
        "one-hot labels of shape (4, 3): pass the class of each row, for one-hot labels labels.argmax(axis=1), or",
    ),
    "zeros and ones": (lambda: np.array([[0, 1], [1, 1]]), "labels of 0 and 1 of shape (2, 2)"),
    "a frame of 0 and 1": (lambda: pd.DataFrame({"a": [0, 1], "b": [1, 0]}), "one-hot labels of shape (2, 2)"),
    "several floats": (lambda: [[0.5, 1.5], [2.5, 0.0]], "several numbers per row: this looks like regression"),
    "a list missing": (lambda: [["a"], None, ["b", "a"]], "row 1 has no label (None)"),
    "a list and a text": (lambda: [["a"], "b", ["b", "a"]], "row 1 is a text ('b'), but other rows are lists"),
    "None in a list": (lambda: [["a"], ["b", None]], "row 1 has no label (None)"),
    "durations": (lambda: pd.to_timedelta([1, 2], "D"), "row 0 is a Timedelta; labels are texts, numbers or"),
    "complex numbers": (lambda: np.array([1j, 2]), "row 0 is a number (1j); labels are texts, numbers or"),
    "objects": (lambda: [object()], "row 0 is an object; labels are texts, numbers or"),
    "three axes": (lambda: np.zeros((4, 2, 2)), "row 0 is a list; labels are texts, numbers or"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_class_that_nobody_meant(case: str) -> None:
    make, message = REFUSED[case]
    assert_refused(re.escape(message), convert_labels, make())


def test_numbers_are_classes_where_the_task_says_so() -> None:
    found = convert_labels([0.5, 1.0, 0.5], task="classification")
    assert (found.target, found.labels.tolist()) == (target_of(("0.5", "1.0"), label_type="float"), [0, 1, 0])
    assert len(convert_labels(list(range(21)), task="classification").target.classes) == 21
    assert len(convert_labels(list(range(21)) * 2).target.classes) == 21  # each twice: half of the rows


def test_a_list_of_labels_per_row_is_multilabel() -> None:
    for labels in (
        [["sport", "news"], [], ["art", "sport", "sport"]],
        [("news", "sport"), (), ("sport", "art")],
        [{"news", "sport"}, set(), {"art", "sport"}],
        pa.array([["sport", "news"], [], ["art", "sport"]]),
        pl.Series([["sport", "news"], [], ["art", "sport"]]),
        pd.Series([["sport", "news"], [], ["art", "sport"]]),
    ):
        found = convert_labels(labels)
        assert found.target == target_of(("art", "news", "sport"), "multilabel")
        assert found.labels.tolist() == [[0, 1, 1], [0, 0, 0], [1, 0, 1]]
        assert found.labels.dtype == np.int64


def test_zeros_and_ones_are_multilabel_where_the_task_says_so() -> None:
    table = np.array([[0, 1, 1], [1, 0, 0]])
    for labels in (table, table.astype(float), table.astype(bool), table.tolist()):
        found = convert_labels(labels, task="multilabel")
        assert found.target == target_of(("0", "1", "2"), "multilabel", "int")
        assert found.labels.tolist() == table.tolist()
    frame = pd.DataFrame(table, columns=["sport", "news", "art"])
    assert convert_labels(frame, task="multilabel").target.classes == ("sport", "news", "art")
    assert convert_labels([["a"], ["b"]], task="multilabel").labels.tolist() == [[1, 0], [0, 1]]
    assert_refused("multilabel needs a list of labels per row", convert_labels, ["a", "b"], task="multilabel")
    assert_refused("labels: no row has a label", convert_labels, [[], []], "multilabel")


@pytest.mark.parametrize("wrong", [2, 0.5, "yes", None, float("nan")])
def test_a_column_of_labels_holds_0_and_1_alone(wrong: Any) -> None:
    """The names of the columns are the classes, so another value is no class of its own."""
    frame = pd.DataFrame({"comedy": [0, 1, 1], "drama": pd.Series([1, wrong, 0], dtype=object)})
    assert_refused("row 1: 'drama' must be 0 or 1, not", convert_labels, frame, task="multilabel")
    with pytest.raises(InputError, match="row 1: 'drama' must be 0 or 1, not"):
        Labelled.from_frame(frame.assign(text="a film"), text="text", label=["comedy", "drama"], task="multilabel")
    names = [["comedy", "drama"], ["drama", "comedy"]]
    assert convert_labels(names, task="multilabel", classes=("comedy", "drama")).labels.tolist() == [[1, 1], [1, 1]]


def test_numbers_for_regression() -> None:
    for labels in ([1, 2.5], (1, 2.5), np.array([[1.0], [2.5]]), pd.Series([1, 2.5]), pa.array([1.0, 2.5])):
        found = convert_labels(labels, task="regression")
        assert found.target == target_of(("value",), "regression", "float")
        assert found.labels.dtype == np.float64
        assert found.labels.tolist() == [[1.0], [2.5]]
    frame = pl.DataFrame({"price": [1.0, 2.0], "rent": [3, 4]})
    several = convert_labels(frame, task="regression")
    assert (several.target.classes, several.labels.tolist()) == (("price", "rent"), [[1, 3], [2, 4]])


def test_what_is_no_number_is_refused() -> None:
    for labels, message in (
        ([1.0, None], "row 1 is missing (None)"),
        ([1.0, np.nan], "row 1 is missing (NaN)"),
        ([1.0, np.inf], "row 1 is a number (inf); regression needs finite numbers"),
        ([1, 10**400], "row 1 is a number (1000"),
        (["1.0", "2.0"], "row 0 is a text ('1.0'); regression needs finite numbers"),
        ([True, False], "row 0 is True; regression needs"),
        ([[1.0], [1.0, 2.0]], "row 1 has 2 numbers, but row 0 has 1"),
        ([1j], "row 0 is a number (1j)"),
    ):
        assert_refused(re.escape(message), convert_labels, labels, task="regression")


TEXTS = ["A good film.", "a  GOOD<br />film.", "dull", ""]


def labelled(texts: list[str], labels: list[int] | None = None, classes: tuple[str, ...] = ("no", "yes")) -> Labelled:
    return Labelled(texts, np.array(labels or [0] * len(texts), dtype=np.int64), target_of(classes))


def series(*lengths: int, channels: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.normal(size=(n, channels)).astype(np.float32) for n in lengths]


def test_groups_are_equal_texts_unless_given() -> None:
    groups = labelled(TEXTS).groups
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3
    given = Labelled(TEXTS, np.zeros(4, np.int64), target_of(("a",)), np.arange(4), "here")
    assert given.groups.tolist() == [0, 1, 2, 3]


def test_keys_do_not_depend_on_the_process() -> None:
    # From hashlib by hand: blake2b("dull", 8 bytes), little-endian and signed.
    import hashlib

    want = int.from_bytes(hashlib.blake2b(b"dull", digest_size=8).digest(), "little", signed=True)
    assert labelled(["Dull "]).keys.tolist() == [want]


def test_take_takes_rows_in_order_and_by_mask() -> None:
    data = Labelled(TEXTS, np.array([0, 1, 1, 0]), target_of(("no", "yes")), np.arange(4), "here")
    some = data.take(np.array([2, 0]))
    assert (some.inputs, some.labels.tolist(), some.groups.tolist()) == (["dull", "A good film."], [1, 0], [2, 0])
    assert (some.classes, some.source, len(some), some.kind) == (("no", "yes"), "here", 2, "text")
    assert data.take(np.array([False, True, False, True])).inputs == [TEXTS[1], TEXTS[3]]
    assert (len(data.take([])), data.take([]).kind) == (0, "text")
    for rows in ([4], [-1], [0.5], [[0]], [True]):
        assert_refused("rows must", data.take, rows)


def test_fingerprint_tells_apart_what_differs() -> None:
    sets = [
        labelled(["ab", "c"]),
        labelled(["a", "bc"]),
        labelled(["c", "ab"]),
        labelled(["ab", "c"], [0, 1]),
        labelled(["ab", "c"], [1, 0]),
        labelled(["ab", "c", ""]),
        labelled(["ab", "c"], classes=("no", "maybe")),
        labelled(["ab", "c"], classes=("no", "yes", "ab")),
        labelled(["AB", "c"]),
        labelled(["ab" + "\0" * 8 + "c"]),  # a label and a text, where parts are not told apart by their lengths
        labelled(["ab", "c"], classes=("n", "oyes")),
        Labelled(series(2, 3), np.array([0, 1]), target_of(("no", "yes"))),
        Labelled([s.reshape(3, -1) for s in series(2, 4)][:1], np.array([0]), target_of(("no", "yes"))),
        Labelled(series(2), np.array([0]), target_of(("no", "yes"))),
    ]
    prints = [data.fingerprint() for data in sets]
    assert len(set(prints)) == len(prints)
    assert all(len(p) == 64 for p in prints)
    assert labelled(["ab", "c"]).fingerprint() == prints[0]


def test_a_class_of_a_model_is_found_by_its_number() -> None:
    data = labelled(["a", "b", "c"], [0, 1, 0], classes=("0.0", "1.0"))
    assert data.labels_among(("1", "x", "0")).tolist() == [2, 0, 2]
    assert data.labels_among(("1.0", "1", "0.0")).tolist() == [2, 0, 2]  # the equal name first
    for classes in (("0", "2"), ("0", "1", "+1"), ("zero", "one")):
        assert_refused("the model has no class", data.labels_among, classes)
    both = Labelled(["a", "b"], np.array([[1, 0], [0, 1]]), target_of(("1", "1.0"), "multilabel"))
    assert both.labels_among(("0", "1")).tolist() == [[0, 1], [0, 1]]


def test_columns_that_do_not_fit_are_refused() -> None:
    for labels, classes, groups, message in (
        ([0, 2], ("a", "b"), [0, 1], "labels must be between 0 and 1"),
        ([0, -1], ("a", "b"), [0, 1], "labels must be between 0 and 1"),
        ([0], ("a", "b"), [0, 1], r"labels must be \(2,\) int64, got \(1,\) int64"),
        ([0.0, 1.0], ("a", "b"), [0, 1], "labels must be .* float64"),
        ([0, 1], ("a", "b"), [0], r"groups must be \(2,\)"),
        ([0, 1], ("a", "a"), [0, 1], "classes must be distinct"),
        ([0, 1], ("a", ""), [0, 1], "classes must be distinct names, none empty"),
    ):
        with pytest.raises(InputError, match=message):
            Labelled(["x", "y"], np.array(labels), target_of(classes), np.array(groups), "here")


def test_minus_zero_is_zero() -> None:
    found = convert_labels([-0.0, 2.0, 0.0, -2.0, -0.0])
    assert (found.target.classes, found.labels.tolist()) == (("-2.0", "0.0", "2.0"), [1, 2, 1, 0, 1])
