"""The objective of a training run by task: the loss of a batch, and the scores of the validation part.

    classification   cross-entropy of the softmax; with two classes binary cross-entropy of the one logit
    multi-label      binary cross-entropy of each label, the mean over the labels
    regression       squared error of the standardised numbers, the mean over the numbers

Each row, or each label of a row, counts with its weight; the loss of a batch is the mean over its rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.metrics import accuracy_and_loss
from gatewise.target import log_probabilities
from gatewise.training.training_data import TrainingData
from gatewise.types import Array


class Scores(NamedTuple):
    """loss: what training minimises; accuracy: of classification, or the subset accuracy of multi-label; rmse: of
    regression, in the unit of the numbers.
    """

    loss: float
    accuracy: float | None = None
    rmse: float | None = None


def loss_of(training_data: TrainingData, logits: Array, rows: NDArray[np.int64]) -> tuple[float, Array]:
    """The mean loss of logits (B, outputs) of these rows, and its gradient (B, outputs) in float64."""
    soft, weights, task = training_data.soft_targets, training_data.weights, training_data.data.task
    z, labels = logits.astype(np.float64), training_data.labels[rows]
    weight = np.ones(len(rows)) if weights is None else weights[rows].astype(np.float64)
    if weight.ndim == 1:
        weight = weight[:, None]  # (B, 1), of multi-label rows with class weights (B, K)
    if task == "regression":
        assert training_data.target_scaling is not None
        return mean_squared_error(z, training_data.target_scaling.transform(labels), weight)
    if task == "multilabel":
        return binary_cross_entropy(z, labels.astype(np.float64), weight)
    if soft is not None:
        weight = weight * soft.weights[rows][:, None]
        targets = soft.targets[rows].astype(np.float64)
    else:
        targets = np.eye(max(2, z.shape[1]))[labels]
    if z.shape[1] == 1:
        return binary_cross_entropy(z, targets[:, 1:], weight)
    return cross_entropy(z, targets, weight)


def binary_cross_entropy(z: Array, targets: Array, weight: Array) -> tuple[float, Array]:
    """Mean over the elements of logits and targets (B, K), weight (B, 1) or (B, K); and its gradient in the logits."""
    losses = weight * (np.logaddexp(0, z) - targets * z)
    return float(losses.mean()), weight * (0.5 * (1 + np.tanh(0.5 * z)) - targets) / z.size


def cross_entropy(z: Array, targets: Array, weight: Array) -> tuple[float, Array]:
    """Mean over the rows of logits and target probabilities (B, K), weight (B, 1); and its gradient in the logits."""
    log_p = log_probabilities(z)
    losses = -weight[:, 0] * (targets * log_p).sum(axis=1)
    return float(losses.mean()), weight * (np.exp(log_p) * targets.sum(axis=1, keepdims=True) - targets) / len(z)


def mean_squared_error(z: Array, targets: Array, weight: Array) -> tuple[float, Array]:
    """Mean over the elements of outputs and targets (B, M), weight (B, 1); and its gradient in the outputs."""
    error = z - targets
    return float((weight * np.square(error)).mean()), 2 * weight * error / z.size


def correct_rows(training_data: TrainingData, logits: Array, rows: NDArray[np.int64]) -> int:
    """How many rows are predicted correctly, in all their labels; 0 for regression."""
    task, labels = training_data.data.task, training_data.labels[rows]
    if task == "regression":
        return 0
    if task == "multilabel":
        return int(((logits > 0) == (labels > 0)).all(axis=1).sum())
    predicted = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(axis=1)
    return int((predicted == labels).sum())


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
        if weight is not None:
            weight = np.broadcast_to(weight.reshape(len(z), -1), losses.shape)  # of a row (n,) or of each label (n, K)
        return Scores(float(np.average(losses, weights=weight)), accuracy)
    assert training_data.target_scaling is not None
    squares = np.square((z - labels) / training_data.target_scaling.scale).mean(axis=1)  # (n,)
    return Scores(float(np.average(squares, weights=weight)), rmse=float(np.square(z - labels).mean() ** 0.5))
