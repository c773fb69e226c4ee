"""The second rung: the recurrence in C++ (src/native/), float32, on all cores that the process may use.

    GATEWISE_ISA       instruction set: v4 (AVX-512), v3 (AVX2 and FMA), neon, portable; default: the best one here.
                       In bfloat16 amx (tile registers) or v4
    GATEWISE_THREADS   threads; default: as many as the process may use, by affinity and by its control group's quota

With the same instruction set and number of threads, results are the same bits from run to run. Another number of
threads changes the order in which the weights' gradients are summed (dweight_hh, dweight_ih, dbias), and nothing else.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

from gatewise.errors import InputError, KernelUnavailable, quote
from gatewise.kernels.interface import Backward, Forward, Index, Interpolation, Lengths, Projected, SavedActivations
from gatewise.kernels.packed import packed_weights
from gatewise.kernels.threads import MOST_THREADS, threads
from gatewise.kernels.validation import check_backward, check_forward, check_project, check_saved
from gatewise.types import Array, Gate

__all__ = [
    "ISAS",
    "Native",
    "Precision",
    "bf16_unavailable_reason",
    "imported",
    "isa",
    "isas",
    "isas_bf16",
    "threads",
    "unavailable_reason",
]

Precision = Literal["float32", "bf16"]

ISAS = ("v4", "v3", "neon", "portable")  # every instruction set that there is a build for, best first
ISAS_BF16 = ("amx", "v4")  # those of them, and AMX's tile registers, that multiply in bfloat16, best first
_MOST_STEPS = 2**31 - 1  # rows are numbered in 32 bits


class Native:
    """The C++ kernel. None for `isa` or `threads` stands for what the environment and the machine say at each call.

    precision "bf16": what the matrix products multiply (h_{t-1}, x, the weights, the gates' gradients) is rounded to
    bfloat16, 8 bits; sums, gates, c, h and all that comes out stay float32. Raises KernelUnavailable where the
    processor has no instructions for it.
    """

    dtypes = ("float32",)
    consumes_saved = True

    def __init__(self, *, isa: str | None = None, threads: int | None = None, precision: Precision = "float32") -> None:
        if precision not in ("float32", "bf16"):
            raise InputError(f"precision must be 'float32' or 'bf16', not {quote(precision)}")
        if precision == "bf16":
            isa = _bf16(isa)
        elif isa is not None:
            _check_isa(isa, "isa")
        if threads is not None and not 1 <= threads <= MOST_THREADS:
            raise InputError(f"threads must be from 1 to {MOST_THREADS}, not {threads}")
        self.name = "native" if precision == "float32" else precision
        self._isa = isa
        self._threads = threads

    def lanes(self, units: int) -> int:
        lanes: int = _extension().lanes(self._isa or isa())
        return lanes

    def project(self, x: Array, weight_ih: Array, bias: Array) -> Array:
        extension = _extension()
        check_project(self, x, weight_ih, bias, None)
        pre: Array = extension.linear(self._isa or isa(), self._threads or threads(), x, weight_ih, bias)
        return pre

    def project_backward(self, x: Array, weight_ih: Array, dpre: Array, *, with_dx: bool = True) -> Projected:
        extension = _extension()
        check_project(self, x, weight_ih, None, dpre)
        name, count = self._isa or isa(), self._threads or threads()
        return Projected(*extension.linear_backward(name, count, x, weight_ih, dpre, with_dx))

    def forward(
        self,
        pre: Array,
        index: Index | None,
        lengths: Lengths,
        weight_hh: Array,
        h0: Array,
        c0: Array,
        *,
        reverse: bool = False,
        gate: Gate = "sigmoid",
        keep: bool = True,
        mask: Array | None = None,
        drawn: Interpolation | None = None,
    ) -> Forward:
        extension = _extension()
        check_forward(self, pre, index, lengths, weight_hh, h0, c0, gate, mask, drawn)
        lengths = lengths if lengths.flags.c_contiguous else lengths.copy()
        index = index if index is None or index.flags.c_contiguous else index.copy()
        steps = int(lengths.sum())
        if steps > _MOST_STEPS:
            raise InputError(f"lengths: {steps} steps in one batch; the native kernel takes at most {_MOST_STEPS}")
        name = self._isa or isa()
        h, h_T, c_T, c, gates = extension.forward(
            name,
            self._threads or threads(),
            pre,
            index,
            lengths,
            weight_hh,
            h0,
            c0,
            mask,
            steps,
            reverse,
            gate == "binary",
            keep,
            packed_weights(extension, name, weight_hh),
            None if drawn is None else drawn.base,
            None if drawn is None else drawn.along,
        )
        saved = (
            SavedActivations(len(pre), index, lengths, weight_hh, h0, c0, h, c, gates, reverse, gate, mask)
            if keep
            else None
        )
        return Forward(h, h_T, c_T, saved)

    def backward(
        self,
        saved: SavedActivations,
        dh: Array | None,
        dh_T: Array,
        dc_T: Array,
        dc: Array | None = None,
        *,
        with_dweight: bool = True,
    ) -> Backward:
        """As the contract says. It writes over the tape's gates and then makes that array read-only: a second backward
        over the same tape raises InputError.
        """
        extension = _extension()
        check_backward(self, saved, dh, dh_T, dc_T, dc)
        name = self._isa or isa()
        check_saved(saved, name, extension.lanes(name))
        gradients = extension.backward(
            name,
            self._threads or threads(),
            saved.packed_gates,
            saved.index,
            saved.lengths,
            saved.weight_hh,
            saved.h0,
            saved.c0,
            saved.mask,
            saved.h,
            saved.c,
            dh,
            dc,
            dh_T,
            dc_T,
            saved.pre_rows,
            saved.reverse,
            saved.gate == "binary",
            with_dweight,
        )
        saved.packed_gates.flags.writeable = False
        return Backward(*gradients)


def unavailable_reason() -> str | None:
    """Why the native kernel cannot run here, or None if it can."""
    extension, reason = imported()
    if extension is None:
        return reason
    forced = os.environ.get("GATEWISE_ISA")
    if forced and forced not in extension.isas():
        return _no_such_isa(forced, "GATEWISE_ISA")
    return None


def bf16_unavailable_reason() -> str | None:
    """Why the kernel cannot multiply in bfloat16 here, or None if it can."""
    extension, reason = imported()
    if extension is None:
        return reason
    return None if isas_bf16() else "this processor has no AVX512_BF16 instructions"


def _bf16(isa: str | None) -> str:
    """The build of the kernel for bfloat16: the best here, or that of `isa` or GATEWISE_ISA. Raises KernelUnavailable
    where it cannot run, or there is none.
    """
    forced = isa or os.environ.get("GATEWISE_ISA")
    if forced and forced not in ISAS_BF16:
        raise KernelUnavailable(f"precision 'bf16' has builds for {' and '.join(ISAS_BF16)}, not for {quote(forced)}")
    reason = bf16_unavailable_reason()
    if reason is not None:
        raise KernelUnavailable(f"precision 'bf16' cannot run here: {reason}")
    chosen = forced or isas_bf16()[0]
    if chosen not in isas_bf16():
        raise KernelUnavailable(f"precision 'bf16' cannot run here on {chosen}: it can on {', '.join(isas_bf16())}")
    return f"{chosen}_bf16"


def isas() -> tuple[str, ...]:
    """The instruction sets that can run here, best first; empty where the extension is missing."""
    extension, _ = imported()
    return () if extension is None else tuple(extension.isas())


def isas_bf16() -> tuple[str, ...]:
    """The instruction sets that can multiply in bfloat16 here, best first: of "amx" and "v4"."""
    extension, _ = imported()
    return () if extension is None else tuple(build.removesuffix("_bf16") for build in extension.bf16())


def isa() -> str:
    """The instruction set in use: GATEWISE_ISA, or the best one here. Raises KernelUnavailable with the reason."""
    forced = os.environ.get("GATEWISE_ISA")
    if not forced:
        best: str = _best()
        return best
    _check_isa(forced, "GATEWISE_ISA")
    return forced


@cache
def imported() -> tuple[ModuleType | None, str]:
    """The C++ extension, or None and why it is not there."""
    try:
        _native = import_module("gatewise.kernels._native")
    except ImportError as error:
        return None, f"the C++ extension is not installed or does not load: {error}"
    return _native, ""


def _extension() -> Any:
    extension, reason = imported()
    if extension is None:
        raise KernelUnavailable(f"kernel 'native' cannot run here: {reason}")
    return extension


@cache
def _best() -> str:
    best: str = _extension().isas()[0]
    return best


def _check_isa(name: str, what: str) -> None:
    if name not in _extension().isas():
        raise KernelUnavailable(_no_such_isa(name, what))


def _no_such_isa(name: str, what: str) -> str:
    known = "this machine cannot run it" if name in ISAS else "there is none of that name"
    return f"{what} is {quote(name)}: {known}; it can be {', '.join(isas())}"
