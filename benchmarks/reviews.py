"""IMDB reviews in the tutorial's encoding, and the initial weights of every contender."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.base import Arrays
from gatewise.data import batches, imdb
from gatewise.network.architecture import Architecture, initial_parameters
from gatewise.ragged import flat
from gatewise.text import KerasEncoding, keras_index

VOCAB_SIZE, LENGTH, EMBEDDING_DIM, UNITS = 10_000, 1000, 32, 100
DEFAULT_ARCHIVE = Path(__file__).resolve().parents[2] / "shared" / "data" / "aclImdb_v1.tar.gz"


@dataclass(frozen=True)
class Reviews:
    """ids: the encoded train reviews, truncated at the start to LENGTH; labels (n,); vocab_size: rows of the tutorial's
    embedding (88,588, of which 10,000 occur); source: where the data comes from; texts: the reviews; words: those that
    occur, the most frequent first.
    """

    ids: list[NDArray[np.int32]]
    labels: NDArray[np.int64]
    vocab_size: int
    source: str
    texts: Sequence[str] = ()
    words: Sequence[str] = ()

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)

    def take(self, rows: NDArray[np.int64]) -> Arrays:
        """The given reviews as input of a worker: ids (N,), lengths (R,), labels (R,)."""
        return {
            "ids": np.concatenate([self.ids[n] for n in rows]).astype(np.int32),
            "lengths": self.lengths[rows],
            "labels": self.labels[rows],
        }

    def shuffled(self, count: int, seed: int) -> NDArray[np.int64]:
        """`count` row numbers in random order."""
        return np.random.default_rng(seed).permutation(len(self.ids))[:count].astype(np.int64)

    def bucketed(self, count: int, size: int, seed: int) -> list[NDArray[np.int64]]:
        """`count` batches of similar lengths, evenly spaced over the 50 batches of one pool of gatewise's bucketing."""
        rows = self.shuffled(50 * size, seed)
        pool = [rows[part] for part in batches(self.lengths[rows], size, np.random.default_rng(seed), True)]
        pool.sort(key=lambda part: int(self.lengths[part].max()))
        places = np.linspace(0, len(pool) - 1, count + 2).round().astype(int)[1:-1]
        return [pool[place] for place in places]


def read(path: str | None) -> Reviews:
    """The train reviews of the official archive or its folder; by default of that in shared/data, else embedded."""
    reviews = imdb(path or (str(DEFAULT_ARCHIVE) if DEFAULT_ARCHIVE.exists() else "embedded")).train
    texts = [str(text) for text in reviews.inputs]
    index = keras_index(texts)
    encoding = KerasEncoding(index, VOCAB_SIZE)
    ids = [sequence[-LENGTH:] for sequence in encoding.encode_batch(texts)]
    words = sorted(index, key=index.__getitem__)[: VOCAB_SIZE - 4]
    return Reviews(ids, flat(reviews.labels), encoding.vocab_size, reviews.source, texts, words)


@cache  # many cases have the same
def weights(units: int = UNITS) -> MappingProxyType[str, np.ndarray]:
    """Initial weights drawn as Keras draws them; the embedding has only the 10,000 rows that occur."""
    arch = Architecture.stacked(
        "tokens", vocab_size=VOCAB_SIZE, embedding_dim=EMBEDDING_DIM, units=units, max_length=LENGTH
    )
    drawn = initial_parameters(arch, np.random.default_rng(1))
    return MappingProxyType({name.removeprefix("lstm.0.forward."): array for name, array in drawn.items()})
