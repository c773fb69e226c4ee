"""`SavedActivations`: the arrays that a forward run of a kernel keeps for its backward pass and for explanations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gatewise.kernels.call import LSTMCall
from gatewise.types import Array, Gate, Index, Lengths


@dataclass(frozen=True)
class SavedActivations:
    """What the backward pass needs of a forward run: its arguments, h and c of every step, and the gates in the layout
    of the kernel.

    The explanations show these arrays too; `gates()` returns the gates as (N, 4H) in the order i, f, g, o.
    """

    pre_rows: int
    index: Index | None
    lengths: Lengths
    weight_hh: Array
    h0: Array
    c0: Array
    h: Array  # (N, H)
    c: Array  # (N, H)
    packed_gates: Array  # (N, blocks, 4, lanes): unit u is lane u % lanes of block u // lanes
    reverse: bool
    gate: Gate
    mask: Array | None = None  # (B, H)
    held: bool = False

    @classmethod
    def of(cls, call: LSTMCall[Array], h: Array, c: Array, packed_gates: Array) -> SavedActivations:
        """The activations of `call`; `pre` itself is not kept."""
        return cls(
            pre_rows=len(call.pre),
            index=call.index,
            lengths=call.lengths,
            weight_hh=call.weight_hh,
            h0=call.h0,
            c0=call.c0,
            h=h,
            c=c,
            packed_gates=packed_gates,
            reverse=call.reverse,
            gate=call.gate,
            mask=call.mask,
            held=call.held is not None,
        )

    def gates(self) -> Array:
        """The gates (N, 4H), i f g o; with gate="binary", i, f and o are 0 or 1."""
        n, blocks, four, lanes = self.packed_gates.shape
        units = self.weight_hh.shape[1]
        by_gate = self.packed_gates.transpose(0, 2, 1, 3).reshape(n, four, blocks * lanes)[:, :, :units]
        # A copy: with some layouts this is a view, and the backward pass overwrites its array.
        gates = by_gate.reshape(n, 4 * units).copy()
        if self.gate == "sigmoid":
            return gates
        from gatewise.cell import applied_gates

        return applied_gates(gates, self.gate)

    def copy(self) -> SavedActivations:
        """A copy for a backward pass that leaves this object as it is."""
        return replace(self, packed_gates=self.packed_gates.copy())
