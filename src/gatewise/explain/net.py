"""What the glass box opens: parameters, their architecture, the kernel, and what is held by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gatewise.explain.clamp import Clamp
from gatewise.explain.overrides import ClampedOps
from gatewise.kernels import Kernel
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.forward import forward
from gatewise.network.ngrams import Ngrams
from gatewise.network.ops import NumpyOps
from gatewise.types import Array

__all__ = ["STEPS_AT_ONCE", "ExplainedNetwork", "chunks", "run_all"]

STEPS_AT_ONCE = 65_536  # steps a batch may hold: bounds the memory of a quadratic number of them


@dataclass(frozen=True, eq=False)
class ExplainedNetwork:
    """A network as arrays. kernel: None for the one that predicts. unknown: the token that stands for any word that the
    vocabulary lacks, where there is one. clamps: gates held by hand, in every run. ngrams: the linear path beside it.
    memo: what follows from parameters that cannot change alone, kept between runs; leave it None for others.
    """

    parameters: Mapping[str, Array]
    arch: Architecture
    kernel: Kernel | None = None
    unknown: int | None = None
    clamps: tuple[Clamp, ...] = ()
    ngrams: Ngrams | None = None
    memo: dict[str, tuple[Array, Array]] | None = field(default=None, repr=False)

    def ops(self, keep: bool = False) -> NumpyOps:
        """What `network.forward` runs on; with `keep`, the tapes stay in it."""
        if self.clamps:
            return ClampedOps(self.arch, self.clamps, self.kernel, keep)
        return NumpyOps(self.kernel, keep, self.memo)

    def under(self, clamps: Iterable[Clamp]) -> ExplainedNetwork:
        """This network with those gates held."""
        return replace(self, clamps=tuple(clamps))

    def alone(self) -> ExplainedNetwork:
        """The network without the n-grams beside it."""
        return self if self.ngrams is None else replace(self, ngrams=None)

    @property
    def token_noun(self) -> str:
        """What a step is called."""
        return "word" if self.arch.inputs == "tokens" else "step"


def run_all(net: ExplainedNetwork, sequences: Iterable[Array]) -> Array:
    """Logits (n, outputs) float64 of n sequences, n-grams and all, in ragged batches of at most STEPS_AT_ONCE steps or
    one.
    """
    ops, parts = net.ops(), []
    for some in chunks(sequences, STEPS_AT_ONCE):
        logits = np.asarray(forward(ops, net.parameters, net.arch, Batch.of(some, net.arch)), dtype=np.float64)
        parts.append(logits if net.ngrams is None else logits + net.ngrams.logits(some))
    return np.concatenate(parts) if parts else np.zeros((0, net.arch.outputs))


def chunks(sequences: Iterable[Any], most: int) -> Iterator[list[Any]]:
    """The sequences in their order, in lists of at most `most` steps, or of one."""
    waiting: list[Any] = []
    steps = 0
    for sequence in sequences:
        if waiting and steps + len(sequence) > most:
            yield waiting
            waiting, steps = [], 0
        waiting.append(sequence)
        steps += len(sequence)
    if waiting:
        yield waiting
