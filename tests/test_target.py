"""What a model predicts: probabilities, decisions and labels of the user's own type."""

from typing import Any

import numpy as np
import pytest

from gatewise.target import Target
from tests.refusals import assert_refused

LOGITS = np.array([[0.5, -1.0, 2.0], [-3.0, 0.25, -0.5]])


def test_classification() -> None:
    target = Target(("a", "b", "c"))
    assert target.outputs == 3
    np.testing.assert_allclose(target.probabilities(LOGITS), np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True))
    assert target.labels(LOGITS).tolist() == ["c", "b"]


@pytest.mark.parametrize(
    ("kind", "classes", "expected"),
    [("int", ("3", "10"), [10, 3]), ("float", ("0.5", "1.5"), [1.5, 0.5]), ("bool", ("False", "True"), [True, False])],
)
def test_labels_keep_their_type(kind: Any, classes: tuple[str, str], expected: list[Any]) -> None:
    target = Target(classes, label_type=kind)
    found = target.labels(np.array([[1.0], [-1.0]]))
    assert target.outputs == 1
    assert found.tolist() == expected
    assert type(found.tolist()[0]) is type(expected[0])


def test_a_threshold_decides() -> None:
    p = 1 / (1 + np.exp(-0.4))
    logits = np.array([[0.4]])
    assert Target(("no", "yes"), thresholds=(p - 0.01,)).labels(logits).tolist() == ["yes"]
    assert Target(("no", "yes"), thresholds=(p + 0.01,)).labels(logits).tolist() == ["no"]


@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_two_classes_close_to_the_threshold_are_undecided(threshold: float) -> None:
    target = Target(("no", "yes"), thresholds=(threshold,))
    p = threshold + np.array([-0.06, -0.05, 0.0, 0.05, 0.06])
    assert target.undecided(np.stack([1 - p, p], axis=1)).tolist() == [False, True, True, True, False]
    assert not Target(("a", "b", "c")).undecided(np.full((2, 3), 1 / 3)).any()
    assert not Target(("a", "b"), "multilabel").undecided(np.full((2, 2), 0.5)).any()


def test_multilabel() -> None:
    target = Target(("a", "b", "c"), "multilabel", thresholds=(0.5, 0.2, 0.9))
    np.testing.assert_allclose(target.probabilities(LOGITS), 1 / (1 + np.exp(-LOGITS)))
    assert target.labels(LOGITS).tolist() == [("a", "b"), ("b",)]
    assert Target(("a", "b"), "multilabel").outputs == 2


def test_regression() -> None:
    one, two = Target(("price",), "regression", "float"), Target(("x", "y"), "regression")
    np.testing.assert_array_equal(one.labels(LOGITS[:, :1]), LOGITS[:, 0])
    np.testing.assert_array_equal(two.labels(LOGITS[:, :2]), LOGITS[:, :2])
    assert_refused("no probabilities", one.probabilities, LOGITS)


def test_thresholds_of_three_classes_divide_the_probabilities() -> None:
    p = np.array([[0.5, 0.4, 0.1], [0.7, 0.2, 0.1]])
    target = Target(("a", "b", "c"), thresholds=(1.0, 0.5, 0.25))
    assert target.decide(p).tolist() == [1, 0]
    assert Target(("a", "b", "c")).decide(p).tolist() == [0, 0]


@pytest.mark.parametrize("threshold", [0.0, 1e-15, 0.3, 1 - 1e-9])
def test_the_decision_score_is_positive_where_the_second_class_is_predicted(threshold: float) -> None:
    target, logits = Target(("a", "b"), thresholds=(threshold,)), np.linspace(-60, 60, 241)[:, None]
    np.testing.assert_array_equal(target.decision(logits) >= 0, target.predicted(logits) == 1)


@pytest.mark.parametrize("thresholds", [(), (0.9, 0.5, 0.05)])
def test_the_largest_decision_score_is_that_of_the_predicted_class(thresholds: tuple[float, ...]) -> None:
    target, logits = Target(("a", "b", "c"), thresholds=thresholds), np.random.default_rng(3).normal(size=(300, 3))
    predicted = target.predicted(logits)
    np.testing.assert_array_equal(target.decision(logits).argmax(axis=1), predicted)
    assert (predicted != logits.argmax(axis=1)).any() == bool(thresholds)
