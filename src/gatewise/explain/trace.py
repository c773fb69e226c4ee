"""The trace: what every gate of every unit did at every step of one sequence, and the verdict as it came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.errors import InputError
from gatewise.explain.attribution.readout import logits_after, unit_moves
from gatewise.explain.gates import Gates, Share, gate_shares, run_with_activations
from gatewise.explain.html_repr import HtmlRepr
from gatewise.explain.net import ExplainedNetwork
from gatewise.kernels import Kernel
from gatewise.metrics.evaluation import target_score
from gatewise.network.architecture import Architecture
from gatewise.network.batch import cut
from gatewise.types import Array

__all__ = ["Trace", "kept_rows", "ngrams_after", "trace", "trace_of"]


@dataclass(frozen=True, eq=False)
class Trace(HtmlRepr):
    """One sequence of T steps as the network read it.

    steps: a name for each step read. left_out: how many more the sequence had, cut away by the network's `length`.
    pads: pad steps that ran before the first (padding "pre"). lstms: each LSTM, layers upwards. logits (outputs,).
    logits_after (T + 1, outputs) float64: the running verdict, row t if the sequence had stopped after step t, row 0
    before the first. With padding "pre" it is read from the state of this run, that is behind the same number of
    pads. moves (T, H x directions) float64: how far each unit of the top layer moved the margin (the logit, or with
    more classes the predicted one's less the mean of all), each direction in its own order of reading. ngrams_after
    (T + 1, outputs): what of logits_after the n-grams beside the network add, those that are complete by then; None
    where there are no n-grams.
    """

    steps: list[str]
    left_out: int
    pads: int
    lstms: tuple[Gates, ...]
    logits: Array
    logits_after: Array
    moves: Array
    ngrams_after: Array | None = None

    def gate_shares(self) -> dict[str, Share]:
        """By gate (i, f, o), over all LSTMs: how much of it lies below 0.1, between, above 0.9."""
        return gate_shares(self.lstms)

    def half_lives(self) -> Array:
        """(H x directions,): of each unit of the top layer, the steps until half of its memory is forgotten."""
        top = self.lstms[-(self.moves.shape[1] // self.lstms[-1].h.shape[1]) :]
        return np.concatenate([gates.half_life() for gates in top])

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
    return trace_of(ExplainedNetwork(parameters, arch, kernel), sequence, steps)


def trace_of(net: ExplainedNetwork, sequence: Array, steps: Sequence[str]) -> Trace:
    """`trace` of a network that may be under clamps."""
    arch, rows = net.arch, kept_rows(net.arch, sequence, steps)
    read = np.asarray(sequence)[rows]  # as the batch cuts it
    [(lstms, logits, pads)] = run_with_activations(net, [read])
    after, of_ngrams = logits_after(net.alone(), read, lstms), ngrams_after(net, sequence, rows)
    if of_ngrams is not None:
        logits, after = logits + of_ngrams[-1], after + of_ngrams
    weight = np.asarray(net.parameters["dense.weight"], dtype=np.float64)
    return Trace(
        steps=[str(steps[row]) for row in rows],
        left_out=len(sequence) - len(rows),
        pads=pads,
        lstms=lstms,
        logits=logits,
        logits_after=after,
        moves=unit_moves(arch, target_score(weight.T, int(logits.argmax())), lstms[-len(arch.directions) :]),
        ngrams_after=of_ngrams,
    )


def ngrams_after(net: ExplainedNetwork, sequence: Array, rows: Array) -> Array | None:
    """What the n-grams beside the network add to the logits after 0, 1, ... T of the steps that are read (T + 1,
    outputs): those that are complete by then, in all of the sequence (length,). None where there are no n-grams.
    """
    if net.ngrams is None:
        return None
    running = net.ngrams.running(sequence)  # (length, outputs)
    before = running[rows[0] - 1] if rows[0] else np.zeros_like(running[0])
    return np.concatenate([before[None], running[rows]])


def kept_rows(arch: Architecture, sequence: Array, steps: Sequence[str]) -> Array:
    """Which rows of the sequence the network reads (T,). Raises InputError unless there is one, and a name for each
    row.
    """
    if len(steps) != len(sequence):
        raise InputError(f"{len(steps)} names for {len(sequence)} steps: there must be one for each")
    if not len(sequence):
        raise InputError("there is nothing to look into: the sequence is empty")
    return cut(np.arange(len(sequence)), arch)
