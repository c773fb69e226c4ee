"""Class weights: how much more a row of a rare class counts in the loss than one of a frequent class.

Training with weight w_k for class k fits the probabilities of a population in which class k is w_k times as frequent.
Subtracting log w_k from each logit gives the probabilities of the data's own frequencies again (Elkan 2001, theorem 2):

    logit_k ← logit_k - log w_k

Each part of a model is corrected right after its fit, so that calibration, evaluation and probabilities are those of
the data as they are. The weights act on what the parts learn, and on the decisions (`gatewise.training.thresholds`):

    a weight per class    the predicted class has the largest w_k p_k: w_k is the cost of an error in class k
    "balanced"            the thresholds have the highest F1 of the rare class on rows that were held out

Both mean the same in `gatewise.train` and in the estimators of `gatewise.sklearn`. Several labels per row always have
the thresholds of F1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data import Labelled
from gatewise.errors import InputError, quote
from gatewise.types import Array

ClassWeight = str | Mapping[Any, float]


def class_weights(data: Labelled, train: NDArray[np.int64], class_weight: ClassWeight | None) -> Array | None:
    """Weights (K,) of the classes, or for multi-label of a row with the label against a row without it; None for None.

    "balanced": in inverse proportion to the rows in the training part, n / (K n_k) as in scikit-learn; for multi-label
    (n - n_k) / n_k. A mapping has a weight above 0 per label; other labels have 1. Raises InputError for regression and
    for unknown labels.
    """
    if class_weight is None:
        return None
    if data.task == "regression":
        raise InputError("class_weight is for classes: a regression has none; use sample_weight")
    k = len(data.classes)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise InputError(f"class_weight must be 'balanced' or a weight per class, not {quote(class_weight)}")
        if data.task == "multilabel":
            rows = data.labels[train].sum(axis=0)
            return np.asarray((len(train) - rows) / np.maximum(rows, 1)).clip(min=1 / len(train))
        rows = np.bincount(data.labels[train], minlength=k)
        return np.asarray(len(train) / (k * np.maximum(rows, 1)))
    if not isinstance(class_weight, Mapping):
        raise InputError(f"class_weight must be 'balanced' or a mapping, not {type(class_weight).__name__}")
    weights, own = np.ones(k), data.target.class_labels.tolist()
    for label, weight in class_weight.items():
        if label not in own and str(label) not in data.classes:
            raise InputError(f"class_weight: the data has no class {quote(str(label))}")
        try:
            weights[own.index(label) if label in own else data.classes.index(str(label))] = weight
        except (TypeError, ValueError):
            raise InputError(f"class_weight: the weight of {quote(str(label))} is not a number") from None
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise InputError("class_weight: the weights must be finite and above 0")
    return weights


def logit_shift(weights: Array, task: str) -> Array:
    """What to subtract from the logits (outputs,) of a part that was fitted with class weights (K,)."""
    shift = np.log(weights)
    return np.asarray(shift[1:] - shift[0] if task == "classification" and len(shift) == 2 else shift)


def row_weights(data: Labelled, train: NDArray[np.int64], weights: Array | None) -> NDArray[np.float32] | None:
    """Weight of each row in the loss (n,), for multi-label with class weights of each label (n, K): its sample_weight
    times the weight of its class. The mean over the training rows is 1; None where all are equal.
    """
    each = data.sample_weight
    if weights is not None and data.task == "multilabel":
        each = each[:, None] * np.where(data.labels == 1, weights, 1.0)
    elif weights is not None:
        each = each * weights[data.labels]
    if (each == each.flat[0]).all():
        return None
    return np.asarray(each / each[train].mean(), dtype=np.float32)
