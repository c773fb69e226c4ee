"""Mutants: kernels that are wrong, each in one realistic way, and the checks that must reject them.

Several are bugs of released libraries: h0 and c0 swapped at a call, dW with h_t instead of h_{t-1}.

Each is a function that replaces one method of `Mutant`; `rejected_by` names a check that must reject it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.kernels.call import Forward, LSTMCall
from gatewise.kernels.interface import Backward
from gatewise.kernels.reference import Reference
from gatewise.kernels.saved_activations import SavedActivations
from gatewise.ragged import starts_of
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
MUTANTS: dict[type[Mutant], str] = {}


def mutant(method: str, rejected_by: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The function is this method of a mutant that this check must reject."""

    def made(function: Callable[..., Any]) -> Callable[..., Any]:
        MUTANTS[type(function.__name__, (Mutant,), {method: function, "__doc__": function.__doc__})] = rejected_by
        return function

    return made


@mutant("before", rejected_by="forward")
def states_swapped(self: Mutant, call: Call) -> Call:
    """h0 and c0 the wrong way round."""
    return replace(call, h0=call.c0, c0=call.h0)


@mutant("before", rejected_by="forward")
def gates_swapped(self: Mutant, call: Call) -> Call:
    """i and o the wrong way round."""
    order = np.arange(len(call.weight_hh)).reshape(4, -1)[[3, 1, 2, 0]].ravel()
    return replace(call, pre=np.ascontiguousarray(call.pre[:, order]), weight_hh=call.weight_hh[order])


@mutant("after", rejected_by="forward")
def first_step_skipped(self: Mutant, run: Forward, call: Call) -> Forward:
    """The state after the first step is the one before it."""
    nonempty = call.lengths > 0
    run.h[starts_of(call.lengths)[nonempty]] = call.h0[nonempty]
    return run


@mutant("after", rejected_by="empty")
def empty_sequence_loses_state(self: Mutant, run: Forward, call: Call) -> Forward:
    """A sequence without steps ends in zeros."""
    run.h_T[call.lengths == 0] = 0
    return run


@mutant("gradients", rejected_by="gradients")
def weight_gradient_one_step_late(self: Mutant, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
    """dW with h_t where h_{t-1} belongs."""
    return back._replace(dweight_hh=self.by_step(saved, *given).T @ saved.h)


@mutant("gradients", rejected_by="repeatable")
def gradient_piles_up(self: Mutant, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
    """dW of the call before is still in the buffer."""
    last = getattr(self, "last", 0)
    if np.shape(last) == back.dweight_hh.shape:
        back = back._replace(dweight_hh=back.dweight_hh + last)
    self.last = back.dweight_hh  # type: ignore[attr-defined]
    return back


@mutant("gradients", rejected_by="each_gradient_alone")
def last_cell_gradient_ignored(self: Mutant, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
    """dc_T is not looked at."""
    dh, dh_T, dc_T, dc = given
    return Reference.backward(self, saved, dh, dh_T, 0 * dc_T, dc)


@mutant("gradients", rejected_by="mask")
def mask_forgotten(self: Mutant, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
    """Forward drops, backward goes through the weights as if nothing had been dropped."""
    return Reference.backward(self, replace(saved, mask=None), *given)


@mutant("after", rejected_by="repeatable")
def writes_its_inputs(self: Mutant, run: Forward, call: Call) -> Forward:
    """The initial state is used as the running state."""
    call.h0[:] = run.h_T
    return run


@mutant("before", rejected_by="wrong_arguments")
def trusts_its_arguments(self: Mutant, call: Call) -> Call:
    """Indices that point outside wrap round."""
    if call.index is None:
        return call
    return replace(call, index=(call.index % max(len(call.pre), 1)).astype(np.int32))


@mutant("project", rejected_by="project")
def projected_without_bias(self: Mutant, x: Array, weight_ih: Array, bias: Array) -> Array:
    """The bias is left out."""
    return Reference.project(self, x, weight_ih, 0 * bias)
