"""/openapi.json: what FastAPI generates, with the request models, the security, and examples that the served models
have answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gatewise.serve import open_inference
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.schemas import ExplainRequest, InferRequest, PredictRequest, validated
from gatewise.serve.state import State
from gatewise.serve.view import view

Schema = dict[str, Any]

NO_TOKEN: Schema = {"security": []}  # of a route that needs no token
_REASONS = {
    400: "The request is not valid; the error names the field.",
    401: "The token is missing or wrong.",
    403: "The request was sent by a page of another site, or the server does not allow it.",
    404: "There is no such model.",
    408: "The request took too long to arrive.",
    413: "The request has too many bytes or inputs.",
    415: "The body is not JSON, or it is compressed in an unknown way.",
    421: "The Host header names another server.",
    422: "A path or query parameter is not valid or not known.",
    429: "The queue is full; Retry-After gives the seconds to wait.",
    431: "The headers have too many bytes.",
    500: "The server failed.",
    503: "The server is stopping.",
    504: "The request waited too long in the queue; nothing was computed.",
}
_TOKEN = "The server's --token."
_SECURITY_SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": _TOKEN},
    "basic": {"type": "http", "scheme": "basic", "description": f"{_TOKEN} It is the password; any user name will do."},
}


def errors(model: type[BaseModel]) -> dict[int | str, Schema]:
    """The errors of a route."""
    return {status: {"description": reason, "model": model} for status, reason in _REASONS.items()}


def body_of(model: type[BaseModel]) -> Schema:
    """The body of a route, which the handler validates itself: it reads strict JSON."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def path_parameters(path: str) -> Schema:
    """The parameters of a path."""
    about = {"in": "path", "required": True, "schema": {"type": "string"}}
    return {"parameters": [{"name": name, **about} for name in ("name", "version") if f"{{{name}}}" in path]}


def description(generate: Callable[[], Schema], state: State) -> Callable[[], Schema]:
    """A function that returns FastAPI's schema with what it lacks: the request models, the server, the security, and
    examples of the models that are served when it is called.
    """
    requests: list[Any] = [(model, "validation") for model in (PredictRequest, ExplainRequest, InferRequest)]

    def complete() -> Schema:
        schema = generate()
        _, definitions = models_json_schema(requests, ref_template="#/components/schemas/{model}")
        schema["components"]["schemas"] |= definitions["$defs"]
        schema["components"]["securitySchemes"] = _SECURITY_SCHEMES
        schema["security"] = [{name: []} for name in _SECURITY_SCHEMES] if state.settings.token is not None else []
        schema["servers"] = [{"url": "/", "description": "The server that sent this description."}]
        infer = {f"{one.name}: one {one.input_kind}": _infer_example(one) for one in state.endpoints.values()}
        for path, examples in (
            ("/predict", _predict_examples(state.endpoints.values())),
            ("/explain", _explain_examples(next(iter(state.endpoints.values())))),
            ("/v2/models/{name}/infer", infer),
            ("/v2/models/{name}/versions/{version}/infer", infer),
        ):
            route = schema["paths"][path]["post"]
            for content, place in ((route["requestBody"], 0), (route["responses"]["200"], 1)):
                shown = {name: {"value": pair[place]} for name, pair in examples.items() if pair[place] is not None}
                content["content"]["application/json"]["examples"] = shown
        return schema

    return complete


def _predict_examples(endpoints: Iterable[ModelEndpoint]) -> Schema:
    """Requests to /predict, by name, each with its response or None."""
    found: Schema = {}
    for one in endpoints:
        request = {one.input_kind: one.example, "model": one.name}
        found[f"{one.name}: one {one.input_kind}"] = (request, one.response(one.predict_example()))
        found[f"{one.name}: several inputs"] = ({"inputs": [one.example] * 2, "model": one.name, "id": "a-7"}, None)
    return found


def _explain_examples(endpoint: ModelEndpoint) -> Schema:
    request = {endpoint.input_kind: endpoint.example, "include": ["prediction"]}
    clamp = {"gate": "f", "unit": 0, "value": 1.0, "from": 0, "to": 1}
    attribution = {**request, "include": ["prediction", "attribution"], "method": "prefix-difference"}
    response = view.explain_view(endpoint.model, request, endpoint.views)
    del response["cache"]  # times
    return {
        "the prediction": (request, response),
        "an attribution": (attribution, None),
        "an intervention": ({**request, "changes": [clamp]}, None),
    }


def _infer_example(endpoint: ModelEndpoint) -> tuple[Schema, Schema]:
    steps = endpoint.example
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [steps]}
    series = {"name": "series", "shape": [1, len(steps), len(steps[0])], "datatype": "FP32", "data": [steps]}
    request = {"inputs": [text if endpoint.input_kind == "text" else series]}
    found = open_inference.response(endpoint, endpoint.predict_example(), validated(InferRequest, request))
    return request, found
