"""Activations: the gates and states of every LSTM at every step, as saved by the kernel that predicts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

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


@dataclass(frozen=True, eq=False)
class Gates:
    """The activations of one LSTM. i, f, g, o, c, h: (T, H), row t is step t of the sequence in both directions.

    With gate="binary", i, f and o are 0 or 1. h0, c0 (H,): the state before the first step in reading order, not zero
    after pads. c_t = f_t c_{t-1} + i_t g_t and h_t = o_t tanh(c_t); in the direction "backward" the previous step of t
    is t + 1.
    """

    layer: int
    direction: Literal["forward", "backward"]
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array
    h0: Array
    c0: Array

    @property
    def reading_order(self) -> slice:
        """The slice that puts rows into the LSTM's reading order, and back."""
        if self.direction == "backward":
            return slice(None, None, -1)
        return slice(None)

    def held_after(self, step: int) -> Gates:
        """The same run of an LSTM that reads nothing after `step` of the sequence: it keeps its memory and output."""
        later = slice(step + 1, None)
        if self.direction == "backward":
            later = slice(step)
        held: dict[str, Any] = {}
        for name in "ifgoch":
            values = getattr(self, name).copy()
            values[later] = {"i": 0, "f": 1, "g": 0}.get(name, values[step])
            held[name] = values
        return replace(self, **held)

    def half_life(self) -> Array:
        """The steps until half of a unit's memory is forgotten (H,), at their mean rate: ln 2 / mean(-ln f).

        0 where a forget gate is exactly 0, infinite where all are 1.
        """
        with np.errstate(divide="ignore"):
            rate = -np.log(self.f.astype(np.float64)).mean(axis=0)
            return np.asarray(np.log(2) / rate)

    def memory_changes(self) -> Array:
        """(T, H) float64: c_t - c_{t-1} at each step, in the LSTM's reading order."""
        c = self.c[self.reading_order].astype(np.float64)
        c0 = self.c0[None].astype(np.float64)
        changes = np.diff(c, axis=0, prepend=c0)
        return np.asarray(changes[self.reading_order])

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


class Activations(NamedTuple):
    """One forward pass of one sequence. lstms: bottom layer first; logits (outputs,) float64, with pooling "none"
    (T, outputs); pads: steps before it.
    """

    lstms: tuple[Gates, ...]
    logits: Array
    pads: int


def kept_after(f: Array) -> Array:
    """The share of the memory of each step that is left at the end: (T + 1, H), row t is Π_{s>t} f_s, for f (T, H)."""
    kept = np.ones((len(f) + 1, f.shape[1]), dtype=f.dtype)
    if len(f):
        np.cumprod(f[::-1], axis=0, out=kept[-2::-1])
    return kept
