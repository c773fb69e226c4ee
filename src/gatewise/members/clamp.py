"""Clamps hold a gate at a value: the building blocks of interventions.

An ablated unit has its output gate clamped to 0, so that h = 0. A unit whose memory is held has its input gate clamped
to 0 and its forget gate to 1, so that c stays the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.kernels import Forward, Held, LSTMCall
from gatewise.network.architecture import Architecture
from gatewise.network.ops import Ops
from gatewise.ragged import starts_of
from gatewise.types import Array

GATE_NAMES = {"i": "input", "f": "forget", "g": "candidate", "o": "output"}


@dataclass(frozen=True)
class Clamp:
    """Hold a gate at `value`.

    >>> print(Clamp("f", 1.0), "|", Clamp("o", 0.0, unit=7, steps=range(2, 5)))
    forget gate = 1 | output gate of unit 7 at steps 3 to 5 = 0

    gate: i, f, o (0 to 1) or g, the candidate (-1 to 1). unit: its position in a layer's output, the directions side by
    side; None for all. layer: from 0; None for the top layer where a unit is named, else for every layer. steps: of the
    truncated sequence, from 0; None for all. pads: whether the pad steps before the sequence (padding "pre") are
    clamped too, where `steps` is None. direction: clamp that one only.
    """

    gate: Literal["i", "f", "g", "o"]
    value: float
    unit: int | None = None
    steps: range | None = None
    layer: int | None = None
    pads: bool = False
    direction: Literal["forward", "backward"] | None = None

    def hits(self, arch: Architecture, layer: int, direction: str) -> slice | None:
        """The columns (H,) of that LSTM's gate that it clamps, or None."""
        clamped = self.layer if self.layer is not None else (len(arch.layers) - 1 if self.unit is not None else layer)
        if layer != clamped or self.direction not in (None, direction):
            return None
        if self.unit is None:
            return slice(None)
        place, column = divmod(self.unit, arch.layers[layer].units)
        return slice(column, column + 1) if arch.layers[layer].directions[place] == direction else None

    def at(self, positions: Array) -> Array:
        """Which of these steps of the sequence (A,) it clamps: (A,) bool."""
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
        gate = GATE_NAMES[self.gate] + ("" if self.gate == "g" else " gate")
        return f"{gate}{where} = {self.value:g}"


def ablate(
    unit: int, layer: int | None = None, direction: Literal["forward", "backward"] | None = None
) -> tuple[Clamp, ...]:
    """Clamps that ablate one unit, from the first pad on: h = 0.

    >>> print(*ablate(7))
    output gate of unit 7 = 0
    """
    return (Clamp("o", 0.0, unit, layer=layer, pads=True, direction=direction),)


def hold_memory(
    unit: int,
    layer: int | None = None,
    steps: range | None = None,
    direction: Literal["forward", "backward"] | None = None,
) -> tuple[Clamp, ...]:
    """Clamps that hold one unit's memory: c_t = c_{t-1}.

    >>> print(*hold_memory(7, steps=range(2, 5)), sep="; ")
    input gate of unit 7 at steps 3 to 5 = 0; forget gate of unit 7 at steps 3 to 5 = 1
    """
    return (
        Clamp("i", 0.0, unit, steps, layer, direction=direction),
        Clamp("f", 1.0, unit, steps, layer, direction=direction),
    )


def check_clamp(clamp: Clamp, arch: Architecture, steps: int, first: int = 1) -> None:
    """Raise InputError unless the clamp fits the network and a sequence of that many steps.

    first: the number that messages give to the first layer and to the first step.
    """
    if clamp.gate not in GATE_NAMES:
        raise InputError(f"a gate is {', '.join(GATE_NAMES)}, not {quote(clamp.gate)}")
    low = -1.0 if clamp.gate == "g" else 0.0
    if not low <= clamp.value <= 1.0:  # refuses NaN as well
        raise InputError(f"{GATE_NAMES[clamp.gate]} must lie in [{low:g}, 1]; got {clamp.value:g}")
    if arch.gate == "binary" and clamp.gate != "g" and clamp.value not in (0.0, 1.0):
        raise InputError(f"{GATE_NAMES[clamp.gate]} must be 0 or 1 in a network with binary gates; got {clamp.value:g}")
    if clamp.layer is not None and not 0 <= clamp.layer < len(arch.layers):
        raise InputError(f"layer must be from {first} to {len(arch.layers) - 1 + first}, not {clamp.layer + first}")
    layer = arch.top if clamp.layer is None else arch.layers[clamp.layer]
    every = clamp.layer is None and clamp.unit is None  # it may name a direction that one of the layers has
    directions = {d: None for one in (arch.layers if every else (layer,)) for d in one.directions}
    if clamp.direction not in (None, *directions):
        where = "network" if every or len(arch.layers) == 1 else "layer"
        raise InputError(f"direction must be {' or '.join(directions)} in this {where}, not {quote(clamp.direction)}")
    if clamp.unit is not None:
        if not 0 <= clamp.unit < layer.size:
            raise InputError(f"unit must be from 0 to {layer.size - 1}, not {clamp.unit}")
        its_direction = layer.directions[clamp.unit // layer.units]
        if clamp.direction not in (None, its_direction):
            start = layer.units * layer.directions.index(clamp.direction)
            others = f"the {clamp.direction} units are {start} to {start + layer.units - 1}"
            raise InputError(f"unit {clamp.unit} is a {its_direction} unit; {others}")
    # By its ends: min and max of a range visit every number, and a request may name a thousand million.
    ends = () if not clamp.steps else (clamp.steps[0], clamp.steps[-1])
    if clamp.steps is not None and not (ends and min(ends) >= 0 and max(ends) < steps):
        raise InputError(
            f"the steps to clamp must be from {first} to {steps - 1 + first}, the steps that the network reads"
        )


class ClampedOps(Ops):
    """`Ops` whose runs of LSTMs hold the gates of the clamps; the last clamp of a gate wins. There is no backward
    pass.
    """

    def __init__(self, arch: Architecture, clamps: Sequence[Clamp], *given: Any) -> None:
        super().__init__(*given)
        self._clamps: dict[str, list[tuple[Clamp, slice]]] = {}
        for layer, direction, name in arch.lstms():
            found = [(clamp, clamp.hits(arch, layer, direction)) for clamp in clamps]
            self._clamps[name] = [(clamp, columns) for clamp, columns in found if columns is not None]
            pads = [(clamp, columns) for clamp, columns in self._clamps[name] if clamp.pads and clamp.steps is None]
            self._clamps[f"{name}.pads"] = pads

    def lstms(self, calls: Sequence[tuple[str, LSTMCall[Array]]], positions: Array | None = None) -> list[Forward]:
        held = [(name, replace(call, held=self._held(name, call, positions))) for name, call in calls]
        return super().lstms(held)

    def _held(self, name: str, call: LSTMCall[Array], positions: Array | None) -> Held | None:
        """The held gates of a run, one row for each set of clamps that apply at the same step."""
        clamps, lengths = self._clamps[name], call.lengths
        if not clamps:
            return None
        if positions is None:
            positions = np.arange(lengths.sum()) - np.repeat(starts_of(lengths), lengths)
        steps = np.arange(positions.max(initial=-1) + 1)
        applied, rows = np.unique(
            np.stack([clamp.at(steps) for clamp, _ in clamps], axis=1), axis=0, return_inverse=True
        )
        units = call.weight_hh.shape[1]
        values = np.full((len(applied), 4, units), np.nan, dtype=call.pre.dtype)  # of no step, no row
        for n, (clamp, columns) in enumerate(clamps):
            values[applied[:, n], "ifgo".index(clamp.gate), columns] = clamp.value
        return rows.reshape(-1)[positions].astype(np.int32), values.reshape(len(applied), 4 * units)
