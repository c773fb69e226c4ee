"""Latent semantic analysis (LSA) of texts, and the LSA classifier: what unlabelled texts tell about n-grams.

LSA (Deerwester et al. 1990) describes a text by its coordinates along the directions in which a collection varies most.
With df_j the texts of n that contain n-gram j,

    a_ij = log(n / df_j)² / |a_i|       where text i contains j, else 0; every row has norm 1
    A ≈ U S Vᵀ                          the largest singular values, by a randomised SVD (Halko et al. 2011)

and the document vectors are A V. The squared idf weights rare n-grams, so that the first directions separate good from
bad and not only one subject from another, without a list of stop words (docs/log compares powers 1 to 3).

The LSA classifier is a logistic regression w, b on the document vectors of the labelled texts. It has weights for
n-grams that no labelled text contains, as the directions come from all texts. A document vector is a sum over n-grams,
so the classifier is one too:

    Σ_j (V w)_j idf_j / |a_i| + b       over the n-grams j of text i; with the mean of |a_i| in place of |a_i|

It is an n-gram model like that of `ngrams`, and `ensemble` adds the two: the stored model needs nothing more. (In the
ensemble the mean norm is as good as each text's own: docs/log.)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import counted
from gatewise.kernels import threads as kernel_threads
from gatewise.network.ngrams import Ngrams
from gatewise.training.callback import Callback
from gatewise.training.linear_probe import fit_linear_probe
from gatewise.training.ngrams import NgramModel
from gatewise.training.run import torch_threads
from gatewise.training.soft_labels import subsample
from gatewise.training.term_document_matrix import term_document_matrix
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

LSA_L2 = 10.0  # penalty of the logistic regression on document vectors (`fit_linear_probe`, shared_scale)
OVERSAMPLING, POWER_ITERATIONS = 20, 8  # of the randomised SVD; fewer give a clearly worse classifier
CLASSIFIER_ORDER, CLASSIFIER_MIN_DF = 3, 10  # rarer n-grams tell more about the texts they are from than about others
MAX_TEXTS = 150_000  # unlabelled texts of the classifier's LSA: time and memory grow with them (docs/log)


@dataclass(frozen=True, eq=False)
class LSA:
    """D directions of K n-grams (`keys`, ascending). components (K, D) float32: idf V; norms (n,): |a_i|, 0 for a text
    without any of the n-grams; document_vectors (n, D) float32: the sum of a text's components over its norm.
    """

    keys: NDArray[np.int64]
    components: Array
    norms: Array
    document_vectors: Array


def fit_lsa(
    sequences: Sequence[Array],
    n_components: int,
    order: int = 2,
    min_df: int = 5,
    *,
    exclude: Sequence[int],
    seed: int,
    threads: int = 1,
) -> LSA:
    """LSA of n texts (full sequences of token ids). Equal arguments give equal bits.

    n_components: at most so many directions, fewer where there are fewer n-grams or texts. order, min_df, exclude: see
    `count_ngrams`.
    """
    vectors = np.zeros((len(sequences), 0), dtype=np.float32)
    empty = LSA(np.zeros(0, np.int64), vectors[:0], np.zeros(len(sequences), np.float32), vectors)
    if not sequences:
        return empty
    keys, matrix = term_document_matrix(sequences, order, min_df, exclude)
    size = min(n_components, len(keys), len(sequences))
    if not size:
        return empty
    idf = torch.from_numpy(np.log(len(sequences) / matrix.document_frequency()) ** 2).float()[:, None]  # (K, 1)
    with torch_threads(threads):
        norms = matrix.matmul(idf.square()).sqrt()
        inverse = torch.where(norms > 0, 1 / norms, 0)

        def a(v: Tensor) -> Tensor:
            return inverse * matrix.matmul(idf * v)

        def a_transposed(u: Tensor) -> Tensor:
            return idf * matrix.transposed_matmul(inverse * u)

        width = min(size + OVERSAMPLING, len(keys), len(sequences))
        start = torch.randn((len(keys), width), generator=torch.Generator().manual_seed(seed))
        basis = torch.linalg.qr(a(start))[0]  # (n, width)
        for _ in range(POWER_ITERATIONS):
            basis = torch.linalg.qr(a_transposed(basis))[0]
            basis = torch.linalg.qr(a(basis))[0]
        v = torch.linalg.svd(a_transposed(basis), full_matrices=False)[0][:, :size]  # (K, D)
        return LSA(keys, (idf * v).numpy(), norms[:, 0].numpy(), a(v).numpy())


def fit_lsa_classifier(
    training_data: TrainingData, unlabelled: list[Array], seed: int, callback: Callback
) -> NgramModel | None:
    """The LSA classifier as an n-gram model. LSA reads the training part and the unlabelled texts (full sequences; of
    more than MAX_TEXTS a subsample), the regression the training part; neither reads the validation part. None where
    the recipe does not use it, or where no n-gram is frequent enough.
    """
    recipe, train = training_data.recipe, training_data.train
    if not recipe.uses_lsa_classifier:
        return None
    start = time.perf_counter()
    texts = [training_data.full_sequences[row] for row in train]
    texts += [unlabelled[n] for n in subsample(len(unlabelled), MAX_TEXTS)]
    lsa = fit_lsa(
        texts,
        recipe.lsa_components,
        CLASSIFIER_ORDER,
        CLASSIFIER_MIN_DF,
        exclude=training_data.excluded_tokens,
        seed=seed,
        threads=kernel_threads.threads(),
    )
    if not len(lsa.keys):
        return None
    vectors = lsa.document_vectors[: len(train)]
    targets = training_data.targets(train)
    weight, bias = fit_linear_probe(vectors, targets, LSA_L2, shared_scale=True)
    norms = lsa.norms[: len(train)]
    scale = norms[norms > 0].mean() if norms.any() else 1.0
    ngrams = Ngrams(CLASSIFIER_ORDER, lsa.keys, (lsa.components @ weight.T / scale).astype(np.float32))
    seconds = time.perf_counter() - start
    callback.log(
        f"LSA classifier: {counted(vectors.shape[1], 'component')} of {counted(len(texts), 'text')} in {seconds:.1f} s"
    )
    return NgramModel(ngrams, bias.astype(np.float64))
