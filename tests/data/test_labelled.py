"""Rows with labels: checks, duplicates, fingerprints."""

import numpy as np
import pytest

from gatewise.data import Labelled
from gatewise.errors import InputError

TEXTS = ["A good film.", "a  GOOD<br />film.", "dull", ""]


def labelled(texts: list[str], labels: list[int] | None = None, classes: tuple[str, ...] = ("no", "yes")) -> Labelled:
    return Labelled(texts, np.array(labels or [0] * len(texts), dtype=np.int64), classes)


def series(*lengths: int, channels: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.normal(size=(n, channels)).astype(np.float32) for n in lengths]


def test_groups_are_equal_texts_unless_given() -> None:
    groups = labelled(TEXTS).groups
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3
    given = Labelled(TEXTS, np.zeros(4, np.int64), ("a",), np.arange(4), "here")
    assert given.groups.tolist() == [0, 1, 2, 3]


def test_keys_do_not_depend_on_the_process() -> None:
    # From hashlib by hand: blake2b("dull", 8 bytes), little-endian and signed.
    import hashlib

    want = int.from_bytes(hashlib.blake2b(b"dull", digest_size=8).digest(), "little", signed=True)
    assert labelled(["Dull "]).keys.tolist() == [want]


def test_take_takes_rows_in_order_and_by_mask() -> None:
    data = Labelled(TEXTS, np.array([0, 1, 1, 0]), ("no", "yes"), np.arange(4), "here")
    some = data.take(np.array([2, 0]))
    assert (some.inputs, some.labels.tolist(), some.groups.tolist()) == (["dull", "A good film."], [1, 0], [2, 0])
    assert (some.classes, some.source, len(some), some.kind) == (("no", "yes"), "here", 2, "text")
    assert data.take(np.array([False, True, False, True])).inputs == [TEXTS[1], TEXTS[3]]
    assert len(data.take([])) == 0
    for rows in ([4], [-1], [0.5], [[0]], [True]):
        with pytest.raises(InputError, match="rows must"):
            data.take(rows)  # type: ignore[arg-type]


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
        Labelled(series(2, 3), np.array([0, 1]), ("no", "yes")),
        Labelled([s.reshape(3, -1) for s in series(2, 4)][:1], np.array([0]), ("no", "yes")),
        Labelled(series(2), np.array([0]), ("no", "yes")),
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
        with pytest.raises(InputError, match="the model has no class"):
            data.labels_among(classes)
    both = Labelled(["a", "b"], np.array([[1, 0], [0, 1]]), ("1", "1.0"), task="multilabel")
    assert both.labels_among(("0", "1")).tolist() == [[0, 1], [0, 1]]


def test_kind_is_that_of_the_rows() -> None:
    assert labelled(TEXTS).kind == "text"
    assert Labelled(series(2, 0, 3), np.zeros(3, np.int64), ("a",)).kind == "series"
    assert labelled([]).kind == "text"


def test_of_names_and_orders_the_classes() -> None:
    data = Labelled.of(["x", "y", "z"], [10, 9, 10])
    assert (data.classes, data.labels.tolist()) == (("9", "10"), [1, 0, 1])
    one = Labelled.of([[1, 2, 3], [4.5]], ["b", "a"])
    assert [(s.shape, s.dtype) for s in one.inputs if isinstance(s, np.ndarray)] == [
        ((3, 1), np.float32),
        ((1, 1), np.float32),
    ]
    assert (one.classes, one.labels.tolist()) == (("a", "b"), [1, 0])


@pytest.mark.parametrize(
    ("labels", "classes", "groups", "message"),
    [
        ([0, 2], ("a", "b"), [0, 1], "labels must be between 0 and 1"),
        ([0, -1], ("a", "b"), [0, 1], "labels must be between 0 and 1"),
        ([0], ("a", "b"), [0, 1], r"labels must be \(2,\) int64, got \(1,\) int64"),
        ([0.0, 1.0], ("a", "b"), [0, 1], "labels must be .* float64"),
        ([0, 1], ("a", "b"), [0], r"groups must be \(2,\)"),
        ([0, 1], ("a", "a"), [0, 1], "classes must be distinct"),
        ([0, 1], ("a", ""), [0, 1], "classes must be distinct names, none empty"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    labels: list[int], classes: tuple[str, ...], groups: list[int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Labelled(["x", "y"], np.array(labels), classes, np.array(groups), "here")
