"""Labels that become classes which nobody means."""

import unicodedata
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.data.labels import convert_labels
from gatewise.sklearn import LSTMTextClassifier
from tests.misuse.cases import KINDS, TEXTS, Case, N, data, some, warned

NFD = unicodedata.normalize("NFD", "é")
NEAR = "classes that are nearly equal: "
LABELS: dict[str, Case] = {
    "case": (data(TEXTS, some("Pos", "pos", "neg")), NEAR + "'Pos' (20 rows) and 'pos' (20 rows)"),
    "upper case": (data(TEXTS, some("YES", "yes", "no")), NEAR + "'YES'"),
    "NFC and NFD": (data(TEXTS, some("é", NFD, "a")), NEAR + r"'e\u0301' (20 rows) and '\xe9' (20 rows)"),
    "a zero-width space": (data(TEXTS, some("pos", "pos\u200b", "neg")), NEAR + r"'pos' (20 rows) and 'pos\u200b'"),
    "a zero-width joiner": (data(TEXTS, some("pos", "p\u200dos", "neg")), NEAR),
    "a byte order mark": (data(TEXTS, some("pos", "\ufeffpos", "neg")), NEAR),
    "a soft hyphen": (data(TEXTS, some("pos", "po\u00ads", "neg")), NEAR),
    "a right-to-left mark": (data(TEXTS, some("pos", "pos\u200f", "neg")), NEAR),
    "two spaces": (data(TEXTS, some("very good", "very  good", "bad")), NEAR),
    "a no-break space": (data(TEXTS, some("very good", "very\u00a0good", "bad")), NEAR),
    "full width": (data(TEXTS, some("A1", "Ａ１", "b")), NEAR),
    "a ligature": (data(TEXTS, some("fine", "ﬁne", "bad")), NEAR),
    "three of them": (data(TEXTS, some("a", "A", "b", "B", "c", "C")), "'A' (10 rows) and 'a' (10 rows); 'B' (10"),
    "NA": (data(TEXTS, some("NA", "a", "b")), "'NA' (20 rows) may be a missing value, and is read as a class"),
    "N/A": (data(TEXTS, some("n/a", "a", "b")), "'n/a' (20 rows) may be a missing value"),
    "nan": (data(TEXTS, some("nan", "a", "b")), "'nan' (20 rows) may be a missing value"),
    "null": (data(TEXTS, some("NULL", "a", "b")), "'NULL' (20 rows) may be a missing value"),
    "a question mark": (data(TEXTS, some("?", "a", "b")), "'?' (20 rows) may be a missing value"),
    "None as a text": (data(TEXTS, some("None", "a", "b")), "'None' (20 rows) may be a missing value"),
    "#N/A of a spreadsheet": (data(TEXTS, some("#N/A", "a", "b")), "'#N/A' (20 rows) may be a missing value"),
    "<NA>": (data(TEXTS, some("<NA>", "a")), "'<NA>' (30 rows) may be a missing value"),
    "a decimal comma": (
        data(TEXTS, [f"{n},{n % 10}" for n in range(N)]),
        "60 classes look like numbers, as '0,0': if they are, give numbers with a decimal point",
    ),
    "thousands": (data(TEXTS, [f"{n + 1},114" for n in range(N)]), "60 classes look like numbers, as '1,114'"),
    "percent": (data(TEXTS, [f"{n}%" for n in range(N)]), "60 classes look like numbers, as '0%'"),
    "dollars": (data(TEXTS, [f"${n}.50" for n in range(N)]), "60 classes look like numbers, as '$0.50'"),
    "euros": (data(TEXTS, [f"{n},50 €" for n in range(N)]), "60 classes look like numbers"),
    "kilograms": (data(TEXTS, [f"{n} kg" for n in range(N)]), "60 classes look like numbers, as '0 kg'"),
    "Swiss thousands": (data(TEXTS, [f"{n + 1}'000" for n in range(N)]), "60 classes look like numbers"),
    "ISO dates": (data(TEXTS, [f"2024-01-{n % 28 + 1:02}" for n in range(N)]), "28 classes look like dates"),
    "German dates": (data(TEXTS, [f"{n % 28 + 1}.1.2024" for n in range(N)]), "28 classes look like dates"),
    "American dates": (data(TEXTS, [f"1/{n % 28 + 1}/2024" for n in range(N)]), "28 classes look like dates"),
    "times": (data(TEXTS, [f"2024-01-01 00:{n:02}" for n in range(N)]), "60 classes look like dates"),
    "quarters": (data(TEXTS, [f"{2000 + n}-Q1" for n in range(N)]), "60 classes look like dates, as '2000-Q1'"),
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
NUMBERS: dict[str, tuple[Any, Any]] = {
    "uint64 beside a small one": (np.array([1, 2**63 + 1], dtype=np.uint64), np.uint64),
    "uint64 above 2^53": (np.array([BIG + 1, BIG + 3], dtype=np.uint64), np.int64),
    "int64 above 2^53": (np.array([BIG + 1, -BIG - 3]), np.int64),
    "whole numbers above 2^64": ([2**70, 2**70 + 1], object),
    "whole numbers far apart": ([-5, 2**63], object),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_large_whole_numbers_stay_what_they_are(case: str) -> None:
    labels, kind = NUMBERS[case]
    found = Labelled.of(TEXTS[:2], labels).target
    assert found.class_labels.dtype == kind
    assert sorted(map(int, found.class_labels.tolist())) == sorted(map(int, labels))
