"""A model is called calibrated only where rows that the fit has not seen show it; a card has one shift."""

import re
from functools import partial
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.losses import log_probabilities
from gatewise.metrics import Evaluation
from gatewise.target import target_of
from gatewise.training import calibration
from gatewise.training.calibration import FOLDS, calibration_report, out_of_fold
from gatewise.training.stack import FittedMember, HeldOutTargets, stack, stack_out_of_fold
from gatewise.types import Array
from tests.training.targets import targets_of
from tests.training.texts import made_reviews

TWO = target_of(("no", "yes"))


def member(logits: Array) -> FittedMember:
    return FittedMember(None, np.zeros(logits.shape[1]), held_out=logits)


def rows(n: int, seed: int, scale: float = 1.0) -> tuple[Array, Array]:
    """Logits (n, 1), times scale, and labels (n,) that follow from them without it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.3, 1.7, (n, 1))
    return scale * logits, (rng.random(n) < 1 / (1 + np.exp(-logits[:, 0]))).astype(np.int64)


def measured_on(logits: Array, labels: Array, groups: Array | None = None) -> Any:
    groups = np.arange(len(labels)) if groups is None else groups
    targets = labels[:, None].astype(np.float64)
    predictions = partial(out_of_fold, [member(logits)], HeldOutTargets(targets_of(targets)), np.ones(len(labels), int))
    return calibration_report(predictions, labels, groups, TWO, method="made up", data="rows")


def test_an_overconfident_member_is_called_calibrated_after_the_fit() -> None:
    logits, labels = rows(2_000, 1, 3.0)
    report = measured_on(logits, labels)
    assert report.uncalibrated_reason == ""
    assert report.calibration_error_after < report.chance < 0.05 < report.calibration_error_before
    assert report.loss_after < report.loss_before


def test_the_figures_are_those_of_rows_that_the_fit_has_not_seen() -> None:
    logits, labels = rows(230, 2, 2.0)
    groups = np.arange(230) // 3
    targets = labels[:, None].astype(np.float64)
    folds = calibration._folds(groups)
    assert len(np.unique(folds)) == FOLDS
    assert all(len(np.unique(folds[groups == group])) == 1 for group in np.unique(groups))
    combined = stack_out_of_fold([member(logits)], HeldOutTargets(targets_of(targets)), folds)
    for fold in range(FOLDS):
        found = stack([member(logits[folds != fold])], HeldOutTargets(targets_of(targets[folds != fold])))
        expected = logits[folds == fold] * found.weights[0] + found.shift
        np.testing.assert_allclose(combined[folds == fold], expected, atol=1e-12)
    report = measured_on(logits, labels, groups)
    measured = Evaluation.of(log_probabilities(combined), labels, TWO.classes, "")
    # Products of matrices of other shapes may be rounded in another way.
    expected = pytest.approx((measured.loss, measured.calibration_error), rel=1e-12)
    assert (report.loss_after, report.calibration_error_after) == expected
    of_fit = stack([member(logits)], HeldOutTargets(targets_of(targets))).held_out
    assert Evaluation.of(log_probabilities(of_fit), labels, TWO.classes, "").loss < report.loss_after


def test_a_fit_that_does_not_help_is_not_called_calibrated() -> None:
    """Labels that no weight and no shift can fit: probabilities are right below the logit 0, and a half above it."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 3, (3_000, 1))
    p = np.where(logits[:, 0] < 0, 0.02, 0.55)
    report = measured_on(logits, (rng.random(3_000) < p).astype(np.int64))
    assert report.uncalibrated_reason.startswith(
        f"the calibration error is {report.calibration_error_after:.4f}, and that of"
    )
    assert f"on 3,000 predictions is at most {report.chance:.4f} in 95% of samples" in report.uncalibrated_reason


@pytest.mark.parametrize(
    ("before", "after", "chance", "calibrated"),
    [
        (0.0548, 0.0651, 0.08, False),
        (0.0651, 0.0548, 0.08, True),
        (0.0651, 0.0548, 0.05, False),
        (0.03, 0.019, 0.005, True),
    ],
)
def test_the_rule(before: float, after: float, chance: float, calibrated: bool) -> None:
    why = calibration.uncalibrated_reason(before, after, chance, 1_000)
    assert (why == "") == calibrated
    if after > before:
        assert why == f"the calibration error is {after:.4f} after the fit and {before:.4f} before it"


def test_few_rows_make_no_claim() -> None:
    logits, labels = rows(99, 4)
    assert measured_on(logits, labels) is None
    with pytest.raises(InputError, match="one shape"):
        measured_on(*(one[:150] for one in (rows(200, 5)[0], rows(149, 5)[1])))


@pytest.mark.parametrize("labels", ["two", "three"])
def test_the_card_has_one_shift_and_it_is_applied(labels: str) -> None:
    data = made_reviews(500, 60)
    texts = [str(text) for text in data.inputs]
    names = [data.classes[k] for k in data.labels]
    if labels == "three":
        names = ["long" if len(text) > 75 else name for name, text in zip(names, texts, strict=True)]
    settings: dict[str, Any] = {"units": 6, "embedding_dim": 6, "vocab_size": 80, "epochs": 1, "seed": 4}
    model = gw.train(texts, names, validation__fraction=0.4, class_weight="balanced", verbose=0, **settings)
    shown = " ".join(f"{one:+.2f}" for one in model.ensemble.shift)
    card = model.card()
    assert model.ensemble.shift.any()
    assert f"Shift: {shown.replace(' ', ', ')}." in card
    assert re.findall(r"shift ([-+.\d ]+),", card) == [shown]


def test_29_rows_are_not_called_calibrated_and_the_card_has_their_number() -> None:
    rng = np.random.default_rng(6)
    texts = [" ".join(rng.choice(["a", "b", "c", "d", "e", "f"], 5)) + f" w{n}" for n in range(29)]
    model = gw.train(texts, rng.integers(0, 2, 29), epochs=1, units=4, verbose=0)
    n = model.metadata.n_validation
    card = model.card()
    assert not model.metadata.calibrated
    assert f"are not calibrated: {n} validation rows, at least 100 are needed" in card
    assert f"All figures are rough estimates: {29 - n} rows train and {n} validate." in card
    assert "(calibrated)" not in str(model.explain(texts[0]))
