"""The WebSocket at /stream: one connection with several streams of a model, and an answer to each message.

    {"model": "gestures", "count": 2, "inputs": [[0.1, 0.2], [0.3, -0.4]]}
    {"streams": 2, "predictions": [{"label": "a", "probabilities": {...}, "steps": 1}, ...]}

Messages are JSON objects (`StreamMessage`). An error is the last message, with the JSON of an HTTP error. The close
code is 4000 + the HTTP status, the reason its message. The streams of all connections are limited by `--max-streams`.
"""

import asyncio
import base64
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from gatewise.errors import InputError
from gatewise.model import Streams
from gatewise.serve import schemas
from gatewise.serve.endpoint import ModelEndpoint, estimate_tokens, to_json
from gatewise.serve.http_error import HTTPError, http_error, place_of
from gatewise.serve.state import State

log = logging.getLogger("gatewise.serve")

_MOST_REASON = 123  # bytes of the reason of a close frame
_SHORT_PRODUCTS = 20_000_000  # multiplications: half a millisecond
_SHORT_STEPS = 512  # of all streams, which need some microseconds each besides
_INTERNAL = 1011  # the close code of a failure of the server, in RFC 6455


class StreamSocket:
    """The streams of one connection."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._endpoint: ModelEndpoint | None = None
        self._streams: Streams | None = None
        self._open = 0  # streams, which are counted among those of all connections

    async def serve(self, receive: Any, send: Any) -> str:
        """Answer messages until the client disconnects or a message has an error. The name of the model, "" where none
        was opened.
        """
        try:
            while True:
                event = await receive()
                if event["type"] != "websocket.receive":
                    break
                answer = await self._answer(event["bytes"])
                await send({"type": "websocket.send", "text": answer.decode()})
        except OSError:  # uvicorn's: the client has disconnected
            pass
        except (Exception, asyncio.CancelledError) as error:
            await self._close(error, send)
        finally:
            self._count(0)
        if self._endpoint is None:
            return ""
        return self._endpoint.name

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

    async def _answer(self, body: bytes) -> bytes:
        """The answer to a message. Raises HTTPError and InputError."""
        value = schemas.parse(body)
        message: schemas.StreamMessage
        if self._endpoint is None:
            first = schemas.validated(schemas.FirstStreamMessage, value)
            self._endpoint = self._state.endpoint(first.model, ModelEndpoint)
            # Before the streams take memory.
            self._count(first.count)
            open_streams = partial(self._endpoint.open_streams, first.count, first.state, first.network_only)
            self._streams = await self._run(open_streams)
            message = first
        else:
            message = schemas.validated(schemas.StreamMessage, value)
        self._count(self._open - len(message.remove) + message.add)
        steps = self._steps_of(message)
        most = self._state.settings.max_batch_tokens
        if steps > most:
            text = f"a message has at most {most:,} steps of all streams (--max-batch-tokens), not {steps:,}"
            raise HTTPError(413, "too_many", text, "inputs")
        compute = partial(self._compute, message)
        if self._is_short(message, steps):
            return compute()
        answer: bytes = await self._run(compute)
        return answer

    async def _run(self, compute: Callable[[], Any]) -> Any:
        """The result of `compute`, which runs on the thread of streams. Raises HTTPError, and what `compute` raises."""
        assert self._endpoint is not None
        # A message that was begun is computed to its end: the next one continues from it.
        return await self._state.streams.explain(compute, self._endpoint.rejected, lambda: False)

    def _steps_of(self, message: schemas.StreamMessage) -> int:
        """About how many steps of all streams a message has."""
        assert self._endpoint is not None
        channels = self._endpoint.model.channels
        steps = 0
        for item in message.inputs or []:
            has_several = isinstance(item, str | list)
            if channels > 1 and isinstance(item, list):  # else a list of numbers is one step
                has_several = isinstance(item[0], list)
            if has_several:
                steps += estimate_tokens([item])
            else:
                steps += 1
        return steps

    def _is_short(self, message: schemas.StreamMessage, steps: int) -> bool:
        """Whether a message with so many steps is computed at once: the change to another thread and back takes longer
        than it.
        """
        assert self._endpoint is not None
        assert self._streams is not None
        kept_steps = self._streams.kept_steps
        if message.inputs:
            steps += kept_steps
        others = len(message.remove) + message.add
        if message.save:
            others += self._open + kept_steps
        products = steps * self._endpoint.model.ensemble.network.products_per_step
        return products <= _SHORT_PRODUCTS and steps + others <= _SHORT_STEPS

    def _count(self, count: int) -> None:
        """Note how many streams the connection has. Raises HTTPError (429) where there are too many of all."""
        most = self._state.settings.max_streams
        others = self._state.open_streams - self._open
        if count > 0 and others + count > most:
            raise HTTPError(429, "busy", f"the server has at most {most:,} streams, of all clients (--max-streams)")
        self._open = max(0, count)
        self._state.open_streams = others + self._open

    def _compute(self, message: schemas.StreamMessage) -> bytes:
        """The answer to a message, also on the thread of streams."""
        assert self._streams is not None
        streams = self._streams
        if message.remove:
            with _errors_of("remove"):
                streams.remove(message.remove)
        if message.add:
            streams.add(message.add)
        answer: dict[str, Any] = {"streams": len(streams)}
        if message.inputs is not None:
            answer["predictions"] = self._predictions(streams, message)
        if message.save:
            answer["state"] = base64.b64encode(streams.state).decode()
        if message.id is not None:
            answer["id"] = message.id
        return to_json(answer)

    def _predictions(self, streams: Streams, message: schemas.StreamMessage) -> list[dict[str, Any]]:
        assert self._endpoint is not None
        assert message.inputs is not None
        numbers = None
        if message.streams is not None:
            with _errors_of("streams"):
                numbers = streams.numbers_of(message.streams)
        with _errors_of("inputs"):
            items = self._endpoint.format.read_steps(message.inputs)
            pushed = streams.push(items, numbers)
        return self._endpoint.answers(self._endpoint.predictions(pushed.logits, pushed.steps.tolist()))


@contextmanager
def _errors_of(field: str) -> Iterator[None]:
    """An InputError in this context is one of this field of the message."""
    try:
        yield
    except InputError as error:
        raise replace(http_error(error), field=field) from None
