"""Mutants: kernels that are wrong, each in one realistic way, and the checks that must reject them.

Several are bugs of released libraries: h0 and c0 swapped at a call, a backward loop that stops before t = 0, dW with
h_t instead of h_{t-1}, gradients added to an array that does not start at zero, only the first row of a batch computed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from gatewise.kernels.interface import Backward, Forward, LSTMCall, SavedActivations
from gatewise.kernels.ragged import starts_of
from gatewise.kernels.reference import Reference
from gatewise.types import Array, Lengths
from tests.kernels.base import Mutant
from tests.kernels.products import (
    InitialStateNotDropped,
    MaskForgotten,
    MaskScaled,
    ProjectedWithoutBias,
    ProjectsAnything,
)


def _last_rows(lengths: Lengths) -> Array:
    """Row of each sequence's last step (B,); -1 for an empty first sequence."""
    return starts_of(lengths) + lengths - 1


def _reversed_rows(lengths: Lengths) -> Array:
    """Row order (N,) that reverses each sequence in place."""
    starts = starts_of(lengths).tolist()
    return np.concatenate(
        [starts_of([]), *(np.arange(a, a + n)[::-1] for a, n in zip(starts, lengths.tolist(), strict=True))]
    )


def _by_row(dpre: Array, saved: SavedActivations) -> Array:
    if saved.index is None:
        return dpre
    out = np.zeros((saved.pre_rows, dpre.shape[1]), dpre.dtype)
    np.add.at(out, saved.index, dpre)
    return out


def _swapped(array: Array, one: int, other: int) -> Array:
    """A copy with two of the four gate blocks of its first axis (4H, ...) exchanged."""
    order = [0, 1, 2, 3]
    order[one], order[other] = other, one
    return np.concatenate([np.split(array, 4)[n] for n in order])


class StatesSwapped(Mutant):
    """h0 and c0 the wrong way round."""

    def before(self, call: LSTMCall[Any]) -> LSTMCall[Any]:
        return replace(call, h0=call.c0, c0=call.h0)


class GatesSwapped(Mutant):
    """Input gate and output gate exchanged."""

    def before(self, call: LSTMCall[Any]) -> LSTMCall[Any]:
        pre = np.ascontiguousarray(_swapped(call.pre.T, 0, 3).T)
        return replace(call, pre=pre, weight_hh=_swapped(call.weight_hh, 0, 3))


class FirstStepSkipped(Mutant):
    """Backward stops before t = 0."""

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        dpre = self.by_step(saved, *given)
        full = np.flatnonzero(saved.lengths)
        first = (_last_rows(saved.lengths) if saved.reverse else starts_of(saved.lengths))[full]
        dweight_hh = back.dweight_hh - dpre[first].T @ saved.h0[full]
        dpre[first] = 0
        return back._replace(dpre=_by_row(dpre, saved), dweight_hh=dweight_hh)


class WeightGradientOneStepLate(Mutant):
    """dW with h_t where h_{t-1} belongs."""

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        return back._replace(dweight_hh=self.by_step(saved, *given).T @ saved.h)


class GradientNotFromZero(Mutant):
    """dW is added to the array that held W."""

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        return back._replace(dweight_hh=back.dweight_hh + saved.weight_hh)


class GradientPilesUp(Mutant):
    """dW of the call before is still in the buffer."""

    last: Any = 0

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        if np.shape(self.last) == back.dweight_hh.shape:
            back = back._replace(dweight_hh=back.dweight_hh + self.last)
        self.last = back.dweight_hh
        return back


class OnlyFirstSequence(Mutant):
    """Zeros for every sequence but the first."""

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        run.h[int(call.lengths[:1].sum()) :] = 0
        run.h_T[1:] = run.c_T[1:] = 0
        return run


class AllZeros(Mutant):
    """Nothing is computed at all."""

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        for array in run[:3]:
            array[:] = 0
        return run

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        return Backward(*(np.zeros_like(array) for array in back))


class OneStepShort(Mutant):
    """The last step of every sequence is left out."""

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        back = 1 if call.reverse else -1
        for b in np.flatnonzero(call.lengths > 1):
            last = (starts_of if call.reverse else _last_rows)(call.lengths)[b]
            run.h[last], run.h_T[b] = 0, run.h[last + back]
        return run


class ReverseIgnored(Mutant):
    """Forwards, whatever was asked for."""

    def before(self, call: LSTMCall[Any]) -> LSTMCall[Any]:
        return replace(call, reverse=False)


class WholeArrayReversed(Mutant):
    """Rows go the right way, but results stay in the order of the walk."""

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        return run._replace(h=run.h[_reversed_rows(call.lengths)]) if call.reverse else run


class CellGradientIgnored(Mutant):
    """dc of every step is not looked at."""

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        return Reference.backward(self, saved, *given[:3])


class LastCellGradientIgnored(Mutant):
    """dc_T is not looked at."""

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        dh, dh_T, dc_T, dc = given
        return Reference.backward(self, saved, dh, dh_T, 0 * dc_T, dc)


class IndexOverwrites(Mutant):
    """Steps that share a row of pre overwrite each other's gradient instead of adding up."""

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        if saved.index is not None:
            back.dpre[saved.index] = self.by_step(saved, *given)
        return back


class UnusedRowsLeftOver(Mutant):
    """Rows of dpre that no step takes are not set to zero."""

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        if saved.index is not None:
            back.dpre[np.setdiff1d(np.arange(saved.pre_rows), saved.index)] = 1e-3
        return back


class HalfPrecision(Mutant):
    """Weights rounded to 11 bits on the way in."""

    def before(self, call: LSTMCall[Any]) -> LSTMCall[Any]:
        weight_hh = call.weight_hh
        with np.errstate(over="ignore"):
            return replace(call, weight_hh=weight_hh.astype(np.float16).astype(weight_hh.dtype))


class BinaryGradientStops(Mutant):
    """The step of a binary gate lets no gradient through (its true derivative)."""

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        if saved.gate == "sigmoid":
            return back
        dpre = self.by_step(saved, *given)
        units = dpre.shape[1] // 4
        dpre[:, : 2 * units] = dpre[:, 3 * units :] = 0
        return back._replace(dpre=_by_row(dpre, saved))


class KeepMatters(Mutant):
    """Without saved activations the last state is not written."""

    def forward(self, call: LSTMCall[Any], *, keep: bool = True) -> Forward:
        run = super().forward(call, keep=keep)
        return run if keep else run._replace(c_T=call.c0.copy())


class NoneIsOnes(Mutant):
    """A gradient that is None is taken from memory that happens to hold ones."""

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        dh, dh_T, dc_T, dc = given
        ones = np.ones_like(saved.h)
        return Reference.backward(self, saved, ones if dh is None else dh, dh_T, dc_T, ones if dc is None else dc)


class CellNotCarried(Mutant):
    """c_T is c of the first step, not of the last."""

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        return run._replace(c_T=call.c0 * 1)


class SavedInAnotherOrder(Mutant):
    """The saved gates have i and f exchanged, and backward accounts for it: only `gates()` is wrong."""

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        return run._replace(saved=self._exchanged(run.saved)) if run.saved else run

    def backward(self, saved: SavedActivations, dh: Any, dh_T: Any, dc_T: Any, dc: Any = None) -> Backward:
        return super().backward(self._exchanged(saved), dh, dh_T, dc_T, dc)

    def _exchanged(self, saved: SavedActivations) -> SavedActivations:
        return replace(saved, packed_gates=np.ascontiguousarray(saved.packed_gates[:, :, [1, 0, 2, 3]]))


class NeighboursLeak(Mutant):
    """A sequence's start is mixed with its neighbour's in the batch."""

    def before(self, call: LSTMCall[Any]) -> LSTMCall[Any]:
        return replace(call, h0=call.h0 + np.roll(call.h0, 1, axis=0) * np.float32(1e-2))


class Overflows(Mutant):
    """A sigmoid that goes by way of exp(x) / (1 + exp(x))."""

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        big = np.exp(np.abs(call.pre).max(initial=0))
        return run._replace(h=run.h * (big / big))


class ErrorsBuildUp(Mutant):
    """Each step is off by a tenth of what is allowed, always to the same side."""

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        if len(run.h):
            drift = 1 + 1e-6 * np.arange(len(run.h), dtype=run.h.dtype)[:, None]
            return run._replace(h=run.h * drift)
        return run


class NanSwallowed(Mutant):
    """NaN in, a number out."""

    def before(self, call: LSTMCall[Any]) -> LSTMCall[Any]:
        return replace(call, pre=np.nan_to_num(call.pre, posinf=np.inf, neginf=-np.inf))


class NanSpreads(Mutant):
    """A NaN in one sequence reaches the others."""

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        return run._replace(h=run.h + 0 * np.nan_to_num(call.pre, nan=np.nan, posinf=0, neginf=0).sum())


class EmptySequenceLosesState(Mutant):
    """A sequence without steps ends in zeros."""

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        run.h_T[call.lengths == 0] = 0
        return run


class WritesItsInputs(Mutant):
    """The initial state is used as the running state."""

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        call.h0[:] = run.h_T
        return run


class WritesOverItsGradients(Mutant):
    """The gradient it was given for h_T is used as the running one, and handed out."""

    def gradients(self, back: Backward, saved: SavedActivations, *given: Any) -> Backward:
        given[1][:] = back.dh0
        return back._replace(dh0=given[1])


class TrustsItsArguments(Mutant):
    """Indices that point outside wrap round, other types are converted: nothing is refused."""

    def before(self, call: LSTMCall[Any]) -> LSTMCall[Any]:
        index = call.index
        if index is not None:
            call = replace(call, index=(index % max(len(call.pre), 1)).astype(np.int32))
        return call


class SavedInDouble(Mutant):
    """The saved gates are float64 for every dtype of the batch."""

    def after(self, run: Forward, call: LSTMCall[Any]) -> Forward:
        wide = replace(run.saved, packed_gates=run.saved.packed_gates.astype(np.float64)) if run.saved else None
        return run._replace(saved=wide)


class Rejected(NamedTuple):
    mutant: type[Mutant]
    by: tuple[str, ...]


# Not every check that would notice, but enough that each check is seen to fail: test_mutants.py counts.
MUTANTS = (
    Rejected(StatesSwapped, ("forward", "torch_module", "unrolled", "chunks")),
    Rejected(GatesSwapped, ("forward", "torch_module", "unrolled")),
    Rejected(FirstStepSkipped, ("gradients", "differences", "torch_module", "unrolled")),
    Rejected(WeightGradientOneStepLate, ("gradients", "differences", "torch_module", "long")),
    Rejected(GradientNotFromZero, ("gradients", "differences", "empty")),
    Rejected(GradientPilesUp, ("repeatable", "gradients")),
    Rejected(OnlyFirstSequence, ("forward", "batch_composition")),
    Rejected(AllZeros, ("forward", "gradients", "differences", "each_gradient_alone", "torch_module", "saturated")),
    Rejected(OneStepShort, ("forward", "torch_module", "unrolled")),
    Rejected(ReverseIgnored, ("forward", "gradients", "torch_module")),
    Rejected(WholeArrayReversed, ("forward", "saved", "chunks")),
    Rejected(CellGradientIgnored, ("gradients", "unrolled", "differences")),
    Rejected(LastCellGradientIgnored, ("gradients", "each_gradient_alone", "chunks", "torch_module")),
    Rejected(IndexOverwrites, ("gradients", "differences", "torch_module")),
    Rejected(UnusedRowsLeftOver, ("gradients", "differences", "empty")),
    Rejected(HalfPrecision, ("forward", "gradients", "torch_module", "long")),
    Rejected(BinaryGradientStops, ("unrolled",)),
    Rejected(KeepMatters, ("keep",)),
    Rejected(NoneIsOnes, ("none_is_zeros", "each_gradient_alone")),
    Rejected(CellNotCarried, ("chunks", "forward")),
    Rejected(SavedInAnotherOrder, ("saved",)),
    Rejected(NeighboursLeak, ("batch_composition", "forward")),
    Rejected(Overflows, ("saturated",)),
    Rejected(ErrorsBuildUp, ("long",)),
    Rejected(NanSwallowed, ("nan",)),
    Rejected(NanSpreads, ("nan",)),
    Rejected(EmptySequenceLosesState, ("empty", "forward")),
    Rejected(WritesItsInputs, ("repeatable",)),
    Rejected(WritesOverItsGradients, ("repeatable",)),
    Rejected(TrustsItsArguments, ("wrong_arguments",)),
    Rejected(SavedInDouble, ("interface",)),
    Rejected(ProjectedWithoutBias, ("project", "project_backward")),
    Rejected(ProjectsAnything, ("project_arguments", "project")),
    Rejected(MaskForgotten, ("mask", "mask_arguments")),
    Rejected(InitialStateNotDropped, ("mask",)),
    Rejected(MaskScaled, ("mask", "mask_of_ones")),
)
