"""Losses of logits against targets, with their gradients: functions of arrays.

Each takes logits z (n, outputs) and targets y (n, outputs) in float64 and returns the losses and the gradient
(n, outputs) of their sum with respect to z. A `Loss` is one of them with what a solver must know of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gatewise.types import Array


def squared_error(z: Array, y: Array) -> tuple[Array, Array]:
    """(z - y)² of each number: losses (n, outputs)."""
    return np.square(z - y), 2 * (z - y)


def binary_cross_entropy(z: Array, y: Array) -> tuple[Array, Array]:
    """Cross-entropy of the sigmoid of each logit, in nats: losses (n, outputs)."""
    return np.logaddexp(0, z) - y * z, sigmoid(z) - y


def cross_entropy(z: Array, y: Array) -> tuple[Array, Array]:
    """Cross-entropy of the softmax, in nats: losses (n, 1). One logit is that of class 1 against class 0."""
    if z.shape[1] == 1:
        return binary_cross_entropy(z, y)
    log_p = log_probabilities(z)
    loss = -(y * log_p).sum(axis=1, keepdims=True)
    return loss, np.exp(log_p) * y.sum(axis=1, keepdims=True) - y


def log_probabilities(logits: Array) -> Array:
    """The logarithm of the softmax (n, K) float64 of logits (n, outputs). A single logit is that of class 1 against
    class 0.
    """
    z = logits.astype(np.float64)
    if z.shape[1] == 1:
        z = np.concatenate([np.zeros_like(z), z], axis=1)
    z = z - z.max(axis=1, keepdims=True)
    log_p: Array = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return log_p


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z) in the dtype of z (...); by tanh, which does not overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))


class Loss(NamedTuple):
    """A loss by its function. has_unit: whether it has the unit of the targets, squared, so that a penalty must be
    scaled by their variance.
    """

    function: Callable[[Array, Array], tuple[Array, Array]]
    has_unit: bool = False

    def __call__(self, z: Array, y: Array) -> tuple[Array, Array]:
        """Losses and their gradient; see the module."""
        return self.function(z, y)


CROSS_ENTROPY = Loss(cross_entropy)
BINARY_CROSS_ENTROPY = Loss(binary_cross_entropy)
SQUARED_ERROR = Loss(squared_error, has_unit=True)
