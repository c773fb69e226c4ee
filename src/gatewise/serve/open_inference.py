"""The Open Inference Protocol (KServe's v2) over HTTP: metadata, tensors and infer.

    text      BYTES (n,)                 one string per element
    series    FP32 (n, steps, channels)  n series of equal length; null or NaN is a missing value

and answered with tensors, by task:

    classification   label BYTES (n,), probabilities FP64 (n, K)
    multilabel       labels BOOL (n, K), probabilities FP64 (n, K)
    regression       value FP64 (n, M)

A model with predictions per step has none of these tensors.

Source: the specification of kserve/open-inference-protocol, `inference_rest.md`, and its binary tensor extension.
Errors are `{"error": "..."}`.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gatewise.serve.endpoint import ModelEndpoint, Predictions
from gatewise.serve.schemas import InferInput, InferRequest, RequestError, parse, validated
from gatewise.target import Target
from gatewise.types import Array

VERSION = "1"  # a model folder has no versions: each model has one
_TENSOR = "inputs[0]"  # the field of the one input tensor
DATA = f"{_TENSOR}.data"


def model_metadata(endpoint: ModelEndpoint) -> dict[str, Any]:
    """GET /v2/models/M."""
    model = endpoint.model
    datatype, shape = ("BYTES", [-1]) if endpoint.input_kind == "text" else ("FP32", [-1, -1, model.channels])
    return {
        "name": endpoint.name,
        "versions": [VERSION],
        "platform": "gatewise",
        "inputs": [{"name": endpoint.input_kind, "datatype": datatype, "shape": shape}],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": [-1] if name == "label" else [-1, len(model.classes)]}
            for name, datatype in tensor_types(model.target).items()
        ],
    }


def tensor_types(target: Target) -> dict[str, str]:
    """The output tensors by name, with their types; none for predictions per step, which have no one shape."""
    return {name: tensor.datatype for name, tensor in target.tensors(np.zeros((0, len(target.classes)))).items()}


def read_request(endpoint: ModelEndpoint, body: bytes, json_length: bytes | None) -> tuple[InferRequest, list[Any]]:
    """The request, and its texts or series. json_length: the header Inference-Header-Content-Length; the rest of the
    body is the binary data of the tensor. Raises RequestError.
    """
    if json_length is not None and (not json_length.isdigit() or len(json_length) > 12 or int(json_length) > len(body)):
        message = "Inference-Header-Content-Length is not a length within the body"
        raise RequestError("inference-header-content-length", message, "header_length")
    end = len(body) if json_length is None else int(json_length)
    request = validated(InferRequest, parse(body[:end]))
    known = tensor_types(endpoint.model.target)
    if not known:
        message = "the model has a prediction per step, which these tensors cannot hold: use /predict"
        raise RequestError("body", message, "bad_task")
    wanted = [output.name for output in request.outputs]
    if not known.keys() >= set(wanted) or len(set(wanted)) < len(wanted):
        raise RequestError("outputs", f"outputs must be a list of objects with a name each: {' or '.join(known)}")
    return request, _inputs_of(request.inputs[0], body[end:], endpoint)


def response(endpoint: ModelEndpoint, found: Predictions, request: InferRequest) -> dict[str, Any]:
    """The response of infer."""
    tensors = endpoint.model.target.tensors(found.values)
    outputs = [
        {"name": name, "shape": tensors[name].shape, "datatype": tensors[name].datatype, "data": tensors[name].data}
        for name in [output.name for output in request.outputs] or tensors
    ]
    identity = {} if request.id is None else {"id": request.id}
    return {"model_name": endpoint.name, "model_version": VERSION, "outputs": outputs, **identity}


def _inputs_of(tensor: InferInput, binary: bytes, endpoint: ModelEndpoint) -> list[Any]:
    """The texts or series of the input tensor. Raises RequestError."""
    kind = endpoint.input_kind
    datatype = "BYTES" if kind == "text" else "FP32"
    for field, given, expected in (("name", tensor.name, kind), ("datatype", tensor.datatype, datatype)):
        if given != expected:
            raise _bad_tensor(f"{_TENSOR}.{field}", f"must be {expected}")
    size = tensor.parameters.get("binary_data_size")
    if (size is None) == (tensor.data is None):
        raise _bad_tensor(DATA, "give either data or the parameter binary_data_size")
    if size is None and binary:
        raise _bad_tensor(f"{_TENSOR}.parameters", "no binary_data_size refers to the bytes after the JSON")
    if size is not None and (type(size) is not int or size != len(binary)):
        raise _bad_tensor(f"{_TENSOR}.parameters.binary_data_size", "must be the number of bytes after the JSON")
    if kind == "text":
        found = _as_shaped(
            tensor.shape, np.array(_strings(binary) if tensor.data is None else tensor.data, dtype=object)
        )
        texts: list[Any] = found.ravel().tolist()
        if found.shape[1:] not in ((), (1,)):
            raise _bad_tensor(f"{_TENSOR}.shape", "must be [n] or [n, 1], for n strings")
        if not all(isinstance(one, str) for one in texts):
            raise _bad_tensor(DATA, "must be strings")
        return texts
    channels = endpoint.model.channels
    if len(tensor.shape) != 3 or tensor.shape[2] != channels or 0 in tensor.shape:
        raise _bad_tensor(f"{_TENSOR}.shape", f"must be [n, steps, {channels}]")
    try:
        numbers = np.frombuffer(binary, "<f4") if tensor.data is None else np.array(tensor.data)
        if numbers.dtype.kind == "U":
            raise ValueError
    except ValueError:  # bytes that end within a number, or lists of different lengths
        raise _bad_tensor(DATA, "must be numbers, nested as the shape or flat") from None
    return list(_as_shaped(tensor.shape, numbers).astype(np.float32))  # None becomes NaN


def _as_shaped(shape: Sequence[int], found: Array) -> Array:
    """The values, flat or nested as the shape, in that shape."""
    if found.ndim > 1 and found.shape != tuple(shape):
        raise _bad_tensor(DATA, "nested in another way than the shape")
    if found.size != math.prod(shape):
        raise _bad_tensor(f"{_TENSOR}.shape", "the number of values does not fit the shape")
    return found.reshape(shape)


def _bad_tensor(field: str, message: str) -> RequestError:
    return RequestError(field, message, "tensor")


def _strings(raw: bytes) -> list[str]:
    """The elements of a BYTES tensor: each a length of four bytes, little-endian, and that many bytes of UTF-8."""
    found, place = [], 0
    while place < len(raw):
        start = place + 4
        place = start + int.from_bytes(raw[place:start], "little")
        if place > len(raw):
            raise _bad_tensor(DATA, "the bytes end within an element")
        try:
            found.append(raw[start:place].decode())
        except UnicodeDecodeError:
            raise _bad_tensor(f"{DATA}[{len(found)}]", "not UTF-8") from None
    return found
