"""`RunningNetwork`: a network that reads one sequence step by step, with the logits so far after each step.

`Network.running` makes it, and `gatewise.model.stream` and the prefix logits of a graph use it.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Self

import numpy as np

from gatewise.errors import InputError
from gatewise.types import Array

_MOST_PAD_NUMBERS = 1 << 24  # of the states after each number of pads


class RunningNetwork(ABC):
    """steps: how many it has read, pads left out. arrays: its state as arrays, by name, whose shapes do not change.
    most: how many steps it reads, None for any number. why_most: why no more, for a message. is_after_pads: whether
    pads came before the first one.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.arrays: dict[str, Array] = {}
        self.most: int | None = None
        self.why_most = ""
        self.is_after_pads = False

    @abstractmethod
    def read(self, rows: Array) -> None:
        """Read the next steps: token ids (n,), or channels (n, C) float32. Raises InputError, and
        reads nothing, for more steps than it reads.
        """

    @abstractmethod
    def logits(self) -> Array:
        """The logits (outputs,) float64 after the steps so far; of a network with logits per step those of the last
        one.
        """

    def copy(self) -> Self:
        """Another one in the same state, which continues by itself. It shares the weights."""
        other = copy.copy(self)
        other.arrays = {name: array.copy() for name, array in self.arrays.items()}
        return other

    def start_after_pads(self, pad: Array, length: int) -> None:
        """Start from the state after the pads that precede a sequence which is padded in front to `length` steps.

        How many they are depends on the steps that are still to come. A state that does not change any more is that
        after any larger number of pads, so that the first steps have the same prediction: `most` of them. pad: its
        id, (1,). Raises InputError where the state never stops changing.
        """
        if length * sum(array.size for array in self.arrays.values()) > _MOST_PAD_NUMBERS:
            raise InputError(f"the states after {length:,} pads are too many to be compared: use a shorter length")
        before: list[dict[str, Array]] = []
        for _ in range(length):
            before.append({name: array.copy() for name, array in self.arrays.items()})
            self.read(pad)
        settled = length
        while settled and _equal(before[settled - 1], self.arrays):
            settled -= 1
        if settled == length:
            raise InputError(
                "a network with padding 'pre' cannot be streamed unless pads stop changing its state, and after "
                f"{length:,} it still changes: how many there are depends on later steps; use padding='none'"
            )
        self.steps = 0
        self.is_after_pads = True
        self.most = length - settled
        self.why_most = f"and after more the {length:,} steps of a padded sequence would begin with too few pads"


def _equal(left: dict[str, Array], right: dict[str, Array]) -> bool:
    """Whether two states differ by rounding alone."""
    for name, array in right.items():
        rounding = 4 * np.finfo(np.float32).eps * np.maximum(1, np.abs(array))
        if not np.all((left[name] == array) | (np.abs(left[name].astype(np.float64) - array) <= rounding)):
            return False
    return True
