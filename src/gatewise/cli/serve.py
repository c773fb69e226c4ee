"""`gatewise serve`: models over HTTP, with the page."""

from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from gatewise.cli.options import command, option
from gatewise.errors import MissingExtra
from gatewise.model import bundled
from gatewise.serve.settings import Settings
from gatewise.system.processes import RELOAD_SIGNAL, block_signal, event_loop

_MODELS = "Folder of a model or forecaster; its name is the folder's. May be repeated. Default: the bundled model."


def _settings(function: Callable[[Any], None]) -> Callable[[Any], None]:
    """The options of the command: the models, and one per setting."""
    settings = [setting for setting in fields(Settings) if setting.metadata]
    for setting in reversed(settings):  # a decorator adds its option in front of the others
        arguments = dict(setting.metadata["option"])
        name = arguments.pop("name", f"--{setting.name.replace('_', '-')}")
        function = option(name, setting.name, default=setting.default, **arguments)(function)
    return option("-m", "--model", "models", metavar="DIR", multiple=True, help=_MODELS)(function)


@command()
@_settings
def serve(args: Any) -> None:
    """Serve models over HTTP: /predict, /explain, /forecast, the Open Inference Protocol at /v2, /metrics, a page at /,
    and the lesson at /lesson.html.

    \b
    gatewise serve
    gatewise serve --lesson
    gatewise serve -m models/imdb-fast
    gatewise serve -m models/imdb-fast -m models/gestures --port 9000 --workers 2
    """
    if args.reload:
        block_signal(RELOAD_SIGNAL)  # a signal that comes before the server is ready would end it
    for package in ("fastapi", "uvicorn", "httptools", event_loop(), "prometheus_client"):  # a loop is a package
        if find_spec(package) is None:
            raise MissingExtra(package.replace("_", "-"), "serve", "gatewise serve")
    from gatewise.model.loading import load
    from gatewise.serve.run import run

    if args.models:
        args.models = tuple(str(bundled.resolve(model)) for model in args.models)
    elif args.lesson:
        args.models = (str(bundled.folder(bundled.TUTORIAL)),)
    else:
        args.models = (str(bundled.folder(bundled.NAME)),)
    raise SystemExit(run(Settings(load=load, **vars(args))))
