"""The reviews of the rows: training, test and unlabelled ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatewise.data import Labelled, Splits, Unlabelled, imdb, imdb_texts

__all__ = ["Reviews"]

TEST_OF_FEW = 5_000  # test reviews for few labels, equal in all samples


@dataclass(frozen=True, eq=False)
class Reviews:
    """path: the official archive or its folder. part: fraction of the training reviews."""

    path: Path
    part: float = 1.0

    @cached_property
    def splits(self) -> Splits:
        return imdb(self.path, progress=False, download=False)

    @cached_property
    def train(self) -> Labelled:
        """The train half, or whole films of it."""
        whole = self.splits.train
        if self.part >= 1:
            return whole
        films = np.unique(whole.groups)
        kept = np.random.default_rng(0).permutation(films)[: max(2, int(self.part * len(films)))]
        return whole.take(np.isin(whole.groups, kept))

    @cached_property
    def test(self) -> Labelled:
        assert self.splits.test is not None, "the accuracy rows need the official archive, which has a test half"
        return self.splits.test

    @cached_property
    def texts(self) -> Unlabelled:
        """The unlabelled texts: nothing of the test half."""
        found = imdb_texts(self.path, progress=False, download=False)
        if self.part >= 1:
            return found
        texts = found.texts[:: round(1 / self.part)]
        return Unlabelled(texts, f"every {round(1 / self.part)}th of {found.source}")

    @cached_property
    def some_test(self) -> Labelled:
        """5,000 test reviews."""
        return self.test.take(np.sort(np.random.default_rng(1).permutation(len(self.test))[:TEST_OF_FEW]))

    def few(self, labels: int, sample: int) -> Labelled:
        """So many train reviews, half of them positive. sample: the random seed."""
        rng, y = np.random.default_rng([sample, labels]), self.train.labels
        rows: list[NDArray[np.int64]] = [rng.permutation(np.flatnonzero(y == k))[: labels // 2] for k in (0, 1)]
        return self.train.take(np.sort(np.concatenate(rows)))
