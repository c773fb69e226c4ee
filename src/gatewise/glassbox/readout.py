"""What the dense layer would say if the reading stopped early: the verdict as it comes about.

For one direction that is free: the state after step t is there, so it is pooled and read. With two directions the
backward one has to start anew at every stop, so all beginnings of the sequence are run, as one ragged batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.architecture import Architecture
from gatewise.batch import Batch
from gatewise.cell import Array
from gatewise.kernels import Kernel
from gatewise.network import forward
from gatewise.ops import NumpyOps

__all__ = ["STEPS_AT_ONCE", "features_after", "margin", "run_all", "unit_moves"]

STEPS_AT_ONCE = 65_536  # steps a batch may hold: bounds the memory of a quadratic number of them


def margin(logits: Array, predicted: int) -> Array:
    """What is explained (...), from logits (..., outputs): the one logit, or that of `predicted` less the mean of
    all.
    """
    if logits.shape[-1] == 1:
        return logits[..., 0]
    gap: Array = logits[..., predicted] - logits.mean(axis=-1)
    return gap


def features_after(arch: Architecture, h: Array, h0: Array) -> list[Array]:
    """The pooled state of one direction after 0, 1, ... T steps, (T + 1, H) float64 for each part of the pooling.

    h (T, H) in the order of reading, h0 (H,) the state before. Before the first step mean and maximum are 0, as the
    network has it for an empty sequence.
    """
    h, nothing = h.astype(np.float64), np.zeros((1, h.shape[1]))
    if arch.pooling == "last":
        return [np.concatenate([h0[None].astype(np.float64), h])]
    parts = []
    if "mean" in arch.pooling:
        means = np.cumsum(h, axis=0) / np.arange(1, len(h) + 1)[:, None]
        parts.append(np.concatenate([nothing, means]))
    if "max" in arch.pooling:
        parts.append(np.concatenate([nothing, np.maximum.accumulate(h, axis=0)]))
    return parts


def unit_moves(arch: Architecture, weight: Array, h: Sequence[Array], h0: Sequence[Array]) -> Array:
    """How far each unit of the top layer moved the margin at each step: (T, H x directions) float64.

    weight (features,): the margin as a function of the pooled features. h (T, H) and h0 (H,), one a direction. Each
    direction's moves are those of its own order of reading. Whatever the pooling, all of them together lead from the
    start to the logit.
    """
    parts = weight.astype(np.float64).reshape(-1, len(h), arch.units)  # (parts of the pooling, directions, H)
    moves = []
    for d, direction in enumerate(arch.directions):
        order = slice(None, None, -1 if direction == "backward" else 1)
        after = features_after(arch, h[d][order], h0[d])
        moved = sum(np.diff(part, axis=0) * w for part, w in zip(after, parts[:, d], strict=True))
        moves.append(np.asarray(moved)[order])
    return np.concatenate(moves, axis=1)


def run_all(
    parameters: Mapping[str, Array], arch: Architecture, sequences: Iterable[Array], kernel: Kernel | None = None
) -> Array:
    """Logits (n, outputs) float64 of n sequences, run in ragged batches of at most STEPS_AT_ONCE steps or one."""
    ops = NumpyOps(kernel)
    parts = [np.asarray(forward(ops, parameters, arch, Batch.of(some, arch))) for some in _chunks(sequences)]
    return np.concatenate(parts, dtype=np.float64)


def _chunks(sequences: Iterable[Any]) -> Iterator[list[Any]]:
    waiting: list[Any] = []
    steps = 0
    for sequence in sequences:
        if waiting and steps + len(sequence) > STEPS_AT_ONCE:
            yield waiting
            waiting, steps = [], 0
        waiting.append(sequence)
        steps += len(sequence)
    yield waiting
