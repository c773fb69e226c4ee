"""From settings to a server that listens, and from SIGTERM to its end."""

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
from collections.abc import Generator
from types import FrameType
from typing import Any

import uvicorn

from gatewise.errors import InputError, printable
from gatewise.serve.app import create_app
from gatewise.serve.protocol import Connection, close_slow_clients
from gatewise.serve.settings import Settings
from gatewise.serve.state import State, open_models
from gatewise.serve.workers import supervise

__all__ = ["listen", "run", "work"]


_ONE_SIGNAL = 0.5  # seconds: a terminal's Ctrl-C reaches a program and its parent, which may pass it on


class _Config(uvicorn.Config):
    settings: Settings


class _Server(uvicorn.Server):
    """uvicorn's, except that a signal which was waited for is no failure: exit code 0; and the second one ends it."""

    state: State
    _told = 0.0  # when the first signal came

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        settings = self.config.settings  # type: ignore[attr-defined]
        self._sweep = asyncio.create_task(close_slow_clients(self.server_state.connections, settings.patience))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._sweep.cancel()
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
        if self.should_exit and time.monotonic() - self._told > _ONE_SIGNAL:
            os._exit(128 + sig)
        if not self.should_exit:
            self._told = time.monotonic()
        self.state.ready = False
        self.should_exit = True


def listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises InputError with the system's reason."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((settings.host, settings.port))
        sock.listen(2048)
    except OSError as error:
        sock.close()
        why = error.strerror or str(error)
        raise InputError(f"cannot listen at {printable(settings.host)} port {settings.port}: {why}") from None
    sock.setblocking(False)
    return sock


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit code. Raises a GatewiseError for what keeps it from starting."""
    models = open_models(settings)
    sock = listen(settings)
    port = sock.getsockname()[1]
    names = ", ".join(models)
    print(f"gatewise: serving {names} at {settings.url(port)} (Ctrl-C ends it)", file=sys.stderr, flush=True)
    if settings.workers > 1:
        return supervise(settings, sock, work)
    return work(settings, sock, models)


def work(settings: Settings, sock: socket.socket, models: Any = None) -> int:
    """Serve in this process."""
    os.environ.setdefault("GATEWISE_THREADS", str(settings.threads))
    logging.basicConfig(stream=sys.stderr, format="gatewise: %(message)s", level=logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.access").setLevel(logging.INFO)
    app, state = create_app(models or open_models(settings), settings, sock.getsockname()[1])
    config = _Config(
        app,
        http=Connection,
        ws="none",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=settings.access_log,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(settings.grace)),
    )
    config.settings = settings
    server = _Server(config)
    server.state = state
    server.run(sockets=[sock])
    _leave()
    return 0


def _leave() -> None:
    """End now, even where a worker thread is still at something that nobody waits for: Python would wait for it."""
    for thread in threading.enumerate():
        if thread.name.startswith("gatewise-"):
            thread.join(0.5)
            if thread.is_alive():
                sys.stderr.flush()
                os._exit(0)
