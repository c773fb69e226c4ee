"""The dtype of each tensor in a saved file: unchanged, float16, or int8 with one scale per row.

A table maps tensor names to dtypes. What is loaded is converted back to float32 when it is read (`Unpacked`), so
nothing outside this module depends on it.

    float16   the tensor itself is F16                    |error| up to 2^-11 of a number; numbers up to 65,504
    int8      NAME is I8 (R, ...), NAME.scale F32 (R,)    row r is q_r · scale_r, |error| up to half a scale

A matrix of the table in which many rows are equal is stored as its U distinct rows, in the order of first use, and
NAME.rows U16 (R,), the number of the row in the place of each: words that share an embedding
(`gatewise.model.compress`).

int8 quantisation is symmetric: the scale is the largest magnitude of the row divided by 127, so zero stays zero. A
scale has 16 bits of mantissa, so that its product with a 7-bit number is exact in float32: a loaded tensor is saved bit
for bit as it was.
"""

from __future__ import annotations

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
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def storage_table(tensors: Mapping[str, Array], dtype: str) -> dict[str, str]:
    """The table for one dtype: it applies to every float32 matrix except those of the output layer.

    For "int8", matrices with rows of fewer than eight numbers become float16. Raises InputError for an unknown dtype.
    """
    if dtype not in STORAGE:
        raise InputError(f"storage must be {', '.join(STORAGE[:-1])} or {STORAGE[-1]}, not {quote(dtype)}")
    if dtype == "float32":
        return {}
    return {
        name: "float16" if dtype == "int8" and tensor.shape[1] < _MIN_ROW else dtype
        for name, tensor in tensors.items()
        if tensor.ndim == 2 and tensor.dtype == np.float32 and not name.startswith(_KEPT)
    }


def distinct_limits(rows: int) -> tuple[int, int]:
    """The least and the largest number of distinct rows with which a matrix of that many rows can be stored."""
    return -(-rows // _MOST_SHARING), min(rows, _MOST_DISTINCT)


def stored_forms(forms: Mapping[str, Form], table: Any, distinct: Any) -> dict[str, Form]:
    """Shape and dtype of each tensor in the file, from those in memory, the storage dtype of each that has one, and the
    number of distinct rows of each matrix that shares rows. Raises InputError naming the entry that is impossible.
    """
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
    if not isinstance(distinct, Mapping):
        raise InputError("distinct_rows must map tensor names to numbers")
    for name, count in distinct.items():
        if name not in table or len(forms[name][0]) != 2:
            raise InputError(f"distinct_rows: {quote(name)} is not a matrix that storage lists")
        least, most = distinct_limits(forms[name][0][0])
        if type(count) is not int or not least <= count <= most:
            raise InputError(f"distinct_rows: {quote(name)} must be {least:,} to {most:,}, not {quote(count)}")
    stored: dict[str, Form] = {}
    for name, (shape, dtype) in forms.items():
        if name in distinct:
            stored[name + ROWS] = shape[:1], "uint16"
            shape = (distinct[name], *shape[1:])
        stored[name] = shape, table.get(name, dtype)
        if table.get(name) == "int8":
            stored[name + SCALE] = shape[:1], "float32"
    return stored


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
    parts = [key for key in (name, name + SCALE) if key in stored]
    places = np.empty(len(stored[name]), np.uint16)
    numbers: dict[bytes, int] = {}
    for place, row in enumerate(zip(*(stored[key] for key in parts), strict=True)):
        number = numbers.setdefault(b"".join(part.tobytes() for part in row), len(numbers))
        if number >= _MOST_DISTINCT:
            return
        places[place] = number
    bytes_saved = (len(places) - len(numbers)) * len(next(iter(numbers)))
    if bytes_saved <= places.nbytes or len(numbers) < distinct_limits(len(places))[0]:
        return
    first = np.unique(places, return_index=True)[1]
    for key in parts:
        stored[key] = stored[key][first]
    stored[name + ROWS] = places


class Unpacked(Mapping[str, Array]):
    """Read-only tensors by name, of which `stored` has the forms of `stored_forms`, in float32 where the table has an
    entry. Each is converted when it is first read by name. A prediction reads `rows` of its embeddings alone, so that
    most of their memory and time is not needed. shapes: of each tensor.

    Raises ModelFileError naming the tensor for a negative scale, for a product that is not finite, and for the number
    of a row that does not exist.
    """

    def __init__(self, stored: Mapping[str, Array], table: Mapping[str, str]) -> None:
        parts = {name + suffix for name in table for suffix in (SCALE, ROWS)}
        self._stored, self._table = stored, table
        self._places = {name: stored[name + ROWS] for name in table if name + ROWS in stored}  # of equal rows
        self._converted: dict[str, Array] = {}
        self.shapes = {name: stored[name].shape for name in stored if name not in parts}
        for name, places in self._places.items():
            if places.max(initial=0) >= len(stored[name]):
                raise ModelFileError(f"tensor {quote(name + ROWS)} numbers a row that does not exist")
            self.shapes[name] = len(places), *stored[name].shape[1:]
        for name in (name + SCALE for name in table if table[name] == "int8"):
            # `pack` never writes -128, but a file may contain it, so the check covers it.
            if (stored[name] < 0).any() or 128 * float(stored[name].max(initial=0)) > _LARGEST:
                raise ModelFileError(f"tensor {quote(name)} has a negative or too large scale")

    def __getitem__(self, name: str) -> Array:
        if name not in self._converted:
            tensor = self._convert(name, ...)
            if name in self._places:
                tensor = tensor.take(self._places[name], axis=0)  # quicker than an index
            tensor.flags.writeable = False
            self._converted.setdefault(name, tensor)
        return self._converted[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def rows(self, name: str, which: Array) -> Array:
        """These rows of a tensor."""
        return self._convert(name, self._places[name][which] if name in self._places else which)

    def _convert(self, name: str, which: Any) -> Array:
        """These of the stored rows."""
        tensor = self._stored[name]
        dtype = np.float32 if name in self._table else tensor.dtype
        found: Array = tensor[which].astype(dtype)  # a copy
        if self._table.get(name) == "int8":
            found *= self._stored[name + SCALE][which].reshape(-1, *(1,) * (tensor.ndim - 1))
        return found


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
