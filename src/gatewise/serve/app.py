"""The ASGI application: FastAPI for the routes and their OpenAPI description, inside the security middleware."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Any, NoReturn

from fastapi import APIRouter, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response, StreamingResponse
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from gatewise._version import __version__
from gatewise.errors import GatewiseError
from gatewise.serve import open_inference, schemas
from gatewise.serve.batch_queue import ExplainQueue
from gatewise.serve.endpoint import Endpoint, ModelEndpoint, to_json
from gatewise.serve.forecasts import ForecastEndpoint
from gatewise.serve.http_error import HTTPError
from gatewise.serve.openapi import NO_TOKEN, body_of, description, errors, path_parameters
from gatewise.serve.security import CONNECTION, MODEL, Scope, SecurityMiddleware, disconnected_of
from gatewise.serve.state import Kind, State
from gatewise.serve.static_files import choose_response, read_static_files
from gatewise.serve.stream import stream_events
from gatewise.serve.stream_socket import StreamSocket
from gatewise.serve.view.view import unit_summary_json

_ModelName = Annotated[str | None, Query(max_length=200, description="The model; the default is the first one.")]
_Unit = Annotated[int, Path(ge=0, le=100_000, description="The unit; backward units follow the forward units.")]
_Layer = Annotated[int | None, Query(ge=0, le=100, description="From 0; the default is the top layer.")]


def create_app(state: State, port: int) -> Any:
    """The application that serves these models at `port`."""
    app = FastAPI(
        title="gatewise",
        version=__version__,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
        # FastAPI's own pages of documentation load scripts from other servers.
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(_routes(state))
    app.include_router(_open_inference_routes(state))
    _add_page(app)
    app.openapi = description(app.openapi, state)  # type: ignore[method-assign]
    # FastAPI has responses of its own for these. The security middleware answers all errors alike.
    for exception in (HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(exception, _raise)

    settings = state.settings
    direct = {"/predict": partial(answer_predict, state)}

    async def websocket(scope: Scope, receive: Any, send: Any) -> str:
        return await StreamSocket(state, scope[CONNECTION]).serve(receive, send)

    secured = SecurityMiddleware(app, state, settings.hosts(port), direct, websocket, query_parameters)
    if not settings.cors:
        return secured
    # The CORS middleware is the outer one: a browser's preflight request carries neither token nor Content-Type, and
    # the security middleware would refuse it.
    return CORSMiddleware(
        secured,
        allow_origins=settings.cors,
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "traceparent", "x-request-id"],
        expose_headers=["x-request-id"],
    )


def _operation_id(route: APIRoute) -> str:
    """The name that a client generator gives to the function of a route. A name must be unique, and the routes of a
    model exist with and without a version.
    """
    if "{version}" in route.path:
        return f"{route.name}_version"
    return route.name


def query_parameters(path: str) -> frozenset[str]:
    """The query parameters of a path; every other one is refused."""
    if path == "/model":
        return frozenset({"model"})
    if path.startswith("/units/"):
        return frozenset({"layer", "model"})
    return frozenset()


async def answer_predict(state: State, scope: Scope, body: bytes) -> bytes:
    """POST /predict. Raises HTTPError and RequestError."""
    request = schemas.validated(schemas.PredictRequest, schemas.parse(body))
    endpoint = _named(state, scope, request.model, ModelEndpoint)
    inputs, field = endpoint.inputs_of(request)
    predictions = await endpoint.predict(inputs, field, disconnected_of(scope), request.outputs)
    return to_json(endpoint.response(predictions, request.id))


async def _computed(queue: ExplainQueue, endpoint: Endpoint, scope: Scope, compute: Callable[[], Any]) -> Response:
    """The result of `compute` as JSON. It runs on the thread of the queue and stops when the client disconnects.
    Raises HTTPError, InputError, and ValueError for NaN and infinity, which are not JSON.
    """

    def work() -> bytes:
        return json.dumps(compute(), allow_nan=False, separators=(",", ":")).encode()

    return _Json(await queue.explain(work, endpoint.rejected, disconnected_of(scope)))


def _named(state: State, scope: Scope, name: str | None, kind: type[Kind]) -> Kind:
    """The model of that name, or the default model for None. Writes its name into the scope, for the log and the
    metrics. Raises HTTPError (404).
    """
    endpoint = state.endpoint(name, kind)
    scope[MODEL] = endpoint.name
    return endpoint


def _routes(state: State) -> APIRouter:
    api = APIRouter(responses=errors(schemas.ErrorResponse))

    @api.post("/predict", response_model=schemas.PredictResponse, openapi_extra=body_of(schemas.PredictRequest))
    async def predict() -> None:  # described here; the security middleware calls `answer_predict`
        """Labels and probabilities, or numbers, of one or several texts or series."""

    @api.post("/explain", response_model=schemas.PageData, openapi_extra=body_of(schemas.ExplainRequest))
    async def explain(request: Request) -> Response:
        """The explanation of a prediction: attribution, prefix predictions, gates."""
        query = schemas.validated(schemas.ExplainRequest, schemas.parse(await request.body()))
        endpoint = _named(state, request.scope, query.model, ModelEndpoint)
        # An explanation that takes seconds has a thread of its own, so that quick ones do not wait for it.
        if endpoint.view.is_slow(query):
            queue = state.attributions
        else:
            queue = state.explanations
        return await _computed(queue, endpoint, request.scope, partial(endpoint.view.explain, query))

    @api.post("/forecast", response_model=schemas.ForecastResponse, openapi_extra=body_of(schemas.ForecastRequest))
    async def forecast(request: Request) -> Response:
        """The next values of series, with prediction intervals; what each past value contributes to one of them."""
        query = schemas.validated(schemas.ForecastRequest, schemas.parse(await request.body()))
        endpoint = _named(state, request.scope, query.model, ForecastEndpoint)
        if "attribution" in query.include:
            queue = state.attributions
        else:
            queue = state.explanations
        return await _computed(queue, endpoint, request.scope, partial(endpoint.answer, query))

    event = {"type": "object", "properties": {"event": {"type": "string"}, "data": {"type": "string"}}}
    events: dict[int | str, Any] = {200: {"content": {"text/event-stream": {"schema": event}}}}

    @api.post("/stream", response_class=Response, responses=events, openapi_extra=body_of(schemas.StreamRequest))
    async def stream(request: Request) -> Response:
        """The prediction after each word or step of a stream, as server-sent events; the last one is its state."""
        query = schemas.validated(schemas.StreamRequest, schemas.parse(await request.body()))
        endpoint = _named(state, request.scope, query.model, ModelEndpoint)
        stream = stream_events(endpoint, query, state.explanations, disconnected_of(request.scope))
        # Before the response begins, so that an error in the first event is answered with its own status.
        first_events = await anext(stream)

        async def body() -> AsyncIterator[bytes]:
            yield first_events
            async for events in stream:
                yield events

        return StreamingResponse(body(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @api.get("/stream", include_in_schema=False)
    async def no_websocket() -> Response:
        """What is no handshake of a WebSocket, which the connection takes itself."""
        message = "GET /stream is a WebSocket: send the headers of its handshake, or use POST"
        if find_spec("websockets") is None:
            message = "the server has no package websockets, so it has no WebSocket: pip install 'gatewise[serve]'"
        raise HTTPError(426, "upgrade", message, "upgrade", ((b"upgrade", b"websocket"),))

    @api.get("/model", response_model=schemas.PageData)
    async def model_card(request: Request, model: _ModelName = None) -> Response:
        """The model card. served: the model's name; models: every served model and what it reads."""
        models = [{"name": endpoint.name, "inputs": endpoint.input_kind} for endpoint in state.endpoints.values()]
        chosen = _named(state, request.scope, model, Endpoint)
        served = {"served": chosen.name, "models": models}
        return await _computed(state.explanations, chosen, request.scope, lambda: chosen.card() | served)

    @api.get("/units/{unit}", response_model=schemas.PageData)
    async def unit_summary(request: Request, unit: _Unit, layer: _Layer = None, model: _ModelName = None) -> Response:
        """The weights of one unit, and its summary over a data set."""
        endpoint = _named(state, request.scope, model, ModelEndpoint)
        summary = partial(unit_summary_json, endpoint.model, unit, layer)
        return await _computed(state.explanations, endpoint, request.scope, summary)

    text: dict[int | str, Any] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}

    @api.get("/metrics", response_class=Response, responses=text)
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(state.metrics_text(), media_type=state.metrics.type)

    return api


def _open_inference_routes(state: State) -> APIRouter:
    v2 = APIRouter(prefix="/v2", responses=errors(schemas.InferErrorResponse))

    @v2.get("/", include_in_schema=False)
    @v2.get("", response_model=dict[str, str | list[str]])
    async def server() -> Response:
        """The server's name, version and extensions."""
        extensions = ["binary_tensor_data", "model_repository"]
        return _Json({"name": "gatewise", "version": __version__, "extensions": extensions})

    @v2.get("/health/live", response_model=dict[str, bool], openapi_extra=NO_TOKEN)
    async def live() -> Response:
        """Whether the process answers."""
        return _Json({"live": True})

    @v2.get("/health/ready", response_model=dict[str, bool], openapi_extra=NO_TOKEN)
    async def ready() -> Response:
        """Whether every model has made a prediction and the server is not stopping; 503 otherwise."""
        return _Json({"ready": state.ready}, _ready_status(state))

    @v2.get("/models", response_model=dict[str, list[str]])
    async def models() -> Response:
        """The names of the served models."""
        return _Json({"models": [endpoint.name for endpoint in state.of_kind(ModelEndpoint)]})

    @v2.get("/repository/index", include_in_schema=False)
    @v2.post("/repository/index", response_model=list[dict[str, str]])
    async def index() -> Response:
        """The served models, and whether they are ready."""
        return _Json([_in_repository(name, state) for name in state.endpoints])

    @v2.post("/repository/models/{name}/load", response_model=dict[str, str])
    async def load(request: Request, name: str) -> Response:
        """Load all models again, if --reload allows it."""
        _named(state, request.scope, name, Endpoint)
        if not state.settings.reload:
            raise HTTPError(403, "no_reload", "the server does not load models again: see --reload", "name")
        try:
            await asyncio.to_thread(state.reload)
        except GatewiseError as error:
            raise HTTPError(400, "load", f"the models stay as they are: {error}", "name") from None
        state.reload_others()
        return _Json(_in_repository(name, state))

    for version in ("", "/versions/{version}"):
        _add_model(v2, state, f"/models/{{name}}{version}")
    return v2


def _ready_status(state: State) -> int:
    """The status of the answers to health checks: the server is not ready once it begins to stop."""
    if state.ready:
        return 200
    return 503


def _in_repository(name: str, state: State) -> dict[str, str]:
    """A model in the answers of the repository API."""
    if state.ready:
        repository_state = "READY"
    else:
        repository_state = "UNAVAILABLE"
    return {"name": name, "version": open_inference.VERSION, "state": repository_state, "reason": ""}


def _add_model(v2: APIRouter, state: State, path: str) -> None:
    parameters = path_parameters(path)

    def endpoint_of(request: Request) -> ModelEndpoint:
        if request.path_params.get("version", open_inference.VERSION) != open_inference.VERSION:
            message = f"the only version of a model is {open_inference.VERSION}"
            raise HTTPError(404, "no_such_version", message, "version")
        return _named(state, request.scope, request.path_params["name"], ModelEndpoint)

    @v2.get(path, response_model=schemas.ModelMetadataResponse, openapi_extra=parameters)
    async def metadata(request: Request) -> Response:
        """The tensors of a model."""
        return _Json(open_inference.model_metadata(endpoint_of(request)))

    @v2.get(f"{path}/ready", response_model=dict[str, str | bool], openapi_extra=parameters)
    async def model_ready(request: Request) -> Response:
        """Whether the model is ready."""
        return _Json({"name": endpoint_of(request).name, "ready": state.ready}, _ready_status(state))

    extra = parameters | body_of(schemas.InferRequest)

    @v2.post(f"{path}/infer", response_model=schemas.InferResponse, openapi_extra=extra)
    async def infer(request: Request) -> Response:
        """Labels and probabilities of a tensor of texts or series."""
        endpoint = endpoint_of(request)
        json_length = dict(request.scope["headers"]).get(b"inference-header-content-length")
        query, inputs = open_inference.read_request(endpoint, await request.body(), json_length)
        field = f"{open_inference.DATA}[{{}}]"
        predictions = await endpoint.predict(inputs, field, disconnected_of(request.scope))
        return _Json(open_inference.response(endpoint, predictions, query))


class _Json(Response):
    """A response of JSON. content: an object, or the bytes of its JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        if isinstance(content, bytes):
            return content
        return to_json(content)


def _add_page(app: FastAPI) -> None:
    """Serve the files of the page, each at its own path, where no route has the path."""
    static = read_static_files()

    async def page(scope: Scope, receive: Any, send: Any) -> None:
        file = static.get(scope["path"])
        if file is None or scope["method"] != "GET":
            raise HTTPException(404)
        response = choose_response(file, Headers(scope=scope))
        await response(scope, receive, send)

    app.router.default = page


async def _raise(request: Request, error: Exception) -> NoReturn:
    """Pass an error on to the security middleware, which answers all of them."""
    raise error
