"""The application: FastAPI for the routes and their description, behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gatewise import __version__
from gatewise.model import Model
from gatewise.serve.explain import explain, model_card, unit
from gatewise.serve.guard import Guard
from gatewise.serve.pages import Asset
from gatewise.serve.predict import predict
from gatewise.serve.refusal import Refusal
from gatewise.serve.settings import Settings
from gatewise.serve.state import State

__all__ = ["create_app"]

ModelName = Annotated[str | None, Query(max_length=200, description="Which model; without it the first one.")]


def create_app(models: Mapping[str, Model], settings: Settings, port: int) -> tuple[Guard, State]:
    """The ASGI application that serves these models at `port`, and what it holds."""
    state = State(models, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        state.warm_up()
        yield
        state.close()

    app = FastAPI(
        title="gatewise", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False
    )
    _own_routes(app, state)
    for path, asset in state.assets.items():
        app.add_api_route(path, _serve(asset), methods=["GET"], include_in_schema=False)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(Exception, _failed)
    return Guard(app, settings, settings.hosts(port), partial(_observe, state)), state


def _own_routes(app: FastAPI, state: State) -> None:
    @app.post("/predict")
    async def predict_route(request: Request) -> Response:
        """Labels and probabilities of a text, a series, or several."""
        return _json(await predict(state, request.scope, await request.body()))

    @app.post("/explain")
    async def explain_route(request: Request) -> Response:
        """How a verdict came about, word by word and gate by gate."""
        return _json(await explain(state, await request.body()))

    @app.get("/model")
    async def model_route(model: ModelName = None) -> Response:
        """The model's card."""
        return _json(await model_card(state, model))

    @app.get("/units/{k}")
    async def unit_route(
        k: Annotated[int, Path(ge=0, le=100_000)],
        layer: Annotated[int, Query(ge=0, le=100)] = 0,
        dir: Annotated[Literal["forward", "backward"], Query()] = "forward",
        model: ModelName = None,
    ) -> Response:
        """What one unit does."""
        return _json(await unit(state, model, k, layer, dir))

    @app.get("/metrics")
    async def metrics_route() -> Response:
        """Counters, as Prometheus reads them."""
        state.count_waiting()
        return Response(state.metrics.text(), media_type=state.metrics.type)


def _serve(asset: Asset) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        headers = {"etag": asset.tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == asset.tag:
            return Response(status_code=304, headers=headers)
        return Response(asset.body, headers={**headers, "content-type": asset.type})

    return serve


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _answer(refusal: Refusal, path: str) -> Response:
    headers = {name.decode(): value.decode() for name, value in refusal.headers}
    return Response(refusal.body(path), refusal.status, headers, "application/json")


async def _refused(request: Request, error: Any) -> Response:
    return _answer(error, request.url.path)


async def _no_route(request: Request, error: Any) -> Response:
    say = {404: "there is nothing at that path", 405: "that path has no such method"}
    headers = tuple((name.encode(), value.encode()) for name, value in (error.headers or {}).items())
    line = say.get(error.status_code, "the request cannot be answered")
    return _answer(Refusal(error.status_code, "http", line, None, headers), request.url.path)


async def _invalid(request: Request, error: Any) -> Response:
    """A path or query parameter; the validator's own words would repeat it."""
    field = str(error.errors()[0]["loc"][-1]) if error.errors() else None
    return _answer(Refusal(422, "bad_field", "a parameter is not what it must be", field), request.url.path)


async def _failed(request: Request, error: Exception) -> Response:
    """What the client hears; the exception goes on to the guard, which logs where it was."""
    return _answer(Refusal(500, "internal", "the server failed; its log says where"), request.url.path)


def _observe(state: State, scope: dict[str, Any], status: int, seconds: float) -> None:
    state.metrics.request(str(getattr(scope.get("route"), "path", "none")), status, seconds)
