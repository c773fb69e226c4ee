"""A gate held at a value: what an intervention is made of.

A silenced unit is one whose output gate is held at 0: it goes on computing and nothing hears it. A frozen one keeps
what it has: input gate 0, forget gate 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.network.architecture import Architecture
from gatewise.types import Array

__all__ = ["GATE_NAMES", "Clamp", "ablate", "check_clamp", "hold_memory"]

GATE_NAMES = {"i": "input", "f": "forget", "g": "candidate", "o": "output"}


@dataclass(frozen=True)
class Clamp:
    """Hold one kind of gate at `value`.

    gate: i, f, o (0 to 1) or g, the candidate (-1 to 1). unit: its place in a layer's output, the directions side by
    side; None for all. layer: from 0; None stands for the top layer where a unit is named, else for every layer. steps:
    which steps of the sequence as read, from 0; None for all. pads: whether the pad steps before the sequence (padding
    "pre") are held as well, where `steps` is None. direction: hold that one alone; `unit` is then its place in it.
    """

    gate: Literal["i", "f", "g", "o"]
    value: float
    unit: int | None = None
    steps: range | None = None
    layer: int | None = None
    pads: bool = False
    direction: Literal["forward", "backward"] | None = None

    def hits(self, arch: Architecture, layer: int, direction: str) -> slice | None:
        """The columns (H,) of that LSTM's gate that it holds, or None."""
        wanted = self.layer if self.layer is not None else (arch.layers - 1 if self.unit is not None else layer)
        if layer != wanted or self.direction not in (None, direction):
            return None
        if self.unit is None:
            return slice(None)
        place, column = divmod(self.unit, arch.units)
        held = arch.directions[place] if self.direction is None else self.direction
        return slice(column, column + 1) if held == direction else None

    def at(self, positions: Array) -> Array:
        """Which of these steps of the sequence (A,) it holds: (A,) bool."""
        if self.steps is None:
            return np.ones(len(positions), dtype=bool)
        return np.isin(positions, np.asarray(self.steps, dtype=np.int64))

    def __str__(self) -> str:
        """In words, steps and layers counted from 1."""
        where = "" if self.unit is None else f" of unit {self.unit}"
        where += "" if self.layer is None else f" in layer {self.layer + 1}"
        where += "" if self.direction is None else f", {self.direction}"
        if self.steps is not None:
            first, last = self.steps[0] + 1, self.steps[-1] + 1
            where += f" at step {first}" if first == last else f" at steps {first} to {last}"
        return f"{GATE_NAMES[self.gate]}{where} = {self.value:g}"


def ablate(
    unit: int, layer: int | None = None, direction: Literal["forward", "backward"] | None = None
) -> tuple[Clamp, ...]:
    """Clamps under which nothing hears that unit, from the first pad on: h = 0."""
    return (Clamp("o", 0.0, unit, layer=layer, pads=True, direction=direction),)


def hold_memory(
    unit: int,
    layer: int | None = None,
    steps: range | None = None,
    direction: Literal["forward", "backward"] | None = None,
) -> tuple[Clamp, ...]:
    """Clamps under which that unit's memory stays as it is: c_t = c_{t-1}."""
    return (
        Clamp("i", 0.0, unit, steps, layer, direction=direction),
        Clamp("f", 1.0, unit, steps, layer, direction=direction),
    )


def check_clamp(clamp: Clamp, arch: Architecture, steps: int) -> None:
    """Raise InputError unless it fits a network and a sequence of that many steps."""
    if clamp.gate not in GATE_NAMES:
        raise InputError(f"a gate is {', '.join(GATE_NAMES)}, not {quote(clamp.gate)}")
    low = -1.0 if clamp.gate == "g" else 0.0
    if not low <= clamp.value <= 1.0:  # refuses NaN as well
        raise InputError(f"{GATE_NAMES[clamp.gate]} must lie in [{low:g}, 1]; got {clamp.value:g}")
    if arch.gate == "binary" and clamp.gate != "g" and clamp.value not in (0.0, 1.0):
        raise InputError(f"{GATE_NAMES[clamp.gate]} is 0 or 1 in a network of binary gates; got {clamp.value:g}")
    if clamp.direction not in (None, *arch.directions):
        raise InputError(
            f"direction must be {' or '.join(arch.directions)} in this network, not {quote(clamp.direction)}"
        )
    units = arch.units * (1 if clamp.direction else len(arch.directions))
    if clamp.unit is not None and not 0 <= clamp.unit < units:
        raise InputError(f"unit must be from 0 to {units - 1}, not {clamp.unit}")
    if clamp.layer is not None and not 0 <= clamp.layer < arch.layers:
        raise InputError(f"layer must be from 1 to {arch.layers}, not {clamp.layer + 1}")
    if clamp.steps is not None and not (len(clamp.steps) and min(clamp.steps) >= 0 and max(clamp.steps) < steps):
        raise InputError(f"the steps to clamp must lie between 1 and {steps}, the steps that are read")
