"""`gatewise serve`: models over HTTP, with the page."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from gatewise.cli.arguments import PrecisionOption
from gatewise.errors import MissingExtra
from gatewise.model import bundled as bundled

_Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL...",
        help="Model folders; a model's name is its folder's. Default: the bundled model.",
        show_default=False,
    ),
]


def serve(
    models: _Models = None,
    host: Annotated[str, typer.Option("--host", help="Other than loopback it demands --token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0 for a free one.")] = 8000,
    workers: Annotated[int, typer.Option("--workers", help="Processes.")] = 1,
    threads: Annotated[int, typer.Option("--threads", help="The kernel's, a worker; GATEWISE_THREADS goes first.")] = 1,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="GATEWISE_TOKEN", help="What every request must bring.", show_default=False),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME[:PORT]", help="One more Host that is answered.", show_default=False),
    ] = None,
    queue: Annotated[int, typer.Option("--queue", help="Texts that may wait; beyond it 429.")] = 1024,
    deadline: Annotated[float, typer.Option("--deadline", help="Seconds until a waiting request is refused.")] = 10.0,
    max_batch: Annotated[int, typer.Option("--max-batch", help="Texts that run together.")] = 64,
    max_steps: Annotated[int, typer.Option("--max-steps", help="Words, about, that run together.")] = 16_384,
    max_items: Annotated[int, typer.Option("--max-items", help="Texts of one request.")] = 256,
    max_body: Annotated[int, typer.Option("--max-body", help="Bytes of one request.")] = 1_000_000,
    patience: Annotated[float, typer.Option("--patience", help="Seconds that a request may take to arrive.")] = 10.0,
    connections: Annotated[int, typer.Option("--connections", help="Open at once, a worker.")] = 1000,
    grace: Annotated[float, typer.Option("--grace", help="Seconds for requests in flight after SIGTERM.")] = 15.0,
    access_log: Annotated[bool, typer.Option("--access-log", help="A line a request: method, path, status.")] = False,
    precision: PrecisionOption = "float32",
) -> None:
    """Serve models over HTTP: /predict, /explain, the Open Inference Protocol at /v2, /metrics, and a page at /.

    \b
    gatewise serve
    gatewise serve models/imdb-fast
    gatewise serve models/imdb-fast models/gestures --port 9000 --workers 2
    """
    for package in ("fastapi", "uvicorn", "httptools", "uvloop", "prometheus_client"):
        if find_spec(package) is None:
            raise MissingExtra(package.replace("_", "-"), "serve", "gatewise serve")
    from gatewise.serve import Settings, run

    settings = Settings(
        models=_folders(models),
        host=host,
        port=port,
        workers=workers,
        threads=threads,
        token=token,
        allow_hosts=tuple(allow_host or ()),
        precision=precision,
        queue=queue,
        deadline=deadline,
        max_batch=max_batch,
        max_steps=max_steps,
        max_items=max_items,
        max_body=max_body,
        patience=patience,
        connections=connections,
        grace=grace,
        access_log=access_log,
    )
    raise typer.Exit(run(settings))


def _folders(models: list[str] | None) -> tuple[str, ...]:
    """The folders to serve; the bundled model where none is named."""
    return tuple(models) if models else (str(bundled.folder()),)
