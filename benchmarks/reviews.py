"""Real reviews with their real lengths, in the tutorial's encoding, and the weights that all start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.wire import Arrays
from gatewise.data import batches, imdb
from gatewise.network.architecture import Architecture, initial_parameters
from gatewise.text import KerasEncoding, keras_index

WORDS, LENGTH, EMBEDDING, UNITS = 10_000, 1000, 32, 100
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data" / "aclImdb_v1.tar.gz"


@dataclass(frozen=True)
class Reviews:
    """ids: the train reviews, encoded, cut in front to LENGTH; labels (n,); rows: of the embedding, as the tutorial has
    it (88,588, of which 10,000 can occur); source: one line.
    """

    ids: list[NDArray[np.int32]]
    labels: NDArray[np.int64]
    rows: int
    source: str

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)

    def take(self, which: NDArray[np.int64]) -> Arrays:
        """Those rows as what a worker takes: ids (N,), lengths (R,), labels (R,)."""
        return {
            "ids": np.concatenate([self.ids[n] for n in which]).astype(np.int32),
            "lengths": self.lengths[which],
            "labels": self.labels[which],
        }

    def shuffled(self, count: int, seed: int) -> NDArray[np.int64]:
        """`count` row numbers in an order that the seed fixes."""
        return np.random.default_rng(seed).permutation(len(self.ids))[:count].astype(np.int64)

    def sorted_by_length(self, count: int, seed: int) -> NDArray[np.int64]:
        """`count` row numbers, the shortest review first."""
        rows = self.shuffled(count, seed)
        return rows[np.argsort(self.lengths[rows], kind="stable")]

    def bucketed(self, count: int, size: int, seed: int) -> list[NDArray[np.int64]]:
        """`count` batches of similar lengths, spread evenly over one pool of gatewise's own grouping (50 batches)."""
        rows = self.shuffled(50 * size, seed)
        pool = [rows[part] for part in batches(self.lengths[rows], size, np.random.default_rng(seed), True)]
        pool.sort(key=lambda part: int(self.lengths[part].max()))
        places = np.linspace(0, len(pool) - 1, count + 2).round().astype(int)[1:-1]
        return [pool[place] for place in places]

    def of_length(self, steps: int) -> int:
        """The first review of that many ids, START among them, or the nearest to it."""
        return int(np.argmin(np.abs(self.lengths - steps)))


def read(path: str | None) -> Reviews:
    """From the official archive or its folder; by default from beside the repository, else the embedded train half."""
    reviews = imdb(path or (BESIDE if BESIDE.exists() else "embedded")).train
    texts = [str(text) for text in reviews.inputs]
    encoding = KerasEncoding(keras_index(texts), WORDS)
    ids = [sequence[-LENGTH:] for sequence in encoding.encode_batch(texts)]
    return Reviews(ids, reviews.labels, encoding.rows, reviews.source)


def weights(units: int = UNITS) -> Arrays:
    """Start values drawn as Keras draws them; the embedding has the 10,000 rows that can occur and no more."""
    arch = Architecture("tokens", vocab_size=WORDS, embedding_dim=EMBEDDING, units=units, max_length=LENGTH)
    drawn = initial_parameters(arch, np.random.default_rng(1))
    return {name.removeprefix("lstm.0.forward."): array for name, array in drawn.items()}
