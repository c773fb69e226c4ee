"""/openapi.json: the requests and responses of the served models as JSON Schemas, with examples that the models have
answered.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

from gatewise.explain.attribution import METHODS
from gatewise.serve import open_inference
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.settings import Settings
from gatewise.serve.view import view
from gatewise.serve.view.request import HEATMAPS, MAX_CHANGES, PARTS
from gatewise.types import Task

Schema = dict[str, Any]

_STRING: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_TEXT: Schema = {"type": "string", "pattern": r"\S", "description": "Must not be empty or blank."}
_ID: Schema = {"type": "string", "maxLength": 200}
_REASONS = {
    400: "The request is not valid; the error names the field.",
    401: "The token is missing or wrong.",
    403: "The request was sent by a page of another site.",
    404: "There is no such model.",
    408: "The request took too long to arrive.",
    413: "The request has too many bytes or inputs.",
    415: "The body is not JSON, or it is compressed.",
    421: "The Host header names another server.",
    422: "A path or query parameter is not valid or not known.",
    429: "The queue is full; Retry-After gives the seconds to wait.",
    431: "The headers have too many bytes.",
    500: "The server failed.",
    503: "The server is stopping.",
    504: "The request waited too long in the queue; nothing was computed.",
}


def _record(properties: Schema, optional: Collection[str] = ()) -> Schema:
    """An object of a response, with every property except the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_ERROR = _record({"error": _record({"code": _STRING, "field": {"type": ["string", "null"]}, "message": _STRING})})
_V2_ERROR = _record({"error": _STRING})

_STEPS: Schema = {"type": "integer", "description": "The number of tokens or time steps of the input."}
_BY_NAME: Schema = {"type": "object", "additionalProperties": {"type": "number"}}
_FORMS: dict[Task, list[Schema]] = {
    "classification": [_record({"label": _STRING, "probabilities": _BY_NAME, "steps": _STEPS})],
    "multilabel": [_record({"labels": _list_of(_STRING), "probabilities": _BY_NAME, "steps": _STEPS})],
    "regression": [
        _record({"value": {"type": "number"}, "steps": _STEPS}),
        _record({"values": _BY_NAME, "steps": _STEPS}),
    ],
}

_TENSOR = _record(
    {"name": _STRING, "datatype": _STRING, "shape": _list_of(_INTEGER), "data": {"type": "array"}}, optional=["data"]
)
_TENSORS = _list_of(_TENSOR)
SERVER = _record({"name": _STRING, "version": _STRING, "extensions": _list_of(_STRING)})
MODEL = _record(
    {"name": _STRING, "versions": _list_of(_STRING), "platform": _STRING, "inputs": _TENSORS, "outputs": _TENSORS}
)
INFERENCE = _record(
    {"model_name": _STRING, "model_version": _STRING, "id": _ID, "outputs": _TENSORS}, optional=["model_version", "id"]
)


_TOKEN = "The server's --token."
_SECURITY_SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": _TOKEN},
    "basic": {"type": "http", "scheme": "basic", "description": f"{_TOKEN} It is the password; any user name will do."},
}
NO_TOKEN: Schema = {"security": []}  # of a route that needs no token


def complete(schema: Schema, endpoints: Iterable[ModelEndpoint], token: bool) -> Schema:
    """The schema that FastAPI generates, with what it lacks: examples, from which it would drop every null, the server,
    and the security. token: whether one is set.
    """
    for path, (requests, responses) in (
        ("/predict", predict_examples(endpoints)),
        ("/explain", explain_examples(endpoints)),
        ("/v2/models/{name}/infer", infer_examples(endpoints)),
        ("/v2/models/{name}/versions/{version}/infer", infer_examples(endpoints)),
    ):
        route = schema["paths"][path]["post"]
        for content, examples in ((route["requestBody"], requests), (route["responses"]["200"], responses)):
            named = {name: {"value": value} for name, value in examples.items()}
            content["content"]["application/json"]["examples"] = named
    schema["servers"] = [{"url": "/", "description": "The server that sent this description."}]
    schema.setdefault("components", {})["securitySchemes"] = _SECURITY_SCHEMES
    schema["security"] = [{name: []} for name in _SECURITY_SCHEMES] if token else []
    return schema


def predictions(endpoints: Iterable[ModelEndpoint]) -> Schema:
    """The response of POST /predict, for the tasks of the served models."""
    forms = [form for task in sorted({one.model.task for one in endpoints}) for form in _FORMS[task]]
    each = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return _record({"model": _STRING, "n": _INTEGER, "id": _ID, "predictions": _list_of(each)}, optional=["id"])


def predict_examples(endpoints: Iterable[ModelEndpoint]) -> tuple[Schema, Schema]:
    """Requests to /predict and their responses, by name."""
    requests, responses = dict[str, Any](), dict[str, Any]()
    for one in endpoints:
        requests[f"{one.name}: one {one.input_kind}"] = {one.input_kind: one.example, "model": one.name}
        requests[f"{one.name}: several inputs"] = {"inputs": [one.example] * 2, "model": one.name, "id": "a-7"}
        responses[f"{one.name}: one {one.input_kind}"] = json.loads(one.to_json(one.predict_example()))
    return requests, responses


def explain_examples(endpoints: Iterable[ModelEndpoint]) -> tuple[Schema, Schema]:
    """Requests to /explain and their responses, by name; for the first model."""
    first = next(iter(endpoints))
    request = {first.input_kind: first.example, "include": ["prediction"]}
    clamp = {"gate": "f", "unit": 0, "value": 1.0, "from": 0, "to": 1}
    requests = {
        "the prediction": request,
        "an attribution": {**request, "include": ["prediction", "attribution"], "method": "prefix-difference"},
        "an intervention": {**request, "changes": [clamp]},
    }
    return requests, {"the prediction": view.explain_view(first.model, request, first.views)}


def infer_examples(endpoints: Iterable[ModelEndpoint]) -> tuple[Schema, Schema]:
    """Requests to /v2/models/M/infer and their responses, by name."""
    requests, responses = dict[str, Any](), dict[str, Any]()
    for one in endpoints:
        text = one.input_kind == "text"
        shape, datatype = ([1], "BYTES") if text else ([1, len(one.example), one.model.channels], "FP32")
        data = [one.example] if text else [x for step in one.example for x in step]
        tensor = {"name": one.input_kind, "shape": shape, "datatype": datatype, "data": data}
        requests[f"{one.name}: one {one.input_kind}"] = {"inputs": [tensor]}
        responses[f"{one.name}: one {one.input_kind}"] = open_inference.response(one, one.predict_example())
    return requests, responses


def predict_request(endpoints: Iterable[ModelEndpoint], settings: Settings) -> Schema:
    """The body of POST /predict, for the kinds of input of the served models."""
    forms = []
    for kind, models, required in _kinds(endpoints):
        item = _TEXT if kind == "text" else _series(endpoints)
        inputs = {"type": "array", "items": item, "minItems": 1, "maxItems": settings.most_inputs}
        optional = {"model": {"type": "string", "enum": models}, "id": _ID}
        forms += [
            _object({kind: item, **optional}, [kind, *required]),
            _object({"inputs": inputs, **optional}, ["inputs", *required]),
        ]
    return _body({"anyOf": forms})


def explain_request(endpoints: Iterable[ModelEndpoint]) -> Schema:
    """The body of POST /explain; docs/page.md describes its fields."""
    name: Schema = {"type": ["string", "null"], "description": "A class, label or number of the model."}
    integer: Schema = {"type": ["integer", "null"], "minimum": 0, "maximum": 999_999_999}
    change = {
        "gate": {"type": "string", "enum": [*"ifgo", "h"], "description": "h with the value 0 ablates a unit."},
        "value": {"type": "number"},
        "unit": {"anyOf": [integer, {"type": "string", "enum": ["all"]}]},
        "from": integer,
        "to": integer,
        "layer": integer,
    }
    part = {"type": "string", "pattern": f"^({'|'.join(PARTS)}|unit:(top|[0-9]{{1,8}})|heatmap:[{''.join(HEATMAPS)}])$"}
    optional: Schema = {
        "include": {"type": "array", "items": part, "maxItems": 16, "default": ["prediction"]},
        "method": {"type": ["string", "null"], "enum": [*METHODS, None]},
        "layer": integer,
        "target": name,
        "against": name,
        "changes": {"type": "array", "items": _object(change, ["gate", "value"]), "maxItems": MAX_CHANGES},
    }
    forms = []
    for kind, models, required in _kinds(endpoints):
        model = {"type": "string", "enum": models}
        item = _TEXT if kind == "text" else _series(endpoints)
        forms.append(_object({kind: item, "model": model, **optional}, [kind, *required]))
    schema = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return _body(schema)


def _kinds(endpoints: Iterable[ModelEndpoint]) -> Iterable[tuple[str, list[str], list[str]]]:
    """Each kind of input, the models that read it, and the further required fields: a request without `model` goes to
    the first model.
    """
    names: dict[str, list[str]] = {}
    for endpoint in endpoints:
        names.setdefault(endpoint.input_kind, []).append(endpoint.name)
    default = next(iter(names))
    return [(kind, models, [] if kind == default else ["model"]) for kind, models in names.items()]


def path_parameters(choices: Schema, path: str) -> Schema:
    """The parameters of a path, each with its possible values."""
    found = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": values}}
        for name, values in choices.items()
        if f"{{{name}}}" in path
    ]
    return {"parameters": found}


def infer_request(endpoints: Iterable[ModelEndpoint]) -> Schema:
    """The body of POST /v2/models/M/infer."""
    parameters = {"type": "object"}
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "enum": sorted({one.input_kind for one in endpoints})},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 3},
            "datatype": {"type": "string", "enum": ["BYTES", "FP32"]},
            "parameters": parameters,
            "data": {"type": "array", "minItems": 1},
        },
    }
    names = sorted({name for one in endpoints for name in open_inference.OUTPUTS[one.model.task]})
    output = _object({"name": {"type": "string", "enum": names}, "parameters": parameters}, ["name"])
    request = {
        "id": _ID,
        "parameters": parameters,
        "inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1},
        "outputs": {"type": "array", "items": output, "maxItems": len(names)},
    }
    return _body(_object(request, ["inputs"]))


def answers(
    schema: Schema | None, *statuses: int, kind: str = "application/json", error: Schema = _ERROR
) -> dict[int | str, Schema]:
    """The responses of a route: 200 with that schema, these errors, and the errors of every route."""
    found: dict[int | str, Schema] = {
        200: {"description": "The response.", "content": {kind: {"schema": schema or {"type": "object"}}}}
    }
    for status in sorted({400, 401, 408, 421, 422, 431, 500, 503, *statuses}):
        found[status] = {"description": _REASONS[status], "content": {"application/json": {"schema": error}}}
    return found


v2_answers = partial(answers, error=_V2_ERROR)  # below /v2 an error is one string


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}


def _body(schema: Schema) -> Schema:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _series(endpoints: Iterable[ModelEndpoint]) -> Schema:
    widths = {one.model.channels for one in endpoints if one.input_kind == "series"}
    number = {"type": ["number", "null"], "exclusiveMinimum": -3e38, "exclusiveMaximum": 3e38}
    step = {"type": "array", "items": number, "minItems": min(widths), "maxItems": max(widths)}
    steps = {"type": "array", "items": step, "minItems": 1}
    if min(widths) > 1:
        return steps
    return {"anyOf": [steps, {"type": "array", "items": number, "minItems": 1}]}
