"""Busy processes end with the block and with their parent; the load of other processes leaves out children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.busy import OtherLoad, busy_processes

linux = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs /proc")
ROOT = Path(__file__).resolve().parents[2]


def children(pid: int) -> list[int]:
    """The running children of a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(path.parent.name))
    return found


def wait_for(condition: Callable[[], bool]) -> bool:
    for _ in range(600):
        if condition():
            return True
        time.sleep(0.05)
    return False


@linux
def test_busy_processes_end_with_the_block_and_with_an_error_in_it() -> None:
    before = set(children(os.getpid()))

    def fail() -> None:
        with busy_processes(2):
            assert len(set(children(os.getpid())) - before) == 2
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert set(children(os.getpid())) <= before


@linux
def test_a_busy_process_ends_where_its_parent_is_killed() -> None:
    code = "import time; from benchmarks.busy import busy_processes\nwith busy_processes(1): time.sleep(100)"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        assert wait_for(lambda: bool(children(parent.pid)))
        (child,) = children(parent.pid)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    def ended() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    assert wait_for(ended)


@linux
def test_the_time_of_a_child_is_not_that_of_another_process() -> None:
    before = OtherLoad._now()
    assert before is not None
    with busy_processes(1):

        def counted() -> bool:
            now = OtherLoad._now()
            return now is not None and now[2] - before[2] > 0.2 + time.process_time() - began

        began = time.process_time()
        assert wait_for(counted)


def test_the_load_is_the_machine_without_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([(100.0, 1000.0, 20.0), (110.0, 1015.0, 32.0)])  # clock, machine, own: 15 s in use, 12 s of them own
    monkeypatch.setattr(OtherLoad, "_now", staticmethod(lambda: next(moments)))
    assert OtherLoad().processors() == pytest.approx(0.3)


def test_the_load_is_unknown_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OtherLoad, "_now", staticmethod(lambda: None))
    assert OtherLoad().processors() is None
