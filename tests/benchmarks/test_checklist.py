"""The sentences of the behavioural tests, and what counts as a right prediction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gatewise as gw
from benchmarks.checklist import Category, positive_probability
from gatewise.errors import InputError
from gatewise.model import bundled


def test_a_neutral_sentence_needs_a_probability_of_both_classes() -> None:
    category = Category("c", ("a", "b", "c", "d"), ("neutral", "neutral", "positive", "negative"))
    assert category.right(np.array([0.31, 0.29, 0.51, 0.49])).tolist() == [True, False, True, True]
    assert category.right(np.array([0.69, 0.71, 0.49, 0.51])).tolist() == [True, False, False, False]


def test_the_probability_is_that_of_the_class_positive() -> None:
    model = gw.load(bundled.FOLDER)
    liked, disliked = positive_probability(model, ("I loved this wonderful film.", "A terrible, boring film."))
    assert liked > 0.9
    assert disliked < 0.1
    other = replace(model.ensemble, target=replace(model.target, classes=("bad", "good")))
    with pytest.raises(InputError, match="classes negative and positive, not bad, good"):
        positive_probability(replace(model, ensemble=other), ("I loved this film.",))
