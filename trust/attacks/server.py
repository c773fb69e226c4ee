"""Attacks on `gatewise serve`: hostile requests, slow clients, overload, shutdown, killed workers."""

from __future__ import annotations

import importlib.util
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
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from trust.attack import MIB, Attacks
from trust.attacks.answers import judge, models, save_models, wrong_explanation
from trust.attacks.requests import CASES, MAX_BODY, Case, Wanted, exchange, predict_body, text, valid
from trust.mutate import Rng, choice
from trust.server import Answer, Server, Silent, children, read, serving

ATTACKS = Attacks()
READ_TIMEOUT = 1
TOGETHER = 8  # connections of one try
MEMORY = 400 * MIB  # of the server, which has about 100 when it starts
SERVERS: dict[str, Server] = {}  # of this process, by attack
OPTIONS: dict[str, list[object]] = {
    "requests": ["--read-timeout", READ_TIMEOUT, "--keep-alive", 2, "--max-body", MAX_BODY, "--queue", 2000],
    "hours": ["--read-timeout", 2, "--keep-alive", 4],
    "slow": ["--read-timeout", READ_TIMEOUT],
    "overload": ["--queue", 8, "--max-batch", 2, "--queue-timeout", 60],
    "schema": ["--queue-timeout", 60],
    "stream": ["--read-timeout", 1, "--max-body", MAX_BODY],
}


def available_server() -> str:
    """Why no server can run here, or ""."""
    missing = [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
    return f"{missing[0]} is not installed" if missing else ""


def _without_schemathesis() -> str:
    there = importlib.util.find_spec("schemathesis")
    return available_server() or ("" if there else "schemathesis is not installed")


SERVER: dict[str, Any] = {"unavailable": available_server, "seconds": 120.0, "memory": 0}


def shared(name: str) -> Server:
    """The server of all tries of an attack in this process; another one if it has ended."""
    server = SERVERS.get(name)
    if server is None or server.process.poll() is not None:
        folder = Path(tempfile.mkdtemp(prefix="trust-"))
        try:
            server = SERVERS[name] = Server(*save_models(folder), *OPTIONS[name])
        finally:
            shutil.rmtree(folder)  # this process may be killed
        if problem := judge([Wanted(BODY)], [server.ask(server.post("/predict", BODY))]):
            raise RuntimeError(problem)
    return server


BODY = b'{"text":"word1 word2 word3","id":"healthy"}'


def unhealthy(server: Server) -> str | None:
    """What is wrong with the server after a try: it answers, its log has no error, its memory was bounded."""
    if server.process.poll() is not None:
        return f"the server ended with exit code {server.process.returncode}: {server.log[-200:]}"
    problem = judge([Wanted(BODY)], [server.ask(server.post("/predict", BODY))])
    if found := re.search(r"Traceback|Error| failed: .*", server.log):
        problem = f"its log has {found[0]!r}: {server.log[max(0, found.start() - 80) :][:200]}"
    if (peak := server.peak) > MEMORY:
        problem = f"its memory reached {peak // MIB} MiB"
    if problem is None:
        return None
    SERVERS.clear()  # the next try has a new server
    server.stop()
    return f"afterwards: {problem}"


def first_problem(problems: Iterable[str | None]) -> str | None:
    return next((problem for problem in problems if problem), None)


# Hostile requests


@ATTACKS.add("server-requests", 8, 5_000, prepare=partial(shared, "requests"), **SERVER)
def _requests(rng: Rng, folder: Path) -> str | None:
    """The server answers a request with the right prediction or with a 4xx and a reason. It never fails, hangs, mixes
    answers or takes a part of a body for a request, and it then answers as before.

    eight connections at once: header and trailer bombs, ambiguous lengths with a request in the body, pipelining, wrong
    Host and Origin, path traversal, compressed bodies, huge and deep JSON, other encodings, truncated, chunked and
    changed requests
    """
    server = shared("requests")
    cases = [valid(rng, server), *[choice(rng, CASES)(rng, server) for _ in range(TOGETHER - 1)]]
    cuts = [sorted(rng.integers(0, len(case.raw), int(rng.integers(4))).tolist()) for case in cases]
    with ThreadPoolExecutor(TOGETHER) as pool:
        found = list(pool.map(partial(exchange, server), cases, cuts))
    problems = [_failed(case, answers) for case, answers in zip(cases, found, strict=True)]
    return first_problem([*problems, unhealthy(server)])


def _failed(case: Case, answers: list[Answer] | str) -> str | None:
    if isinstance(answers, str):
        return f"{case.name}: {answers}"
    statuses = [answer.status for answer in answers]
    problem = judge(case.wanted, answers)
    few = len(answers) < len(case.wanted)
    if few and not case.may_close:
        problem = problem or f"{len(answers)} answers instead of {len(case.wanted)}: {statuses}"
    more = answers[len(case.wanted) :]
    if not (few or more or case.unfinished or case.may_close or answers[-1].headers.get("connection") == "close"):
        problem = problem or f"the next request on the connection has no answer: {statuses}"
    if more and (case.unfinished or len(more) > 1 or b'"live"' not in more[0].body):
        # After a whole request, other bytes on the connection are refused.
        refused = [one for one in more if one.status in (400, 408)]
        if refused != more or len(more) > 1:
            problem = problem or f"an answer too many: {statuses}"
    return f"{case.name}: {problem}" if problem else None


# Hours under load

CLIENTS, EACH = 16, 25  # requests of one try
PATHS = ("/model", "/metrics", "/units/1", "/openapi.json", "/", "/v2/models/texts")
FIRST_MEMORY: dict[int, int] = {}  # bytes of a server after its first try


@ATTACKS.add("server-hours", 1, 1_500, prepare=partial(shared, "hours"), **SERVER | {"seconds": 600.0})
def _hours(rng: Rng, folder: Path) -> str | None:
    """A server under mixed load gives the right predictions and never fails, and its memory stays.

    400 requests of 16 clients: predictions of short and long texts, explanations, model cards, metrics, hostile
    requests, and clients that leave before their answer
    """
    server = shared("hours")
    with ThreadPoolExecutor(CLIENTS) as pool:
        problems = list(pool.map(partial(_load, server), rng.spawn(CLIENTS)))
    growth = server.memory - FIRST_MEMORY.setdefault(server.process.pid, server.memory)
    problems.append(f"its memory has grown by {growth // MIB} MiB" if growth > 64 * MIB else None)
    return first_problem([*problems, unhealthy(server)])


def _load(server: Server, rng: Rng) -> str | None:
    """The requests of one client, until the first problem."""
    return first_problem(_mixed(server, rng) for _ in range(EACH))


def _mixed(server: Server, rng: Rng) -> str | None:
    kind = float(rng.random())
    if kind < 0.7:
        body = predict_body(rng, longest=30 if kind < 0.6 else 2000)
        return judge([Wanted(body)], [server.ask(server.post("/predict", body))])
    if kind < 0.9:
        typed = text(rng, 40)
        body = json.dumps({"text": typed, "include": ["prediction", "attribution"]}).encode()
        request = server.post("/explain", body) if kind < 0.8 else server.head(f"GET {choice(rng, PATHS)} HTTP/1.1")
        answer = server.ask(request)
        if answer.status != 200:
            return f"status {answer.status}: {answer.body[:200]!r}"
        return wrong_explanation(typed, answer) if kind < 0.8 else None
    if kind < 0.97:
        case = choice(rng, CASES)(rng, server)
        answers = exchange(server, case, [])
        failed = isinstance(answers, str) or [one.status for one in answers if one.status >= 500 and one.status != 501]
        return f"{case.name}: {answers}" if failed else None
    with server.connect() as sock:  # leaves before the answer
        sock.sendall(server.post("/predict", predict_body(rng, longest=2000)))
    return None


# Slow clients


@ATTACKS.add("server-slow", 1, 200, prepare=partial(shared, "slow"), **SERVER)
def _slow(rng: Rng, folder: Path) -> str | None:
    """Clients that send or read too slowly are disconnected; others are answered meanwhile.

    up to 60 clients that send a byte at a time or nothing, and clients that read nothing
    """
    server = shared("slow")
    end = time.monotonic() + 100
    senders = [_sender(rng, server) for _ in range(int(rng.integers(1, 60)))]
    readers = [_reader(server) for _ in range(int(rng.integers(4)))]
    # Each sender sends a byte per round; a round has a healthy request.
    problem, waiting = None, dict(enumerate(senders))
    pause = float(rng.uniform(0.01, 0.2))
    while waiting and not problem:
        for number, (sock, byte) in list(waiting.items()):
            answer = _dribble(sock, byte)
            if answer is not None:
                del waiting[number]
                if answer and answer.split(b" ")[1] not in (b"408", b"400"):  # 400: its bytes are no request
                    problem = f"a slow sender got {answer[:100]!r}"
        body = predict_body(rng)
        problem = problem or judge([Wanted(body)], [server.ask(server.post("/predict", body))])
        if time.monotonic() > end:
            problem = problem or f"{len(waiting)} of {len(senders)} slow senders are still connected after 100 s"
        time.sleep(pause)
    for sock, _ in senders:
        sock.close()
    if readers:
        time.sleep(READ_TIMEOUT + 2.5)
    return first_problem([problem, *[_cut(sock) for sock in readers], unhealthy(server)])


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


def _dribble(sock: socket.socket, byte: bytes) -> bytes | None:
    """None while the connection is open; then the answer, or "" where it was lost with the connection."""
    try:
        sock.send(byte)
        return sock.recv(65536)
    except BlockingIOError:
        return None
    except ConnectionError:
        return b""


def _reader(server: Server) -> socket.socket:
    """A client that asks for some megabytes and takes none of them."""
    sock = server.connect(receive_buffer=4096)
    with suppress(BlockingIOError):
        sock.setblocking(False)
        sock.send(server.head("GET /openapi.json HTTP/1.1") * 400)
    return sock


def _cut(sock: socket.socket) -> str | None:
    """What is wrong with the end of a client that did not read. What it is sent is whole but for the last answer."""
    with sock:
        try:
            answers = list(read(sock, 20))
        except Silent as error:
            return f"a slow reader: {error}"
    if len(answers) >= 400:
        return "the server waited for a client that did not read"
    wrong = [answer.status for answer in answers[:-1] if answer.status != 200 or not answer.complete]
    return f"a slow reader got {wrong}" if wrong else None


# More requests than the server can answer


@ATTACKS.add("server-overload", 1, 500, prepare=partial(shared, "overload"), **SERVER)
def _overload(rng: Rng, folder: Path) -> str | None:
    """More requests than the queue holds get the right prediction or 429 with Retry-After, and the metrics count them.

    up to 100 requests at once to a slow model with a queue of 8
    """
    server = shared("overload")
    bodies = [_slow_body(rng) for _ in range(int(rng.integers(30, 100)))]
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(lambda body: server.ask(server.post("/predict", body)), bodies))
    problems: list[str | None] = []
    for body, answer in zip(bodies, answers, strict=True):
        problems.append(judge([Wanted(body, frozenset({429}))], [answer]))
        if answer.status == 429 and not re.fullmatch(r"[1-9]\d?", answer.headers.get("retry-after", "")):
            problems.append(f"429 without Retry-After: {answer.headers}")
    refused = sum(answer.status == 429 for answer in answers)
    counted = _counted(server, 'gatewise_rejected_total{model="slow",reason="queue_full"}')
    if counted != (all_refused := REFUSED_BEFORE.get(server.process.pid, 0) + refused):
        problems.append(f"/metrics counts {counted} refused requests instead of {all_refused}")
    REFUSED_BEFORE[server.process.pid] = all_refused
    return first_problem([*problems, unhealthy(server)])


REFUSED_BEFORE: dict[int, int] = {}  # answers 429 of a server in earlier tries


def _slow_body(rng: Rng) -> bytes:
    asked = json.loads(predict_body(rng, longest=300))
    return json.dumps(asked | {"model": "slow"}).encode()


def _counted(server: Server, name: str) -> int:
    """A counter of /metrics; 0 where it is not there yet."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", server.get("/metrics").body.decode(), re.MULTILINE)
    return int(float(found[1])) if found else 0


# SIGTERM


@ATTACKS.add("server-drain", 1, 300, prepare=models, **SERVER)
def _drain(rng: Rng, folder: Path) -> str | None:
    """After SIGTERM or Ctrl-C the server answers every request that it has read, and exits with code 0.

    the signal while up to 60 requests wait, one or two workers; more requests after it
    """
    workers = int(rng.integers(1, 3))
    with serving(*save_models(folder), "--workers", workers, "--max-batch", 1, "--queue", 2000) as server:
        bodies = [_slow_body(rng) for _ in range(int(rng.integers(1, 60)))]
        late = [_slow_body(rng) for _ in range(int(rng.integers(10)))]
        sent = [(body, _sent(server, body)) for body in bodies]
        server.wait_until_read()
        server.process.send_signal(choice(rng, [signal.SIGTERM, signal.SIGINT]))
        problems: list[str | None] = []
        for body in late:
            with suppress(ConnectionError):  # it is refused once the server has seen the signal
                sent.append((body, _sent(server, body)))
        for number, (body, sock) in enumerate(sent):
            with sock:
                try:
                    answers = list(read(sock))
                except Silent as error:
                    answers = []
                    problems.append(str(error))
            if number >= len(bodies):
                problems.append(judge([Wanted(body, frozenset({503}))], answers))
            else:
                problems.append(judge([Wanted(body)], answers) if answers else f"request {number} has no answer")
        try:
            code = server.process.wait(30)
        except subprocess.TimeoutExpired:
            return "the server is still there after 30 s"
        problems.append(f"exit code {code}: {server.log[-200:]}" if code else None)
        problems.append("a traceback in its log" if "Traceback" in server.log else None)
    return first_problem(problems)


def _sent(server: Server, body: bytes) -> socket.socket:
    sock = server.connect()
    sock.sendall(server.post("/predict", body))
    return sock


# A killed worker


@ATTACKS.add("server-workers", 1, 300, prepare=models, **SERVER)
def _workers(rng: Rng, folder: Path) -> str | None:
    """A killed worker loses its own requests only and is replaced, and the metrics of two workers add up.

    kill -9 one of two workers under the load of up to six clients
    """
    clients = int(rng.integers(1, 7))
    bodies = [[predict_body(rng) for _ in range(int(rng.integers(10, 40)))] for _ in range(clients)]
    with serving(*save_models(folder), "--workers", 2) as server, ThreadPoolExecutor(clients) as pool:
        while len(children(server.process.pid)) < 2:
            time.sleep(0.02)
        running = [pool.submit(_client, server, mine) for mine in bodies]
        time.sleep(float(rng.uniform(0, 0.3)))
        killed = choice(rng, sorted(children(server.process.pid)))
        os.kill(killed, signal.SIGKILL)
        results = [one.result() for one in running]
        answered, lost = sum(result[0] for result in results), sum(result[1] for result in results)
        problems = [result[2] for result in results]
        problems.append(_replaced(server, killed))
        if lost > clients:
            problems.append(f"{lost} requests of {clients} clients are lost with one worker")
        # Each client had at most one request at the killed worker, which may have been answered or counted only.
        problems.append(_adds_up(server, answered - clients, answered + lost))
        later = [_client(server, mine) for mine in bodies]
        answered += sum(result[0] for result in later)
        problems += [result[2] for result in later]
        if lost_later := sum(result[1] for result in later):
            problems.append(f"{lost_later} requests are lost after the worker was replaced")
        problems.append(_adds_up(server, answered - clients, answered + lost))
        problems.append("a traceback in its log" if "Traceback" in server.log else None)
    return first_problem(problems)


def _client(server: Server, bodies: list[bytes]) -> tuple[int, int, str | None]:
    """Requests one after the other: how many were answered, how many lost, and what was wrong."""
    lost, problem = 0, None
    for body in bodies:
        try:
            problem = problem or judge([Wanted(body)], [server.ask(server.post("/predict", body))])
        except ConnectionError:
            lost += 1
    return len(bodies) - lost, lost, problem


def _replaced(server: Server, killed: int) -> str | None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        now = children(server.process.pid)
        if len(now) == 2 and killed not in now:
            return None if f"Child process [{killed}] died" in server.log else f"its log: {server.log[-200:]}"
        time.sleep(0.05)
    return "the killed worker is not replaced"


def _adds_up(server: Server, least: int, most: int) -> str | None:
    """Both workers report the sum of all. A response is counted just after it is sent."""
    end = time.monotonic() + 60
    while True:
        name = 'gatewise_requests_total{model="texts",route="/predict",status="200"}'
        found = {_counted(server, name) for _ in range(6)}
        if len(found) == 1 and least <= min(found) <= most:
            return None
        if time.monotonic() > end:
            return f"/metrics counts {sorted(found)} answers instead of {least} to {most}"


# schemathesis


@ATTACKS.add("server-schema", 0, 20, **SERVER | {"unavailable": _without_schemathesis, "seconds": 1200.0})
def _schema(rng: Rng, folder: Path) -> str | None:
    """The server answers as its OpenAPI description says.

    schemathesis, all phases, with valid and invalid requests
    """
    server = shared("schema")
    command = [Path(sys.executable).parent / "schemathesis", "run", f"http://127.0.0.1:{server.port}/openapi.json"]
    command += ["--mode", "all", "--max-examples", "50", "--seed", rng.integers(2**31), "--no-color"]
    # A schema cannot say which tensors fit, that the type is checked before the method, or that no token is set.
    command += ["--exclude-checks", "positive_data_acceptance,unsupported_method,ignored_auth"]
    command += ["--request-timeout", "30", "--generation-database", "none", "--suppress-health-check", "all"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=folder)
    problem = f"schemathesis: {done.stdout[-280:]}" if done.returncode else None
    return first_problem([problem, unhealthy(server)])
