"""Inputs without information, which stand in the place of a step, by what the network reads.

tokens      the embedding of an unknown word or of a pad, zeros, the mean word
channels    the mean of the training data, which is 0 after standardisation, or the mean of the series
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from gatewise.errors import InputError
from gatewise.members.network import Network
from gatewise.network.distinct_tokens import PAD
from gatewise.types import Array

Baseline = Literal["unknown", "pad", "zero", "mean"]
BASELINES: tuple[Baseline, ...] = ("unknown", "pad", "zero", "mean")


class Baselines(ABC):
    """The baselines of networks with one kind of input. by_channel: whether a step has parts."""

    by_channel: ClassVar[bool]

    @abstractmethod
    def texts(self, net: Network) -> Mapping[Baseline, str]:
        """Each in words."""

    @abstractmethod
    def default(self, net: Network) -> Baseline:
        """The baseline where the user names none."""

    @abstractmethod
    def of(self, net: Network, x: Array, baseline: Baseline) -> Array:
        """The baseline (D,) of the inputs x (T, D) of the first layer. Raises InputError where there is none."""

    @abstractmethod
    def replacement(self, net: Network) -> tuple[int, str]:
        """What replaces a step of a sequence that keeps its length: a token or a number, and its name."""


class TokenBaselines(Baselines):
    """Baselines are embeddings."""

    by_channel: ClassVar[bool] = False

    def texts(self, net: Network) -> Mapping[Baseline, str]:
        return {
            "unknown": "an unknown word",
            "pad": "a pad",
            "zero": "an embedding of zeros",
            "mean": "the mean word",
        }

    def default(self, net: Network) -> Baseline:
        """The pad where pads are masked: the network never learned anything from one."""
        if net.has_pads:
            return "zero"
        return "pad"

    def of(self, net: Network, x: Array, baseline: Baseline) -> Array:
        # The embeddings of features of words, beside those of the words, are 0 in every baseline.
        of_word = self._of_word(net, baseline)
        return np.append(of_word, np.zeros(x.shape[1] - len(of_word), of_word.dtype))

    def _of_word(self, net: Network, baseline: Baseline) -> Array:
        table = net.embedding
        if baseline == "zero":
            return np.zeros_like(table[0])
        if baseline == "mean":
            return np.asarray(table.mean(axis=0))
        if baseline == "pad":
            return np.asarray(table[PAD])
        if net.unknown is None:
            raise InputError("this vocabulary has no row for an unknown word: use the baseline pad, zero or mean")
        return np.asarray(table[net.unknown])

    def replacement(self, net: Network) -> tuple[int, str]:
        if net.unknown is None:
            return PAD, "a pad"
        return net.unknown, "an unknown word"


class ChannelBaselines(Baselines):
    """Baselines are values of the channels."""

    by_channel: ClassVar[bool] = True

    def texts(self, net: Network) -> Mapping[Baseline, str]:
        return {"zero": net.zero_text, "mean": "this series' mean"}

    def default(self, net: Network) -> Baseline:
        return "zero"

    def of(self, net: Network, x: Array, baseline: Baseline) -> Array:
        if baseline == "mean":
            return np.asarray(x.mean(axis=0))
        return np.zeros_like(x[0])

    def replacement(self, net: Network) -> tuple[int, str]:
        return 0, net.zero_text


_BASELINES: dict[str, Baselines] = {"tokens": TokenBaselines(), "channels": ChannelBaselines()}


def baselines_of(net: Network) -> Baselines:
    """The baselines of what the network reads."""
    return _BASELINES[net.inputs.kind]
