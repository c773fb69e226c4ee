"""The dtype of each tensor in a saved file: unchanged, float16, or int8 with one scale per row.

A table maps tensor names to dtypes. `Unpacked` converts a tensor back to float32 when it is read, so nothing outside
this module depends on the table.

    float16   the tensor itself is F16                    |error| up to 2^-11 of a number; numbers up to 65,504
    int8      NAME is I8 (R, ...), NAME.scale F32 (R,)    row r is q_r · scale_r, |error| up to half a scale

A matrix of the table in which many rows are equal is stored as its U distinct rows, in the order of first use, and
NAME.rows U16 (R,), the number of the distinct row for each row. It is for words that share an embedding
(`gatewise.model.compress`).

int8 quantisation is symmetric: the scale is the largest magnitude of the row divided by 127, so zero stays zero. A
scale has 16 bits of mantissa, so that its product with a 7-bit number is exact in float32: a loaded tensor is saved bit
for bit as it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.storage.tensors import Form
from gatewise.types import Array

STORAGE = ("float32", "float16", "int8")
SCALE = ".scale"
ROWS = ".rows"
_MOST_SHARING = 16  # rows per distinct row, on average: a small file must not become a large matrix
_MOST_DISTINCT = 2**16  # what uint16 can number
_KEPT = ("dense.",)  # the output layer: a few kilobytes with a direct effect on the logits
_MIN_ROW = 8  # numbers per row: below, a scale costs more than int8 saves
_SMALLEST = float(np.finfo(np.float32).tiny)
_LARGEST = float(np.finfo(np.float32).max)


def storage_table(tensors: Mapping[str, Array], dtype: str) -> dict[str, str]:
    """The table for one dtype: it applies to every float32 matrix except those of the output layer.

    For "int8", matrices with rows of fewer than eight numbers become float16. Raises InputError for an unknown dtype.
    """
    if dtype not in STORAGE:
        raise InputError(f"storage must be {', '.join(STORAGE[:-1])} or {STORAGE[-1]}, not {quote(dtype)}")
    if dtype == "float32":
        return {}
    table = {}
    for name, tensor in tensors.items():
        if tensor.ndim != 2 or tensor.dtype != np.float32 or name.startswith(_KEPT):
            continue
        table[name] = dtype
        if dtype == "int8" and tensor.shape[1] < _MIN_ROW:
            table[name] = "float16"
    return table


def distinct_limits(rows: int) -> tuple[int, int]:
    """The least and the largest number of distinct rows with which a matrix of that many rows can be stored."""
    least = math.ceil(rows / _MOST_SHARING)
    most = min(rows, _MOST_DISTINCT)
    return least, most


def stored_forms(forms: Mapping[str, Form], table: Any, distinct: Any) -> dict[str, Form]:
    """Shape and dtype of each tensor in the file.

    forms: shape and dtype of each tensor in memory. table: the storage dtype of each tensor that has one. distinct: the
    number of distinct rows of each matrix that shares rows. Raises InputError naming the entry that is impossible.
    """
    _check_table(forms, table)
    _check_distinct(forms, table, distinct)
    stored: dict[str, Form] = {}
    for name, (shape, dtype) in forms.items():
        stored_shape = shape
        if name in distinct:
            stored[name + ROWS] = (shape[:1], "uint16")
            stored_shape = (distinct[name], *shape[1:])
        stored[name] = (stored_shape, table.get(name, dtype))
        if table.get(name) == "int8":
            stored[name + SCALE] = (stored_shape[:1], "float32")
    return stored


def _check_table(forms: Mapping[str, Form], table: Any) -> None:
    if not isinstance(table, Mapping):
        raise InputError("storage must map tensor names to dtypes")
    for name, dtype in table.items():
        if name not in forms:
            raise InputError(f"storage: {quote(name)} is not a tensor of this model")
        shape, original = forms[name]
        if dtype not in STORAGE[1:]:
            raise InputError(f"storage: {quote(name)} must be {' or '.join(STORAGE[1:])}, not {quote(dtype)}")
        if np.dtype(original) != np.float32 or (dtype == "int8" and not shape):
            raise InputError(f"storage: {quote(name)} cannot be stored as {dtype}")
        if not forms.keys().isdisjoint({name + SCALE, name + ROWS}):
            raise InputError(f"storage: the scales or rows of {quote(name)} would have the name of another tensor")


def _check_distinct(forms: Mapping[str, Form], table: Mapping[str, str], distinct: Any) -> None:
    if not isinstance(distinct, Mapping):
        raise InputError("distinct_rows must map tensor names to numbers")
    for name, count in distinct.items():
        if name not in table or len(forms[name][0]) != 2:
            raise InputError(f"distinct_rows: {quote(name)} is not a matrix that storage lists")
        least, most = distinct_limits(forms[name][0][0])
        if type(count) is not int or not least <= count <= most:
            raise InputError(f"distinct_rows: {quote(name)} must be {least:,} to {most:,}, not {quote(count)}")


def distinct_rows(stored: Mapping[str, Array]) -> dict[str, int]:
    """The number of distinct rows of each matrix that `pack` stored with its distinct rows only."""
    return {name: len(tensor) for name, tensor in stored.items() if name + ROWS in stored}


def pack(tensors: Mapping[str, Array], table: Mapping[str, str]) -> dict[str, Array]:
    """The tensors as they are stored. Raises InputError as `stored_forms`, and for a number that float16 cannot
    represent.
    """
    stored_forms({name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}, table, {})
    stored: dict[str, Array] = {}
    for name, tensor in tensors.items():
        dtype = table.get(name)
        if dtype is None:
            stored[name] = tensor
        elif dtype == "float16":
            with np.errstate(over="ignore"):
                half = tensor.astype(np.float16)
            if not np.isfinite(half).all():
                raise InputError(f"tensor {quote(name)} has a {np.abs(tensor).max():.4g}; float16 ends at 65,504")
            stored[name] = half
        else:
            stored[name], stored[name + SCALE] = _quantise(name, tensor)
        if dtype is not None and tensor.ndim == 2:
            _share_rows(stored, name)
    return stored


def _share_rows(stored: dict[str, Array], name: str) -> None:
    """Store the distinct rows of a matrix and the number of each row, where that takes fewer bytes."""
    keys = [key for key in (name, name + SCALE) if key in stored]  # rows are equal if their scales are, too
    rows = zip(*(stored[key] for key in keys), strict=True)
    numbers = np.empty(len(stored[name]), np.uint16)
    number_of: dict[bytes, int] = {}
    for place, row in enumerate(rows):
        content = b"".join(array.tobytes() for array in row)
        number = number_of.setdefault(content, len(number_of))
        if number >= _MOST_DISTINCT:
            return
        numbers[place] = number
    bytes_per_row = len(next(iter(number_of)))
    bytes_saved = (len(numbers) - len(number_of)) * bytes_per_row
    least, _ = distinct_limits(len(numbers))
    if bytes_saved <= numbers.nbytes or len(number_of) < least:
        return
    _, first_places = np.unique(numbers, return_index=True)
    for key in keys:
        stored[key] = stored[key][first_places]
    stored[name + ROWS] = numbers


class Unpacked(Mapping[str, Array]):
    """Read-only tensors by name, in float32 where the table has an entry. stored: tensors with the forms of
    `stored_forms`. shapes: the shape of each tensor.

    A tensor is converted when it is first read by name. A prediction reads only some `rows` of the embeddings, so that
    the others take neither memory nor time.

    Raises ModelFileError naming the tensor for a negative scale, for a product that is not finite, and for the number
    of a row that does not exist.
    """

    def __init__(self, stored: Mapping[str, Array], table: Mapping[str, str]) -> None:
        self._stored = stored
        self._table = table
        self._row_numbers = {name: stored[name + ROWS] for name in table if name + ROWS in stored}
        self._converted: dict[str, Array] = {}
        additions = {name + suffix for name in table for suffix in (SCALE, ROWS)}
        self.shapes = {name: stored[name].shape for name in stored if name not in additions}
        for name, numbers in self._row_numbers.items():
            if numbers.max(initial=0) >= len(stored[name]):
                raise ModelFileError(f"tensor {quote(name + ROWS)} numbers a row that does not exist")
            self.shapes[name] = (len(numbers), *stored[name].shape[1:])
        for name, dtype in table.items():
            if dtype != "int8":
                continue
            scale = stored[name + SCALE]
            # `pack` never writes -128, but a file may contain it, so the check covers it.
            if (scale < 0).any() or 128 * float(scale.max(initial=0)) > _LARGEST:
                raise ModelFileError(f"tensor {quote(name + SCALE)} has a negative or too large scale")

    def __getitem__(self, name: str) -> Array:
        if name not in self._converted:
            tensor = self._convert(name, ...)
            if name in self._row_numbers:
                tensor = tensor.take(self._row_numbers[name], axis=0)  # quicker than an index
            tensor.flags.writeable = False
            self._converted.setdefault(name, tensor)
        return self._converted[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def rows(self, name: str, which: Array) -> Array:
        """Some rows of a tensor, by their numbers."""
        if name in self._row_numbers:
            which = self._row_numbers[name][which]
        return self._convert(name, which)

    def _convert(self, name: str, which: Any) -> Array:
        """Some of the stored rows, converted."""
        stored: Array = self._stored[name][which]
        if name not in self._table:
            return stored.copy()
        tensor: Array = stored.astype(np.float32)
        if self._table[name] == "int8":
            scale = self._stored[name + SCALE][which]
            tensor *= scale.reshape(-1, *(1,) * (tensor.ndim - 1))
        return tensor


def _quantise(name: str, tensor: Array) -> tuple[Array, Array]:
    """q int8 with the shape of `tensor`, within ±127, and scale (R,) float32."""
    rows = tensor.astype(np.float64)
    largest = np.abs(rows).reshape(len(rows), -1).max(axis=1, initial=0)  # (R,)
    if not np.isfinite(largest).all():
        raise InputError(f"tensor {quote(name)} has NaN or infinity")
    mantissa, exponent = np.frexp(largest / 127)
    scale = np.ldexp(np.rint(mantissa * 2.0**16), exponent - 16).astype(np.float32)
    scale[scale < _SMALLEST] = 0  # a row of subnormal numbers becomes zero
    divisor = np.where(scale > 0, scale, 1).astype(np.float64)
    q = np.clip(np.rint(rows / divisor.reshape(-1, *(1,) * (tensor.ndim - 1))), -127, 127)
    q[scale == 0] = 0
    return q.astype(np.int8), scale
