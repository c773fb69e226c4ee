"""What training and pretraining share around their loops: the run folder, its lock, the seed, Ctrl-C."""

from __future__ import annotations

import numbers
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np

from gatewise.errors import GatewiseError, InputError, quote
from gatewise.model.model import Model
from gatewise.storage import LOCK, check_target, locked
from gatewise.system import STOP_SIGNALS
from gatewise.training.blas import one_blas_thread
from gatewise.training.callback import Callback
from gatewise.training.checkpoint import FILE, Progress, read_verified
from gatewise.training.communicator import Communicator

RESTARTS = "TORCHELASTIC_RESTART_COUNT"  # how often torchrun has started this process again, after one that died


class Interrupted(GatewiseError):
    """A run stopped by Ctrl-C, SIGTERM or SIGHUP. model: the best epoch so far, or the present weights during the first
    epoch; None for pretraining. exit_code: 128 and the number of the signal, as a shell reports it.
    """

    def __init__(self, message: str, stop: StopEvent, model: Model | None = None) -> None:
        super().__init__(message)
        self.model = model
        self.exit_code = 128 + stop.number


class StopEvent(threading.Event):
    """Set to stop a run. number: that of the signal that set it."""

    number: int = signal.SIGINT


def checked_seed(seed: Any, resume: bool) -> int:
    """The seed as an int; None draws one. Raises InputError for any other value than a whole number from 0 to 2^63 - 1,
    and for None where a run is to resume: it continues with the seed that it began with.
    """
    if seed is None:
        if resume:
            raise InputError("seed: to resume, pass the seed that the run began with, not None")
        return secrets.randbelow(2**31)
    if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, numbers.Integral) or not 0 <= int(seed) < 2**63:
        shown = quote(seed) if isinstance(seed, str) else quote(seed).strip("'")
        raise InputError(f"seed must be a whole number from 0 to 2^63 - 1, or None to draw one, not {shown}")
    return int(seed)


class Resumable(Protocol):
    """A loop of training or pretraining."""

    progress: Progress[Any]
    communicator: Communicator

    def restore(self, checkpoint: bytes, folder: Path | str) -> None:
        """Continue from a checkpoint, which was found in `folder`."""


@dataclass(frozen=True)
class RunFolder:
    """target: the folder that the result is saved to; folder: `target`.run, for the checkpoint; both None for a run
    that is not saved. resume: whether to continue from a checkpoint there. overwrite: whether to replace a model or an
    unfinished run there. `gatewise.train` and `pretrain` take one as `out`: a program can check the folder before it
    reads the data.
    """

    target: Path | None
    folder: Path | None
    resume: bool
    overwrite: bool = False

    @classmethod
    def of(cls, out: str | Path | RunFolder | None, resume: bool, overwrite: bool = False, rank: int = 0) -> RunFolder:
        """The folders of process number `rank` of a run: the first one reads and writes, the others have none.

        Raises InputError for `resume` without `out`, against a RunFolder's own `resume` or with `overwrite`, for a
        finished model or an unfinished run that would be replaced without `overwrite`, and for a finished model without
        a run to resume; ModelFileError where `out` cannot be written. A process that torchrun has started again resumes
        an unfinished run.
        """
        if isinstance(out, RunFolder):
            if (resume and not out.resume) or (overwrite and not out.overwrite):
                raise InputError("resume and overwrite are part of the RunFolder: RunFolder.of(path, resume=True)")
            return replace(out, target=None, folder=None) if rank else out
        if resume and overwrite:
            raise InputError("give either resume, which continues the run, or overwrite, which starts a new one")
        if out is None:
            if resume:
                raise InputError("resume needs `out`, the folder that the run was started with")
            return cls(None, None, False)
        if rank:
            return cls(None, None, resume)
        target = check_target(out)
        folder = target.with_name(target.name + ".run")
        shown = quote(out, 200)
        # Without a checkpoint there is nothing to lose: a run that was killed in its first epoch.
        unfinished = any(folder.rglob("*.safetensors"))
        if unfinished and os.environ.get(RESTARTS, "0") != "0":
            resume, overwrite = True, False
        if unfinished and not resume and not overwrite:
            raise InputError(
                f"{quote(folder, 200)} holds an unfinished run: continue it with --resume (Python: resume=True), or "
                "discard it with --overwrite (overwrite=True)"
            )
        if target.exists() and any(target.iterdir()) and not unfinished and not overwrite:
            if resume:
                raise InputError(f"{shown} is a finished model, and there is no run to resume; --overwrite trains anew")
            raise InputError(
                f"{shown} exists: replace it with --overwrite (Python: overwrite=True), or choose another folder with "
                "--out"
            )
        return cls(target, folder, resume, overwrite)

    @property
    def resume_hint(self) -> str:
        """The end of the message of an interrupted run."""
        return "" if self.target is None else "; continue with --resume"

    def restore(self, loop: Resumable, callback: Callback, folder: Path | None) -> None:
        """Continue from the checkpoint in `folder`, this run's or its teacher's, if the run is to resume. The first
        process reads it and sends it to the others, whose `folder` is None.
        """
        checkpoint = b""
        if self.resume and folder is not None and (folder / FILE).exists():
            checkpoint = read_verified(folder / FILE)[0]
        checkpoint = loop.communicator.share(checkpoint)
        if checkpoint:
            loop.restore(checkpoint, "" if folder is None else folder)
            callback.log(f"resuming after {loop.progress.position}")
        elif self.resume and folder is not None:
            callback.log(f"there is no checkpoint in {folder}: starting from the beginning")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Hold the run folder's lock and give NumPy's products one thread; at the end delete the folder, unless an
        exception leaves it for `resume`.
        """
        with locked(self.folder) if self.folder is not None else nullcontext(), one_blas_thread():
            if self.folder is not None and self.overwrite:
                _clear(self.folder)
            yield
        if self.folder is not None:
            shutil.rmtree(self.folder)


def _clear(folder: Path) -> None:
    """Delete what an earlier run left in the folder; the lock stays."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


@contextmanager
def interruptible() -> Iterator[StopEvent]:
    """An event that the first Ctrl-C, SIGTERM or SIGHUP (of a closed terminal) sets, so that the loop stops after its
    step; the second does what it did before, for Ctrl-C a KeyboardInterrupt. A signal that is ignored stays so (nohup).
    Outside the main thread, which alone receives signals, nothing sets the event.
    """
    stop = StopEvent()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            handler = before[number]
            if callable(handler):
                handler(number, frame)
            raise KeyboardInterrupt
        stop.number = number
        stop.set()

    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
