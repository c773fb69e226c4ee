"""Attacks on streams over HTTP and WebSockets: changed states, messages and inputs, and clients that leave."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.model.stream import Stream
from gatewise.model.streams import Streams
from tests.serve.server import post
from trust.attack import Attacks, missing
from trust.attacks.answers import models
from trust.attacks.server import PARTS, SERVER, healthy, shared
from trust.mutate import Rng, change_bytes, change_json, change_safetensors, change_value, change_weights, choice
from trust.server import PATIENCE, Server

ATTACKS = Attacks()
CLIENTS, REQUESTS = 4, 12
WEBSOCKETS = SERVER | {"unavailable": partial(missing, *PARTS, "websockets")}
STATES = [change_safetensors, change_weights, change_bytes]


@ATTACKS.add("server-streams", 2, 2_000, prepare=partial(shared, "stream"), **SERVER)
def _streams(rng: Rng, folder: object) -> None:
    """A stream over HTTP gives the predictions of the library, whatever its cuts and other streams. A changed state or
    input is read as the library reads it, or refused with a reason, and later requests are answered as before.

    four clients, each with a series in random cuts whose state travels back and forth; changed states, states of
    another model, changed inputs and bodies, and clients that leave after the first bytes
    """
    with healthy("stream") as server, ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(partial(_client, server), rng.spawn(CLIENTS)))


def _client(server: Server, rng: Rng) -> None:
    """The requests of one client."""
    stream, state = models()["steps"].stream(), b""
    for _ in range(REQUESTS):
        kind = choice(rng, ["plain", "plain", "state", "other state", "inputs", "body", "leave"])
        inputs: list[Any] = rng.normal(0, 3, (int(rng.integers(1, 40)), 2)).round(3).tolist()
        given, wanted = state, stream.copy()
        if kind == "inputs":
            change_value(rng, inputs)
        elif kind == "other state":
            given = models()["slow"].stream().state if rng.random() < 0.5 else b"{}"
        elif kind == "state":
            given = choice(rng, STATES)(rng, state or stream.state)
        body = {"model": "steps", "inputs": inputs} | ({"state": base64.b64encode(given).decode()} if given else {})
        raw = json.dumps(body).encode()
        if kind == "leave":
            with server.connect() as sock:
                sock.sendall(server.post("/stream", raw))
                sock.recv(int(rng.integers(1, 200)))
            continue
        answer = post(server.port, "/stream", change_json(rng, raw) if kind == "body" else raw)
        status, reply = answer.status, answer.body
        shown = f"{kind}: status {status}: {reply[:200]!r}"
        assert status == 200 or (status in (400, 404, 413) and b'"message"' in reply), shown
        if kind == "body":  # which may be a valid one of other numbers
            continue
        _check(wanted, given, raw, status, reply, shown)
        if kind == "plain":
            stream, state = wanted, base64.b64decode(json.loads(reply.rstrip().rpartition(b"data: ")[2])["state"])


def _check(stream: Stream, state: bytes, body: bytes, status: int, reply: bytes, shown: str) -> None:
    """The answer to a body is that of `stream` of the library, which reads its inputs."""
    wanted: list[tuple[int, list[float]]] = []
    refused = False
    try:
        if state:
            stream.state = state
        inputs = json.loads(body)["inputs"]
        refused = inputs == []  # a request has at least one
        for one in inputs:
            found = stream.push(models()["steps"].format.read_step(one))
            wanted.append((found.steps, found.probabilities.tolist()))
    except InputError:
        refused = True
    if status != 200:  # NumPy takes true among numbers for 1
        assert refused or b"true" in body or b"false" in body, f"the library reads these inputs: {shown}"
        return
    events = [block.rpartition(b"data: ") for block in reply.rstrip(b"\n").split(b"\n\n")]
    *kinds, last = [kind for kind, _, _ in events]
    data = [json.loads(one) for _, _, one in events[:-1]]
    right = not any(kinds) and last == (b"event: error\n" if refused else b"event: state\n")
    assert right, f"{last!r} after {len(kinds)} predictions; the library makes {len(wanted)}: {shown}"
    same = [(one["steps"], list(one["probabilities"].values())) for one in data] == wanted
    assert same, f"the predictions are not the library's: {shown}"
    assert np.isfinite([p for _, p in wanted] or 0).all(), shown


@ATTACKS.add("server-websockets", 2, 1_000, prepare=partial(shared, "stream"), **WEBSOCKETS)
def _websockets(rng: Rng, folder: object) -> None:
    """Streams over a WebSocket give the predictions of the library, whatever other connections send. A changed message
    is read, or is the last one and gets a reason and a close code. Later requests are answered as before.

    four connections, each with up to five streams that join, leave, read blocks with missing values, alone or
    together, and continue in another connection; changed messages, bytes that are no frames, and clients that leave
    """
    with healthy("stream") as server, ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(partial(_connections, server), rng.spawn(CLIENTS)))


def _connections(server: Server, rng: Rng) -> None:
    """The connections of one client: a later one continues from the state of the one before."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    streams = models()["steps"].streams(int(rng.integers(0, 6)))
    for _ in range(3):
        url = f"ws://127.0.0.1:{server.port}/stream"
        state = base64.b64encode(streams.state).decode()
        with connect(url, compression=None, open_timeout=PATIENCE, close_timeout=1) as connection:
            message: dict[str, Any] = {"model": "steps", "count": len(streams), "state": state}
            for _ in range(REQUESTS):
                expected = _change(rng, streams, message)
                raw = json.dumps(message).encode()
                kind = choice(rng, ["plain"] * 20 + ["changed", "frame", "leave"])
                if kind == "leave":
                    connection.send(raw)
                    return
                if kind == "frame":
                    connection.socket.sendall(rng.bytes(int(rng.integers(1, 60))))
                    return
                if kind == "changed":
                    connection.send(change_json(rng, raw))
                    try:
                        answer = json.loads(connection.recv(PATIENCE))
                        assert "streams" in answer or answer["error"]["message"], f"no reason: {answer}"
                        if "error" in answer:
                            connection.recv(PATIENCE)
                    except ConnectionClosed:
                        code = connection.close_code or 0
                        assert 4400 <= code < 4500, f"the close code is {code}"
                    return
                connection.send(raw)
                answer = json.loads(connection.recv(PATIENCE))
                predictions = answer.get("predictions", [])
                rows = [(one["steps"], list(one["probabilities"].values())) for one in predictions]
                same = (answer.get("streams"), rows) == (len(streams), expected)
                assert same, f"not the library's predictions: {raw[:200]!r}: {str(answer)[:200]}"
                if "save" in message:
                    assert base64.b64decode(answer["state"]) == streams.state, f"another state: {raw[:200]!r}"
                message = {}


def _change(rng: Rng, streams: Streams, message: dict[str, Any]) -> list[tuple[int, list[float]]]:
    """Add the next change of streams to a message, and do it: their predictions, with the number of steps."""
    numbers = rng.permutation(len(streams))[: int(rng.integers(0, 3))]
    if rng.random() < 0.2:
        message["remove"] = numbers.tolist()
        streams.remove(numbers)
    if rng.random() < 0.3:
        message["add"] = int(rng.integers(1, 3))
        streams.add(message["add"])
    reading = rng.permutation(len(streams))
    if rng.random() < 0.2:
        message["save"] = True
    if rng.random() < 0.5:
        reading = reading[: int(rng.integers(0, len(streams) + 1))]
    values = rng.normal(0, 3, (len(reading), int(rng.integers(1, 5)), 2)).round(3)
    values[rng.random(values.shape) < 0.2] = np.nan
    message["streams"] = reading.tolist()
    message["inputs"] = [
        [[None if np.isnan(value) else value for value in step] for step in block] for block in values.tolist()
    ]
    pushed = streams.push(values, reading)
    return list(zip(pushed.steps.tolist(), pushed.probabilities.tolist(), strict=True))
