"""`NgramFeatures`: which n-grams the texts contain, scaled, and a linear classifier per class fitted to them.

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
"nb" for sentiment and short texts (docs/log/accuracy.md, "Scaling of the n-grams on other data sets"). Its outputs are
margins, which a calibration turns into logits. The ratios of many classes of few rows each are chance: s_j has no
maximum then, as with scaling "idf".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.members.ngrams import BITS, TOKENS_PER_CHUNK, Ngrams, counted_ngrams, keys_of, term_frequency
from gatewise.members.spelling import UNKNOWN, Spelling
from gatewise.network.batch import ragged_chunks
from gatewise.ragged import Ragged
from gatewise.training.recipes import has_small_classes
from gatewise.training.sparse_solver import fit_linear
from gatewise.training.stack import FittedMember
from gatewise.training.weighted_targets import WeightedTargets
from gatewise.types import Array

Scaling = Literal["nb", "tfidf", "idf"]
DEFAULT_L2: dict[Scaling, float] = {"nb": 4.0, "tfidf": 1.0, "idf": 1.0}
MIN_DF = 2  # texts that must contain an n-gram


@dataclass(frozen=True, eq=False)
class NgramFeatures:
    """How often each of n texts contains each n-gram (keys (K,), ascending): once for all models fitted to them.

    matrix: scipy.sparse CSR (n, K) float32 of term frequencies (`members.ngrams.term_frequency`). spelling: as of
    `Ngrams`.
    """

    order: int
    keys: NDArray[np.int64]
    matrix: Any
    spelling: Spelling | None = None

    @classmethod
    def of(
        cls,
        sequences: Sequence[Array],
        order: int,
        min_df: int,
        exclude: Sequence[int] = (),
        spelling: Spelling | None = None,
        *,
        token_min_df: int = 0,
    ) -> NgramFeatures:
        """The n-grams of 1 to `order` tokens, none of them in `exclude`, that at least `min_df` texts contain, a single
        token at least `token_min_df` where this is given; with a spelling those of 2 to `order` characters, as one
        alone tells next to nothing.
        """
        least = [min_df] * order  # texts that must contain an n-gram, by its order
        if token_min_df:
            least[0] = token_min_df
        frequent = _frequent_keys(sequences, order, least, exclude, spelling)
        keys = np.concatenate(frequent)
        matrix = _term_frequencies(sequences, order, keys, spelling)
        least_of_keys = np.repeat(least[: len(frequent)], [len(of_order) for of_order in frequent])
        document_frequency = np.bincount(matrix.indices, minlength=len(keys))
        kept = document_frequency >= least_of_keys
        return cls(order, keys[kept], matrix[:, kept], spelling)

    def up_to(self, order: int) -> NgramFeatures:
        """The n-grams of up to `order` tokens."""
        if order >= self.order:
            return self
        count = int(np.searchsorted(self.keys, 1 << BITS * order))
        if count == len(self.keys):
            return self
        return replace(self, order=order, keys=self.keys[:count], matrix=self.matrix[:, :count])

    def __str__(self) -> str:
        if self.spelling is not None:
            return f"2- to {self.order}-grams of characters"
        if self.order == 1:
            return "1-grams"
        return f"1- to {self.order}-grams"

    def fit(
        self,
        targets: WeightedTargets,
        scaling: Scaling = "nb",
        *,
        rows: NDArray[np.int64] | None = None,
        l2: float | None = None,
        max_iter: int = 100,
        tol: float = 0.01,
    ) -> FittedMember:
        """Fit the targets of these rows (m,), by default all. l2: the penalty, by default 4 for "nb", else 1. tol: stop
        where the gradient is this small, relative to that at zero. Equal arguments give equal bits.
        """
        if not len(self.keys):
            nothing = np.zeros((0, targets.outputs), dtype=np.float32)
            return FittedMember(self._member(nothing), np.zeros(targets.outputs))
        if rows is None:
            rows = np.arange(self.matrix.shape[0])
        x = self.matrix[rows]
        if l2 is None:
            l2 = DEFAULT_L2[scaling]
        if scaling == "nb":
            return self._fit_nb(x, targets, l2, max_iter, tol)
        return self._fit_svm(x, targets, l2, scaling, tol)

    def _fit_nb(self, x: Any, targets: WeightedTargets, l2: float, max_iter: int, tol: float) -> FittedMember:
        """NB-SVM, see the module's docstring, on x CSR (m, K), which is overwritten."""
        x.data[:] = 1
        form: Literal["logistic", "squared"]
        if targets.loss.has_unit:
            from scipy.stats import rankdata

            form = "squared"
            # The share of smaller numbers, ties counted half.
            y = (rankdata(targets.values, axis=0) - 0.5) / len(targets)
        else:
            form = "logistic"
            y = targets.values
        weight = np.broadcast_to(targets.weight.reshape(len(y), -1), y.shape)
        ratios = [log_count_ratio(x, of_class, of_rows) for of_class, of_rows in zip(y.T, weight.T, strict=True)]
        r = np.stack(ratios, axis=1)
        w, bias = fit_linear(x, targets, l2, form, scale=r, max_iter=max_iter, tol=tol)
        return FittedMember(self._member(w * r), bias)

    def _fit_svm(self, x: Any, targets: WeightedTargets, l2: float, scaling: Scaling, tol: float) -> FittedMember:
        """Support vector machines on x CSR (m, K) of term frequencies, which is overwritten."""
        m = len(targets)
        if scaling == "idf" or has_small_classes(targets.outputs, m):
            scale = np.ones(len(self.keys), dtype=np.float32)
        else:
            scale = np.zeros(len(self.keys), dtype=np.float32)
            for of_class in targets.values.T:
                np.maximum(scale, np.abs(log_count_ratio(x, of_class, targets.weight)), out=scale)
        df = np.bincount(x.indices, minlength=len(self.keys))
        scale *= (1 + np.log((1 + m) / (1 + df))).astype(np.float32)
        x.data *= scale[x.indices]
        x.data /= np.repeat(_norms(x), np.diff(x.indptr)).astype(np.float32)
        w, bias = fit_linear(x, targets, l2, "squared-hinge", tol=tol)
        return FittedMember(self._member(w * scale[:, None], scale), bias)

    def _member(self, weight: NDArray[np.float32], scale: NDArray[np.float32] | None = None) -> Ngrams:
        return Ngrams(self.order, self.keys, weight, scale, self.spelling)

    def logits(self, fitted: FittedMember, rows: NDArray[np.int64]) -> Array:
        """Logits (m, outputs) float64 of these rows, as `fitted.logits` of their sequences, for a fit to these
        features.
        """
        x = self.matrix[rows]
        ngrams = fitted.member
        if ngrams.scale is None:
            x.data[:] = 1
            return np.asarray(x @ ngrams.weight + fitted.bias, dtype=np.float64)
        sums = x @ ngrams.weight
        x.data *= ngrams.scale[x.indices]
        return np.asarray(sums / _norms(x)[:, None] + fitted.bias, dtype=np.float64)


def _frequent_keys(
    sequences: Sequence[Array], order: int, least: Sequence[int], exclude: Sequence[int], spelling: Spelling | None
) -> list[NDArray[np.int64]]:
    """The keys of each order that occur at least as often as `least` says, ascending. A text with several occurrences
    counts once in the document frequency, so no n-gram is lost here, and the matrix of the others is small.
    """
    lookup = _lookup(order, np.zeros(0, np.int64), spelling)
    values, lengths, _ = lookup.read(Ragged.of(sequences))
    if spelling is not None:
        exclude = (UNKNOWN,)
    excluded = np.isin(values, exclude)
    frequent: list[NDArray[np.int64]] = []
    for key, end in keys_of(values, lengths, order, lookup.bits):
        shorter = len(frequent)  # orders
        allowed = ~excluded[end]
        for back in range(1, shorter + 1):
            allowed &= ~excluded[end - back]
        if spelling is not None and not shorter:  # single characters
            allowed[:] = False
        key = np.sort(key[allowed])
        first = np.flatnonzero(np.diff(key, prepend=-1))
        occurrences = np.diff(first, append=len(key))
        frequent.append(key[first[occurrences >= least[shorter]]])
    return frequent


def _term_frequencies(
    sequences: Sequence[Array], order: int, keys: NDArray[np.int64], spelling: Spelling | None
) -> Any:
    """CSR (n, K) float32: how often each text contains each n-gram. Raises InputError for more entries than a matrix
    has.
    """
    from scipy.sparse import csr_matrix, vstack  # the extra [train]

    lookup = _lookup(order, keys, spelling)
    matrices = []
    for chunk in ragged_chunks(sequences, TOKENS_PER_CHUNK // lookup.width):
        document, term, count = counted_ngrams(lookup, chunk)
        tf = term_frequency(count).astype(np.float32)
        starts = np.searchsorted(document, np.arange(len(chunk) + 1))
        entries = (tf, term.astype(np.int32), starts.astype(np.int32))
        matrices.append(csr_matrix(entries, shape=(len(chunk), len(keys))))
    total = sum(matrix.nnz for matrix in matrices)
    if total > np.iinfo(np.int32).max:  # the type of the indices
        raise InputError(f"n-grams: {total:,} entries are too many; take fewer texts or a lower ngrams.order")
    return vstack(matrices, format="csr")


def _lookup(order: int, keys: NDArray[np.int64], spelling: Spelling | None) -> Ngrams:
    """A model without weights, which reads and counts n-grams as one with weights does."""
    return Ngrams(order, keys, np.zeros((len(keys), 1), np.float32), None, spelling)


def log_count_ratio(x: Any, probability: Array, weight: Array) -> NDArray[np.float32]:
    """r (K,) of a class. x: CSR (m, K) of 0 and 1. probability (m,): of the class; weight (m,): of the row."""
    in_class = probability * weight
    p = 1 + np.bincount(x.indices, np.repeat(in_class, np.diff(x.indptr)), x.shape[1])
    q = 1 + np.bincount(x.indices, np.repeat(weight - in_class, np.diff(x.indptr)), x.shape[1])
    return np.asarray(np.log(p / p.sum()) - np.log(q / q.sum()), dtype=np.float32)


def _norms(x: Any) -> Array:
    """Norm (m,) of each row of a CSR matrix; 1 for an empty one."""
    row = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    squares = np.bincount(row, np.square(x.data, dtype=np.float64), x.shape[0])
    return np.where(squares > 0, np.sqrt(squares), 1.0)
