"""Attacks on `gatewise serve`: hostile requests, slow clients, overload, shutdown, killed workers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from trust.attack import MIB, Attacks, missing
from trust.attacks.answers import check_answers, check_explanation, models, predict, save_models
from trust.attacks.requests import CASES, MAX_BODY, Case, Wanted, exchange, predict_body, text, valid
from trust.mutate import Rng, choice
from trust.server import Answer, Server, children, read, serving

ATTACKS = Attacks()
READ_TIMEOUT = 1
TOGETHER = 8  # connections of one try
MEMORY = 400 * MIB  # of the server, which has about 100 when it starts
SERVERS: dict[str, Server] = {}  # of this process, by attack
FIRST_MEMORY: dict[int, int] = {}  # bytes of a server after its first try, by process
REFUSED_BEFORE: dict[int, int] = {}  # answers 429 of a server in earlier tries, by process
OPTIONS: dict[str, list[object]] = {
    "requests": ["--read-timeout", READ_TIMEOUT, "--keep-alive", 2, "--max-body", MAX_BODY, "--queue", 2000],
    "hours": ["--read-timeout", 2, "--keep-alive", 4],
    "slow": ["--read-timeout", READ_TIMEOUT],
    "overload": ["--queue", 8, "--max-batch", 2, "--queue-timeout", 60],
    "schema": ["--queue-timeout", 60],
    "stream": ["--read-timeout", 1, "--max-body", MAX_BODY],
}
PARTS = ("fastapi", "uvicorn")
BODY = b'{"text":"word1 word2 word3","id":"healthy"}'
SERVER: dict[str, Any] = {"unavailable": partial(missing, *PARTS), "seconds": 120.0, "memory": 0}


def shared(name: str) -> Server:
    """The server of all tries of an attack in this process; another one if it has ended."""
    server = SERVERS.get(name)
    if server is None or server.process.poll() is not None:
        folder = Path(tempfile.mkdtemp(prefix="trust-"))
        try:
            server = SERVERS[name] = Server(*save_models(folder), *OPTIONS[name])
        finally:
            shutil.rmtree(folder)  # this process may be killed
        predict(server, BODY)
    return server


@contextmanager
def healthy(name: str) -> Iterator[Server]:
    """The shared server of an attack for a try. After it the server answers, its log has no error, and its memory was
    bounded; if not, the next try has a new one.
    """
    server = shared(name)
    try:
        yield server
        code = server.process.poll()
        assert code is None, f"the server ended with exit code {code}: {server.log[-200:]}"
        predict(server, BODY)
        found = re.search(r"Traceback|Error| failed: .*", server.log)
        assert found is None, f"its log has {found[0]!r}: {server.log[max(0, found.start() - 80) :][:200]}"
        assert server.peak <= MEMORY, f"its memory reached {server.peak // MIB} MiB"
    except Exception:
        server.stop()
        raise


@ATTACKS.add("server-requests", 8, 5_000, prepare=partial(shared, "requests"), **SERVER)
def _requests(rng: Rng, folder: Path) -> None:
    """The server answers a request with the right prediction or with a 4xx and a reason. It never fails, hangs, mixes
    answers or takes a part of a body for a request, and it then answers as before.

    eight connections at once: header and trailer bombs, ambiguous lengths with a request in the body, pipelining, wrong
    Host and Origin, path traversal, compressed bodies, huge and deep JSON, other encodings, truncated, chunked and
    changed requests
    """
    with healthy("requests") as server, ThreadPoolExecutor(TOGETHER) as pool:
        cases = [valid(rng, server), *[choice(rng, CASES)(rng, server) for _ in range(TOGETHER - 1)]]
        cuts = [sorted(rng.integers(0, len(case.raw), int(rng.integers(4))).tolist()) for case in cases]
        found = pool.map(partial(exchange, server), cases, cuts)
        for case in cases:
            try:
                check_case(case, next(found))
            except Exception as error:
                raise AssertionError(f"{error}, to {case.shown}") from error


def check_case(case: Case, answers: list[Answer]) -> None:
    """The answers on the connection of a case."""
    shown = [answer.status for answer in answers]
    check_answers(case.wanted, answers)
    few, more = len(answers) < len(case.wanted), answers[len(case.wanted) :]
    assert not few or case.may_close, f"{len(answers)} answers instead of {len(case.wanted)}: {shown}"
    closed = few or case.unfinished or case.may_close or answers[-1].headers.get("connection") == "close"
    assert more or closed, f"the next request on the connection has no answer: {shown}"
    if more and (case.unfinished or len(more) > 1 or b'"live"' not in more[0].body):
        # After a whole request, other bytes on the connection are refused.
        statuses = [one.status for one in more]
        assert statuses in ([400], [408]), f"an answer too many: {shown}"


CLIENTS, EACH = 16, 25  # requests of one try
PATHS = ("/model", "/metrics", "/units/1", "/openapi.json", "/", "/v2/models/texts")


@ATTACKS.add("server-hours", 1, 1_500, prepare=partial(shared, "hours"), **SERVER | {"seconds": 600.0})
def _hours(rng: Rng, folder: Path) -> None:
    """A server under mixed load gives the right predictions and never fails, and its memory stays.

    400 requests of 16 clients: predictions of short and long texts, explanations, model cards, metrics, hostile
    requests, and clients that leave before their answer
    """
    with healthy("hours") as server, ThreadPoolExecutor(CLIENTS) as pool:
        for _ in pool.map(partial(_load, server), rng.spawn(CLIENTS)):
            growth = server.memory - FIRST_MEMORY.setdefault(server.process.pid, server.memory)
            assert growth <= 64 * MIB, f"its memory has grown by {growth // MIB} MiB"


def _load(server: Server, rng: Rng) -> None:
    """The requests of one client."""
    for _ in range(EACH):
        kind = float(rng.random())
        if kind < 0.7:
            predict(server, predict_body(rng, longest=30 if kind < 0.6 else 2000))
        elif kind < 0.8:
            typed = text(rng, 40)
            body = json.dumps({"text": typed, "include": ["prediction", "attribution"]}).encode()
            check_explanation(typed, server.ask(server.post("/explain", body)))
        elif kind < 0.9:
            answer = server.get(choice(rng, PATHS))
            assert answer.status == 200, f"status {answer.status}: {answer.body[:200]!r}"
        elif kind < 0.97:
            case = choice(rng, CASES)(rng, server)
            failed = [one.status for one in exchange(server, case, []) if one.status >= 500 and one.status != 501]
            assert not failed, f"{failed}, to {case.shown}"
        else:
            with server.connect() as sock:  # leaves before the answer
                sock.sendall(server.post("/predict", predict_body(rng, longest=2000)))


@ATTACKS.add("server-slow", 1, 200, prepare=partial(shared, "slow"), **SERVER)
def _slow(rng: Rng, folder: Path) -> None:
    """Clients that send or read too slowly are disconnected; others are answered meanwhile.

    up to 60 clients that send a byte at a time or nothing, and clients that read nothing
    """
    end = time.monotonic() + 100
    with healthy("slow") as server, ExitStack() as opened:
        senders = [_sender(rng, server) for _ in range(int(rng.integers(1, 60)))]
        readers = [_reader(server) for _ in range(int(rng.integers(4)))]
        for sock in (*(sock for sock, _ in senders), *readers):
            opened.enter_context(sock)
        # Each sender sends a byte per round; a round has a healthy request.
        waiting, pause = senders, float(rng.uniform(0.01, 0.2))
        while waiting:
            waiting = [(sock, byte) for sock, byte in waiting if _dribbles(sock, byte)]
            predict(server, predict_body(rng))
            left = f"{len(waiting)} of {len(senders)} slow senders are still connected after 100 s"
            assert time.monotonic() < end, left
            time.sleep(pause)
        if readers:
            time.sleep(READ_TIMEOUT + 2.5)
        for sock in readers:  # what one is sent is whole but for the last answer
            answers = list(read(sock, 20))
            assert len(answers) < 400, "the server waited for a client that did not read"
            wrong = [answer.status for answer in answers[:-1] if answer.status != 200 or not answer.complete]
            assert not wrong, f"a slow reader got {wrong}"


def _sender(rng: Rng, server: Server) -> tuple[socket.socket, bytes]:
    """A connection on which a part of a request was sent, and the byte to go on with, "" for a silent client."""
    length = server.head("POST /predict HTTP/1.1", "Content-Type: application/json", "Content-Length: 5000")
    chunks = server.head("POST /predict HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked")
    starts = [
        (b"", b""),
        (b"", b"G"),
        (server.head("GET /v2 HTTP/1.1", "X: a")[:-4], b"a"),
        (length, b""),
        (length + b'{"text":"', b"a"),
        (chunks, b""),
        (chunks, b"0"),
        (chunks + b"1388\r\n", b"a"),
        (chunks + b"5;", b"a"),
    ]
    sent, byte = choice(rng, starts)
    sock = server.connect()
    sock.sendall(sent)
    sock.setblocking(False)
    return sock, byte


def _dribbles(sock: socket.socket, byte: bytes) -> bool:
    """Whether the connection is open after one more byte. If not, its end was 408, or was lost with the connection."""
    try:
        sock.send(byte)
        answer = sock.recv(65536)
    except BlockingIOError:
        return True
    except ConnectionError:
        answer = b""
    # 400: its bytes are no request
    assert not answer or answer.split(b" ")[1] in (b"408", b"400"), f"a slow sender got {answer[:100]!r}"
    return False


def _reader(server: Server) -> socket.socket:
    """A client that asks for some megabytes and takes none of them."""
    sock = server.connect(receive_buffer=4096)
    with suppress(BlockingIOError):
        sock.setblocking(False)
        sock.send(server.head("GET /openapi.json HTTP/1.1") * 400)
    return sock


@ATTACKS.add("server-overload", 1, 500, prepare=partial(shared, "overload"), **SERVER)
def _overload(rng: Rng, folder: Path) -> None:
    """More requests than the queue holds get the right prediction or 429 with Retry-After, and the metrics count them.

    up to 100 requests at once to a slow model with a queue of 8
    """
    bodies = [_slow_body(rng) for _ in range(int(rng.integers(30, 100)))]
    with healthy("overload") as server, ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(lambda body: predict(server, body, 429), bodies))
        refused = [answer.headers for answer in answers if answer.status == 429]
        without = [one for one in refused if not re.fullmatch(r"[1-9]\d?", one.get("retry-after", ""))]
        assert not without, f"429 without Retry-After: {without}"
        counted = _counted(server, 'gatewise_rejected_total{model="slow",reason="queue_full"}')
        before = REFUSED_BEFORE.get(server.process.pid, 0)
        assert counted == before + len(refused), f"/metrics counts {counted - before} instead of {len(refused)} refused"
        REFUSED_BEFORE[server.process.pid] = counted


def _slow_body(rng: Rng) -> bytes:
    asked = json.loads(predict_body(rng, longest=300))
    return json.dumps(asked | {"model": "slow"}).encode()


def _counted(server: Server, name: str) -> int:
    """A counter of /metrics; 0 where it is not there yet."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", server.get("/metrics").body.decode(), re.MULTILINE)
    return int(float(found[1])) if found else 0


@ATTACKS.add("server-drain", 1, 300, prepare=models, **SERVER)
def _drain(rng: Rng, folder: Path) -> None:
    """After SIGTERM or Ctrl-C the server answers every request that it has read, and exits with code 0.

    the signal while up to 60 requests wait, one or two workers; more requests after it
    """
    options = ["--workers", int(rng.integers(1, 3)), "--max-batch", 1, "--queue", 2000]
    with serving(*save_models(folder), *options) as server, ExitStack() as opened:

        def sent(body: bytes) -> socket.socket:
            sock = opened.enter_context(server.connect())
            sock.sendall(server.post("/predict", body))
            return sock

        bodies = [_slow_body(rng) for _ in range(int(rng.integers(1, 60)))]
        waiting, late = [(body, sent(body)) for body in bodies], list[tuple[bytes, socket.socket]]()
        server.wait_until_read()
        server.process.send_signal(choice(rng, [signal.SIGTERM, signal.SIGINT]))
        for body in [_slow_body(rng) for _ in range(int(rng.integers(10)))]:
            with suppress(ConnectionError):  # it is refused once the server has seen the signal
                late.append((body, sent(body)))
        for number, (body, sock) in enumerate(waiting):
            answers = list(read(sock))
            assert answers, f"request {number} has no answer"
            check_answers([Wanted(body)], answers)
        for body, sock in late:
            check_answers([Wanted(body, frozenset({503}))], list(read(sock)))
        code = server.process.wait(30)
        assert code == 0, f"exit code {code}: {server.log[-200:]}"
        assert "Traceback" not in server.log


@ATTACKS.add("server-workers", 1, 300, prepare=models, **SERVER)
def _workers(rng: Rng, folder: Path) -> None:
    """A killed worker loses its own requests only and is replaced, and the metrics of two workers add up.

    kill -9 one of two workers under the load of up to six clients
    """
    clients = int(rng.integers(1, 7))
    bodies = [[predict_body(rng) for _ in range(int(rng.integers(10, 40)))] for _ in range(clients)]
    count = sum(map(len, bodies))
    with serving(*save_models(folder), "--workers", 2) as server, ThreadPoolExecutor(clients) as pool:
        while len(children(server.process.pid)) < 2:
            time.sleep(0.02)
        running = [pool.submit(_lost, server, mine) for mine in bodies]
        time.sleep(float(rng.uniform(0, 0.3)))
        killed = choice(rng, sorted(children(server.process.pid)))
        os.kill(killed, signal.SIGKILL)
        lost = sum(one.result() for one in running)
        _await_replaced(server, killed)
        assert lost <= clients, f"{lost} requests of {clients} clients are lost with one worker"
        # Each client had at most one request at the killed worker, which may have been answered or counted only.
        _await_sum(server, count - lost - clients, count)
        later = sum(_lost(server, mine) for mine in bodies)
        assert not later, f"{later} requests are lost after the worker was replaced"
        _await_sum(server, 2 * count - lost - clients, 2 * count)
        assert "Traceback" not in server.log


def _lost(server: Server, bodies: list[bytes]) -> int:
    """Requests one after the other: how many have no answer."""
    lost = 0
    for body in bodies:
        try:
            predict(server, body)
        except ConnectionError:
            lost += 1
    return lost


def _await_replaced(server: Server, killed: int) -> None:
    """Until there are two workers again."""
    end = time.monotonic() + 60
    while len(now := children(server.process.pid)) != 2 or killed in now:
        assert time.monotonic() < end, "the killed worker is not replaced"
        time.sleep(0.05)
    assert f"worker process {killed} has ended (SIGKILL)" in server.log, server.log[-200:]


def _await_sum(server: Server, least: int, most: int) -> None:
    """Until both workers report the sum of all. A response is counted just after it is sent."""
    end, found = time.monotonic() + 60, set[int]()
    while len(found) != 1 or not least <= min(found) <= most:
        assert time.monotonic() < end, f"/metrics counts {sorted(found)} answers instead of {least} to {most}"
        name = 'gatewise_requests_total{model="texts",route="/predict",status="200"}'
        found = {_counted(server, name) for _ in range(6)}


@ATTACKS.add(
    "server-schema", 0, 20, **SERVER | {"unavailable": partial(missing, *PARTS, "schemathesis"), "seconds": 1200.0}
)
def _schema(rng: Rng, folder: Path) -> None:
    """The server answers as its OpenAPI description says.

    schemathesis, all phases, with valid and invalid requests
    """
    command = [str(Path(sys.executable).parent / "schemathesis"), "run"]
    command += ["--mode", "all", "--max-examples", "50", "--seed", str(rng.integers(2**31)), "--no-color"]
    # A schema cannot say which tensors fit, that the type is checked before the method, or that no token is set.
    command += ["--exclude-checks", "positive_data_acceptance,unsupported_method,ignored_auth"]
    command += ["--request-timeout", "30", "--generation-database", "none", "--suppress-health-check", "all"]
    with healthy("schema") as server:
        command.append(f"http://127.0.0.1:{server.port}/openapi.json")
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, f"schemathesis: {done.stdout[-280:]}"
