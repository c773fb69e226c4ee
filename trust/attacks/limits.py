"""Saves that are killed, on a full disk or where they are not allowed, and little memory."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from gatewise.errors import GatewiseError
from gatewise.kernels import get as get_kernel
from gatewise.storage.folder import load_folder
from gatewise.training.checkpoint import write_checkpoint
from gatewise.training.optim import Adam
from tests.exchange.random_models import random_inputs, random_model
from tests.training.test_resume import OPTIONS
from tests.training.texts import made_reviews
from trust import disk
from trust.attack import MIB, Attacks
from trust.attacks.commands import trained
from trust.attacks.folders import GROUPS, IDENTITY, PROGRESS, WEIGHTS
from trust.forked import DONE, REFUSED, Child, finish
from trust.mutate import Rng, choice

ATTACKS = Attacks()
NOBODY = 65534
PAGES = 1024  # of a small disk with space
NO_SPACE = "no space left on device"
WRITES = ("storage/atomic", "system/files")
Contents = dict[str, bytes | None]


@cache
def old_and_new() -> tuple[Any, Any]:
    """Two models of different sizes."""
    return random_model(7, linear="ngrams"), random_model(8, linear="scaled ngrams", units=40)


def contents(folder: Path) -> Contents:
    """Each file and folder below the folder, by its path."""
    found = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in found}


@dataclass(frozen=True)
class Save:
    """A model or a checkpoint that is saved in a folder. before, after: its contents."""

    folder: Path
    kind: str
    before: Contents
    after: Contents

    def run(self) -> None:
        """Save it."""
        _save(self.folder, self.kind)

    def check(self, code: int, message: str, reason: str = "") -> None:
        """It ended by itself: it is saved, or it was refused with this reason and nothing has changed."""
        assert code == DONE or (code == REFUSED and reason in message), f"exit code {code}: {message}"
        assert contents(self.folder) == (self.after if code == DONE else self.before), f"other files, after: {message}"


def _save(folder: Path, kind: str, new: bool = True) -> None:
    if kind == "model":
        old_and_new()[new].save(folder / "m")
    else:
        write_checkpoint(folder, IDENTITY, replace(PROGRESS, step=PROGRESS.step + new), GROUPS, Adam(WEIGHTS))


@cache
def _saved(kind: str) -> Contents:
    """What a save writes."""
    with tempfile.TemporaryDirectory() as folder:
        _save(Path(folder), kind)
        return contents(Path(folder))


def begin(folder: Path, kind: str, replaces: bool) -> Save:
    """The next save in this folder. replaces: an old model and an old checkpoint are there."""
    for one in ("model", "checkpoint") if replaces else ():
        _save(folder, one, new=False)
    before = contents(folder)
    others = {path: raw for path, raw in before.items() if path.startswith("m") != (kind == "model")}
    return Save(folder, kind, before, others | _saved(kind))


def _drawn(rng: Rng, folder: Path) -> Save:
    return begin(folder, choice(rng, ["model", "checkpoint"]), bool(rng.random() < 0.7))


@cache
def saving_lines(kind: str, replaces: bool) -> int:
    """Lines of code at which a save can be killed."""
    with tempfile.TemporaryDirectory() as folder:
        return int(finish(begin(Path(folder), kind, replaces).run, WRITES))


@ATTACKS.add("kills-save", 60, 5_000, prepare=old_and_new, memory=0)
def _killed(rng: Rng, folder: Path) -> None:
    """A save that is killed leaves the old folder or the new one, whole, and the next save succeeds.

    kill -9 at a random line of the code that saves
    """
    save = _drawn(rng, folder)
    kill_at = int(rng.integers(saving_lines(save.kind, bool(save.before)) + 1))  # the last: not killed
    code, message = Child(save.run, WRITES, {kill_at: signal.SIGKILL}).wait()
    if code == -signal.SIGKILL:
        left = {path: raw for path, raw in contents(folder).items() if not path.startswith(".gatewise-")}
        assert left in (save.before, save.after), "neither the old files nor the new ones"
        code, message = DONE, finish(save.run)
    assert code == DONE, f"exit code {code}: {message}"
    save.check(code, message)


def _limited(work: Callable[[], object], size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    work()


@ATTACKS.add("disk-full", 60, 5_000, prepare=old_and_new, memory=0)
def _full_save(rng: Rng, folder: Path) -> None:
    """A save to a full disk is refused in one line and changes nothing.

    a limit on the size of files (RLIMIT_FSIZE) of a random number of bytes, while a model or a checkpoint is saved
    """
    save = _drawn(rng, folder)
    size = int(rng.integers(30_000 if save.kind == "model" else 3_000))
    save.check(*Child(partial(_limited, save.run, size)).wait(), "file too large; nothing was changed")


def _train(out: Path) -> None:
    gw.train(made_reviews(200, 34), out=out, resume=True, **OPTIONS | {"ngrams__order": 2})


@cache
def _uninterrupted() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        finish(partial(_train, Path(folder) / "m"))
        return trained(Path(folder) / "m")


def _prepare_disk() -> None:
    old_and_new()
    _uninterrupted()
    disk.enter_namespace()


@ATTACKS.add("disk-full-tmpfs", 25, 2_000, prepare=_prepare_disk, unavailable=disk.unavailable, seconds=300, memory=0)
def _full_disk(rng: Rng, folder: Path) -> None:
    """A save to a disk without space is refused in one line and changes nothing; with space again it succeeds, and a
    run that stopped gives the bits of an uninterrupted one.

    a tmpfs with a random number of free pages of 4 KiB, or of free files, while a model or a checkpoint is saved or, in
    one of twenty tries, a run trains
    """
    place = folder / "disk"
    with disk.small_disk(place, PAGES):
        if rng.random() < 0.05:
            _full_run(rng, place / "m")
            return
        save = _drawn(rng, place)
        _leave(rng, place, pages=30 if save.kind == "model" else 4)
        save.check(*Child(save.run).wait(), f"{NO_SPACE}; nothing was changed")
        disk.resize(place, PAGES)
        save.check(DONE, finish(save.run))


def _leave(rng: Rng, place: Path, pages: int) -> None:
    """Leave free up to that many pages, or up to 8 files."""
    taken, files = disk.used(place)
    if rng.random() < 0.8:
        disk.resize(place, max(1, taken + int(rng.integers(pages))))
    else:
        disk.resize(place, PAGES, files + int(rng.integers(8)))


def _full_run(rng: Rng, out: Path) -> None:
    """A training that runs out of space once or twice, and goes on with space."""
    for _ in range(int(rng.integers(1, 3))):
        _leave(rng, out.parent, pages=80)
        code, message = Child(partial(_train, out)).wait()
        if code == DONE:
            break
        assert (code, NO_SPACE in message) == (REFUSED, True), f"exit code {code}: {message}"
        if out.exists():
            load_folder(out)
    disk.resize(out.parent, PAGES)
    code, message = Child(partial(_train, out)).wait()
    finished = code == REFUSED and out.exists() and "is a finished model" in message
    assert code == DONE or finished, f"resumed with exit code {code}: {message}"
    assert trained(out) == _uninterrupted(), "the model differs from the uninterrupted run"


@ATTACKS.add("read-only", 16, 500, prepare=old_and_new, memory=0)
def _read_only(rng: Rng, folder: Path) -> None:
    """Saving where it is not allowed is refused in one line and changes nothing.

    random permissions of the model folder and of the one above, another user
    """
    parent = folder / "parent"
    parent.mkdir()
    save = begin(parent, "model", replaces=True)
    folder.chmod(0o755)
    modes = [0o555, 0o755, 0o777, 0o1777]
    (parent / "m").chmod(choice(rng, modes))
    parent.chmod(choice(rng, modes))

    def work() -> None:
        if os.geteuid() == 0:  # root may write anywhere
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        save.run()

    code, message = Child(work).wait()
    for path in (parent, parent / "m"):
        path.chmod(0o755)
    for path in parent.glob(".gatewise-*") if code == DONE else ():  # the old folder, which the user may not remove
        shutil.rmtree(path)
    save.check(code, message)


@cache
def _expected() -> bytes:
    """Its predictions, from a child process: this process must not have threads when it forks. It loads the kernel, so
    that the memory runs out in a call and not in the loader of shared libraries, after which the reference kernel runs.
    """
    get_kernel()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "predictions"
        finish(lambda: file.write_bytes(_predictions(old_and_new()[1])))
        return file.read_bytes()


def _predictions(model: Any) -> bytes:
    inputs = random_inputs(old_and_new()[1], 200, longest=300)
    return bytes(np.asarray(model.predict_proba(inputs)).tobytes())


def _use_with_memory(model: Path, errors: Path, extra: int) -> None:
    """Load and predict with `extra` bytes above what the process has. A limit on the address space would not do: it
    counts what the allocator has only reserved, which is more than a prediction takes.
    """
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
    found = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    size = int(found[1]) * 1024 + extra
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    try:
        predictions = _predictions(gw.load(model))
    except MemoryError:
        raise GatewiseError("memory") from None
    assert predictions == _expected(), "the predictions differ"


def _end_with_memory(folder: Path, extra: int) -> tuple[int, str]:
    """The exit code and the message of a child that has so little memory."""
    old_and_new()[1].save(folder / "m")
    code, message = Child(partial(_use_with_memory, folder / "m", folder / "errors", extra)).wait()
    return code, f"{message}{(folder / 'errors').read_text(errors='replace')}"


def _prepare_memory() -> None:
    """The predictions. Raises RuntimeError where the limit does not hold, so that no try would lack memory."""
    _expected()
    with tempfile.TemporaryDirectory() as folder:
        if _end_with_memory(Path(folder), 0)[0] == DONE:
            raise RuntimeError("RLIMIT_DATA does not limit the memory")


NO_PROC = "" if Path("/proc/self/status").exists() else "needs /proc"


@ATTACKS.add("little-memory", 10, 2_000, prepare=_prepare_memory, unavailable=lambda: NO_PROC, memory=0)
def _little_memory(rng: Rng, folder: Path) -> None:
    """With too little memory, loading and predicting give the right result or a MemoryError.

    a limit on the memory (RLIMIT_DATA) of 0 to 24 MiB above what the process has
    """
    code, message = _end_with_memory(folder, int(rng.integers(24 * MIB)))
    assert code == DONE or (code, message) == (REFUSED, "memory"), f"exit code {code}: {message}"
