"""/openapi.json: what FastAPI generates, with the request models, the security, and examples that the served models
have answered.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

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
Examples = dict[str, tuple[Schema, Schema | None]]
"""Requests of a route by name, each with its response, or None for a response that is not shown."""

NO_TOKEN: Schema = {"security": []}  # of a route that needs no token
_REQUESTS = (PredictRequest, ExplainRequest, StreamRequest, ForecastRequest, InferRequest)
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
    """The parameters of a path, as in /v2/models/{name}."""
    names = [name for name in ("name", "version") if f"{{{name}}}" in path]
    schema = {"in": "path", "required": True, "schema": {"type": "string"}}
    return {"parameters": [{"name": name, **schema} for name in names]}


def description(generate: Callable[[], Schema], state: State) -> Callable[[], Schema]:
    """A function that returns FastAPI's schema with what it lacks: the request models, the server, the security, and
    examples of the models that are served when it is called.
    """
    described_endpoints: object = None
    schema: Schema = {}

    def complete() -> Schema:
        nonlocal described_endpoints, schema
        endpoints = state.endpoints
        if described_endpoints is not endpoints:  # a reload replaces them, and with them the answers of the examples
            schema = _described(generate(), state)
            described_endpoints = endpoints
        return schema

    return complete


def _described(schema: Schema, state: State) -> Schema:
    """FastAPI's schema with what it lacks."""
    requests: list[Any] = [(model, "validation") for model in _REQUESTS]
    _, definitions = models_json_schema(requests, ref_template="#/components/schemas/{model}")
    schema["components"]["schemas"] |= definitions["$defs"]
    schema["components"]["securitySchemes"] = _SECURITY_SCHEMES
    schema["security"] = []
    if state.settings.token is not None:
        schema["security"] = [{name: []} for name in _SECURITY_SCHEMES]
    schema["servers"] = [{"url": "/", "description": "The server that sent this description."}]
    for path, examples in _examples(state).items():
        route = schema["paths"][path]["post"]
        requests_shown = {name: {"value": request} for name, (request, _) in examples.items()}
        responses_shown = {name: {"value": answer} for name, (_, answer) in examples.items() if answer is not None}
        _content(route["requestBody"])["examples"] = requests_shown
        _content(route["responses"]["200"])["examples"] = responses_shown
    return schema


def _content(message: Schema) -> Schema:
    """The one media type of a request or response of a route."""
    [content] = message["content"].values()
    return cast("Schema", content)


def _examples(state: State) -> dict[str, Examples]:
    """The examples of all routes by path."""
    endpoints = state.of_kind(ModelEndpoint)
    examples = {"/forecast": _forecast_examples(state.of_kind(ForecastEndpoint))}
    if not endpoints:
        return examples
    infer = _infer_examples(endpoints)
    return {
        **examples,
        "/predict": _predict_examples(endpoints),
        "/explain": _explain_examples(endpoints[0]),
        "/stream": _stream_examples(endpoints),
        "/v2/models/{name}/infer": infer,
        "/v2/models/{name}/versions/{version}/infer": infer,
    }


def _forecast_examples(endpoints: list[ForecastEndpoint]) -> Examples:
    examples: Examples = {}
    for endpoint in endpoints:
        series = endpoint.forecaster.names[0]
        request = {"model": endpoint.name, "horizon": 2, "level": [80, 95], "series": series}
        response = None
        with suppress(InputError):  # a forecaster that reads columns known in advance needs their future values
            response = endpoint.answer(validated(ForecastRequest, request))
        examples[endpoint.name] = (request, response)
    return examples


def _predict_examples(endpoints: list[ModelEndpoint]) -> Examples:
    examples: Examples = {}
    for endpoint in endpoints:
        inputs = endpoint.format
        single: Schema = {inputs.name: inputs.example, "model": endpoint.name}
        several: Schema = {"inputs": [inputs.example] * 2, "model": endpoint.name, "id": "a-7"}
        if row := endpoint.example_row:
            single["columns"] = row
            several["columns"] = [row] * 2
        examples[f"{endpoint.name}: one {inputs.name}"] = (single, endpoint.response(endpoint.predict_example()))
        examples[f"{endpoint.name}: several inputs"] = (several, None)
    return examples


def _stream_examples(endpoints: list[ModelEndpoint]) -> Examples:
    examples: Examples = {}
    for endpoint in endpoints:
        request = {"inputs": endpoint.format.example_steps, "model": endpoint.name}
        with suppress(InputError):  # not every model can be streamed
            endpoint.model.stream()
            examples[f"{endpoint.name}: the start of a stream"] = (request, None)
    return examples


def _infer_examples(endpoints: list[ModelEndpoint]) -> Examples:
    examples: Examples = {}
    for endpoint in endpoints:
        # A tensor of texts has no columns, and no tensor holds predictions per step, or several arrays.
        if (
            endpoint.example_row
            or not endpoint.format.in_a_tensor
            or not open_inference.tensor_types(endpoint.model.target)
        ):
            continue
        inputs = endpoint.format
        tensor = {
            "name": inputs.name,
            "shape": inputs.example_shape,
            "datatype": inputs.datatype,
            "data": [inputs.example],
        }
        request = {"inputs": [tensor]}
        predictions = endpoint.predict_example()
        response = open_inference.response(endpoint, predictions, validated(InferRequest, request))
        examples[f"{endpoint.name}: one {inputs.name}"] = (request, response)
    return examples


def _explain_examples(endpoint: ModelEndpoint) -> Examples:
    prediction: Schema = {endpoint.format.name: endpoint.format.example, "include": ["prediction"]}
    if endpoint.example_row:
        prediction["columns"] = endpoint.example_row
    answer = endpoint.view.explain(prediction)
    del answer["cache"]  # it holds times, which differ from run to run
    attribution = {**prediction, "include": ["prediction", "attribution"], "method": "prefix-difference"}
    clamp = {"gate": "f", "unit": 0, "value": 1.0, "from": 0, "to": 1}
    return {
        "the prediction": (prediction, answer),
        "an attribution": (attribution, None),
        "an intervention": ({**prediction, "changes": [clamp]}, None),
    }
