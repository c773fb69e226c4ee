"""`Server`: uvicorn's server of one process, which loses no client when it stops.

uvicorn closes its listening socket at once, and the system then resets the connections of all clients that wait to be
accepted, and of those that send a request at that moment. Here the stop has four parts:

1. For `--drain-seconds` everything goes on, but `ready` is 503, and responses ask their clients to disconnect.
2. New clients cannot connect. Those who have are accepted. Requests that arrive now are answered with 503.
3. Connections without a request are closed, after a second at most, and requests in progress have
   `--shutdown-timeout` seconds. This part is uvicorn's.
4. The process ends.

A worker process that stops alone has no part 2: the others accept the clients.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

from gatewise.serve.app import create_app
from gatewise.serve.listener import Listener
from gatewise.serve.protocol import Config, Connection
from gatewise.serve.settings import Settings
from gatewise.serve.state import State
from gatewise.system.processes import RELOAD_SIGNAL, event_loop, receive_signals

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))
"""The signals that ask the server to stop. SIGBREAK: of Windows alone."""

_SAME_SIGNAL = 0.5  # seconds: a terminal sends Ctrl-C to a program and to its parent, which may pass it on
_HANDSHAKE = 0.1  # seconds in which clients whose first packet has arrived are connected
IDLE_GRACE = 1.0  # seconds that a connected client has to send its request after the server began to stop
_CHECK = 0.02  # seconds between two looks at the clients that wait


class Server(uvicorn.Server):
    """Answers requests at a listener.

    on_start: called when the server answers requests. on_close: called before it stops to accept clients. is_last:
    whether no other process will accept the clients that wait. stop_again: called with a second signal to stop that
    arrives more than half a second after the first one.
    """

    def __init__(
        self,
        state: State,
        listener: Listener,
        on_start: Callable[[], object],
        on_close: Callable[[], object] = lambda: None,
        is_last: Callable[[], bool] = lambda: True,
        stop_again: Callable[[int], object] = lambda number: os._exit(128 + number),
    ) -> None:
        super().__init__(_config(state.settings, create_app(state, listener.port)))
        self._state = state
        self._listener = listener
        self._on_start = on_start
        self._on_close = on_close
        self._is_last = is_last
        self._stop_again = stop_again

    def run(self, sockets: Any = None) -> None:
        """Serve until `stop` or a signal. In the main thread it installs its handlers of signals before the event loop
        runs: an exception of another handler would be lost in the loop.
        """
        with self._handled_signals():
            super().run([self._listener.sock])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own handlers are not needed: see `run`."""
        yield

    @contextmanager
    def _handled_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        stops = list(STOP_SIGNALS)
        if RELOAD_SIGNAL is not None:
            previous[RELOAD_SIGNAL] = signal.getsignal(RELOAD_SIGNAL)
            if self._state.settings.reload:
                signal.signal(RELOAD_SIGNAL, lambda number, frame: self._state.reload_in_thread())
            elif previous[RELOAD_SIGNAL] is not signal.SIG_IGN:
                # Without --reload, SIGHUP says that the terminal was closed. nohup ignores it, and so does the server.
                stops.append(RELOAD_SIGNAL)
        handle_stops(self._stop_on_signal, self._stop_again, stops)
        receive_signals(previous)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _stop_on_signal(self, number: int) -> None:
        """Called between any two instructions of the main thread, also before the loop runs."""
        self._state.ready = False
        if not self.started:
            self.should_exit = True  # it starts, answers the clients that have connected, and stops
            return
        self._loop.call_soon_threadsafe(self._loop.call_later, self._state.settings.drain_seconds, self.stop)

    def stop(self) -> None:
        """Begin part 2 of the stop."""
        self._state.ready = False
        self.should_exit = True

    async def startup(self, sockets: Any = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._on_start()

    async def shutdown(self, sockets: Any = None) -> None:
        self._state.ready = False
        # Another process may have received the same signal a moment later. Until then it would count as one that
        # accepts the clients that wait.
        await asyncio.sleep(_HANDSHAKE)
        if self._is_last():
            self._state.refusing = True
            self._listener.refuse_new_clients()
        else:
            for server in self.servers:
                server.close()
        await self._answer_last_clients()
        self._on_close()
        await super().shutdown(sockets)

    async def _answer_last_clients(self) -> None:
        """Wait until no client waits to be accepted, and until every connected client has sent its request or has had
        `IDLE_GRACE` seconds for it.
        """
        start = self._loop.time()
        longest = max(IDLE_GRACE, self._state.settings.shutdown_timeout)
        while True:
            is_accepting = self._is_last() and self._listener.has_waiting_client()
            await asyncio.sleep(_CHECK)  # after it, the clients accepted before are among the connections
            may_ask = any(connection.is_waiting for connection in self.server_state.connections)  # type: ignore[union-attr]
            passed = self._loop.time() - start
            if passed > longest:  # new clients still connect where the system cannot keep them out
                return
            if passed <= _HANDSHAKE or is_accepting:
                continue
            if not may_ask or passed >= IDLE_GRACE:
                return


def end_process(state: State) -> None:
    """End this process within a second. Python itself would wait for the threads, whose results nobody reads."""
    state.close()
    end = threading.Timer(1.0, os._exit, (0,))
    end.daemon = True
    end.start()


def handle_stops(
    first: Callable[[int], object], again: Callable[[int], object], numbers: Sequence[int] = STOP_SIGNALS
) -> None:
    """Call `first` on one of the signals, and `again` on each later one that is not the same Ctrl-C."""
    first_time: float | None = None

    def stop(number: int, frame: object) -> None:
        nonlocal first_time
        if first_time is None:
            first_time = time.monotonic()
            first(number)
        elif time.monotonic() - first_time > _SAME_SIGNAL:
            again(number)

    for number in numbers:
        signal.signal(number, stop)


def _websocket_class() -> Any:
    """The protocol of WebSockets; None without the package websockets, where `GET /stream` is refused."""
    try:
        from gatewise.serve.websocket import WebSocketConnection
    except ModuleNotFoundError:
        return None
    return WebSocketConnection


def _config(settings: Settings, app: Callable[..., Any]) -> Config:
    logging.basicConfig(stream=sys.stderr, format="gatewise: %(message)s", level=logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = Config(
        app,
        http=Connection,
        ws=_websocket_class() or "none",
        ws_max_size=settings.max_body,
        # A small message that unpacks to a large one would be a way around the limit of messages that wait.
        ws_per_message_deflate=False,
        loop=event_loop(),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout)),
    )
    config.settings = settings
    return config
