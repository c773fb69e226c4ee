"""The network that is explained: parameters, architecture, kernel, n-grams and clamps, and its batched runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from gatewise.explain.clamp import Clamp, ClampedOps
from gatewise.kernels import Kernel
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch, chunks
from gatewise.network.forward import forward
from gatewise.network.ngrams import Ngrams
from gatewise.network.ops import NumpyOps
from gatewise.types import Array

STEPS_PER_BATCH = 65_536  # bounds the memory of methods that run a quadratic number of steps


@dataclass(frozen=True, eq=False)
class ExplainedNetwork:
    """A network as arrays.

    kernel: None for the one that predicts. unknown: the token of unknown words, if there is one. clamps: gates that
    every run holds at a value. ngrams: the n-gram model whose logits are added. memo: a cache of results that depend on
    read-only parameters alone; None for parameters that can change.
    """

    parameters: Mapping[str, Array]
    arch: Architecture
    kernel: Kernel | None = None
    unknown: int | None = None
    clamps: tuple[Clamp, ...] = ()
    ngrams: Ngrams | None = None
    memo: dict[str, tuple[Array, Array]] | None = field(default=None, repr=False)

    def ops(self, keep: bool = False) -> NumpyOps:
        """The operations for `network.forward`; with `keep`, they save the activations."""
        if self.clamps:
            return ClampedOps(self.arch, self.clamps, self.kernel, keep)
        return NumpyOps(self.kernel, keep, self.memo)

    def with_clamps(self, clamps: Iterable[Clamp]) -> ExplainedNetwork:
        """This network with these clamps in place of its own."""
        return replace(self, clamps=tuple(clamps))

    def without_ngrams(self) -> ExplainedNetwork:
        """This network without its n-grams."""
        return self if self.ngrams is None else replace(self, ngrams=None)

    @property
    def token_noun(self) -> str:
        """The noun for one step: "word" or "step"."""
        return "word" if self.arch.inputs == "tokens" else "step"


def run_all(net: ExplainedNetwork, sequences: Iterable[Array]) -> Array:
    """Logits (n, outputs) float64 of n sequences, n-grams included, in ragged batches of at most STEPS_PER_BATCH steps
    (or one sequence).
    """
    ops, parts = net.ops(), []
    for some in chunks(sequences, STEPS_PER_BATCH):
        logits = np.asarray(forward(ops, net.parameters, net.arch, Batch.of(some, net.arch)), dtype=np.float64)
        parts.append(logits if net.ngrams is None else logits + net.ngrams.logits(some))
    return np.concatenate(parts) if parts else np.zeros((0, net.arch.outputs))
