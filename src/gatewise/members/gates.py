"""Activations: the gates and states of every recurrent layer at every step, as saved by the kernel that predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from gatewise.members.recurrent_layer import CellName, Direction
from gatewise.types import Array

STEPS_PER_BATCH = 16_384  # steps whose activations are in memory at a time: 4H gates and c each


class Share(NamedTuple):
    """The shares of a gate's values, over units and steps, below 0.1, between 0.1 and 0.9, and above 0.9; sum 1."""

    below: float
    between: float
    above: float


class MemoryDecomposition(NamedTuple):
    """The final memory as a sum over the steps: c_T = initial + Σ_t writes_t + residual.

    initial (H,): what remains of the state before the first step. writes (T, H): i_t g_t times every later forget
    gate; row t is step t of the sequence. residual (H,): rounding. All float64.
    """

    initial: Array
    writes: Array
    residual: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerStates(ABC):
    """The activations of one direction of a recurrent layer. h (T, H): row t is step t of the sequence in both
    directions. h0 (H,): the state before the first step in reading order, not zero after pads.

    names: of the gates and states, which are attributes (T, H). memory: that of the state which lasts. held_gates: the
    values of the gates with which a step leaves the memory as it is. shares: the gates between 0 and 1. kept: the gate
    that says how much of the memory stays, "" without one.
    """

    layer: int
    direction: Direction
    h: Array
    h0: Array
    cell: ClassVar[CellName]
    names: ClassVar[str]
    memory: ClassVar[str] = "h"
    held_gates: ClassVar[Mapping[str, float]] = {}
    shares: ClassVar[str] = ""
    kept: ClassVar[str] = ""

    @property
    def start(self) -> Array:
        """The memory before the first step (H,)."""
        return self.h0

    @property
    def reading_order(self) -> slice:
        """The slice that puts rows into the order in which the layer reads them, and back."""
        if self.direction == "backward":
            return slice(None, None, -1)
        return slice(None)

    def held_after(self, step: int) -> Self:
        """The same run of a layer that reads nothing after `step` of the sequence: it keeps its memory and output."""
        later = slice(step + 1, None)
        if self.direction == "backward":
            later = slice(step)
        held: dict[str, Any] = {}
        for name in self.names:
            values = getattr(self, name).copy()
            values[later] = self.held_gates.get(name, values[step])
            held[name] = values
        return replace(self, **held)

    @abstractmethod
    def half_life(self) -> Array:
        """The steps until half of a unit's memory is forgotten (H,), at their mean rate. 0 where it is forgotten at
        once, infinite where nothing is.
        """

    def memory_changes(self) -> Array:
        """(T, H) float64: the memory minus that of the step before, in the order in which the layer reads the steps."""
        memory = getattr(self, self.memory)[self.reading_order].astype(np.float64)
        changes = np.diff(memory, axis=0, prepend=self.start[None].astype(np.float64))
        return np.asarray(changes[self.reading_order])


@dataclass(frozen=True, eq=False, kw_only=True)
class Gates(LayerStates):
    """The activations of one LSTM. i, f, g, o, c, h: (T, H), row t is step t of the sequence in both directions.

    With gate="binary", i, f and o are 0 or 1. h0, c0 (H,): the state before the first step in reading order, not zero
    after pads. c_t = f_t c_{t-1} + i_t g_t and h_t = o_t tanh(c_t); in the direction "backward" the previous step of t
    is t + 1.
    """

    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    c0: Array
    cell: ClassVar[CellName] = "LSTM"
    names: ClassVar[str] = "ifgoch"
    memory: ClassVar[str] = "c"
    held_gates: ClassVar[Mapping[str, float]] = {"i": 0, "f": 1, "g": 0}
    shares: ClassVar[str] = "ifo"
    kept: ClassVar[str] = "f"

    @property
    def start(self) -> Array:
        return self.c0

    def half_life(self) -> Array:
        """ln 2 / mean(-ln f)."""
        return _half_life(self.f)

    def memory_decomposition(self) -> MemoryDecomposition:
        """The final memory as a sum over the steps, exact to rounding: c_T = c_0 Π f + Σ_t i_t g_t Π_{s>t} f_s."""
        i = self.i[self.reading_order].astype(np.float64)
        f = self.f[self.reading_order].astype(np.float64)
        g = self.g[self.reading_order].astype(np.float64)
        states = np.concatenate([self.c0[None], self.c[self.reading_order]]).astype(np.float64)
        kept = kept_after(f)  # (T + 1, H)
        initial = self.c0 * kept[0]
        writes = i * g * kept[1:]
        residual = states[-1] - initial - writes.sum(axis=0)
        return MemoryDecomposition(initial, writes[self.reading_order], residual)


@dataclass(frozen=True, eq=False, kw_only=True)
class GRUGates(LayerStates):
    """The activations of one GRU. r, z, n, h: (T, H). h_t = (1 - z_t) n_t + z_t h_{t-1}."""

    r: Array
    z: Array
    n: Array
    cell: ClassVar[CellName] = "GRU"
    names: ClassVar[str] = "rznh"
    held_gates: ClassVar[Mapping[str, float]] = {"z": 1}
    shares: ClassVar[str] = "rz"
    kept: ClassVar[str] = "z"

    def half_life(self) -> Array:
        """ln 2 / mean(-ln z)."""
        return _half_life(self.z)


@dataclass(frozen=True, eq=False, kw_only=True)
class RNNStates(LayerStates):
    """The states of one simple RNN, which has no gates: h (T, H)."""

    cell: ClassVar[CellName] = "RNN"
    names: ClassVar[str] = "h"

    def half_life(self) -> Array:
        """0: no gate keeps its memory."""
        return np.zeros(self.h.shape[1])


STATES: dict[CellName, type[LayerStates]] = {"LSTM": Gates, "GRU": GRUGates, "RNN": RNNStates}
"""By cell."""


class Activations(NamedTuple):
    """One forward pass of one sequence. lstms: bottom layer first; logits (outputs,) float64, with pooling "none"
    (T, outputs); pads: steps before it. other_lstms: of layers whose steps are not those of the input.
    """

    lstms: tuple[Any, ...]  # `LayerStates`; of an LSTM `Gates`
    logits: Array
    pads: int
    other_lstms: tuple[Any, ...] = ()


def _half_life(kept: Array) -> Array:
    """The steps until half is left, of the shares that are kept at each step (T, H)."""
    with np.errstate(divide="ignore"):
        rate = -np.log(kept.astype(np.float64)).mean(axis=0)
        return np.asarray(np.log(2) / rate)


def kept_after(f: Array) -> Array:
    """The share of the memory of each step that is left at the end: (T + 1, H), row t is Π_{s>t} f_s, for f (T, H)."""
    kept = np.ones((len(f) + 1, f.shape[1]), dtype=f.dtype)
    if len(f):
        np.cumprod(f[::-1], axis=0, out=kept[-2::-1])
    return kept
