"""The native kernel: the recurrence in C++ (src/native/), float32 or bfloat16 products, on all permitted cores.

    GATEWISE_ISA       instruction set: avx512, avx2 (with FMA), neon, portable; default: the best one here.
                       In bfloat16 amx (tile registers) or avx512; with amx, float32 takes the best one here
    GATEWISE_THREADS   threads; default: as many as affinity and the control group's quota allow, but at most
                       OMP_NUM_THREADS

With equal instruction set and number of threads, results are bit-equal from run to run. The number of threads changes
only the order in which the gradients of the weights are summed (dweight_hh, dweight_ih, dbias).
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from copy import copy
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.errors import InputError, KernelUnavailable, quote
from gatewise.kernels.call import Forward, LSTMCall
from gatewise.kernels.threads import MOST_THREADS, threads
from gatewise.system.processes import trim_memory
from gatewise.types import Array, Gate, Precision

if TYPE_CHECKING:
    from gatewise.kernels.interface import Backward, Projected, Stepper
    from gatewise.kernels.saved_activations import SavedActivations

ISAS = ("avx512", "avx2", "neon", "portable")  # the instruction sets with a build, best first
ISAS_BF16 = ("amx", "avx512")  # with bfloat16 products, best first
_VERSION = 4  # of the functions of the extension, as in src/native/bind.cpp: one more where one of them changes
_CACHE_LIMIT = 1 << 30  # bytes, as in src/native/arena.cpp
_BINARY = {"sigmoid": False, "binary": True}
# The extension checks each array itself, and refuses it with one of these. The checks of `kernels.interface` then name
# what does not fit; before each call they would take a tenth of the time of one short text.
_REFUSED = (TypeError, ValueError, KeyError)


class Native:
    """The C++ kernel. None for `isa`: the environment and the machine decide now; for `threads`: at each call.

    precision "bf16": the operands of the matrix products (h_{t-1}, x, the weights, the gradients of the gates) are
    rounded to bfloat16, 8 bits; sums, gates, c, h and all results stay float32. Raises KernelUnavailable, with the
    reason, where it cannot run here.
    """

    dtypes: tuple[str, ...] = ("float32",)
    consumes_saved = True

    def __init__(self, *, isa: str | None = None, threads: int | None = None, precision: Precision = "float32") -> None:
        if precision not in ("float32", "bf16"):
            raise InputError(f"precision must be 'float32' or 'bf16', not {quote(precision)}")
        if threads is not None and not 1 <= threads <= MOST_THREADS:
            raise InputError(f"threads must be from 1 to {MOST_THREADS}, not {threads}")
        self.name: str = "native" if precision == "float32" else precision
        self._isa = bf16_isa(isa) if precision == "bf16" else float32_isa(isa)
        self._threads = threads

    def with_threads(self, count: int) -> Native:
        kernel = copy(self)
        kernel._threads = count
        return kernel

    def lanes(self, units: int) -> int:
        return int(_extension().lanes(self._isa))

    def project(self, x: Array, weight_ih: Array, bias: Array) -> Array:
        try:
            packed = _packed("pack_linear", self._isa, weight_ih)
            pre: Array = _extension().linear(self._isa, self._threads or threads(), x, weight_ih, bias, packed)
        except _REFUSED as error:
            from gatewise.kernels.interface import check_project

            check_project(self, x, weight_ih, bias, None)
            raise InputError(str(error)) from error
        return pre

    def project_backward(self, x: Array, weight_ih: Array, dpre: Array, *, with_dx: bool = True) -> Projected:
        from gatewise.kernels.interface import check_project

        check_project(self, x, weight_ih, None, dpre)
        where = self._isa, self._threads or threads()
        found: Projected = _extension().linear_backward(*where, x, weight_ih, dpre, with_dx)
        return found

    def forward(self, call: LSTMCall[Array], *, keep: bool = True) -> Forward:
        where = self._isa, self._threads or threads()
        arrays = call.pre, call.index, call.lengths, call.weight_hh, call.h0, call.c0, call.mask
        try:
            how = len(call.pre if call.index is None else call.index), call.reverse, _BINARY[call.gate], keep
            more = _packed("pack", self._isa, call.weight_hh), *(call.interpolation or (None, None))
            h, h_T, c_T, c, gates = _extension().forward(*where, *arrays, *how, *more, *(call.held or ()))
        except _REFUSED as error:
            from gatewise.kernels.interface import check_run

            check_run(self, call)
            raise InputError(str(error)) from error
        if not keep:
            return Forward(h, h_T, c_T)
        from gatewise.kernels.saved_activations import SavedActivations  # a prediction keeps none

        return Forward(h, h_T, c_T, SavedActivations.of(call, h, c, gates), c)

    def stepper(self, weight_ih: Array, weight_hh: Array, bias: Array, gate: Gate) -> Stepper:
        """As `Kernel.stepper`: it copies the weights, and each step is bit-equal to `project` and `forward`."""
        step: Stepper = _extension().Stepper(self._isa, weight_ih, weight_hh, bias, gate == "binary")
        return step

    def dense(self, weight: Array, bias: Array) -> Callable[[Array], Array]:
        """As `Kernel.dense`. The extension checks each x; the checks of `project` take longer than the product."""
        linear = _extension().linear
        return lambda x: linear(self._isa, 1, x, weight, bias)

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
        """As `Kernel.backward`. It overwrites `saved.packed_gates` and then makes that array read-only: a second pass
        over the same activations raises InputError.
        """
        from gatewise.kernels.interface import Backward, check_backward

        check_backward(self, saved, dh, dh_T, dc_T, dc)
        where = self._isa, self._threads or threads()
        run = saved.packed_gates, saved.index, saved.lengths, saved.weight_hh
        states = saved.h0, saved.c0, saved.mask, saved.h, saved.c
        how = saved.pre_rows, saved.reverse, saved.gate == "binary", with_dweight
        gradients = _extension().backward(*where, *run, *states, dh, dc, dh_T, dc_T, *how)
        saved.packed_gates.flags.writeable = False
        return Backward(*gradients)


def fastest_precision() -> Precision:
    """The precision in which the kernel is fastest here; a recipe's "auto".

    "bf16" with AMX tile registers, and with AVX-512 where the processor gains from it; "float32" otherwise, and where
    GATEWISE_ISA names an instruction set without bfloat16.
    """
    here = isas_bf16()
    build = os.environ.get("GATEWISE_ISA") or (here[0] if here else "")
    if build not in here:
        return "float32"
    return "bf16" if build == "amx" or _extension().vector_bf16_pays() else "float32"


def bf16_isa(isa: str | None = None) -> str:
    """The bfloat16 build to use: that of `isa`, of GATEWISE_ISA, or the best one here. Raises KernelUnavailable where
    it cannot run or does not exist.
    """
    forced = isa or os.environ.get("GATEWISE_ISA")
    if forced and forced not in ISAS_BF16:
        raise KernelUnavailable(f"precision 'bf16' has builds for {' and '.join(ISAS_BF16)}, not for {quote(forced)}")
    here = isas_bf16() if _extension() else ()
    if not here:
        raise KernelUnavailable("this processor has no AVX512_BF16 instructions")
    chosen = forced or here[0]
    if chosen not in here:
        raise KernelUnavailable(f"precision 'bf16' cannot run here on {chosen}: it can on {', '.join(here)}")
    return f"{chosen}_bf16"


def isas() -> tuple[str, ...]:
    """The instruction sets that can run here, best first; empty where the extension is missing."""
    extension, _ = imported()
    return () if extension is None else tuple(extension.isas())


def isas_bf16() -> tuple[str, ...]:
    """The instruction sets that can multiply in bfloat16 here, best first: of "amx" and "avx512"."""
    extension, _ = imported()
    return () if extension is None else tuple(build.removesuffix("_bf16") for build in extension.bf16())


def float32_isa(isa: str | None = None) -> str:
    """The instruction set to use for float32: `isa`, GATEWISE_ISA, or the best one here, also where GATEWISE_ISA is
    "amx", which has bfloat16 products alone. Raises KernelUnavailable with the reason.
    """
    forced, here = isa or os.environ.get("GATEWISE_ISA"), _extension().isas()
    if not forced or (not isa and forced not in ISAS and forced in isas_bf16()):
        return str(here[0])
    if forced not in here:
        what = "this machine cannot run it" if forced in (*ISAS, *ISAS_BF16) else "unknown instruction set"
        by = "isa" if isa else "GATEWISE_ISA"
        raise KernelUnavailable(f"{by} is {quote(forced)}: {what}; available: {', '.join(here)}")
    return forced


def squared_hinge(
    starts: Array, columns: Array, values: Array, sign: Array, cost: Array, features: int, max_passes: int, tol: float
) -> tuple[Array, float] | None:
    """Weights (features,) float64 and bias of a support vector machine (src/native/dual.h); None without the extension.

    starts (n + 1,), columns int32 and values float32: a CSR matrix of n rows. sign (n,) float32: 1 or -1. cost (n,)
    float64.
    """
    extension, _ = imported()
    if extension is None:
        return None
    w = np.zeros(features)
    bias: float = extension.fit_squared_hinge(starts, columns, values, sign, cost, max_passes, tol, w)
    return w, bias


def return_unused_memory() -> None:
    """Return to the system the memory that the extension and the C library keep for later arrays."""
    extension, _ = imported()
    if extension is not None:
        extension.set_cache_limit(0)
        extension.set_cache_limit(_CACHE_LIMIT)
    trim_memory()


@cache
def imported() -> tuple[ModuleType | None, str]:
    """The C++ extension, or None and the reason."""
    try:
        _native = import_module("gatewise.kernels._native")
    except ImportError as error:
        return None, f"the C++ extension is not installed or does not load: {error}"
    if getattr(_native, "version", int)() != _VERSION:
        return None, "the C++ extension is that of another version: install gatewise again"
    return _native, ""


def _extension() -> Any:
    extension, reason = imported()
    if extension is None:
        raise KernelUnavailable(reason)
    return extension


def read_only(array: Array) -> Array:
    """The array made read-only if it owns its memory, so that a large one is not copied once more; else a copy."""
    array = array if array.base is None else array.copy()
    array.flags.writeable = False
    return array


_packed_weights: dict[tuple[int, str, str], tuple[weakref.ref[Array], Array]] = {}


def _packed(pack: str, isa: str, weight: Array) -> Array | None:
    """Read-only weights in the order in which the kernel reads them, packed once by this function of the extension;
    None for writeable ones.

    Packing costs as much as about twenty steps of one sequence, which a model that predicts single texts would pay at
    every call.
    """
    if weight.flags.writeable or weight.base is not None:  # the base of a view may be writeable
        return None
    key = id(weight), isa, pack
    found = _packed_weights.get(key)
    if found is not None and found[0]() is weight:
        return found[1]
    packed: Array = getattr(_extension(), pack)(isa, weight)
    _packed_weights[key] = weakref.ref(weight, lambda _: _packed_weights.pop(key, None)), packed
    return packed
