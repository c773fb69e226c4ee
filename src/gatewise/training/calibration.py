"""Whether held-out rows show that a stack is calibrated: the report that the model card has.

The weights and the shift of a stack are fitted to the validation rows, so its calibration error on these rows is too
low. Here each fifth of them is predicted by weights and a shift that are fitted to the other four fifths (Stone 1974).
The epoch was chosen on all of them.

A model is called calibrated where the validation set has `MIN_CALIBRATION_ROWS` rows or more, its expected calibration
error is not above that of the plain sum of the members, and not above what calibrated probabilities show by chance on
as many rows, or `SMALL_ERROR`: thousands of rows show an error that does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gatewise.metrics import chance_calibration_error
from gatewise.model.card import MIN_CALIBRATION_ROWS, CalibrationReport
from gatewise.ragged import Ragged, flat
from gatewise.target import Target
from gatewise.training.stack import FittedMember, HeldOutTargets, held_out_logits, stack_out_of_fold
from gatewise.types import Array, Lengths

FOLDS = 5
SMALL_ERROR = 0.02  # a calibration error that no row count makes a fault


OutOfFold = Callable[[NDArray[np.int64]], tuple[Array, Array]]
"""From the fold of each row (n,): logits (N, outputs) of the rows, or of their steps, of the plain sum of the members,
and of the stack that is fitted to the other folds.
"""


def out_of_fold(
    members: Sequence[FittedMember], targets: HeldOutTargets, lengths: Lengths, folds: NDArray[np.int64]
) -> tuple[Array, Array]:
    """See `OutOfFold`: the plain sum of the members, and the stack. lengths (n,): the steps of each row, or 1."""
    before = np.asarray(held_out_logits(members, targets).sum(axis=2))
    return before, stack_out_of_fold(members, targets, np.repeat(folds, lengths))


def calibration_report(
    predictions: OutOfFold,
    labels: Array | Ragged,
    groups: NDArray[np.int64],
    target: Target,
    *,
    method: str,
    data: str,
) -> CalibrationReport | None:
    """The report of a classifier; None for fewer than `MIN_CALIBRATION_ROWS` rows.

    labels: of the validation rows, as `Labelled` holds them. groups: of these rows; a group
    is in one fold. method, data: for the report.
    """
    if len(labels) < MIN_CALIBRATION_ROWS:
        return None
    before, after = predictions(_folds(groups))
    how = (
        "each fifth with weights and a shift that are fitted to the other fifths; before: the plain sum of the members"
    )
    return report_of(target, before, after, labels, method=method, data=f"{data}, {how}")


def report_of(
    target: Target, before: Array, after: Array, labels: Array | Ragged, *, method: str, data: str
) -> CalibrationReport:
    """The report from logits (n, outputs) before and after the fit of weights and shift, of rows that this fit has not
    seen, and their labels. method, data: for the report.
    """
    truth = flat(labels)  # with a label per step (N, ...)
    error_before, _ = target.each.reliability(before, truth)
    error_after, bins = target.each.reliability(after, truth)
    chance = chance_calibration_error(bins)
    return CalibrationReport(
        method,
        data,
        len(after),
        loss_before=_loss(target, before, truth),
        loss_after=_loss(target, after, truth),
        calibration_error_before=error_before,
        calibration_error_after=error_after,
        chance=chance,
        uncalibrated_reason=uncalibrated_reason(error_before, error_after, chance, len(after)),
    )


def uncalibrated_reason(before: float, after: float, chance: float, n: int) -> str:
    """Why a model with these calibration errors on n predictions is not called calibrated; "" if it is."""
    if after > before:
        return f"the calibration error is {after:.4f} after the fit and {before:.4f} before it"
    if after > max(chance, SMALL_ERROR):
        return (
            f"the calibration error is {after:.4f}, and that of calibrated probabilities on {n:,} predictions is at "
            f"most {chance:.4f} in 95% of samples"
        )
    return ""


def _folds(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fold of each row (n,); the rows of a group have one."""
    names, number = np.unique(groups, return_inverse=True)
    return np.asarray(np.random.default_rng(0).permutation(len(names))[number] % FOLDS)


def _loss(target: Target, logits: Array, truth: Array) -> float:
    """The mean loss of logits (n, outputs) against labels, each with the same weight."""
    losses, _ = target.each.loss(logits.astype(np.float64), target.each.encode(truth))
    return float(losses.mean())
