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
from gatewise.network.pooling import StepsPooling
from gatewise.ragged import starts_of, step_numbers
from gatewise.system.cancel import check_cancelled
from gatewise.types import Array

_BLOCK = 32  # steps between two comparisons of the runs' states


def pooled_prefixes(arch: Architecture, gates: Gates) -> list[Array]:
    """The pooled state of one direction after it has read 0, 1, ... T steps: (T + 1, H) float64 for each part of the
    pooling. The mean and the maximum of no steps are 0, as in the network.
    """
    if arch.per_step:
        raise InputError("pooling 'none' has a prediction per step, and this explains one prediction per sequence")
    h = gates.h[gates.reading_order].astype(np.float64)
    h0 = gates.h0.astype(np.float64)
    return [pooling.prefixes(h, h0, gates.direction == "backward") for pooling in arch.poolings]


def backward_prefixes(arch: Architecture, parameters: Mapping[str, Array], ops: Ops, read: Array) -> list[Array]:
    """The pooled states of the backward direction over the first 0, 1, ... T steps of a one-layer network.

    Returns (T + 1, H) float64 for each part of the pooling.
    """
    batch = Batch.of([read], arch)
    weight_hh = parameters["lstm.0.backward.weight_hh"]
    pre = ops.project(  # (U, 4H)
        inputs(ops, parameters, batch), parameters["lstm.0.backward.weight_ih"], parameters["lstm.0.backward.bias"]
    )
    index = batch.index
    if index is None:
        index = np.arange(len(pre), dtype=np.int32)
    steps = len(read)
    units = arch.top.units
    joined = {  # the states of each prefix so far, joined as each pooling over the steps does
        pooling: np.full((steps + 1, units), pooling.start)
        for pooling in arch.poolings
        if isinstance(pooling, StepsPooling)
    }
    # The runs that have not ended, one row each. Several prefixes share a run whose states have become equal.
    h = np.zeros((0, units), dtype=pre.dtype)
    c = np.zeros((0, units), dtype=pre.dtype)
    run_of = np.zeros(steps + 1, dtype=np.int64)  # the run of each prefix
    for high in range(steps, 0, -_BLOCK):
        check_cancelled()
        low = max(0, high - _BLOCK)
        new = np.arange(high, low, -1)  # the prefixes that end in this block, the longest first
        earlier = len(h)  # runs that cover the whole block; they come first
        run_of[new] = earlier + np.arange(len(new))
        ends = np.concatenate([np.full(earlier, high), new])
        lengths = ends - low
        position = step_numbers(lengths)
        rows = np.repeat(ends - 1, lengths) - position  # each run reads from its end to `low`
        zeros = np.zeros((len(new), units), dtype=pre.dtype)
        h = np.concatenate([h, zeros])
        c = np.concatenate([c, zeros])
        call = LSTMCall(pre, index[rows], lengths, weight_hh, h, c, gate=arch.gate)
        [states] = ops.lstms([("lstm.0.backward", call)], rows)
        begun = np.arange(low + 1, steps + 1)  # the prefixes whose runs have begun
        for pooling, of_prefixes in joined.items():
            of_block = _reduce_runs(pooling.join, states.h, lengths, earlier)[run_of[begun]]
            of_prefixes[begun] = pooling.join(of_prefixes[begun], of_block)
        h, c, merged = _merge_equal(states)
        run_of[begun] = merged[run_of[begun]]
    count = np.maximum(np.arange(steps + 1), 1)[:, None]
    pooled: list[Array] = []
    for of_layer in arch.poolings:
        if isinstance(of_layer, StepsPooling):
            of_prefixes = of_layer.finished(joined[of_layer], count)
            of_prefixes[0] = 0  # as in the network for an empty sequence
            pooled.append(of_prefixes)
        else:
            pooled.append(np.concatenate([np.zeros((1, units)), h[run_of[1:]]]))
    return pooled


def _reduce_runs(operation: np.ufunc, h: Array, lengths: NDArray[np.int64], earlier: int) -> Array:
    """The sum or maximum of the rows of each run (K, H). earlier: the number of first runs, of equal length."""
    rows = int(lengths[:earlier].sum())
    if earlier:
        equal = operation.reduce(h[:rows].reshape(earlier, rows // earlier, h.shape[1]), axis=1)
    else:
        equal = h[:0]
    if earlier == len(lengths):
        return np.asarray(equal)
    return np.concatenate([equal, operation.reduceat(h[rows:], starts_of(lengths[earlier:]))])


def _merge_equal(states: Forward) -> tuple[Array, Array, NDArray[np.int64]]:
    """h and c (K, H) of the first run and of the runs in other states, and for each run its new row.

    Two states are equal when they differ by at most the rounding error of one step.
    """
    h = states.h_T
    c = states.c_T
    rounding = np.finfo(h.dtype).eps
    near_h = np.abs(h - h[0]) <= rounding
    near_c = np.abs(c - c[0]) <= rounding * np.maximum(1, np.abs(c[0]))
    equal = (near_h & near_c).all(axis=-1)
    equal[0] = False
    return h[~equal], c[~equal], np.where(equal, 0, np.cumsum(~equal) - 1)
