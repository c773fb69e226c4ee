"""The end: what is in flight is answered, whatever else happens; and a worker that dies is replaced."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.architecture import Architecture
from gatewise.text import TokenEncoding
from tests.explain.random_net import parameters_of
from tests.serve.server import ask, connect, post, read_reply, serving, wait_for


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes its time: 400 units, some milliseconds a text of a few hundred words."""
    encoding = TokenEncoding.fit(["the film was good and the end was bad"], min_count=1)
    arch = Architecture("tokens", encoding.vocab_size, 32, 400, layers=2)
    parameters = {name: 0.2 * array for name, array in parameters_of(arch, 7).items()}
    path = tmp_path_factory.mktemp("slow") / "slow"
    Model.of_network(arch, parameters, TextPreprocessor(encoding), ("negative", "positive")).save(path)
    return path


def predict(port: int, words: int, text: str = "film") -> bytes:
    body = json.dumps({"text": f"{text} " * words}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def wait_until_read(port: int) -> None:
    """Until the server has accepted every connection to the port and has read all that was sent on it."""
    for _ in range(600):
        waiting = 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, _, state, queues, *_, inode = line.split()[:10]
            if state == "01" and int(local.partition(":")[2], 16) == port:  # established
                waiting += int(queues.partition(":")[2], 16) > 0 or inode == "0"
        if not waiting:
            return
        time.sleep(0.05)
    pytest.fail("the server does not read what was sent")


def refuses(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_drains(slow: Path, tmp_path: Path, workers: int) -> None:
    """The time to drain is far longer than the requests take on a busy machine."""
    words = ("--max-batch", 1, "--shutdown-timeout", 600, "--read-timeout", 300, "--queue-timeout", 600)
    with serving(tmp_path, slow, *words, workers=workers) as server:
        socks = [connect(server.port, predict(server.port, 200 + n)) for n in range(50)]
        half = connect(server.port, f"GET /v2/health/ready HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n".encode())
        wait_until_read(server.port)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses(server.port))
        half.sendall(b"\r\n")
        ready = read_reply(half, 300)
        assert (ready.status, ready.json()) == (503, {"ready": False})
        replies = [read_reply(sock, 300) for sock in socks]
        assert [reply.status for reply in replies] == [200] * 50
        assert [reply.json()["predictions"][0]["steps"] for reply in replies] == [200 + n for n in range(50)]
        for sock in (*socks, half):
            sock.close()
        assert server.process.wait(60) == 0
        assert "Traceback" not in server.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_a_client_that_stalls_is_answered_after_the_shutdown_timeout(slow: Path, tmp_path: Path, workers: int) -> None:
    with serving(tmp_path, slow, "--shutdown-timeout", 1, "--read-timeout", 300, workers=workers) as server:
        stalled = connect(server.port, predict(server.port, 100)[:-50])
        wait_until_read(server.port)
        server.process.send_signal(signal.SIGTERM)
        assert read_reply(stalled, 60).status == 503
        stalled.close()
        assert server.process.wait(60) == 0
        assert "Traceback" not in server.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_it_now(slow: Path, tmp_path: Path, workers: int) -> None:
    with serving(tmp_path, slow, "--shutdown-timeout", 600, "--read-timeout", 300, workers=workers) as server:
        stalled = connect(server.port, predict(server.port, 100)[:-50])
        wait_until_read(server.port)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses(server.port))
        time.sleep(1.0)  # a signal that follows at once is taken for the same one
        assert server.process.poll() is None, "it waits for the client that stalls"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 128 + signal.SIGTERM
        stalled.close()


def test_ctrl_c_ends_it_like_sigterm(slow: Path, tmp_path: Path) -> None:
    with serving(tmp_path, slow) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 0
        assert "Traceback" not in server.stderr


def children(pid: int) -> list[int]:
    """The workers: children of `pid` that multiprocessing started, its resource tracker aside."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes()
        except OSError:  # it has ended since
            continue
        if parent == pid and b"spawn_main" in command:
            found.append(int(entry.name))
    return found


def test_a_killed_worker_is_replaced(folders: dict[str, Path], tmp_path: Path) -> None:
    with serving(tmp_path, folders["reviews"], workers=2) as server:
        wait_for(lambda: len(children(server.process.pid)) == 2)
        before = children(server.process.pid)
        os.kill(before[0], signal.SIGKILL)
        answered = lost = 0

        def predicts() -> None:
            nonlocal answered, lost
            try:
                assert post(server.port, "/predict", {"text": "good"}).status == 200
                answered += 1
            except ConnectionError:
                lost += 1  # it was that worker's

        def replaced() -> bool:
            predicts()
            now = children(server.process.pid)
            return len(now) == 2 and before[0] not in now and before[1] in now

        wait_for(replaced)
        for _ in range(40):
            predicts()
        assert lost <= 2
        assert f"gatewise: Child process [{before[0]}] died" in server.stderr
        metrics = ask(server.port, "GET", "/metrics").body.decode()
        name = r'^gatewise_requests_total\{model="reviews",route="/predict",status="200"\} (\S+)'
        counted = re.findall(name, metrics, re.MULTILINE)
        assert [float(n) for n in counted] == [answered], "the sum of all workers, the dead one's included"
        after = children(server.process.pid)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in after))


def test_workers_end_with_their_parent(folders: dict[str, Path], tmp_path: Path) -> None:
    with serving(tmp_path, folders["reviews"], workers=2) as server:
        workers = children(server.process.pid)
        assert workers
        server.process.kill()
        server.process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        assert refuses(server.port)


def test_overload_is_rejected_and_ends(slow: Path, tmp_path: Path) -> None:
    """More than it can do: every request is answered, 200 or 429; the queue keeps its bound; then all is well again."""
    with serving(tmp_path, slow, "--queue", 10, "--max-batch", 2, "--queue-timeout", 300) as server:
        before = server.memory()
        replies: list[Any] = []
        for _ in range(3):
            socks = [connect(server.port, predict(server.port, 300)) for _ in range(100)]
            metrics = ask(server.port, "GET", "/metrics").body.decode()
            (waiting,) = re.findall(r'^gatewise_queue_size\{model="slow"\} (\S+)', metrics, re.MULTILINE)
            assert float(waiting) <= 10
            replies += [read_reply(sock, 300) for sock in socks]
            for sock in socks:
                sock.close()
        refused = [reply for reply in replies if reply.status == 429]
        assert {reply.status for reply in replies} == {200, 429}
        assert len(refused) > 100
        assert all(re.fullmatch(r"[1-9]\d*", reply.headers["retry-after"]) for reply in refused)
        assert all(reply.error["code"] == "busy" for reply in refused)
        assert post(server.port, "/predict", {"text": "film"}).status == 200
        assert server.memory() - before < 100
        metrics = ask(server.port, "GET", "/metrics").body.decode()
        assert f'gatewise_rejected_total{{model="slow",reason="queue_full"}} {float(len(refused))}' in metrics


def test_disconnected_clients_are_not_computed(slow: Path, tmp_path: Path) -> None:
    with serving(tmp_path, slow, "--max-batch", 1, "--queue-timeout", 600) as server:
        socks = [connect(server.port, predict(server.port, 1000)) for _ in range(40)]
        stays = connect(server.port, predict(server.port, 7))
        wait_until_read(server.port)
        for sock in socks:
            sock.close()
        assert read_reply(stays, 300).json()["predictions"][0]["steps"] == 7
        stays.close()
        metrics = ask(server.port, "GET", "/metrics").body.decode()
        (disconnected,) = re.findall(r'gatewise_rejected_total\{model="slow",reason="disconnected"\} (\S+)', metrics)
        assert float(disconnected) > 10
