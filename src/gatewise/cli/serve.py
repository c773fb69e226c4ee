"""`gatewise serve`: models over HTTP, with the page."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from gatewise.cli import options
from gatewise.cli.options import command, flag, option
from gatewise.errors import MissingExtra
from gatewise.model import bundled
from gatewise.system.processes import event_loop

_MODELS = "Folder of a model or forecaster; its name is the folder's. May be repeated. Default: the bundled model."
_LIMITS = "Limits"


@command()
@option("-m", "--model", "models", metavar="DIR", multiple=True, help=_MODELS)
@flag("--lesson", help="Serve the tutorial's model, and print the address of the lesson.")
@option("--host", default="127.0.0.1", help="Address to listen at; others than loopback require --token.")
@option("--port", default=8000, help="Port to listen at; 0 takes a free one.")
@option("--uds", metavar="PATH", help="Unix domain socket to listen at, instead of a port.")
@option("--workers", default=1, help="Worker processes.")
@option("--threads", default=1, help="Kernel threads per worker; GATEWISE_THREADS overrides it.")
@option("--token", envvar="GATEWISE_TOKEN", show_envvar=True, help="Token required in every request.")
@option(
    "--metrics-token",
    envvar="GATEWISE_METRICS_TOKEN",
    show_envvar=True,
    help="Token of /metrics, in place of --token; none: it needs none.",
)
@option(
    "--allow-host", "allow_hosts", metavar="NAME[:PORT]", multiple=True, help="A further accepted Host; may repeat."
)
@option("--cors", metavar="ORIGIN", multiple=True, help="A site whose pages may use the server; may repeat.")
@flag("--access-log", help="Log a line of JSON for each request.")
@options.precision_option
@flag("--reload", help="Load the models again on SIGHUP, or by the repository API.")
@option("--queue", default=1024, group=_LIMITS, help="Inputs that may wait, per model; beyond it 429.")
@option("--queue-timeout", default=10.0, group=_LIMITS, help="Seconds that a request may wait in the queue; then 504.")
@option("--max-batch", default=64, group=_LIMITS, help="Inputs per batch.")
@option("--max-batch-tokens", default=16_384, group=_LIMITS, help="Tokens per batch, about.")
@option("--max-inputs", default=256, group=_LIMITS, help="Inputs per request.")
@option("--max-body", default=1_000_000, group=_LIMITS, help="Bytes per request.")
@option(
    "--read-timeout", default=10.0, group=_LIMITS, help="Seconds for a request to arrive, and for a client to read."
)
@option("--keep-alive", default=75, group=_LIMITS, help="Seconds until an idle connection is closed.")
@option("--limit-concurrency", default=1000, group=_LIMITS, help="Open connections per worker.")
@option("--drain-seconds", default=0.0, group=_LIMITS, help="Seconds after SIGTERM in which requests are still taken.")
@option("--shutdown-timeout", default=15.0, group=_LIMITS, help="Seconds for requests in flight after SIGTERM.")
def serve(given: Any) -> None:
    """Serve models over HTTP: /predict, /explain, /forecast, the Open Inference Protocol at /v2, /metrics, a page at /,
    and the lesson at /lesson.html.

    \b
    gatewise serve
    gatewise serve --lesson
    gatewise serve -m models/imdb-fast
    gatewise serve -m models/imdb-fast -m models/gestures --port 9000 --workers 2
    """
    for package in ("fastapi", "uvicorn", "httptools", event_loop(), "prometheus_client"):  # a loop is a package
        if find_spec(package) is None:
            raise MissingExtra(package.replace("_", "-"), "serve", "gatewise serve")
    from gatewise.forecast import load
    from gatewise.serve import Settings, run

    given.models = tuple(str(options.model_folder(model)) for model in given.models) or (
        str(bundled.folder(bundled.TUTORIAL if given.lesson else bundled.NAME)),
    )
    raise SystemExit(run(Settings(**vars(given)), load))
