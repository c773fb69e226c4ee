"""Schemes of labels, by hand and for random entities."""

import random
from typing import get_args

import pytest

from gatewise.data import convert_scheme, scheme_of
from gatewise.errors import InputError
from gatewise.target.label_schemes import entities_of_row
from gatewise.target.scheme_transitions import Scheme

# One row in each scheme: two persons of two and one steps in a row, a place of three steps, an organisation.
ROW: dict[Scheme, list[str]] = {
    "IOB1": ["I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-LOC", "I-LOC", "I-ORG", "O"],
    "IOB2": ["B-PER", "I-PER", "B-PER", "O", "B-LOC", "I-LOC", "I-LOC", "B-ORG", "O"],
    "BIOES": ["B-PER", "E-PER", "S-PER", "O", "B-LOC", "I-LOC", "E-LOC", "S-ORG", "O"],
    "BILOU": ["B-PER", "L-PER", "U-PER", "O", "B-LOC", "I-LOC", "L-LOC", "U-ORG", "O"],
}


@pytest.mark.parametrize("scheme", get_args(Scheme))
@pytest.mark.parametrize("other", get_args(Scheme))
def test_a_row_in_each_scheme(scheme: Scheme, other: Scheme) -> None:
    assert scheme_of([ROW[scheme]]) == scheme
    assert convert_scheme([ROW[scheme]], other) == [ROW[other]]
    assert entities_of_row(ROW[scheme]) == [("PER", 0, 1), ("PER", 2, 2), ("LOC", 4, 6), ("ORG", 7, 7)]


def test_random_entities_come_back_from_every_scheme() -> None:
    rng = random.Random(3)
    for _ in range(200):
        row = ["O"] * rng.randint(1, 9)
        step = 0
        while step < len(row):
            length = rng.randint(1, 4)
            if rng.random() < 0.7:
                kind = rng.choice("XY")
                entity = [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
                row[step : step + length] = entity[: len(row) - step]
            step += length
        for scheme in get_args(Scheme):
            [converted] = convert_scheme([row], scheme)
            assert entities_of_row(converted) == entities_of_row(row)
            assert convert_scheme([converted], "IOB2") == [row]


def test_labels_that_follow_no_scheme() -> None:
    assert scheme_of([["O", "I-X"], ["B-X"]]) is None  # IOB1 has no B-X here, and IOB2 no I-X after O
    assert scheme_of([["NOUN", "VERB"]]) is None
    assert scheme_of([["O", "O"]]) is None
    with pytest.raises(InputError, match="row 1, step 2: 'NOUN' is neither O nor like B-TYPE"):
        convert_scheme([["O"], ["O", "NOUN"]], "IOB2")
    with pytest.raises(InputError, match="IOB1, IOB2, BIOES, BILOU, not 'IOBES'"):
        convert_scheme([["O"]], "IOBES")  # type: ignore[arg-type]
