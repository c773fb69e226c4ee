"""An array whose gradient is wanted, and what has reached it so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels.ragged import starts_of
from gatewise.types import Array

__all__ = ["Recorder", "Variable"]


class Recorder(Protocol):
    """Whoever remembers what to do backwards."""

    def record(self, value: Array, back: Callable[[Array], None]) -> Variable: ...


class Variable:
    """An array, `value`, and its gradient, `received`, which comes in parts; None as long as there is none."""

    def __init__(self, ops: Recorder, value: Array) -> None:
        self.ops, self.value = ops, value
        self.received: Array | None = None
        self._own = False  # whether `received` is nobody else's, so that more can be added to it

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, rows: slice) -> Any:
        def back(given: Array) -> None:
            whole = np.zeros_like(self.value)
            whole[rows] = given
            self.add(whole)

        return self.ops.record(self.value[rows], back)

    def add(self, given: Array) -> None:
        if self.received is None:
            self.received = given
        elif self._own:
            self.received += given
        else:
            self.received, self._own = self.received + given, True

    def accumulate_repeated(self, given: Array, lengths: NDArray[np.int64]) -> None:
        """The same gradient (B, H) for every row of a sequence."""
        if self.received is None:
            self.received, self._own = np.repeat(given, lengths, axis=0), True
            return
        if not self._own:
            self.received, self._own = self.received.copy(), True
        for row, start, length in zip(given, starts_of(lengths).tolist(), lengths.tolist(), strict=True):
            self.received[start : start + length] += row

    def gradient(self) -> Array:
        return np.zeros_like(self.value) if self.received is None else self.received
