"""The end: what waits is answered, a second signal ends it now, and workers end with their parent. Before it, several
requests on one connection are answered in their order, also by the refusal of what follows them.
"""

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.supervisors import Multiprocess

from gatewise.serve import run
from gatewise.serve.settings import Settings
from gatewise.text import TokenEncoding
from tests.serve.server import Server, connect, read_reply, refuses, serving, wait_for
from tests.small_models import small_model
from trust.server import children


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes its time: 400 units, some milliseconds a text of a few hundred words."""
    encoding = TokenEncoding.fit(["the film was good and the end was bad"], min_count=1)
    model = small_model(encoding, ("negative", "positive"), 7, embedding_dim=32, units=400, layers=2)
    path = tmp_path_factory.mktemp("slow") / "slow"
    model.with_lstm(parameters={name: 0.2 * array for name, array in model.parameters.items()}).save(path)
    return path


def predict(server: Server, words: int) -> bytes:
    return server.post("/predict", json.dumps({"text": "film " * words}).encode())


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("again", [False, True])
def test_the_end_while_a_client_stalls(slow: Path, workers: int, again: bool) -> None:
    """The client is answered after the shutdown timeout; a second signal does not wait for it."""
    timeouts = ("--shutdown-timeout", 600 if again else 1, "--read-timeout", 300)
    with serving(slow, *timeouts, "--workers", workers) as server:
        stalled = connect(server.port, predict(server, 100)[:-50])
        server.wait_until_read()
        server.process.send_signal(signal.SIGTERM)
        if again:
            wait_for(lambda: refuses(server.port))
            time.sleep(1.0)  # a signal that follows at once is taken for the same one
            assert server.process.poll() is None, "it waits for the client that stalls"
            server.process.send_signal(signal.SIGTERM)
        else:
            assert read_reply(stalled, 60).status == 503
        assert server.process.wait(60) == (128 + signal.SIGTERM if again else 0)
        stalled.close()
        assert again or "Traceback" not in server.log


def test_workers_end_with_their_parent(folders: dict[str, Path]) -> None:
    with serving(folders["reviews"], "--workers", 2) as server:
        workers = children(server.process.pid)
        assert workers
        server.process.kill()
        server.process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        assert refuses(server.port)


@pytest.mark.parametrize("is_ready", [False, True])
def test_workers_that_are_killed_before_they_are_ready_end_the_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_ready: bool
) -> None:
    """Five in a row; one that gets ready makes it begin again, and one that answers keeps the server."""

    def worker() -> Any:
        return SimpleNamespace(is_ready=lambda timeout: is_ready)

    monkeypatch.setattr(Multiprocess, "__init__", lambda self, config, sockets: None)
    monkeypatch.setattr(Multiprocess, "keep_subprocess_alive", lambda self: self.processes.__setitem__(0, worker()))
    monkeypatch.setattr(run, "_on_stop", lambda first, again: None)
    workers: Any = run._Workers.__new__(run._Workers)
    workers.processes, workers.should_exit, workers.signal_queue = [worker(), worker()], threading.Event(), []
    ready = threading.Semaphore(0)
    workers.__init__(SimpleNamespace(settings=Settings(("m",))), None, ready)
    for number in range(9):
        if number == 4:
            ready.release()
        assert not workers.should_exit.is_set()
        workers.keep_subprocess_alive()
    assert workers.should_exit.is_set() != is_ready
    assert (capsys.readouterr().err == "gatewise: the worker processes end before they are ready\n") != is_ready


@pytest.fixture(scope="module")
def impatient(slow: Path) -> Iterator[Server]:
    """A slow model, and little patience with clients."""
    words = ("--max-batch", 1, "--read-timeout", 1, "--keep-alive", 6, "--max-body", 10_000_000)
    with serving(slow, *words) as found:
        yield found


def test_a_slow_second_request_does_not_lose_the_first_answer(impatient: Server) -> None:
    """The server stops reading while it computes; that time is not the client's."""
    first = impatient.post("/predict", json.dumps({"inputs": ["film " * 1_000] * 25}).encode())
    second = predict(impatient, 7)
    with connect(impatient.port, first + second[:-10]) as sock:
        assert read_reply(sock, 120).status == 200  # it takes longer than the timeout
        sock.sendall(second[-10:])
        assert read_reply(sock).json()["predictions"][0]["steps"] == 7


def test_an_idle_connection_is_closed_after_an_early_answer(impatient: Server) -> None:
    """A refusal that does not wait for the body; the body arrives later. uvicorn's own limit is 5 s."""
    request, began = predict(impatient, 7).replace(b"application/json", b"text/plain"), time.monotonic()
    with connect(impatient.port, request[:-10]) as sock:
        assert read_reply(sock).status == 415
        sock.sendall(request[-10:])
        assert read_reply(sock, 30).status == 0, "closed without another answer"
        assert time.monotonic() - began > 5.5, "as --keep-alive says"


@pytest.mark.parametrize("method", ["CONNECT", "GET"])
def test_a_refused_upgrade_ends_the_connection(impatient: Server, method: str) -> None:
    """What follows it in one packet is lost, so the client is told to send it again."""
    upgrade = impatient.head(f"{method} /v2 HTTP/1.1", "Connection: Upgrade", "Upgrade: h2c")
    with connect(impatient.port, upgrade + predict(impatient, 7)) as sock:
        reply = read_reply(sock)
        assert (reply.status, reply.headers["connection"]) == (200 if method == "GET" else 405, "close")
        assert read_reply(sock, 2).status == 0, "closed at once"


def test_an_early_answer_to_an_upgrade_ends_the_connection_with_its_body(impatient: Server) -> None:
    request = predict(impatient, 7).replace(b"application/json", b"text/plain")
    request = request.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 1)
    with connect(impatient.port, request[:-10]) as sock:
        assert read_reply(sock).status == 415
        sock.sendall(request[-10:] + impatient.head("GET /v2 HTTP/1.1"))
        assert read_reply(sock, 2).status == 0, "closed at once"
