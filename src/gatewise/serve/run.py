"""Start the server, in this process or in several, and serve until it is stopped."""

import os
import sys

from gatewise.kernels.threads import threads
from gatewise.serve.listener import Listener
from gatewise.serve.server import Server, end_process
from gatewise.serve.settings import Settings
from gatewise.serve.state import State, load_models
from gatewise.serve.supervisor import Supervisor


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code. Raises a GatewiseError if the server cannot start."""
    threads()  # an invalid GATEWISE_THREADS is an error before anything starts
    os.environ["GATEWISE_THREADS"] = os.environ.get("GATEWISE_THREADS") or str(settings.threads)
    models = load_models(settings)
    listener = Listener(settings)
    try:
        state = State(models, settings)
        line = _ready_line(settings, listener.port, list(models))
        if settings.workers > 1:
            return Supervisor(state, listener, line).run()
        Server(state, listener, on_start=lambda: print(line, file=sys.stderr, flush=True)).run()
        end_process(state)
    finally:
        listener.close()
    return 0


def _ready_line(settings: Settings, port: int, names: list[str]) -> str:
    line = f"gatewise: serving {', '.join(names)} at {settings.url(port)} (Ctrl-C ends it)"
    if settings.lesson and settings.uds is None:
        line += f"\ngatewise: the lesson is at {settings.url(port)}/lesson.html"
    return line
