"""The application: FastAPI for the routes and their description, behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gatewise._version import __version__
from gatewise.model.model import Model
from gatewise.serve.http_error import HTTPError
from gatewise.serve.predict import predict
from gatewise.serve.routes import add_page, add_routes, add_v2
from gatewise.serve.security import SecurityMiddleware
from gatewise.serve.settings import Settings
from gatewise.serve.state import State

__all__ = ["create_app"]


def create_app(models: Mapping[str, Model], settings: Settings, port: int) -> tuple[SecurityMiddleware, State]:
    """The ASGI application that serves these models at `port`, and what it holds."""
    state = State(models, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        state.warm_up()
        yield
        state.close()

    # No /docs: its page comes from other people's servers.
    app = FastAPI(
        title="gatewise", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False
    )
    add_routes(app, state)
    add_v2(app, state)
    add_page(app, state.assets)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPError, _refused)
    app.add_exception_handler(Exception, _failed)
    direct = {"/predict": partial(predict, state)}
    return SecurityMiddleware(app, settings, settings.hosts(port), state.metrics.request, direct), state


def _answer(refusal: HTTPError, path: str) -> Response:
    headers = {name.decode(): value.decode() for name, value in refusal.headers}
    return Response(refusal.body(path), refusal.status, headers, "application/json")


async def _refused(request: Request, error: Any) -> Response:
    return _answer(error, request.scope["path"])


async def _no_route(request: Request, error: Any) -> Response:
    say = {404: "there is nothing at that path", 405: "that path has no such method"}
    headers = tuple((name.encode(), value.encode()) for name, value in (error.headers or {}).items())
    line = say.get(error.status_code, "the request cannot be answered")
    return _answer(HTTPError(error.status_code, "http", line, None, headers), request.scope["path"])


async def _invalid(request: Request, error: Any) -> Response:
    """A path or query parameter; the validator's own words would repeat it."""
    field = str(error.errors()[0]["loc"][-1]) if error.errors() else None
    return _answer(HTTPError(422, "bad_field", "a parameter is not what it must be", field), request.scope["path"])


async def _failed(request: Request, error: Exception) -> Response:
    """What the client hears; the exception goes on to the guard, which logs where it was."""
    return _answer(HTTPError(500, "internal", "the server failed; its log says where"), request.scope["path"])
