"""Units over a data set: where each one's memory moved most, what opens and shuts its gates, what is lost without it.

After Karpathy, Johnson & Li (2015), who looked for units that mean something to a person, and Radford et al. (2017),
who found one. A unit without which accuracy stays the same may still do what others do as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.explain.gates import run_with_activations
from gatewise.explain.net import ExplainedNetwork
from gatewise.explain.unit_summary import Excerpt, GateWord, UnitsReport, UnitSummary
from gatewise.metrics.evaluation import log_probabilities
from gatewise.network.batch import cut
from gatewise.network.inference import logits_of
from gatewise.types import Array

__all__ = ["units_over", "without_unit"]

_AROUND = 5  # words on each side of a passage's step


def units_over(
    net: ExplainedNetwork,
    sequences: Sequence[Array],
    names: Sequence[Sequence[str]],
    truth: NDArray[np.int64],
    classes: Sequence[str],
    data: str = "",
    fingerprint: str = "",
    *,
    excerpts: int = 6,
    words: int = 8,
    minimum: int = 5,
) -> UnitsReport:
    """The report on n sequences (length, ...), with the names of their steps and their true classes (n,).

    passages, words: how many of each are kept on each side. minimum: how often a word must be read to be listed. Raises
    InputError where there is no sequence.
    """
    if not sequences:
        raise InputError("there is nothing to look for units in: the data set is empty")
    rows = [cut(np.arange(len(sequence)), net.arch) for sequence in sequences]
    reads = [np.asarray(sequence)[kept] for sequence, kept in zip(sequences, rows, strict=True)]
    seen = [[str(name[row]) for row in kept] for name, kept in zip(names, rows, strict=True)]
    counted = _Counted(net, reads, seen, minimum)
    beside = net.ngrams.logits(sequences) if net.ngrams is not None else np.zeros((len(reads), net.arch.outputs))
    log_p = log_probabilities(logits_of(net.parameters, net.arch, reads, net.ops()) + beside)
    verdict = log_p.argmax(axis=1)
    before = np.exp(log_p[np.arange(len(reads)), verdict])
    found = []
    for unit in range(net.arch.units * len(net.arch.directions)):
        without = log_probabilities(logits_of(without_unit(net, unit).parameters, net.arch, reads, net.ops()) + beside)
        after = np.exp(without[np.arange(len(reads)), verdict])
        labels = [classes[k] for k in truth.tolist()]
        metadata = UnitSummary(
            unit=unit,
            direction=net.arch.directions[unit // net.arch.units],
            half_life=counted.half_life(unit),
            without=float((without.argmax(axis=1) == truth).mean()),
            shift=float(np.abs(after - before).mean()),
            shares=counted.shares(unit),
            up=counted.excerpts(unit, labels, excerpts, 1),
            down=counted.excerpts(unit, labels, excerpts, -1),
            opens=counted.words(unit, words, -1),
            shuts=counted.words(unit, words, 1),
        )
        found.append(metadata)
    return UnitsReport(data, fingerprint, len(reads), float((verdict == truth).mean()), minimum, tuple(found))


def without_unit(net: ExplainedNetwork, unit: int) -> ExplainedNetwork:
    """The network with that unit of the top layer's output silenced in its weights: nothing reads its h any more.

    The same function as `clamp.silence` (tests/explain/test_units.py), at the kernel's speed.
    """
    arch = net.arch
    width = arch.units * len(arch.directions)
    place, column = divmod(unit, arch.units)
    name = f"lstm.{arch.layers - 1}.{arch.directions[place]}.weight_hh"
    recurrent, dense = net.parameters[name].copy(), net.parameters["dense.weight"].copy()
    recurrent[:, column] = 0
    dense[:, unit::width] = 0  # once for each part of the pooling
    return replace(net, parameters={**net.parameters, name: recurrent, "dense.weight": dense}, memo=None)


class _Counted:
    """One pass over the data: sums over words and steps, and each sequence's farthest move of each unit."""

    def __init__(self, net: ExplainedNetwork, reads: Sequence[Array], seen: list[list[str]], minimum: int) -> None:
        arch, self.seen = net.arch, seen
        width = arch.units * len(arch.directions)
        self.farthest = np.zeros((2, len(reads), width))  # up and down
        self.where = np.zeros((2, len(reads), width), dtype=np.int64)
        self.below, self.above = np.zeros((2, 3, width))  # i, f, o
        self.forgot, self.steps = np.zeros(width), 0
        tokens = arch.inputs == "tokens"
        self._number_words(reads if tokens else [], seen, net.unknown, minimum)
        for n, (lstms, _, _) in enumerate(run_with_activations(net, reads)):
            top = lstms[-len(arch.directions) :]
            moves = np.concatenate([gates.moves() for gates in top], axis=1)  # (T, width)
            gates = {part: np.concatenate([getattr(one, part) for one in top], axis=1) for part in "ifgo"}
            if len(moves):
                columns = np.arange(width)
                for side, sign in enumerate((1, -1)):
                    self.where[side, n] = (sign * moves).argmax(axis=0)
                    self.farthest[side, n] = moves[self.where[side, n], columns]
            for k, part in enumerate("ifo"):
                self.below[k] += (gates[part] < 0.1).sum(axis=0)
                self.above[k] += (gates[part] > 0.9).sum(axis=0)
            with np.errstate(divide="ignore"):
                self.forgot -= np.log(gates["f"].astype(np.float64)).sum(axis=0)
            self.steps += len(moves)
            if tokens:
                self._add_words(reads[n], gates)

    def _number_words(self, reads: Sequence[Array], seen: list[list[str]], unknown: int | None, minimum: int) -> None:
        ids = np.concatenate([*reads, np.zeros(0, dtype=np.int64)]).astype(np.int64)
        distinct, first, counts = np.unique(ids, return_index=True, return_counts=True)
        flat = [name for names in seen for name in names] if len(reads) else []
        listed = (counts >= minimum) & (distinct != (-1 if unknown is None else unknown))
        self.counts = counts[listed]
        self.word_names = [flat[place].casefold() for place in first[listed]]
        self.row_of = {int(token): row for row, token in enumerate(distinct[listed])}
        self.sums: Array | None = None

    def _add_words(self, read: Array, gates: Mapping[str, Array]) -> None:
        stacked = np.stack([gates[part] for part in "ifgo"], axis=1)  # (T, 4, width)
        if self.sums is None:
            self.sums = np.zeros((len(self.counts), *stacked.shape[1:]), dtype=np.float32)
        rows = np.array([self.row_of.get(int(token), -1) for token in read])
        np.add.at(self.sums, rows[rows >= 0], stacked[rows >= 0])

    def half_life(self, unit: int) -> float | None:
        forgot = float(self.forgot[unit])
        if forgot == 0 or not self.steps:
            return None
        return 0.0 if np.isinf(forgot) else float(np.log(2) * self.steps / forgot)

    def shares(self, unit: int) -> dict[str, tuple[float, float, float]]:
        found = {}
        for k, gate in enumerate("ifo"):
            below, above = (float(part[k, unit]) / max(self.steps, 1) for part in (self.below, self.above))
            found[gate] = (below, 1 - below - above, above)
        return found

    def excerpts(self, unit: int, labels: Sequence[str], count: int, sign: int) -> tuple[Excerpt, ...]:
        side = 0 if sign > 0 else 1
        moved = sign * self.farthest[side, :, unit]
        order = [int(row) for row in np.argsort(-moved, kind="stable")[:count] if moved[row] > 0]
        return tuple(self._passage(row, labels[row], side, unit) for row in order)

    def _passage(self, row: int, label: str, side: int, unit: int) -> Excerpt:
        step = int(self.where[side, row, unit])
        first = max(0, step - _AROUND)
        words = tuple(self.seen[row][first : step + _AROUND + 1])
        return Excerpt(row, label, step, words, step - first, float(self.farthest[side, row, unit]))

    def words(self, unit: int, count: int, sign: int) -> dict[str, tuple[GateWord, ...]]:
        if self.sums is None:
            return {}
        found = {}
        for k, gate in enumerate("ifgo"):
            means = self.sums[:, k, unit].astype(np.float64) / self.counts
            order = np.argsort(sign * means, kind="stable")[:count].tolist()
            found[gate] = tuple(GateWord(self.word_names[n], float(means[n]), int(self.counts[n])) for n in order)
        return found
