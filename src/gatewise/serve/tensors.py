"""Tensors of the Open Inference Protocol: from a request's JSON, or the binary extension behind it, to texts or series;
and from an answer to JSON.

    text      BYTES (n,)                 one string an element
    series    FP32 (n, steps, channels)  n series of the same length
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from gatewise.serve.batch_queue import Answer
from gatewise.serve.body import parse
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.http_error import HTTPError

__all__ = ["INPUT_KEYS", "inputs_of", "outputs_of", "split"]

INPUT_KEYS = frozenset({"name", "shape", "datatype", "parameters", "data"})
_NUMBERS = (int, float)


def split(body: bytes, header_length: bytes | None) -> tuple[dict[str, Any], bytes]:
    """The request's JSON and the bytes behind it, of which there are none without `Inference-Header-Content-Length`."""
    if header_length is None:
        return parse(body), b""
    if not header_length.isdigit() or len(header_length) > 12 or int(header_length) > len(body):
        raise HTTPError(400, "header_length", "Inference-Header-Content-Length is not a length within the body")
    end = int(header_length)
    return parse(body[:end]), body[end:]


def inputs_of(tensor: Any, behind: bytes, served: ModelEndpoint) -> list[Any]:
    """The texts or series of the one input tensor. Raises Refusal (400)."""
    datatype, shape = ("BYTES", "[n]") if served.takes == "text" else ("FP32", "[n, steps, channels]")
    if not isinstance(tensor, dict) or not INPUT_KEYS.issuperset(tensor):
        raise _bad("an input has name, shape, datatype, data and parameters, and nothing else")
    if tensor.get("name") != served.takes:
        raise _bad(f"the input's name is {served.takes}")
    if tensor.get("datatype") != datatype:
        raise _bad(f"input {served.takes}: its datatype is {datatype}")
    sizes = tensor.get("shape")
    if not isinstance(sizes, list) or not all(type(n) is int and 0 <= n < 2**31 for n in sizes):
        raise _bad(f"input {served.takes}: its shape is a list of whole numbers, {shape}")
    parameters = tensor.get("parameters", {})
    if not isinstance(parameters, dict):
        raise _bad(f"input {served.takes}: parameters must be an object")
    binary = parameters.get("binary_data_size")
    if (binary is None) == ("data" not in tensor):
        raise _bad(f"input {served.takes}: it has either data or the parameter binary_data_size")
    if binary is not None and (type(binary) is not int or binary != len(behind)):
        raise _bad(f"input {served.takes}: binary_data_size is not what stands behind the JSON")
    if binary is None and behind:
        raise _bad("there are bytes behind the JSON that no input names")
    if served.takes == "text":
        return _texts(sizes, tensor["data"] if binary is None else _strings(behind))
    data = np.frombuffer(behind, "<f4") if binary is not None and binary % 4 == 0 else tensor.get("data")
    return _series(sizes, data, served.model.architecture.channels)


def outputs_of(served: ModelEndpoint, answer: Answer, wanted: list[str]) -> list[dict[str, Any]]:
    """The output tensors of those names, as JSON has them."""
    rows = answer.probabilities
    n, classes = rows.shape
    made: dict[str, dict[str, Any]] = {
        "label": {
            "name": "label",
            "shape": [n],
            "datatype": "BYTES",
            "data": [served.model.classes[k] for k in rows.argmax(axis=1)],
        },
        "probabilities": {
            "name": "probabilities",
            "shape": [n, classes],
            "datatype": "FP64",
            "data": rows.ravel().tolist(),
        },
    }
    return [made[name] for name in wanted]


def _bad(say: str) -> HTTPError:
    return HTTPError(400, "tensor", say)


def _strings(raw: bytes) -> list[str]:
    """Elements of a BYTES tensor: each a length of four bytes, the lowest first, and as many bytes of UTF-8."""
    found, place = [], 0
    while place < len(raw):
        if place + 4 > len(raw):
            raise _bad("input text: its bytes end within an element")
        (size,) = struct.unpack_from("<I", raw, place)
        place += 4
        if place + size > len(raw):
            raise _bad("input text: its bytes end within an element")
        try:
            found.append(raw[place : place + size].decode())
        except UnicodeDecodeError:
            raise _bad(f"input text: element {len(found) + 1} is not UTF-8") from None
        place += size
    return found


def _texts(shape: list[int], data: Any) -> list[str]:
    flat = data
    if isinstance(data, list) and data and all(isinstance(row, list) for row in data):  # as nested as the shape
        flat = [item for row in data for item in row]
    if not isinstance(flat, list) or not all(isinstance(item, str) for item in flat):
        raise _bad("input text: its data are strings")
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]) or shape[0] != len(flat):
        raise _bad("input text: its shape is [n] or [n, 1], for n strings")
    return flat


def _series(shape: list[int], data: Any, channels: int) -> list[Any]:
    if len(shape) != 3 or shape[2] != channels or 0 in shape:
        raise _bad(f"input series: its shape is [n, steps, {channels}]")
    if not isinstance(data, np.ndarray):
        flat = data
        while isinstance(flat, list) and flat and all(isinstance(row, list) for row in flat):
            flat = [item for row in flat for item in row]
        if not isinstance(flat, list) or not all(type(x) in _NUMBERS and -3e38 < x < 3e38 for x in flat):
            raise _bad("input series: its data are numbers that FP32 can hold")
        data = np.array(flat, dtype=np.float32)
    if data.size != math.prod(shape):
        raise _bad("input series: its data are not as many numbers as its shape says")
    return list(data.reshape(shape))
