"""`RecurrentValues`: the gates and states of a `Recurrent` node at each step, in the order of the sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.kernels.saved_activations import SavedActivations
from gatewise.types import Array

KEPT = {"LSTM": {"i": 0.0, "f": 1.0, "g": 0.0}, "GRU": {"z": 1.0}, "RNN": {}}
"""By cell, the values of the gates with which a step leaves the state as it is: those of a step that is not read."""


@dataclass(frozen=True, eq=False)
class RecurrentValues:
    """values: by name (B, T, H), of an LSTM i f g o c h, of a GRU r z n h, of a simple RNN h. start: the states h and c
    before the first step (B, H).

    A step that is not read (mask) has the state of the step before, and gates that leave it as it is.
    """

    values: Mapping[str, Array]
    start: Mapping[str, Array]

    @classmethod
    def of_kernel(cls, saved: SavedActivations, steps: int, rows: Array | None) -> RecurrentValues:
        """Of a run of a kernel. rows (B, T): the row of the step that was read last, the number of rows where there is
        none; None where each step was read.
        """
        batch = len(saved.lengths)
        arrays = dict(zip("ifgo", np.split(saved.gates(), 4, axis=1), strict=True))
        arrays |= {"c": saved.c, "h": saved.h}
        start = {"h": saved.h0, "c": saved.c0}
        if rows is None:
            return cls({name: array.reshape(batch, steps, -1) for name, array in arrays.items()}, start)
        values = {}
        is_before = rows == len(saved.h)  # (B, T): before the first step that is read
        for name, array in arrays.items():
            padded = np.concatenate([array, np.zeros_like(array, shape=(1, array.shape[1]))])
            values[name] = padded[rows]
            if name in start:
                values[name] = np.where(is_before[..., None], start[name][:, None], values[name])
        return cls(values, start)

    def with_unread(self, cell: str, mask: Array | None) -> RecurrentValues:
        """With the gates of the steps that are not read, mask (B, T) false."""
        if mask is None:
            return self
        values = dict(self.values)
        for name, kept in KEPT[cell].items():
            values[name] = np.where(mask[..., None], values[name], np.asarray(kept, values[name].dtype))
        return RecurrentValues(values, self.start)


class GateObserver:
    """What `Cell.observe` calls, step by step. It holds gates at values, and with `keep` it records what the steps
    compute; of an LSTM with a projection h before it, which has the units of the gates.

    names: of the gates, in the order of the weights. held: see `Execution`. t: the step that runs.
    """

    def __init__(self, names: str, keep: bool, held: tuple[Array, Array] | None) -> None:
        self.t = 0
        self._names = names
        self._keep = keep
        self._held = held
        self._gates: dict[str, Array] = {}
        self._values: dict[str, dict[int, Array]] = {}

    def observe(self, name: str, gate: Array) -> Array:
        """The gate that is used, of one (B, H) that was computed."""
        if self._held is not None and name in self._names:
            row_of_step, rows = self._held
            units = gate.shape[1]
            first = self._names.index(name) * units
            value = rows[row_of_step[self.t], first : first + units].astype(gate.dtype)  # (H,)
            gate = np.where(np.isnan(value), gate, value)
        self._gates[name] = gate
        return gate

    def record(self, state: Sequence[Array], read: Array | None) -> None:
        """Record a step. state: h and c after it. read (B, 1): whether each sequence reads the step."""
        if not self._keep:
            return
        states = dict(zip("hc", state, strict=False))
        for name, value in (states | self._gates).items():
            self._values.setdefault(name, {})[self.t] = value
        if read is None:
            return
        for name, gate in self._gates.items():
            of_steps = self._values[name]
            earlier = list(of_steps.values())[:-1]
            # A step that is not read goes on with what was before it: at the start the state, and no gate. The state
            # of an LSTM with a projection is not h before it.
            before = states.get(name, gate)
            if name not in states or before.shape != gate.shape:
                before = np.zeros_like(gate)
            if earlier:
                before = earlier[-1]
            of_steps[self.t] = np.where(read, gate, before)

    def values(self, start: Sequence[Array]) -> RecurrentValues:
        """What was recorded, in the order of the sequence. start: h and c before the first step."""
        values = {}
        for name, of_steps in self._values.items():
            values[name] = np.stack([of_steps[t] for t in sorted(of_steps)], axis=1)
        return RecurrentValues(values, dict(zip("hc", start, strict=False)))
