"""Fit the linear path: L2 logistic regression over the n-grams of texts, each scaled by its log-count ratio.

Wang & Manning (2012): x_ij = r_j where text i holds n-gram j, else 0, with

    r_j = log(p_j / Σ p) - log(q_j / Σ q)       p_j = 1 + texts of the class that hold j, q_j = 1 + texts of the others

and a linear classifier on x. So an n-gram that tells nothing is hardly heard, and one that tells much is hardly held
back. What is minimised, by L-BFGS from zero, is

    Σ_i cross-entropy_i + l2/2 Σ_j w_j²         weight_j = r_j w_j; the bias is free

With two classes there is one logit; with more, one r and one w a class, under one softmax. The same function as
scikit-learn's LogisticRegression(C=1/l2) on the scaled features (tests/training/test_ngrams.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.network.ngrams import MAX_ORDER, Ngrams
from gatewise.training.term_document_matrix import TermDocumentMatrix, count_ngrams
from gatewise.types import Array

__all__ = ["FittedNgrams", "fit_ngrams", "targets_of"]


class FittedNgrams(NamedTuple):
    """ngrams, and what goes with them: bias (outputs,) float64, the logits of a text without any of them. No
    n-gram in `minimum` texts: none at all, and a bias of 0."""

    ngrams: Ngrams
    bias: Array


def fit_ngrams(
    sequences: Sequence[Array],
    labels: Array,
    classes: int,
    order: int = 3,
    minimum: int = 2,
    l2: float = 4.0,
    *,
    most: int = 0,
    without: Sequence[int] = (),
    weights: Array | None = None,
    threads: int = 1,
    iterations: int = 100,
    tolerance: float = 0.01,
) -> FittedNgrams:
    """The linear path for n texts. The same arguments give the same bits.

    sequences: (length,) token ids, whole, not cut. labels: (n,) classes, or (n, outputs) probabilities, outputs being
    1 for two classes (that of class 1) and else `classes`. weights (n,): how much each text counts, 1 for each where
    left out. order: of 1 to `order` tokens. minimum: texts that must hold an n-gram. most: how many are kept of those
    fitted, 0 for all: the ones that move the logits most over the texts, with the largest |weight| √texts (to fit these
    again gains nothing: docs/log). without: tokens, as the unknown one, of which no n-gram is made. tolerance: it
    stops where a step moves no w_j, or the sum that is minimised, by more. Raises InputError for what cannot be fitted.
    """
    if not 1 <= order <= MAX_ORDER or minimum < 1 or l2 <= 0 or most < 0:
        raise InputError(
            f"n-grams: want an order from 1 to {MAX_ORDER}, a minimum of at least 1, l2 above 0 and most of at least 0"
        )
    targets = targets_of(labels, classes)  # (n, outputs)
    counts = np.ones(len(sequences)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(sequences) or len(targets) != len(sequences) or counts.shape != (len(sequences),):
        raise InputError(f"n-grams: {len(sequences)} texts, {len(targets)} labels, {len(counts)} weights")
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.any()):
        raise InputError("n-grams: a weight must be finite and not below 0, and one of them above")
    keys, texts = count_ngrams(sequences, order, minimum, without)
    if not len(keys):
        nothing = np.zeros((0, targets.shape[1]), dtype=np.float32)
        return FittedNgrams(Ngrams(order, keys, nothing), np.zeros(targets.shape[1]))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        weight, bias = _solve(texts, targets, counts, l2, iterations, tolerance)
        if 0 < most < len(keys):
            moves = np.abs(weight).max(axis=1) * np.sqrt(texts.document_frequency())
            kept = np.sort(np.argsort(-moves, kind="stable")[:most])
            keys, weight = keys[kept], weight[kept]
    finally:
        torch.set_num_threads(before)
    return FittedNgrams(Ngrams(order, keys, weight), bias)


def targets_of(labels: Array, classes: int) -> Array:
    """Probabilities (n, outputs) float64 from classes (n,) or from such probabilities. Raises InputError for others."""
    labels, outputs = np.asarray(labels), 1 if classes == 2 else classes
    if labels.ndim == 1 and labels.dtype.kind in "iu":
        if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
            raise InputError(f"labels must be classes from 0 to {classes - 1}")
        return np.eye(classes)[labels][:, -outputs:]
    if labels.ndim != 2 or labels.shape[1] != outputs or not ((labels >= 0) & (labels <= 1)).all():
        raise InputError(f"labels: want classes (n,) or probabilities (n, {outputs}), got {labels.shape}")
    return labels.astype(np.float64)


def _solve(
    texts: TermDocumentMatrix, targets: Array, counts: Array, l2: float, iterations: int, tolerance: float
) -> tuple[NDArray[np.float32], Array]:
    """weight (K, outputs) float32 and bias (outputs,)."""
    over_texts, over_ngrams = texts.over_texts, texts.over_ngrams
    y, count = torch.from_numpy(targets).float(), torch.from_numpy(counts).float()[:, None]
    of_class = 1 + over_ngrams(y * count).double()
    of_others = 1 + over_ngrams((1 - y) * count).double()
    ratio = (of_class / of_class.sum(dim=0)).log() - (of_others / of_others.sum(dim=0)).log()
    r = ratio.float()  # (K, outputs)
    w, bias = torch.zeros_like(r, requires_grad=True), torch.zeros(y.shape[1], requires_grad=True)
    lbfgs = torch.optim.LBFGS(
        [w, bias],
        max_iter=iterations,
        history_size=10,
        tolerance_grad=0,
        tolerance_change=tolerance,
        line_search_fn="strong_wolfe",
    )

    @torch.no_grad()
    def closure() -> float:
        z = over_texts(w * r) + bias  # (n, outputs)
        if y.shape[1] == 1:
            loss, p = torch.nn.functional.softplus(z) - y * z, z.sigmoid()
        else:
            loss, p = (
                -(y * z.log_softmax(dim=1)).sum(dim=1, keepdim=True),
                z.softmax(dim=1) * y.sum(dim=1, keepdim=True),
            )
        off = (p - y) * count
        w.grad, bias.grad = over_ngrams(off) * r + l2 * w, off.sum(dim=0)
        return float((loss * count).double().sum() + 0.5 * l2 * w.double().square().sum())

    lbfgs.step(closure)  # type: ignore[no-untyped-call]
    return (w * r).detach().numpy(), bias.detach().double().numpy()
