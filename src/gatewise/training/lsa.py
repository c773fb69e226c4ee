"""Latent semantic analysis (LSA) of texts, and the LSA classifier: what unlabelled texts tell about n-grams.

LSA (Deerwester et al. 1990) describes a text by its coordinates along the directions in which a collection varies most.
With df_j the texts of n that contain n-gram j,

    a_ij = log(n / df_j)² / |a_i|       where text i contains j, else 0; every row has norm 1
    A ≈ U S Vᵀ                          the largest singular values, by a randomised SVD (Halko et al. 2011)

and the document vectors are A V. With few labels they are A V D: direction d of the C ones has the factor

    D_dd = 1 - (σ_C+1 / σ_d)²           σ_d: the standard deviation of A V_d over the texts

the share of its variance above that of the next direction, which is left out as noise. A regression with an L2 penalty
then prefers the first directions, the more the fewer texts there are (shrinkage of singular values: Gavish & Donoho
2017), so that one number of directions serves a hundred labels and thousands. With 20,000 labels it raises the loss.

Bases are orthonormalised by the eigenvectors of their Gram matrix (Stathopoulos & Wu 2002), in less time than by a QR
decomposition. The squared idf weights rare n-grams, so that the first directions separate good from bad and not only
one subject from another, without a list of stop words (docs/log compares powers 1 to 3).

The LSA classifier is a logistic regression w, b on the document vectors of the labelled texts. It has weights for
n-grams that no labelled text contains, as the directions come from all texts. A document vector is a sum over n-grams,
so the classifier is one too:

    Σ_j (V w)_j idf_j / |a_i| + b        over the n-grams j of text i; with the mean of |a_i| in place of |a_i|

It is an n-gram model like that of `members.ngrams`, which adds the two: the stored model needs nothing more. (In the
ensemble the mean norm is as good as each text's own: docs/log.)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import counted
from gatewise.kernels import threads as kernel_threads
from gatewise.kernels.threads import one_blas_thread
from gatewise.members.ngrams import Ngrams
from gatewise.training.callback import Callback
from gatewise.training.dense_solver import fit_standardised_glm
from gatewise.training.members.ngrams import NgramFeatures, NgramFit
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

LSA_L2 = 10.0  # penalty of the logistic regression on document vectors (`fit_standardised_glm`, shared_scale)
OVERSAMPLING, POWER_ITERATIONS = 20, 8  # of the randomised SVD; fewer give a clearly worse classifier
EPSILON = 1e-10  # squared singular values below this part of the largest are rounding errors of single precision
ENTRIES_PER_PIECE, ROWS_PER_PIECE = 1 << 18, 1 << 13  # of a thread
ORDER, MIN_DF = 3, 10  # of the n-grams; rarer ones tell more about the texts they are from than about others
MAX_TEXTS = 150_000  # unlabelled texts of the classifier's LSA: time and memory grow with them (docs/log)


@dataclass(frozen=True, eq=False)
class LSA:
    """Directions of K n-grams (`keys`, ascending). components (K, C) float32: idf V, or idf V D; norms (n,): |a_i|, 0
    for a text without any of the n-grams; document_vectors (n, C) float32: a text's sum of components over its norm.
    """

    keys: NDArray[np.int64]
    components: Array
    norms: Array
    document_vectors: Array


def fit_lsa(
    sequences: Sequence[Array],
    n_components: int,
    order: int = ORDER,
    min_df: int = MIN_DF,
    *,
    denoise: bool = False,
    exclude: Sequence[int],
    seed: int,
    threads: int = 1,
) -> LSA:
    """LSA of n texts (full sequences of token ids). Equal arguments give equal bits.

    n_components: at most so many directions, fewer where there are fewer n-grams or texts; a direction without
    variance is 0. order, min_df, exclude: see `count_ngrams`. denoise: whether there is D. threads: of the matrix
    products; the result does not depend on their number.
    """
    vectors = np.zeros((len(sequences), 0), dtype=np.float32)
    empty = LSA(np.zeros(0, np.int64), vectors[:0], np.zeros(len(sequences), np.float32), vectors)
    if not sequences:
        return empty
    features = NgramFeatures.of(sequences, order, min_df, exclude)
    keys, matrix = features.keys, features.matrix
    size = min(n_components, len(keys), len(sequences))
    if not size:
        return empty
    df = np.bincount(matrix.indices, minlength=len(keys))
    idf = (np.log(len(sequences) / df) ** 2).astype(np.float32)  # (K,)
    matrix.data[:] = 1
    norms = np.sqrt(matrix @ np.square(idf))  # (n,)
    inverse = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    matrix.data = idf[matrix.indices] * np.repeat(inverse, np.diff(matrix.indptr))

    width = min(size + OVERSAMPLING, len(keys), len(sequences))
    start = np.random.default_rng(seed).standard_normal((len(keys), width), dtype=np.float32)
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        a, a_transposed = _Product(matrix, pool), _Product(matrix.T.tocsr(), pool)
        basis = _orthonormal(a(start), pool)  # (n, width)
        for _ in range(POWER_ITERATIONS):
            basis = _orthonormal(a_transposed(basis), pool)  # (K, width)
            basis = _orthonormal(a(basis), pool)
        v = np.ascontiguousarray(_orthonormal(a_transposed(basis), pool)[:, : size + 1])  # (K, C + 1)
        vectors = a(v)
    deviation = vectors.std(axis=0, dtype=np.float64)
    noise = deviation[size] if denoise and width > size else 0.0  # with all directions there is no next one
    share = noise / np.maximum(deviation[:size], max(noise, 1e-30))
    factor = (1 - share**2).astype(np.float32)
    return LSA(keys, idf[:, None] * (v[:, :size] * factor), norms, vectors[:, :size] * factor)


class _Product:
    """A sparse matrix CSR (rows, columns) float32 times dense ones (columns, C), in pieces of rows for the pool. A row
    is one sum, so the result does not depend on the pieces.
    """

    def __init__(self, matrix: Any, pool: ThreadPoolExecutor) -> None:
        from scipy.sparse import csr_matrix  # the extra [train]

        self.pool, self.rows = pool, matrix.shape[0]
        edges = np.searchsorted(matrix.indptr, np.arange(0, matrix.nnz, ENTRIES_PER_PIECE))
        self.pieces = []
        for first, last in zip(edges, [*edges[1:], self.rows], strict=True):
            starts = matrix.indptr[first : last + 1]
            entries = slice(starts[0], starts[-1])
            parts = (matrix.data[entries], matrix.indices[entries], starts - starts[0])  # views of the first two
            self.pieces.append((slice(first, last), csr_matrix(parts, shape=(last - first, matrix.shape[1]))))

    def __call__(self, values: Array) -> Array:
        out = np.zeros((self.rows, values.shape[1]), dtype=np.float32)

        def multiply(piece: tuple[slice, Any]) -> None:
            rows, matrix = piece
            out[rows] = matrix @ values

        list(self.pool.map(multiply, self.pieces))  # SciPy's sparse products release the GIL
        return out


def _orthonormal(y: Array, pool: ThreadPoolExecutor) -> Array:
    """U (n, w) of the singular value decomposition U S Rᵀ of y (n, w) float32, n >= w, largest first: from the
    eigenvectors of yᵀy in double precision. A column of U is 0 where the singular value is. y is overwritten.
    """
    pieces = [y[first : first + ROWS_PER_PIECE] for first in range(0, len(y), ROWS_PER_PIECE)]

    def gram(rows: Array) -> Array:
        rows = rows.astype(np.float64)
        return np.asarray(rows.T @ rows)

    squares, r = np.linalg.eigh(sum(pool.map(gram, pieces)))
    squares, r = squares[::-1], r[:, ::-1]
    kept = squares > EPSILON * squares[0]
    r = np.where(kept, r, 0) / np.sqrt(np.where(kept, squares, 1))
    r = r.astype(np.float32)

    def multiply(rows: Array) -> None:
        rows[:] = rows @ r

    list(pool.map(multiply, pieces))
    return y


def subsample(count: int, limit: int) -> NDArray[np.int64]:
    """Indices of at most `limit` of `count` texts, evenly spaced; of all for 0."""
    return np.arange(count)[:: 1 if not limit else max(1, -(-count // limit))]


def subsampled(unlabelled: list[Array]) -> list[Array]:
    """The texts that LSA reads: all, or of more than MAX_TEXTS a subsample."""
    return [unlabelled[n] for n in subsample(len(unlabelled), MAX_TEXTS)]


def fit_lsa_of(training_data: TrainingData, unlabelled: list[Array], seed: int, callback: Callback) -> LSA | None:
    """LSA of the training part, then of the unlabelled texts (full sequences, `subsampled`). The validation set is not
    read. None where the recipe has no LSA, or where no n-gram is frequent enough.
    """
    if not training_data.recipe.uses_lsa:
        return None
    start = time.perf_counter()
    texts = [training_data.full_sequences[row] for row in training_data.train]
    texts += subsampled(unlabelled)
    lsa = fit_lsa(
        texts,
        training_data.recipe.unlabelled.lsa_components,
        denoise=training_data.recipe.unlabelled.teacher == "stacking",  # which is for few labels
        exclude=training_data.excluded_tokens,
        seed=seed,
        threads=kernel_threads.threads(),
    )
    if not len(lsa.keys):
        return None
    seconds = time.perf_counter() - start
    components = counted(lsa.document_vectors.shape[1], "component")
    callback.log(f"LSA: {components} of {counted(len(texts), 'text')} in {seconds:.1f} s")
    return lsa


def fit_lsa_classifier(training_data: TrainingData, lsa: LSA) -> NgramFit:
    """The LSA classifier of the training part as an n-gram model. lsa: see `fit_lsa_of`."""
    train = training_data.train
    vectors = lsa.document_vectors[: len(train)]
    weight, bias = fit_standardised_glm(vectors, training_data.targets(train), LSA_L2, shared_scale=True)
    norms = lsa.norms[: len(train)]
    scale = norms[norms > 0].mean() if norms.any() else 1.0
    ngrams = Ngrams(ORDER, lsa.keys, (lsa.components @ weight.T / scale).astype(np.float32))
    return NgramFit(ngrams, bias.astype(np.float64))
