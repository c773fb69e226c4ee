"""The HTTP/1.1 connection: uvicorn's, with the limits that it lacks, as docs/trust.md promises them.

The limits: 16 KB of headers, a time for the request to arrive and for the client to read the response, a number of open
connections, and paths as request targets. A connection checks its times once per second; there is no timer per request.
Neither uvicorn nor granian has a limit for clients that send nothing or read nothing.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gatewise.serve.http_error import HTTPError
from gatewise.serve.security import ARRIVING_SINCE, DISCONNECTED, SECURITY_HEADERS
from gatewise.serve.settings import Settings

WEBSOCKET_PATH = b"/stream"
_MAX_HEADERS = 16_384  # bytes of the request line and the headers


class Config(uvicorn.Config):
    """uvicorn's configuration, with the server's settings."""

    settings: Settings


class Connection(HttpToolsProtocol):
    """One connection. `config` is a `Config`."""

    config: Config

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_bytes = 0  # of the request that is arriving; -1 once its headers are complete
        self._bytes_without_body = 0  # of chunk extensions and trailers
        self._requests = self._responses = 0  # complete ones
        self._cycles: deque[Any] = deque()  # requests without a complete response
        self._rejection: HTTPError | None = None  # to be sent after the responses to complete requests
        self._reading_since: float | None = None  # when the request that is arriving began, or may go on
        self._writing_since: float | None = None  # since when the client has read nothing
        self._stopping = False

    @property
    def is_waiting(self) -> bool:
        """Whether the client has no request that the server works on, and may send one."""
        is_idle = self.cycle is None or self.cycle.response_complete
        return is_idle and self._rejection is None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reading_since = self.loop.time()  # the read timeout starts when a client connects
        self._timer = self.loop.call_later(1.0, self._close_if_slow)
        if len(self.connections) > self.config.settings.limit_concurrency:
            self._reject(503, "busy", "too many connections are open")

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        for cycle in self._cycles:  # uvicorn tells the last one only
            cycle.disconnected = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing() or self._rejection is not None:
            return
        if self._reading_since is None and (self.cycle is None or self.cycle.response_complete):
            self._reading_since = self.loop.time()
        before = self._requests
        super().data_received(data)
        if self._header_bytes >= 0 and self._requests == before:  # all of it was headers, and they go on
            self._header_bytes += len(data)
            if self._header_bytes > _MAX_HEADERS:
                self._reject_headers()
        elif self._header_bytes < 0:
            self._bytes_without_body += len(data)  # the first packet that counts may hold body, too
            if self._bytes_without_body > _MAX_HEADERS + len(data):
                self._reject_headers()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reading_since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._header_bytes >= 0:  # else it is a trailer, which nobody reads
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._bytes_without_body = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._header_bytes = -1
        self._bytes_without_body = 0
        if sum(len(name) + len(value) + 4 for name, value in self.headers) + len(self.url) > _MAX_HEADERS:
            self._reject_headers()
        if self._rejection is not None or self.url[:1] != b"/" or self.url[:2] == b"//":
            raise ValueError("rejected")  # httptools reports it as one of its errors: `send_400_response`
        super().on_headers_complete()
        if self._is_upgrading:
            return
        if self._stopping:
            self.cycle.keep_alive = False
        self._cycles.append(self.cycle)
        self.scope[DISCONNECTED] = partial(_is_disconnected, self.cycle)  # type: ignore[literal-required]
        self.scope[ARRIVING_SINCE] = lambda: self._reading_since  # type: ignore[literal-required]

    def on_message_complete(self) -> None:
        self._reading_since = None
        self._header_bytes = 0
        if self._is_upgrading:
            return
        self._requests += 1
        super().on_message_complete()
        # The response was complete before the body had arrived. The body has stopped uvicorn's timer for idle
        # connections, so it is started again.
        if self.cycle.response_complete:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _should_upgrade(self) -> bool:
        """Whether the request becomes a WebSocket: that of streams, where no response to an earlier one is missing."""
        path = self.url.partition(b"?")[0]
        is_handshake = path == WEBSOCKET_PATH and self.parser.get_method() == b"GET"
        return is_handshake and not self._cycles and super()._should_upgrade()

    @property
    def _is_upgrading(self) -> bool:
        return bool(self.parser.should_upgrade()) and self._should_upgrade()

    def handle_websocket_upgrade(self) -> None:
        self._timer.cancel()  # the connection has another protocol from now on
        super().handle_websocket_upgrade()

    def _unsupported_upgrade_warning(self) -> None:
        """Close the connection after the response to CONNECT or to a request with Upgrade: uvicorn has lost what the
        packet holds after it.
        """
        self.cycle.keep_alive = False
        if self.cycle.response_complete:  # before the body had arrived
            self.transport.close()

    def on_response_complete(self) -> None:
        self._responses += 1
        self._cycles.popleft()
        if self._cycles and self._reading_since is not None:
            self._reading_since = self.loop.time()  # uvicorn did not read the next request until now
        super().on_response_complete()
        if self._rejection is not None and self._requests == self._responses:
            self._send_rejection(self._rejection)

    def pause_writing(self) -> None:
        self._writing_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._writing_since = None
        super().resume_writing()

    def shutdown(self) -> None:
        """Wait for a request whose headers are arriving; otherwise as uvicorn does."""
        self._stopping = True
        if self._header_bytes <= 0 or (self.cycle is not None and not self.cycle.response_complete):
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        self._reject(400, "bad_http", "the request is not HTTP/1.1 with a path as its target")

    def _close_if_slow(self) -> None:
        """Close the connection if its client has exceeded the read timeout, and look again in a second."""
        now = self.loop.time()
        timeout = self.config.settings.read_timeout
        self._timer = self.loop.call_later(1.0, self._close_if_slow)
        if self._writing_since is not None and now - self._writing_since > timeout:
            self.transport.abort()
            return
        if self._reading_since is None:
            return
        if self._requests > self._responses:
            # The client waits for a response. Until then the server may have stopped to read the next request.
            self._reading_since = now
            return
        seconds = now - self._reading_since
        if seconds <= timeout:
            return
        if self._header_bytes >= 0:
            self._reject(408, "request_timeout", "the request took too long to arrive")
        elif self.cycle.response_complete or seconds > timeout + 1:
            # The extra second lets the security middleware, which reads the body, answer 408 first.
            self.transport.abort()

    def _reject_headers(self) -> None:
        self._reject(431, "headers", f"the headers may have at most {_MAX_HEADERS:,} bytes")

    def _reject(self, status: int, code: str, message: str) -> None:
        """Answer with an error, without a call of the application, after the responses to the complete requests. Then
        close the connection. Nothing more is read.
        """
        if self.transport.is_closing() or self._rejection is not None:
            return
        self._rejection = HTTPError(status, code, message)
        if self._requests <= self._responses:
            self._send_rejection(self._rejection)

    def _send_rejection(self, rejection: HTTPError) -> None:
        self._reading_since = None
        self.transport.write(rejection_response(rejection, self.server_state.default_headers))
        self.transport.close()


def rejection_response(rejection: HTTPError, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The response with an error, after which the connection is closed."""
    body = rejection.body("")
    lines = [b"%b: %b\r\n" % header for header in (*default_headers, *SECURITY_HEADERS)]
    lines.append(b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body))
    lines.append(b"cache-control: no-store\r\nconnection: close\r\n\r\n")
    return b"".join([STATUS_LINE[rejection.status], *lines, body])


def _is_disconnected(cycle: Any) -> bool:
    """Whether the connection of a request is closed. It is noted in `cycle` at once: uvicorn notes it one round of the
    loop later, and would write to the closed transport until then.
    """
    cycle.disconnected = cycle.disconnected or cycle.transport.is_closing()
    return bool(cycle.disconnected)
