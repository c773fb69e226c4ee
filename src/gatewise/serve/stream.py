"""POST /stream: one server-sent event per input, as soon as its prediction is computed.

    data: {"label": "calm", "probabilities": {"calm": 0.8, "storm": 0.2}, "steps": 1}

    event: state
    data: {"state": "..."}

The last event is the state, which the next request continues from. The server keeps nothing between requests: any
worker can answer the next one, and a client costs no memory. An error before the first event is the response; a later
one is the last event, `error`.
"""

import base64
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.model import Stream, StreamPrediction
from gatewise.serve.batch_queue import ExplainQueue
from gatewise.serve.endpoint import ModelEndpoint, to_json
from gatewise.serve.http_error import HTTPError, http_error
from gatewise.serve.schemas import StreamRequest
from gatewise.system.cancel import check_cancelled

_INPUTS = 256  # that are computed at a time: other requests wait no longer than for these


async def stream_events(
    endpoint: ModelEndpoint, request: StreamRequest, queue: ExplainQueue, disconnected: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """The events of a request. Raises HTTPError and InputError before the first one only."""
    stream = await queue.explain(partial(_opened, endpoint, request), endpoint.rejected, disconnected)
    for first in range(0, len(request.inputs), _INPUTS):
        push = partial(_push, endpoint, stream, request.inputs[first : first + _INPUTS], first)
        events = b""
        error: HTTPError | None = None
        try:
            events, error = await queue.explain(push, endpoint.rejected, disconnected)
        except (HTTPError, InputError) as failure:
            error = http_error(failure)
        nothing_sent = first == 0 and not events
        if error is not None and nothing_sent:
            raise error
        yield events
        if error is not None:
            yield b"event: error\ndata: " + error.body("/stream") + b"\n\n"
            return
    yield b"event: state\n" + _event({"state": base64.b64encode(stream.state).decode()})


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + to_json(data) + b"\n\n"


def _opened(endpoint: ModelEndpoint, request: StreamRequest) -> Stream:
    """A stream in the state of the request."""
    return Stream(endpoint.open_streams(1, request.state, request.network_only))


def _push(endpoint: ModelEndpoint, stream: Stream, inputs: Sequence[Any], first: int) -> tuple[bytes, HTTPError | None]:
    """The events of these inputs, up to the first one that the model cannot read, and the error of that one. first: the
    number of inputs[0] in the request.
    """
    predictions: list[StreamPrediction] = []
    error = None
    read_step = endpoint.model.preprocessor.format.read_step
    try:
        for item in inputs:
            check_cancelled()
            predictions.append(stream.push(read_step(item)))
    except InputError as failure:
        error = replace(http_error(failure), field=f"inputs[{first + len(predictions)}]")
    logits = np.array([prediction.logits for prediction in predictions])
    logits = logits.reshape(len(predictions), endpoint.model.target.outputs)  # also without a prediction
    steps = [prediction.steps for prediction in predictions]
    answers = endpoint.answers(endpoint.predictions(logits, steps))
    return b"".join(map(_event, answers)), error
