"""What every mutant is made from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gatewise.kernels.interface import Backward, Forward, LSTMCall, SavedActivations
from gatewise.kernels.reference import Reference
from gatewise.types import Array


class Mutant(Reference):
    """The reference, with one of the hooks below made wrong."""

    def forward(self, call: LSTMCall[Any], *, keep: bool = True) -> Forward:
        return self.after(super().forward(self.before(call), keep=keep), call)

    def backward(self, saved: SavedActivations, dh: Any, dh_T: Any, dc_T: Any, dc: Any = None) -> Backward:
        return self.gradients(super().backward(saved, dh, dh_T, dc_T, dc), saved, dh, dh_T, dc_T, dc)

    def before(self, call: LSTMCall[Any]) -> LSTMCall[Any]:
        return call

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        return run

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        return back

    def by_step(self, saved: SavedActivations, *given: Any) -> Array:
        """The true dpre of every step (N, 4H), before steps that share a row of pre are added up."""
        return Reference.backward(self, replace(saved, index=None, pre_rows=len(saved.h)), *given).dpre
