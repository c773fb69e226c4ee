"""A child is killed at the line that was asked for, and its end is told."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from gatewise.errors import GatewiseError, InputError
from gatewise.storage import folder as storage_folder
from gatewise.storage import write_atomic
from trust.attack import generator
from trust.attacks import kills
from trust.attacks.kills import KILLS_SAVE
from trust.forked import DONE, FAILED, REFUSED, Child


def test_killed_at_each_line_of_a_write(tmp_path: Path) -> None:
    file = tmp_path / "file"
    code, lines = Child(lambda: write_atomic(file, b"new"), ("storage",)).wait()
    assert code == DONE
    assert int(lines) > 10
    found = []
    for line in range(int(lines)):
        file = tmp_path / str(line) / "file"  # alone: a write removes what killed ones have left
        file.parent.mkdir()
        file.write_bytes(b"old")
        write = partial(write_atomic, file, b"new")
        assert Child(write, ("storage",), {line: signal.SIGKILL}).wait()[0] == -signal.SIGKILL
        found.append(file.read_bytes())
    assert found == sorted(found, reverse=True)
    assert set(found) == {b"old", b"new"}


def test_the_end_of_a_child_is_told() -> None:
    def refuse() -> None:
        raise InputError("not this")

    assert Child(refuse).wait() == (REFUSED, "not this")
    assert Child(lambda: sys.exit(143)).wait()[0] == 143
    code, text = Child(lambda: 1 // 0).wait()
    assert code == FAILED
    assert "ZeroDivisionError" in text
    sleeping = Child(lambda: time.sleep(60))
    sleeping.signal_after(0.02)
    assert sleeping.wait()[0] == -signal.SIGKILL
    done = Child(lambda: None)
    os.waitid(os.P_PID, done.pid, os.WEXITED | os.WNOWAIT)
    done.signal_after(0.02)
    assert done.wait()[0] == DONE


def test_a_save_that_is_not_atomic_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack fails where files are written one after the other into the folder itself."""

    def in_place(target: Path, files: Mapping[str, bytes]) -> None:
        target.mkdir(exist_ok=True)
        for path in target.iterdir():
            path.unlink()
        for name, data in files.items():
            write_atomic(target / name, data)

    monkeypatch.setattr(storage_folder, "replace_folder", in_place)
    kills.saving_lines.cache_clear()
    failures = 0
    try:
        for number in range(10):
            folder = tmp_path / str(number)
            folder.mkdir()
            try:
                failures += KILLS_SAVE.attempt(generator(1, number), folder) is not None
            except GatewiseError:
                failures += 1
    finally:
        kills.saving_lines.cache_clear()
    assert failures
