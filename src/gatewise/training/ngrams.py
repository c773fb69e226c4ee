"""Fit the linear n-gram model: L2 logistic regression over the n-grams of texts, scaled by log-count ratios.

NB-SVM (Wang & Manning 2012): x_ij = r_j where text i contains n-gram j, else 0, with

    r_j = log(p_j / Σ p) - log(q_j / Σ q)       p_j = 1 + texts of the class with j, q_j = 1 + texts of the others

and a linear classifier on x. The scale leaves uninformative n-grams next to no influence and hardly penalises
informative ones. L-BFGS minimises, from zero,

    Σ_i cross-entropy_i + l2/2 Σ_j w_j²         weight_j = r_j w_j; the bias is not penalised

Two classes have one logit; more have one r and one w per class, under one softmax. The optimum equals that of
scikit-learn's LogisticRegression(C=1/l2) on the scaled features (tests/training/test_ngrams.py). Multi-label rows have
one r, one w and one binary cross-entropy per label. A regression is a ridge regression, the loss half the squared
error; a number counts in p and q with the share of the rows below it, as a probability does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.network.ngrams import MAX_ORDER, Ngrams
from gatewise.training.run import torch_threads
from gatewise.training.target_scaling import TargetScaling
from gatewise.training.term_document_matrix import TermDocumentMatrix, count_ngrams
from gatewise.types import Array, Task


class NgramModel(NamedTuple):
    """N-gram weights, and bias (outputs,) float64: the logits of a text without any of them."""

    ngrams: Ngrams
    bias: Array

    def logits(self, sequences: Sequence[Array]) -> Array:
        """Logits (n, outputs) of n full sequences of token ids."""
        return np.asarray(self.ngrams.logits(sequences) + self.bias)

    def scaled(self, scaling: TargetScaling) -> NgramModel:
        """The model of numbers in their own unit, from that of standardised numbers."""
        weight = (self.ngrams.weight * scaling.scale).astype(np.float32)
        return NgramModel(replace(self.ngrams, weight=weight), scaling.mean + scaling.scale * self.bias)


def fit_ngrams(
    sequences: Sequence[Array],
    labels: Array,
    classes: int,
    order: int = 3,
    min_df: int = 2,
    l2: float = 4.0,
    *,
    max_ngrams: int = 0,
    exclude: Sequence[int] = (),
    sample_weight: Array | None = None,
    task: Task = "classification",
    threads: int = 1,
    max_iter: int = 100,
    tol: float = 0.01,
) -> NgramModel:
    """Fit the n-gram model of n texts. Equal arguments give equal bits.

    sequences: full sequences (length,) of token ids. labels: (n,) classes, or (n, outputs) probabilities (of class 1
    with two classes), or the targets (n, outputs) of another `task`. order: largest n. min_df: texts that must contain
    an n-gram; if none does, the model is empty with bias 0. max_ngrams: how many are kept after the fit, those with the
    largest |weight| √texts, 0 for all (a second fit of the kept ones gains nothing: docs/log). exclude: tokens that no
    n-gram may contain, e.g. the unknown one. sample_weight: (n,), or (n, outputs) for multi-label; default 1. tol: stop
    where a step changes no w_j, or the loss, by more. Raises InputError.
    """
    if not 1 <= order <= MAX_ORDER or min_df < 1 or l2 <= 0 or max_ngrams < 0:
        raise InputError(
            f"n-grams: order must be from 1 to {MAX_ORDER}, min_df at least 1, l2 above 0, max_ngrams at least 0"
        )
    targets = targets_of(labels, classes) if task == "classification" else np.asarray(labels)  # (n, outputs)
    weights = np.ones(len(sequences)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if not len(sequences) or len(targets) != len(sequences) or weights.shape not in (targets.shape, targets.shape[:1]):
        raise InputError(f"n-grams: {len(sequences)} texts, {len(targets)} labels, {len(weights)} weights")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise InputError("n-grams: weights must be finite and at least 0, and one of them above 0")
    keys, matrix = count_ngrams(sequences, order, min_df, exclude)
    if not len(keys):
        nothing = np.zeros((0, targets.shape[1]), dtype=np.float32)
        return NgramModel(Ngrams(order, keys, nothing), np.zeros(targets.shape[1]))
    with torch_threads(threads):
        weight, bias = _solve(matrix, targets, weights, task, l2, max_iter, tol)
    if 0 < max_ngrams < len(keys):
        influence = np.abs(weight).max(axis=1) * np.sqrt(matrix.document_frequency())
        kept = np.sort(np.argsort(-influence, kind="stable")[:max_ngrams])
        keys, weight = keys[kept], weight[kept]
    return NgramModel(Ngrams(order, keys, weight), bias)


def targets_of(labels: Array, classes: int) -> Array:
    """Probabilities (n, outputs) float64 from classes (n,) or probabilities; outputs: 1 for two classes, else
    `classes`. Raises InputError for other labels.
    """
    labels, outputs = np.asarray(labels), 1 if classes == 2 else classes
    if labels.ndim == 1 and labels.dtype.kind in "iu":
        if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
            raise InputError(f"labels must be classes from 0 to {classes - 1}")
        return np.eye(classes)[labels][:, -outputs:]
    if labels.ndim != 2 or labels.shape[1] != outputs or not ((labels >= 0) & (labels <= 1)).all():
        raise InputError(f"labels must be classes (n,) or probabilities (n, {outputs}), not {labels.shape}")
    return labels.astype(np.float64)


def _rank_shares(numbers: Array) -> Array:
    """The share of the n rows with a smaller number (n, M), ties counted half: 0..1."""
    columns = []
    for column in numbers.T:
        _, place, count = np.unique(column, return_inverse=True, return_counts=True)
        columns.append((np.cumsum(count) - count / 2)[place] / len(column))
    return np.stack(columns, axis=1)


def _solve(
    matrix: TermDocumentMatrix, targets: Array, sample_weight: Array, task: Task, l2: float, max_iter: int, tol: float
) -> tuple[NDArray[np.float32], Array]:
    """weight (K, outputs) float32 and bias (outputs,)."""
    y, weights = torch.from_numpy(targets).float(), torch.from_numpy(sample_weight.reshape(len(targets), -1)).float()
    share = torch.from_numpy(_rank_shares(targets)).float() if task == "regression" else y
    p = 1 + matrix.transposed_matmul(share * weights).double()
    q = 1 + matrix.transposed_matmul((1 - share) * weights).double()
    r = ((p / p.sum(dim=0)).log() - (q / q.sum(dim=0)).log()).float()  # (K, outputs)
    w, bias = torch.zeros_like(r, requires_grad=True), torch.zeros(y.shape[1], requires_grad=True)
    lbfgs = torch.optim.LBFGS(
        [w, bias],
        max_iter=max_iter,
        history_size=10,
        tolerance_grad=0,
        tolerance_change=tol,
        line_search_fn="strong_wolfe",
    )

    @torch.no_grad()
    def closure() -> float:
        z = matrix.matmul(w * r) + bias  # (n, outputs)
        if task == "regression":
            loss, predicted = 0.5 * (z - y).square(), z
        elif task == "multilabel" or y.shape[1] == 1:
            loss, predicted = torch.nn.functional.softplus(z) - y * z, z.sigmoid()
        else:
            loss = -(y * z.log_softmax(dim=1)).sum(dim=1, keepdim=True)
            predicted = z.softmax(dim=1) * y.sum(dim=1, keepdim=True)
        error = (predicted - y) * weights
        w.grad, bias.grad = matrix.transposed_matmul(error) * r + l2 * w, error.sum(dim=0)
        return float((loss * weights).double().sum() + 0.5 * l2 * w.double().square().sum())

    lbfgs.step(closure)  # type: ignore[no-untyped-call]
    return (w * r).detach().numpy(), bias.detach().double().numpy()
