"""Fit the linear n-gram model: which n-grams a text contains, scaled, and a linear classifier per class.

Scaling "nb", NB-SVM (Wang & Manning 2012): x_ij = r_j where text i contains n-gram j, else 0, with

    r_j = log(p_j / Σ p) - log(q_j / Σ q)       p_j = 1 + texts of the class with j, q_j = 1 + texts of the others

and a logistic regression on x:

    min  Σ_i cross-entropy_i + l2/2 Σ_j w_j²         weight_j = r_j w_j; the bias is not penalised

The scale leaves uninformative n-grams next to no influence and hardly penalises informative ones. Two classes have one
r and one w; more have one of each per class, as have the labels of multi-label rows. The optimum equals that of
scikit-learn's LogisticRegression(C=1/l2) on the scaled features (tests/training/test_ngrams.py). A regression is a
ridge regression, the loss half the squared error; a number counts in p and q with the share of the rows below it, as a
probability does.

Scaling "tfidf", for classification: x_ij = tf_ij s_j over its norm in text i, so that long and short texts have the
same norm, with tf_ij = 1 + log(occurrences) and

    s_j = (1 + log((1 + n) / (1 + df_j))) max_k |r_jk|         df_j texts contain j

and a support vector machine with squared hinge loss per class (C = 1). It is better for subjects and many classes,
"nb" for sentiment and short texts (docs/log/accuracy.md). Its outputs are margins, which `ensemble` turns into logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.members.ngrams import BITS, MAX_ORDER, Ngrams, term_frequency
from gatewise.training.linear_solver import fit_linear
from gatewise.training.ngram_counts import count_ngrams
from gatewise.training.target_scaling import TargetScaling
from gatewise.types import Array, Task

MIN_DF = 2  # texts that must contain an n-gram

NgramScaling = Literal["nb", "tfidf"]


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


@dataclass(frozen=True, eq=False)
class NgramFeatures:
    """How often each of n texts contains each n-gram (keys (K,), ascending): once for all models fitted to them.

    matrix: scipy.sparse CSR (n, K) float32 of term frequencies (`members.ngrams.term_frequency`).
    """

    order: int
    keys: NDArray[np.int64]
    matrix: Any

    @classmethod
    def of(cls, sequences: Sequence[Array], order: int, min_df: int, exclude: Sequence[int] = ()) -> NgramFeatures:
        """The n-grams of 1 to `order` tokens, none of them in `exclude`, that at least `min_df` texts contain."""
        from scipy.sparse import csr_matrix  # the extra [train]

        keys, document, term, count = count_ngrams(sequences, order, min_df, exclude)
        if len(term) > np.iinfo(np.int32).max:
            raise InputError(f"n-grams: {len(term):,} entries are too many; take a higher min_df or fewer texts")
        tf, starts = term_frequency(count).astype(np.float32), np.searchsorted(document, np.arange(len(sequences) + 1))
        shape = (len(sequences), len(keys))
        matrix = csr_matrix((tf, term.astype(np.int32), starts.astype(np.int32)), shape=shape)
        return cls(order, keys, matrix)

    def up_to(self, order: int) -> NgramFeatures:
        """The features of n-grams with at most so many tokens."""
        count = int(np.searchsorted(self.keys, 1 << BITS * order)) if order < self.order else len(self.keys)
        return self if count == len(self.keys) else NgramFeatures(order, self.keys[:count], self.matrix[:, :count])

    def fit(
        self,
        rows: NDArray[np.int64],
        targets: Array,
        sample_weight: Array,
        scaling: NgramScaling,
        *,
        task: Task = "classification",
        l2: float = 4.0,
        threads: int = 1,
        max_iter: int = 100,
        tol: float = 0.01,
    ) -> NgramModel:
        """Fit on these rows (m,) with targets (m, outputs) and weights (m,). l2: of "nb". Equal arguments give equal
        bits.
        """
        if not len(self.keys):
            nothing = np.zeros((0, targets.shape[1]), dtype=np.float32)
            return NgramModel(Ngrams(self.order, self.keys, nothing), np.zeros(targets.shape[1]))
        x = self.matrix[rows]
        y = _rank_shares(targets) if task == "regression" else targets
        if scaling == "nb":
            x.data[:] = 1
            loss: Literal["logistic", "squared"] = "squared" if task == "regression" else "logistic"
            weights = np.broadcast_to(sample_weight.reshape(len(y), -1), y.shape)
            r = np.stack([log_count_ratio(x, u * v, v) for u, v in zip(y.T, weights.T, strict=True)], axis=1)
            w, bias = fit_linear(
                x, targets, sample_weight, l2, loss, scale=r, threads=threads, max_iter=max_iter, tol=tol
            )
            w *= r
            return NgramModel(Ngrams(self.order, self.keys, w), bias)
        scale = np.zeros(len(self.keys), dtype=np.float32)
        for column in y.T:
            np.maximum(scale, np.abs(log_count_ratio(x, column * sample_weight, sample_weight)), out=scale)
        df = np.bincount(x.indices, minlength=len(self.keys))
        scale *= (1 + np.log((1 + len(rows)) / (1 + df))).astype(np.float32)
        x.data *= scale[x.indices]
        _normalise(x)
        w, bias = fit_linear(x, targets, sample_weight, 1.0, "squared-hinge", threads=threads, tol=tol)
        w *= scale[:, None]
        return NgramModel(Ngrams(self.order, self.keys, w, scale), bias)

    def logits(self, model: NgramModel, rows: NDArray[np.int64]) -> Array:
        """Logits (m, outputs) float64 of these rows, as `model.logits` of their sequences. The n-grams of the model are
        some of these, or all.
        """
        x = self.matrix[rows]
        if len(model.ngrams.keys) < len(self.keys):
            x = x[:, np.searchsorted(self.keys, model.ngrams.keys)]
        if model.ngrams.scale is not None:
            sums = x @ model.ngrams.weight
            x.data *= model.ngrams.scale[x.indices]
            return np.asarray(sums / _norms(x)[:, None] + model.bias, dtype=np.float64)
        x.data[:] = 1
        return np.asarray(x @ model.ngrams.weight + model.bias, dtype=np.float64)


def log_count_ratio(x: Any, of_class: Array, sample_weight: Array) -> NDArray[np.float32]:
    """r (K,) of a class. x: CSR (m, K) of 0 and 1; of_class (m,): each row's weight in it; sample_weight (m,)."""
    p = 1 + np.bincount(x.indices, np.repeat(of_class, np.diff(x.indptr)), x.shape[1])
    q = 1 + np.bincount(x.indices, np.repeat(sample_weight - of_class, np.diff(x.indptr)), x.shape[1])
    return np.asarray(np.log(p / p.sum()) - np.log(q / q.sum()), dtype=np.float32)


def _norms(x: Any) -> Array:
    """Norm (m,) of each row of a CSR matrix; 1 for an empty one."""
    row = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    squares = np.bincount(row, np.square(x.data, dtype=np.float64), x.shape[0])
    return np.where(squares > 0, np.sqrt(squares), 1.0)


def _normalise(x: Any) -> None:
    x.data /= np.repeat(_norms(x), np.diff(x.indptr)).astype(np.float32)


def fit_ngrams(
    sequences: Sequence[Array],
    labels: Array,
    classes: int,
    order: int = 3,
    min_df: int = MIN_DF,
    l2: float = 4.0,
    *,
    exclude: Sequence[int] = (),
    sample_weight: Array | None = None,
    task: Task = "classification",
    scaling: NgramScaling = "nb",
    threads: int = 1,
    max_iter: int = 100,
    tol: float = 0.01,
) -> NgramModel:
    """Fit the n-gram model of n texts. Equal arguments give equal bits.

    sequences: full sequences (length,) of token ids. labels: (n,) classes, or (n, outputs) probabilities (of class 1
    with two classes), or the targets (n, outputs) of another `task`. order: largest n. min_df: texts that must contain
    an n-gram; if none does, the model is empty with bias 0. exclude: tokens that no n-gram may contain, e.g. the
    unknown one. sample_weight: (n,), or (n, outputs) for multi-label; default 1. scaling: "nb" or "tfidf", the latter
    for classification. tol: stop where the gradient is this small, relative to that at zero. Raises InputError.
    """
    if not 1 <= order <= MAX_ORDER or min_df < 1 or l2 <= 0:
        raise InputError(f"n-grams: order must be from 1 to {MAX_ORDER}, min_df at least 1, l2 above 0")
    targets = targets_of(labels, classes) if task == "classification" else np.asarray(labels)  # (n, outputs)
    weights = np.ones(len(sequences)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if not len(sequences) or len(targets) != len(sequences) or weights.shape not in (targets.shape, targets.shape[:1]):
        raise InputError(f"n-grams: {len(sequences)} texts, {len(targets)} labels, {len(weights)} weights")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise InputError("n-grams: weights must be finite and at least 0, and one of them above 0")
    if scaling == "tfidf" and task != "classification":
        raise InputError(f"n-grams: scaling 'tfidf' is for classification, not for {task}")
    features = NgramFeatures.of(sequences, order, min_df, exclude)
    return features.fit(
        np.arange(len(sequences)),
        targets,
        weights,
        scaling,
        task=task,
        l2=l2,
        threads=threads,
        max_iter=max_iter,
        tol=tol,
    )


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
