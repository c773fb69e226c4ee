"""Streams of several connections run as one batch: the bits of each, its errors, its turn, and its end."""

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.model.streams import Streams
from gatewise.serve.stream_table import MOST_STEPS, Rows, StreamTable
from tests.serve.server import served, wait_for

pytest.importorskip("websockets")

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket


def sent(connection: ClientConnection, **message: Any) -> None:
    connection.send(json.dumps(message))


def steps_of(rng: np.random.Generator, streams: int) -> tuple[Any, Any]:
    """Steps with missing values, for the library and as JSON."""
    steps = rng.normal(0, 1, (streams, 2)).round(3)
    steps[rng.random(steps.shape) < 0.2] = np.nan
    return steps, [[None if np.isnan(value) else value for value in step] for step in steps.tolist()]


def test_connections_share_steps_and_have_the_bits_of_the_library(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six connections send at the same time: for all or some of their streams, which join, leave and are saved."""
    model = models["gestures"]
    sizes: list[int] = []
    push = Streams.push

    def noted(self: Streams, values: Any, streams: Any = None) -> Any:
        sizes.append(len(values))
        return push(self, values, streams)

    rng = np.random.default_rng(4)
    counts = [1, 3, 2, 1, 4, 2]
    with served({"gestures": model}) as port, ExitStack() as stack:

        def opened(**first: Any) -> ClientConnection:
            connection = stack.enter_context(open_socket(f"ws://127.0.0.1:{port}/stream", compression=None))
            sent(connection, **first)
            json.loads(connection.recv())
            return connection

        connections = [opened(count=count) for count in counts]
        own = [model.streams(count) for count in counts]
        monkeypatch.setattr(Streams, "push", noted)
        for tick in range(40):
            expected = []
            for place, (connection, streams) in enumerate(zip(connections, own, strict=True)):
                numbers = None
                more: dict[str, Any] = {}
                if tick and rng.random() < 0.1:
                    more |= {"add": 1, "streams": [len(streams)]}
                    numbers = [len(streams)]
                    streams.add()
                elif tick and rng.random() < 0.3:
                    numbers = rng.permutation(len(streams))[: int(rng.integers(1, len(streams) + 1))].tolist()
                    more["streams"] = numbers
                elif rng.random() < 0.1:
                    more["add"] = 1
                    streams.add()
                elif len(streams) > 1 and rng.random() < 0.1:
                    more["remove"] = [0]
                    streams.remove([0])
                values, inputs = steps_of(rng, len(streams) if numbers is None else len(numbers))
                sent(connection, inputs=inputs, id=f"{tick} {place}", **more)
                expected.append(push(streams, values, numbers))
            for place, (connection, wanted) in enumerate(zip(connections, expected, strict=True)):
                found = json.loads(connection.recv())
                assert (found["id"], found["streams"]) == (f"{tick} {place}", len(own[place]))
                got = [list(prediction["probabilities"].values()) for prediction in found["predictions"]]
                assert got == wanted.probabilities.tolist()
                assert [prediction["steps"] for prediction in found["predictions"]] == wanted.steps.tolist()
            if tick % 8 == 5:
                place = int(rng.integers(len(connections)))
                sent(connections[place], save=True)
                state = json.loads(connections[place].recv())["state"]
                assert base64.b64decode(state) == own[place].state
                connections[place].close()
                connections[place] = opened(count=len(own[place]), state=state)
    assert max(sizes) > max(map(len, own)), "no two messages shared a batch"


def test_an_error_of_one_connection_is_not_one_of_the_others(models: dict[str, Model]) -> None:
    model = models["gestures"]
    wrong: list[Any] = [[[1.0, 2.0, 3.0]], ["a"], [[3e38, 1.0]]]
    with served({"gestures": model}) as port, ExitStack() as stack:
        connections = [
            stack.enter_context(open_socket(f"ws://127.0.0.1:{port}/stream", compression=None)) for _ in range(8)
        ]
        streams = [model.stream() for _ in connections]
        for connection in connections:
            sent(connection)
            connection.recv()
        for inputs in wrong:
            for connection in connections[:-1]:
                sent(connection, inputs=[[0.5, -1.5]])
            sent(connections[-1], inputs=inputs)
            for connection, stream in zip(connections[:-1], streams, strict=False):
                found = json.loads(connection.recv())["predictions"][0]
                assert list(found["probabilities"].values()) == stream.push([0.5, -1.5]).probabilities.tolist()
            assert json.loads(connections[-1].recv())["error"]["field"] in ("inputs", "inputs[0]")
            with pytest.raises(ConnectionClosed):
                connections[-1].recv()
            connections.pop()


def test_connections_that_break_off_do_not_disturb_those_that_take_their_rows(models: dict[str, Model]) -> None:
    """Clients that send steps and disconnect at once, again and again, beside one that goes on."""
    model = models["gestures"]
    stream = model.stream()
    with served({"gestures": model}, max_streams=200) as port:
        with open_socket(f"ws://127.0.0.1:{port}/stream", compression=None) as staying:
            sent(staying)
            staying.recv()
            for tick in range(30):
                with ExitStack() as stack:
                    for _ in range(3):
                        connection = stack.enter_context(open_socket(f"ws://127.0.0.1:{port}/stream", compression=None))
                        sent(connection, count=3, inputs=[[tick, 1]] * 3)
                        with suppress(ConnectionClosed):
                            sent(connection, inputs=[[tick, 1]] * 3)
                        connection.socket.close()
                    sent(staying, inputs=[[tick / 7, -1]])
                    found = json.loads(staying.recv())["predictions"][0]
                    expected = stream.push([tick / 7, -1]).probabilities.tolist()
                    assert list(found["probabilities"].values()) == expected

        def all_are_closed() -> bool:
            with open_socket(f"ws://127.0.0.1:{port}/stream", compression=None) as connection:
                sent(connection, count=200)
                return "streams" in json.loads(connection.recv())

        wait_for(all_are_closed)


# The table alone


@dataclass(eq=False)
class Message:
    """A message that notes what happens to it in `log`."""

    name: str
    rows: Rows
    items: Sequence[Any]
    steps: int
    log: list[str]
    is_dropped: bool = False
    predictions: list[Any] = field(default_factory=list)

    def answer(self, predictions: list[dict[str, Any]]) -> None:
        self.log.append(self.name)
        self.predictions = predictions

    def answer_alone(self) -> None:
        self.log.append(f"{self.name} alone")

    def fail(self, error: Exception) -> None:
        self.log.append(f"{self.name} failed: {error}")

    def wait(self) -> None:
        self.log.append(f"{self.name} waits")


def probabilities_of(streams: Streams, items: Sequence[Any]) -> list[Any]:
    return [{"p": row} for row in streams.push(np.array(items)).probabilities.tolist()]


def run(act: Callable[[], Any]) -> None:
    async def main() -> None:
        act()
        for _ in range(20):
            await asyncio.sleep(0)

    asyncio.run(main())


def test_messages_have_their_turn_in_the_order_of_arrival(models: dict[str, Model]) -> None:
    """As many as fit a batch; other work of the loop runs between two batches."""
    model = models["gestures"]
    table = StreamTable(model.streams(0), probabilities_of, 1)
    log: list[str] = []
    messages = [Message(str(n), table.add(model.streams(1)), [[n, 1.0]], MOST_STEPS // 2, log) for n in range(5)]

    def act() -> None:
        for message in messages:
            table.join(message)
        asyncio.get_running_loop().call_soon(log.append, "other work")

    run(act)
    assert [entry for entry in log if "waits" not in entry] == ["0", "1", "other work", "2", "3", "4"]
    assert "4 waits" in log
    assert "0 waits" not in log
    for n, message in enumerate(messages):
        assert message.predictions == [{"p": model.stream().push([n, 1.0]).probabilities.tolist()}]


def test_a_message_of_an_ended_connection_is_not_computed(models: dict[str, Model]) -> None:
    """Its rows are those of another connection by then."""
    model = models["gestures"]
    table = StreamTable(model.streams(0), probabilities_of, 1)
    other = table.add(model.streams(2))
    log: list[str] = []
    ended = Message("ended", table.add(model.streams(1)), [[9.0, 9.0]], 1, log)
    later: list[Message] = []

    def act() -> None:
        table.join(ended)
        table.remove(ended.rows)
        ended.is_dropped = True
        rows = table.add(model.streams(1))
        assert rows.tolist() == ended.rows.tolist()
        later.append(Message("new", rows, [[0.5, 1.0]], 1, log))
        table.join(later[0])

    run(act)
    assert log == ["new"]
    assert later[0].predictions == [{"p": model.stream().push([0.5, 1.0]).probabilities.tolist()}]
    assert table.take(other).steps.tolist() == [0, 0]
    assert table.take(later[0].rows).steps.tolist() == [1]


def test_an_error_changes_no_stream(models: dict[str, Model]) -> None:
    """Of an input: each message is computed alone. Any other error is one of the server, of all of them."""
    model = models["gestures"]
    for error, expected in (
        (InputError("x"), ["0 alone", "1 alone"]),
        (RuntimeError("y"), ["0 failed: y", "1 failed: y"]),
    ):

        def fail(streams: Streams, items: Sequence[Any], error: Exception = error) -> list[Any]:
            probabilities_of(streams, items)
            raise error

        log: list[str] = []
        table = StreamTable(model.streams(0), fail, 1)
        messages = [Message(str(n), table.add(model.streams(1)), [[n, 1.0]], 1, log) for n in range(2)]
        run(lambda table=table, messages=messages: [table.join(message) for message in messages])
        assert log == expected
        assert [table.take(message.rows).steps.tolist() for message in messages] == [[0], [0]]
