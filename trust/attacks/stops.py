"""Attacks on a server that reloads and stops while clients connect and workers are killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.model.model import Model
from gatewise.system.processes import available_processors
from tests.exchange.random_models import random_model
from trust.attack import Attacks
from trust.attacks.answers import TOLERANCE
from trust.attacks.server import SERVER
from trust.mutate import Rng, choice
from trust.server import Answer, Server, children, read, serving

ATTACKS = Attacks()
CLIENTS = 64
TEXTS = ["word1 word2 word3", "word4", "word2 word2 word5 word6"]
BODY = json.dumps({"inputs": TEXTS}).encode()
REPLACED = 1.0  # seconds in which another worker has the place of one that was killed
END = 40.0  # seconds in which the server ends after SIGTERM
TICKS = os.sysconf("SC_CLK_TCK")


@cache
def versions() -> tuple[Model, Model]:
    """Two models that predict differently, to be served under one name in turn."""
    return random_model(11, units=9, classes=3), random_model(12, units=9, classes=3)


def _differences(answer: Answer) -> list[float]:
    """How far the predictions of a response are from those of each version."""
    rows = [list(row["probabilities"].values()) for row in answer.json()["predictions"]]
    return [float(np.abs(np.subtract(rows, version.predict_proba(TEXTS))).max()) for version in versions()]


@dataclass
class Clients:
    """Clients that send one request after the other until the server refuses them. outcomes: how often each ended.

    right         the predictions of one version
    stopping      503, and the connection is closed
    refused       nobody listens
    lost          the connection ended without a response
    """

    server: Server
    outcomes: Counter[str] = field(default_factory=Counter)
    is_over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, outcome: str) -> None:
        """Count an outcome."""
        with self._lock:
            self.outcomes[outcome] += 1

    @contextmanager
    def threads(self) -> Iterator[ThreadPoolExecutor]:
        """Threads for the clients, which end with the block."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            try:
                yield pool
            finally:
                self.is_over = True

    @property
    def wrong(self) -> str:
        """The first outcome that no server may have."""
        known = ("right", "stopping", "refused", "lost")
        return next((outcome for outcome in self.outcomes if outcome not in known), "")

    def run(self, seed: int) -> None:
        """One client. Some keep their connection, the others have one for each request."""
        rng = np.random.default_rng(seed)
        request = self.server.post("/predict", BODY)
        keeps, outcome = rng.random() < 0.5, "right"
        while outcome in ("right", "lost") and not self.is_over:
            time.sleep(float(rng.uniform(0, 0.02)))
            try:
                sock = self.server.connect()
            except ConnectionRefusedError:
                self.note("refused")
                return
            except OSError as error:
                self.note(f"cannot connect: {error}")
                return
            with sock:
                outcome = self._use(sock, request, keeps)

    def _use(self, sock: socket.socket, request: bytes, keeps: bool) -> str:
        """The last outcome on a connection."""
        answers = read(sock)
        while True:
            outcome, closes = "lost", True
            with suppress(ConnectionError):
                sock.sendall(request)
                answer = next(answers, None)
                if answer is not None and answer.complete:
                    closes = answer.headers.get("connection") == "close"
                    outcome = _outcome(answer)
            self.note(outcome)
            if closes or not keeps or self.is_over:
                return outcome


def _outcome(answer: Answer) -> str:
    if answer.status == 200:
        return "right" if min(_differences(answer)) < TOLERANCE else f"of no version: {answer.body[:200]!r}"
    if answer.status == 503 and answer.error["code"] == "stopping" and answer.headers.get("connection") == "close":
        return "stopping"
    return f"status {answer.status}: {answer.body[:200]!r}"


@ATTACKS.add("drain", 2, 60, prepare=versions, **SERVER)
def _drain(rng: Rng, folder: Path) -> None:
    """A server that stops answers every client that has connected, with the right predictions or 503 and Connection:
    close. It resets no connection, and refuses later clients.

    64 clients that wait to be accepted, some of whom send their request after SIGTERM or Ctrl-C, or 64 clients that
    send requests meanwhile, on one connection or on one for each; one to three workers
    """
    versions()[0].save(folder / "model")
    workers = int(rng.integers(1, 4))
    with serving(folder / "model", "--workers", workers) as server:
        _await_workers(server, workers if workers > 1 else 0)
        number = choice(rng, [signal.SIGTERM, signal.SIGINT])
        clients = Clients(server)
        attack = choice(rng, [_stop_with_full_queue, _stop_under_load])
        attack(rng, clients, number)
        _check_end(clients)
        assert not clients.outcomes["lost"], f"{clients.outcomes['lost']} clients have no response: {clients.outcomes}"


def _stop_with_full_queue(rng: Rng, clients: Clients, number: int) -> None:
    """The clients connect while no process of the server runs."""
    server = clients.server
    processes = [server.process.pid, *children(server.process.pid)]
    request = server.post("/predict", BODY)
    with ExitStack() as opened:
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        waiting = [opened.enter_context(server.connect()) for _ in range(CLIENTS)]
        late = int(rng.integers(CLIENTS))
        for sock in waiting[late:]:
            sock.sendall(request)
        os.kill(server.process.pid, number)
        for pid in rng.permutation(processes).tolist():
            os.kill(pid, signal.SIGCONT)
        time.sleep(float(rng.uniform(0, 0.4)))
        for sock in waiting[:late]:
            with suppress(ConnectionError):  # the response is missing then
                sock.sendall(request)
        for sock in waiting:
            answer = next(read(sock), None)
            clients.note("lost" if answer is None or not answer.complete else _outcome(answer))


def _stop_under_load(rng: Rng, clients: Clients, number: int) -> None:
    """The clients send requests before and after the signal."""
    with clients.threads() as pool:
        running = [pool.submit(clients.run, seed) for seed in rng.integers(2**31, size=CLIENTS).tolist()]
        time.sleep(float(rng.uniform(0, 0.5)))
        os.kill(clients.server.process.pid, number)
        for client in running:
            client.result()


@ATTACKS.add("reload-kill", 1, 60, prepare=versions, **SERVER)
def _reload_kill(rng: Rng, folder: Path) -> None:
    """While models are exchanged and workers are killed, a response has the predictions of one version of the model. A
    killed worker is replaced within a second, and only its own requests are lost. The server stops as without that.

    64 clients; SIGHUP to the server and to its workers, also to those that start, POST to the repository API, kill -9
    of one or all workers, in half of the tries none; a damaged folder; then SIGTERM, in some tries with another kill
    """
    model = folder / "model"
    versions()[0].save(model)
    kills = bool(rng.random() < 0.5)
    with serving(model, "--reload", "--workers", 2) as server, (clients := Clients(server)).threads() as pool:
        _await_workers(server, 2)
        running = [pool.submit(clients.run, seed) for seed in rng.integers(2**31, size=CLIENTS).tolist()]
        actions: list[Callable[[Rng, Server, Path], int]] = [_exchange, _hang_up, _ask_for_reload, _damage]
        killed = 0
        for _ in range(int(rng.integers(4, 12))):
            killed += choice(rng, [*actions, *([_kill] * 3 if kills else [])])(rng, server, model)
            time.sleep(float(rng.exponential(0.1)))
        if not kills:
            _await_version(clients, model)
        if kills and rng.random() < 0.5:
            killed += len(_kill_workers(server, children(server.process.pid)))
        server.process.send_signal(signal.SIGTERM)
        for client in running:
            client.result()
        _check_end(clients)
        lost = clients.outcomes["lost"]
        assert lost <= killed * CLIENTS, f"{lost} requests are lost with {killed} workers: {clients.outcomes}"
        assert clients.outcomes["right"], f"no request was answered: {clients.outcomes}"


def _exchange(rng: Rng, server: Server, model: Path) -> int:
    """Save another version, and let the server load it."""
    versions()[int(rng.integers(2))].save(model)
    server.process.send_signal(signal.SIGHUP)
    return 0


def _hang_up(rng: Rng, server: Server, model: Path) -> int:
    """SIGHUP to all processes of the server."""
    for pid in (server.process.pid, *children(server.process.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)
    return 0


def _ask_for_reload(rng: Rng, server: Server, model: Path) -> int:
    """POST to the repository API. A worker that is killed meanwhile gives no response."""
    versions()[int(rng.integers(2))].save(model)
    with suppress(ConnectionError):
        answer = server.ask(server.post("/v2/repository/models/model/load", b""))
        assert answer.status == 200, f"status {answer.status}: {answer.body[:200]!r}"
    return 0


def _damage(rng: Rng, server: Server, model: Path) -> int:
    """Damage the folder, let the server load it, and mend it."""
    weights = model / "lstm.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    server.process.send_signal(signal.SIGHUP)
    time.sleep(float(rng.uniform(0, 0.2)))
    weights.write_bytes(whole)
    return 0


def _kill(rng: Rng, server: Server, model: Path) -> int:
    """Kill one worker or all, and send SIGHUP to those that take their place. Returns how many."""
    before = children(server.process.pid)
    killed = _kill_workers(server, before if rng.random() < 0.3 else [choice(rng, before)])
    at = time.clock_gettime(time.CLOCK_BOOTTIME)
    end = time.monotonic() + END
    while len(new := set(children(server.process.pid)) - set(before)) < len(killed):
        assert time.monotonic() < end, "a killed worker is not replaced"
        _hang_up(rng, server, model)
    last = max(map(_start_time, new))
    # Processes that share a processor with others run so many times slower.
    longest = REPLACED * max(1.0, os.getloadavg()[0] / available_processors())
    assert last - at < longest, f"a killed worker is replaced after {last - at:.2f} s"
    return len(killed)


def _kill_workers(server: Server, pids: Sequence[int]) -> list[int]:
    """Those that were killed, and had not ended before."""
    killed = []
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
    return killed


def _start_time(pid: int) -> float:
    """When a process started, in seconds since the start of the system; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return int(fields[19]) / TICKS


def _await_workers(server: Server, count: int) -> None:
    """Until there are so many workers."""
    end = time.monotonic() + END
    while len(children(server.process.pid)) != count:
        assert time.monotonic() < end, f"there are not {count} workers: {server.log[-200:]}"
        time.sleep(0.02)


def _await_version(clients: Clients, model: Path) -> None:
    """Until all workers answer with the version that was saved last and loaded."""
    versions()[0].save(model)
    clients.server.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + END
    request = clients.server.post("/predict", BODY)
    while not all(_differences(clients.server.ask(request))[0] < TOLERANCE for _ in range(8)):
        assert time.monotonic() < end, "a worker keeps an old version of the model"


def _check_end(clients: Clients) -> None:
    """The server has ended as it should, and no client has met with anything else."""
    server: Any = clients.server
    code = server.process.wait(END)
    assert code == 0, f"exit code {code}: {server.log[-200:]}"
    assert "Traceback" not in server.log, server.log[-300:]
    assert not clients.wrong, f"{clients.wrong}, of {clients.outcomes}"
    with suppress(ConnectionRefusedError), server.connect():
        raise AssertionError("a client can connect after the end")
