"""Statistics of each unit of the top layer over a data set: where its memory changes most, the words at which its gates
are highest and lowest, and the accuracy with the unit ablated.

After Karpathy, Johnson & Li (2015), who looked for interpretable units, and Radford et al. (2017), who found one. If
the accuracy without a unit is the same, other units may carry the same information.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.storage.fields import fields_from
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.types import Array

_FILE = "units.json"  # for messages; gatewise.model.files writes it there
_CONTEXT = 5  # words of an excerpt before and after its step


@dataclass(frozen=True)
class Excerpt:
    """A large change of a unit's memory in one step. row: of the data, from 0; label: the class of that row.

    step: of the truncated sequence, from 0. words: that step's word with its context, at index `place`. change:
    c_t - c_{t-1}.
    """

    row: int
    label: str
    step: int
    words: tuple[str, ...]
    place: int
    change: float


@dataclass(frozen=True)
class GateWord:
    """A word, the mean of a gate at its occurrences, and their number."""

    word: str
    mean: float
    count: int


@dataclass(frozen=True)
class UnitSummary:
    """One unit of the top layer. half_life: in steps, None where it forgets nothing.

    accuracy_ablated: the accuracy with this unit ablated. probability_change: the mean absolute change of the predicted
    class's probability then. shares: by gate, the shares of its values below 0.1, between, and above 0.9. rises, falls:
    excerpts where its memory rises and falls most, at most one per sequence. top_words, bottom_words: by gate (i, f, o,
    and the candidate g), the words with the highest and the lowest mean; empty for series.
    """

    unit: int
    direction: str
    half_life: float | None
    accuracy_ablated: float
    probability_change: float
    shares: dict[str, tuple[float, float, float]]
    rises: tuple[Excerpt, ...]
    falls: tuple[Excerpt, ...]
    top_words: dict[str, tuple[GateWord, ...]]
    bottom_words: dict[str, tuple[GateWord, ...]]


@dataclass(frozen=True)
class UnitsReport:
    """All units of the top layer over one data set. data: one line; fingerprint: of the rows; n: their number.

    accuracy: with all units. minimum: how often a word must occur to be listed.
    """

    data: str
    fingerprint: str
    n: int
    accuracy: float
    minimum: int
    units: tuple[UnitSummary, ...]

    def unit(self, number: int) -> UnitSummary:
        """The summary of one unit. Raises InputError for a unit that does not exist."""
        if not 0 <= number < len(self.units):
            raise InputError(f"unit must be from 0 to {len(self.units) - 1}, not {number}")
        return self.units[number]

    def to_bytes(self) -> bytes:
        """The content of units.json."""
        return json_bytes(asdict(self))

    @classmethod
    def from_bytes(cls, raw: bytes) -> UnitsReport:
        """Back from `to_bytes`. Raises ModelFileError for anything else."""
        return fields_from(cls, parse_json(raw, _FILE), _FILE)


def units_over(
    ensemble: Ensemble,
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

    excerpts, words: how many of each to keep per side. minimum: how often a word must occur to be listed. Raises
    InputError without a sequence.
    """
    if ensemble.target.task != "classification":
        raise InputError(f"summaries of units are for classification; the model's task is {ensemble.target.task}")
    if not sequences:
        raise InputError("units need at least one sequence: the data set is empty")
    lstm, of = ensemble.lstm, ensemble.target
    rows, reads = zip(*(lstm.read(sequence) for sequence in sequences), strict=True)
    steps = [[str(name[row]) for row in kept] for name, kept in zip(names, rows, strict=True)]
    statistics = _Statistics(lstm, reads, steps, minimum)
    rest = ensemble.shift + sum(weight * member.logits(sequences) for member, weight in ensemble.others)
    p = of.probabilities(ensemble.lstm_weight * lstm.logits(reads) + rest)
    predicted, every = of.decide(p), np.arange(len(reads))
    labels = [classes[k] for k in truth.tolist()]
    found = []
    for unit in range(lstm.arch.units * len(lstm.arch.directions)):
        ablated = of.probabilities(ensemble.lstm_weight * without_unit(lstm, unit).logits(reads) + rest)
        change = ablated[every, predicted] - p[every, predicted]
        found.append(
            UnitSummary(
                unit=unit,
                direction=lstm.arch.directions[unit // lstm.arch.units],
                half_life=statistics.half_life(unit),
                accuracy_ablated=float((of.decide(ablated) == truth).mean()),
                probability_change=float(np.abs(change).mean()),
                shares=statistics.shares(unit),
                rises=statistics.excerpts(unit, labels, excerpts, 1),
                falls=statistics.excerpts(unit, labels, excerpts, -1),
                top_words=statistics.words(unit, words, -1),
                bottom_words=statistics.words(unit, words, 1),
            )
        )
    return UnitsReport(data, fingerprint, len(reads), float((predicted == truth).mean()), minimum, tuple(found))


def without_unit(net: LSTM, unit: int) -> LSTM:
    """The network with one unit of the top layer ablated in its weights: nothing reads its h.

    Equal to `clamp.ablate` (tests/explain/test_units.py), at the kernel's speed.
    """
    arch = net.arch
    width = arch.units * len(arch.directions)
    place, column = divmod(unit, arch.units)
    name = f"lstm.{arch.layers - 1}.{arch.directions[place]}.weight_hh"
    recurrent, dense = net.parameters[name].copy(), net.parameters["dense.weight"].copy()
    recurrent[:, column] = 0
    dense[:, unit::width] = 0  # once for each part of the pooling
    return replace(net, parameters={**net.parameters, name: recurrent, "dense.weight": dense})


class _Statistics:
    """One pass over the data: sums over words and steps, and the largest memory change of each unit per sequence."""

    def __init__(self, net: LSTM, reads: Sequence[Array], steps: list[list[str]], minimum: int) -> None:
        arch, self.names = net.arch, steps
        width = arch.units * len(arch.directions)
        self.largest = np.zeros((2, len(reads), width))  # rises and falls
        self.where = np.zeros((2, len(reads), width), dtype=np.int64)
        self.below, self.above = np.zeros((2, 3, width))  # i, f, o
        self.log_forget, self.steps = np.zeros(width), 0
        tokens = arch.inputs == "tokens"
        self._number_words(reads if tokens else [], steps, net.unknown, minimum)
        for n, (lstms, _, _) in enumerate(net.activations(reads)):
            top = lstms[-len(arch.directions) :]
            changes = np.concatenate([gates.memory_changes() for gates in top], axis=1)  # (T, width)
            gates = {part: np.concatenate([getattr(one, part) for one in top], axis=1) for part in "ifgo"}
            if len(changes):
                columns = np.arange(width)
                for side, sign in enumerate((1, -1)):
                    self.where[side, n] = (sign * changes).argmax(axis=0)
                    self.largest[side, n] = changes[self.where[side, n], columns]
            for k, part in enumerate("ifo"):
                self.below[k] += (gates[part] < 0.1).sum(axis=0)
                self.above[k] += (gates[part] > 0.9).sum(axis=0)
            with np.errstate(divide="ignore"):
                self.log_forget += np.log(gates["f"].astype(np.float64)).sum(axis=0)
            self.steps += len(changes)
            if tokens:
                self._add_words(reads[n], gates)

    def _number_words(self, reads: Sequence[Array], names: list[list[str]], unknown: int | None, minimum: int) -> None:
        ids = np.concatenate([*reads, np.zeros(0, dtype=np.int64)]).astype(np.int64)
        distinct, first, counts = np.unique(ids, return_index=True, return_counts=True)
        flat = [name for row in names for name in row] if len(reads) else []
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
        forgot = -float(self.log_forget[unit])
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
        changes = sign * self.largest[side, :, unit]
        order = [int(row) for row in np.argsort(-changes, kind="stable")[:count] if changes[row] > 0]
        return tuple(self._excerpt(row, labels[row], side, unit) for row in order)

    def _excerpt(self, row: int, label: str, side: int, unit: int) -> Excerpt:
        step = int(self.where[side, row, unit])
        first = max(0, step - _CONTEXT)
        words = tuple(self.names[row][first : step + _CONTEXT + 1])
        return Excerpt(row, label, step, words, step - first, float(self.largest[side, row, unit]))

    def words(self, unit: int, count: int, sign: int) -> dict[str, tuple[GateWord, ...]]:
        if self.sums is None:
            return {}
        found = {}
        for k, gate in enumerate("ifgo"):
            means = self.sums[:, k, unit].astype(np.float64) / self.counts
            order = np.argsort(sign * means, kind="stable")[:count].tolist()
            found[gate] = tuple(GateWord(self.word_names[n], float(means[n]), int(self.counts[n])) for n in order)
        return found
