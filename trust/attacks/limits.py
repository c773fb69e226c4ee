"""A full disk, little memory, and folders that may not be written."""

from __future__ import annotations

import os
import re
import resource
import signal
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from gatewise.errors import GatewiseError
from gatewise.kernels import get as get_kernel
from gatewise.storage.folder import load_folder
from gatewise.training.optim import Adam
from gatewise.training.run import FILE, write_checkpoint
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


@cache
def old_and_new() -> tuple[Any, Any]:
    """Two models of different sizes."""
    return random_model(7, linear="ngrams"), random_model(8, linear="scaled ngrams", units=40)


def contents(folder: Path) -> dict[str, bytes]:
    """Each file below the folder, by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _checkpoint(folder: Path) -> None:
    write_checkpoint(folder, IDENTITY, PROGRESS, GROUPS, Adam(WEIGHTS))


def _begin(rng: Rng, folder: Path) -> tuple[dict[str, bytes], str, Callable[[], object]]:
    """The contents of a folder, in seven of ten tries an old model and a checkpoint; what is saved next, how."""
    if rng.random() < 0.7:
        old_and_new()[0].save(folder / "m")
        _checkpoint(folder)
    kind = choice(rng, ["model", "checkpoint"])
    save: Any = old_and_new()[1].save
    return contents(folder), kind, partial(save, folder / "m") if kind == "model" else partial(_checkpoint, folder)


def _not_saved(kind: str, folder: Path) -> str | None:
    new = old_and_new()[1].to_files()
    saved = load_folder(folder / "m").files == new if kind == "model" else (folder / FILE).exists()
    return None if saved else "saved, but the folder does not hold it"


def _limited(work: Callable[[], object], size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    work()


@ATTACKS.add("disk-full", 60, 5_000, prepare=old_and_new, memory=0)
def _full_save(rng: Rng, folder: Path) -> str | None:
    """A save to a full disk is refused in one line and changes nothing.

    a limit on the size of files (RLIMIT_FSIZE) of a random number of bytes, while a model or a checkpoint is saved
    """
    before, kind, work = _begin(rng, folder)
    code, message = Child(partial(_limited, work, int(rng.integers(30_000 if kind == "model" else 3_000)))).wait()
    if code == DONE:
        return _not_saved(kind, folder)
    if code != REFUSED or "file too large; nothing was changed" not in message:
        return f"exit code {code}: {message}"
    return None if contents(folder) == before else "the files changed"


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
def _full_disk(rng: Rng, folder: Path) -> str | None:
    """A save to a disk without space is refused in one line and changes nothing; with space again it succeeds, and a
    run that stopped gives the bits of an uninterrupted one.

    a tmpfs with a random number of free pages of 4 KiB, or of free files, while a model or a checkpoint is saved or, in
    one of twenty tries, a run trains
    """
    place = folder / "disk"
    with disk.small_disk(place, PAGES):
        return _full_run(rng, place) if rng.random() < 0.05 else _full_folder(rng, place)


def _full_folder(rng: Rng, place: Path) -> str | None:
    before, kind, work = _begin(rng, place)
    _leave(rng, place, pages=30 if kind == "model" else 4)
    code, message = Child(work).wait()
    if code == REFUSED and "no space left on device; nothing was changed" not in message:
        return message
    if code not in (DONE, REFUSED):
        return f"exit code {code}: {message}"
    if code == REFUSED and contents(place) != before:
        return "the files changed"
    disk.resize(place, PAGES)
    code, message = Child(work).wait()
    if code != DONE:
        return f"with space again: exit code {code}: {message}"
    if problem := _not_saved(kind, place):
        return problem
    left = sorted(path.name for path in place.iterdir() if path.name not in ("m", FILE))
    return f"left on the disk: {left}" if left else None


def _leave(rng: Rng, place: Path, pages: int) -> None:
    """Leave free up to that many pages, or up to 8 files."""
    taken, files = disk.used(place)
    if rng.random() < 0.8:
        disk.resize(place, max(1, taken + int(rng.integers(pages))))
    else:
        disk.resize(place, PAGES, files + int(rng.integers(8)))


def _full_run(rng: Rng, place: Path) -> str | None:
    out = place / "m"
    for _ in range(int(rng.integers(1, 3))):
        _leave(rng, place, pages=80)
        code, message = Child(partial(_train, out)).wait()
        if code == DONE:
            break
        if code != REFUSED or "no space left on device" not in message:
            return f"exit code {code}: {message}"
        if out.exists():
            load_folder(out)
    disk.resize(place, PAGES)
    return _resumed(out)


def _resumed(out: Path) -> str | None:
    """What is wrong with the run once there is space again."""
    code, message = Child(partial(_train, out)).wait()
    if code != DONE and not (code == REFUSED and out.exists() and "is a finished model" in message):
        return f"resumed with exit code {code}: {message}"
    return None if trained(out) == _uninterrupted() else "the model differs from the uninterrupted run"


@ATTACKS.add("read-only", 16, 500, prepare=old_and_new, memory=0)
def _read_only(rng: Rng, folder: Path) -> str | None:
    """Saving where it is not allowed is refused in one line and changes nothing.

    random permissions of the model folder and of the one above, another user
    """
    old, new = old_and_new()
    parent = folder / "parent"
    parent.mkdir()
    old.save(parent / "m")
    before = contents(parent)
    folder.chmod(0o755)
    modes = [0o555, 0o755, 0o777, 0o1777]
    (parent / "m").chmod(choice(rng, modes))
    parent.chmod(choice(rng, modes))

    def work() -> None:
        if os.geteuid() == 0:  # root may write anywhere
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        new.save(parent / "m")

    code, message = Child(work).wait()
    for path in (parent, parent / "m"):
        path.chmod(0o755)
    if code == REFUSED:
        return None if contents(parent) == before else f"the files changed, after: {message}"
    if code != DONE:
        return f"exit code {code}: {message}"
    same = load_folder(parent / "m").files["lstm.safetensors"] == new.to_files()["lstm.safetensors"]
    return None if same else "saved, but the old model is there"


@cache
def _inputs() -> list[Any]:
    return random_inputs(old_and_new()[1], 200, longest=300)


@cache
def _expected() -> bytes:
    """Its predictions, from a child process: this process must not have threads when it forks. It loads the kernel, so
    that the memory runs out in a call and not in the loader of shared libraries, after which the reference kernel runs.
    """
    get_kernel()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "predictions"
        code, message = Child(lambda: file.write_bytes(_predictions(old_and_new()[1]))).wait()
        if code != DONE:
            raise RuntimeError(message)
        return file.read_bytes()


def _predictions(model: Any) -> bytes:
    return bytes(np.asarray(model.predict_proba(_inputs())).tobytes())


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
    if predictions != _expected():
        raise AssertionError("the predictions differ")


def _end_with_memory(folder: Path, extra: int) -> tuple[int, str]:
    """The exit code and the message of a child that has so little memory."""
    old_and_new()[1].save(folder / "m")
    code, message = Child(partial(_use_with_memory, folder / "m", folder / "errors", extra)).wait()
    return code, f"{message}{(folder / 'errors').read_text(errors='replace')}"


def _without_proc() -> str:
    return "" if Path("/proc/self/status").exists() else "needs /proc"


def _prepare_memory() -> None:
    """The predictions. Raises RuntimeError where the limit does not hold, so that no try would lack memory."""
    _expected()
    with tempfile.TemporaryDirectory() as folder:
        if _end_with_memory(Path(folder), 0)[0] == DONE:
            raise RuntimeError("RLIMIT_DATA does not limit the memory")


@ATTACKS.add("little-memory", 10, 2_000, prepare=_prepare_memory, unavailable=_without_proc, memory=0)
def _little_memory(rng: Rng, folder: Path) -> str | None:
    """With too little memory, loading and predicting give the right result or a MemoryError, or the tokenizers library
    aborts the process with a message.

    a limit on the memory (RLIMIT_DATA) of 0 to 24 MiB above what the process has
    """
    code, message = _end_with_memory(folder, int(rng.integers(24 * MIB)))
    aborted = code == -signal.SIGABRT and "memory allocation of" in message  # by the tokenizers library
    return None if code == DONE or (code, message) == (REFUSED, "memory") or aborted else f"exit code {code}: {message}"
