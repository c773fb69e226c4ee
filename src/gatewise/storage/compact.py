"""How a tensor is kept in the file: as it is, in half precision, or in eight bits with one scale a row.

A table says it, tensor by tensor; whoever loads gets float32 again, and nothing above this file knows the difference.

    float16   the tensor itself is F16                    |error| up to 2^-11 of a number; up to 65,504
    int8      NAME is I8 (R, ...), NAME.scale F32 (R,)    row r is q_r · scale_r, |error| up to half a scale

int8 is symmetric: a scale is the largest number of its row by 127, so that zero stays zero. It is kept to 16 bits of
mantissa: a number of 7 bits times it is then exact in float32, and a tensor that was loaded is saved as it was, bit for
bit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.types import Array

__all__ = ["SCALE", "STORAGE", "check_table", "pack", "stored_forms", "table_for", "unpack"]

Form = tuple[tuple[int, ...], DTypeLike]

STORAGE = ("float32", "float16", "int8")
SCALE = ".scale"
_SMALL = ("dense.",)  # next to the verdict, and a few kilobytes: always kept whole
_NARROW = 8  # numbers of a row: with fewer, a scale for it costs more than int8 saves
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def table_for(tensors: Mapping[str, Array], word: str) -> dict[str, str]:
    """Which tensors that one word means: float32 tensors of two axes, but for those of the dense layer.

    For "int8", rows of fewer than eight numbers are kept as float16. Raises InputError for a word that is none.
    """
    if word not in STORAGE:
        raise InputError(f"storage must be {', '.join(STORAGE[:-1])} or {STORAGE[-1]}, not {quote(word)}")
    wide = [
        name
        for name, tensor in tensors.items()
        if tensor.ndim == 2 and tensor.dtype == np.float32 and not name.startswith(_SMALL)
    ]
    if word == "float32":
        return {}
    return {name: "float16" if word == "int8" and tensors[name].shape[1] < _NARROW else word for name in wide}


def check_table(table: object, forms: Mapping[str, Form]) -> dict[str, str]:
    """`table` if it gives words to float32 tensors among `forms` and nothing else; InputError naming the entry."""
    if not isinstance(table, Mapping):
        raise InputError("storage must be a table of tensors, each with its word")
    for name, word in table.items():
        if name not in forms:
            raise InputError(f"storage: {quote(name)} is not a tensor of this model")
        shape, dtype = forms[name]
        if word not in STORAGE[1:]:
            raise InputError(f"storage: {quote(name)} must be {' or '.join(STORAGE[1:])}, not {quote(word)}")
        if np.dtype(dtype) != np.float32 or (word == "int8" and not shape):
            raise InputError(f"storage: {quote(name)} cannot be kept as {word}")
        if word == "int8" and name + SCALE in forms:
            raise InputError(f"storage: {quote(name)} and its scales would have the name of another tensor")
    return dict(table)


def stored_forms(forms: Mapping[str, Form], table: Mapping[str, str]) -> dict[str, Form]:
    """Shape and dtype of each tensor in the file, from those in memory and a table that was checked."""
    stored: dict[str, Form] = {}
    for name, (shape, dtype) in forms.items():
        stored[name] = shape, table.get(name, dtype)
        if table.get(name) == "int8":
            stored[name + SCALE] = shape[:1], "float32"
    return stored


def pack(tensors: Mapping[str, Array], table: Mapping[str, str]) -> dict[str, Array]:
    """The tensors as they go into the file. Raises InputError for a number that float16 cannot hold."""
    stored: dict[str, Array] = {}
    for name, tensor in tensors.items():
        word = table.get(name)
        if word is None:
            stored[name] = tensor
        elif word == "float16":
            with np.errstate(over="ignore"):
                half = tensor.astype(np.float16)
            if not np.isfinite(half).all():
                raise InputError(f"tensor {quote(name)} holds {np.abs(tensor).max():.4g}; float16 ends at 65,504")
            stored[name] = half
        else:
            stored[name], stored[name + SCALE] = _rows_to_int8(name, tensor)
    return stored


def unpack(stored: Mapping[str, Array], table: Mapping[str, str], where: str = "model.safetensors") -> dict[str, Array]:
    """The tensors back, float32 where the table has a word; `stored` has the forms that `stored_forms` says.

    Raises ModelFileError naming the tensor for a scale below zero, and where a product is not finite.
    """
    tensors: dict[str, Array] = {}
    scales = {name + SCALE for name, word in table.items() if word == "int8"}
    for name, tensor in stored.items():
        if name in scales:
            continue
        word = table.get(name)
        if word == "int8":
            scale = stored[name + SCALE]
            # int8 ends at -128, which no row of ours reaches: what is finite there is finite everywhere.
            if (scale < 0).any() or 128 * float(scale.max(initial=0)) > _LARGEST:
                raise ModelFileError(f"{where}: tensor {quote(name + SCALE)} holds what is no scale")
            whole = tensor.astype(np.float32)
            whole *= _by_row(scale, tensor.ndim)
            tensors[name] = whole
        else:
            tensors[name] = tensor if word is None else tensor.astype(np.float32)
    return tensors


def _rows_to_int8(name: str, tensor: Array) -> tuple[Array, Array]:
    """q int8 like `tensor`, within ±127, and scale (R,) float32."""
    rows = tensor.astype(np.float64)
    highest = np.abs(rows).reshape(len(rows), -1).max(axis=1, initial=0)  # (R,)
    if not np.isfinite(highest).all():
        raise InputError(f"tensor {quote(name)} holds NaN or infinity")
    mantissa, exponent = np.frexp(highest / 127)
    scale = np.ldexp(np.rint(mantissa * 2.0**16), exponent - 16).astype(np.float32)
    scale[scale < _SMALLEST] = 0  # such a row is nothing
    divisor = np.where(scale > 0, scale, 1).astype(np.float64)
    q = np.clip(np.rint(rows / _by_row(divisor, tensor.ndim)), -127, 127)
    q[scale == 0] = 0
    return q.astype(np.int8), scale


def _by_row(scale: Array, dimensions: int) -> Array:
    return scale.reshape(len(scale), *(1,) * (dimensions - 1))
