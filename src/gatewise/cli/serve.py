"""`gatewise serve`: models over HTTP, with the page."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from gatewise.cli.arguments import PrecisionOption, argument, option
from gatewise.errors import MissingExtra
from gatewise.model import bundled
from gatewise.system.processes import event_loop


def serve(
    models: Annotated[
        list[str] | None,
        argument("MODEL...", "Model folders; a model's name is its folder's. Default: the bundled model."),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; others than loopback require --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen at; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option("--workers", help="Worker processes.")] = 1,
    threads: Annotated[
        int, typer.Option("--threads", help="Kernel threads per worker; GATEWISE_THREADS overrides it.")
    ] = 1,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="GATEWISE_TOKEN", help="Token required in every request.", show_default=False),
    ] = None,
    allow_host: Annotated[
        list[str] | None, option("--allow-host", "NAME[:PORT]", "A further accepted Host; may be repeated.")
    ] = None,
    queue: Annotated[int, typer.Option("--queue", help="Inputs that may wait, per model; beyond it 429.")] = 1024,
    queue_timeout: Annotated[
        float, typer.Option("--queue-timeout", help="Seconds that a request may wait in the queue; then 504.")
    ] = 10.0,
    max_batch: Annotated[int, typer.Option("--max-batch", help="Inputs per batch.")] = 64,
    max_batch_tokens: Annotated[int, typer.Option("--max-batch-tokens", help="Tokens per batch, about.")] = 16_384,
    max_inputs: Annotated[int, typer.Option("--max-inputs", help="Inputs per request.")] = 256,
    max_body: Annotated[int, typer.Option("--max-body", help="Bytes per request.")] = 1_000_000,
    read_timeout: Annotated[
        float, typer.Option("--read-timeout", help="Seconds for a request to arrive, and for a client to read.")
    ] = 10.0,
    keep_alive: Annotated[int, typer.Option("--keep-alive", help="Seconds until an idle connection is closed.")] = 75,
    limit_concurrency: Annotated[int, typer.Option("--limit-concurrency", help="Open connections per worker.")] = 1000,
    shutdown_timeout: Annotated[
        float, typer.Option("--shutdown-timeout", help="Seconds for requests in flight after SIGTERM.")
    ] = 15.0,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log method, path and status of requests.")] = False,
    precision: PrecisionOption = "float32",
) -> None:
    """Serve models over HTTP: /predict, /explain, the Open Inference Protocol at /v2, /metrics, and a page at /.

    \b
    gatewise serve
    gatewise serve models/imdb-fast
    gatewise serve models/imdb-fast models/gestures --port 9000 --workers 2
    """
    for package in ("fastapi", "uvicorn", "httptools", event_loop(), "prometheus_client"):  # a loop is a package
        if find_spec(package) is None:
            raise MissingExtra(package.replace("_", "-"), "serve", "gatewise serve")
    from gatewise.serve import Settings, run

    settings = Settings(
        models=tuple(models) if models else (str(bundled.folder()),),
        host=host,
        port=port,
        workers=workers,
        threads=threads,
        token=token,
        allow_hosts=tuple(allow_host or ()),
        precision=precision,
        queue=queue,
        queue_timeout=queue_timeout,
        max_batch=max_batch,
        max_batch_tokens=max_batch_tokens,
        max_inputs=max_inputs,
        max_body=max_body,
        read_timeout=read_timeout,
        keep_alive=keep_alive,
        limit_concurrency=limit_concurrency,
        shutdown_timeout=shutdown_timeout,
        access_log=access_log,
    )
    raise typer.Exit(run(settings))
