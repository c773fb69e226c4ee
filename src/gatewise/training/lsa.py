"""What a text's n-grams say together: its place along the few directions in which a collection varies most.

Latent semantic analysis (Deerwester et al. 1990). With df_j the texts of n that hold n-gram j,

    a_ij = log(n / df_j)^2 / |a_i|      where text i holds j, else 0; every row has length 1
    A ~ U S Vᵀ                          the largest singular values

and the coordinates are A V. The square is what makes it tell good from bad and not only one subject from another: rare
n-grams are heard, and no list of stop words is needed (docs/log has what powers 1 to 3 gave). The decomposition
is the randomised one of Halko, Martinsson & Tropp (2011), A never being more than the list of who holds what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.training.term_document_matrix import count_ngrams
from gatewise.types import Array

__all__ = ["LATENT_L2", "LSA", "latent"]

LATENT_L2 = 10.0  # penalty of a line through the coordinates (`fit_linear_probe`, shared_scale)
OVERSAMPLING, POWER_ITERATIONS = (
    20,
    8,
)  # directions beyond those wanted, and turns: far fewer are near the SVD, and tell far less


@dataclass(frozen=True, eq=False)
class LSA:
    """D directions of K n-grams (`keys`, ascending), and where n texts stand along them: coordinates (n, D) float32,
    each the sum of weight (K, D) float32 over the n-grams that the text holds, divided by its length (n,), 0 where it
    holds none.
    """

    keys: NDArray[np.int64]
    weight: Array
    length: Array
    coordinates: Array


def latent(
    sequences: Sequence[Array],
    most: int,
    order: int = 2,
    minimum: int = 5,
    *,
    without: Sequence[int],
    seed: int,
    threads: int = 1,
) -> LSA:
    """Directions of n texts (token ids, whole): at most `most`, and as many as there are; none where no n-gram is in
    enough texts. n-grams: of 1 to `order` tokens, in at least `minimum` texts, none with a token of `without`. The same
    arguments give the same bits.
    """
    nothing = np.zeros((len(sequences), 0), dtype=np.float32)
    none = LSA(np.zeros(0, np.int64), nothing[:0], np.zeros(len(sequences), np.float32), nothing)
    if not sequences:
        return none
    keys, texts = count_ngrams(sequences, order, minimum, without)
    size = min(most, len(keys), len(sequences))
    if not size:
        return none
    idf = torch.from_numpy(np.log(len(sequences) / texts.document_frequency()) ** 2).float()[:, None]  # (K, 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        length = texts.over_texts(idf.square()).sqrt()
        inverse = torch.where(length > 0, 1 / length, 0)  # a text with no n-gram of ours is at the origin

        def a(v: Tensor) -> Tensor:
            return inverse * texts.over_texts(idf * v)

        def a_transposed(u: Tensor) -> Tensor:
            return idf * texts.over_ngrams(inverse * u)

        wide = min(size + OVERSAMPLING, len(keys), len(sequences))
        drawn = torch.randn((len(keys), wide), generator=torch.Generator().manual_seed(seed))
        basis = torch.linalg.qr(a(drawn))[0]  # (n, wide)
        for _ in range(POWER_ITERATIONS):
            basis = torch.linalg.qr(a_transposed(basis))[0]
            basis = torch.linalg.qr(a(basis))[0]
        v = torch.linalg.svd(a_transposed(basis), full_matrices=False)[0][:, :size]  # (K, D)
        return LSA(keys, (idf * v).numpy(), length[:, 0].numpy(), a(v).numpy())
    finally:
        torch.set_num_threads(before)
