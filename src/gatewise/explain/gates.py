"""What every gate of every unit did, taken from the tape of the kernel that predicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from gatewise.explain.net import ExplainedNetwork, chunks
from gatewise.kernels.ragged import starts_of
from gatewise.network.batch import Batch
from gatewise.network.forward import forward
from gatewise.types import Array

__all__ = ["CellDecomposition", "Gates", "Share", "gate_shares", "kept_after", "run_with_activations"]

OPEN_AT_ONCE = 16_384  # steps whose tapes are held at a time: 4H gates and c each


class Share(NamedTuple):
    """How much of a gate, over units and steps, lies below 0.1, from there to 0.9, and above: three numbers with sum
    1.
    """

    below: float
    between: float
    above: float


class CellDecomposition(NamedTuple):
    """What the memory after the last step that was read is made of: c_last = initial + Σ_t writes_t + residual.

    initial (H,): what is left of the state before. writes (T, H): i_t g_t times every later forget gate; row t is
    step t of the sequence. residual (H,): rounding. All float64.
    """

    initial: Array
    writes: Array
    residual: Array


@dataclass(frozen=True, eq=False)
class Gates:
    """One LSTM of the network. i, f, g, o, c, h: (T, H), row t is step t of the sequence, whatever the direction.

    The gates are as they acted: with gate="binary", i, f and o are 0 or 1. h0, c0 (H,): the state before the first
    step that it read, which is not zero where pads ran before. So c_t = f_t c_{t-1} + i_t g_t and h_t = o_t
    tanh(c_t); in the direction "backward" the step before t is t + 1.
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
    def reading(self) -> slice:
        """What puts rows of this LSTM into the order in which it read them, and back."""
        return slice(None, None, -1 if self.direction == "backward" else 1)

    def half_life(self) -> Array:
        """(H,): steps until half of a unit's memory is forgotten, at the mean rate of these steps: ln 2 / mean(-ln f).

        0 where a gate of exactly 0 wiped it out, infinite where nothing was forgotten.
        """
        with np.errstate(divide="ignore"):
            rate = -np.log(self.f.astype(np.float64)).mean(axis=0)
            return np.asarray(np.log(2) / rate)

    def shares(self) -> dict[str, Share]:
        """By gate (i, f, o): how much of it lies near 0, between and near 1."""
        return gate_shares([self])

    def moves(self) -> Array:
        """(T, H) float64: how far each step moved the memory, c_t - c_{t-1} in the order of reading."""
        c = self.c[self.reading].astype(np.float64)
        return np.asarray(np.diff(c, axis=0, prepend=self.c0[None].astype(np.float64))[self.reading])

    def account(self) -> CellDecomposition:
        """The memory as a sum over the steps, exact but for rounding: c_T = c_0 Π f + Σ_t i_t g_t Π_{s>t} f_s."""
        i, f, g, c = (a[self.reading].astype(np.float64) for a in (self.i, self.f, self.g, self.c))
        kept = kept_after(f)  # (T + 1, H)
        writes, initial = i * g * kept[1:], self.c0 * kept[0]
        last = c[-1] if len(c) else self.c0.astype(np.float64)
        return CellDecomposition(initial, writes[self.reading], last - initial - writes.sum(axis=0))


def kept_after(f: Array) -> Array:
    """How much of the memory of each moment is left at the end: (T + 1, H), row t is Π_{s>t} f_s, of f (T, H)."""
    kept = np.ones((len(f) + 1, f.shape[1]), dtype=f.dtype)
    np.cumprod(f[::-1], axis=0, out=kept[-2::-1] if len(f) else None)
    return kept


def gate_shares(lstms: Sequence[Gates]) -> dict[str, Share]:
    """By gate (i, f, o), over all these LSTMs: how much of it lies below 0.1, between, above 0.9."""
    shares = {}
    for gate in ("i", "f", "o"):
        values = np.concatenate([getattr(gates, gate).ravel() for gates in lstms])
        below, above = float((values < 0.1).mean()), float((values > 0.9).mean())
        shares[gate] = Share(below, 1 - below - above, above)
    return shares


def run_with_activations(
    net: ExplainedNetwork, sequences: Sequence[Array]
) -> Iterator[tuple[tuple[Gates, ...], Array, int]]:
    """For each sequence, cut already: its LSTMs, layers upwards; its logits (outputs,) float64; its pads."""
    for some in chunks(sequences, OPEN_AT_ONCE):
        ops, batch = net.ops(keep=True), Batch.of(some, net.arch)
        logits = np.asarray(forward(ops, net.parameters, net.arch, batch), dtype=np.float64)
        parts = []
        for layer, direction, name in net.arch.lstms():
            saved = ops.saved_activations[name][0]
            i, f, g, o = np.split(saved.gates(), 4, axis=-1)
            parts.append((layer, direction, (i, f, g, o, saved.c, saved.h), saved))
        for n, (start, length) in enumerate(zip(starts_of(batch.lengths), batch.lengths, strict=True)):
            lstms = tuple(_one(part, slice(start, start + length), n) for part in parts)
            yield lstms, logits[n], 0 if batch.pads is None else int(batch.pads[n])


def _one(part: tuple[int, Literal["forward", "backward"], tuple[Array, ...], Any], rows: slice, n: int) -> Gates:
    layer, direction, arrays, saved = part
    i, f, g, o, c, h = (array[rows] for array in arrays)
    return Gates(layer, direction, i, f, g, o, c, h, saved.h0[n], saved.c0[n])
