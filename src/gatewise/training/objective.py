"""The objective of a training run by task: the loss of a batch, and the scores of the validation part.

    classification   cross-entropy of the softmax; with two classes binary cross-entropy of the one logit
    multi-label      binary cross-entropy of each label, the mean over the labels
    regression       squared error of the standardised numbers, the mean over the numbers

Each row, or each label of a row, counts with its weight; the loss of a batch is the mean over its rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from gatewise.metrics import accuracy_and_loss
from gatewise.target import log_probabilities
from gatewise.training.soft_labels import soft_cross_entropy
from gatewise.training.training_data import TrainingData
from gatewise.types import Array


class Scores(NamedTuple):
    """loss: what training minimises; accuracy: of classification, or the subset accuracy of multi-label; rmse: of
    regression, in the unit of the numbers.
    """

    loss: float
    accuracy: float | None = None
    rmse: float | None = None


def loss_of(training_data: TrainingData, logits: Tensor, rows: NDArray[np.int64]) -> Tensor:
    """The mean loss of logits (B, outputs) of these rows."""
    soft, weights, task = training_data.soft_targets, training_data.weights, training_data.data.task
    weight = None if weights is None else torch.from_numpy(weights[rows])
    if task == "regression":
        assert training_data.target_scaling is not None
        numbers = torch.from_numpy(training_data.target_scaling.transform(training_data.labels[rows])).float()
        squares = (logits - numbers).square().mean(dim=1)
        return squares.mean() if weight is None else (squares * weight).mean()
    if soft is not None:
        soft_weight = torch.from_numpy(soft.weights[rows])
        return soft_cross_entropy(
            logits, torch.from_numpy(soft.targets[rows]), soft_weight if weight is None else soft_weight * weight
        )
    target = torch.from_numpy(training_data.labels[rows])
    if task == "multilabel":
        return binary_cross_entropy_with_logits(logits, target.to(logits.dtype), weight=weight)
    if logits.shape[1] == 1:
        return binary_cross_entropy_with_logits(logits[:, 0], target.to(logits.dtype), weight=weight)
    if weight is None:
        return cross_entropy(logits, target)
    return (cross_entropy(logits, target, reduction="none") * weight).mean()


def correct_rows(training_data: TrainingData, logits: Tensor, rows: NDArray[np.int64]) -> int:
    """How many rows are predicted correctly, in all their labels; 0 for regression."""
    task = training_data.data.task
    if task == "regression":
        return 0
    target = torch.from_numpy(training_data.labels[rows])
    if task == "multilabel":
        return int(((logits > 0) == (target > 0)).all(dim=1).sum())
    predicted = (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)
    return int((predicted == target).sum())


def scores_of(training_data: TrainingData, logits: Array, rows: NDArray[np.int64]) -> Scores:
    """The scores of a model's logits (n, outputs) on these rows. The loss is a weighted mean where rows have weights,
    accuracy and RMSE are not.
    """
    labels, weights, task = training_data.labels[rows], training_data.weights, training_data.data.task
    weight = None if weights is None else weights[rows].astype(np.float64)
    if task == "classification":
        log_p = log_probabilities(logits)
        accuracy, loss = accuracy_and_loss(log_p, labels)
        if weight is not None:
            loss = float(np.average(-log_p[np.arange(len(labels)), labels], weights=weight))
        return Scores(loss, accuracy)
    z = logits.astype(np.float64)
    if task == "multilabel":
        losses = np.logaddexp(0, z) - labels * z  # (n, K)
        accuracy = float(((z > 0) == (labels > 0)).all(axis=1).mean())
        return Scores(float(np.average(losses, weights=weight)), accuracy)
    assert training_data.target_scaling is not None
    squares = np.square((z - labels) / training_data.target_scaling.scale).mean(axis=1)  # (n,)
    return Scores(float(np.average(squares, weights=weight)), rmse=float(np.square(z - labels).mean() ** 0.5))
