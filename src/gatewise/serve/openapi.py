"""How the routes are described in /openapi.json: JSON Schemas of what these very models take and give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.open_inference import OUTPUTS
from gatewise.serve.settings import Settings

__all__ = ["answers", "explain_request", "infer_request", "path_parameters", "predict_request", "v2_answers"]

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "pattern": r"\S", "description": "Not empty, and more than spaces."}
_ID: Schema = {"type": "string", "maxLength": 200}
_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "field", "say"],
            "properties": {
                "code": {"type": "string"},
                "field": {"type": ["string", "null"]},
                "say": {"type": "string"},
            },
        }
    },
}
_V2_ERROR: Schema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_REASONS = {
    400: "What was sent cannot be read; the error says where.",
    401: "The token is missing or wrong.",
    403: "Sent by a page of another site.",
    404: "No such model.",
    408: "The request took too long to arrive.",
    413: "Too many bytes, or too many inputs.",
    415: "Not JSON, or compressed.",
    421: "The Host header names another server.",
    422: "A parameter in the path or the query is not what it must be.",
    429: "Too much is waiting already; Retry-After says for how many seconds.",
    431: "Too many bytes of headers.",
    500: "The server failed.",
    503: "The server is stopping.",
    504: "Its turn did not come before the deadline; nothing was computed.",
}

PREDICTIONS: Schema = {
    "type": "object",
    "required": ["model", "n", "predictions"],
    "properties": {
        "model": {"type": "string"},
        "n": {"type": "integer"},
        "id": _ID,
        "predictions": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["label", "probabilities", "steps"],
                "properties": {
                    "label": {"type": "string"},
                    "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
                    "steps": {"type": "integer", "description": "Words (or steps) that the input has."},
                },
            },
        },
    },
}

_TENSOR: Schema = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "data": {"type": "array"},
    },
}
SERVER: Schema = {
    "type": "object",
    "required": ["name", "version", "extensions"],
    "properties": {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "extensions": {"type": "array", "items": {"type": "string"}},
    },
}
MODEL: Schema = {
    "type": "object",
    "required": ["name", "versions", "platform", "inputs", "outputs"],
    "properties": {
        "name": {"type": "string"},
        "versions": {"type": "array", "items": {"type": "string"}},
        "platform": {"type": "string"},
        "inputs": {"type": "array", "items": _TENSOR},
        "outputs": {"type": "array", "items": _TENSOR},
    },
}
INFERENCE: Schema = {
    "type": "object",
    "required": ["model_name", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": _ID,
        "outputs": {"type": "array", "items": _TENSOR},
    },
}


def predict_request(served: Iterable[ModelEndpoint], settings: Settings) -> Schema:
    """The body of POST /predict, for the kinds of model that are served."""
    kinds = {one.takes: [other.name for other in served if other.takes == one.takes] for one in served}
    first = next(iter(served)).takes
    forms = []
    for takes, names in kinds.items():
        item = _TEXT if takes == "text" else _series(served)
        many = {"type": "array", "items": item, "minItems": 1, "maxItems": settings.max_items}
        beside = {"model": {"type": "string", "enum": names}, "id": _ID}
        needed = [] if takes == first else ["model"]
        forms += [
            _object({takes: item, **beside}, [takes, *needed]),
            _object({"inputs": many, **beside}, ["inputs", *needed]),
        ]
    return _body({"anyOf": forms})


def explain_request(served: Iterable[ModelEndpoint]) -> Schema:
    """The body of POST /explain; what else may stand in it belongs to the page and to `gatewise.explain.view.view`."""
    properties = {"text": _TEXT, "model": {"type": "string", "enum": [one.name for one in served]}}
    return _body({"type": "object", "properties": properties})


def path_parameters(choices: Schema, path: str) -> Schema:
    """The parameters that stand in a path, each with all of its values."""
    found = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": values}}
        for name, values in choices.items()
        if f"{{{name}}}" in path
    ]
    return {"parameters": found}


def infer_request(served: Iterable[ModelEndpoint]) -> Schema:
    """The body of POST /v2/models/M/infer."""
    parameters = {"type": "object"}
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "enum": sorted({one.takes for one in served})},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 3},
            "datatype": {"type": "string", "enum": ["BYTES", "FP32"]},
            "parameters": parameters,
            "data": {"type": "array", "minItems": 1},
        },
    }
    output = _object({"name": {"type": "string", "enum": list(OUTPUTS)}, "parameters": parameters}, ["name"])
    request = {
        "id": _ID,
        "parameters": parameters,
        "inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1},
        "outputs": {"type": "array", "items": output, "maxItems": len(OUTPUTS)},
    }
    return _body(_object(request, ["inputs"]))


def answers(schema: Schema | None, *statuses: int, kind: str = "application/json") -> dict[int | str, Schema]:
    """What a route outside of /v2 may answer: 200 with that schema, and these errors beside those of every route."""
    return _answers(schema, _ERROR, statuses, kind)


def v2_answers(schema: Schema | None, *statuses: int) -> dict[int | str, Schema]:
    """The same below /v2, where an error is one string."""
    return _answers(schema, _V2_ERROR, statuses, "application/json")


def _answers(schema: Schema | None, error: Schema, statuses: Iterable[int], kind: str) -> dict[int | str, Schema]:
    found: dict[int | str, Schema] = {
        200: {"description": "The answer.", "content": {kind: {"schema": schema or {"type": "object"}}}}
    }
    for status in sorted({400, 401, 408, 421, 431, 500, 503, *statuses}):
        found[status] = {"description": _REASONS[status], "content": {"application/json": {"schema": error}}}
    return found


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}


def _body(schema: Schema) -> Schema:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _series(served: Iterable[ModelEndpoint]) -> Schema:
    widths = {one.model.architecture.channels for one in served if one.takes == "series"}
    number = {"type": "number", "exclusiveMinimum": -3e38, "exclusiveMaximum": 3e38}
    step = {"type": "array", "items": number, "minItems": min(widths), "maxItems": max(widths)}
    return {"type": "array", "items": step, "minItems": 1}
