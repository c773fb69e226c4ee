"""The trace: what every gate of every unit did at every step, taken from the tape of the kernel that predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from gatewise.architecture import Architecture
from gatewise.batch import Batch, cut
from gatewise.cell import Array
from gatewise.errors import InputError
from gatewise.glassbox.readout import features_after, margin, run_all, unit_moves
from gatewise.kernels import Kernel
from gatewise.network import forward
from gatewise.ops import NumpyOps

__all__ = ["Gates", "Share", "Trace", "kept_rows", "trace"]


class Share(NamedTuple):
    """How much of a gate, over units and steps, lies below 0.1, from there to 0.9, and above: three numbers with sum
    1.
    """

    below: float
    between: float
    above: float


@dataclass(frozen=True, eq=False)
class Gates:
    """One LSTM of the network. i, f, g, o, c, h: (T, H), row t is step t of the sequence, whatever the direction.

    The gates are as they acted: with gate="binary", i, f and o are 0 or 1. h0, c0 (H,): the state before the first
    step that it read, which is not zero where pads ran before. So c_t = f_t c_{t-1} + i_t g_t and h_t = o_t
    tanh(c_t); in the direction "backward" the step before t is t + 1.
    """

    layer: int
    direction: Literal["forward", "backward"]
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array
    h0: Array
    c0: Array

    def half_life(self) -> Array:
        """(H,): steps until half of a unit's memory is forgotten, at the mean rate of these steps: ln 2 / mean(-ln f).

        0 where a gate of exactly 0 wiped it out, infinite where nothing was forgotten.
        """
        with np.errstate(divide="ignore"):
            rate = -np.log(self.f.astype(np.float64)).mean(axis=0)
            return np.asarray(np.log(2) / rate)

    def shares(self) -> dict[str, Share]:
        """By gate (i, f, o): how much of it lies near 0, between and near 1."""
        return _shares([self])


@dataclass(frozen=True, eq=False)
class Trace:
    """One sequence of T steps as the network read it.

    steps: a name for each step read. left_out: how many more the sequence had, cut away by the network's `length`.
    pads: pad steps that ran before the first (padding "pre"). lstms: each LSTM, layers upwards. logits (outputs,).
    logits_after (T + 1, outputs) float64: the running verdict, row t if the sequence had stopped after step t, row 0
    before the first. With padding "pre" it is read from the state of this run, that is behind the same number of
    pads. moves (T, H x directions) float64: how far each unit of the top layer moved the margin (the logit, or with
    more classes the predicted one's less the mean of all), each direction in its own order of reading.
    """

    steps: list[str]
    left_out: int
    pads: int
    lstms: tuple[Gates, ...]
    logits: Array
    logits_after: Array
    moves: Array

    def gate_shares(self) -> dict[str, Share]:
        """By gate (i, f, o), over all LSTMs: how much of it lies below 0.1, between, above 0.9."""
        return _shares(self.lstms)

    def top(self, unit: int) -> tuple[Gates, int]:
        """Unit `unit` of the top layer's output (its directions side by side): its LSTM and its column there.

        Raises InputError for one that is not there.
        """
        units = self.lstms[-1].h.shape[1]
        if not 0 <= unit < self.moves.shape[1]:
            raise InputError(f"unit must be from 0 to {self.moves.shape[1] - 1}, not {unit}")
        directions = self.moves.shape[1] // units
        return self.lstms[len(self.lstms) - directions + unit // units], unit % units


def trace(
    parameters: Mapping[str, Array],
    arch: Architecture,
    sequence: Array,
    steps: Sequence[str],
    kernel: Kernel | None = None,
) -> Trace:
    """Run one sequence and keep everything. sequence: (length,) token ids or (length, C) channels; steps: a name for
    each.

    The kernel is the one that predicts unless another is given. Raises InputError for an empty sequence or a wrong
    number of names.
    """
    rows = kept_rows(arch, sequence, steps)
    read = np.asarray(sequence)[rows]  # as the batch cuts it
    ops = NumpyOps(kernel, keep=True)
    batch = Batch.of([read], arch)
    logits = np.asarray(forward(ops, parameters, arch, batch), dtype=np.float64)[0]
    lstms = tuple(_gates(layer, direction, ops.tapes[name][0]) for layer, direction, name in arch.lstms())
    top = lstms[-len(arch.directions) :]
    weight = np.asarray(parameters["dense.weight"], dtype=np.float64)
    h, h0 = [gates.h for gates in top], [gates.h0 for gates in top]
    if arch.bidirectional:
        after = run_all(parameters, arch, (read[:t] for t in range(len(read) + 1)), kernel)
    else:
        features = np.concatenate(features_after(arch, h[0], h0[0]), axis=1)  # (T + 1, features)
        after = features @ weight.T + np.asarray(parameters["dense.bias"], dtype=np.float64)
    return Trace(
        steps=[str(steps[row]) for row in rows],
        left_out=len(sequence) - len(rows),
        pads=0 if batch.pads is None else int(batch.pads[0]),
        lstms=lstms,
        logits=logits,
        logits_after=after,
        moves=unit_moves(arch, margin(weight.T, int(logits.argmax())), h, h0),
    )


def kept_rows(arch: Architecture, sequence: Array, steps: Sequence[str]) -> Array:
    """Which rows of the sequence the network reads (T,). Raises InputError unless there is one, and a name for each
    row.
    """
    if len(steps) != len(sequence):
        raise InputError(f"{len(steps)} names for {len(sequence)} steps: there must be one for each")
    if not len(sequence):
        raise InputError("there is nothing to look into: the sequence is empty")
    return cut(np.arange(len(sequence)), arch)


def _gates(layer: int, direction: Literal["forward", "backward"], tape: Any) -> Gates:
    i, f, g, o = np.split(tape.gates(), 4, axis=-1)
    return Gates(layer, direction, i, f, g, o, tape.c, tape.h, tape.h0[0], tape.c0[0])


def _shares(lstms: Sequence[Gates]) -> dict[str, Share]:
    shares = {}
    for gate in ("i", "f", "o"):
        values = np.concatenate([getattr(gates, gate).ravel() for gates in lstms])
        below, above = float((values < 0.1).mean()), float((values > 0.9).mean())
        shares[gate] = Share(below, 1 - below - above, above)
    return shares
