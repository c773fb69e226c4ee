"""Logits, and pooled states, of any number of sequences, in ragged batches that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.forward import features, forward
from gatewise.network.ops import NumpyOps
from gatewise.types import Array

STEPS_AT_ONCE = 65_536  # steps a batch may hold: bounds its memory, 4H floats a step


def logits_of(
    parameters: Mapping[str, Array], arch: Architecture, sequences: Sequence[Array], ops: NumpyOps | None = None
) -> Array:
    """Logits (n, outputs) float32 of n sequences: (length,) token ids or (length, C) channels.

    Similar lengths run together; the order and company of the sequences change only the last bits.
    """
    out = np.zeros((len(sequences), arch.outputs), dtype=np.float32)
    ops = ops or NumpyOps()
    for rows in _chunks([len(s) for s in sequences]):
        out[rows] = forward(ops, parameters, arch, Batch.of([sequences[n] for n in rows], arch))
    return out


def features_of(
    parameters: Mapping[str, Array], arch: Architecture, sequences: Sequence[Array], ops: NumpyOps | None = None
) -> Array:
    """What the dense layer reads of n sequences (n, features) float32; as `logits_of`."""
    out = np.zeros((len(sequences), parameters["dense.weight"].shape[1]), dtype=np.float32)
    ops = ops or NumpyOps()
    for rows in _chunks([len(s) for s in sequences]):
        out[rows] = features(ops, parameters, arch, Batch.of([sequences[n] for n in rows], arch))
    return out


def _chunks(lengths: list[int]) -> Iterator[NDArray[np.int64]]:
    """Row numbers, similar lengths together, at most STEPS_AT_ONCE steps (or one sequence) at a time."""
    order = np.argsort(lengths, kind="stable")
    start = total = 0
    for place, row in enumerate(order):
        total += lengths[row]
        if total > STEPS_AT_ONCE and place > start:
            yield order[start:place]
            start, total = place, lengths[row]
    if start < len(order):
        yield order[start:]
