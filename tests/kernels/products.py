"""Mutants of what enters the products: recurrent dropout's mask and the input product."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.kernels.interface import Backward, LSTMCall, Projected, SavedActivations
from gatewise.kernels.reference import Reference
from gatewise.types import Array
from tests.kernels.base import Mutant


class MaskForgotten(Mutant):
    """Forward drops, backward goes through the weights as if nothing had been dropped."""

    def backward(self, saved: SavedActivations, dh: Any, dh_T: Any, dc_T: Any, dc: Any = None) -> Backward:
        return Reference.backward(self, replace(saved, mask=None), dh, dh_T, dc_T, dc)


class InitialStateNotDropped(Mutant):
    """The mask acts on the h that the kernel computed, not on h0."""

    def before(self, call: LSTMCall[Any]) -> LSTMCall[Any]:
        mask = call.mask
        if mask is None:
            return call
        return replace(call, h0=np.divide(call.h0, mask, out=np.zeros_like(mask), where=mask != 0))


class MaskScaled(Mutant):
    """The mask is taken for a mask of zeros and ones, and what it keeps is scaled up once more."""

    def before(self, call: LSTMCall[Any]) -> LSTMCall[Any]:
        return call if call.mask is None else replace(call, mask=call.mask * 2)


class ProjectedWithoutBias(Mutant):
    """The bias is left out, and its gradient is the mean over the rows."""

    def project(self, x: Array, weight_ih: Array, bias: Array) -> Array:
        return super().project(x, weight_ih, 0 * bias)

    def project_backward(self, x: Array, weight_ih: Array, dpre: Array, *, with_dx: bool = True) -> Projected:
        back = super().project_backward(x, weight_ih, dpre, with_dx=with_dx)
        return back._replace(dbias=back.dbias / max(len(x), 1))


class ProjectsAnything(Mutant):
    """Shapes that NumPy can broadcast are taken."""

    def project(self, x: Array, weight_ih: Array, bias: Array) -> Array:
        out: Array = x[:, : weight_ih.shape[-1]] @ np.atleast_2d(weight_ih)[:, : x.shape[1]].T + bias.sum()
        return out
