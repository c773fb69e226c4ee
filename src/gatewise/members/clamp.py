"""Clamps hold a gate at a value: the building blocks of interventions.

An ablated unit has its output gate clamped to 0, so that h = 0. A unit whose memory is held has its input gate clamped
to 0 and its forget gate to 1, so that c stays the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.kernels import Forward, Held, LSTMCall
from gatewise.members.recurrent_layer import CellName, RecurrentLayer
from gatewise.network.architecture import Architecture
from gatewise.network.ops import Ops
from gatewise.ragged import step_numbers
from gatewise.types import Array

GateName = Literal["i", "f", "g", "o", "r", "z", "n"]
GATE_NAMES: dict[str, str] = {"i": "input", "f": "forget", "g": "candidate", "o": "output"}
GATES_OF_CELLS: dict[CellName, dict[str, str]] = {
    "LSTM": GATE_NAMES,
    "GRU": {"r": "reset", "z": "update", "n": "candidate"},
    "RNN": {},
}
ALL_GATE_NAMES = {gate: name for gates in GATES_OF_CELLS.values() for gate, name in gates.items()}
_CANDIDATES = "gn"  # between -1 and 1; the other gates are between 0 and 1


@dataclass(frozen=True)
class Clamp:
    """Hold a gate at `value`.

    >>> print(Clamp("f", 1.0), "|", Clamp("o", 0.0, unit=7, steps=range(2, 5)))
    forget gate = 1 | output gate of unit 7 at steps 3 to 5 = 0

    gate: i, f, o (0 to 1) or g, the candidate (-1 to 1); of a GRU r, z (0 to 1) or n, the candidate. unit: its position
    in a layer's output, the directions side by side; None for all. layer: from 0; None for the top layer where a unit
    is named, otherwise for every layer. steps: of the truncated sequence, from 0; None for all. pads: clamp the pad
    steps before the sequence (padding "pre"), too, where `steps` is None. direction: clamp this direction only.
    """

    gate: GateName
    value: float
    unit: int | None = None
    steps: range | None = None
    layer: int | None = None
    pads: bool = False
    direction: Literal["forward", "backward"] | None = None

    def hits(self, layers: Sequence[RecurrentLayer], layer: int, direction: str) -> slice | None:
        """The columns (H,) of the gate of this LSTM that are clamped, or None."""
        clamped_layer = self.layer
        if self.layer is None and self.unit is not None:
            clamped_layer = len(layers) - 1
        if clamped_layer not in (None, layer) or self.direction not in (None, direction):
            return None
        if self.unit is None:
            return slice(None)
        number, column = divmod(self.unit, layers[layer].units)
        if layers[layer].directions[number] != direction:
            return None
        return slice(column, column + 1)

    def at(self, positions: Array) -> Array:
        """Whether each of these steps of the sequence (A,) is clamped: (A,) bool."""
        if self.steps is None:
            return np.ones(len(positions), dtype=bool)
        return np.isin(positions, np.asarray(self.steps, dtype=np.int64))

    def __str__(self) -> str:
        """The clamp in words. Steps and layers are counted from 1."""
        words = ALL_GATE_NAMES[self.gate]
        if self.gate not in _CANDIDATES:
            words += " gate"
        if self.unit is not None:
            words += f" of unit {self.unit}"
        if self.layer is not None:
            words += f" in layer {self.layer + 1}"
        if self.direction is not None:
            words += f", {self.direction}"
        if self.steps is not None:
            first = self.steps[0] + 1
            last = self.steps[-1] + 1
            if first == last:
                words += f" at step {first}"
            else:
                words += f" at steps {first} to {last}"
        return f"{words} = {self.value:g}"


_ABLATED: dict[CellName, tuple[GateName, ...]] = {"LSTM": ("o",), "GRU": ("z", "n"), "RNN": ()}
"""The gates that are 0 where h is 0."""


def ablate(
    unit: int,
    layer: int | None = None,
    direction: Literal["forward", "backward"] | None = None,
    cell: CellName = "LSTM",
) -> tuple[Clamp, ...]:
    """Clamps that ablate one unit, from the first pad on: h = 0. cell: of its layer. Raises InputError for a simple
    RNN, which has no gates.

    >>> print(*ablate(7))
    output gate of unit 7 = 0
    """
    gates = _ABLATED[cell]
    if not gates:
        raise InputError("a simple RNN has no gates, so that no unit of it can be ablated")
    return tuple(Clamp(gate, 0.0, unit, layer=layer, pads=True, direction=direction) for gate in gates)


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


def check_clamp(
    clamp: Clamp, layers: Sequence[RecurrentLayer], steps: int, first: int = 1, *, binary: bool = False
) -> None:
    """Raise InputError unless the clamp fits the network and a sequence of so many steps.

    layers: of the network. binary: whether its gates are 0 or 1. first: the number that messages give to the first
    layer and to the first step.
    """
    if not layers:
        raise InputError(
            "a clamp holds a gate, and the network has no recurrent layer that reads the steps of the input"
        )
    gates = {gate: name for layer in layers for gate, name in GATES_OF_CELLS[layer.cell].items()}
    if clamp.gate not in gates:
        raise InputError(f"a gate is {', '.join(gates) or 'of an LSTM or a GRU'}, not {quote(clamp.gate)}")
    low = 0.0
    if clamp.gate in _CANDIDATES:
        low = -1.0
    if not low <= clamp.value <= 1.0:  # refuses NaN as well
        raise InputError(f"{gates[clamp.gate]} must lie in [{low:g}, 1]; got {clamp.value:g}")
    if binary and clamp.gate not in _CANDIDATES and clamp.value not in (0.0, 1.0):
        raise InputError(f"{gates[clamp.gate]} must be 0 or 1 in a network with binary gates; got {clamp.value:g}")
    if clamp.layer is not None and not 0 <= clamp.layer < len(layers):
        raise InputError(f"layer must be from {first} to {len(layers) - 1 + first}, not {clamp.layer + first}")
    layer = layers[-1]
    if clamp.layer is not None:
        layer = layers[clamp.layer]
    clamps_all_layers = clamp.layer is None and clamp.unit is None
    if not clamps_all_layers and clamp.gate not in GATES_OF_CELLS[layer.cell]:
        of_layer = ", ".join(GATES_OF_CELLS[layer.cell]) or "none"
        raise InputError(f"the gates of this layer, of a {layer.cell}, are {of_layer}, not {quote(clamp.gate)}")
    _check_direction(clamp, layers if clamps_all_layers else (layer,), len(layers))
    if clamp.unit is not None:
        _check_unit(clamp, clamp.unit, layer)
    if clamp.steps is not None:
        # By its ends: min and max of a range visit every number, and a request may name a thousand million.
        ends = [clamp.steps[0], clamp.steps[-1]] if clamp.steps else []
        if not ends or min(ends) < 0 or max(ends) >= steps:
            raise InputError(
                f"the steps to clamp must be from {first} to {steps - 1 + first}, the steps that the network reads"
            )


def _check_direction(clamp: Clamp, layers: Sequence[RecurrentLayer], total: int) -> None:
    """Raise InputError unless one of the clamped layers has the direction. total: the layers of the network."""
    directions = {direction: None for layer in layers for direction in layer.directions}
    if clamp.direction in (None, *directions):
        return
    place = "layer"
    if len(layers) == total:
        place = "network"
    raise InputError(f"direction must be {' or '.join(directions)} in this {place}, not {quote(clamp.direction)}")


def _check_unit(clamp: Clamp, unit: int, layer: RecurrentLayer) -> None:
    """Raise InputError unless the layer has the unit, in the direction of the clamp."""
    if not 0 <= unit < layer.size:
        raise InputError(f"unit must be from 0 to {layer.size - 1}, not {unit}")
    direction = layer.directions[unit // layer.units]
    if clamp.direction not in (None, direction):
        first = layer.units * layer.directions.index(clamp.direction)
        units = f"the {clamp.direction} units are {first} to {first + layer.units - 1}"
        raise InputError(f"unit {unit} is a {direction} unit; {units}")


class ClampedOps(Ops):
    """`Ops` whose runs of LSTMs hold the gates of the clamps; the last clamp of a gate wins. There is no backward
    pass.
    """

    reads_inputs_once: ClassVar[bool] = False

    def __init__(
        self, arch: Architecture, layers: Sequence[RecurrentLayer], clamps: Sequence[Clamp], *arguments: Any
    ) -> None:
        super().__init__(*arguments)
        # The clamps of each run, with the columns of the gate that they clamp.
        self._clamps: dict[str, list[tuple[Clamp, slice]]] = {}
        for layer, direction, name in arch.lstms():
            self._clamps[name] = []
            self._clamps[f"{name}.pads"] = []
            for clamp in clamps:
                columns = clamp.hits(layers, layer, direction)
                if columns is None:
                    continue
                self._clamps[name].append((clamp, columns))
                if clamp.pads and clamp.steps is None:
                    self._clamps[f"{name}.pads"].append((clamp, columns))

    def lstms(self, calls: Sequence[tuple[str, LSTMCall[Array]]], positions: Array | None = None) -> list[Forward]:
        held = [(name, replace(call, held=self._held(name, call, positions))) for name, call in calls]
        return super().lstms(held)

    def _held(self, name: str, call: LSTMCall[Array], positions: Array | None) -> Held | None:
        """The held gates of a run. positions: the step of each row of the run, None for the usual order."""
        clamps = self._clamps[name]
        if not clamps:
            return None
        if positions is None:
            lengths = call.lengths
            positions = step_numbers(lengths)
        return held_gates(clamps, positions, "ifgo", call.weight_hh.shape[1], call.pre.dtype)


def held_gates(
    clamps: Sequence[tuple[Clamp, slice]], positions: Array, gates: str, units: int, dtype: Any
) -> tuple[Array, Array]:
    """The held gates of steps (N,) with the numbers `positions`: the row of each step, and the rows (R, K H), NaN for a
    gate that is computed. There is one row for each set of clamps that apply at the same step, so that a clamp of all
    steps needs one row only. clamps: with the columns of the gate that they clamp. gates: the K names, in the order of
    the rows.
    """
    steps = np.arange(positions.max(initial=-1) + 1)
    applies = np.stack([clamp.at(steps) for clamp, _ in clamps], axis=1)  # (steps, clamps)
    sets, set_of_step = np.unique(applies, axis=0, return_inverse=True)
    values = np.full((len(sets), len(gates), units), np.nan, dtype=dtype)
    for n, (clamp, columns) in enumerate(clamps):
        values[sets[:, n], gates.index(clamp.gate), columns] = clamp.value
    index = set_of_step.reshape(-1)[positions].astype(np.int32)
    return index, values.reshape(len(sets), len(gates) * units)
