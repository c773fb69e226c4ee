"""Start the server, and stop it on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from types import FrameType

import uvicorn

from gatewise.errors import InputError, printable
from gatewise.kernels.threads import threads
from gatewise.model.model import Model
from gatewise.serve.app import create_app
from gatewise.serve.protocol import Connection, close_slow_clients
from gatewise.serve.settings import Settings
from gatewise.serve.state import State, load_models
from gatewise.serve.workers import supervise
from gatewise.system.processes import event_loop, one_listener

_SAME_SIGNAL = 0.5  # seconds: a terminal sends Ctrl-C to a program and to its parent, which may pass it on


class _Config(uvicorn.Config):
    settings: Settings


class _Server(uvicorn.Server):
    """uvicorn's server, except that a signal ends it with exit code 0, and a second signal ends it at once."""

    state: State
    _signalled_at = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settings = self.config.settings  # type: ignore[attr-defined]
        self._slow_clients = asyncio.create_task(
            close_slow_clients(self.server_state.connections, settings.read_timeout)
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._slow_clients.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and time.monotonic() - self._signalled_at > _SAME_SIGNAL:
            os._exit(128 + sig)
        if not self.should_exit:
            self._signalled_at = time.monotonic()
        self.state.ready = False
        self.should_exit = True


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code. Raises a GatewiseError if the server cannot start."""
    threads()  # an invalid GATEWISE_THREADS is an error before anything starts
    models = load_models(settings)
    sock = _listen(settings)
    url = settings.url(sock.getsockname()[1])

    def is_ready() -> None:
        print(f"gatewise: serving {', '.join(models)} at {url} (Ctrl-C ends it)", file=sys.stderr, flush=True)

    if settings.workers > 1:
        return supervise(settings, sock, _serve, is_ready)
    return _serve(settings, sock, is_ready, models)


def _listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises InputError with the system's reason."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        one_listener(sock)
        sock.bind((settings.host, settings.port))
        sock.listen(2048)
    except OSError as error:
        sock.close()
        why = error.strerror or str(error)
        raise InputError(f"cannot listen at {printable(settings.host)} port {settings.port}: {why}") from None
    sock.setblocking(False)
    return sock


def _serve(
    settings: Settings, sock: socket.socket, is_ready: Callable[[], None], models: Mapping[str, Model] | None = None
) -> int:
    """Serve in this process; returns the exit code. is_ready: called once every model has made a prediction. Raises a
    GatewiseError if the server cannot start.
    """
    if not os.environ.get("GATEWISE_THREADS"):
        os.environ["GATEWISE_THREADS"] = str(settings.threads)
    logging.basicConfig(stream=sys.stderr, format="gatewise: %(message)s", level=logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.access").setLevel(logging.INFO)
    app, state = create_app(models or load_models(settings), settings, sock.getsockname()[1])
    state.warm_up()
    is_ready()
    config = _Config(
        app,
        http=Connection,
        ws="none",
        loop=event_loop(),
        lifespan="on",
        log_config=None,
        access_log=settings.access_log,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout)),
    )
    config.settings = settings
    server = _Server(config)
    server.state = state
    server.run(sockets=[sock])
    _end_threads()
    return 0


def _end_threads() -> None:
    """Exit even if a worker thread still computes something that nobody waits for: Python would wait for it."""
    for thread in threading.enumerate():
        if thread.name.startswith("gatewise-"):
            thread.join(0.5)
            if thread.is_alive():
                sys.stderr.flush()
                os._exit(0)
