"""Arrays to safetensors bytes and back; back only where names, shapes and dtypes are exactly those expected.

The library checks that a file is well formed. It does not know what the file should hold, accepts NaN, has no cap below
100 MB of header, saves a transposed array wrongly and orders metadata at random: these five are seen to here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import DTypeLike
from safetensors import SafetensorError

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.storage.strict_json import parse_json
from gatewise.types import Array

__all__ = ["metadata_of", "tensors_from_bytes", "tensors_to_bytes"]


MAX_HEADER = 1_000_000
MAX_TENSORS = 256
_CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "int8": "I8",
    "uint8": "U8",
}


def tensors_to_bytes(tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file. The same tensors and metadata give the same bytes, whatever their order.

    Raises InputError naming the tensor where a value is not finite, a dtype has no place in a model, or there are too
    many.
    """
    if not 0 < len(tensors) <= MAX_TENSORS:
        raise InputError(f"{len(tensors)} tensors; a file holds 1 to {MAX_TENSORS}")
    for name, tensor in tensors.items():
        if tensor.dtype.name not in _CODES:
            raise InputError(f"tensor {quote(name)} is {tensor.dtype.name}, not one of {', '.join(_CODES)}")
        if not _finite(tensor):
            raise InputError(f"tensor {quote(name)} holds NaN or infinity")
    # Not ascontiguousarray: it gives a 0-d array a dimension.
    plain = {name: np.require(tensors[name], requirements="C") for name in sorted(tensors)}
    raw = safetensors.numpy.save(plain, dict(metadata) if metadata else None)
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    if "__metadata__" in header:
        header = {"__metadata__": dict(sorted(header.pop("__metadata__").items())), **header}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of eight
    if len(text) > MAX_HEADER:
        raise InputError(f"names and metadata take {len(text):,} bytes, more than {MAX_HEADER:,}")
    return len(text).to_bytes(8, "little") + text + raw[8 + length :]


def tensors_from_bytes(
    raw: bytes, expected: Mapping[str, tuple[tuple[int, ...], DTypeLike]], name: str = "model.safetensors"
) -> dict[str, Array]:
    """The tensors in `raw`, the content of the file `name`. expected: the shape and dtype of each, and no other may be
    there.

    The arrays are new and writable. Raises ModelFileError naming the file and the tensor; the header is compared with
    `expected`, and its offsets with the size of the file, before any data is read.
    """
    header, data = _header(raw, name)
    if len(header) > MAX_TENSORS:
        raise ModelFileError(f"{name}: {len(header):,} tensors, more than the {MAX_TENSORS} allowed")
    for key in expected:
        if key not in header:
            raise ModelFileError(f"{name}: tensor {quote(key)} is missing")
    spans = []
    for key, fact in header.items():
        if key not in expected:
            raise ModelFileError(f"{name}: tensor {quote(key)} is not part of this model")
        shape, dtype = expected[key][0], np.dtype(expected[key][1])
        code = _CODES[dtype.name]
        if not isinstance(fact, dict) or set(fact) != {"dtype", "shape", "data_offsets"}:
            raise ModelFileError(f"{name}: the header's entry of {quote(key)} is not in form")
        if fact["dtype"] != code:
            raise ModelFileError(f"{name}: tensor {quote(key)} is {quote(fact['dtype'])}, this model needs {code}")
        if not _whole(fact["shape"]) or tuple(fact["shape"]) != tuple(shape):
            raise ModelFileError(
                f"{name}: tensor {quote(key)} has shape {quote(fact['shape'])}, this model needs {shape}"
            )
        spans.append((fact["data_offsets"], key, dtype.itemsize * math.prod(shape)))
    if not all(_whole(span) and len(span) == 2 for span, _, _ in spans):
        raise ModelFileError(f"{name}: the header's offsets are not in form")
    reached = 0
    for (begin, end), key, size in sorted(spans):  # one after the other, no gap, no overlap, nothing left
        if begin != reached or end != begin + size:
            raise ModelFileError(f"{name}: the bytes of tensor {quote(key)} are not where they should be")
        reached = end
    if reached != len(data):
        raise ModelFileError(f"{name}: {len(data):,} bytes of data where the tensors need {reached:,}")
    try:
        tensors: dict[str, Array] = safetensors.numpy.load(raw)
    except (SafetensorError, ValueError) as error:
        raise ModelFileError(f"{name}: {quote(error)}") from error
    for key, tensor in tensors.items():
        if not _finite(tensor):
            raise ModelFileError(f"{name}: tensor {quote(key)} holds NaN or infinity")
    return tensors


def metadata_of(raw: bytes, name: str = "model.safetensors") -> dict[str, str]:
    """The metadata that `tensors_to_bytes` was given. Raises ModelFileError naming the file."""
    found = _parsed(raw, name).get("__metadata__", {})
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ModelFileError(f"{name}: the metadata must be texts by name")
    return found


def _header(raw: bytes, name: str) -> tuple[dict[str, Any], memoryview]:
    header = _parsed(raw, name)
    metadata_of(raw, name)
    header.pop("__metadata__", None)
    return header, memoryview(raw)[8 + int.from_bytes(raw[:8], "little") :]


def _parsed(raw: bytes, name: str) -> dict[str, Any]:
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or length > len(raw) - 8:
        raise ModelFileError(f"{name}: truncated, or not a safetensors file")
    if length > MAX_HEADER:
        raise ModelFileError(f"{name}: a header of {length:,} bytes, more than the {MAX_HEADER:,} allowed")
    header = parse_json(raw[8 : 8 + length], name)
    if not isinstance(header, dict):
        raise ModelFileError(f"{name}: the header is no table")
    return header


def _whole(numbers: object) -> bool:
    return isinstance(numbers, list) and all(type(number) is int and number >= 0 for number in numbers)


def _finite(tensor: Array) -> bool:
    return tensor.dtype.kind != "f" or bool(np.isfinite(tensor).all())
