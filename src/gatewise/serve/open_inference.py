"""The Open Inference Protocol (KServe's v2) over HTTP: metadata, tensors and infer.

Inputs are tensors of texts or series (`gatewise.model.input_format`), answered with tensors, by task:

    classification   label BYTES (n,), probabilities FP64 (n, K)
    multilabel       labels BOOL (n, K), probabilities FP64 (n, K)
    regression       value FP64 (n, M)

A model with predictions per step has none of these tensors.

Source: the specification of kserve/open-inference-protocol, `inference_rest.md`, and its binary tensor extension.
Errors are `{"error": "..."}`.
"""

from typing import Any

import numpy as np

from gatewise.model.input_format import TensorError
from gatewise.serve.endpoint import ModelEndpoint, Predictions
from gatewise.serve.schemas import InferInput, InferRequest, RequestError, parse, validated
from gatewise.target import Target

VERSION = "1"  # a model folder has no versions: each model has one
_TENSOR = "inputs[0]"  # the field of the one input tensor
DATA = f"{_TENSOR}.data"


def model_metadata(endpoint: ModelEndpoint) -> dict[str, Any]:
    """GET /v2/models/M."""
    model = endpoint.model
    inputs = model.preprocessor.format
    return {
        "name": endpoint.name,
        "versions": [VERSION],
        "platform": "gatewise",
        "inputs": [{"name": inputs.name, "datatype": inputs.datatype, "shape": inputs.shape}],
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
    inputs = endpoint.model.preprocessor.format
    if tensor.name != inputs.name:
        raise _bad_tensor("name", f"must be {inputs.name}")
    if tensor.datatype != inputs.datatype:
        raise _bad_tensor("datatype", f"must be {inputs.datatype}")
    size = tensor.parameters.get("binary_data_size")
    if (size is None) == (tensor.data is None):
        raise _bad_tensor("data", "give either data or the parameter binary_data_size")
    if size is None and binary:
        raise _bad_tensor("parameters", "no binary_data_size refers to the bytes after the JSON")
    if size is not None and (type(size) is not int or size != len(binary)):
        raise _bad_tensor("parameters.binary_data_size", "must be the number of bytes after the JSON")
    try:
        return inputs.read_tensor(tensor.shape, binary if tensor.data is None else tensor.data)
    except TensorError as error:
        raise _bad_tensor(error.place, str(error)) from None


def _bad_tensor(place: str, message: str) -> RequestError:
    """place: of the error in the input tensor."""
    return RequestError(f"{_TENSOR}.{place}", message, "tensor")
