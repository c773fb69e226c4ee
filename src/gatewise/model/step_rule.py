"""`StepRule`: the steps of a text that an imported network reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.ragged import Ragged, starts_of, step_numbers
from gatewise.text import Encoded
from gatewise.types import Array

# A limit, so that a configuration from an untrusted source cannot demand unbounded memory.
MAX_FIXED_LENGTH = 5_000  # steps of a text that is padded to one length


@dataclass(frozen=True)
class StepRule:
    """The steps that an imported network was made for. length: of every sequence, as by `keras.utils.pad_sequences`:
    longer ones lose steps and shorter ones get steps of id 0, in front ("pre") or at the end ("post"); 0: any. masked:
    id 0 is not a step, and is left out. Raises InputError for a length that is not from 0 to MAX_FIXED_LENGTH.
    """

    length: int = 0
    side: Literal["pre", "post"] = "pre"
    masked: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.length <= MAX_FIXED_LENGTH:
            raise InputError(f"steps: the length must be from 0 to {MAX_FIXED_LENGTH:,}, not {self.length:,}")

    def rows(self, ids: Array) -> NDArray[np.int64]:
        """The steps of a sequence of ids that are read, -1 for a padded one."""
        rows = np.flatnonzero(ids) if self.masked else np.arange(len(ids))
        rows = rows if not self.length else rows[-self.length :] if self.side == "pre" else rows[: self.length]
        pads = 0 if self.masked or not self.length else self.length - len(rows)
        return np.pad(rows, (pads, 0) if self.side == "pre" else (0, pads), constant_values=-1)

    def fit(self, found: Encoded) -> Encoded:
        """A sequence with these steps."""
        ids, names, spans = found
        read = [(names[row], spans[row]) if row >= 0 else ("<pad>", (0, 0)) for row in self.rows(ids).tolist()]
        return Encoded(self.fit_ids(ids), [name for name, _ in read], [span for _, span in read])

    def fit_ids(self, ids: Array) -> Array:
        """Ids with these steps."""
        return np.append(ids, np.int32(0))[self.rows(ids)]

    def fit_batch(self, sequences: Ragged) -> Ragged:
        """`fit_ids` of each of n sequences of ids."""
        if self.masked:
            sequences = sequences.where(sequences.values != 0)
        if not self.length:
            return sequences
        kept = np.minimum(sequences.lengths, self.length)
        first = starts_of(sequences.lengths)
        if self.side == "pre":
            first = first + sequences.lengths - kept
        step = step_numbers(kept)
        values = sequences.values[step + np.repeat(first, kept)]
        if self.masked:
            return Ragged(values, kept)
        padded = np.zeros((len(kept), self.length), dtype=np.int32)
        pads = self.length - kept
        if self.side == "post":
            pads = np.zeros_like(kept)
        padded[np.repeat(np.arange(len(kept)), kept), step + np.repeat(pads, kept)] = values
        return Ragged(padded.reshape(-1), np.full(len(kept), self.length, dtype=np.intp))
