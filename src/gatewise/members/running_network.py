"""`RunningNetwork`: a network that reads n sequences step by step, with the logits so far after each step.

`Network.running` makes it, with one sequence. `gatewise.model.streams` uses it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.types import Array, Lengths

_MOST_PAD_NUMBERS = 1 << 24  # of the states after each number of pads


class RunningNetwork(ABC):
    """start: the state of one sequence before its first step, arrays (1, ...) by name.

    steps (n,): how many each sequence has read, pads left out. arrays: the states by name, (n, ...). Reading replaces
    them, and `write` alone writes to them. most: how many steps it reads, None for any number. why_most: why no more,
    for a message. is_after_pads: whether pads came before the first one. sums: the names of the arrays to which each
    step adds, and on which no other array depends. of_a_pad: how much each pad before the first step adds to them.
    derived: the names of arrays that follow from the others.
    """

    def __init__(self, start: Mapping[str, Array]) -> None:
        self.steps: Lengths = np.zeros(1, np.intp)
        self.arrays: dict[str, Array] = dict(start)
        self.most: int | None = None
        self.why_most = ""
        self.is_after_pads = False
        self.sums: list[str] = []
        self.of_a_pad: dict[str, Array] = {}
        self.derived: tuple[str, ...] = ()

    @abstractmethod
    def read(self, rows: Array, lengths: Lengths) -> None:
        """Read the next `lengths[i]` steps of each sequence i, one sequence after the other: token ids (N,), or
        channels (N, C) float32. Raises InputError, and reads nothing, for a number of steps for which the network does
        not hold.
        """

    @abstractmethod
    def logits(self) -> Array:
        """The logits (n, outputs) float64 after the steps so far, of sequences that have some; of a network with logits
        per step those of the last one.
        """

    def copy(self) -> Self:
        """The same sequences, which continue by themselves."""
        other = object.__new__(type(self))  # copy.copy takes as long as a step
        other.__dict__.update(self.__dict__)
        other.arrays = dict(self.arrays)
        return other

    def take(self, numbers: NDArray[Any]) -> Self:
        """The sequences of these numbers, which may repeat, in this order. They continue by themselves."""
        other = self.copy()
        other.steps = self.steps[numbers]
        other.arrays = {name: array[numbers] for name, array in self.arrays.items()}
        return other

    def joined(self, *others: Self) -> Self:
        """These sequences, then the others, in this order."""
        joined = self.copy()
        joined.steps = np.concatenate([self.steps, *(other.steps for other in others)])
        joined.arrays = {
            name: np.concatenate([array, *(other.arrays[name] for other in others)])
            for name, array in self.arrays.items()
        }
        return joined

    def put(self, numbers: NDArray[Any], others: Self) -> None:
        """Continue the sequences of these numbers from the states of others, (k,) of each."""
        self.steps = _with_rows(self.steps, numbers, others.steps)
        self.arrays = {name: _with_rows(array, numbers, others.arrays[name]) for name, array in self.arrays.items()}

    def write(self, numbers: NDArray[Any], others: Self) -> None:
        """As `put`, in place, so that it takes no longer where there are many sequences: copies share the arrays."""
        self.steps[numbers] = others.steps
        for name, array in self.arrays.items():
            array[numbers] = others.arrays[name]

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
            self.read(pad, np.ones(1, np.intp))
            states.append(self.arrays)
        # The states after 0, 1, ... `length` pads.
        followed = [name for name in self.arrays if name not in self.derived]
        paths = {name: np.concatenate([state[name] for state in states]).astype(np.float64) for name in followed}
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
        self.steps = np.zeros(1, np.intp)
        self.is_after_pads = True
        self.most = length - settled
        self.why_most = f"and after more the {length:,} steps of a padded sequence would begin with too few pads"

    def with_fewer_pads(self, pads: Lengths) -> dict[str, Array]:
        """The arrays as they are after so many pads fewer (n,)."""
        arrays = dict(self.arrays)
        for name, change in self.of_a_pad.items():
            array = arrays[name]
            fewer = pads.reshape(-1, *[1] * change.ndim)
            arrays[name] = (array - fewer * change).astype(array.dtype)
        return arrays


def _with_rows(array: Array, numbers: NDArray[Any], rows: Array) -> Array:
    """The array with other rows at these numbers."""
    changed = array.copy()
    changed[numbers] = rows
    return changed


def _is_near(array: Array, other: Array, factor: float = 1) -> bool:
    """Whether numbers differ by rounding alone. factor: of more roundings than a few."""
    rounding = 4 * np.finfo(np.float32).eps * factor * np.maximum(1, np.abs(other))
    return bool(np.all(np.abs(array - other) <= rounding))
