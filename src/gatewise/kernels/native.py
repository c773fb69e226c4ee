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
from copy import copy
from dataclasses import replace
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.errors import InputError, KernelUnavailable, quote
from gatewise.kernels.call import Forward, InputProduct, LinearRun, LSTMCall, LSTMRun
from gatewise.kernels.threads import MOST_THREADS, threads
from gatewise.system.processes import trim_memory
from gatewise.types import Array, Gate, Lengths, Precision

if TYPE_CHECKING:
    from gatewise.kernels.interface import Backward, InputGradients, Projected
    from gatewise.kernels.saved_activations import SavedActivations

ISAS = ("avx512", "avx2", "neon", "portable")  # the instruction sets with a build, best first
ISAS_BF16 = ("amx", "avx512")  # with bfloat16 products, best first
_VERSION = 5  # of the functions of the extension, as in src/native/bind.cpp: one more where one of them changes
_CACHE_LIMIT = 1 << 30  # bytes, as in src/native/arena.cpp
_BINARY = {"sigmoid": False, "binary": True}
# The extension checks each array itself, and refuses it with one of these exceptions. Then the checks of
# `kernels.interface` find the array that does not fit. Before each call they would take a tenth of the time of one
# short text.
_REFUSED = (TypeError, ValueError, KeyError)


class Native:
    """The C++ kernel. isa: the instruction set; None for that of the environment or the best one here, chosen now.
    threads: None for the number that `threads()` returns at each call.

    precision "bf16": the operands of the matrix products (h_{t-1}, x, the weights, the gradients of the gates) are
    rounded to bfloat16, 8 bits; sums, gates, c, h and all results stay float32. Raises KernelUnavailable, with the
    reason, where the kernel cannot run here.
    """

    dtypes: tuple[str, ...] = ("float32",)
    consumes_saved = True
    takes_input_product = True

    def __init__(self, *, isa: str | None = None, threads: int | None = None, precision: Precision = "float32") -> None:
        if precision not in ("float32", "bf16"):
            raise InputError(f"precision must be 'float32' or 'bf16', not {quote(precision)}")
        if threads is not None and not 1 <= threads <= MOST_THREADS:
            raise InputError(f"threads must be from 1 to {MOST_THREADS}, not {threads}")
        self.name: str
        if precision == "bf16":
            self.name = "bf16"
            self._isa = bf16_isa(isa)
        else:
            self.name = "native"
            self._isa = float32_isa(isa)
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
        gradients: Projected = _extension().linear_backward(
            self._isa, self._threads or threads(), x, weight_ih, dpre, with_dx
        )
        return gradients

    def forward(self, call: LSTMCall[Array], *, keep: bool = True) -> Forward:
        pre: Array | None = call.pre
        product: InputProduct | None = None
        inputs: tuple[Any, ...] = ()
        try:
            if isinstance(call.pre, InputProduct):
                pre = None
                product = call.pre
                packed_ih = _packed("pack_linear", self._isa, product.weight_ih)
                inputs = (*product, packed_ih, not call.last_only)
            base, alpha = call.interpolation or (None, None)
            h, h_T, c_T, c, gates = _extension().forward(
                self._isa,
                self._threads or threads(),
                pre,
                call.index,
                call.lengths,
                call.weight_hh,
                call.h0,
                call.c0,
                call.mask,
                _step_count(call),
                call.reverse,
                _BINARY[call.gate],
                keep,
                _packed("pack", self._isa, call.weight_hh),
                base,
                alpha,
                *(call.held or (None, None)),
                *inputs,
            )
        except _REFUSED as error:
            from gatewise.kernels.interface import check_run

            if product is not None:
                call = replace(call, pre=self.project(*product))
            check_run(self, call)
            raise InputError(str(error)) from error
        if not keep:
            return Forward(h, h_T, c_T)
        from gatewise.kernels.saved_activations import SavedActivations  # a prediction does not import it

        if product is not None:
            call = replace(call, pre=product.x)  # both have one row per step
        return Forward(h, h_T, c_T, SavedActivations.of(call, h, c, gates), c)

    def lstm(self, weight_ih: Array, weight_hh: Array, bias: Array, gate: Gate) -> LSTMRun:
        project = self.dense(weight_ih, bias)
        weight_hh = np.ascontiguousarray(weight_hh)
        packed = _packed_now("pack", self._isa, weight_hh)
        forward = _extension().forward
        isa = self._isa
        count = self._threads or threads()
        is_binary = _BINARY[gate]
        no_interpolation_or_gates = None, None, None, None

        def run(x: Array, lengths: Lengths, h0: Array, c0: Array) -> tuple[Array, Array, Array]:
            h, h_T, c_T, _, _ = forward(
                isa,
                count,
                project(x),
                None,
                lengths,
                weight_hh,
                h0,
                c0,
                None,
                len(x),
                False,
                is_binary,
                False,
                packed,
                *no_interpolation_or_gates,
            )
            return h, h_T, c_T

        return run

    def dense(self, weight: Array, bias: Array) -> LinearRun:
        weight = np.ascontiguousarray(weight)
        bias = np.ascontiguousarray(bias)
        packed = _packed_now("pack_linear", self._isa, weight)
        linear = _extension().linear
        isa = self._isa
        count = self._threads or threads()

        def run(x: Array) -> Array:
            y: Array = linear(isa, count, x, weight, bias, packed)
            return y

        return run

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
        dpre, dweight_hh, dh0, dc0, *_ = self._gradients(saved, dh, dh_T, dc_T, dc, with_dweight)
        saved.packed_gates.flags.writeable = False
        return Backward(dpre, dweight_hh, dh0, dc0)

    def backward_inputs(
        self,
        saved: SavedActivations,
        x: Array,
        weight_ih: Array,
        dh: Array | None,
        dh_T: Array,
        dc_T: Array,
        dc: Array | None = None,
        *,
        with_dx: bool = True,
        with_dweight: bool = True,
    ) -> InputGradients:
        """`backward` and `project_backward` of a run with an `InputProduct`. It leaves `saved` as it is. with_dweight:
        whether to compute dweight_hh.
        """
        from gatewise.kernels.interface import InputGradients, check_backward, check_project

        if saved.held:
            raise InputError("saved: a run with held gates has no backward pass")
        try:
            _, dweight_hh, dh0, dc0, dx, dweight_ih, dbias = self._gradients(
                saved, dh, dh_T, dc_T, dc, with_dweight, x, weight_ih, with_dx
            )
        except _REFUSED as error:
            check_backward(self, saved, dh, dh_T, dc_T, dc)
            check_project(self, x, weight_ih, None, None)
            raise InputError(str(error)) from error
        return InputGradients(dx, dweight_ih, dbias, dweight_hh, dh0, dc0)

    def _gradients(
        self,
        saved: SavedActivations,
        dh: Array | None,
        dh_T: Array,
        dc_T: Array,
        dc: Array | None,
        with_dweight: bool,
        *inputs: Any,
    ) -> tuple[Any, ...]:
        """dpre, dweight_hh, dh0, dc0, dx, dweight_ih and dbias. inputs: x, weight_ih and with_dx of a run with an
        `InputProduct`, which has no dpre; the last three results are None without them.
        """
        gradients: tuple[Any, ...] = _extension().backward(
            self._isa,
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
            _BINARY[saved.gate],
            with_dweight,
            *inputs,
        )
        return gradients


def _step_count(call: LSTMCall[Array]) -> int:
    if call.index is not None:
        return len(call.index)
    if isinstance(call.pre, InputProduct):
        return len(call.pre.x)
    return len(call.pre)


def fastest_precision() -> Precision:
    """The precision in which the kernel is fastest here; a recipe's "auto".

    "bf16" with AMX tile registers, and with AVX-512 where the processor gains from it; "float32" otherwise, and where
    GATEWISE_ISA names an instruction set without bfloat16.
    """
    available = isas_bf16()
    if not available:
        return "float32"
    isa = os.environ.get("GATEWISE_ISA") or available[0]
    if isa not in available:
        return "float32"
    if isa == "amx" or _extension().vector_bf16_pays():
        return "bf16"
    return "float32"


def bf16_isa(isa: str | None = None) -> str:
    """The bfloat16 build to use: that of `isa`, of GATEWISE_ISA, or the best one here. Raises KernelUnavailable where
    it cannot run or does not exist.
    """
    requested = isa or os.environ.get("GATEWISE_ISA")
    if requested and requested not in ISAS_BF16:
        builds = " and ".join(ISAS_BF16)
        raise KernelUnavailable(f"precision 'bf16' has builds for {builds}, not for {quote(requested)}")
    _extension()  # raises with the reason where it is missing
    available = isas_bf16()
    if not available:
        raise KernelUnavailable("this processor has no AVX512_BF16 instructions")
    chosen = requested or available[0]
    if chosen not in available:
        raise KernelUnavailable(f"precision 'bf16' cannot run here on {chosen}: it can on {', '.join(available)}")
    return f"{chosen}_bf16"


def isas() -> tuple[str, ...]:
    """The instruction sets that can run here, best first; empty where the extension is missing."""
    extension, _ = imported()
    if extension is None:
        return ()
    return tuple(extension.isas())


def isas_bf16() -> tuple[str, ...]:
    """The instruction sets that can multiply in bfloat16 here, best first: of "amx" and "avx512"."""
    extension, _ = imported()
    if extension is None:
        return ()
    return tuple(build.removesuffix("_bf16") for build in extension.bf16())


def float32_isa(isa: str | None = None) -> str:
    """The instruction set to use for float32: `isa`, GATEWISE_ISA, or the best one here. It is the best one also where
    GATEWISE_ISA is "amx", which has bfloat16 products only. Raises KernelUnavailable with the reason.
    """
    available = _extension().isas()
    requested = isa
    source = "isa"
    if not isa:
        requested = os.environ.get("GATEWISE_ISA")
        source = "GATEWISE_ISA"
        if requested and requested not in ISAS and requested in isas_bf16():
            requested = None
    if not requested:
        return str(available[0])
    if requested in available:
        return requested
    problem = "unknown instruction set"
    if requested in (*ISAS, *ISAS_BF16):
        problem = "this machine cannot run it"
    raise KernelUnavailable(f"{source} is {quote(requested)}: {problem}; available: {', '.join(available)}")


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
    """The array made read-only if it owns its memory, so that a large one is not copied; otherwise a copy."""
    if array.base is not None:
        array = array.copy()
    array.flags.writeable = False
    return array


_packed_weights: dict[tuple[int, str, str], tuple[weakref.ref[Array], Array]] = {}


def _packed(pack: str, isa: str, weight: Array) -> Array | None:
    """Read-only weights in the order in which the kernel reads them; None for writeable weights. pack: the function of
    the extension that packs them.

    Packing takes as long as about twenty steps of one sequence. A model that predicts single texts packs its weights
    once, and not at every call.
    """
    if weight.flags.writeable or weight.base is not None:  # the base of a view may be writeable
        return None
    key = (id(weight), isa, pack)
    cached = _packed_weights.get(key)
    if cached is not None and cached[0]() is weight:  # the id of an array that is gone may be that of another one
        return cached[1]
    packed: Array = getattr(_extension(), pack)(isa, weight)
    reference = weakref.ref(weight, lambda _: _packed_weights.pop(key, None))
    _packed_weights[key] = (reference, packed)
    return packed


def _packed_now(pack: str, isa: str, weight: Array) -> Array:
    """As `_packed`, and of writeable weights, which must not change."""
    packed = _packed(pack, isa, weight)
    if packed is None:
        packed = getattr(_extension(), pack)(isa, weight)
    return packed
