"""Statistics of each unit of the top layer over a data set: where its memory changes most, the words at which its gates
are highest and lowest, and the accuracy with the unit ablated.

After Karpathy, Johnson & Li (2015), who looked for interpretable units, and Radford et al. (2017), who found one. If
the accuracy without a unit is the same, other units may carry the same information.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.members.clamp import ablate
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
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
    """One unit of the top layer. half_life: in steps, None where it forgets nothing.

    accuracy_ablated: the accuracy with this unit ablated. probability_change: the mean absolute change of the
    predicted class's probability then; both None where no unit was ablated. shares: by gate, the shares of its
    values below 0.1, between, and above 0.9. rises, falls: excerpts where its memory rises and falls most, at most
    one per sequence. top_words, bottom_words: by gate (i, f, o, and the candidate g), the words with the highest
    and the lowest mean, and as "c" those at which its memory rises and falls most; empty for series.
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
    listed: str = "ifgoc",
) -> UnitsReport:
    """The report on n sequences, with the names of their steps and their true classes (n,).

    excerpts, words: how many of each to keep per side. minimum: how often a word must occur to be listed. ablations:
    whether each unit is ablated, which takes a run of all sequences. listed: the gates whose words are listed, and c
    for the memory. Raises InputError without a sequence.
    """
    if not isinstance(ensemble.target, ClassificationTarget):
        raise InputError(f"summaries of units are for classification; the model's task is {ensemble.target.task}")
    if not sequences:
        raise InputError("units need at least one sequence: the data set is empty")
    lstm, of = ensemble.lstm, ensemble.target
    rows, reads = zip(*(lstm.read(sequence.steps) for sequence in sequences), strict=True)
    steps = [[str(name[row]) for row in kept] for name, kept in zip(names, rows, strict=True)]
    seen = _Statistics(lstm, reads, steps, minimum)
    rest = ensemble.shift + sum(
        weight * member.logits(member.parts_of(sequences)) for member, weight in ensemble.others
    )
    p = of.probabilities(ensemble.lstm_weight * lstm.logits(reads) + rest)
    predicted, every = of.decide(p), np.arange(len(reads))
    labels = [classes[k] for k in truth.tolist()]
    found = []
    for unit in range(seen.width):
        accuracy, change = None, None
        if ablations:
            ablated = of.probabilities(ensemble.lstm_weight * lstm.changed(clamps=ablate(unit)).logits(reads) + rest)
            accuracy = float((of.decide(ablated) == truth).mean())
            change = float(np.abs(ablated[every, predicted] - p[every, predicted]).mean())
        found.append(
            UnitSummary(
                unit=unit,
                direction=lstm.arch.top.directions[unit // lstm.arch.top.units],
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
    return UnitsReport(data, fingerprint, len(reads), float((predicted == truth).mean()), minimum, tuple(found))


class _Statistics:
    """One pass over the data: sums over words and steps, and the largest memory changes of each unit per sequence."""

    def __init__(self, net: LSTM, reads: Sequence[Array], names: list[list[str]], minimum: int) -> None:
        self.names = names
        self.steps = sum(map(len, reads))
        width = net.arch.top.size
        self.width = width
        self.largest = np.zeros((2, len(reads), width))  # c_t - c_{t-1} of rises and falls
        self.where = np.zeros((2, len(reads), width), dtype=np.int64)
        self.below, self.above = np.zeros((2, 3, width))  # numbers of steps, for i, f and o
        self.log_forget = np.zeros(width)
        self.word_names: list[str] | None = None  # None for channels, whose values are not counted
        if net.arch.embedding_dim:
            rows = self._number_words(np.concatenate(reads), net.unknown, minimum)
        first = 0
        for n, (lstms, _, _) in enumerate(net.activations(reads)):
            top = lstms[-len(net.arch.top.directions) :]
            changes = np.concatenate([one.memory_changes() for one in top], axis=1)  # (T, width)
            gates = np.stack([np.concatenate([getattr(one, gate) for one in top], axis=1) for gate in "ifgo"], axis=1)
            if len(changes):
                self.where[0, n] = changes.argmax(axis=0)
                self.where[1, n] = changes.argmin(axis=0)
                self.largest[0, n] = changes.max(axis=0)
                self.largest[1, n] = changes.min(axis=0)
            ifo = gates[:, [0, 1, 3]]
            self.below += (ifo < 0.1).sum(axis=0)
            self.above += (ifo > 0.9).sum(axis=0)
            with np.errstate(divide="ignore"):
                self.log_forget += np.log(gates[:, 1].astype(np.float64)).sum(axis=0)
            if self.word_names is not None:
                here = rows[first : first + len(gates)]
                values = np.concatenate([gates, changes[:, None]], axis=1)
                np.add.at(self.sums, here[here >= 0], values[here >= 0])
                first += len(gates)

    def _number_words(self, ids: Array, unknown: int | None, minimum: int) -> Array:
        """The row of `sums` of each step, -1 for rare and unknown words."""
        distinct, first, place, counts = np.unique(ids, return_index=True, return_inverse=True, return_counts=True)
        listed = counts >= minimum
        if unknown is not None:
            listed &= distinct != unknown
        self.counts = counts[listed]
        self.sums = np.zeros((len(self.counts), 5, self.width), dtype=np.float32)  # of i, f, g, o, change of c
        flat = [name for row in self.names for name in row]
        self.word_names = [flat[step].casefold() for step in first[listed]]
        return np.where(listed, np.cumsum(listed) - 1, -1)[place]

    def half_life(self, unit: int) -> float | None:
        forgot = -float(self.log_forget[unit])
        if forgot == 0 or not self.steps:
            return None
        if np.isinf(forgot):  # a forget gate of exactly 0
            return 0.0
        return float(np.log(2) * self.steps / forgot)

    def shares(self, unit: int) -> dict[str, tuple[float, float, float]]:
        parts = (np.stack([self.below, self.above])[..., unit] / max(self.steps, 1)).tolist()
        return {gate: (below, 1 - below - above, above) for gate, below, above in zip("ifo", *parts, strict=True)}

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

    def words(self, unit: int, count: int, sign: int, listed: str) -> dict[str, tuple[GateWord, ...]]:
        if self.word_names is None:
            return {}
        by_gate = {}
        for gate in listed:
            k = "ifgoc".index(gate)
            means = self.sums[:, k, unit].astype(np.float64) / self.counts
            order = np.argsort(sign * means, kind="stable")[:count].tolist()
            by_gate[gate] = tuple(
                GateWord(self.word_names[n], round(float(means[n]), 4), int(self.counts[n])) for n in order
            )
        return by_gate
