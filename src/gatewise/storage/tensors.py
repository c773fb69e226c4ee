"""Arrays to safetensors bytes and back, with exactly the expected names, shapes and dtypes.

The format is 8 bytes with the length of the header, the header in JSON, and the data of the tensors without gaps. It
is read and written here and not by the safetensors library, which has no wheel for Pyodide. In addition to the checks
of the library, a file must have the expected tensors, no NaN, and a header of at most 1 MB. The order of the metadata
is fixed, so that equal tensors give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.storage.strict_json import parse_json
from gatewise.types import Array

Form = tuple[tuple[int, ...], DTypeLike]

MAX_HEADER = 1_000_000
MAX_TENSORS = 256
_TYPES = ("I64", "F64", "F32", "I32", "F16", "U16", "I8", "U8")  # in the order of their data in a file
_SHA256 = b'"sha256":"'  # before the digest in the header; within a string, the quotation marks would be escaped
_NO_DIGEST = b"0" * 64  # in the place of the digest while it is computed
_CODES = {np.dtype(code.lower()[0] + str(int(code[1:]) // 8)).name: code for code in _TYPES}  # float32: F32


def tensors_to_bytes(
    tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None, *, checksum: bool = False
) -> bytes:
    """The bytes of a safetensors file. They do not depend on the order of the tensors or the metadata.

    checksum: add the metadata "sha256", the SHA-256 of the file with 64 zeros in place of the digest. It is for files
    that no manifest covers; `verify_checksum` reads it. Raises InputError naming the tensor for a value that is not
    finite and an unsupported dtype, and for too many tensors.
    """
    if not 0 < len(tensors) <= MAX_TENSORS:
        raise InputError(f"{len(tensors)} tensors; a file holds 1 to {MAX_TENSORS}")
    for name, tensor in tensors.items():
        if tensor.dtype.name not in _CODES:
            raise InputError(f"tensor {quote(name)} is {tensor.dtype.name}, not one of {', '.join(_CODES)}")
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise InputError(f"tensor {quote(name)} has NaN or infinity")
    if checksum:
        metadata = {**(metadata or {}), "sha256": _NO_DIGEST.decode()}
    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = dict(sorted(metadata.items()))
    data: list[bytes] = []
    begin = 0
    # Larger numbers first, so that each tensor begins at a multiple of its item size.
    for name in sorted(tensors, key=lambda name: (_TYPES.index(_CODES[tensors[name].dtype.name]), name)):
        tensor = tensors[name]
        data.append(tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes())
        end = begin + tensor.nbytes
        code = _CODES[tensor.dtype.name]
        header[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)  # the data starts at a multiple of eight
    if len(text) > MAX_HEADER:
        raise InputError(f"names and metadata take {len(text):,} bytes, more than {MAX_HEADER:,}")
    length = len(text).to_bytes(8, "little")
    if checksum:
        digest = _digest([length, text, *data])
        text = text.replace(_SHA256 + _NO_DIGEST, _SHA256 + digest, 1)
    return b"".join([length, text, *data])


def verify_checksum(raw: bytes, name: str = "model.safetensors") -> None:
    """Raise ModelFileError unless `raw`, the content of the file `name`, has the checksum of `tensors_to_bytes`. No
    other part of it needs to be read before.
    """
    key = raw.find(_SHA256, 0, 8 + MAX_HEADER)
    begin = key + len(_SHA256)
    end = begin + len(_NO_DIGEST)
    view = memoryview(raw)
    if key < 0 or view[begin:end] != _digest([view[:begin], _NO_DIGEST, view[end:]]):
        raise ModelFileError(f"{name}: damaged: its content does not match its SHA-256")


def _digest(pieces: Iterable[bytes | memoryview]) -> bytes:
    """The SHA-256 in hex of pieces that follow each other."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest().encode()


def tensors_from_bytes(raw: bytes, expected: Mapping[str, Form], name: str = "model.safetensors") -> dict[str, Array]:
    """The tensors in `raw`, the content of the file `name`, as new writable arrays. expected: shape and dtype of each.

    The header is compared with `expected`, and its offsets with the size of the file, before any data is read. Raises
    ModelFileError naming the file and the tensor, also for a tensor that is missing or not expected.
    """
    header, _ = _header(raw, name)
    if len(header) > MAX_TENSORS:
        raise ModelFileError(f"{name}: {len(header):,} tensors, more than the {MAX_TENSORS} allowed")
    for key in expected:
        if key not in header:
            raise ModelFileError(f"{name}: tensor {quote(key)} is missing")
    for key, entry in header.items():
        if key not in expected:
            raise ModelFileError(f"{name}: tensor {quote(key)} is not part of this model")
        shape, dtype = expected[key]
        code = _CODES[np.dtype(dtype).name]
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise ModelFileError(f"{name}: the header entry of {quote(key)} is malformed")
        if entry["dtype"] != code:
            raise ModelFileError(f"{name}: tensor {quote(key)} is {quote(entry['dtype'])}, this model needs {code}")
        if repr(entry["shape"]) != repr([int(size) for size in shape]):  # 1 == True == 1.0 in Python
            raise ModelFileError(
                f"{name}: tensor {quote(key)} has shape {quote(entry['shape'])}, this model needs {shape}"
            )
    data = memoryview(raw)[8 + int.from_bytes(raw[:8], "little") :]
    _check_offsets(header, expected, len(data), name)
    tensors: dict[str, Array] = {}
    for key, entry in header.items():
        shape = expected[key][0]
        dtype = np.dtype(expected[key][1])
        begin, end = entry["data_offsets"]
        stored = np.frombuffer(data[begin:end], dtype.newbyteorder("<"))
        tensor = stored.astype(dtype).reshape(shape)  # a copy, which is writable
        if dtype.kind == "f" and not np.isfinite(tensor).all():
            raise ModelFileError(f"{name}: tensor {quote(key)} has NaN or infinity")
        tensors[key] = tensor
    return tensors


def _check_offsets(header: dict[str, Any], expected: Mapping[str, Form], size: int, name: str) -> None:
    """Raise ModelFileError unless the tensors fill the `size` bytes of the data without a gap."""
    ranges: list[tuple[int, int, str]] = []
    for key, entry in header.items():
        offsets = entry["data_offsets"]
        if not isinstance(offsets, list) or list(map(type, offsets)) != [int, int]:
            raise ModelFileError(f"{name}: the header entry of {quote(key)} is malformed")
        ranges.append((*offsets, key))
    last_end = 0
    for begin, end, key in sorted(ranges):
        shape, dtype = expected[key]
        bytes_needed = math.prod(map(int, shape)) * np.dtype(dtype).itemsize
        if begin != last_end or end != begin + bytes_needed:
            raise ModelFileError(f"{name}: the offsets of the header do not fit the data: tensor {quote(key)}")
        last_end = end
    if last_end != size:
        raise ModelFileError(f"{name}: the offsets of the header do not fit the data: {size:,} bytes, not {last_end:,}")


def metadata_of(raw: bytes, name: str = "model.safetensors") -> dict[str, str]:
    """The metadata of a safetensors file. Raises ModelFileError naming the file."""
    return _header(raw, name)[1]


def _header(raw: bytes, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The entries of the tensors, and the metadata."""
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or length > len(raw) - 8:
        raise ModelFileError(f"{name}: truncated, or not a safetensors file")
    if length > MAX_HEADER:
        raise ModelFileError(f"{name}: a header of {length:,} bytes, more than the {MAX_HEADER:,} allowed")
    header = parse_json(raw[8 : 8 + length], name)
    if not isinstance(header, dict) or raw[8:9] != b"{":
        raise ModelFileError(f"{name}: the header must be an object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ModelFileError(f"{name}: the metadata must map names to strings")
    return header, metadata
