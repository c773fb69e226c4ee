"""The kernels by name, and which one runs.

`get()` returns the one to use: `GATEWISE_KERNEL` if it is set, else native. There is no silent fallback: where native
cannot run, the reference is used with a warning that says why, once, and whoever names a kernel gets that one or an
error.
"""

from __future__ import annotations

import os
import warnings
from functools import cache

from gatewise.errors import InputError, KernelUnavailable, quote
from gatewise.kernels.fastest_precision import fastest_precision
from gatewise.kernels.interface import Backward, Forward, Interpolation, Kernel, SavedActivations
from gatewise.kernels.native import Native, Precision, bf16_unavailable_reason
from gatewise.kernels.native import unavailable_reason as _native_unavailable_reason
from gatewise.kernels.reference import Reference

__all__ = [
    "NAMES",
    "Backward",
    "Forward",
    "Interpolation",
    "Kernel",
    "Precision",
    "SavedActivations",
    "available",
    "fastest_precision",
    "for_precision",
    "get",
    "unavailable_reason",
]

NAMES = ("bf16", "native", "reference")  # fastest first; bf16 rounds what it multiplies: it runs where it is asked for


def unavailable_reason(name: str) -> str | None:
    """Why the kernel `name` cannot run here, or None if it can. Raises InputError for a name that is none."""
    if name not in NAMES:
        raise InputError(f"no kernel is called {name!r}; there are {', '.join(NAMES)}")
    if name == "reference":
        return None
    return bf16_unavailable_reason() if name == "bf16" else _native_unavailable_reason()


def available() -> tuple[str, ...]:
    """The names of the kernels that can run here, fastest first."""
    return tuple(name for name in NAMES if unavailable_reason(name) is None)


def get(name: str | None = None) -> Kernel:
    """The kernel `name`, or the one to use here. Raises KernelUnavailable with the reason, InputError for a bad
    name.
    """
    wanted = name or os.environ.get("GATEWISE_KERNEL") or None
    if wanted is None:
        reason = unavailable_reason("native")
        if reason is None:
            return _made("native")
        if os.environ.get("GATEWISE_ISA"):
            raise KernelUnavailable(f"GATEWISE_ISA asks for the native kernel, which cannot run here: {reason}")
        _warn_once(reason)
        return _made("reference")
    reason = unavailable_reason(wanted)
    if reason is not None:
        raise KernelUnavailable(f"kernel '{wanted}' cannot run here: {reason}")
    return _made(wanted)


def for_precision(precision: Precision) -> Kernel:
    """The kernel to use here, "float32", or the one that multiplies in bfloat16, "bf16". Errors as `get`."""
    if precision not in ("float32", "bf16"):
        raise InputError(f"precision must be 'float32' or 'bf16', not {quote(precision)}")
    return get("bf16" if precision == "bf16" else None)


@cache
def _made(name: str) -> Kernel:
    if name == "bf16":
        return Native(precision="bf16")
    return Native() if name == "native" else Reference()


@cache
def _warn_once(reason: str) -> None:
    warnings.warn(
        f"the native kernel cannot run here ({reason}); using the reference, far slower", RuntimeWarning, stacklevel=3
    )
