"""Inference on any number of sequences, in ragged batches of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.forward import features, forward
from gatewise.network.ops import NumpyOps
from gatewise.types import Array

STEPS_AT_ONCE = 65_536  # bounds the memory of a batch, 4H floats per step


def logits_of(
    parameters: Mapping[str, Array], arch: Architecture, sequences: Sequence[Array], ops: NumpyOps | None = None
) -> Array:
    """Logits (n, outputs) float32 of n sequences: (length,) token ids or (length, C) channels.

    Sequences of similar length share a batch; the order and number of the sequences change only the last bits.
    """
    return _in_batches(forward, arch.outputs, parameters, arch, sequences, ops)


def features_of(
    parameters: Mapping[str, Array], arch: Architecture, sequences: Sequence[Array], ops: NumpyOps | None = None
) -> Array:
    """Inputs (n, features) float32 of the dense layer for n sequences; as `logits_of`."""
    return _in_batches(features, arch.features, parameters, arch, sequences, ops)


def _in_batches(
    run: Callable[..., Any],
    width: int,
    parameters: Mapping[str, Array],
    arch: Architecture,
    sequences: Sequence[Array],
    ops: NumpyOps | None,
) -> Array:
    out = np.zeros((len(sequences), width), dtype=np.float32)
    ops = ops or NumpyOps()
    for rows in _chunks([len(s) for s in sequences]):
        out[rows] = run(ops, parameters, arch, Batch.of([sequences[n] for n in rows], arch))
    return out


def _chunks(lengths: list[int]) -> Iterator[NDArray[np.int64]]:
    """Row numbers in batches of similar lengths, at most STEPS_AT_ONCE steps (or one sequence) each."""
    order = np.argsort(lengths, kind="stable")
    start = total = 0
    for place, row in enumerate(order):
        total += lengths[row]
        if total > STEPS_AT_ONCE and place > start:
            yield order[start:place]
            start, total = place, lengths[row]
    if start < len(order):
        yield order[start:]
