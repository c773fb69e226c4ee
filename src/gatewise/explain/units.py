"""Statistics of each unit of the top layer over a data set: where its memory changes most, the words at which its gates
are highest and lowest, and the accuracy with the unit ablated.

After Karpathy, Johnson & Li (2015), who looked for interpretable units, and Radford et al. (2017), who found one. If
the accuracy without a unit is the same, other units may carry the same information.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.members.clamp import ablate
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.members.gates import STATES
from gatewise.members.network import Network
from gatewise.storage.fields import fields_from
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.target import ClassificationTarget
from gatewise.types import Array

_FILE = "units.json"  # for messages; `Model.save` writes it there
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
    """A word, the mean of a gate or of the change of the memory at its occurrences, and their number."""

    word: str
    mean: float
    count: int


@dataclass(frozen=True)
class UnitSummary:
    """One unit of the top layer. half_life: in steps, None where it forgets nothing, 0 of a simple RNN.

    accuracy_ablated: the accuracy with this unit ablated. probability_change: the mean absolute change of the
    predicted class's probability then; both None where no unit was ablated. shares: by gate, the shares of its
    values below 0.1, between, and above 0.9. rises, falls: excerpts where its memory rises and falls most, at most
    one per sequence. top_words, bottom_words: by gate (i, f, o, and the candidate g, of a GRU r, z and n), the words
    with the highest and the lowest mean, and as "c", or "h" of a cell without c, those at which its memory rises and
    falls most; empty for series.
    """

    unit: int
    direction: str
    half_life: float | None
    accuracy_ablated: float | None
    probability_change: float | None
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
        return json_bytes(asdict(self), indent=None)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Back from `to_bytes`. Raises ModelFileError for anything else."""
        return fields_from(cls, parse_json(raw, _FILE), _FILE)


def units_over(
    ensemble: Ensemble,
    sequences: Sequence[EncodedSequence],
    names: Sequence[Sequence[str]],
    truth: NDArray[np.int64],
    classes: Sequence[str],
    data: str = "",
    fingerprint: str = "",
    *,
    excerpts: int = 6,
    words: int = 8,
    minimum: int = 5,
    ablations: bool = True,
    listed: str | None = None,
) -> UnitsReport:
    """The report on n sequences, with the names of their steps and their true classes (n,).

    excerpts, words: how many of each to keep per side. minimum: how often a word must occur to be listed. ablations:
    whether each unit is ablated, which takes a run of all sequences. listed: the gates whose words are listed, and
    that of the memory, c of an LSTM and h of other cells; None for all. Raises InputError without a sequence or without
    a recurrent layer.
    """
    if not isinstance(ensemble.target, ClassificationTarget):
        raise InputError(f"summaries of units are for classification; the model's task is {ensemble.target.task}")
    if not sequences:
        raise InputError("units need at least one sequence: the data set is empty")
    network = ensemble.network
    of = ensemble.target
    if not network.layers:
        raise InputError("the network has no recurrent layer that reads the steps of the input, so it has no units")
    top = network.layers[-1]
    rows, reads = zip(*(network.read(network.part_of(sequence)) for sequence in sequences), strict=True)
    steps = [[str(name[row]) for row in kept] for name, kept in zip(names, rows, strict=True)]
    seen = _Statistics(network, reads, steps, minimum)
    rest = ensemble.shift + sum(
        weight * member.logits(member.parts_of(sequences)) for member, weight in ensemble.others
    )
    p = of.probabilities(ensemble.lstm_weight * network.logits(reads) + rest)
    predicted = of.decide(p)
    every = np.arange(len(reads))
    labels = [classes[k] for k in truth.tolist()]
    summaries = []
    for unit in range(seen.width):
        accuracy, change = None, None
        if ablations and top.cell != "RNN":  # which has no gates
            without = network.changed(clamps=ablate(unit, cell=top.cell))
            ablated = of.probabilities(ensemble.lstm_weight * without.logits(reads) + rest)
            accuracy = float((of.decide(ablated) == truth).mean())
            change = float(np.abs(ablated[every, predicted] - p[every, predicted]).mean())
        summaries.append(
            UnitSummary(
                unit=unit,
                direction=top.directions[unit // top.units],
                half_life=seen.half_life(unit),
                accuracy_ablated=accuracy,
                probability_change=change,
                shares=seen.shares(unit),
                rises=seen.excerpts(unit, labels, excerpts, side=0),
                falls=seen.excerpts(unit, labels, excerpts, side=1),
                top_words=seen.words(unit, words, -1, listed),
                bottom_words=seen.words(unit, words, 1, listed),
            )
        )
    return UnitsReport(data, fingerprint, len(reads), float((predicted == truth).mean()), minimum, tuple(summaries))


class _Statistics:
    """One pass over the data: sums over words and steps, and the largest memory changes of each unit per sequence."""

    def __init__(self, network: Network, reads: Sequence[Any], names: list[list[str]], minimum: int) -> None:
        top = network.layers[-1]
        states = STATES[top.cell]
        self.names = names
        self.steps = sum(map(len, names))
        self.shared = states.shares
        self.memory = states.memory
        self.kept = states.kept
        self.gates = "".join(name for name in states.names if name not in ("h", states.memory))
        self.listed = [*self.gates, states.memory]
        width = top.size
        self.width = width
        self.largest = np.zeros((2, len(reads), width))  # changes of the memory at rises and falls
        self.where = np.zeros((2, len(reads), width), dtype=np.int64)
        self.below = np.zeros((len(self.shared), width))  # numbers of steps
        self.above = np.zeros((len(self.shared), width))
        self.log_kept = np.zeros(width)
        self.word_names: list[str] | None = None  # None for channels, whose values are not counted
        if not network.channels:
            tokens = np.concatenate([network.steps_of(part) for part in reads])
            word_rows = self._number_words(tokens, network.unknown, minimum)
        first = 0
        for n, activations in enumerate(network.activations(reads)):
            directions = [states for states in activations.lstms if states.layer == len(network.layers) - 1]
            changes = np.concatenate([states.memory_changes() for states in directions], axis=1)  # (T, width)
            gates = {}  # (T, width) each
            for gate in self.gates:
                gates[gate] = np.concatenate([getattr(states, gate) for states in directions], axis=1)
            if len(changes):
                self.where[0, n] = changes.argmax(axis=0)
                self.where[1, n] = changes.argmin(axis=0)
                self.largest[0, n] = changes.max(axis=0)
                self.largest[1, n] = changes.min(axis=0)
            for place, gate in enumerate(self.shared):
                self.below[place] += (gates[gate] < 0.1).sum(axis=0)
                self.above[place] += (gates[gate] > 0.9).sum(axis=0)
            if self.kept:
                with np.errstate(divide="ignore"):
                    self.log_kept += np.log(gates[self.kept].astype(np.float64)).sum(axis=0)
            if self.word_names is not None:
                here = word_rows[first : first + len(changes)]
                values = np.stack([*gates.values(), changes], axis=1)  # (T, gates and memory, width)
                np.add.at(self.sums, here[here >= 0], values[here >= 0])
                first += len(changes)

    def _number_words(self, ids: Array, unknown: int | None, minimum: int) -> Array:
        """The row of `sums` of each step, -1 for rare and unknown words."""
        distinct, first, place, counts = np.unique(ids, return_index=True, return_inverse=True, return_counts=True)
        listed = counts >= minimum
        if unknown is not None:
            listed &= distinct != unknown
        self.counts = counts[listed]
        self.sums = np.zeros((len(self.counts), len(self.listed), self.width), dtype=np.float32)
        flat = [name for row in self.names for name in row]
        self.word_names = [flat[step].casefold() for step in first[listed]]
        return np.where(listed, np.cumsum(listed) - 1, -1)[place]

    def half_life(self, unit: int) -> float | None:
        if not self.kept:  # a simple RNN, whose memory no gate keeps
            return 0.0
        forgot = -float(self.log_kept[unit])
        if forgot == 0 or not self.steps:
            return None
        if np.isinf(forgot):  # a forget gate of exactly 0
            return 0.0
        return float(np.log(2) * self.steps / forgot)

    def shares(self, unit: int) -> dict[str, tuple[float, float, float]]:
        parts = (np.stack([self.below, self.above])[..., unit] / max(self.steps, 1)).tolist()
        return {gate: (below, 1 - below - above, above) for gate, below, above in zip(self.shared, *parts, strict=True)}

    def excerpts(self, unit: int, labels: Sequence[str], count: int, side: int) -> tuple[Excerpt, ...]:
        changes = self.largest[side, :, unit]
        sizes = changes
        if side == 1:  # falls, whose changes are negative
            sizes = -changes
        excerpts = []
        for row in np.argsort(-sizes, kind="stable")[:count].tolist():
            if sizes[row] > 0:
                step = int(self.where[side, row, unit])
                start = max(0, step - _CONTEXT)
                words = tuple(self.names[row][start : step + _CONTEXT + 1])
                excerpts.append(Excerpt(row, labels[row], step, words, step - start, float(changes[row])))
        return tuple(excerpts)

    def words(self, unit: int, count: int, sign: int, listed: str | None) -> dict[str, tuple[GateWord, ...]]:
        if self.word_names is None:
            return {}
        by_gate = {}
        for gate in listed or self.listed:
            k = self.listed.index(gate)
            means = self.sums[:, k, unit].astype(np.float64) / self.counts
            order = np.argsort(sign * means, kind="stable")[:count].tolist()
            by_gate[gate] = tuple(
                GateWord(self.word_names[n], round(float(means[n]), 4), int(self.counts[n])) for n in order
            )
        return by_gate
