"""The WebSocket connection: uvicorn's, with the limits that it lacks, as docs/trust.md promises them.

The limits: a time for a message to arrive, for the client to read, and between two messages. A client that reads
nothing is not read either, so that its pings do not fill the memory with pongs. Like an HTTP connection, it checks its
times once per second.

Messages do not go through ASGI's `receive` and `send`, whose queue and tasks take longer than most answers: a function
gets each message as soon as it has arrived, one at a time, and `answer` sends its answer.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from gatewise.serve.http_error import HTTPError
from gatewise.serve.protocol import Config, rejection_response
from gatewise.serve.security import CONNECTION

IDLE = 4408
"""The close code where a client sent nothing, or not all of a message, in time: 4000 + the HTTP status."""


class WebSocketConnection(WebSocketsSansIOProtocol):
    """One connection. `config` is a `Config`."""

    config: Config
    is_waiting = False  # for a request, which the server would wait for when it stops

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last_message = self.loop.time()
        self._reading_since: float | None = None  # when the message that is arriving began
        self._writing_since: float | None = None  # since when the client has read nothing
        self._closing_since: float | None = None  # since when the connection waits for the client to read the rest
        self._on_message: Callable[[bytes], None] | None = None
        self._messages: deque[bytes] = deque()  # that wait: those of a packet, after the first one
        self._is_answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._timer = self.loop.call_later(1.0, self._close_if_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self.handshake_initiated:
            self._read_handshake(data)
            return
        before = self._last_message
        super().data_received(data)
        if self._last_message != before:
            self._reading_since = None
        elif self._reading_since is None:
            self._reading_since = self.loop.time()

    def _read_handshake(self, request: bytes) -> None:
        """Read the request that the HTTP connection hands over."""
        self.conn.receive_data(request)
        if self.conn.handshake_exc is not None:  # it exceeds a limit of the library
            self._reject(HTTPError(431, "headers", "the headers of a WebSocket are too many or too long"))
            return
        self.handle_events()

    def handle_connect(self, event: Any) -> None:
        status = self.conn.accept(event).status_code
        if status == 101:
            super().handle_connect(event)
            self.scope[CONNECTION] = self  # type: ignore[literal-required]
        else:
            self._reject(HTTPError(status, "bad_websocket", "the headers are not those of a WebSocket handshake"))

    def handle_ping(self) -> None:
        super().handle_ping()
        self._end_control_frame()

    def handle_pong(self, event: Any) -> None:
        super().handle_pong(event)
        self._end_control_frame()

    def _end_control_frame(self) -> None:
        """A control frame is no message, and begins none."""
        if not self.frames:
            self._reading_since = None

    def send_receive_event_to_app(self) -> None:
        """The bytes of a message, of text or not, are complete."""
        self._last_message = self.loop.time()
        if not self.close_sent:
            self._messages.append(b"".join(self.frames))
            self._next_message()
        self.frames = []

    def read_messages(self, on_message: Callable[[bytes], None]) -> None:
        """Call a function for each message. The next one waits for `answer`."""
        self._on_message = on_message
        self._next_message()

    def pause_messages(self) -> None:
        """Read nothing until `answer`: the answer takes longer than until other connections are read again."""
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def answer(self, text: bytes) -> None:
        """Send the answer to the message."""
        is_open = self.conn.state is State.OPEN  # no more, once the client has sent its close
        if not is_open or self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self._is_answering = False
        self.conn.send_text(text)
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self._messages:
            self.loop.call_soon(self._next_message)
        elif self.read_paused and self._writing_since is None:
            self.read_paused = False
            self.transport.resume_reading()

    def fail(self, error: BaseException) -> None:
        """Let `receive` return an event with an error. No further message is read."""
        self._is_answering = True
        event: Any = {"type": "websocket.disconnect", "error": error}
        self.queue.put_nowait(event)

    def _next_message(self) -> None:
        is_waiting = self._on_message is None or self._is_answering or self._writing_since is not None
        if is_waiting or self.close_sent:
            if self._messages:
                self.pause_messages()
            return
        if self._messages and self._on_message is not None:
            self._is_answering = True
            self._on_message(self._messages.popleft())
            return
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self._writing_since = self.loop.time()
        self.transport.pause_reading()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._writing_since = None
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()
        elif not self._is_answering:
            self._next_message()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # uvicorn calls it incomplete, in the log

    def _reject(self, rejection: HTTPError) -> None:
        self.handshake_complete = True
        self.close_sent = True
        self.transport.write(rejection_response(rejection, self.default_headers))
        self.transport.close()

    def _close_if_slow(self) -> None:
        """Close the connection if its client has exceeded a limit of time, and look again in a second."""
        now = self.loop.time()
        settings = self.config.settings
        self._timer = self.loop.call_later(1.0, self._close_if_slow)
        if self._writing_since is not None:
            if now - self._writing_since > settings.read_timeout:
                self.transport.abort()
            return
        if self.transport.is_closing():
            # The last bytes may be too few for `pause_writing`, and a client that reads nothing would stay for ever.
            if self._closing_since is None:
                self._closing_since = now
            if now - self._closing_since > settings.read_timeout:
                self.transport.abort()
            return
        is_answering = self._is_answering or self._messages
        if self.close_sent or is_answering:  # it waits for the client's close, or for the answer to a message
            self._last_message = now
            return
        if self._reading_since is not None:
            if now - self._reading_since > settings.read_timeout:
                self._close("a message took too long to arrive")
        elif now - self._last_message > settings.keep_alive:
            self._close(f"no message arrived for {settings.keep_alive:g} seconds (--keep-alive)")

    def _close(self, reason: str) -> None:
        self.stop_keepalive()
        self.conn.fail(IDLE, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
