"""The ASGI application: FastAPI for the routes and their OpenAPI description, inside the security middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gatewise._version import __version__
from gatewise.model.model import Model
from gatewise.serve import handlers, open_inference, openapi
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.handlers import to_json
from gatewise.serve.http_error import HTTPError
from gatewise.serve.security import SecurityMiddleware
from gatewise.serve.settings import Settings
from gatewise.serve.state import State
from gatewise.serve.static_files import StaticFile, accepts_gzip, read_static_files

_ModelName = Annotated[str | None, Query(max_length=200, description="The model; the default is the first one.")]
_BODY_ERRORS = (403, 404, 413, 415, 429, 504)  # of routes with a body
_MODEL_PARAMETERS = frozenset({"model"})
_UNIT_PARAMETERS = frozenset({"layer", "model"})


def create_app(models: Mapping[str, Model], settings: Settings, port: int) -> tuple[SecurityMiddleware, State]:
    """The application that serves these models at `port`, and its state."""
    state = State(models, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        state.close()

    # FastAPI's own /docs loads scripts from other servers.
    app = FastAPI(
        title="gatewise", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False
    )
    _add_routes(app, state)
    _add_open_inference(app, state)
    _add_description(app, state)
    _add_static_files(app, read_static_files())
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(HTTPError, _http_error)
    app.add_exception_handler(Exception, _failed)
    direct = {"/predict": partial(handlers.predict, state)}
    security = SecurityMiddleware(app, settings, settings.hosts(port), state.metrics.request, direct, query_parameters)
    return security, state


def query_parameters(path: str) -> frozenset[str]:
    """The query parameters of a path; every other one is refused."""
    if path == "/model":
        return _MODEL_PARAMETERS
    return _UNIT_PARAMETERS if path.startswith("/units/") else frozenset()


def _add_routes(app: FastAPI, state: State) -> None:
    endpoints = state.endpoints.values()
    predict_schema = openapi.predict_request(endpoints, state.settings)

    @app.post(
        "/predict",
        openapi_extra=predict_schema,
        responses=openapi.answers(openapi.predictions(endpoints), *_BODY_ERRORS),
    )
    async def predict(request: Request) -> Response:
        """Labels and probabilities, or numbers, of one or several texts or series."""
        return _json(await handlers.predict(state, request.scope, await request.body()))

    explain_schema = openapi.explain_request(endpoints)

    @app.post("/explain", openapi_extra=explain_schema, responses=openapi.answers(None, *_BODY_ERRORS))
    async def explain(request: Request) -> Response:
        """The explanation of a prediction: attribution, prefix predictions, gates."""
        return _json(await handlers.explain(state, request.scope, await request.body()))

    @app.get("/model", responses=openapi.answers(None, 404, 429, 504))
    async def model(model: _ModelName = None) -> Response:
        """The model card."""
        return _json(await handlers.model_card(state, model))

    @app.get("/units/{unit}", responses=openapi.answers(None, 404, 429, 504))
    async def unit_summary(
        unit: Annotated[int, Path(ge=0, le=100_000, description="The unit; backward units follow the forward units.")],
        layer: Annotated[int | None, Query(ge=0, le=100, description="From 0; the default is the top layer.")] = None,
        model: _ModelName = None,
    ) -> Response:
        """The weights of one unit, and its summary over a data set."""
        return _json(await handlers.unit(state, model, unit, layer))

    @app.get("/metrics", responses=openapi.answers({"type": "string"}, kind="text/plain"))
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(state.metrics_text(), media_type=state.metrics.type)


def _add_open_inference(app: FastAPI, state: State) -> None:
    for path in ("/v2", "/v2/"):

        @app.get(path, include_in_schema=path == "/v2", responses=openapi.v2_answers(openapi.SERVER))
        async def server() -> Response:
            """The server's name and version."""
            return _json(to_json(open_inference.server_metadata()))

    @app.get("/v2/health/live", openapi_extra=openapi.NO_TOKEN, responses=openapi.v2_answers(None))
    async def live() -> Response:
        """Whether the process answers."""
        return _json(b'{"live":true}')

    @app.get("/v2/health/ready", openapi_extra=openapi.NO_TOKEN, responses=openapi.v2_answers(None))
    async def ready() -> Response:
        """Whether every model has made a prediction and the server is not stopping; 503 otherwise."""
        return _ready(state)

    for version in ("", "/versions/{version}"):
        _add_model(app, state, f"/v2/models/{{name}}{version}")


def _add_model(app: FastAPI, state: State, path: str) -> None:
    choices = {"name": list(state.endpoints), "version": [open_inference.VERSION]}
    parameters = openapi.path_parameters(choices, path)
    schema = parameters | openapi.infer_request(state.endpoints.values())

    def endpoint_of(request: Request) -> ModelEndpoint:
        version = request.path_params.get("version", open_inference.VERSION)
        return open_inference.endpoint_of(state, request.path_params["name"], version)

    @app.get(path, openapi_extra=parameters, responses=openapi.v2_answers(openapi.MODEL, 404))
    async def metadata(request: Request) -> Response:
        """The tensors of a model."""
        return _json(to_json(open_inference.model_metadata(endpoint_of(request))))

    @app.get(f"{path}/ready", openapi_extra=parameters, responses=openapi.v2_answers(None, 404))
    async def model_ready(request: Request) -> Response:
        """Whether the model is ready."""
        return _ready(state, name=endpoint_of(request).name)

    @app.post(f"{path}/infer", openapi_extra=schema, responses=openapi.v2_answers(openapi.INFERENCE, *_BODY_ERRORS))
    async def infer(request: Request) -> Response:
        """Labels and probabilities of a tensor of texts or series."""
        return _json(await open_inference.infer(endpoint_of(request), request.scope, await request.body()))


def _add_description(app: FastAPI, state: State) -> None:
    """/openapi.json with servers and security; the page /docs draws it."""
    describe = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            token = state.settings.token is not None
            app.openapi_schema = openapi.complete(describe(), state.endpoints.values(), token)
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _add_static_files(app: FastAPI, found: Mapping[str, StaticFile]) -> None:
    """The files of the page, each at its own path."""
    for path, static in found.items():

        @app.get(path, include_in_schema=False)
        async def file(request: Request, static: StaticFile = static) -> Response:
            """One file."""
            gzipped = static.gzipped is not None and accepts_gzip(request.headers.getlist("accept-encoding"))
            etag = static.etag[:-1] + '-gzip"' if gzipped else static.etag
            headers = {"etag": etag, "cache-control": "no-cache", "vary": "accept-encoding"}
            if request.headers.get("if-none-match") == etag:
                return Response(status_code=304, headers=headers)
            headers["content-type"] = static.type
            if gzipped:
                return Response(static.gzipped, headers={**headers, "content-encoding": "gzip"})
            return Response(static.body, headers=headers)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _ready(state: State, **more: Any) -> Response:
    body = to_json({**more, "ready": state.ready})
    return Response(body, 200 if state.ready else 503, media_type="application/json")


async def _http_error(request: Request, error: Any) -> Response:
    headers = {name.decode(): value.decode() for name, value in error.headers}
    return Response(error.body(request.scope["path"]), error.status, headers, "application/json")


async def _no_route(request: Request, error: Any) -> Response:
    if error.status_code == 404:
        return await _http_error(request, HTTPError(404, "not_found", "there is no such path", "path"))
    allowed = (error.headers or {}).get("Allow", "")
    allow = (b"allow", b"GET, HEAD" if allowed == "GET" else allowed.encode())
    message = "the path does not support this method"
    return await _http_error(request, HTTPError(405, "method_not_allowed", message, "method", (allow,)))


async def _invalid_parameter(request: Request, error: Any) -> Response:
    """A path or query parameter; the validator's own message would repeat it."""
    field = str(error.errors()[0]["loc"][-1]) if error.errors() else None
    return await _http_error(request, HTTPError(422, "bad_field", "a parameter is out of range or not valid", field))


async def _failed(request: Request, error: Exception) -> Response:
    """The response to the client; the security middleware logs where the exception was raised."""
    return await _http_error(request, HTTPError(500, "internal", "the server failed; its log says where"))
