"""/openapi.json: what FastAPI generates, with the request models, the security, and examples that the served models
have answered.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gatewise.errors import InputError
from gatewise.serve import open_inference
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.forecasts import ForecastEndpoint
from gatewise.serve.schemas import (
    ExplainRequest,
    ForecastRequest,
    InferRequest,
    PredictRequest,
    StreamRequest,
    validated,
)
from gatewise.serve.state import State

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
    models = PredictRequest, ExplainRequest, StreamRequest, ForecastRequest, InferRequest
    requests: list[Any] = [(model, "validation") for model in models]

    described: tuple[object, Schema] = (None, {})  # the models, and the description with their answers

    def complete() -> Schema:
        nonlocal described
        endpoints = state.endpoints
        if described[0] is not endpoints:
            described = endpoints, describe(state.of_kind(ModelEndpoint))
        return described[1]

    def describe(endpoints: list[ModelEndpoint]) -> Schema:
        schema = generate()
        _, definitions = models_json_schema(requests, ref_template="#/components/schemas/{model}")
        schema["components"]["schemas"] |= definitions["$defs"]
        schema["components"]["securitySchemes"] = _SECURITY_SCHEMES
        schema["security"] = [{name: []} for name in _SECURITY_SCHEMES] if state.settings.token is not None else []
        schema["servers"] = [{"url": "/", "description": "The server that sent this description."}]
        forecasts = dict[str, tuple[Schema, Schema | None]]()
        for one in state.of_kind(ForecastEndpoint):
            request = {"model": one.name, "horizon": 2, "level": [80, 95], "series": one.forecaster.names[0]}
            forecasts[one.name] = request, None
            with suppress(InputError):  # it needs the future values of columns
                forecasts[one.name] = request, one.answer(validated(ForecastRequest, request))
        for path, examples in (_examples(endpoints) | {"/forecast": forecasts}).items():
            route = schema["paths"][path]["post"]
            for place, content in enumerate((route["requestBody"], route["responses"]["200"])):
                shown = {name: {"value": pair[place]} for name, pair in examples.items() if pair[place] is not None}
                next(iter(content["content"].values()))["examples"] = shown
        return schema

    return complete


def _examples(endpoints: list[ModelEndpoint]) -> dict[str, dict[str, tuple[Schema, Schema | None]]]:
    """Requests by path and name, each with its response or None. Those of /explain are of the first model."""
    predict, infer, stream = (dict[str, tuple[Schema, Schema | None]]() for _ in range(3))
    for one in endpoints:
        inputs, found = one.format, one.predict_example()
        item, kind = inputs.example, inputs.name
        row = one.example_row
        single, both = ({"columns": row}, {"columns": [row] * 2}) if row else ({}, {})
        predict[f"{one.name}: one {kind}"] = {kind: item, **single, "model": one.name}, one.response(found)
        predict[f"{one.name}: several inputs"] = {"inputs": [item] * 2, **both, "model": one.name, "id": "a-7"}, None
        with suppress(InputError):  # not every model can be streamed
            one.model.stream()
            stream[f"{one.name}: the start of a stream"] = {"inputs": inputs.example_steps, "model": one.name}, None
        if row or not open_inference.tensor_types(one.model.target):  # a tensor of texts has no columns
            continue
        tensor = {"name": kind, "shape": inputs.example_shape, "datatype": inputs.datatype, "data": [item]}
        request = {"inputs": [tensor]}
        response = open_inference.response(one, found, validated(InferRequest, request))
        infer[f"{one.name}: one {kind}"] = request, response
    if not endpoints:
        return {}
    first = endpoints[0]
    explained = {first.format.name: first.format.example, "include": ["prediction"]}
    explained |= {"columns": first.example_row} if first.example_row else {}
    answer = first.view.explain(explained)
    del answer["cache"]  # times
    attribution = {**explained, "include": ["prediction", "attribution"], "method": "prefix-difference"}
    clamp = {"gate": "f", "unit": 0, "value": 1.0, "from": 0, "to": 1}
    explain: dict[str, tuple[Schema, Schema | None]] = {
        "the prediction": (explained, answer),
        "an attribution": (attribution, None),
        "an intervention": ({**explained, "changes": [clamp]}, None),
    }
    versioned = "/v2/models/{name}/versions/{version}/infer"
    infers = {"/v2/models/{name}/infer": infer, versioned: infer}
    return {"/predict": predict, "/explain": explain, "/stream": stream, **infers}
