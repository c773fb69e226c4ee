"""kill -9 at random lines of a save."""

from __future__ import annotations

import signal
import tempfile
from functools import cache, partial
from pathlib import Path

from gatewise.storage.atomic import write_atomic
from gatewise.storage.folder import load_folder, save_folder
from trust.attack import Attacks
from trust.forked import DONE, Child, finish
from trust.mutate import Rng

ATTACKS = Attacks()
PARTS = ("storage",)
OLD = {"config.json": b"old" * 3000, "a.bin": b"a" * 10_000}
NEW = {"config.json": b"new" * 2000, "b.bin": b"b" * 20_000}


def _save_both(folder: Path) -> None:
    """A file and a model folder."""
    write_atomic(folder / "checkpoint", b"new" * 1000)
    save_folder(folder / "m", NEW)


def _save_old(folder: Path, replaces: bool) -> None:
    """What is there before, with a model folder or without."""
    if replaces:
        save_folder(folder / "m", OLD)
    (folder / "checkpoint").write_bytes(b"old")


@cache
def saving_lines(replaces: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        _save_old(Path(folder), replaces)
        return int(finish(partial(_save_both, Path(folder)), PARTS))


@ATTACKS.add("kills-save", 60, 5_000, memory=0)
def _save(rng: Rng, folder: Path) -> str | None:
    """A save that is killed leaves the old folder or the new one, whole, and the next save succeeds.

    kill -9 at a random line of the code that saves
    """
    replaces = bool(rng.random() < 0.7)
    path, file, work = folder / "m", folder / "checkpoint", partial(_save_both, folder)
    _save_old(folder, replaces)
    kill_at = int(rng.integers(saving_lines(replaces) + 1))  # the last: not killed
    code, message = Child(work, PARTS, {kill_at: signal.SIGKILL}).wait()
    if code not in (DONE, -signal.SIGKILL):
        return f"exit code {code}: {message}"
    if file.read_bytes() not in (b"old", b"new" * 1000):
        return "the file is neither old nor new"
    if not replaces and not path.exists():
        return None
    if load_folder(path).files not in (OLD, NEW) or (code == DONE and load_folder(path).files != NEW):
        return "the folder is neither old nor new"
    work()
    return None if load_folder(path).files == NEW else "saving after a kill failed"
