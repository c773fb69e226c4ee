"""The kernels by name, and the choice between them.

`get()` returns the kernel of `GATEWISE_KERNEL` if it is set, otherwise native. No fallback is silent: where native
cannot run, the reference runs and a warning states the reason, once. A kernel that is named runs or raises an error.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from gatewise.errors import InputError, KernelUnavailable, did_you_mean, quote, warn
from gatewise.kernels import native, threads
from gatewise.kernels.call import Forward as Forward, Held as Held
from gatewise.kernels.call import Interpolation as Interpolation, LSTMCall as LSTMCall
from gatewise.kernels.native import Native, fastest_precision as fastest_precision, read_only as read_only
from gatewise.types import Precision

if TYPE_CHECKING:
    from gatewise.kernels.interface import Kernel

NAMES = ("bf16", "native", "reference")  # fastest first; bf16 rounds its operands, so it runs only on request


def unavailable_reason(name: str) -> str | None:
    """The reason why the kernel `name` cannot run here, or None if it can. Raises InputError for an unknown name."""
    try:
        _kernel_named(name)
    except KernelUnavailable as error:
        return str(error)
    return None


def get(name: str | None = None) -> Kernel:
    """The kernel `name`, or the default one here. Raises KernelUnavailable with the reason, InputError for an unknown
    name.
    """
    requested = name or os.environ.get("GATEWISE_KERNEL")
    try:
        return _kernel_named(requested or "native")
    except KernelUnavailable as error:
        reason = str(error)
    if requested:
        raise KernelUnavailable(f"kernel '{requested}' cannot run here: {reason}")
    if os.environ.get("GATEWISE_ISA"):
        raise KernelUnavailable(f"GATEWISE_ISA asks for the native kernel, which cannot run here: {reason}")
    _warn_once(reason)
    return _kernel_named("reference")


def for_precision(precision: Precision) -> Kernel:
    """The default kernel for "float32", the bfloat16 kernel for "bf16". Errors as `get`."""
    if precision not in ("float32", "bf16"):
        raise InputError(f"precision must be 'float32' or 'bf16', not {quote(precision)}")
    if precision == "bf16":
        return get("bf16")
    return get()


def for_training(precision: Precision | Literal["auto"]) -> Kernel:
    """As `for_precision`; for "auto" the kernel of the fastest precision here."""
    if precision == "auto":
        precision = fastest_precision()
    return for_precision(precision)


class Compiled(NamedTuple):
    """The C++ extension, with the instruction set for float32 and the number of threads of a call."""

    extension: Any
    isa: str
    threads: int


def compiled_for(dtype: Any) -> Compiled | None:
    """The C++ extension for several calls in a row, where `get` chooses the native kernel and the dtype is float32;
    otherwise None. Each call takes arrays for which `is_plain` is true; of others NumPy computes the same.
    """
    if dtype != np.float32 or get().name == "reference":
        return None
    extension, _ = native.imported()
    return Compiled(extension, native.float32_isa(), threads.threads())


def is_plain(array: Any) -> bool:
    """Whether the C++ extension takes a float32 array: it is contiguous and aligned."""
    return bool(array.flags.c_contiguous and array.flags.aligned)


def extension_for(array: Any, *others: Any) -> Any:
    """The C++ extension where `get` chooses the native kernel, the first array is float32, and all arrays are
    contiguous and aligned; otherwise None, and NumPy computes the same.
    """
    if array.dtype != np.float32 or not all(map(is_plain, (array, *others))):
        return None
    if get().name == "reference":
        return None
    extension, _ = native.imported()
    return extension


def _kernel_named(name: str) -> Kernel:
    if name not in NAMES:
        raise InputError(f"unknown kernel {quote(name)}; the kernels are {', '.join(NAMES)}{did_you_mean(name, NAMES)}")
    if name == "reference":
        from gatewise.kernels.reference import Reference  # the only kernel that runs `cell.py`

        return Reference()
    if name == "bf16":
        return Native(precision="bf16")
    return Native()


@cache
def _warn_once(reason: str) -> None:
    warn(
        f"the native kernel cannot run here ({reason}); using the reference kernel, which is far slower; "
        "GATEWISE_KERNEL=reference chooses it without a warning",
        RuntimeWarning,
    )
