"""What is known of each unit over a data set, as plain data that a model folder can hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from gatewise.errors import InputError
from gatewise.storage import fields_from, json_bytes, parse_json

__all__ = ["Excerpt", "GateWord", "UnitSummary", "UnitsReport"]

_FILE = "units.json"  # for messages; gatewise.model.files puts it there


@dataclass(frozen=True)
class Excerpt:
    """Where a unit's memory moved far in one step. row: of the data, from 0. step: of the sequence as read, from 0.

    words: those around it, and `place`, which of them it is. moved: c_t - c_{t-1}. label: the class of the row.
    """

    row: int
    label: str
    step: int
    words: tuple[str, ...]
    place: int
    moved: float


@dataclass(frozen=True)
class GateWord:
    """A word, the mean of a gate where it was read, and how often that was."""

    word: str
    mean: float
    count: int


@dataclass(frozen=True)
class UnitSummary:
    """One unit of the top layer's output. half_life in steps, None where it forgets nothing.

    without: accuracy with this unit silenced, its output held at 0. shift: how far the probability of the verdict moves
    then, on average. shares: by gate, how much of it lies below 0.1, between, above 0.9. up, down: passages where its
    memory rose and fell most, at most one a sequence. opens, shuts: by gate (i, f, o, and the candidate g), the words
    at which it was highest and lowest on average; empty for series.
    """

    unit: int
    direction: str
    half_life: float | None
    without: float
    shift: float
    shares: dict[str, tuple[float, float, float]]
    up: tuple[Excerpt, ...]
    down: tuple[Excerpt, ...]
    opens: dict[str, tuple[GateWord, ...]]
    shuts: dict[str, tuple[GateWord, ...]]


@dataclass(frozen=True)
class UnitsReport:
    """All units over one data set. data: one line; fingerprint: of the rows; n: how many; accuracy: with all units.
    minimum: how often a word had to be read to be listed.
    """

    data: str
    fingerprint: str
    n: int
    accuracy: float
    minimum: int
    units: tuple[UnitSummary, ...]

    def unit(self, number: int) -> UnitSummary:
        """The facts of one unit. Raises InputError for one that is not there."""
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
