"""The network, once: embedding -> LSTM layers -> pooling -> dense, for prediction and for training alike.

It is written against `Ops`, so the same lines run on NumPy arrays and on torch tensors.

Pad steps without their cost (padding "pre"): before its first word every padded sequence has walked the same way, from
the zero state through one pad after the other. That way is run once, as one sequence (the trajectory), and each
sequence starts from the state after its own number of pads. Its gradient is added to the trajectory at that step, by
the autograd of `take`. The trajectory stops where a step changes nothing, bit for bit: every later state is then the
same one. Backward is then right to rounding as well: what is left out is the adjoint after as many steps as it took the
state to settle, and the two shrink at the same rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.ops import Ops, States

__all__ = ["PAD_CHUNK", "features", "forward", "inputs", "pool", "run_lstms"]

PAD_CHUNK = 192  # pad steps run between two looks at whether the state has settled


def forward(ops: Ops, parameters: Mapping[str, Any], arch: Architecture, batch: Batch, x: Any = None) -> Any:
    """Logits (B, outputs) of a batch. x: see `run_lstms`."""
    pooled = ops.dropout(features(ops, parameters, arch, batch, x), "output")
    return ops.linear(pooled, parameters["dense.weight"], parameters["dense.bias"])


def features(ops: Ops, parameters: Mapping[str, Any], arch: Architecture, batch: Batch, x: Any = None) -> Any:
    """What the dense layer reads of a batch (B, features). x: see `run_lstms`."""
    h, h_T = run_lstms(ops, parameters, arch, batch, x)
    return pool(ops, arch, h, h_T, batch.lengths)


def inputs(ops: Ops, parameters: Mapping[str, Any], batch: Batch) -> Any:
    """What the first layer reads: of tokens (U, D), from which `batch.index` picks each step's; of channels (N, C)."""
    if batch.values is not None:
        return ops.constant(batch.values, parameters["dense.bias"])
    assert batch.distinct is not None
    return ops.dropout(ops.take(parameters["embedding.weight"], batch.distinct), "embedding")


def run_lstms(
    ops: Ops, parameters: Mapping[str, Any], arch: Architecture, batch: Batch, x: Any = None
) -> tuple[list[Any], list[Any]]:
    """The top layer's h of every step (N, H), and its state h_T (B, H) after the last step, one a direction.

    x (N, D): every step's input, in place of what the batch's tokens or channels give; never with pads.
    """
    index = batch.index if x is None else None
    assert x is None or batch.pads is None
    x = inputs(ops, parameters, batch) if x is None else x
    longest = 0 if batch.pads is None else int(batch.pads.max(initial=0))
    x_pad = ops.take(x, np.zeros(1, dtype=np.int64)) if longest else None  # PAD is the smallest token: row 0, (1, D)
    runs: list[States] = []
    for layer, direction, name in arch.lstms():
        if layer and direction == "forward":  # the layer below is complete
            x = ops.dropout(ops.concat([run.h for run in runs], axis=1), "layer")  # (N, H x directions)
            index, runs = None, []
        pre = _project(ops, parameters, name, x)  # (U, 4H), above the first layer (N, 4H)
        h0 = c0 = ops.zeros(pre, len(batch), arch.units)
        if batch.pads is not None and longest:
            run = partial(_pad_states, ops, parameters, name, x_pad, arch)
            h_pads, c_pads = ops.pad_states(name, longest, arch.max_length, run)  # (S + 1, H)
            after = np.minimum(batch.pads, len(h_pads) - 1)
            h0, c0 = ops.take(h_pads, after), ops.take(c_pads, after)
            x_pad = ops.dropout(h_pads[1:], "layer")
        weight_hh = parameters[f"{name}.weight_hh"]
        runs.append(ops.lstm(name, pre, index, batch.lengths, weight_hh, h0, c0, direction == "backward", arch.gate))
    return [run.h for run in runs], [run.h_T for run in runs]


def pool(ops: Ops, arch: Architecture, h: list[Any], h_T: list[Any], lengths: NDArray[np.int64]) -> Any:
    """What the dense layer reads (B, features), from h [(N, H)] and the last states h_T [(B, H)] of each direction."""
    if arch.pooling == "last":
        return ops.concat(h_T, axis=1)
    parts = []
    if "mean" in arch.pooling:
        parts += [ops.segment_mean(one, lengths) for one in h]
    if "max" in arch.pooling:
        parts += [ops.segment_max(one, lengths) for one in h]
    return ops.concat(parts, axis=1)


def _project(ops: Ops, parameters: Mapping[str, Any], name: str, x: Any) -> Any:
    """x W_ihᵀ + b (U, 4H)."""
    return ops.project(x, parameters[f"{name}.weight_ih"], parameters[f"{name}.bias"])


def _pad_states(
    ops: Ops, parameters: Mapping[str, Any], name: str, x_pad: Any, arch: Architecture, longest: int
) -> tuple[Any, Any]:
    """h and c (S + 1, H) after 0, 1, ... S pads, from the zero state; S is `longest`, or where the state has settled.

    x_pad (P, D): what pad step t feeds in, its last row for every t beyond P.
    """
    pre, inputs = _project(ops, parameters, name, x_pad), len(x_pad)  # (P, 4H)
    weight_hh = parameters[f"{name}.weight_hh"]
    h_T = c_T = ops.zeros(pre, 1, arch.units)
    h, c, done = [h_T], [c_T], 0
    while done < longest:
        count = min(PAD_CHUNK, longest - done)
        index = np.minimum(np.arange(done, done + count), inputs - 1).astype(np.int32)
        chunk = np.array([count], dtype=np.int64)
        states = ops.lstm(f"{name}.pads", pre, index, chunk, weight_hh, h_T, c_T, False, arch.gate)
        h, c, done = [*h, states.h], [*c, states.c], done + count
        h_T, c_T = states.h_T, states.c_T
        if done > inputs and ops.converged(states):  # the input no longer changes either
            break
    return ops.concat(h, axis=0), ops.concat(c, axis=0)
