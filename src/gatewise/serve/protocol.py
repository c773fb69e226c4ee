"""The HTTP/1.1 connection: uvicorn's, with the limits that it lacks.

Headers of at most 16 KB; a request that is whole within some seconds, and a client that takes its answer as fast; a cap
on open connections; targets that are paths. One look at all connections a second instead of a timer a request.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gatewise.serve.security import POLICY

__all__ = ["Connection", "close_slow_clients"]

MAX_HEADERS = 16_384  # bytes of the request line and the headers
_TOO_LONG = (431, "headers", f"the headers have at most {MAX_HEADERS:,} bytes here")


class Connection(HttpToolsProtocol):
    """One connection. `config.settings` are the server's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = self.config.settings  # type: ignore[attr-defined]
        self._most: int = settings.connections
        self._head = 0  # bytes of the headers that are arriving; -1 once they are whole
        self._whole = 0  # requests that have arrived
        self._since: float | None = None  # when the request that is arriving began
        self._stuck: float | None = None  # since when the client takes nothing

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()  # a client that connects has a request to send
        if len(self.connections) > self._most:
            self._refuse(503, "busy", "too many connections are open")

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._since is None and (self.cycle is None or self.cycle.response_complete):
            self._since = self.loop.time()
        before = self._whole
        super().data_received(data)
        if self._head >= 0 and self._whole == before:  # all of it was headers, and they go on
            self._head += len(data)
            if self._head > MAX_HEADERS:
                self._refuse(*_TOO_LONG)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["gatewise.gone"] = self.transport.is_closing  # type: ignore[typeddict-unknown-key]
        if self._since is None:  # a request behind another in one packet
            self._since = self.loop.time()

    def on_headers_complete(self) -> None:
        self._head = -1
        if sum(len(name) + len(value) + 4 for name, value in self.headers) + len(self.url) > MAX_HEADERS:
            self._refuse(*_TOO_LONG)
        if self.transport.is_closing() or self.url[:1] != b"/" or self.url[:2] == b"//":
            raise ValueError("refused")  # httptools hands it on as one of its errors: `send_400_response`
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._since, self._head, self._whole = None, 0, self._whole + 1
        super().on_message_complete()

    def pause_writing(self) -> None:
        self._stuck = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stuck = None
        super().resume_writing()

    def shutdown(self) -> None:
        """Let a request that is arriving arrive; everything else as uvicorn does it."""
        if self._head <= 0 or (self.cycle is not None and not self.cycle.response_complete):
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "bad_http", "this is not HTTP/1.1 with a path as its target")

    def too_slow(self, now: float, patience: float) -> None:
        """Cut the connection where its client is."""
        if self._stuck is not None and now - self._stuck > patience:
            self.transport.abort()
        elif self._since is not None and now - self._since > patience:
            if self._head >= 0:
                self._refuse(408, "too_slow", "the request took too long to arrive")
            elif self.cycle.response_complete or now - self._since > patience + 1:  # the guard says it before that
                self.transport.abort()

    def _refuse(self, status: int, code: str, say: str) -> None:
        """An answer without a request that could be handed on, and the end of the connection."""
        if self.transport.is_closing():
            return
        self._since = None
        body = json.dumps({"error": {"code": code, "field": None, "say": say}}).encode()
        lines = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *POLICY)]
        lines.append(b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body))
        lines.append(b"cache-control: no-store\r\nconnection: close\r\n\r\n")
        self.transport.write(b"".join([STATUS_LINE[status], *lines, body]))
        self.transport.close()


async def close_slow_clients(connections: set[Any], patience: float) -> None:
    """Once a second, for ever: cut the connections of clients that are too slow."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(1.0)
        now = loop.time()
        for connection in list(connections):
            connection.too_slow(now, patience)
