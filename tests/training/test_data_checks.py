"""Warnings about data: each finding is one line with its number, and ordinary data has none."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.errors import DataWarning
from gatewise.network.architecture import Architecture
from gatewise.network.batch import describe_truncation
from gatewise.training import data_checks
from gatewise.training.data_checks import imbalance, one_token, warn_about_overlap
from tests.training.texts import made_reviews

TINY: dict[str, Any] = {"units": 3, "epochs": 1, "ngrams__order": 0}


def messages(*arguments: Any, **changes: Any) -> list[str]:
    """The DataWarnings of a training run."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        gw.train(*arguments, **TINY | changes)
    return [str(one.message) for one in caught if issubclass(one.category, DataWarning)]


def test_ordinary_data_has_no_warning() -> None:
    assert messages(made_reviews(60, 3)) == []


def test_few_rows() -> None:
    assert messages(made_reviews(49, 3)) == [
        "49 rows are few: below 50, accuracy and probabilities are rough estimates"
    ]
    assert messages(made_reviews(50, 3)) == []


def different_labels(data: Labelled) -> str:
    return data_checks.different_labels(data, np.arange(len(data)))


def test_equal_texts_with_different_labels() -> None:
    texts = ["a b", "c  d", "e f", "C d", "e f", "g", "c d"]  # "c d" thrice, with two labels; "e f" twice, with one
    found = different_labels(Labelled.of(texts, ["x", "x", "y", "y", "y", "x", "x"]))
    assert found == "3 rows are equal texts with different labels, 1 different text; the first are rows 2 and 4"
    several = Labelled.of(["a", "b", "a"], [["x"], ["x"], ["x", "y"]], task="multilabel")
    assert different_labels(several).startswith("2 rows are equal texts with different labels")
    assert different_labels(Labelled.of(["a", "b", "a"], [["x", "y"], ["x"], ["y", "x"]], task="multilabel")) == ""
    series = [np.full((3, 1), value) for value in (1.0, 2.0, 1.0)]
    assert "equal series" in different_labels(Labelled.of(series, ["x", "y", "y"]))
    assert different_labels(Labelled.of(["a", "a"], [0.5, 1.5], task="regression")) == ""


def test_rows_are_numbered_as_given_and_validation_rows_do_not_count() -> None:
    data = made_reviews(60, 3)
    texts, labels, weights = list(data.inputs), data.labels.copy(), np.ones(60)
    texts[50], labels[50], weights[:30] = texts[40], 1 - labels[40], 0
    assert messages(texts, labels, sample_weight=weights) == [
        "30 rows are few: below 50, accuracy and probabilities are rough estimates",
        "2 rows are equal texts with different labels, 1 different text; the first are rows 41 and 51",
    ]
    few, others = made_reviews(40, 5), made_reviews(40, 6)
    assert messages(few, validation=others) == [
        "40 rows are few: below 50, accuracy and probabilities are rough estimates"
    ]


@pytest.mark.parametrize(("rare", "warns"), [(1, True), (5, True), (6, False)])
def test_imbalance(rare: int, warns: bool) -> None:
    labels = ["often"] * 100 + ["rare"] * rare + ["other"] * 50
    found = imbalance(Labelled.of([str(n) for n in range(len(labels))], labels))
    if not warns:
        assert found == ""
        return
    assert found.startswith(
        f"class 'rare' has {rare} row{'s' * (rare > 1)} and there are 100 rows of 'often', 1:{100 / rare:.0f}; "
    )
    assert "class_weight" in found


def test_imbalance_of_one_of_several_labels() -> None:
    labels = [["x"] if n else ["x", "y"] for n in range(30)]
    found = imbalance(Labelled.of([str(n) for n in range(30)], labels, task="multilabel"))
    assert found.startswith("class 'y' has 1 row and there are 29 rows without it, 1:29; ")


def test_a_script_without_spaces() -> None:
    """Decided by the tokens, so a tokenisation that splits the script warns of nothing."""
    texts = ["\N{CJK UNIFIED IDEOGRAPH-4E00}" * 12, "\N{CJK UNIFIED IDEOGRAPH-4E01}" * 10, "one two three", "short"]
    assert one_token([*texts[:2], texts[2]], [1, 1, 3]).startswith(
        "2 of 3 texts are one token although they have 10 char"
    )
    assert one_token(texts, [1, 1, 3, 1]) == ""
    assert one_token(texts, [12, 10, 3, 1]) == ""


def test_tokens_outside_the_vocabulary_of_a_pretrained_model() -> None:
    texts, labels = [f"word other{n} next{n}" for n in range(60)], ["+", "-"] * 30
    start = gw.train([f"word film{n}" for n in range(60)], labels, **TINY)
    given: dict[str, Any] = {"pretrained": start, "recipe": "fast"}
    assert messages(texts, labels, **given) == ["67% of the tokens are not in the vocabulary of the model"]
    assert messages([f"word {text}" for text in texts], labels, **given) == []


def test_rows_in_both_parts() -> None:
    train = Labelled.of(["a b", "c", "d"], ["x", "y", "x"])
    other = Labelled.of(["e", "D", "f", "A  b"], ["x", "y", "x", "y"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_about_overlap(train, other, "test")
        warn_about_overlap(train, other.take([0, 2]), "test")
    assert [str(one.message) for one in caught] == [
        "2 of 4 rows of the test set are equal to training rows, the first is row 2: scores on this set are higher "
        "than on new data"
    ]


@pytest.mark.parametrize(
    ("truncation", "inputs", "says"),
    [
        ("front", "channels", "last 400 of up to 2,000 steps in 2 of 4 series"),
        ("front", "tokens", "last 400 of up to 2,000 tokens in 2 of 4 texts"),
        ("middle", "tokens", "first 133 and last 267 of up to 2,000 tokens in 2 of 4 texts"),
    ],
)
def test_what_the_network_reads(truncation: Any, inputs: Any, says: str) -> None:
    arch = Architecture(
        inputs, 5, 0 if inputs == "channels" else 3, 4, max_length=400, truncation=truncation, padding="none"
    )
    assert describe_truncation([400, 401, 2000, 7], arch) == says
    assert describe_truncation([400, 7], arch) == ""


def test_a_cut_is_one_line_in_training_and_one_per_model_in_prediction() -> None:
    data = made_reviews(60, 3)
    longer = sum(len(str(text).split()) > 20 for text in data.inputs)
    most = max(len(str(text).split()) for text in data.inputs)
    reads = f"the network reads the last 20 of up to {most} tokens in {longer} of 60 texts"
    shape: dict[str, Any] = {"max_length": 20, "truncation": "front"}
    assert messages(data, **shape) == [f"{reads} (recipe fast has max_length 20, 0 has no limit)"]
    (found,) = messages(data, **shape | {"ngrams__order": 2})
    assert found.startswith(f"{reads}; the n-gram model reads all tokens (recipe")
    model = gw.train(data, **TINY | shape | {"ngrams__order": 2})
    with pytest.warns(DataWarning) as caught:
        _ = model.predict(data.inputs), model.predict_proba(data.inputs)
    assert [str(one.message) for one in caught] == [f"{reads}; the n-grams read all"]
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        gw.train(data, **TINY, max_length=0).predict(data.inputs)


def test_series_and_imbalance_in_training() -> None:
    rng = np.random.default_rng(4)
    series = [rng.normal(k == 0, 1, (int(rng.integers(5, 12)), 2)) for k in range(84)]
    found = messages(series, [str(k < 4) for k in range(84)], recipe="fast", max_length=9, truncation="front")
    assert [line.split(" rows")[0] for line in found][:1] == ["class 'True' has 4"]
    assert found[1].startswith("the network reads the last 9 of up to 11 steps in ")
    assert found[1].split(" (")[0].endswith("of 84 series")


def test_rows_of_validation_data_do_not_count_for_the_imbalance() -> None:
    data = made_reviews(200, 3)
    first, second = (np.flatnonzero(data.labels == label) for label in (0, 1))
    training = data.take(np.concatenate([first[:63], second[:3]]))
    validation = data.take(np.concatenate([first[63:73], second[3:43]]))
    (found,) = messages(training, validation=validation)
    assert "has 3 rows and there are 63 rows of" in found
