"""The forward pass, for prediction and training: embedding -> LSTM layers -> pooling -> dense.

It is written against `network.ops`, so it runs on arrays for prediction and records gradients for training.

With padding "pre" the states after 0, 1, 2, ... pads are equal for all sequences of a batch. They are computed once, as
one sequence (the pad states), and each sequence starts from the state after its own number of pads; `take` adds its
gradient to the pad states at that step. The pad states end where a step changes neither h nor c, bit for bit, since all
later states are equal. The gradient is then exact to rounding too: it omits the adjoint after as many steps as the
state needs to converge, and both decay at the same rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import LSTMCall
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.ops import NumpyOps, States
from gatewise.types import Array, Lengths

PAD_CHUNK = 192  # pad steps between two tests whether the state has converged
STEPS_PER_BATCH = 65_536  # bounds the memory of a batch, 4H floats per step


def forward(ops: NumpyOps, parameters: Mapping[str, Any], arch: Architecture, batch: Batch, x: Any = None) -> Any:
    """Logits (B, outputs) of a batch. x: see `run_lstms`."""
    pooled = ops.dropout(features(ops, parameters, arch, batch, x), "output")
    return ops.linear(pooled, parameters["dense.weight"], parameters["dense.bias"])


def features(ops: NumpyOps, parameters: Mapping[str, Any], arch: Architecture, batch: Batch, x: Any = None) -> Any:
    """Inputs (B, features) of the dense layer for a batch. x: see `run_lstms`."""
    h, h_T = run_lstms(ops, parameters, arch, batch, x)
    return pool(ops, arch, h, h_T, batch.lengths)


def inputs(ops: NumpyOps, parameters: Mapping[str, Any], batch: Batch) -> Any:
    """Inputs of the first layer: for tokens (U, D), of which `batch.index` selects rows; for channels (N, C)."""
    if batch.values is not None:
        return ops.constant(batch.values, parameters["dense.bias"])
    assert batch.distinct is not None
    return ops.dropout(ops.take(parameters["embedding.weight"], batch.distinct), "embedding")


def run_lstms(
    ops: NumpyOps, parameters: Mapping[str, Any], arch: Architecture, batch: Batch, x: Any = None
) -> tuple[list[Any], list[Any]]:
    """h (N, H) of every step of the top layer and its state h_T (B, H) after the last step, one entry per direction.

    x (N, D): the input of every step, instead of the batch's tokens or channels; not allowed with pads.
    """
    index = batch.index if x is None else None
    assert x is None or batch.pads is None
    x = inputs(ops, parameters, batch) if x is None else x
    longest = 0 if batch.pads is None else int(batch.pads.max(initial=0))
    x_pad = ops.take(x, np.zeros(1, dtype=np.int64)) if longest else None  # PAD is the smallest token: row 0, (1, D)
    runs: list[States] = []
    for layer, group in groupby(arch.lstms(), key=itemgetter(0)):
        if layer:
            x = ops.concat([run.h for run in runs], axis=1)  # (N, H x directions)
            index = None
        calls = []
        for _, direction, name in group:
            # (U, 4H), above the first layer (N, 4H)
            pre = ops.project(x, parameters[f"{name}.weight_ih"], parameters[f"{name}.bias"])
            h0 = c0 = ops.zeros(pre, len(batch), arch.units)
            if batch.pads is not None and longest:
                run = partial(_pad_states, ops, parameters, name, x_pad, arch)
                h_pads, c_pads = ops.pad_states(name, longest, arch.max_length, run)  # (S + 1, H)
                after = np.minimum(batch.pads, len(h_pads) - 1)
                h0, c0 = ops.take(h_pads, after), ops.take(c_pads, after)
                x_pad = h_pads[1:]
            weight_hh, reverse = parameters[f"{name}.weight_hh"], direction == "backward"
            calls.append((name, LSTMCall(pre, index, batch.lengths, weight_hh, h0, c0, reverse, arch.gate)))
        runs = ops.lstms(calls)
    return [run.h for run in runs], [run.h_T for run in runs]


def pool(ops: NumpyOps, arch: Architecture, h: list[Any], h_T: list[Any], lengths: Lengths) -> Any:
    """Inputs (B, features) of the dense layer, from h [(N, H)] and the last states h_T [(B, H)] of each direction."""
    if arch.pooling == "last":
        return ops.concat(h_T, axis=1)
    parts = []
    if "mean" in arch.pooling:
        parts += [ops.segment_mean(one, lengths) for one in h]
    if "max" in arch.pooling:
        parts += [ops.segment_max(one, lengths) for one in h]
    return ops.concat(parts, axis=1)


def _pad_states(
    ops: NumpyOps, parameters: Mapping[str, Any], name: str, x_pad: Any, arch: Architecture, longest: int
) -> tuple[Any, Any]:
    """h and c (S + 1, H) after 0, 1, ... S pads from the zero state; S is `longest`, or where the state has converged.

    x_pad (P, D): the input of pad step t; its last row for every t beyond P.
    """
    pre = ops.project(x_pad, parameters[f"{name}.weight_ih"], parameters[f"{name}.bias"])  # (P, 4H)
    weight_hh = parameters[f"{name}.weight_hh"]
    h_T = c_T = ops.zeros(pre, 1, arch.units)
    h, c, done = [h_T], [c_T], 0
    while done < longest:
        count = min(PAD_CHUNK, longest - done)
        index = np.minimum(np.arange(done, done + count), len(x_pad) - 1).astype(np.int32)
        chunk = np.array([count], dtype=np.int64)
        states = ops.lstm(f"{name}.pads", LSTMCall(pre, index, chunk, weight_hh, h_T, c_T, gate=arch.gate))
        h, c, done = [*h, states.h], [*c, states.c], done + count
        h_T, c_T = states.h_T, states.c_T
        if done > len(x_pad) and ops.converged(states):  # the input no longer changes either
            break
    return ops.concat(h, axis=0), ops.concat(c, axis=0)


def logits_of(
    parameters: Mapping[str, Array], arch: Architecture, sequences: Sequence[Array], ops: NumpyOps | None = None
) -> Array:
    """Logits (n, outputs) of n sequences: (length,) token ids or (length, C) channels; dtype of the parameters.

    Sequences of similar length share a batch; the order and number of the sequences change only the last bits.
    """
    return _in_batches(forward, arch.outputs, parameters, arch, sequences, ops)


def features_of(
    parameters: Mapping[str, Array], arch: Architecture, sequences: Sequence[Array], ops: NumpyOps | None = None
) -> Array:
    """Inputs (n, features) of the dense layer for n sequences; as `logits_of`."""
    return _in_batches(features, arch.features, parameters, arch, sequences, ops)


def _in_batches(
    run: Callable[..., Any],
    width: int,
    parameters: Mapping[str, Array],
    arch: Architecture,
    sequences: Sequence[Array],
    ops: NumpyOps | None,
) -> Array:
    out = np.zeros((len(sequences), width), dtype=parameters["dense.bias"].dtype)
    ops = ops or NumpyOps()
    for rows in _chunks([len(s) for s in sequences]):
        out[rows] = run(ops, parameters, arch, Batch.of([sequences[n] for n in rows], arch))
    return out


def _chunks(lengths: list[int]) -> Iterator[NDArray[np.int64]]:
    """Row numbers in batches of similar lengths, at most STEPS_PER_BATCH steps (or one sequence) each."""
    order = np.argsort(lengths, kind="stable")
    start = total = 0
    for place, row in enumerate(order):
        total += lengths[row]
        if total > STEPS_PER_BATCH and place > start:
            yield order[start:place]
            start, total = place, lengths[row]
    if start < len(order):
        yield order[start:]
