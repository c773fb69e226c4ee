"""`EncodedSequence`: one row of the data between the preprocessor, which makes it, and the members, which read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class EncodedSequence:
    """One row with T steps, before truncation. Each member reads one part of it (`Member.part_of`).

    steps: token ids (T,), or channels (T, C) of a series, which the LSTM reads. series: (T, W, C) float32, for each of
    the T steps the W steps of the scaled series that it was made from, NaN after the end of the series; None for a
    text. columns: the values of the P numeric and K categorical columns (P + K,), as `RowSchema.values` orders them; ()
    where the model reads none. step_inputs (T, ...), inputs (...): further arrays of the row by name, with a value for
    each step, and for the whole row, which a network with several inputs reads.
    """

    steps: Array
    series: Array | None = None
    columns: tuple[float | str, ...] = ()
    step_inputs: Mapping[str, Array] = field(default_factory=dict)
    inputs: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        """T, the number of steps."""
        return len(self.steps)

    def __getitem__(self, steps: Any) -> Self:
        """The row with the steps of a slice, a mask (T,) or numbers, and with all of its columns."""
        series = None if self.series is None else self.series[steps]
        step_inputs = {name: array[steps] for name, array in self.step_inputs.items()}
        # `dataclasses.replace` would take most of the time of an explanation that cuts a row in many ways.
        return type(self)(self.steps[steps], series, self.columns, step_inputs, self.inputs)

    def without(self, step: int) -> Self:
        """The row without one step."""
        return self[np.arange(len(self)) != step]


def tokens_of(sequences: Iterable[EncodedSequence]) -> list[Array]:
    """The token ids (T,) of each text; of words with features, those of the words."""
    return [steps if steps.ndim == 1 else steps[:, 0] for steps in steps_of(sequences)]


def steps_of(sequences: Iterable[EncodedSequence]) -> list[Array]:
    """The steps (T, ...) of each sequence."""
    return [sequence.steps for sequence in sequences]
