"""The Open Inference Protocol (KServe's v2) over HTTP: metadata, tensors and infer.

    text      BYTES (n,)                 one string per element
    series    FP32 (n, steps, channels)  n series of equal length; null or NaN is a missing value

and answered with tensors, by task:

    classification   label BYTES (n,), probabilities FP64 (n, K)
    multilabel       labels BOOL (n, K), probabilities FP64 (n, K)
    regression       value FP64 (n, M)

Source: the specification of kserve/open-inference-protocol, `inference_rest.md`, and its binary tensor extension.
Errors are `{"error": "..."}`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, MutableMapping
from typing import Any

import numpy as np

from gatewise._version import __version__
from gatewise.serve.batch_queue import Predictions
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.handlers import parse, text_of, to_json
from gatewise.serve.http_error import HTTPError
from gatewise.serve.scope import disconnected_of
from gatewise.serve.state import State
from gatewise.types import Task

VERSION = "1"  # a model folder has no versions: each model has one
OUTPUTS: dict[Task, dict[str, str]] = {
    "classification": {"label": "BYTES", "probabilities": "FP64"},
    "multilabel": {"labels": "BOOL", "probabilities": "FP64"},
    "regression": {"value": "FP64"},
}
_REQUEST_KEYS = frozenset({"id", "parameters", "inputs", "outputs"})
_INPUT_KEYS = frozenset({"name", "shape", "datatype", "parameters", "data"})
_TENSOR = "inputs[0]"  # the field of the one input tensor
_DATA = f"{_TENSOR}.data"


def server_metadata() -> dict[str, Any]:
    """GET /v2."""
    return {"name": "gatewise", "version": __version__, "extensions": ["binary_tensor_data"]}


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
            for name, datatype in OUTPUTS[model.task].items()
        ],
    }


def endpoint_of(state: State, name: str, version: str) -> ModelEndpoint:
    """The model that a path names. Raises HTTPError (404)."""
    if version != VERSION:
        raise HTTPError(404, "no_such_version", f"the only version of a model is {VERSION}", "version")
    return state.endpoint(name)


async def infer(endpoint: ModelEndpoint, scope: MutableMapping[str, Any], body: bytes) -> bytes:
    """POST /v2/models/M/infer. Raises HTTPError."""
    lengths = [value for name, value in scope["headers"] if name == b"inference-header-content-length"]
    request, binary = _split(body, lengths[0] if lengths else None)
    if not _REQUEST_KEYS.issuperset(request):
        raise HTTPError(400, "unknown_field", f"the fields of a request are {', '.join(sorted(_REQUEST_KEYS))}", "body")
    if "id" in request:
        text_of(request["id"], "id")
    if not isinstance(request.get("parameters", {}), dict):
        raise HTTPError(400, "bad_field", "parameters must be an object", "parameters")
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise HTTPError(400, "bad_field", "inputs must be a list of one tensor", "inputs")
    names = _output_names(request.get("outputs", []), tuple(OUTPUTS[endpoint.model.task]))
    found = await endpoint.predict(_inputs_of(inputs[0], binary, endpoint), f"{_DATA}[{{}}]", disconnected_of(scope))
    request_id = {"id": request["id"]} if "id" in request else {}
    return to_json(response(endpoint, found, names) | request_id)


def response(endpoint: ModelEndpoint, found: Predictions, names: Collection[str] | None = None) -> dict[str, Any]:
    """The response of infer without its id. names: of the outputs, None for all."""
    names = OUTPUTS[endpoint.model.task] if names is None else names
    outputs = _outputs_of(endpoint, found, names)
    return {"model_name": endpoint.name, "model_version": VERSION, "outputs": outputs}


def _split(body: bytes, header_length: bytes | None) -> tuple[dict[str, Any], bytes]:
    """The request's JSON and the binary data after it; there is none without `Inference-Header-Content-Length`."""
    if header_length is None:
        return parse(body), b""
    if not header_length.isdigit() or len(header_length) > 12 or int(header_length) > len(body):
        message = "Inference-Header-Content-Length is not a length within the body"
        raise HTTPError(400, "header_length", message, "inference-header-content-length")
    end = int(header_length)
    return parse(body[:end]), body[end:]


def _output_names(outputs: Any, known: Collection[str]) -> list[str]:
    """The names of the requested outputs; all outputs if the list is empty."""
    if not isinstance(outputs, list) or not all(
        isinstance(one, dict)
        and {"name", "parameters"}.issuperset(one)
        and one.get("name") in known
        and isinstance(one.get("parameters", {}), dict)
        for one in outputs
    ):
        raise HTTPError(
            400, "bad_field", f"outputs must be a list of objects with a name: {' or '.join(known)}", "outputs"
        )
    names = [str(one["name"]) for one in outputs]
    if len(set(names)) < len(names):
        raise HTTPError(400, "bad_field", "an output is requested twice", "outputs")
    return names or list(known)


def _inputs_of(tensor: Any, binary: bytes, endpoint: ModelEndpoint) -> list[Any]:
    """The texts or series of the input tensor. Raises HTTPError (400)."""
    kind = endpoint.input_kind
    datatype, shape = ("BYTES", "[n]") if kind == "text" else ("FP32", "[n, steps, channels]")
    if not isinstance(tensor, dict) or not _INPUT_KEYS.issuperset(tensor):
        raise _bad_tensor(_TENSOR, f"the fields of an input are {', '.join(sorted(_INPUT_KEYS))}")
    if tensor.get("name") != kind:
        raise _bad_tensor(f"{_TENSOR}.name", f"must be {kind}")
    if tensor.get("datatype") != datatype:
        raise _bad_tensor(f"{_TENSOR}.datatype", f"must be {datatype}")
    sizes = tensor.get("shape")
    if not isinstance(sizes, list) or not all(type(n) is int and 0 <= n < 2**31 for n in sizes):
        raise _bad_tensor(f"{_TENSOR}.shape", f"must be a list of integers, {shape}")
    parameters = tensor.get("parameters", {})
    if not isinstance(parameters, dict):
        raise _bad_tensor(f"{_TENSOR}.parameters", "must be an object")
    size = parameters.get("binary_data_size")
    if (size is None) == ("data" not in tensor):
        raise _bad_tensor(_DATA, "give either data or the parameter binary_data_size")
    if size is not None and (type(size) is not int or size != len(binary)):
        raise _bad_tensor(f"{_TENSOR}.parameters.binary_data_size", "must be the number of bytes after the JSON")
    if size is None and binary:
        raise _bad_tensor(f"{_TENSOR}.parameters", "no binary_data_size refers to the bytes after the JSON")
    if kind == "text":
        return _texts(sizes, tensor["data"] if size is None else _strings(binary))
    data = np.frombuffer(binary, "<f4") if size is not None and size % 4 == 0 else tensor.get("data")
    return _series(sizes, data, endpoint.model.channels)


def _outputs_of(endpoint: ModelEndpoint, found: Predictions, names: Collection[str]) -> list[dict[str, Any]]:
    target, (n, width) = endpoint.model.target, found.values.shape
    data: dict[str, list[Any]] = {
        "probabilities": found.values.ravel().tolist(),
        "value": found.values.ravel().tolist(),
    }
    if target.task != "regression":
        decided = target.decide(found.values)
        data["labels"] = decided.astype(bool).ravel().tolist()
        if target.task == "classification":
            data["label"] = [target.classes[k] for k in decided]
    return [
        {
            "name": name,
            "shape": [n] if name == "label" else [n, width],
            "datatype": OUTPUTS[target.task][name],
            "data": data[name],
        }
        for name in names
    ]


def _bad_tensor(field: str, message: str) -> HTTPError:
    return HTTPError(400, "tensor", message, field)


def _strings(raw: bytes) -> list[str]:
    """The elements of a BYTES tensor: each a length of four bytes, little-endian, and that many bytes of UTF-8."""
    found, place = [], 0
    while place < len(raw):
        if place + 4 > len(raw):
            raise _bad_tensor(_DATA, "the bytes end within an element")
        (size,) = struct.unpack_from("<I", raw, place)
        place += 4
        if place + size > len(raw):
            raise _bad_tensor(_DATA, "the bytes end within an element")
        try:
            found.append(raw[place : place + size].decode())
        except UnicodeDecodeError:
            raise _bad_tensor(f"{_DATA}[{len(found)}]", "not UTF-8") from None
        place += size
    return found


def _texts(shape: list[int], data: Any) -> list[str]:
    flat = data
    if isinstance(data, list) and data and all(isinstance(row, list) for row in data):  # nested as [n, 1]
        flat = [item for row in data for item in row]
    if not isinstance(flat, list) or not all(isinstance(item, str) for item in flat):
        raise _bad_tensor(_DATA, "must be strings")
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]) or shape[0] != len(flat):
        raise _bad_tensor(f"{_TENSOR}.shape", "must be [n] or [n, 1], for n strings")
    return flat


def _series(shape: list[int], data: Any, channels: int) -> list[Any]:
    if len(shape) != 3 or shape[2] != channels or 0 in shape:
        raise _bad_tensor(f"{_TENSOR}.shape", f"must be [n, steps, {channels}]")
    if not isinstance(data, np.ndarray):
        flat, lengths = data, [shape[0], shape[1], shape[2]]
        while isinstance(flat, list) and flat and all(isinstance(row, list) for row in flat):  # nested as its shape
            if len(lengths) < 2 or any(len(row) != lengths[1] for row in flat):
                raise _bad_tensor(_DATA, "nested in another way than the shape")
            lengths = lengths[1:]
            flat = [item for row in flat for item in row]
        numbers = isinstance(flat, list) and all(
            x is None or (type(x) in (int, float) and -3e38 < x < 3e38) for x in flat
        )
        if not numbers:
            raise _bad_tensor(_DATA, "must be numbers in the range of FP32, or null where one is missing")
        data = np.array(flat, dtype=np.float32)
    if data.size != math.prod(shape):
        raise _bad_tensor(_DATA, "the number of values does not fit the shape")
    return list(data.reshape(shape))
