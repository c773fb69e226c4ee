"""Figures of a prediction: accuracy, macro F1, log loss, expected calibration error."""

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 15


def figures(truth: list[str], predicted: Any, probabilities: Any, classes: list[str]) -> dict[str, float]:
    """truth (n,) and predicted (n,) labels; probabilities (n, K) in the order of `classes`, or None.

    Macro F1 is the mean over the classes of the truth and of the prediction, as scikit-learn's `f1_score`. Calibration
    error: 15 bins of the top probability (Guo et al. 2017). A label that the model has no class for counts 1e-15.
    """
    actual, given = np.asarray(truth), np.asarray(predicted)
    f1 = []
    for name in np.union1d(actual, given):
        hits, both = ((actual == name) & (given == name)).sum(), (actual == name).sum() + (given == name).sum()
        f1.append(2 * hits / both)
    out = {"accuracy": float((actual == given).mean()), "macro_f1": float(np.mean(f1))}
    if probabilities is None:
        return out
    p = np.asarray(probabilities, dtype=np.float64)
    place = {name: column for column, name in enumerate(classes)}
    of_truth = np.array([p[row, place[name]] if name in place else 0.0 for row, name in enumerate(truth)])
    top, right = p.max(axis=1), actual == given
    which = np.minimum((top * BINS).astype(int), BINS - 1)
    gaps = [abs(top[which == b].sum() - right[which == b].sum()) for b in range(BINS)]
    return out | {
        "log_loss": float(-np.log(np.maximum(of_truth, 1e-15)).mean()),
        "calibration_error": float(sum(gaps) / len(top)),
    }
