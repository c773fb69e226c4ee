"""The WebSocket at /stream: one connection with several streams of a model, and an answer to each message.

    {"model": "gestures", "count": 2, "inputs": [[0.1, 0.2], [0.3, -0.4]]}
    {"streams": 2, "predictions": [{"label": "a", "probabilities": {...}, "steps": 1}, ...]}

Messages are JSON objects (`StreamMessage`). An error is the last message, with the JSON of an HTTP error. The close
code is 4000 + the HTTP status, the reason its message. The streams of all connections are limited by `--max-streams`.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.errors import InputError
from gatewise.model import Streams
from gatewise.model.streams import stream_numbers
from gatewise.serve import schemas
from gatewise.serve.endpoint import ModelEndpoint, to_json
from gatewise.serve.http_error import HTTPError, http_error, place_of
from gatewise.serve.state import State
from gatewise.serve.stream_table import Prediction, Rows, StreamTable

if TYPE_CHECKING:
    from gatewise.serve.websocket import WebSocketConnection

log = logging.getLogger("gatewise.serve")

_MOST_REASON = 123  # bytes of the reason of a close frame
_INTERNAL = 1011  # the close code of a failure of the server, in RFC 6455
_NO_ROWS = np.zeros(0, np.intp)


@dataclass(frozen=True, eq=False)
class _Opened:
    """The model of a connection, and the table of its streams."""

    endpoint: ModelEndpoint
    table: StreamTable


class StreamSocket:
    """The streams of one connection. is_closed: whether it has ended."""

    def __init__(self, state: State, connection: WebSocketConnection) -> None:
        self._state = state
        self._connection = connection
        self._opened: _Opened | None = None
        self._rows = _NO_ROWS
        self._open = 0  # streams, which are counted among those of all connections
        self.is_closed = False
        self._task: asyncio.Task[None] | None = None  # of a long message

    async def serve(self, receive: Any, send: Any) -> str:
        """Answer messages until the client disconnects or a message has an error. The name of the model, "" where none
        was opened.
        """
        self._connection.read_messages(self._read)
        try:
            event = await receive()
            if "error" in event:
                await self._close(event["error"], send)
        except OSError:  # uvicorn's: the client has disconnected
            pass
        except asyncio.CancelledError as error:
            await self._close(error, send)
        finally:
            self.is_closed = True
            self._count(0)
            if self._opened is not None:
                self._opened.table.remove(self._rows)
                self._rows = _NO_ROWS
        if self._opened is None:
            return ""
        return self._opened.endpoint.name

    async def _close(self, error: BaseException, send: Any) -> None:
        """Send an error and close the connection."""
        failure = http_error(error)
        code = 4000 + failure.status
        if failure.status == 500:
            code = _INTERNAL
            log.error("WebSocket /stream failed: %s at %s", type(error).__name__, place_of(error))
        reason = failure.message.encode()[:_MOST_REASON].decode(errors="ignore")
        try:
            await send({"type": "websocket.send", "text": failure.body("/stream").decode()})
            await send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            pass

    def _read(self, body: bytes) -> None:
        """Answer a message: at once, with those of other connections, or later."""
        try:
            value = schemas.parse(body)
            if self._opened is None:
                first = schemas.validated(schemas.FirstStreamMessage, value)
                self._start(self._answer_first(first))
                return
            message = schemas.validated(schemas.StreamMessage, value)
            self._answer(message, self._opened)
        except Exception as error:
            self._connection.fail(error)

    def _start(self, answer: Any) -> None:
        """Compute an answer on the thread of streams."""
        self._connection.pause_messages()
        self._task = asyncio.get_running_loop().create_task(self._finish(answer))

    async def _finish(self, answer: Any) -> None:
        try:
            await answer
        except (Exception, asyncio.CancelledError) as error:
            self._connection.fail(error)

    async def _answer_first(self, message: schemas.FirstStreamMessage) -> None:
        """Open the streams, and answer the first message."""
        endpoint = self._state.endpoint(message.model, ModelEndpoint)
        # Before the streams take memory.
        self._count(message.count)
        open_streams = partial(endpoint.open_streams, message.count, message.state, message.network_only)
        streams = await self._run(endpoint, open_streams)
        if self.is_closed:
            return
        table = endpoint.stream_table(message.network_only)
        self._opened = _Opened(endpoint, table)
        self._rows = table.add(streams)
        self._answer(message, self._opened)

    async def _run(self, endpoint: ModelEndpoint, compute: Callable[[], Any]) -> Any:
        """The result of `compute`, which runs on the thread of streams. Raises HTTPError, and what `compute` raises."""
        # A message that was begun is computed to its end: the next one continues from it.
        return await self._state.streams.explain(compute, endpoint.rejected, lambda: False)

    def _answer(self, message: schemas.StreamMessage, opened: _Opened) -> None:
        """Answer a later message, or the first one after its streams were opened."""
        table = opened.table
        self._count(self._open - len(message.remove) + message.add)
        steps = 0
        if message.inputs is not None:
            steps = sum(map(opened.endpoint.format.steps_of_step, message.inputs))
        most = self._state.settings.max_batch_tokens
        if steps > most:
            text = f"a message has at most {most:,} steps of all streams (--max-batch-tokens), not {steps:,}"
            raise HTTPError(413, "too_many", text, "inputs")
        kept_steps = table.kept_steps(self._rows)
        if message.inputs:
            steps += kept_steps
        others = len(message.remove) + message.add
        if message.save:
            others += self._open + kept_steps
        if not table.is_short(steps, others):
            self._start(self._answer_later(message, opened))
            return
        rows = _NO_ROWS
        if message.inputs and not others:
            rows = self._rows
            if message.streams is not None:
                with _errors_of("streams"):
                    rows = rows[stream_numbers(message.streams, len(rows))]
        if message.inputs and len(rows) == len(message.inputs):
            table.join(_Step(self, message, rows, message.inputs, steps))
        else:
            self.answer_alone(message)

    def answer(self, message: schemas.StreamMessage, further: dict[str, Any]) -> None:
        """Send the answer to a message. further: its fields besides the number of streams and the id."""
        answer: dict[str, Any] = {"streams": self._open, **further}
        if message.id is not None:
            answer["id"] = message.id
        self._connection.answer(to_json(answer))

    def answer_alone(self, message: schemas.StreamMessage) -> None:
        """Compute and answer a short message of this connection."""
        if self._opened is None or self.is_closed:
            return
        streams = self._opened.table.take(self._rows)
        try:
            further = _compute(message, streams, self._opened.endpoint)
        except Exception as error:
            self._connection.fail(error)
            return
        self._rows = self._opened.table.put(self._rows, streams)
        self.answer(message, further)

    async def _answer_later(self, message: schemas.StreamMessage, opened: _Opened) -> None:
        """Compute a long message on the thread of streams, and answer it."""
        streams = opened.table.take(self._rows)
        further = await self._run(opened.endpoint, partial(_compute, message, streams, opened.endpoint))
        if self.is_closed:
            return
        self._rows = opened.table.put(self._rows, streams)
        self.answer(message, further)

    def fail(self, error: Exception) -> None:
        """End the connection with an error."""
        self._connection.fail(error)

    def pause(self) -> None:
        """Read no further message until the answer."""
        self._connection.pause_messages()

    def _count(self, count: int) -> None:
        """Note how many streams the connection has. Raises HTTPError (429) where there are too many of all."""
        most = self._state.settings.max_streams
        others = self._state.open_streams - self._open
        if count > 0 and others + count > most:
            raise HTTPError(429, "busy", f"the server has at most {most:,} streams, of all clients (--max-streams)")
        self._open = max(0, count)
        self._state.open_streams = others + self._open


@dataclass(frozen=True, eq=False)
class _Step:
    """See `gatewise.serve.stream_table.StreamStep`."""

    socket: StreamSocket
    message: schemas.StreamMessage
    rows: Rows
    items: Sequence[Any]
    steps: int

    @property
    def is_dropped(self) -> bool:
        return self.socket.is_closed

    def answer(self, predictions: list[Prediction]) -> None:
        self.socket.answer(self.message, {"predictions": predictions})

    def answer_alone(self) -> None:
        self.socket.answer_alone(self.message)

    def fail(self, error: Exception) -> None:
        self.socket.fail(error)

    def wait(self) -> None:
        self.socket.pause()


def _compute(message: schemas.StreamMessage, streams: Streams, endpoint: ModelEndpoint) -> dict[str, Any]:
    """The fields of the answer to a message, also on the thread of streams. Changes the streams."""
    further: dict[str, Any] = {}
    if message.remove:
        with _errors_of("remove"):
            streams.remove(message.remove)
    if message.add:
        streams.add(message.add)
    if message.inputs is not None:
        numbers = None
        if message.streams is not None:
            with _errors_of("streams"):
                numbers = streams.numbers_of(message.streams)
        with _errors_of("inputs"):
            further["predictions"] = endpoint.stream_predictions(streams, message.inputs, numbers)
    if message.save:
        further["state"] = base64.b64encode(streams.state).decode()
    return further


@contextmanager
def _errors_of(field: str) -> Iterator[None]:
    """An InputError in this context is one of this field of the message."""
    try:
        yield
    except InputError as error:
        raise replace(http_error(error), field=field) from None
