"""Scores of regression and multi-label predictions against scikit-learn; predictions by threshold."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from gatewise.metrics import Evaluation, MultilabelEvaluation, RegressionEvaluation


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
