"""Inputs without information, which stand in the place of a step, by what the network reads.

tokens      the embedding of an unknown word or of a pad, zeros, the mean word
channels    the mean of the training data, which is 0 after standardisation, or the mean of the series
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from gatewise.errors import InputError
from gatewise.members.lstm import LSTM
from gatewise.network.autograd import VALUES
from gatewise.network.batch import PAD, Batch
from gatewise.types import Array, Lengths

Baseline = Literal["unknown", "pad", "zero", "mean"]
BASELINES: tuple[Baseline, ...] = ("unknown", "pad", "zero", "mean")

_TRAINING_MEAN = "the training data's mean"


class Rows(NamedTuple):
    """A batch whose inputs are rows of their own. parameters: with these rows, where the network has an embedding;
    name: of the array of all rows, among the gradients; first: the number of the first row in it.
    """

    batch: Batch
    parameters: dict[str, Array]
    name: str
    first: int


class Baselines(ABC):
    """The baselines of networks with one kind of input. texts: each in words. by_channel: whether a step has parts."""

    texts: ClassVar[Mapping[Baseline, str]]
    by_channel: ClassVar[bool]

    @abstractmethod
    def default(self, net: LSTM) -> Baseline:
        """The baseline where the user names none."""

    @abstractmethod
    def of(self, net: LSTM, x: Array, baseline: Baseline) -> Array:
        """The baseline (D,) of the inputs x (T, D) of the first layer. Raises InputError where there is none."""

    @abstractmethod
    def replacement(self, net: LSTM) -> tuple[int, str]:
        """What replaces a step of a sequence that keeps its length: a token or a number, and its name."""

    @abstractmethod
    def rows(self, net: LSTM, rows: Array, index: Array, lengths: Lengths) -> Rows:
        """The batch of sequences whose steps are `rows` (R, D), index (N,) the row of each step."""


class TokenBaselines(Baselines):
    """Baselines are embeddings."""

    texts: ClassVar[Mapping[Baseline, str]] = {
        "unknown": "an unknown word",
        "pad": "a pad",
        "zero": "an embedding of zeros",
        "mean": "the mean word",
    }
    by_channel: ClassVar[bool] = False

    def default(self, net: LSTM) -> Baseline:
        """The pad where pads are masked: the network never learned anything from one."""
        if net.arch.padding == "none":
            return "pad"
        return "zero"

    def of(self, net: LSTM, x: Array, baseline: Baseline) -> Array:
        table = net.parameters["embedding.weight"]
        if baseline == "zero":
            return np.zeros_like(table[0])
        if baseline == "mean":
            return np.asarray(table.mean(axis=0))
        if baseline == "pad":
            return np.asarray(table[PAD])
        if net.unknown is None:
            raise InputError("this vocabulary has no row for an unknown word: use the baseline pad, zero or mean")
        return np.asarray(table[net.unknown])

    def replacement(self, net: LSTM) -> tuple[int, str]:
        if net.unknown is None:
            return PAD, "a pad"
        return net.unknown, "an unknown word"

    def rows(self, net: LSTM, rows: Array, index: Array, lengths: Lengths) -> Rows:
        """The rows are an embedding of their own, after the pad, whose row stays the same."""
        name = "embedding.weight"
        embedding = np.concatenate([net.parameters[name][[PAD]], rows])
        pads = net.arch.max_length - lengths if net.arch.padding == "pre" else None
        batch = Batch(lengths, np.arange(len(embedding)), (index + 1).astype(np.int32), pads=pads)
        return Rows(batch, {**net.parameters, name: embedding}, name, 1)


class ChannelBaselines(Baselines):
    """Baselines are values of the channels."""

    texts: ClassVar[Mapping[Baseline, str]] = {"zero": _TRAINING_MEAN, "mean": "this series' mean"}
    by_channel: ClassVar[bool] = True

    def default(self, net: LSTM) -> Baseline:
        return "zero"

    def of(self, net: LSTM, x: Array, baseline: Baseline) -> Array:
        if baseline == "mean":
            return np.asarray(x.mean(axis=0))
        return np.zeros_like(x[0])

    def replacement(self, net: LSTM) -> tuple[int, str]:
        return 0, _TRAINING_MEAN

    def rows(self, net: LSTM, rows: Array, index: Array, lengths: Lengths) -> Rows:
        return Rows(Batch(lengths, values=rows, index=index.astype(np.int32)), dict(net.parameters), VALUES, 0)


_BASELINES: dict[str, Baselines] = {"tokens": TokenBaselines(), "channels": ChannelBaselines()}


def baselines_of(net: LSTM) -> Baselines:
    """The baselines of what the network reads."""
    return _BASELINES[net.arch.inputs]
