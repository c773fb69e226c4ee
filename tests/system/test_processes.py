"""Signals, forks and processes, also where the system does not have them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from gatewise.system import processes
from gatewise.system.processes import (
    STOP_SIGNALS,
    call_after_fork,
    event_loop,
    is_alive,
    one_listener,
    trim_memory,
    workers_unavailable,
)


def test_the_signals_that_end_a_run() -> None:
    assert signal.SIGINT in STOP_SIGNALS
    assert signal.SIGTERM in STOP_SIGNALS
    assert (getattr(signal, "SIGHUP", None) in STOP_SIGNALS) == hasattr(signal, "SIGHUP")


def test_which_processes_are_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert is_alive(os.getpid())
    assert is_alive(child.pid) == (os.name != "posix")
    monkeypatch.setattr(processes, "os", SimpleNamespace(name="nt"))  # without kill: signal 0 is Ctrl-C on Windows
    assert is_alive(child.pid)


def test_without_fork_nothing_is_called_after_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "os", SimpleNamespace())
    call_after_fork(lambda: pytest.fail("there is no fork"))


def test_a_c_library_without_malloc_trim(monkeypatch: pytest.MonkeyPatch) -> None:
    trim_memory()
    monkeypatch.setattr("ctypes.CDLL", lambda name: SimpleNamespace())
    processes._malloc_trim.cache_clear()
    trim_memory()
    processes._malloc_trim.cache_clear()


def test_what_the_server_has_without_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    from gatewise.errors import InputError
    from gatewise.serve.settings import Settings

    if os.name == "posix":
        assert (event_loop(), workers_unavailable()) == ("uvloop", "")
    monkeypatch.setattr("gatewise.system.processes.os", SimpleNamespace(name="nt"))
    assert event_loop() == "asyncio"
    assert Settings(("model",)).workers == 1
    with pytest.raises(InputError, match="--workers must be 1: this system cannot end a worker without losing its req"):
        Settings(("model",), workers=2)


def test_windows_gets_a_socket_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """There SO_REUSEADDR would let another process take the connections."""
    set_: list[tuple[int, int, int]] = []
    sock = SimpleNamespace(setsockopt=lambda *option: set_.append(option))
    one_listener(sock)  # type: ignore[arg-type]
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", -5, raising=False)
    one_listener(sock)  # type: ignore[arg-type]
    assert set_[-1] == (socket.SOL_SOCKET, -5, 1)
    if os.name == "posix":
        assert set_[0] == (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
