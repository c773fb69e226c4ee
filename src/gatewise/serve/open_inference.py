"""The Open Inference Protocol (KServe's v2): health, metadata and infer, over HTTP.

Source: the specification of kserve/open-inference-protocol, `inference_rest.md`; errors are `{"error": "..."}`.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

from gatewise._version import __version__
from gatewise.serve.body import text_of
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.http_error import HTTPError
from gatewise.serve.state import State
from gatewise.serve.tensors import inputs_of, outputs_of, split

__all__ = ["OUTPUTS", "VERSION", "infer", "model_metadata", "model_of", "server_metadata"]

VERSION = "1"  # a model folder has no versions: each model has one
OUTPUTS = ("label", "probabilities")
_KEYS = frozenset({"id", "parameters", "inputs", "outputs"})


def server_metadata() -> dict[str, Any]:
    """GET /v2."""
    return {"name": "gatewise", "version": __version__, "extensions": ["binary_tensor_data"]}


def model_metadata(served: ModelEndpoint) -> dict[str, Any]:
    """GET /v2/models/M."""
    classes = len(served.model.classes)
    datatype, shape = (
        ("BYTES", [-1]) if served.takes == "text" else ("FP32", [-1, -1, served.model.architecture.channels])
    )
    return {
        "name": served.name,
        "versions": [VERSION],
        "platform": "gatewise",
        "inputs": [{"name": served.takes, "datatype": datatype, "shape": shape}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, classes]},
        ],
    }


def model_of(state: State, name: str, version: str | None) -> ModelEndpoint:
    """The model that a path names. Raises Refusal (404)."""
    if version not in (None, VERSION):
        raise HTTPError(404, "no_such_version", "a model here has the version 1 alone")
    return state.of(name)


async def infer(state: State, served: ModelEndpoint, scope: MutableMapping[str, Any], body: bytes) -> bytes:
    """POST /v2/models/M/infer. Raises Refusal."""
    lengths = [value for name, value in scope["headers"] if name == b"inference-header-content-length"]
    request, behind = split(body, lengths[0] if lengths else None)
    if not _KEYS.issuperset(request):
        raise HTTPError(400, "unknown_field", f"a request has no other fields than {', '.join(sorted(_KEYS))}")
    if "id" in request:
        text_of(request["id"], "id")
    if not isinstance(request.get("parameters", {}), dict):
        raise HTTPError(400, "bad_field", "parameters must be an object")
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise HTTPError(400, "bad_field", "inputs must be a list of one tensor")
    wanted = _wanted(request.get("outputs", []))
    answer = await served.predict(inputs_of(inputs[0], behind, served), scope.get("gatewise.gone", lambda: False))
    found: dict[str, Any] = {"model_name": served.name, "model_version": VERSION}
    if "id" in request:
        found["id"] = request["id"]
    found["outputs"] = outputs_of(served, answer, wanted)
    return json.dumps(found, allow_nan=False, separators=(",", ":")).encode()


def _wanted(outputs: Any) -> list[str]:
    """The names of the outputs that are asked for; all of them where none is."""
    if not isinstance(outputs, list) or not all(
        isinstance(one, dict)
        and {"name", "parameters"}.issuperset(one)
        and one.get("name") in OUTPUTS
        and isinstance(one.get("parameters", {}), dict)
        for one in outputs
    ):
        raise HTTPError(400, "bad_field", f"outputs must be a list of objects with a name: {' or '.join(OUTPUTS)}")
    names = [str(one["name"]) for one in outputs]
    if len(set(names)) < len(names):
        raise HTTPError(400, "bad_field", "an output is asked for twice")
    return names or list(OUTPUTS)
