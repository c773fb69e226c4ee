"""The end: what waits is answered, a second signal ends it now, and workers end with their parent. Before it, several
requests on one connection are answered in their order, also by the refusal of what follows them.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from gatewise.text import TokenEncoding
from tests.children import running
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


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="other systems cannot keep new clients out")
@pytest.mark.parametrize("workers", [1, 2])
def test_clients_that_wait_to_be_accepted_are_answered(folders: dict[str, Path], workers: int) -> None:
    """64 clients connect while the server does not run; some send their request after it has begun to stop."""
    with serving(folders["reviews"], "--workers", workers) as server, ExitStack() as opened:
        wait_for(lambda: len(children(server.process.pid)) == (workers if workers > 1 else 0))
        processes = [server.process.pid, *children(server.process.pid)]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        clients = [opened.enter_context(connect(server.port)) for _ in range(64)]
        for sock in clients[:50]:
            sock.sendall(predict(server, 3))
        os.kill(server.process.pid, signal.SIGTERM)
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.4)  # the server has begun to stop, and waits for them
        for sock in clients[50:]:
            sock.sendall(predict(server, 3))
        replies = [read_reply(sock) for sock in clients]
        assert {reply.status for reply in replies} <= {200, 503}
        if workers == 1:  # with several, a worker that its parent has not told yet answers
            assert {reply.status for reply in replies[50:]} == {503}
        refusals = [reply for reply in replies if reply.status == 503]
        assert {reply.error["code"] for reply in refusals} == {"stopping"}
        assert {reply.headers["connection"] for reply in refusals} == {"close"}
        # A worker may answer before its parent tells it to stop: it does not announce the end, but closes as well.
        assert [sock.recv(1) for sock in clients] == [b""] * len(clients)
        assert server.process.wait(60) == 0
        assert refuses(server.port)
        assert "Traceback" not in server.log


def test_clients_of_a_unix_socket_that_wait_are_answered(
    folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("s") / "gatewise.sock"
    request = b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(folders["reviews"], "--uds", str(path)) as server, ExitStack() as opened:
        os.kill(server.process.pid, signal.SIGSTOP)
        clients = [opened.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(40)]
        for sock in clients:
            sock.connect(str(path))
            sock.sendall(request)
        os.kill(server.process.pid, signal.SIGTERM)
        os.kill(server.process.pid, signal.SIGCONT)
        assert {read_reply(sock).status for sock in clients} <= {200, 503}
        assert server.process.wait(60) == 0
        assert not path.exists()


# A server that sends a signal to itself, or to its parent, at one place of its start.
SIGNALLED = """import os, signal
import gatewise.serve.run as run
import gatewise.serve.server as server
import gatewise.serve.state as state
from gatewise.cli import main
real = {owner}.{name}
def signalled(*given, **options):
    {owner}.{name} = real
    os.kill(os.getpid(), {number})
    return real(*given, **options)
{owner}.{name} = signalled
main()"""
PLACES = [
    "run.load_models",
    "run.Listener",
    "run.State",
    "server.Server.run",
    "server._config",
    "server.Server.startup",
]


def run_signalled(
    model: Path, place: str, number: int, *words: object
) -> AbstractContextManager[subprocess.Popen[str]]:
    """A server that gets the signal at this place."""
    owner, _, name = place.rpartition(".")
    program = SIGNALLED.format(owner=owner, name=name, number=int(number))
    command = [sys.executable, "-c", program, "serve", "-m", str(model), "--port", "0", *map(str, words)]
    return running(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("place", PLACES)
def test_a_signal_during_the_start_ends_the_server(folders: dict[str, Path], place: str, number: int) -> None:
    """At once or after the start; never with a traceback, and never without an effect."""
    with run_signalled(folders["reviews"], place, number) as process:
        _, log = process.communicate()
        assert process.returncode in (0, 128 + number), log
        assert "Traceback" not in log


@pytest.mark.parametrize("place", ["run.load_models", "run.State", "run.Supervisor.run"])
def test_a_signal_during_the_start_ends_a_server_with_workers(folders: dict[str, Path], place: str) -> None:
    with run_signalled(folders["reviews"], place, signal.SIGTERM, "--workers", 2) as process:
        _, log = process.communicate()
        assert process.returncode in (0, 128 + signal.SIGTERM), log
        assert "Traceback" not in log


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("place", ["run.load_models", "run.State"])
def test_a_reload_during_the_start_waits_for_it(folders: dict[str, Path], place: str, workers: int) -> None:
    with run_signalled(folders["reviews"], place, signal.SIGHUP, "--reload", "--workers", workers) as process:
        assert process.stderr is not None
        # Each worker reports its reload, and the parent reports the start: in any order.
        missing = {"serving reviews", "reloaded reviews"}
        while missing:
            line = next(process.stderr)
            missing = {text for text in missing if text not in line}
        process.terminate()
        process.communicate()
        assert process.returncode == 0


def test_a_closed_terminal_ends_the_server_as_sigterm_does(folders: dict[str, Path]) -> None:
    with serving(folders["reviews"]) as server, connect(server.port) as sock:
        sock.sendall(predict(server, 3))
        assert read_reply(sock).status == 200
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(60) == 0
        assert "Traceback" not in server.log


def test_workers_end_with_their_parent(folders: dict[str, Path]) -> None:
    with serving(folders["reviews"], "--workers", 2) as server:
        workers = children(server.process.pid)
        assert workers
        server.process.kill()
        server.process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        assert refuses(server.port)


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
