"""Mutants: kernels that are wrong, each in one realistic way, and the checks that must reject them.

Several are bugs of released libraries: h0 and c0 swapped at a call, dW with h_t instead of h_{t-1}.

A mutant with one hook of `Mutant` is a function here, one with several a class. Not every check that would notice is
named, but enough that each check is seen to fail: test_suite.py counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.kernels.interface import Backward, Forward, LSTMCall, Projected, SavedActivations
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


Call = LSTMCall[Any]
MUTANTS: dict[type[Mutant], tuple[str, ...]] = {}


def rejected(by: str) -> Callable[[type[Mutant]], type[Mutant]]:
    """The class is a mutant that these checks must reject."""

    def listed(mutant: type[Mutant]) -> type[Mutant]:
        MUTANTS[mutant] = tuple(by.split())
        return mutant

    return listed


def mutant(hook: str, by: str) -> Callable[[Callable[..., Any]], type[Mutant]]:
    """The function is this hook of a mutant that these checks must reject."""

    def made(function: Callable[..., Any]) -> type[Mutant]:
        return rejected(by)(type(function.__name__, (Mutant,), {hook: function, "__doc__": function.__doc__}))

    return made


def _by_row(dpre: Array, saved: SavedActivations) -> Array:
    if saved.index is None:
        return dpre
    out = np.zeros((saved.pre_rows, dpre.shape[1]), dpre.dtype)
    np.add.at(out, saved.index, dpre)
    return out


@mutant("before", by="forward torch_module unrolled chunks")
def states_swapped(self: Mutant, call: Call) -> Call:
    """h0 and c0 the wrong way round."""
    return replace(call, h0=call.c0, c0=call.h0)


@mutant("gradients", by="gradients differences torch_module long")
def weight_gradient_one_step_late(self: Mutant, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
    """dW with h_t where h_{t-1} belongs."""
    return back._replace(dweight_hh=self.by_step(saved, *given).T @ saved.h)


@rejected(by="repeatable gradients")
class GradientPilesUp(Mutant):
    """dW of the call before is still in the buffer."""

    last: Any = 0

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        if np.shape(self.last) == back.dweight_hh.shape:
            back = back._replace(dweight_hh=back.dweight_hh + self.last)
        self.last = back.dweight_hh
        return back


@mutant("gradients", by="gradients each_gradient_alone chunks torch_module")
def last_cell_gradient_ignored(self: Mutant, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
    """dc_T is not looked at."""
    dh, dh_T, dc_T, dc = given
    return Reference.backward(self, saved, dh, dh_T, 0 * dc_T, dc)


@mutant("gradients", by="gradients differences empty")
def unused_rows_left_over(self: Mutant, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
    """Rows of dpre that no step takes are not set to zero."""
    if saved.index is not None:
        back.dpre[np.setdiff1d(np.arange(saved.pre_rows), saved.index)] = 1e-3
    return back


@mutant("gradients", by="unrolled")
def binary_gradient_stops(self: Mutant, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
    """The step of a binary gate lets no gradient through (its true derivative)."""
    if saved.gate == "sigmoid":
        return back
    dpre = self.by_step(saved, *given)
    units = dpre.shape[1] // 4
    dpre[:, : 2 * units] = dpre[:, 3 * units :] = 0
    return back._replace(dpre=_by_row(dpre, saved))


@rejected(by="keep")
class KeepMatters(Mutant):
    """Without saved activations the last state is not written."""

    def forward(self, call: Call, *, keep: bool = True) -> Forward:
        run = super().forward(call, keep=keep)
        return run if keep else run._replace(c_T=call.c0.copy())


@mutant("gradients", by="none_is_zeros each_gradient_alone")
def none_is_ones(self: Mutant, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
    """A gradient that is None is taken from memory that happens to hold ones."""
    dh, dh_T, dc_T, dc = given
    ones = np.ones_like(saved.h)
    return Reference.backward(self, saved, ones if dh is None else dh, dh_T, dc_T, ones if dc is None else dc)


@rejected(by="saved")
class SavedInAnotherOrder(Mutant):
    """The saved gates have i and f exchanged, and backward accounts for it: only `gates()` is wrong."""

    def after(self, run: Forward, call: Call) -> Forward:
        return run._replace(saved=self._exchanged(run.saved)) if run.saved else run

    def backward(self, saved: SavedActivations, dh: Any, dh_T: Any, dc_T: Any, dc: Any = None) -> Backward:
        return super().backward(self._exchanged(saved), dh, dh_T, dc_T, dc)

    def _exchanged(self, saved: SavedActivations) -> SavedActivations:
        return replace(saved, packed_gates=np.ascontiguousarray(saved.packed_gates[:, :, [1, 0, 2, 3]]))


@mutant("before", by="batch_composition forward")
def neighbours_leak(self: Mutant, call: Call) -> Call:
    """A sequence's start is mixed with its neighbour's in the batch."""
    return replace(call, h0=call.h0 + np.roll(call.h0, 1, axis=0) * np.float32(1e-2))


@mutant("after", by="saturated")
def overflows(self: Mutant, run: Forward, call: Call) -> Forward:
    """A sigmoid that goes by way of exp(x) / (1 + exp(x))."""
    big = np.exp(np.abs(call.pre).max(initial=0))
    return run._replace(h=run.h * (big / big))


@mutant("after", by="long")
def errors_build_up(self: Mutant, run: Forward, call: Call) -> Forward:
    """Each step is off by a tenth of what is allowed, always to the same side."""
    return run._replace(h=run.h * (1 + 1e-6 * np.arange(len(run.h), dtype=run.h.dtype)[:, None]))


@mutant("before", by="nan")
def nan_swallowed(self: Mutant, call: Call) -> Call:
    """NaN in, a number out."""
    return replace(call, pre=np.nan_to_num(call.pre, posinf=np.inf, neginf=-np.inf))


@mutant("after", by="nan")
def nan_spreads(self: Mutant, run: Forward, call: Call) -> Forward:
    """A NaN in one sequence reaches the others."""
    return run._replace(h=run.h + 0 * np.nan_to_num(call.pre, nan=np.nan, posinf=0, neginf=0).sum())


@mutant("after", by="empty forward")
def empty_sequence_loses_state(self: Mutant, run: Forward, call: Call) -> Forward:
    """A sequence without steps ends in zeros."""
    run.h_T[call.lengths == 0] = 0
    return run


@mutant("after", by="repeatable")
def writes_its_inputs(self: Mutant, run: Forward, call: Call) -> Forward:
    """The initial state is used as the running state."""
    call.h0[:] = run.h_T
    return run


@mutant("gradients", by="repeatable")
def writes_over_its_gradients(self: Mutant, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
    """The gradient it was given for h_T is used as the running one, and handed out."""
    given[1][:] = back.dh0
    return back._replace(dh0=given[1])


@mutant("before", by="wrong_arguments")
def trusts_its_arguments(self: Mutant, call: Call) -> Call:
    """Indices that point outside wrap round, other types are converted: nothing is refused."""
    if call.index is None:
        return call
    return replace(call, index=(call.index % max(len(call.pre), 1)).astype(np.int32))


@mutant("after", by="interface")
def saved_in_double(self: Mutant, run: Forward, call: Call) -> Forward:
    """The saved gates are float64 for every dtype of the batch."""
    wide = replace(run.saved, packed_gates=run.saved.packed_gates.astype(np.float64)) if run.saved else None
    return run._replace(saved=wide)


@rejected(by="mask mask_arguments")
class MaskForgotten(Mutant):
    """Forward drops, backward goes through the weights as if nothing had been dropped."""

    def backward(self, saved: SavedActivations, dh: Any, dh_T: Any, dc_T: Any, dc: Any = None) -> Backward:
        return Reference.backward(self, replace(saved, mask=None), dh, dh_T, dc_T, dc)


@mutant("before", by="mask mask_of_ones")
def mask_scaled(self: Mutant, call: Call) -> Call:
    """The mask is taken for a mask of zeros and ones, and what it keeps is scaled up once more."""
    return call if call.mask is None else replace(call, mask=call.mask * 2)


@rejected(by="project project_backward")
class ProjectedWithoutBias(Mutant):
    """The bias is left out, and its gradient is the mean over the rows."""

    def project(self, x: Array, weight_ih: Array, bias: Array) -> Array:
        return super().project(x, weight_ih, 0 * bias)

    def project_backward(self, x: Array, weight_ih: Array, dpre: Array, *, with_dx: bool = True) -> Projected:
        dx, dweight_ih, dbias = super().project_backward(x, weight_ih, dpre, with_dx=with_dx)
        return dx, dweight_ih, dbias / max(len(x), 1)


@mutant("project", by="project_arguments project")
def projects_anything(self: Mutant, x: Array, weight_ih: Array, bias: Array) -> Array:
    """Shapes that NumPy can broadcast are taken."""
    out: Array = x[:, : weight_ih.shape[-1]] @ np.atleast_2d(weight_ih)[:, : x.shape[1]].T + bias.sum()
    return out
