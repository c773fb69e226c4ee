"""Weights of models whose logits are added: logistic or linear regression drawn towards a prior."""

from __future__ import annotations

import numpy as np

from gatewise.types import Array, Task


def fit_weights(
    logits: Array,
    targets: Array,
    prior: Array,
    l2: float,
    *,
    task: Task = "classification",
    sample_weight: Array | None = None,
    shift: bool = True,
) -> tuple[Array, Array]:
    """Weights (P,) and shift (outputs,) of P models' logits (n, outputs, P) with the least loss against targets
    (n, outputs) + l2/2 (|weights - prior|² + |shift|²). shift False: it is 0, where the logits are calibrated already.

    The loss is the sum over the rows, with weights sample_weight (n,), of the cross-entropy; for multi-label over the
    labels too; for regression of the squared error over twice its variance, which is that of the prior's prediction.
    """
    n, outputs, models = logits.shape
    shifts = np.broadcast_to(np.eye(outputs), (n, outputs, outputs))[:, :, : outputs if shift else 0]
    x = np.concatenate([logits.astype(np.float64), shifts], axis=2)  # (n, outputs, P + outputs)
    y, weight = targets, np.ones(n) if sample_weight is None else sample_weight
    start = np.concatenate([prior, np.zeros(shifts.shape[2])])
    if task == "regression":
        theta = _least_squares(x, y, weight, start, l2)
        return theta[:models], theta[models:] if shift else np.zeros(outputs)
    if task == "multilabel":  # each label of a row is a row of two classes
        x, y = x.reshape(n * outputs, 1, -1), y.reshape(n * outputs, 1)
        weight = np.repeat(weight, outputs)
    if y.shape[1] == 1:  # two classes, the first one's logit is 0
        x = np.concatenate([np.zeros_like(x), x], axis=1)
        y = np.concatenate([1 - y, y], axis=1)
    theta = _newton(x, y, weight, start, l2)
    return theta[:models], theta[models:] if shift else np.zeros(outputs)


def _least_squares(x: Array, y: Array, weight: Array, prior: Array, l2: float) -> Array:
    """argmin over θ (P,) of Σ weight (x θ - y)² / (2 variance) + l2/2 |θ - prior|², for x (n, K, P), y (n, K) and
    weight (n,); the variance is the mean of (x prior - y)².
    """
    error = x @ prior - y
    variance = max(float(np.average(np.square(error).mean(axis=1), weights=weight)), 1e-12)
    weighted = x * weight[:, None, None]
    hessian = np.einsum("nkp,nkq->pq", weighted, x) / variance + l2 * np.eye(len(prior))
    return prior - np.linalg.solve(hessian, np.einsum("nkp,nk->p", weighted, error) / variance)


def _newton(x: Array, y: Array, weight: Array, prior: Array, l2: float) -> Array:
    """argmin over θ (P,) of Σ weight (n,) cross-entropy of softmax(x θ) against y (n, K) + l2/2 |θ - prior|²: convex,
    by Newton's method with step halving.
    """

    def loss(theta: Array) -> float:
        z = x @ theta  # (n, K)
        top = z.max(axis=1, keepdims=True)
        log_p = z - top - np.log(np.exp(z - top).sum(axis=1, keepdims=True))
        return float(-(w * y * log_p).sum() + 0.5 * l2 * np.square(theta - prior).sum())

    w = weight[:, None]
    theta, now = prior, loss(prior)
    for _ in range(100):
        z = x @ theta
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        mean = np.einsum("nk,nkp->np", p, x)
        gradient = np.einsum("nk,nkp->p", w * (p - y), x) + l2 * (theta - prior)
        hessian = np.einsum("nk,nkp,nkq->pq", w * p, x, x) - (w * mean).T @ mean + l2 * np.eye(len(theta))
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while (then := loss(theta - size * step)) > now and size > 1e-8:
            size /= 2
        theta, before, now = theta - size * step, now, min(then, now)
        if before - now <= 1e-10 * max(1.0, abs(now)):
            break
    return theta
