"""The constants of a graph in a file: tensors by name, with what the format of tensors does not have.

Constants of at most 64 numbers share one tensor of bytes, because graphs have many of them. So do those with infinite
numbers, as masks of attention have them, and those of bool.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gatewise.errors import ModelFileError, quote
from gatewise.storage.compact import Unpacked, distinct_rows, pack, stored_forms
from gatewise.storage.fields import fields_from
from gatewise.storage.tensors import Form, tensors_from_bytes, tensors_to_bytes
from gatewise.types import Array

_SMALL = 64  # numbers
_BYTES = "constants"  # the tensor of bytes
_MAX_CONSTANTS = 100_000
_MAX_NUMBERS = 1 << 31


@dataclass(frozen=True)
class _Constant:
    """in_bytes: whether it is among the bytes. distinct_rows: as of `gatewise.storage.compact`, 0 for none."""

    dtype: Literal["float32", "int64", "int32", "bool"]
    shape: tuple[int, ...]
    in_bytes: bool = False
    distinct_rows: int = 0


def constants_to(constants: Mapping[str, Array], storage: Mapping[str, str]) -> tuple[dict[str, Any], bytes]:
    """The entry of config.json, and the file. storage: the dtype of each tensor that is stored in another one."""
    entries: dict[str, dict[str, Any]] = {}
    tensors: dict[str, Array] = {}
    in_bytes: list[bytes] = []
    for name, array in constants.items():
        entries[name] = {"dtype": array.dtype.name, "shape": list(array.shape)}
        is_finite = array.dtype.kind != "f" or np.isfinite(array).all()
        if name not in storage and (array.size <= _SMALL or array.dtype == np.bool_ or not is_finite or name == _BYTES):
            entries[name]["in_bytes"] = True
            in_bytes.append(array.astype(array.dtype.newbyteorder("<")).tobytes())
        else:
            tensors[name] = array
    stored = pack(tensors, storage)
    for name, count in distinct_rows(stored).items():
        entries[name]["distinct_rows"] = count
    stored[_BYTES] = np.frombuffer(b"".join(in_bytes), np.uint8)
    return entries, tensors_to_bytes(stored)


def constants_from(entry: object, raw: bytes, storage: Any, file: str) -> dict[str, Array]:
    """The constants, read-only, in the order of the entry. Raises ModelFileError naming the constant."""
    where = "config.json: constants"
    if not isinstance(entry, Mapping) or len(entry) > _MAX_CONSTANTS:
        raise ModelFileError(f"{where}: must be an object of at most {_MAX_CONSTANTS:,} constants")
    constants = {name: fields_from(_Constant, each, f"{where}: {quote(name)}") for name, each in entry.items()}
    forms: dict[str, Form] = {}
    size_of_bytes = 0
    for name, constant in constants.items():
        numbers = math.prod(constant.shape)
        if min(constant.shape, default=1) < 0 or numbers > _MAX_NUMBERS:
            raise ModelFileError(f"{where}: {quote(name)} has the shape {constant.shape}")
        if constant.in_bytes:
            size_of_bytes += numbers * np.dtype(constant.dtype).itemsize
        elif constant.dtype == "bool":
            raise ModelFileError(f"{where}: {quote(name)}: bool must be in_bytes")
        else:
            forms[name] = (constant.shape, constant.dtype)
    if _BYTES in forms:
        raise ModelFileError(f"{where}: {quote(_BYTES)} must be in_bytes")
    distinct = {name: constant.distinct_rows for name, constant in constants.items() if constant.distinct_rows}
    expected = stored_forms(forms, storage, distinct) | {_BYTES: ((size_of_bytes,), "uint8")}
    stored = tensors_from_bytes(raw, expected, file)
    in_bytes = stored.pop(_BYTES).tobytes()
    unpacked = Unpacked(stored, storage)
    arrays: dict[str, Array] = {}
    first = 0
    for name, constant in constants.items():
        if not constant.in_bytes:
            arrays[name] = unpacked[name]
            continue
        dtype = np.dtype(constant.dtype).newbyteorder("<")
        count = math.prod(constant.shape)
        if constant.dtype == "bool" and set(in_bytes[first : first + count]) - {0, 1}:
            raise ModelFileError(f"{where}: {quote(name)} has other bytes than 0 and 1")
        array = np.frombuffer(in_bytes, dtype, count, first).astype(constant.dtype).reshape(constant.shape)
        array.setflags(write=False)
        arrays[name] = array
        first += array.nbytes
    return arrays
