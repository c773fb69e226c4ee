"""Labels that become classes which nobody means, and numbers of series that float32 would round away."""

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.data.labels import convert_labels
from gatewise.data.read import read_series
from gatewise.errors import GatewiseError
from gatewise.sklearn import LSTMTextClassifier
from tests.misuse.cases import KINDS, TEXTS, WAVES, Case, N, data, fail_with, some, warned

NFD = unicodedata.normalize("NFD", "é")
NEAR = "classes that are nearly equal: "
UNSEEN = "\u00ad\u200b\u200c\u200d\u200e\u200f\u202c\u2060\u2061\ufeff"  # characters that readers do not see
SPACES = "\t\n\u00a0\u2003\u2007\u2009\u2028\u202f\u3000"
EQUAL = ["Pos pos", "YES yes", "fine ﬁne", "A1 Ａ１", "Straße STRASSE", "Ⅳ IV", "x² x2", "Σ ς", "№5 No5", "K \u212a"]
MISSING = ["NA", "N/A", "n/a", "nan", "NaN", "NULL", "null", "None", "<NA>", "#N/A", "NaT", "?"]
NUMBERS = [
    "{},5",
    "{},114",
    "1{},5 €",
    "{}%",
    "${}.50",
    "£{}",
    "{} kg",
    "{}'000",
    "{} 000",
    "{}\u202f000",
    "-{},5",
    "~{}",
]
DATES = ["2024-01-{:02}", "2024/01/{:02}", "2024.01.{:02}", "{}.1.2024", "1/{}/2024", "{:02}-01-2024", "1/{}/24"]
DATES += ["2024-01-{:02}T10:00", "2024-01-{:02} 10:00:00", "2024-01-{:02}T10:00Z", "20{:02}-Q1", "20{:02}Q3", "{}/2024"]
LABELS: dict[str, Case] = {
    "case": (data(TEXTS, some("Pos", "pos", "neg")), NEAR + "'Pos' (20 rows) and 'pos' (20 rows)"),
    "NFC and NFD": (data(TEXTS, some("é", NFD, "a")), NEAR + r"'e\u0301' (20 rows) and '\xe9' (20 rows)"),
    **{f"{one!a} inside": (data(TEXTS, some("pos", f"po{one}s", "neg")), NEAR) for one in UNSEEN},
    **{f"{one!a} as space": (data(TEXTS, some("very good", f"very{one}good", "bad")), NEAR) for one in SPACES},
    "two spaces": (data(TEXTS, some("very good", "very  good", "bad")), NEAR),
    **{pair: (data(TEXTS, some(*pair.split(), "other")), NEAR) for pair in EQUAL},
    "three of them": (data(TEXTS, some("a", "A", "b", "B", "c", "C")), "'A' (10 rows) and 'a' (10 rows); 'B' (10"),
    **{one: (data(TEXTS, some(one, "a", "b")), f"'{one}' (20 rows) may be a missing value, and") for one in MISSING},
    **{
        one: (data(TEXTS, [one.format(n + 1) for n in range(N)]), "60 classes look like numbers, as") for one in NUMBERS
    },
    **{one: (data(TEXTS, [one.format(n % 28 + 1) for n in range(N)]), "28 classes look like dates") for one in DATES},
    "near-equal labels of several": (
        lambda: convert_labels([["Pos", "x"], ["pos"], ["x"]]),
        NEAR + "'Pos' (1 row) and 'pos' (1 row)",
    ),
    "near-equal tags": (lambda: convert_labels([["LOC", "loc"], ["O", "O"]], "tagging"), NEAR + "'LOC'"),
    "near-equal in train": (lambda: gw.train(TEXTS, some("Pos", "pos", "x"), units=0), NEAR),
    "near-equal in an estimator": (
        lambda: LSTMTextClassifier()._labels(some("Pos", "pos", "x"), reset=True),
        "y: " + NEAR,
    ),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_that_may_be_a_mistake(case: str) -> None:
    call, message = LABELS[case]
    assert any(message in one for one in warned(call)), warned(call)


PLAIN: dict[str, Any] = {
    "grades": some("A", "A-", "B+", "B"),
    "ratings": some("1", "2", "3", "4", "5"),
    "years": [str(1990 + n // 3) for n in range(N)],
    "signs": some("+", "0", "minus"),
    "none is a word": some("none", "some"),
    "languages": some("de", "da", "en"),
    "accents": some("résumé", "resume"),
    "versions": some("1.0-a", "1.0-b"),
    "codes": [f"C{n % 7}" for n in range(N)],
    "bool": KINDS.astype(bool),
    "whole floats": KINDS * 1.0,
}


@pytest.mark.parametrize("case", PLAIN)
def test_labels_that_are_classes(case: str) -> None:
    assert not warned(data(TEXTS, PLAIN[case]))


BIG = 2**53
LARGE: dict[str, tuple[Any, Any]] = {
    "uint64 beside a small one": (np.array([1, 2**63 + 1], dtype=np.uint64), np.uint64),
    "uint64 above 2^53": (np.array([BIG + 1, BIG + 3], dtype=np.uint64), np.int64),
    "int64 above 2^53": (np.array([BIG + 1, -BIG - 3]), np.int64),
    "whole numbers above 2^64": ([2**70, 2**70 + 1], object),
    "whole numbers far apart": ([-5, 2**63], object),
}


@pytest.mark.parametrize("case", LARGE)
def test_large_whole_numbers_stay_what_they_are(case: str) -> None:
    labels, kind = LARGE[case]
    found = Labelled.of(TEXTS[:2], labels).target
    assert found.class_labels.dtype == kind
    assert sorted(map(int, found.class_labels.tolist())) == sorted(map(int, labels))


OFFSET = WAVES + 1e8
CHANNELS = np.stack([WAVES, OFFSET], axis=2)

ROUNDED: dict[str, tuple[Any, str]] = {
    "an offset of 1e8": (OFFSET, "channel 1: values near 1e+08 differ by about 1.02, and float32 keeps 8 apart"),
    "below 0": (-OFFSET, "channel 1: values near 1e+08"),
    "1e12": (WAVES * 100 + 1e12, "float32 keeps 6.55e+04 apart: subtract an offset from this channel first"),
    "seconds since 1970": (np.floor(WAVES * 10) + 1_700_000_000, "channel 1: values near 1.7e+09"),
    "whole numbers": ((WAVES * 5).astype(np.int64) + 10**9, "channel 1: values near 1e+09"),
    "the second channel": (CHANNELS, "channel 2: values near 1e+08"),
    "lists": (OFFSET.tolist(), "channel 1: values near 1e+08"),
    "a frame": (pd.DataFrame(OFFSET, columns=[f"t{k}" for k in range(12)]), "channel 1: values near 1e+08"),
    "series of any length": ([row[: 4 + n % 8] for n, row in enumerate(OFFSET)], "channel 1: values near 1e+08"),
    "small and close": (1 + WAVES * 1e-8, "channel 1: values near 1 differ by about"),
    "missing values": (np.where(WAVES > 1, np.nan, OFFSET), "channel 1: values near 1e+08"),
}


@pytest.mark.parametrize("case", ROUNDED)
def test_differences_that_float32_rounds_away(case: str) -> None:
    inputs, message = ROUNDED[case]
    layout = "time-first" if getattr(inputs, "ndim", 2) == 3 else None
    fail_with(lambda: Labelled.of(inputs, KINDS, layout=layout), message)


KEPT: dict[str, Any] = {
    "1e8 and large differences": WAVES * 1e5 + 1e8,
    "constant": np.full_like(WAVES, 1e8 + 0.3),
    "constant, and computed": np.full_like(WAVES, 0.1) + np.tile([0.2, 0.3 - 0.1], 6) - 0.2,
    "years": np.floor(WAVES) + 2024,
    "levels that differ": np.repeat([[0.0], [1e8]], 30, axis=0) + WAVES,
    "large and few": np.array([[1e30, 2e30], [3e30, 1e30]] * 30),
}


@pytest.mark.parametrize("case", KEPT)
def test_numbers_whose_differences_are_kept(case: str) -> None:
    found = Labelled.of(KEPT[case], KINDS)
    assert all(one.dtype == np.float32 for one in found.inputs)
    np.testing.assert_array_equal(np.stack(found.inputs)[:, :, 0], KEPT[case].astype(np.float32))


def test_in_files(tmp_path: Path) -> None:
    """Of a table, and of arrays."""
    table, arrays = tmp_path / "a.csv", tmp_path / "a.npz"
    pd.DataFrame(OFFSET, columns=[f"t{k}" for k in range(12)]).assign(label=KINDS).to_csv(table, index=False)
    np.savez(arrays, X=OFFSET, y=KINDS)
    for path in (table, arrays):
        fail_with(lambda path=path: read_series(path).labelled(), "channel 1: values near 1e+08", GatewiseError)
