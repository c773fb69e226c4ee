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
    inputs = model.format
    outputs: list[dict[str, Any]] = []
    for name, datatype in tensor_types(model.target).items():
        shape = [-1, len(model.classes)]
        if name == "label":
            shape = [-1]
        outputs.append({"name": name, "datatype": datatype, "shape": shape})
    return {
        "name": endpoint.name,
        "versions": [VERSION],
        "platform": "gatewise",
        "inputs": [{"name": inputs.name, "datatype": inputs.datatype, "shape": inputs.shape}],
        "outputs": outputs,
    }


def tensor_types(target: Target) -> dict[str, str]:
    """The output tensors by name, with their types; none for predictions per step, which have no one shape."""
    return {name: tensor.datatype for name, tensor in target.tensors(np.zeros((0, target.outputs))).items()}


def read_request(endpoint: ModelEndpoint, body: bytes, json_length: bytes | None) -> tuple[InferRequest, list[Any]]:
    """The request, and its texts or series. json_length: the header Inference-Header-Content-Length, without which the
    whole body is JSON; the rest of the body is the binary data of the tensor. Raises RequestError.
    """
    end = len(body)
    if json_length is not None:
        if not json_length.isdigit() or len(json_length) > 12 or int(json_length) > len(body):
            message = "Inference-Header-Content-Length is not a length within the body"
            raise RequestError("inference-header-content-length", message, "header_length")
        end = int(json_length)
    request = validated(InferRequest, parse(body[:end]))
    output_types = tensor_types(endpoint.model.target)
    if not output_types:
        message = "the model has a prediction per step, which these tensors cannot hold: use /predict"
        raise RequestError("body", message, "bad_task")
    requested = [output.name for output in request.outputs]
    is_unknown = not output_types.keys() >= set(requested)
    is_repeated = len(set(requested)) < len(requested)
    if is_unknown or is_repeated:
        raise RequestError(
            "outputs", f"outputs must be output tensors of the model, each once: {' or '.join(output_types)}"
        )
    return request, _inputs_of(request.inputs[0], body[end:], endpoint)


def response(endpoint: ModelEndpoint, predictions: Predictions, request: InferRequest) -> dict[str, Any]:
    """The response of infer: the requested outputs, or all of them."""
    tensors = endpoint.model.target.tensors(predictions.logits)
    requested = [output.name for output in request.outputs]
    outputs = [
        {"name": name, "shape": tensors[name].shape, "datatype": tensors[name].datatype, "data": tensors[name].data}
        for name in requested or tensors
    ]
    response: dict[str, Any] = {"model_name": endpoint.name, "model_version": VERSION, "outputs": outputs}
    if request.id is not None:
        response["id"] = request.id
    return response


def _inputs_of(tensor: InferInput, binary: bytes, endpoint: ModelEndpoint) -> list[Any]:
    """The texts or series of the input tensor. Raises RequestError."""
    inputs = endpoint.model.format
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
    data: Any = tensor.data
    if data is None:
        data = binary
    try:
        return inputs.read_tensor(tensor.shape, data)
    except TensorError as error:
        raise _bad_tensor(error.place, str(error)) from None


def _bad_tensor(place: str, message: str) -> RequestError:
    """An error in the input tensor. place: the field of the tensor."""
    return RequestError(f"{_TENSOR}.{place}", message, "tensor")
