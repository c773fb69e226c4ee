"""Activations of dense layers. Names and definitions as in Keras 3; gelu is the exact one, with the error function."""

import math
from collections.abc import Callable

import numpy as np

from gatewise.cell import sigmoid
from gatewise.types import Activation, Array

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # of selu (Klambauer et al. 2017)
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _normal_cdf(x: Array) -> Array:
    return np.asarray((1 + _erf(x / math.sqrt(2))) / 2).astype(x.dtype)


def _below(x: Array) -> Array:
    return np.asarray(np.expm1(np.minimum(x, 0)))  # exp would overflow above 0


ACTIVATIONS: dict[Activation, tuple[Callable[[Array, float], Array], Callable[[Array, Array, float], Array]]] = {
    "linear": (lambda x, a: x, lambda x, y, a: np.ones_like(x)),
    "relu": (lambda x, a: np.maximum(x, 0), lambda x, y, a: (x > 0).astype(x.dtype)),
    "leaky_relu": (lambda x, a: np.where(x > 0, x, a * x), lambda x, y, a: np.where(x > 0, np.ones_like(x), a)),
    "tanh": (lambda x, a: np.tanh(x), lambda x, y, a: 1 - y**2),
    "sigmoid": (lambda x, a: sigmoid(x), lambda x, y, a: y * (1 - y)),
    "hard_sigmoid": (lambda x, a: np.clip(x / 6 + 0.5, 0, 1), lambda x, y, a: (np.abs(x) < 3).astype(x.dtype) / 6),
    "gelu": (
        lambda x, a: x * _normal_cdf(x),
        lambda x, y, a: _normal_cdf(x) + x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi),
    ),
    "elu": (lambda x, a: np.where(x > 0, x, _below(x)), lambda x, y, a: np.where(x > 0, np.ones_like(x), y + 1)),
    "selu": (
        lambda x, a: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * _below(x)),
        lambda x, y, a: np.where(x > 0, np.full_like(x, SELU_SCALE), y + SELU_SCALE * SELU_ALPHA),
    ),
    "silu": (lambda x, a: x * sigmoid(x), lambda x, y, a: y + sigmoid(x) * (1 - y)),
    "softplus": (lambda x, a: np.logaddexp(x, np.zeros_like(x)), lambda x, y, a: sigmoid(x)),
    "softsign": (lambda x, a: x / (1 + np.abs(x)), lambda x, y, a: 1 / (1 + np.abs(x)) ** 2),
}
"""By name: the value (x, a) and the slope (x, value, a), in the dtype of x. a: the slope of "leaky_relu" below 0."""
