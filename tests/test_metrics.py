"""Predictions of a target; scores by task against a count by hand and scikit-learn; the calibration of a model."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from gatewise.errors import InputError
from gatewise.metrics import (
    BINS,
    Evaluation,
    MultilabelEvaluation,
    RegressionEvaluation,
    chance_calibration_error,
    entities_of,
    wilson_interval,
    with_interval,
)
from gatewise.model.card import CalibrationReport, ModelMetadata
from gatewise.ragged import Ragged
from gatewise.target import target_of
from gatewise.text import TokenEncoding
from tests.small_models import small_model

LOGITS = np.array([[0.5, -1.0, 2.0], [-3.0, 0.25, -0.5]])


@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_two_classes_close_to_the_threshold_are_undecided(threshold: float) -> None:
    target = target_of(("no", "yes"), thresholds=(threshold,))
    p = threshold + np.array([-0.06, -0.05, 0.0, 0.05, 0.06])
    assert target.undecided(np.stack([1 - p, p], axis=1)).tolist() == [False, True, True, True, False]
    assert not target_of(("a", "b", "c")).undecided(np.full((2, 3), 1 / 3)).any()
    assert not target_of(("a", "b"), "multilabel").undecided(np.full((2, 2), 0.5)).any()


def test_multilabel() -> None:
    target = target_of(("a", "b", "c"), "multilabel", thresholds=(0.5, 0.2, 0.9))
    np.testing.assert_allclose(target.probabilities(LOGITS), 1 / (1 + np.exp(-LOGITS)))
    assert target.labels(LOGITS).tolist() == [("a", "b"), ("b",)]
    assert target_of(("a", "b"), "multilabel").outputs == 2


def test_thresholds_decide_and_those_of_three_classes_divide_the_probabilities() -> None:
    half = 1 / (1 + np.exp(-0.4))
    for threshold, label in ((half - 0.01, "yes"), (half + 0.01, "no")):
        assert target_of(("no", "yes"), thresholds=(threshold,)).labels(np.array([[0.4]])).tolist() == [label]
    p = np.array([[0.5, 0.4, 0.1], [0.7, 0.2, 0.1]])
    target = target_of(("a", "b", "c"), thresholds=(1.0, 0.5, 0.25))
    assert target.decide(p).tolist() == [1, 0]
    assert target_of(("a", "b", "c")).decide(p).tolist() == [0, 0]


@pytest.mark.parametrize("threshold", [0.0, 1e-15, 0.3, 1 - 1e-9])
def test_the_decision_score_is_positive_where_the_second_class_is_predicted(threshold: float) -> None:
    target, logits = target_of(("a", "b"), thresholds=(threshold,)), np.linspace(-60, 60, 241)[:, None]
    np.testing.assert_array_equal(target.decision(logits) >= 0, target.predicted(logits) == 1)


@pytest.mark.parametrize("thresholds", [(), (0.9, 0.5, 0.05)])
def test_the_largest_decision_score_is_that_of_the_predicted_class(thresholds: tuple[float, ...]) -> None:
    target, logits = target_of(("a", "b", "c"), thresholds=thresholds), np.random.default_rng(3).normal(size=(300, 3))
    predicted = target.predicted(logits)
    np.testing.assert_array_equal(target.decision(logits).argmax(axis=1), predicted)
    assert (predicted != logits.argmax(axis=1)).any() == bool(thresholds)


def predictions(n: int, k: int, seed: int, overconfidence: float = 1.0) -> tuple[Any, Any]:
    """log p (n, k), and labels (n,) drawn from the probabilities of logits `overconfidence` times as small."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, (n, k))
    p = np.exp(z / overconfidence) / np.exp(z / overconfidence).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(k, p=row) for row in p])
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True)), truth


def class_names(k: int) -> tuple[str, ...]:
    return tuple(map(str, range(k)))


def by_hand(log_p: Any, truth: Any, bins: int) -> tuple[float, list[tuple[int, float, float]]]:
    """Guo et al. 2017, equation 3, one sequence after the other."""
    rows = [(float(np.exp(max(row))), int(np.argmax(row)) == t) for row, t in zip(log_p.tolist(), truth, strict=True)]
    error, seen = 0.0, []
    for m in range(1, bins + 1):
        here = [(c, right) for c, right in rows if (m - 1) / bins < c <= m / bins]
        confidence = sum(c for c, _ in here) / len(here) if here else 0.0
        accuracy = sum(right for _, right in here) / len(here) if here else 0.0
        error += len(here) / len(rows) * abs(accuracy - confidence)
        seen.append((len(here), confidence, accuracy))
    return error, seen


@pytest.mark.parametrize(("n", "k"), [(1, 2), (7, 2), (900, 2), (500, 5), (40, 3)])
def test_calibration_error_equals_a_count_by_hand(n: int, k: int) -> None:
    log_p, truth = predictions(n, k, n + k, 1.7)
    error, seen = by_hand(log_p, truth, BINS)
    found = Evaluation.of(log_p, truth, class_names(k), "made up")
    assert found.calibration_error == pytest.approx(error, abs=1e-12)
    for one, (count, confidence, accuracy) in zip(found.reliability, seen, strict=True):
        assert one.n == count
        assert (one.confidence, one.accuracy) == (pytest.approx(confidence), pytest.approx(accuracy))
    assert sum(one.n for one in found.reliability) == n
    if k == 2:
        assert not any(one.n for one in found.reliability[:7])


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    with np.errstate(divide="ignore"):
        log_p = np.log(np.array([[0.6, 0.4], [0.4, 0.6], [1.0, 0.0], [0.5, 0.5]]))
    found = Evaluation.of(log_p, np.array([0, 0, 0, 1]), class_names(2), "made up")
    counts = {round(one.high * 15): one.n for one in found.reliability if one.n}
    assert counts in ({9: 2, 15: 1, 8: 1}, {10: 2, 15: 1, 8: 1})  # exp(log(0.6)) may lie a rounding above 9/15


def test_the_card_says_whether_a_model_is_calibrated() -> None:
    """The explanation: tests/cli/test_model_choice.py."""
    other = small_model(TokenEncoding.fit(["a good film", "a bad film"], min_count=1))
    report = CalibrationReport("network x 0.50, shift +0.10", "the validation set", 400, 0.5, 0.4, 0.08, 0.02)
    calibrated = dataclasses.replace(other, metadata=ModelMetadata(calibration=report))
    assert "are calibrated on the data named above only." in calibrated.card()
    assert "from 0.0800 to 0.0200" in calibrated.card()
    assert "are not calibrated." in other.card()
    refused = dataclasses.replace(report, chance=0.0151, uncalibrated_reason="the error is <large>")
    card = dataclasses.replace(other, metadata=ModelMetadata(calibration=refused)).card()
    assert "are not calibrated: the error is <large>." not in card
    assert "Not calibrated: the error is &lt;large&gt;." in card
    assert "are not calibrated: the error is &lt;large&gt;." in card
    assert "an error of up to 0.0151 on so many predictions" in card
    few = dataclasses.replace(other, metadata=ModelMetadata(n_train=23, n_validation=6)).card()
    assert "are not calibrated: 6 validation rows, at least 100 are needed." in few
    assert "All figures are rough estimates: 23 rows train and 6 validate." in few


@pytest.mark.parametrize("n", [80, 3_000])
def test_calibrated_probabilities_exceed_the_error_of_chance_in_one_sample_of_twenty(n: int) -> None:
    rng = np.random.default_rng(n)
    exceeds = []
    for _ in range(300):
        p = rng.beta(0.7, 0.9, n)
        log_p = np.log(np.stack([1 - p, p], axis=1))
        found = Evaluation.of(log_p, (rng.random(n) < p).astype(np.int64), class_names(2), "made up")
        exceeds.append(found.calibration_error > chance_calibration_error(found.reliability))
    assert 0.005 < np.mean(exceeds) < 0.1


@pytest.mark.parametrize(("n", "k"), [(300, 2), (400, 5), (90, 12)])
def test_classification_scores_equal_scikit_learn(n: int, k: int) -> None:
    log_p, truth = predictions(n, k, 3 * n + k, 2.5)
    log_p = np.round(log_p, 1)  # ties
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    found = Evaluation.of(log_p, truth, class_names(k), "made up")
    predicted, p = log_p.argmax(axis=1), np.exp(log_p)
    expected = reference.precision_recall_fscore_support(truth, predicted, labels=range(k), zero_division=0.0)
    np.testing.assert_allclose([found.precision, found.recall, found.f1], expected[:3], atol=1e-12)
    assert found.macro_f1 == pytest.approx(reference.f1_score(truth, predicted, average="macro"), abs=1e-12)
    areas = [reference.roc_auc_score(truth == c, p[:, c]) for c in range(k)]
    assert found.auc == pytest.approx(float(np.mean(areas)), abs=1e-12)
    assert found.loss == pytest.approx(reference.log_loss(truth, p, labels=list(range(k))))
    assert found.brier == pytest.approx(0.5 * np.square(p - np.eye(k)[truth]).sum(axis=1).mean())
    if k == 2:
        assert found.brier == pytest.approx(reference.brier_score_loss(truth, p[:, 1]))
    assert found.as_dict()["reliability"][14]["n"] == found.reliability[14].n


def test_classes_without_rows_and_without_predictions() -> None:
    log_p = np.log(np.array([[0.5, 0.3, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.2, 0.6, 0.1, 0.1]]))
    found = Evaluation.of(log_p, np.array([0, 1, 0]), ("a", "b", "c", "d"), "three rows")
    assert found.recall == (0.5, 1.0, 0.0, 0.0)
    assert found.precision == (1.0, 0.5, 0.0, 0.0)
    assert found.macro_f1 == pytest.approx(2 / 3), "classes c and d occur nowhere"
    assert found.auc == 1.0, "of the two classes with rows on both sides"
    assert Evaluation.of(log_p[:1], np.array([0]), ("a", "b", "c", "d"), "one row").auc is None


def test_top_confusions_are_ordered_by_rows() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    predicted = np.array([1, 1, 0, 0, 1, 1, 1, 1])
    log_p = np.log(np.where(np.eye(3)[predicted] > 0, 0.8, 0.1))
    found = Evaluation.of(log_p, truth, ("a", "b", "c"), "eight rows")
    assert found.top_confusions() == [("c", "b", 3), ("a", "b", 2), ("b", "a", 1)]
    assert found.top_confusions(1) == [("c", "b", 3)]


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (16, 16), (3, 40), (23_457, 25_000)])
def test_the_interval_of_an_accuracy_equals_scipy(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(0.95, "wilson")
    assert wilson_interval(right / n, n) == pytest.approx((expected.low, expected.high), abs=1e-7)
    assert with_interval(0.9383, 25_000) == "0.9383 (95% interval 0.9352 to 0.9412)"


@pytest.mark.parametrize("m", [1, 3])
def test_regression_scores_equal_scikit_learn(m: int) -> None:
    rng = np.random.default_rng(m)
    truth = rng.normal(3, 2, (211, m)) * np.arange(1, m + 1)
    predicted = truth + rng.normal(0.2, 1, truth.shape) * np.arange(1, m + 1)
    found = RegressionEvaluation.of(predicted, truth, [f"y{k}" for k in range(m)], "made up")
    assert found.loss == pytest.approx(reference.mean_squared_error(truth, predicted))
    assert found.rmse == pytest.approx(found.loss**0.5)
    assert found.mae == pytest.approx(reference.mean_absolute_error(truth, predicted))
    assert found.r2 == pytest.approx(reference.r2_score(truth, predicted))
    assert found.r2_each == pytest.approx(reference.r2_score(truth, predicted, multioutput="raw_values"))
    assert found.mae_each == pytest.approx(np.abs(truth - predicted).mean(axis=0))
    assert found.scores["RMSE"] == found.as_dict()["rmse"]


def test_the_standard_error_of_the_rmse_is_its_spread_over_samples() -> None:
    rng = np.random.default_rng(5)
    truth = np.zeros((400, 1))
    found = [RegressionEvaluation.of(rng.laplace(0.1, 1, truth.shape), truth, ["y"], "") for _ in range(300)]
    assert np.mean([one.standard_error for one in found]) == pytest.approx(np.std([one.rmse for one in found]), rel=0.1)


def test_r2_of_a_constant_number() -> None:
    truth = np.full((5, 1), 2.5)
    assert RegressionEvaluation.of(truth, truth, ["y"], "").r2 == 1
    assert RegressionEvaluation.of(truth + 0.5, truth, ["y"], "").r2 == 0
    tenths = np.full((7, 1), 0.1)  # whose mean is not exactly 0.1
    assert RegressionEvaluation.of(tenths + 0.5, tenths, ["y"], "").r2 == 0
    assert RegressionEvaluation.of(truth, truth, ["y"], "").standard_error == 0


def test_multilabel_scores_equal_scikit_learn() -> None:
    rng = np.random.default_rng(8)
    logits = rng.normal(-1, 2, (300, 4))
    truth = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    truth[:, 3] = 0
    predicted = (logits > [0, 0.3, -0.5, 9]).astype(np.int64)
    found = MultilabelEvaluation.of(logits, predicted, truth, ("a", "b", "c", "d"), "made up")
    p = 1 / (1 + np.exp(-logits))
    assert found.accuracy == pytest.approx(reference.accuracy_score(truth, predicted))
    assert found.micro_f1 == pytest.approx(reference.f1_score(truth, predicted, average="micro"))
    assert found.macro_f1 == pytest.approx(reference.f1_score(truth[:, :3], predicted[:, :3], average="macro"))
    each = reference.precision_recall_fscore_support(truth, predicted, zero_division=0)
    for name, column in zip(("precision", "recall", "f1", "support"), each, strict=True):
        assert getattr(found, name) == pytest.approx(column)
    losses = [reference.log_loss(truth[:, k], p[:, k], labels=[0, 1]) for k in range(4)]
    assert found.loss == pytest.approx(np.mean(losses))
    # Expected calibration error over all decisions, as that of the same rows as a problem of two classes.
    flat = np.stack([np.log(1 - p.ravel()), np.log(p.ravel())], axis=1)
    one = Evaluation.of(flat, truth.ravel(), ("no", "yes"), "")
    assert found.calibration_error == pytest.approx(one.calibration_error)


def test_predictions_by_threshold_change_what_is_counted_not_the_probabilities() -> None:
    rng = np.random.default_rng(3)
    p = rng.random(200)
    log_p = np.log(np.stack([1 - p, p], axis=1))
    truth = (rng.random(200) < p).astype(np.int64)
    predicted = (p > 0.3).astype(np.int64)
    plain = Evaluation.of(log_p, truth, ("no", "yes"), "")
    found = Evaluation.of(log_p, truth, ("no", "yes"), "", predicted)
    assert found.accuracy == pytest.approx(reference.accuracy_score(truth, predicted)) != plain.accuracy
    assert found.f1 == pytest.approx(reference.f1_score(truth, predicted, average=None))
    assert (found.loss, found.calibration_error, found.auc) == (plain.loss, plain.calibration_error, plain.auc)


TAGS = ("O", "B-X", "I-X", "B-Y", "I-Y", "E-Y", "S-Y")


def test_entities_are_runs_of_one_type() -> None:
    for sequences, wanted in (
        ([["B-X", "I-X", "O", "I-Y"]], [("X", 0, 1), ("Y", 3, 3)]),
        ([["I-X", "B-X", "I-Y", "I-Y"]], [("X", 0, 0), ("X", 1, 1), ("Y", 2, 3)]),
        ([["O", "B-X"], ["I-X", "O"]], [("X", 1, 1), ("X", 2, 2)]),
        ([["S-Y", "I-Y", "E-Y", "E-Y", "O"]], [("Y", 0, 0), ("Y", 1, 2), ("Y", 3, 3)]),
        ([["O", "O"]], []),
    ):
        labels = np.array([TAGS.index(tag) for row in sequences for tag in row])
        starts = np.cumsum([0, *map(len, sequences[:-1])])
        assert entities_of(labels, starts, TAGS) == wanted


def test_a_tagger_is_evaluated_by_step_and_by_entity() -> None:
    target = target_of(TAGS, "tagging")
    true = [["B-X", "I-X", "O", "B-Y"], ["O", "S-Y"], ["B-X"]]
    said = [["B-X", "I-X", "O", "B-X"], ["O", "S-Y"], ["I-X"]]
    truth = Ragged.of([[TAGS.index(tag) for tag in row] for row in true])
    logits = Ragged.of([5.0 * np.eye(len(TAGS))[[TAGS.index(tag) for tag in row]] for row in said])
    found = target.evaluate(logits, truth, "made")
    assert (found.n, found.sequences, found.accuracy) == (7, 3, pytest.approx(5 / 7))
    counts = {one.type: (one.support, one.predicted, one.correct) for one in found.entities}
    assert counts == {"all": (4, 4, 3), "X": (2, 3, 2), "Y": (2, 1, 1)}
    assert found.scores["entity F1"] == pytest.approx(0.75)
    assert found.scores["row accuracy"] == found.row_accuracy == pytest.approx(1 / 3)
    low, high = found.row_accuracy_interval
    assert low < 1 / 3 < high
    assert [one.f1 for one in found.entities[1:]] == pytest.approx([4 / 5, 2 / 3])
    low, high = found.accuracy_interval
    assert low < found.accuracy < high
    logits_of_words = Ragged.of([[[1.0], [-1.0]]])
    again = target_of(("NOUN", "VERB"), "tagging").evaluate(logits_of_words, Ragged.of([[1, 1]]), "made")
    assert again.entities == ()
    with pytest.raises(InputError, match="row 1: 1 label for 2 steps"):
        target.evaluate(logits, Ragged.of([[0] * 4, [0], [0]]), "made")


def test_the_interval_of_a_tagger_knows_that_steps_of_a_sequence_go_together() -> None:
    truth = np.ones(400, dtype=np.int64)
    together = np.repeat(np.arange(40) % 4 > 0, 10)  # whole sequences are right or wrong
    mixed = np.arange(400) % 4 > 0
    width = []
    for right in (together, mixed):
        logits = np.where(right, 3.0, -3.0)[:, None]
        lengths = np.full(40, 10)
        found = target_of(("a", "b"), "tagging").evaluate(Ragged(logits, lengths), Ragged(truth, lengths), "made")
        assert found.accuracy == 0.75
        width.append(found.accuracy_interval[1] - found.accuracy_interval[0])
    assert width[0] > 2.5 * width[1]
