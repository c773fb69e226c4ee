"""The running verdict: what the network would say if the reading stopped after 0, 1, ... T steps, each step run once.

With one direction the state after step t is there, so it is pooled and read. With two, the backward direction starts
anew at every stop. Its runs are taken together, from the last step to the first, some steps at a time; now and then
those that have come into the state of the longest are left to it: where h and c differ by no more than a step's own
rounding. An LSTM forgets where it started, so what would be T²/2 steps becomes a multiple of T for a long text; where
it does not forget, the runs stay apart, and nothing is lost but time. Of several layers in two directions nothing is
shared: every beginning is a run of its own.

`prefix_predictions(net, read, known)` takes what is known of another reading: whatever the two have in common at their
start is not run again. So a page on which somebody writes pays for the words that are new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.explain.attribution.pooled import features_after, logits_from
from gatewise.explain.gates import run_with_activations
from gatewise.explain.net import ExplainedNetwork, run_all
from gatewise.kernels.ragged import starts_of
from gatewise.network.batch import Batch
from gatewise.network.forward import run_lstms
from gatewise.network.ops import NumpyOps, States
from gatewise.types import Array, Gate

__all__ = ["PrefixPredictions", "backward_after", "prefix_logits", "prefix_predictions"]

_BLOCK = 32  # steps run between two looks at which runs stand in the same state


@dataclass(frozen=True, eq=False)
class PrefixPredictions:
    """The running verdict on one sequence, and what a longer one can go on from.

    read (T, ...): the steps, as cut. logits_after (T + 1, outputs) float64: row t if the sequence had stopped after
    step t. With padding "pre" they are read behind the pads of this sequence. starts, states: of each LSTM that reads
    forward, (h0, c0) before the first step, and h and c (T, H) after each. backward: the pooled states (T + 1, H) of
    the backward direction, one a part of the pooling. reused: how many of the steps were known.
    """

    net: ExplainedNetwork
    read: Array
    logits_after: Array
    starts: tuple[tuple[Array, Array], ...] = ()
    states: tuple[tuple[Array, Array], ...] = ()
    backward: tuple[Array, ...] = ()
    reused: int = 0


def prefix_predictions(net: ExplainedNetwork, read: Array, known: PrefixPredictions | None = None) -> PrefixPredictions:
    """The running verdict on `read` (T, ...), a sequence as the network cuts it; T may be 0.

    known: what this function gave for another sequence of the same network. Raises InputError where it is another's.
    n-grams beside the network are not in it: they are counted on the whole text (`Ngrams.running`).
    """
    read, net = np.asarray(read), net.alone()
    if known is not None and (known.net.parameters is not net.parameters or known.net.clamps != net.clamps):
        raise InputError("what is known is of another network, or under other clamps")
    shared = 0 if known is None else _in_common(known.read, read)
    if net.arch.bidirectional and (net.clamps or net.arch.layers > 1):
        before = np.zeros((0, net.arch.outputs)) if known is None else known.logits_after[: shared + 1]
        after = np.concatenate([before, run_all(net, (read[:t] for t in range(len(before), len(read) + 1)))])
        return PrefixPredictions(net, read, after, reused=shared)
    if net.clamps:  # a held gate is held at a step of the whole, so nothing is gone on from
        [(lstms, _, _)] = run_with_activations(net, [read])
        after = prefix_logits(net, features_after(net.arch, lstms[-1].h, lstms[-1].h0), ())
        return PrefixPredictions(net, read, after)
    forward = replace(net.arch, bidirectional=False)
    ops = _Resumed(net, {})
    if known is not None and net.arch.padding == "pre":  # another number of pads may be another start
        run_lstms(ops, net.parameters, forward, _batch(net, read, len(read)))
        if not all(_same(h, old_h, c, old_c) for (h, c), (old_h, old_c) in zip(ops.starts, known.starts, strict=True)):
            shared = 0
    names = [name for _, _, name in forward.lstms()]
    ops = _Resumed(net, {})
    if known is not None and shared:
        ops = _Resumed(net, {n: (h[shared - 1], c[shared - 1]) for n, (h, c) in zip(names, known.states, strict=True)})
    run_lstms(ops, net.parameters, forward, _batch(net, read, shared))
    saved_activations = [ops.saved_activations[name][0] for name in names]
    states = tuple((saved.h, saved.c) for saved in saved_activations)
    starts = tuple(ops.starts)
    backward: tuple[Array, ...] = ()
    if known is not None and shared:
        starts = known.starts
        states = tuple(
            (np.concatenate([h[:shared], new_h]), np.concatenate([c[:shared], new_c]))
            for (h, c), (new_h, new_c) in zip(known.states, states, strict=True)
        )
    if net.arch.bidirectional:
        before_parts = [part[: shared + 1] for part in known.backward] if known is not None else None
        backward = tuple(backward_after(net, read, before_parts))
    after = prefix_logits(net, features_after(net.arch, states[-1][0], starts[-1][0]), backward)
    return PrefixPredictions(net, read, after, starts, states, backward, shared)


def prefix_logits(net: ExplainedNetwork, forward: Sequence[Array], backward: Sequence[Array]) -> Array:
    """The logits (T + 1, outputs) of pooled states (T + 1, H), a part of the pooling each, of one direction or both."""
    parts = [part for both in zip(forward, backward, strict=True) for part in both] if len(backward) else forward
    return logits_from(net, np.concatenate(parts, axis=1))


def backward_after(net: ExplainedNetwork, read: Array, before: Sequence[Array] | None = None) -> list[Array]:
    """The pooled states (T + 1, H) float64 of the backward direction over the first 0, 1, ... T steps, one a part of
    the pooling; of a network of one layer. before: the first rows of each part, where they are known.
    """
    ops, batch = net.ops(), Batch.of([read], net.arch)
    known = 1 if before is None else len(before[0])
    pre, index = _pre(net, ops, batch, "lstm.0.backward")
    weight_hh = net.parameters["lstm.0.backward.weight_hh"]
    steps, units = len(read), net.arch.units
    total, largest = np.zeros((steps + 1, units)), np.full((steps + 1, units), -np.inf)
    h, c = np.zeros((2, 0, units), dtype=pre.dtype)
    run_of = np.zeros(steps + 1, dtype=np.int64)  # of each beginning that runs: its row of h and c
    for high in range(steps, 0, -_BLOCK):
        low = max(0, high - _BLOCK)
        new = np.arange(high, max(low, known - 1), -1)  # the beginnings that end in this block, the longest first
        ends = np.concatenate([np.full(len(h), high), new])
        if not len(ends):
            continue
        run_of[new] = len(h) + np.arange(len(new))
        lengths, whole = ends - low, len(h)  # the first `whole` of them run through all of the block
        rows = np.repeat(ends - 1, lengths) - (np.arange(lengths.sum()) - np.repeat(starts_of(lengths), lengths))
        h, c = (np.concatenate([a, np.zeros((len(new), units), dtype=pre.dtype)]) for a in (h, c))
        arguments = lengths, weight_hh, h, c, False, net.arch.gate
        states = ops.lstm("lstm.0.backward", pre, index[rows], *arguments)
        running = np.arange(max(low + 1, known), steps + 1)
        if "mean" in net.arch.pooling:
            total[running] += _over_block(np.add, states.h, lengths, whole)[run_of[running]]
        if "max" in net.arch.pooling:
            highest = _over_block(np.maximum, states.h, lengths, whole)[run_of[running]]
            largest[running] = np.maximum(largest[running], highest)
        h, c, which = _apart(states)
        run_of[running] = which[run_of[running]]
    parts: list[Array] = []
    for pooling in net.arch.pooling.split("+"):
        if pooling == "last":
            part = np.concatenate([np.zeros((1, units)), h[run_of[1:]]]) if len(h) else np.zeros((steps + 1, units))
        else:
            part = total / np.maximum(np.arange(steps + 1), 1)[:, None] if pooling == "mean" else largest
            part[0] = 0  # as the network has it for an empty sequence
        if before is not None:
            part[:known] = before[len(parts)]
        parts.append(part)
    return parts


def _over_block(over: np.ufunc, h: Array, lengths: NDArray[np.int64], whole: int) -> Array:
    """The rows of each run of a block added up, or the largest (K, H); the first `whole` runs are of one length."""
    last = int(lengths[:whole].sum())
    same = over.reduce(h[:last].reshape(whole, last // max(whole, 1), h.shape[1]), axis=1) if whole else h[:0]
    if whole == len(lengths):
        return np.asarray(same)
    return np.concatenate([same, over.reduceat(h[last:], starts_of(lengths[whole:]))])


def _apart(states: States) -> tuple[Array, Array, NDArray[np.int64]]:
    """h and c (K, H) of the first run and of those in another state than it, and which of them each run is now."""
    h, c = states.h_T, states.c_T
    same = _same(h, h[0], c, c[0])
    same[0] = False
    return h[~same], c[~same], np.where(same, 0, np.cumsum(~same) - 1)


def _pre(net: ExplainedNetwork, ops: NumpyOps, batch: Batch, name: str) -> tuple[Array, NDArray[np.int32]]:
    """The input product (U, 4H) of one sequence, and which of its rows each step takes (T,)."""
    weight_ih, bias = (net.parameters[f"{name}.{part}"] for part in ("weight_ih", "bias"))
    if batch.distinct is not None and batch.index is not None:
        return ops.project(net.parameters["embedding.weight"][batch.distinct], weight_ih, bias), batch.index
    values = ops.constant(np.asarray(batch.values), net.parameters["dense.bias"])
    return ops.project(values, weight_ih, bias), np.arange(len(values), dtype=np.int32)


def _in_common(one: Array, other: Array) -> int:
    """How many steps the two have in common at their start."""
    length = min(len(one), len(other))
    differs = one[:length] != other[:length]
    where = np.flatnonzero(differs.any(axis=1) if differs.ndim > 1 else differs)
    return int(where[0]) if len(where) else length


def _batch(net: ExplainedNetwork, read: Array, first: int) -> Batch:
    """The steps of `read` from `first` on, behind the pads of the whole."""
    batch = Batch.of([read[first:]], net.arch)
    return batch if batch.pads is None else replace(batch, pads=batch.pads - first)


def _same(h: Array, other_h: Array, c: Array, other_c: Array) -> NDArray[np.bool_]:
    """Whether states (..., H) differ by no more than the rounding of a step."""
    rounding = np.finfo(h.dtype).eps
    near_h = np.abs(h - other_h) <= rounding
    near_c = np.abs(c - other_c) <= rounding * np.maximum(1, np.abs(other_c))
    return np.asarray((near_h & near_c).all(axis=-1))


class _Resumed(NumpyOps):
    """`NumpyOps` that keep tapes and go on from the states `known` by name; `starts`: those that they were given."""

    def __init__(self, net: ExplainedNetwork, known: dict[str, tuple[Array, Array]]) -> None:
        super().__init__(net.kernel, keep=True, memo=net.memo)
        self.known = known
        self.starts: list[tuple[Array, Array]] = []

    def lstm(
        self,
        name: str,
        pre: Array,
        index: NDArray[np.int32] | None,
        lengths: NDArray[np.int64],
        weight_hh: Array,
        h0: Array,
        c0: Array,
        reverse: bool,
        gate: Gate,
    ) -> States:
        if not name.endswith(".pads"):
            self.starts.append((h0[0], c0[0]))
            if name in self.known:
                h0, c0 = (np.ascontiguousarray(a[None]) for a in self.known[name])
        return super().lstm(name, pre, index, lengths, weight_hh, h0, c0, reverse, gate)
