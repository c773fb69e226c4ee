"""`LinearModel`: what the linear models of an ensemble share, on the n-grams of a text or the convolutions of a series.

Its logits are added to those of the network. It is linear in its features, so its logits divide exactly by step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gatewise.network.architecture import Architecture
from gatewise.types import Array


class LinearModel(Protocol):
    """A linear model over sequences (length, ...) as the network reads them, before truncation."""

    def logits(self, sequences: Iterable[Array]) -> Array:
        """Logits (n, outputs) float64. An iterator is read in parts, so that its sequences need not fit into memory."""
        ...

    def attribution(self, sequence: Array) -> Array:
        """Attribution (T, outputs) float64 of `logits` to the steps, which sums to it."""
        ...

    def prefix_logits(self, sequence: Array) -> Array:
        """Logits (T, outputs) float64 after 1, 2, ... T steps; the last row is `logits`."""
        ...

    def leave_one_out(self, sequence: Array, steps: Array) -> Array:
        """Logits (R, outputs) float64 of the sequence without one step, for each of `steps` (R,)."""
        ...

    def check(self, arch: Architecture) -> None:
        """Raise InputError unless the model fits the architecture."""
        ...

    def summary(self) -> tuple[str, str, int]:
        """One line of the model summary: name, output shape and number of weights."""
        ...
