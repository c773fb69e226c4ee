"""Prefix predictions: the network's logits after 0, 1, ... T steps of a sequence, with each step run once.

With one direction the states of the whole run are enough: the states after step t are pooled and read. With two
directions the backward LSTM starts again at the end of each prefix. These runs are batched, from the last step to the
first, _BLOCK steps at a time. After each block, runs whose h and c differ from the longest run's by at most one
rounding error are merged with it. An LSTM forgets its start, so T²/2 steps become a multiple of T for a long text;
runs that do not converge stay separate, so nothing is approximated. With several bidirectional layers `LSTM` runs each
prefix by itself.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.kernels import Forward, LSTMCall
from gatewise.members.gates import Gates
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.forward import inputs
from gatewise.network.ops import Ops
from gatewise.ragged import starts_of
from gatewise.system.cancel import check_cancelled
from gatewise.types import Array

_BLOCK = 32  # steps between two comparisons of the runs' states


def pooled_prefixes(arch: Architecture, gates: Gates) -> list[Array]:
    """The pooled state of one direction after it has read 0, 1, ... T steps: (T + 1, H) float64 for each part of the
    pooling. The mean and the maximum of no steps are 0, as in the network.
    """
    if arch.pooling == "none":
        raise InputError("pooling 'none' has a prediction per step, and this explains one prediction per sequence")
    h, h0 = (a.astype(np.float64) for a in (gates.h[gates.reading_order], gates.h0[None]))
    if arch.pooling == "step" and gates.direction == "backward":  # which reads the last step first
        return [np.concatenate([h0, np.repeat(h[:1], len(h), axis=0)])]
    if arch.pooling in ("last", "step"):
        return [np.concatenate([h0, h])]
    parts, nothing = [], np.zeros_like(h0)
    if "mean" in arch.pooling:
        means = np.cumsum(h, axis=0) / np.arange(1, len(h) + 1)[:, None]
        parts.append(np.concatenate([nothing, means]))
    if "max" in arch.pooling:
        parts.append(np.concatenate([nothing, np.maximum.accumulate(h, axis=0)]))
    return parts


def backward_prefixes(arch: Architecture, parameters: Mapping[str, Array], ops: Ops, read: Array) -> list[Array]:
    """The pooled states of the backward direction over the first 0, 1, ... T steps of a one-layer network.

    Returns (T + 1, H) float64 for each part of the pooling.
    """
    batch = Batch.of([read], arch)
    weight_ih, weight_hh, bias = (parameters[f"lstm.0.backward.{part}"] for part in ("weight_ih", "weight_hh", "bias"))
    pre = ops.project(inputs(ops, parameters, batch), weight_ih, bias)  # (U, 4H)
    index = np.arange(len(pre), dtype=np.int32) if batch.index is None else batch.index
    steps, units = len(read), arch.top.units
    total, largest = np.zeros((steps + 1, units)), np.full((steps + 1, units), -np.inf)
    h, c = np.zeros((2, 0, units), dtype=pre.dtype)
    run_of = np.zeros(steps + 1, dtype=np.int64)  # for each prefix: its row of h and c
    for high in range(steps, 0, -_BLOCK):
        check_cancelled()
        low = max(0, high - _BLOCK)
        new = np.arange(high, low, -1)  # the prefixes that end in this block, the longest first
        ends = np.concatenate([np.full(len(h), high), new])
        run_of[new] = len(h) + np.arange(len(new))
        lengths, full = ends - low, len(h)  # the first `full` runs cover the whole block
        rows = np.repeat(ends - 1, lengths) - (np.arange(lengths.sum()) - np.repeat(starts_of(lengths), lengths))
        h, c = (np.concatenate([a, np.zeros((len(new), units), dtype=pre.dtype)]) for a in (h, c))
        call = LSTMCall(pre, index[rows], lengths, weight_hh, h, c, gate=arch.gate)
        [states] = ops.lstms([("lstm.0.backward", call)], rows)
        running = np.arange(low + 1, steps + 1)
        if "mean" in arch.pooling:
            total[running] += _reduce_runs(np.add, states.h, lengths, full)[run_of[running]]
        if "max" in arch.pooling:
            highest = _reduce_runs(np.maximum, states.h, lengths, full)[run_of[running]]
            largest[running] = np.maximum(largest[running], highest)
        h, c, merged = _merge_equal(states)
        run_of[running] = merged[run_of[running]]
    parts: list[Array] = []
    for pooling in arch.pooling.split("+"):
        if pooling == "last":
            parts.append(np.concatenate([np.zeros((1, units)), h[run_of[1:]]]))
            continue
        part = total / np.maximum(np.arange(steps + 1), 1)[:, None] if pooling == "mean" else largest
        part[0] = 0  # as in the network for an empty sequence
        parts.append(part)
    return parts


def _reduce_runs(over: np.ufunc, h: Array, lengths: NDArray[np.int64], full: int) -> Array:
    """The sum or maximum of each run's rows (K, H); the first `full` runs have the same length."""
    last = int(lengths[:full].sum())
    equal = over.reduce(h[:last].reshape(full, last // max(full, 1), h.shape[1]), axis=1) if full else h[:0]
    if full == len(lengths):
        return np.asarray(equal)
    return np.concatenate([equal, over.reduceat(h[last:], starts_of(lengths[full:]))])


def _merge_equal(states: Forward) -> tuple[Array, Array, NDArray[np.int64]]:
    """h and c (K, H) of the first run and of the runs in other states, and for each run its new row.

    Two states are equal when they differ by at most the rounding error of one step.
    """
    h, c = states.h_T, states.c_T
    rounding = np.finfo(h.dtype).eps
    near_h = np.abs(h - h[0]) <= rounding
    near_c = np.abs(c - c[0]) <= rounding * np.maximum(1, np.abs(c[0]))
    equal = (near_h & near_c).all(axis=-1)
    equal[0] = False
    return h[~equal], c[~equal], np.where(equal, 0, np.cumsum(~equal) - 1)
