"""Worker processes: one that ends is replaced, whatever happens to the folder of its model, and loses nothing else."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from gatewise.model.model import Model
from tests.children import run_child
from tests.serve.server import Server, connect, post, read_reply, serving, wait_for
from trust.server import children

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
TEXT = "a good film"


def workers_of(server: Server) -> list[int]:
    """The two workers, as soon as there are two."""
    wait_for(lambda: len(children(server.process.pid)) == 2)
    return children(server.process.pid)


def kill_all(server: Server) -> None:
    """Kill both workers, and wait until there are two others."""
    killed = workers_of(server)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(now := children(server.process.pid)) == 2 and not set(now) & set(killed))


def answer(server: Server) -> float:
    """The first probability that the server gives for the text."""
    [found] = post(server.port, "/predict", {"text": TEXT}).json()["predictions"]
    return float(next(iter(found["probabilities"].values())))


@pytest.fixture
def two(models: dict[str, Model]) -> list[Model]:
    """Two models with different predictions."""
    plain = models["reviews"]
    negated = {name: -array if name == "dense.weight" else array for name, array in plain.parameters.items()}
    return [plain, plain.with_lstm(parameters=negated)]


@pytest.fixture
def server(two: list[Model], tmp_path: Path) -> Iterator[Server]:
    """Two workers that serve the first model, and load it again when asked."""
    two[0].save(tmp_path / "model")
    with serving(tmp_path / "model", "--reload", "--workers", 2) as found:
        yield found


def test_a_folder_that_is_damaged_later_does_not_keep_a_worker_from_starting(
    server: Server, two: list[Model], tmp_path: Path
) -> None:
    expected = float(two[0].predict_proba([TEXT])[0, 0])
    (tmp_path / "model" / "lstm.safetensors").write_bytes(b"damaged")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the models stay as they are" in server.log)
    kill_all(server)
    assert [answer(server) for _ in range(8)] == pytest.approx([expected] * 8)
    assert server.process.poll() is None


def test_a_reload_while_workers_start_reaches_them(server: Server, two: list[Model], tmp_path: Path) -> None:
    """SIGHUP before a worker is ready neither ends it nor is lost."""
    expected = [float(model.predict_proba([TEXT])[0, 0]) for model in two]
    for turn in range(1, 6):
        two[turn % 2].save(tmp_path / "model")
        killed = workers_of(server)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        for _ in range(20):
            for pid in (server.process.pid, *set(children(server.process.pid)) - set(killed)):
                os.kill(pid, signal.SIGHUP)
            time.sleep(0.002)
        replaced = workers_of(server)
        wait_for(lambda turn=turn: {round(answer(server), 4) for _ in range(12)} == {round(expected[turn % 2], 4)})
        assert workers_of(server) == replaced, "no other worker has ended"


def test_requests_that_wait_while_all_workers_are_dead_are_answered(server: Server, two: list[Model]) -> None:
    expected = float(two[0].predict_proba([TEXT])[0, 0])
    for pid in workers_of(server):
        os.kill(pid, signal.SIGKILL)
    assert answer(server) == pytest.approx(expected)


@pytest.mark.parametrize("again", [False, True])
def test_the_end_while_all_workers_are_dead(server: Server, again: bool) -> None:
    """Another worker answers the clients that wait. again: it is killed as well."""
    with ExitStack() as opened:
        workers = workers_of(server)
        os.kill(server.process.pid, signal.SIGSTOP)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        body = json.dumps({"text": TEXT}).encode()
        clients = [opened.enter_context(connect(server.port, server.post("/predict", body))) for _ in range(20)]
        os.kill(server.process.pid, signal.SIGTERM)
        os.kill(server.process.pid, signal.SIGCONT)
        if again:
            wait_for(lambda: set(children(server.process.pid)) - set(workers))
            for pid in children(server.process.pid):
                os.kill(pid, signal.SIGKILL)
        statuses = [read_reply(sock).status for sock in clients]
        assert set(statuses) <= ({0, 200, 503} if again else {200, 503}), statuses
        assert server.process.wait(60) == 0, server.log


def test_a_worker_that_is_asked_to_stop_is_replaced_before_it_ends(server: Server) -> None:
    """It answers the request that it has, and refuses none."""
    body = json.dumps({"text": TEXT}).encode()
    stopped, other = workers_of(server)
    with ExitStack() as opened:
        halves = [opened.enter_context(connect(server.port, server.post("/predict", body)[:-5])) for _ in range(12)]
        server.wait_until_read()
        os.kill(stopped, signal.SIGTERM)
        wait_for(lambda: len(children(server.process.pid)) == 3)
        assert {other, stopped} < set(children(server.process.pid))
        assert {post(server.port, "/predict", {"text": TEXT}).status for _ in range(12)} == {200}
        for sock in halves:
            sock.sendall(body[-5:])
        assert {read_reply(sock).status for sock in halves} == {200}
    wait_for(lambda: stopped not in children(server.process.pid))


@pytest.mark.parametrize("stage", ["starting", "ready"])
def test_a_worker_that_hangs_is_ended(folders: dict[str, Path], tmp_path: Path, stage: str) -> None:
    """The first worker stops itself while it starts, or is stopped when both are ready."""
    program = f"""import os, signal
import gatewise.serve.supervisor as supervisor
from gatewise.cli import main
supervisor._HEARTBEAT_TIMEOUT = supervisor._START_TIMEOUT = 8
work = supervisor.work
def stop_once(*arguments):
    try:
        os.close(os.open({str(tmp_path / "stopped")!r}, os.O_CREAT | os.O_EXCL))
        os.kill(os.getpid(), signal.SIGSTOP)
    except FileExistsError:
        pass
    work(*arguments)
if {stage!r} == "starting":
    supervisor.work = stop_once
main()"""
    with serving(folders["reviews"], "--workers", 2, program=("-c", program)) as server:
        if stage == "starting":
            wait_for(lambda: "is not ready after 8 s and is ended" in server.log)
            wait_for(lambda: "has ended (SIGKILL) and is replaced" in server.log)
        else:
            hung, other = workers_of(server)
            time.sleep(1.5)  # a heartbeat of each: both are ready
            os.kill(hung, signal.SIGSTOP)
            wait_for(lambda: f"worker process {hung} has ended (SIGKILL)" in server.log)
            assert f"worker process {hung} " in server.log
            assert other in workers_of(server)
        assert len(workers_of(server)) == 2


@pytest.mark.parametrize(
    ("work", "reason"),
    [("os.kill(os.getpid(), 9)", "SIGKILL"), ("sys.exit(7)", "exit code 7"), ("1 / 0", "exit code 1")],
)
def test_workers_that_cannot_start_end_the_server(folders: dict[str, Path], work: str, reason: str) -> None:
    program = f"""import os, sys
import gatewise.serve.supervisor as supervisor
from gatewise.cli import main
def work(*_): {work}
supervisor.work = work
main()"""
    command = [sys.executable, "-c", program, "serve", "-m", str(folders["reviews"]), "--port", "0", "--workers", "2"]
    done = run_child(command, seconds=100)
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("gatewise: ")]
    assert lines[-1] == "gatewise: the worker processes end before they are ready"
    assert sum(f"{reason}) and is replaced" in line for line in lines) >= 5


@pytest.mark.slow
def test_models_reach_a_worker_that_is_not_forked(folders: dict[str, Path], models: dict[str, Model]) -> None:
    """As on macOS: the supervisor sends what a worker needs."""
    spawned = """import multiprocessing
import gatewise.serve.supervisor as supervisor
from gatewise.cli import main
if __name__ == "__main__":
    supervisor.worker_context = lambda: multiprocessing.get_context("spawn")
    main()"""
    with serving(folders["reviews"], "--workers", 2, program=("-c", spawned)) as server:
        expected = float(models["reviews"].predict_proba([TEXT])[0, 0])
        kill_all(server)
        assert answer(server) == pytest.approx(expected)
        server.process.terminate()
        assert server.process.wait(60) == 0
        assert np.isfinite(expected)
