"""Atomic writes of a file, and the lock on a run folder."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from gatewise.errors import ModelFileError, TrainingError
from gatewise.storage import atomic
from gatewise.storage.atomic import locked, write_atomic, write_once
from gatewise.storage.folder import load_folder, save_folder
from gatewise.system import files
from tests.children import running
from tests.system import no_posix


@pytest.mark.usefixtures("system")
def test_write_and_replace(tmp_path: Path) -> None:
    for data in (b"first", b"", b"x" * 3_000_000):
        write_atomic(tmp_path / "state", data)
        assert (tmp_path / "state").read_bytes() == data
    write_once(tmp_path / "once", b"1")
    write_once(tmp_path / "once", b"2")
    assert (tmp_path / "once").read_bytes() == b"1"
    assert sorted(os.listdir(tmp_path)) == ["once", "state"]


def _refuse(*_: object) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("placeholder", [False, True])
def test_write_once_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, placeholder: bool) -> None:
    monkeypatch.setattr(os, "link", _refuse)
    if placeholder:
        monkeypatch.setattr(files, "_renameat2", lambda *_: -1)
    for name, data in (("a", b"1"), ("b", b"22"), ("a", b"333")):
        write_once(tmp_path / name, data)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"1", "b": b"22"}
    if placeholder:
        monkeypatch.setattr(os, "replace", _refuse)
        with pytest.raises(OSError, match="not supported"):
            write_once(tmp_path / "c", b"5")
        assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("placeholder", [False, True])
def test_of_many_that_write_once_without_hard_links_one_writes(tmp_path: Path, placeholder: bool) -> None:
    """Each thread gets its own number back, or FileExistsError; nothing is replaced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", _refuse)
        if placeholder:
            patch.setattr(files, "_renameat2", lambda *_: -1)

        def rename(number: int) -> bool:
            old = tmp_path / f"old-{number}"
            old.write_text(str(number))
            try:
                files.rename_to_new(old, tmp_path / f"new-{number % 7}")
            except FileExistsError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            renamed = [number for number, done in enumerate(pool.map(rename, range(210))) if done]
    assert sorted(number % 7 for number in renamed) == list(range(7))
    assert {path.name: path.read_text() for path in tmp_path.glob("new-*")} == {
        f"new-{number % 7}": str(number) for number in renamed
    }


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_keeps_what_was_there(tmp_path: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    target, model = tmp_path / "state", save_folder(tmp_path / "model", {"config.json": b"{}"})
    write_atomic(target, b"old")

    def failing(handle: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", failing)
    for save in (lambda: write_atomic(target, b"new"), lambda: save_folder(model, {"config.json": b"[]"})):
        with pytest.raises(ModelFileError if isinstance(error, OSError) else KeyboardInterrupt):
            save()
    assert target.read_bytes() == b"old"
    assert load_folder(model).files == {"config.json": b"{}"}
    assert sorted(os.listdir(tmp_path)) == ["model", "state"]


def test_a_disk_that_takes_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write may take less than it was given (2 GB at most on Linux); the rest must follow."""

    class Slow(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(data[:3])

    monkeypatch.setattr(atomic, "open", lambda handle, mode, buffering: Slow(handle, mode), raising=False)
    write_atomic(tmp_path / "state", b"0123456789")
    assert (tmp_path / "state").read_bytes() == b"0123456789"


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    for path, reason in (
        (tmp_path / "nowhere" / "state", "no such file"),
        (tmp_path / "folder", "is a directory"),
        (tmp_path / "loop", "too many levels of symbolic links"),
        (tmp_path / "fifo", "not a regular file"),
        ("a\0b", "the path cannot be used"),
        ("\ud800", "the path cannot be used"),
    ):
        with pytest.raises(ModelFileError, match=rf"cannot write .*: {reason}.*; nothing was changed"):
            write_atomic(path, b"data")
    assert sorted(os.listdir(tmp_path)) == ["fifo", "folder", "loop"]


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_a_link_and_the_permissions_stay(tmp_path: Path, mode: int) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "out.csv", tmp_path / "out.csv"
    link.symlink_to("real/out.csv")
    for data in (b"first", b"second"):  # at first the link leads to nothing
        write_atomic(link, data)
        assert link.is_symlink()
        assert link.read_bytes() == real.read_bytes() == data
        os.chmod(real, mode)
    write_atomic(real, b"third")
    assert real.stat().st_mode & 0o777 == mode
    assert os.listdir(real.parent) == ["out.csv"]


def test_nobody_else_reads_what_is_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, seen = tmp_path / "state", []
    write_atomic(target, b"old")
    os.chmod(target, 0o600)
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append(os.fstat(handle).st_mode & 0o777), fsync(handle)))
    write_atomic(target, b"new")
    assert seen[0] == 0o600


HOLD = """
import sys
from gatewise.storage.atomic import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_and_a_killed_one_holds_nothing(tmp_path: Path, system: str) -> None:
    run = tmp_path / "runs" / "tutorial"
    command, environment = [sys.executable, "-c", system + HOLD, str(run)], {**os.environ, "PYTHONPATH": no_posix.ROOT}
    with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(TrainingError, match=rf"runs/tutorial' is in use by process '{other.pid}'"), locked(run):
            pass
        other.kill()
    with locked(run):
        assert (run / ".lock").read_text() == f"{os.getpid()}\n"
        with pytest.raises(TrainingError, match="in use"), locked(run):  # a second block of one process, too
            pass
    with pytest.raises(ZeroDivisionError), locked(run):
        raise ZeroDivisionError
    with locked(run):
        pass


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some network mounts. Saves work; a run says that it has no lock; what a killed save left is not touched."""

    def no_locks(_: int, shared: bool = False) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("gatewise.storage.atomic.lock", no_locks)
    left = tmp_path / f".gatewise-{'0' * 16}.tmp"
    left.write_bytes(b"")
    for data in (b"1", b"2"):
        write_atomic(tmp_path / "state", data)
        save_folder(tmp_path / "model", {"config.json": data})
        assert load_folder(tmp_path / "model").files == {"config.json": (tmp_path / "state").read_bytes()}
        with atomic.claimed(tmp_path / "state"), atomic.claimed(tmp_path / "state"):
            pass
    with pytest.warns(RuntimeWarning, match=r"run' cannot be locked \(no locks available\)"), locked(tmp_path / "run"):
        pass
    assert sorted(os.listdir(tmp_path)) == [left.name, "model", "run", "state"]


def test_an_output_is_claimed_by_one_process_or_shared(tmp_path: Path) -> None:
    """A process that is killed leaves an unlocked file, as this one does not have one open."""
    out = tmp_path / "out.csv"
    for shared, other, both in ((False, False, False), (True, False, False), (False, True, False), (True, True, True)):
        with atomic.claimed(out, shared):
            [left] = os.listdir(tmp_path)
            with nullcontext() if both else pytest.raises(BlockingIOError), atomic.claimed(out, other):
                pass
            with atomic.claimed(tmp_path / "another"):
                pass
            assert os.listdir(tmp_path) == [left]
        assert not os.listdir(tmp_path)
        (tmp_path / left).touch()
    with atomic.claimed(tmp_path / "none" / "out.csv"):
        assert os.listdir(tmp_path) == [left]


def test_the_error_of_a_run_whose_folder_was_removed_is_its_own(tmp_path: Path) -> None:
    def fail() -> None:
        shutil.rmtree(tmp_path / "run")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), locked(tmp_path / "run", remove=True):
        fail()


def test_folders_that_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / ".lock").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "file", tmp_path / "linked", "a\0b"):
        with pytest.raises(TrainingError, match="cannot use the run folder"), locked(path):
            pass
    assert not (tmp_path / "elsewhere").exists()


def test_the_locked_file_is_the_one_at_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the opening and the lock, a run that ended had removed the folder: two runs had a lock each."""
    folder, real, removed = tmp_path / "m.run", atomic.lock, []

    def lock(handle: int, shared: bool = False) -> None:
        if len(removed) < 3:
            shutil.rmtree(folder)
            removed.append(handle)
        real(handle, shared)

    monkeypatch.setattr(atomic, "lock", lock)
    with atomic.locked(folder):
        assert (folder / atomic.LOCK).read_text() == f"{os.getpid()}\n"
        with pytest.raises(TrainingError, match="is in use by process"), atomic.locked(folder):
            pass
    assert len(removed) == 3


def test_a_run_folder_is_renamed_before_it_is_unlocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removing it after the unlocking removed the checkpoints of the run that came next."""
    folder, real, seen = tmp_path / "m.run", shutil.rmtree, []

    def rmtree(path: Path, **options: Any) -> None:
        seen.append((path.name, folder.exists()))
        with atomic.locked(folder):  # the next run
            (folder / "its checkpoint").touch()
        real(path, **options)

    with atomic.locked(folder, remove=True):
        (folder / "a checkpoint").touch()
        monkeypatch.setattr(shutil, "rmtree", rmtree)
    [(name, there)] = seen
    assert name.startswith(".gatewise-")
    assert not there
    assert sorted(os.listdir(folder)) == [atomic.LOCK, "its checkpoint"]
    assert os.listdir(tmp_path) == ["m.run"]
    monkeypatch.undo()
    with pytest.raises(ZeroDivisionError), atomic.locked(folder, remove=True):
        raise ZeroDivisionError
    assert folder.exists()
