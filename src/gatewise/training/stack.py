"""Weights of members whose logits are added, fitted to their held-out logits."""

from __future__ import annotations

import numpy as np

from gatewise.training.dense_solver import fit_glm
from gatewise.types import Array, Task


def fit_weights(
    logits: Array,
    targets: Array,
    prior: Array,
    l2: float | Array,
    *,
    task: Task = "classification",
    sample_weight: Array | None = None,
    l2_shift: float | None = None,
    lowest: float | None = None,
) -> tuple[Array, Array]:
    """Weights (P,) and shift (outputs,) of P members' logits (n, outputs, P), see `fit_glm`.

    A regression has the squared error over twice its variance, which is that of the prior's prediction, so that a
    penalty means the same for every task. l2_shift: None for a shift of 0.
    """
    if task == "regression":
        error = np.square(logits @ prior - targets).mean(axis=1)
        variance = max(float(np.average(error, weights=sample_weight)), 1e-12)
        l2, l2_shift = l2 * variance, None if l2_shift is None else l2_shift * variance
    return fit_glm(
        logits, targets, l2, task=task, prior=prior, l2_shift=l2_shift, lowest=lowest, sample_weight=sample_weight
    )
