"""`RunningNetwork`: a network that reads one sequence step by step, with the logits so far after each step.

`Network.running` makes it, and `gatewise.model.stream` and the prefix logits of a graph use it.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np

from gatewise.errors import InputError
from gatewise.types import Array

_MOST_PAD_NUMBERS = 1 << 24  # of the states after each number of pads


class RunningNetwork(ABC):
    """steps: how many it has read, pads left out. arrays: its state as arrays, by name, whose shapes do not change.
    most: how many steps it reads, None for any number. why_most: why no more, for a message. is_after_pads: whether
    pads came before the first one. sums: the names of the arrays to which each step adds, and on which no other array
    depends. of_a_pad: how much each pad before the first step adds to them.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.arrays: dict[str, Array] = {}
        self.most: int | None = None
        self.why_most = ""
        self.is_after_pads = False
        self.sums: list[str] = []
        self.of_a_pad: dict[str, Array] = {}

    derived: ClassVar[tuple[str, ...]] = ()
    """The names of arrays that follow from the others."""

    @abstractmethod
    def read(self, rows: Array) -> None:
        """Read the next steps: token ids (n,), or channels (n, C) float32. Raises InputError, and reads nothing, for a
        number of steps for which the network does not hold.
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

        How many they are depends on the steps that are still to come, and each step takes the place of a pad. Once the
        states of the recurrences do not change any more, a further pad changes sums and counts alone, each by the same
        number, `of_a_pad`: `with_fewer_pads` undoes that for each step. So the first steps, `most` of them, have the
        prediction that they have with the right number of pads. pad: its id, (1,). Raises InputError where the pads
        change the state in other ways.
        """
        if length * sum(array.size for array in self.arrays.values()) > _MOST_PAD_NUMBERS:
            raise InputError(f"the states after {length:,} pads are too many to be compared: use a shorter length")
        states = [self.arrays]
        for _ in range(length):
            self.arrays = {name: array.copy() for name, array in self.arrays.items()}
            self.read(pad)
            states.append(self.arrays)
        # The states after 0, 1, ... `length` pads.
        paths = {name: np.stack([state[name] for state in states]).astype(np.float64) for name in self._followed()}
        constant = {name: path for name, path in paths.items() if _is_near(path[-2], path[-1])}
        settled = length
        while settled and all(_is_near(path[settled - 1], path[-1]) for path in constant.values()):
            settled -= 1
        settled = max(settled, 1)  # without any pad a maximum has no number yet
        is_settled = settled < length - 1
        for name, path in paths.items():
            if name in constant:
                continue
            if not is_settled or name not in self.sums:
                is_settled = False
                break
            change = (path[-1] - path[settled]) / (length - settled)
            left = np.arange(length - settled, -1, -1).reshape(-1, *[1] * change.ndim)
            is_settled = _is_near(path[settled:], path[-1] - left * change, 4)
            self.of_a_pad[name] = change
        if not is_settled:
            raise InputError(
                "a network with padding 'pre' cannot be streamed unless pads stop changing its state, and after "
                f"{length:,} it still changes: how many there are depends on later steps; use padding='none'"
            )
        self.steps = 0
        self.is_after_pads = True
        self.most = length - settled
        self.why_most = f"and after more the {length:,} steps of a padded sequence would begin with too few pads"

    def _followed(self) -> list[str]:
        """The names of the arrays that do not follow from others."""
        return [name for name in self.arrays if name not in self.derived]

    def with_fewer_pads(self, pads: int) -> dict[str, Array]:
        """The arrays as they are after so many pads fewer."""
        arrays = dict(self.arrays)
        for name, change in self.of_a_pad.items():
            array = arrays[name]
            arrays[name] = (array - pads * change).astype(array.dtype)
        return arrays


def _is_near(array: Array, other: Array, factor: float = 1) -> bool:
    """Whether numbers differ by rounding alone. factor: of more roundings than a few."""
    rounding = 4 * np.finfo(np.float32).eps * factor * np.maximum(1, np.abs(other))
    return bool(np.all(np.abs(array - other) <= rounding))
