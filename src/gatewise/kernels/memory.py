"""Arrays whose memory is used again: a training step makes arrays of the same sizes as the step before.

The allocator of the C library returns large blocks to the system and gets new pages for the next ones. The arena of the
C++ extension (src/native/arena.h), from which the kernel's results come, keeps them. Without the extension, and below
`SMALLEST` bytes, these are NumPy's own arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import native
from gatewise.system import trim_memory
from gatewise.types import Array

SMALLEST = 1 << 17  # bytes; the C library keeps smaller blocks itself
_CACHE_LIMIT = 1 << 30  # bytes, as in src/native/arena.cpp


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array with arbitrary contents. Its memory returns to the arena when nothing refers to it any more."""
    dtype, size = np.dtype(dtype), math.prod(shape)
    extension = native.imported()[0] if size * dtype.itemsize >= SMALLEST else None
    if extension is None:
        return np.empty(shape, dtype)
    words = extension.empty(-(-size * dtype.itemsize // 8) * 2)  # of 4 bytes
    array: Array = words.view(dtype)[:size].reshape(shape)
    return array


def empty_like(array: Array) -> Array:
    """An array of the same shape and dtype, C-contiguous, with arbitrary contents."""
    return empty(array.shape, array.dtype)


def zeros_like(array: Array) -> Array:
    """Zeros of the same shape and dtype, C-contiguous."""
    zeros = empty_like(array)
    zeros.fill(0)
    return zeros


def take(rows: Array, which: NDArray[np.integer[Any]]) -> Array:
    """The rows `which` (K,) of an array (U, ...): (K, ...). Each must be from 0 to U - 1."""
    out = empty((len(which), *rows.shape[1:]), rows.dtype)
    return np.take(rows, which, axis=0, out=out, mode="clip")  # NumPy makes a copy of `out` to check `which`


def concatenate(parts: Sequence[Array], axis: int = 0) -> Array:
    """As np.concatenate, of arrays of one dtype."""
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    return np.concatenate(parts, axis=axis, out=empty(tuple(shape), parts[0].dtype))


def return_unused() -> None:
    """Return to the system the memory that the arena and the C library keep for later arrays."""
    extension = native.imported()[0]
    if extension is not None:
        extension.set_cache_limit(0)
        extension.set_cache_limit(_CACHE_LIMIT)
    trim_memory()
