"""The batches that every kernel is asked: random, asymmetric, ragged, with initial states that differ."""

from dataclasses import dataclass, replace
from functools import cache
from itertools import count, product
from typing import Any

import numpy as np

from gatewise.kernels.call import Forward, LSTMCall
from gatewise.kernels.interface import Backward, Kernel
from gatewise.kernels.reference import Reference
from gatewise.ragged import starts_of
from gatewise.types import Array, Gate

BATCHES = (1, 3, 17)
GATES: tuple[Gate, ...] = ("sigmoid", "binary")
UNITS = (1, 7, 16, 100, 130)
INPUTS = 5


@dataclass(frozen=True, eq=False)
class Case:
    """A batch in float64, and a random gradient for each result. pre = x weight_ihᵀ + bias."""

    x: Array  # (U, D)
    index: Any  # (N,) int32 or None
    lengths: Array  # (B,)
    weight_ih: Array  # (4H, D)
    weight_hh: Array  # (4H, H)
    bias: Array  # (4H,)
    h0: Array  # (B, H)
    c0: Array
    dh: Array  # (N, H)
    dc: Array
    dh_T: Array  # (B, H)
    dc_T: Array
    reverse: bool
    gate: Gate

    @property
    def units(self) -> int:
        return int(self.weight_hh.shape[1])

    @property
    def pre(self) -> Array:
        return self.x @ self.weight_ih.T + self.bias

    def arrays(self, dtype: str = "float64") -> dict[str, Any]:
        """The arrays of an `LSTMCall` by name."""
        floats = {name: getattr(self, name).astype(dtype) for name in ("pre", "weight_hh", "h0", "c0")}
        return {**floats, "index": self.index, "lengths": self.lengths}

    def forward(self, kernel: Kernel, dtype: str, keep: bool = True, **changed: Any) -> Forward:
        how = {"reverse": self.reverse, "gate": self.gate}
        return kernel.forward(LSTMCall(**(self.arrays(dtype) | how | changed)), keep=keep)

    def gradients(self, dtype: str, used: str = "dh dc dh_T dc_T") -> dict[str, Any]:
        """The arguments of `Kernel.backward`; those not `used` are zeros, or None where None stands for zeros."""
        out: dict[str, Any] = {}
        for name in ("dh", "dc", "dh_T", "dc_T"):
            array = getattr(self, name).astype(dtype)
            out[name] = array if name in used.split() else None if name in ("dh", "dc") else np.zeros_like(array)
        return out

    def backward(self, kernel: Kernel, dtype: str, used: str = "dh dc dh_T dc_T") -> Backward:
        saved = self.forward(kernel, dtype).saved
        assert saved is not None, "keep=True saved no activations"
        return kernel.backward(saved, **self.gradients(dtype, used))

    def __str__(self) -> str:
        how = ("indexed " if self.index is not None else "") + ("reversed " if self.reverse else "")
        return f"B={len(self.lengths)} H={self.units} {how}{self.gate}"


def draw(seed: int, batch: int, units: int, reverse: bool, gate: Gate, indexed: bool, longest: int = 6) -> Case:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, longest + 1, batch)
    if batch > 2:
        lengths[rng.permutation(batch)[:3]] = 0, 1, longest
    elif batch:
        lengths[0] = longest
    steps = int(lengths.sum())
    index, rows = None, steps
    if indexed:  # rows that repeat, and at least three that no step takes
        rows = steps // 2 + 4
        index = rng.permutation(rows)[rng.integers(0, rows - 3, steps)].astype(np.int32)

    def normal(*shape: int) -> Array:
        return rng.normal(size=shape)

    return Case(
        x=normal(rows, INPUTS),
        index=index,
        lengths=lengths.astype(np.int64),
        weight_ih=normal(4 * units, INPUTS) / np.sqrt(INPUTS),
        weight_hh=normal(4 * units, units) / np.sqrt(units),
        bias=normal(4 * units) / 2,
        h0=np.tanh(normal(batch, units)),
        c0=normal(batch, units),
        dh=normal(steps, units),
        dc=normal(steps, units),
        dh_T=normal(batch, units),
        dc_T=normal(batch, units),
        reverse=reverse,
        gate=gate,
    )


@cache
def case(batch: int, units: int, reverse: bool = False, gate: Gate = "sigmoid", indexed: bool = False) -> Case:
    """One case. Binary ones are drawn until no gate is so near to its step that float32 could fall beyond it."""
    for seed in count(1000 * batch + units):
        drawn = draw(seed, batch, units, reverse, gate, indexed)
        if gate == "sigmoid":
            return drawn
        gates = want(drawn)[0].saved.packed_gates[:, 0, [0, 1, 3]]  # type: ignore[union-attr]
        if np.abs(gates - 0.5).min(initial=1) > 2e-6:
            return drawn
    raise AssertionError


def grid() -> list[Case]:
    """Every batch size with every number of units, forwards and backwards, both gates, with and without an index; and
    more sequences than run side by side: groups and chunks of the native kernel end at 64 and 128 rows.
    """
    every = [case(*one) for one in product(BATCHES, UNITS, (False, True), GATES, (False, True))]
    return every + [case(batch, 21, indexed=True) for batch in (64, 65, 150)]


def some() -> list[Case]:
    """A few of the grid that differ in everything."""
    return [
        case(3, 7, False, "sigmoid", False),
        case(17, 16, True, "sigmoid", True),
        case(3, 130, True, "binary", False),
        case(17, 7, False, "binary", True),
    ]


_WANT: dict[int, tuple[Case, Forward, Backward]] = {}


def want(of: Case) -> tuple[Forward, Backward]:
    """What the float64 reference says: forward, and backward from all four gradients together."""
    if id(of) not in _WANT:
        reference = Reference()
        run = of.forward(reference, "float64")
        _WANT[id(of)] = of, run, reference.backward(run.saved, **of.gradients("float64"))
    return _WANT[id(of)][1:]


def without_index(of: Case) -> Case:
    return of if of.index is None else replace(of, x=of.x[of.index], index=None)


def rows_of(of: Case) -> list[Array]:
    """The rows of each sequence, in the order in which the recurrence takes them."""
    rows = [np.arange(start, start + n) for start, n in zip(starts_of(of.lengths), of.lengths, strict=True)]
    return [r[::-1] for r in rows] if of.reverse else rows


def picked(of: Case, which: list[int]) -> tuple[Case, Array]:
    """The batch of these sequences of a case without an index, and their rows there."""
    rows = np.concatenate([np.sort(rows_of(of)[b]) for b in which])
    by_step = {name: getattr(of, name)[rows] for name in ("x", "dh", "dc")}
    by_sequence = {name: getattr(of, name)[which] for name in ("lengths", "h0", "c0", "dh_T", "dc_T")}
    return replace(of, **by_step, **by_sequence), rows
