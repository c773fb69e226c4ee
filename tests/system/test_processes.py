"""Signals, forks and processes, also where the system does not have them; how many processors a process may use."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gatewise.system import processes


def test_which_processes_are_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert processes.is_alive(os.getpid())
    assert processes.is_alive(child.pid) == (os.name != "posix")
    monkeypatch.setattr(processes, "os", SimpleNamespace(name="nt"))  # without kill: signal 0 is Ctrl-C on Windows
    assert processes.is_alive(child.pid)


def test_without_fork_nothing_is_called_after_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "os", SimpleNamespace())
    processes.call_after_fork(lambda: pytest.fail("there is no fork"))


def test_a_c_library_without_malloc_trim(monkeypatch: pytest.MonkeyPatch) -> None:
    processes.trim_memory()
    monkeypatch.setattr("ctypes.CDLL", lambda name: SimpleNamespace())
    processes._malloc_trim.cache_clear()
    processes.trim_memory()
    processes._malloc_trim.cache_clear()


def test_what_the_server_has_without_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    from gatewise.errors import InputError
    from gatewise.serve.settings import Settings

    if os.name == "posix":
        assert (processes.event_loop(), processes.workers_unavailable()) == ("uvloop", "")
    monkeypatch.setattr("gatewise.system.processes.os", SimpleNamespace(name="nt"))
    assert processes.event_loop() == "asyncio"
    assert Settings(("model",)).workers == 1
    with pytest.raises(InputError, match="--workers must be 1: this system cannot end a worker without losing its req"):
        Settings(("model",), workers=2)


def test_windows_gets_a_socket_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """There SO_REUSEADDR would let another process take the connections."""
    set_: list[tuple[int, int, int]] = []
    sock = SimpleNamespace(setsockopt=lambda *option: set_.append(option))
    processes.one_listener(sock)  # type: ignore[arg-type]
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", -5, raising=False)
    processes.one_listener(sock)  # type: ignore[arg-type]
    assert set_[-1] == (socket.SOL_SOCKET, -5, 1)
    if os.name == "posix":
        assert set_[0] == (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    processes._quota.cache_clear()
    yield
    processes._quota.cache_clear()


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


def test_processors_follow_affinity_and_quota(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "_ROOT", tmp_path)  # no groups
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5}, raising=False)
    assert processes.available_processors() == 3
    system(tmp_path, "cgroup2", "0::/", "/", {".": "200000 100000"})
    processes._quota.cache_clear()
    assert processes.available_processors() == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5}, raising=False)
    assert processes.available_processors() == 1, "affinity that changes after the import"


@pytest.mark.parametrize("count", [6, None])
def test_without_affinity_all_of_the_machine(
    count: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "_ROOT", tmp_path)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert processes.available_processors() == (count or 1)


def test_the_name_of_the_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "_ROOT", tmp_path)
    monkeypatch.setattr("platform.processor", lambda: "arm")
    assert processes.processor_name() == "arm"
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor : 0\nmodel name\t: A processor : 2\n")
    assert processes.processor_name() == "A processor : 2"


V1 = "3:cpuacct,cpu:/a/b\n2:memory:/elsewhere\n0::/a/b"


@pytest.mark.parametrize(
    ("kind", "groups", "mounted", "limits", "expected"),
    [
        ("cgroup2", "0::/a/b", "/", {"a/b": "max 100000"}, processes._UNLIMITED),
        ("cgroup2", "0::/", "/", {".": "20000 100000"}, 1),
        ("cgroup2", "0::/", "/", {".": "nonsense"}, processes._UNLIMITED),
        ("cgroup2", "0::/", "/", {}, processes._UNLIMITED),
        ("cgroup2", "0::/a/b", "/", {"a/b": "300000 100000"}, 3),
        ("cgroup2", "0::/a/b", "/", {"a/b": "max 100000", "a": "150000 100000", ".": "900000 100000"}, 2),
        ("cgroup2", "0::/a/b", "/", {"a/b": "400000 100000", "a": "max 100000", ".": "100000 100000"}, 1),
        ("cgroup2", "0::/a/b", "/", {"a/c": "100000 100000"}, processes._UNLIMITED),  # a neighbour's
        ("cgroup2", "0::/", "/", {".": "500000 100000"}, 5),  # in a container with a name space of its own
        ("cgroup2", "0::/../../other", "/", {".": "500000 100000"}, 5),  # moved out of the name space
        ("cgroup", V1, "/", {"a/b": "-1 100000", "a": "250000 100000"}, 3),
        ("cgroup", V1, "/a/b", {".": "400000 100000"}, 4),  # in a container that sees the host's names
        ("cgroup", V1, "/elsewhere", {".": "400000 100000"}, 4),
        ("cgroup", "2:memory:/a/b", "/", {"a/b": "100000 100000"}, processes._UNLIMITED),
        ("cgroup2", "nonsense", "/", {".": "100000 100000"}, processes._UNLIMITED),
    ],
)
def test_quota_of_nested_groups(
    kind: str, groups: str, mounted: str, limits: dict[str, str], expected: int, tmp_path: Path
) -> None:
    system(tmp_path, kind, groups, mounted, limits)
    assert processes._quota(tmp_path, 0) == expected


def test_a_quota_that_changes_is_seen_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(processes, "_ROOT", tmp_path)
    system(tmp_path, "cgroup2", "0::/a", "/", {"a": "300000 100000"})
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    assert processes.available_processors() == 3
    (tmp_path / "sys/fs/cgroup/it/a/cpu.max").write_text("500000 100000\n")
    assert processes.available_processors() == 3
    clock[0] += 2 * processes._SECONDS
    assert processes.available_processors() == 5
