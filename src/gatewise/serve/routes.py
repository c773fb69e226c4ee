"""The routes: what each takes, gives and is called. What they do is in the modules that they call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import Response

from gatewise.serve import openapi
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.explain import explain, model_card, unit
from gatewise.serve.open_inference import VERSION, infer, model_metadata, model_of, server_metadata
from gatewise.serve.predict import predict
from gatewise.serve.state import State
from gatewise.serve.static_files import Asset, takes_gzip

__all__ = ["add_page", "add_routes", "add_v2"]

_ModelName = Annotated[str | None, Query(max_length=200, description="Which model; without it the first one.")]
_BODY = (403, 404, 413, 415, 429, 504)  # what may be wrong where there is a body


def add_routes(app: FastAPI, state: State) -> None:
    """gatewise's own."""
    ask = openapi.predict_request(state.served.values(), state.settings)

    @app.post("/predict", openapi_extra=ask, responses=openapi.answers(openapi.PREDICTIONS, *_BODY))
    async def predict_inputs(request: Request) -> Response:
        """Labels and probabilities of a text, a series, or several."""
        return _json(await predict(state, request.scope, await request.body()))

    @app.post(
        "/explain",
        openapi_extra=openapi.explain_request(state.served.values()),
        responses=openapi.answers(None, *_BODY),
    )
    async def explain_input(request: Request) -> Response:
        """How a verdict came about, word by word and gate by gate."""
        return _json(await explain(state, request.scope, await request.body()))

    @app.get("/model", responses=openapi.answers(None, 404, 422, 429, 504))
    async def model(model: _ModelName = None) -> Response:
        """The model's card."""
        return _json(await model_card(state, model))

    @app.get("/units/{k}", responses=openapi.answers(None, 404, 422, 429, 504))
    async def unit_of(
        k: Annotated[int, Path(ge=0, le=100_000)],
        layer: Annotated[int, Query(ge=0, le=100)] = 0,
        dir: Annotated[Literal["forward", "backward"], Query()] = "forward",
        model: _ModelName = None,
    ) -> Response:
        """What one unit does."""
        return _json(await unit(state, model, k, layer, dir))

    @app.get("/metrics", responses=openapi.answers({"type": "string"}, kind="text/plain"))
    async def metrics() -> Response:
        """Counters, as Prometheus reads them."""
        state.count_waiting()
        return Response(state.metrics.text(), media_type=state.metrics.type)


def add_v2(app: FastAPI, state: State) -> None:
    """The Open Inference Protocol's."""
    for path in ("/v2", "/v2/"):

        @app.get(path, include_in_schema=path == "/v2", responses=openapi.v2_answers(openapi.SERVER))
        async def server() -> Response:
            """The server's name and version."""
            return _json(_dump(server_metadata()))

    @app.get("/v2/health/live", responses=openapi.v2_answers(None))
    async def live() -> Response:
        """Whether the process answers at all."""
        return _json(b'{"live":true}')

    @app.get("/v2/health/ready", responses=openapi.v2_answers(None))
    async def ready() -> Response:
        """Whether every model has made a prediction, and the server is not stopping: else 503."""
        return _ready(state)

    for version in ("", "/versions/{version}"):
        _add_model(app, state, f"/v2/models/{{name}}{version}")


def _add_model(app: FastAPI, state: State, path: str) -> None:
    names = openapi.path_parameters({"name": list(state.served), "version": [VERSION]}, path)
    ask = openapi.infer_request(state.served.values())

    def named(request: Request) -> ModelEndpoint:
        return model_of(state, request.path_params["name"], request.path_params.get("version"))

    @app.get(path, openapi_extra=names, responses=openapi.v2_answers(openapi.MODEL, 404))
    async def metadata(request: Request) -> Response:
        """A model's tensors."""
        return _json(_dump(model_metadata(named(request))))

    @app.get(f"{path}/ready", openapi_extra=names, responses=openapi.v2_answers(None, 404))
    async def model_ready(request: Request) -> Response:
        """Whether the model can answer."""
        return _ready(state, name=named(request).name)

    @app.post(f"{path}/infer", openapi_extra=names | ask, responses=openapi.v2_answers(openapi.INFERENCE, *_BODY))
    async def infer_tensor(request: Request) -> Response:
        """Labels and probabilities of a tensor of texts or series."""
        return _json(await infer(state, named(request), request.scope, await request.body()))


def add_page(app: FastAPI, assets: Mapping[str, Asset]) -> None:
    """The page's files, each at its own path."""
    for path, asset in assets.items():

        @app.get(path, include_in_schema=False)
        async def file(request: Request, asset: Asset = asset) -> Response:
            """One file."""
            packed = asset.packed is not None and takes_gzip(request.headers.getlist("accept-encoding"))
            tag = asset.tag[:-1] + '-gzip"' if packed else asset.tag
            headers = {"etag": tag, "cache-control": "no-cache", "vary": "accept-encoding"}
            if request.headers.get("if-none-match") == tag:
                return Response(status_code=304, headers=headers)
            headers["content-type"] = asset.type
            if packed:
                return Response(asset.packed, headers={**headers, "content-encoding": "gzip"})
            return Response(asset.body, headers=headers)


def _ready(state: State, **more: Any) -> Response:
    return Response(_dump({**more, "ready": state.ready}), 200 if state.ready else 503, media_type="application/json")


def _dump(found: dict[str, Any]) -> bytes:
    return json.dumps(found, separators=(",", ":")).encode()


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
