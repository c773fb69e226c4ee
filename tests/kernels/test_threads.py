"""How many threads a call may use."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from gatewise.errors import InputError
from gatewise.kernels import native, threads
from gatewise.kernels.native import Native
from tests.kernels.batches import needs_native


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    threads._quota.cache_clear()
    yield
    threads._quota.cache_clear()


def system(root: Path, kind: str, groups: str, mounted: str, limits: dict[str, str]) -> None:
    """A system whose /proc and /sys/fs/cgroup lie under `root`; `limits`: quota and period by folder of the mount."""
    options = "rw" if kind == "cgroup2" else "rw,cpu,cpuacct"
    mount = f"30 23 0:27 {mounted} /sys/fs/cgroup/it rw,nosuid shared:4 - {kind} {kind} {options}"
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups + "\n")
    (root / "proc/self/mountinfo").write_text(f"22 1 0:21 / /proc rw - proc proc rw\n{mount}\n")
    for name, text in limits.items():
        folder = root / "sys/fs/cgroup/it" / name
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "cgroup2":
            (folder / "cpu.max").write_text(text + "\n")
        else:
            quota, period = text.split()
            (folder / "cpu.cfs_quota_us").write_text(quota + "\n")
            (folder / "cpu.cfs_period_us").write_text(period + "\n")


def test_threads_follow_environment_affinity_and_quota(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", "7")
    assert native.threads() == 7
    monkeypatch.delenv("GATEWISE_THREADS")
    monkeypatch.setattr(threads, "_ROOT", tmp_path)  # no groups
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5}, raising=False)
    assert native.threads() == 3
    system(tmp_path, "cgroup2", "0::/", "/", {".": "200000 100000"})
    threads._quota.cache_clear()
    assert native.threads() == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5}, raising=False)
    assert native.threads() == 1, "affinity that changes after the import"


@needs_native
@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "1025", "9" * 30, "²"])
def test_a_bad_number_of_threads_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", value)
    with pytest.raises(InputError, match="GATEWISE_THREADS must be a number from 1 to 1024"):
        native.threads()
    if value.isascii() and value.lstrip("-").isdigit():
        with pytest.raises(InputError, match="threads must be from 1 to 1024"):
            Native(threads=int(value))


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({"cpu.max": "max 100000"}, []),
        ({"cpu.max": "150000 100000"}, [2]),
        ({"cpu.max": "20000 100000"}, [1]),
        ({"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, []),
        ({"cpu.cfs_quota_us": "400000", "cpu.cfs_period_us": "100000"}, [4]),
        ({"cpu.max": "nonsense"}, []),
        ({}, []),
    ],
)
def test_control_group_quota(files: dict[str, str], processors: list[int], tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    assert threads._quota_of(tmp_path) == processors


V1 = "3:cpuacct,cpu:/a/b\n2:memory:/elsewhere\n0::/a/b"


@pytest.mark.parametrize(
    ("kind", "groups", "mounted", "limits", "processors"),
    [
        ("cgroup2", "0::/a/b", "/", {"a/b": "max 100000"}, threads.MOST_THREADS),
        ("cgroup2", "0::/a/b", "/", {"a/b": "300000 100000"}, 3),
        ("cgroup2", "0::/a/b", "/", {"a/b": "max 100000", "a": "150000 100000", ".": "900000 100000"}, 2),
        ("cgroup2", "0::/a/b", "/", {"a/b": "400000 100000", "a": "max 100000", ".": "100000 100000"}, 1),
        ("cgroup2", "0::/a/b", "/", {"a/c": "100000 100000"}, threads.MOST_THREADS),  # a neighbour's
        ("cgroup2", "0::/", "/", {".": "500000 100000"}, 5),  # in a container with a name space of its own
        ("cgroup2", "0::/../../other", "/", {".": "500000 100000"}, 5),  # moved out of the name space
        ("cgroup", V1, "/", {"a/b": "-1 100000", "a": "250000 100000"}, 3),
        ("cgroup", V1, "/a/b", {".": "400000 100000"}, 4),  # in a container that sees the host's names
        ("cgroup", V1, "/elsewhere", {".": "400000 100000"}, 4),
        ("cgroup", "2:memory:/a/b", "/", {"a/b": "100000 100000"}, threads.MOST_THREADS),
        ("cgroup2", "nonsense", "/", {".": "100000 100000"}, threads.MOST_THREADS),
    ],
)
def test_quota_of_nested_groups(
    kind: str, groups: str, mounted: str, limits: dict[str, str], processors: int, tmp_path: Path
) -> None:
    system(tmp_path, kind, groups, mounted, limits)
    assert threads._quota(tmp_path, 0) == processors


def test_a_quota_that_changes_is_seen_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GATEWISE_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(threads, "_ROOT", tmp_path)
    system(tmp_path, "cgroup2", "0::/a", "/", {"a": "300000 100000"})
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    assert native.threads() == 3
    (tmp_path / "sys/fs/cgroup/it/a/cpu.max").write_text("500000 100000\n")
    assert native.threads() == 3
    clock[0] += 2 * threads._SECONDS
    assert native.threads() == 5


@pytest.mark.parametrize(("calls", "count", "expected"), [(2, 1, False), (2, 2, True), (2, 3, True), (2, 4, False)])
def test_two_calls_run_at_once_on_two_or_three_threads(
    calls: int, count: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", str(count))
    assert threads.at_once(calls) is expected
    assert not threads.at_once(1)
    assert not threads.at_once(3)


@pytest.mark.parametrize("count", ["1", "2"])
def test_results_have_the_order_of_the_tasks(count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", count)
    ran: list[str] = []

    def task(name: str, seconds: float) -> str:
        time.sleep(seconds)
        ran.append(name)
        return name

    assert threads.concurrently([]) == []
    assert threads.concurrently([partial(task, "alone", 0)]) == ["alone"]
    for first, second in ((0.0, 0.05), (0.05, 0.0)):
        tasks = [partial(task, "one", first), partial(task, "two", second)]
        assert threads.concurrently(tasks) == ["one", "two"]
    three = [partial(task, name, 0) for name in ("a", "b", "c")]
    assert threads.concurrently(three) == ["a", "b", "c"]
    assert sorted(ran) == ["a", "alone", "b", "c", "one", "one", "two", "two"]


def test_both_tasks_are_under_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", "2")
    meeting = threading.Barrier(2, timeout=10)  # broken, with an error, unless both come
    caller = threading.get_ident()

    def task() -> bool:
        meeting.wait()
        return threading.get_ident() == caller

    assert threads.concurrently([task, task]) == [True, False]


@pytest.mark.parametrize("count", ["1", "2"])
@pytest.mark.parametrize("fails", ["first", "second", "both"])
def test_an_error_of_either_task_is_raised_after_both_have_ended(
    fails: str, count: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", count)
    ended: list[str] = []

    def task(name: str, seconds: float) -> None:
        time.sleep(seconds)
        ended.append(name)
        if fails in (name, "both"):
            raise ValueError(name)

    tasks = [partial(task, "first", 0.0), partial(task, "second", 0.05)]
    with pytest.raises(ValueError, match="second" if fails == "second" else "first"):
        threads.concurrently(tasks)
    if count == "2":
        assert sorted(ended) == ["first", "second"]  # nothing uses the arrays any more
    assert threads.concurrently([lambda: 1, lambda: 2]) == [1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_a_worker_of_its_own() -> None:
    # In a process of its own: pytest and torch have threads that a fork had better not see.
    script = """
import os, threading
from gatewise.kernels import threads

def both():
    meeting = threading.Barrier(2, timeout=10)
    def task(number):
        meeting.wait()
        return number
    return threads.concurrently([lambda: task(1), lambda: task(2)]) == [1, 2]

assert both()
child = os.fork()
if child == 0:
    os._exit(0 if both() and both() else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert both()
"""
    environment = os.environ | {"GATEWISE_THREADS": "2"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=60)
