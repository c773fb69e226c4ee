"""The ASGI application: FastAPI for the routes and their OpenAPI description, inside the security middleware."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
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
from gatewise.serve.security import MODEL, Scope, SecurityMiddleware, disconnected_of
from gatewise.serve.state import Kind, State
from gatewise.serve.static_files import choose, read_static_files
from gatewise.serve.stream import stream_events
from gatewise.serve.view.view import unit_json

_ModelName = Annotated[str | None, Query(max_length=200, description="The model; the default is the first one.")]
_Unit = Annotated[int, Path(ge=0, le=100_000, description="The unit; backward units follow the forward units.")]
_Layer = Annotated[int | None, Query(ge=0, le=100, description="From 0; the default is the top layer.")]


def create_app(state: State, port: int) -> Any:
    """The application that serves these models at `port`."""
    docs: dict[str, Any] = {"docs_url": None, "redoc_url": None}  # they load scripts from other servers
    names: dict[str, Any] = {"title": "gatewise", "version": __version__, "generate_unique_id_function": _operation_id}
    app = FastAPI(**names, **docs, redirect_slashes=False)
    app.include_router(_routes(state))
    app.include_router(_open_inference_routes(state))
    _add_page(app)
    app.openapi = description(app.openapi, state)  # type: ignore[method-assign]
    for kind in (HTTPException, RequestValidationError, Exception):  # for which FastAPI has responses of its own
        app.add_exception_handler(kind, _raise)
    settings = state.settings
    direct = {"/predict": partial(answer_predict, state)}
    secured = SecurityMiddleware(app, state, settings.hosts(port), direct, query_parameters)
    if not settings.cors:
        return secured
    allowed = ["authorization", "content-type", "traceparent", "x-request-id"]
    return CORSMiddleware(secured, settings.cors, ["GET", "POST"], allowed, expose_headers=["x-request-id"])


def _operation_id(route: APIRoute) -> str:
    """The name of a function of a generated client."""
    return f"{route.name}_version" if "{version}" in route.path else route.name


def query_parameters(path: str) -> frozenset[str]:
    """The query parameters of a path; every other one is refused."""
    if path == "/model":
        return frozenset({"model"})
    return frozenset({"layer", "model"}) if path.startswith("/units/") else frozenset()


async def answer_predict(state: State, scope: Scope, body: bytes) -> bytes:
    """POST /predict. Raises HTTPError and RequestError."""
    request = schemas.validated(schemas.PredictRequest, schemas.parse(body))
    endpoint = _named(state, scope, request.model, ModelEndpoint)
    inputs, field = endpoint.inputs_of(request)
    found = await endpoint.predict(inputs, field, disconnected_of(scope))
    return to_json(endpoint.response(found, request.id))


async def _computed(queue: ExplainQueue, endpoint: Endpoint, scope: Scope, compute: Callable[[], Any]) -> Response:
    """The JSON of what `compute` returns on the thread of the queue; a request whose client has disconnected is not
    computed to its end. Raises HTTPError, InputError, and ValueError for NaN and infinity, which are not JSON.
    """

    def work() -> bytes:
        return json.dumps(compute(), allow_nan=False, separators=(",", ":")).encode()

    return _Json(await queue.explain(work, endpoint.rejected, disconnected_of(scope)))


def _named(state: State, scope: Scope, name: str | None, kind: type[Kind]) -> Kind:
    """The model of that name, the default model for None; it is noted in the scope. Raises HTTPError (404)."""
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
        asked = schemas.validated(schemas.ExplainRequest, schemas.parse(await request.body()))
        endpoint = _named(state, request.scope, asked.model, ModelEndpoint)
        # Slow parts have a thread of their own, so that they delay no prediction.
        queue = state.attributions if endpoint.view.is_slow(asked) else state.explanations
        return await _computed(queue, endpoint, request.scope, partial(endpoint.view.explain, asked))

    @api.post("/forecast", response_model=schemas.ForecastResponse, openapi_extra=body_of(schemas.ForecastRequest))
    async def forecast(request: Request) -> Response:
        """The next values of series, with prediction intervals; what each past value contributes to one of them."""
        asked = schemas.validated(schemas.ForecastRequest, schemas.parse(await request.body()))
        endpoint = _named(state, request.scope, asked.model, ForecastEndpoint)
        queue = state.attributions if "attribution" in asked.include else state.explanations
        return await _computed(queue, endpoint, request.scope, partial(endpoint.answer, asked))

    event = {"type": "object", "properties": {"event": {"type": "string"}, "data": {"type": "string"}}}
    events: dict[int | str, Any] = {200: {"content": {"text/event-stream": {"schema": event}}}}

    @api.post("/stream", response_class=Response, responses=events, openapi_extra=body_of(schemas.StreamRequest))
    async def stream(request: Request) -> Response:
        """The prediction after each word or step of a stream, as server-sent events; the last one is its state."""
        asked = schemas.validated(schemas.StreamRequest, schemas.parse(await request.body()))
        endpoint = _named(state, request.scope, asked.model, ModelEndpoint)
        found = stream_events(endpoint, asked, state.explanations, disconnected_of(request.scope))
        first = await anext(found)  # an error in it is the response

        async def body() -> AsyncIterator[bytes]:
            yield first
            async for events in found:
                yield events

        return StreamingResponse(body(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @api.get("/model", response_model=schemas.PageData)
    async def model_card(request: Request, model: _ModelName = None) -> Response:
        """The model card. served: the model's name; models: every served model and what it reads."""
        models = [{"name": one.name, "inputs": one.input_kind} for one in state.endpoints.values()]
        endpoint = _named(state, request.scope, model, Endpoint)
        served = {"served": endpoint.name, "models": models}
        return await _computed(state.explanations, endpoint, request.scope, lambda: endpoint.card() | served)

    @api.get("/units/{unit}", response_model=schemas.PageData)
    async def unit_summary(request: Request, unit: _Unit, layer: _Layer = None, model: _ModelName = None) -> Response:
        """The weights of one unit, and its summary over a data set."""
        endpoint = _named(state, request.scope, model, ModelEndpoint)
        found = partial(unit_json, endpoint.model, unit, layer)
        return await _computed(state.explanations, endpoint, request.scope, found)

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
        return _Json({"ready": state.ready}, 200 if state.ready else 503)

    @v2.get("/models", response_model=dict[str, list[str]])
    async def models() -> Response:
        """The names of the served models."""
        return _Json({"models": [one.name for one in state.of_kind(ModelEndpoint)]})

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


def _in_repository(name: str, state: State) -> dict[str, str]:
    """A model in the answers of the repository API."""
    known = {"version": open_inference.VERSION, "state": "READY" if state.ready else "UNAVAILABLE", "reason": ""}
    return {"name": name, **known}


def _add_model(v2: APIRouter, state: State, path: str) -> None:
    parameters = path_parameters(path)

    def endpoint_of(request: Request) -> ModelEndpoint:
        if request.path_params.get("version", open_inference.VERSION) != open_inference.VERSION:
            message = f"the only version of a model is {open_inference.VERSION}"
            raise HTTPError(404, "no_such_version", message, "version")
        return _named(state, request.scope, request.path_params["name"], ModelEndpoint)

    @v2.get(path, response_model=schemas.ModelMetadata, openapi_extra=parameters)
    async def metadata(request: Request) -> Response:
        """The tensors of a model."""
        return _Json(open_inference.model_metadata(endpoint_of(request)))

    @v2.get(f"{path}/ready", response_model=dict[str, str | bool], openapi_extra=parameters)
    async def model_ready(request: Request) -> Response:
        """Whether the model is ready."""
        return _Json({"name": endpoint_of(request).name, "ready": state.ready}, 200 if state.ready else 503)

    extra = parameters | body_of(schemas.InferRequest)

    @v2.post(f"{path}/infer", response_model=schemas.InferResponse, openapi_extra=extra)
    async def infer(request: Request) -> Response:
        """Labels and probabilities of a tensor of texts or series."""
        endpoint = endpoint_of(request)
        length = dict(request.scope["headers"]).get(b"inference-header-content-length")
        asked, inputs = open_inference.read_request(endpoint, await request.body(), length)
        found = await endpoint.predict(inputs, f"{open_inference.DATA}[{{}}]", disconnected_of(request.scope))
        return _Json(open_inference.response(endpoint, found, asked))


class _Json(Response):
    """JSON of an object, or JSON already."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return content if isinstance(content, bytes) else to_json(content)


def _add_page(app: FastAPI) -> None:
    """The files of the page, each at its own path, for what is no route."""
    static = read_static_files()

    async def page(scope: Scope, receive: Any, send: Any) -> None:
        file = static.get(scope["path"])
        if file is None or scope["method"] != "GET":
            raise HTTPException(404)
        await choose(file, Headers(scope=scope))(scope, receive, send)

    app.router.default = page


async def _raise(request: Request, error: Exception) -> NoReturn:
    """Leave an error to the security middleware, which answers all of them."""
    raise error
