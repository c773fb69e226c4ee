"""Weigh the network and the n-grams against each other, and calibrate what comes out, on texts that trained neither.

    logit = a lstm + b ngrams + c

fitted by logistic regression on the validation part (Platt 1999; a alone is the temperature of Guo et al. 2017): a and
b are numbers, c one number a logit. The penalty

    HELD / 2 ((a - 1)² + (b - 1)² + Σ c²)

draws towards the plain sum. Over thousands of rows it is not felt; a hundred rows cannot lead far away. Nothing is left
to store: a and c go into the dense layer, b into the n-grams' weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gatewise.errors import InputError
from gatewise.network.ngrams import Ngrams
from gatewise.types import Array

__all__ = ["L2", "EnsembleWeights", "fit_ensemble_weights", "fold", "weights_of"]

L2 = 5.0  # small enough for thousands of rows, large enough for a hundred: docs/log/accuracy.md


class EnsembleWeights(NamedTuple):
    """logit = network lstm + ngrams n-grams + shift (outputs,); rows: how many it was fitted on."""

    network: float
    ngrams: float
    shift: Array
    rows: int

    def __str__(self) -> str:
        parts = f"network x {self.network:.2f}" + (f", n-grams x {self.ngrams:.2f}" if self.ngrams else "")
        shift = ", ".join(f"{c:+.2f}" for c in self.shift)
        return f"{parts}, shift {shift}, fitted on {self.rows:,} validation rows"


def fit_ensemble_weights(network: Array, ngrams: Array | None, targets: Array, held: float = L2) -> EnsembleWeights:
    """Fit a, b and c. network, ngrams: the two paths' logits (n, outputs) of the same rows, None for no n-grams;
    targets (n, outputs): probabilities as `targets_of` gives them. Raises InputError for shapes that differ or no row.
    """
    n = len(network)
    if not n or targets.shape != network.shape or (ngrams is not None and ngrams.shape != network.shape):
        raise InputError("weigh: want logits of both paths and targets of the same shape (n, outputs), n at least 1")
    paths = [network] if ngrams is None else [network, ngrams]
    found, shift = weights_of(np.stack(paths, axis=2), targets, np.ones(len(paths)), held)
    return EnsembleWeights(float(found[0]), float(found[1]) if ngrams is not None else 0.0, shift, n)


def weights_of(logits: Array, targets: Array, start: Array, held: float) -> tuple[Array, Array]:
    """Weights (P,) and shift (outputs,) of the sum of P paths' logits (n, outputs, P) that tells the targets
    (n, outputs) best; the penalty, times `held`, draws towards `start` (P,) and no shift.
    """
    n, outputs, paths = logits.shape
    shifts = np.broadcast_to(np.eye(outputs), (n, outputs, outputs))
    x = np.concatenate([logits.astype(np.float64), shifts], axis=2)  # (n, outputs, P + outputs)
    y = targets
    if outputs == 1:  # two classes of which the first one's logit is 0
        x = np.concatenate([np.zeros_like(x), x], axis=1)
        y = np.concatenate([1 - y, y], axis=1)
    found = _newton(x, y, np.concatenate([start, np.zeros(outputs)]), held)
    return found[:paths], found[paths:]


def fold(
    parameters: Mapping[str, Array], ngrams: Ngrams | None, bias: Array, weighing: EnsembleWeights
) -> tuple[dict[str, Array], Ngrams | None]:
    """The parameters and n-grams of one model whose logit is the weighed sum. bias (outputs,): the n-grams' own."""
    weight, old = parameters["dense.weight"], parameters["dense.bias"]
    shift = weighing.network * old.astype(np.float64) + weighing.ngrams * bias + weighing.shift
    dense = {
        "dense.weight": (weighing.network * weight.astype(np.float64)).astype(weight.dtype),
        "dense.bias": shift.astype(old.dtype),
    }
    if ngrams is not None:
        ngrams = replace(ngrams, weight=(weighing.ngrams * ngrams.weight.astype(np.float64)).astype(np.float32))
    return {**parameters, **dense}, ngrams


def _newton(x: Array, y: Array, start: Array, held: float) -> Array:
    """argmin over θ (P,) of Σ cross-entropy of softmax(x θ) against y (n, K) + held/2 |θ - start|²; convex."""

    def loss(theta: Array) -> float:
        z = x @ theta  # (n, K)
        top = z.max(axis=1, keepdims=True)
        log_p = z - top - np.log(np.exp(z - top).sum(axis=1, keepdims=True))
        return float(-(y * log_p).sum() + 0.5 * held * np.square(theta - start).sum())

    theta, now = start, loss(start)
    for _ in range(100):
        z = x @ theta
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        mean = np.einsum("nk,nkp->np", p, x)
        gradient = np.einsum("nk,nkp->p", p - y, x) + held * (theta - start)
        hessian = np.einsum("nk,nkp,nkq->pq", p, x, x) - mean.T @ mean + held * np.eye(len(theta))
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while (then := loss(theta - size * step)) > now and size > 1e-8:
            size /= 2
        theta, before, now = theta - size * step, now, min(then, now)
        if before - now <= 1e-10 * max(1.0, abs(now)):
            break
    return theta
