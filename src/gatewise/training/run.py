"""The folder of a run with its lock, what a run must have in common with the one that it continues, and Ctrl-C."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gatewise.errors import GatewiseError, InputError, quote
from gatewise.kernels.threads import one_blas_thread, threads
from gatewise.storage.atomic import LOCK, locked
from gatewise.storage.folder import check_target
from gatewise.system.signals import STOP_SIGNALS
from gatewise.training.processes import RESTARTS, current

if TYPE_CHECKING:
    from gatewise.model.model import Model

RESUME_HINT = "; continue with --resume"


class StopEvent(threading.Event):
    """Set to stop a run. number: that of the signal that set it."""

    number: int = signal.SIGINT


class Interrupted(GatewiseError):
    """A run stopped by Ctrl-C, SIGTERM or SIGHUP. model: the best epoch so far, or the present weights during the first
    epoch; None for pretraining. member: its LSTM, until it is part of a model. exit_code: 128 and the number of the
    signal, as a shell reports it.
    """

    def __init__(self, message: str, stop: StopEvent, model: Model | None = None, member: Any = None) -> None:
        super().__init__(message)
        self.stop = stop
        self.model = model
        self.member = member
        self.exit_code = 128 + stop.number


@dataclass(frozen=True)
class RunFolder:
    """Where a run saves its result and its checkpoints. `target` and `folder` are None for a run without `out`, and in
    all processes but the first.
    """

    target: Path | None
    """The folder of the result."""
    folder: Path | None
    """The folder of the checkpoint: `target`.run."""
    resume: bool
    """Whether to continue from a checkpoint there."""
    overwrite: bool = False
    """Whether to replace a model or an unfinished run there."""

    @classmethod
    def of(cls, out: str | Path | None, resume: bool, overwrite: bool = False) -> Self:
        """The folders of a run.

        Raises InputError for `resume` without `out` or with `overwrite`, for a finished model or an unfinished run that
        would be replaced without `overwrite`, and for a finished model without a run to resume; ModelFileError where
        `out` cannot be written. A process that torchrun has started again resumes an unfinished run.
        """
        if resume and overwrite:
            raise InputError("give either resume, which continues the run, or overwrite, which starts a new one")
        if out is None and resume:
            raise InputError("resume needs `out`, the folder that the run was started with")
        if out is None or current().rank:
            return cls(None, None, resume)
        target = check_target(out)
        folder = target.with_name(target.name + ".run")
        # Without a checkpoint there is nothing to lose: a run that was killed in its first epoch.
        unfinished = _has_checkpoint(folder)
        if unfinished and os.environ.get(RESTARTS, "0") != "0":
            resume = True
            overwrite = False
        run = cls(target, folder, resume, overwrite)
        run.check(unfinished, quote(out, 200))
        return run

    def check(self, unfinished: bool, name: str) -> None:
        """Raise InputError for what is there and would be replaced. unfinished: whether a run can be continued; name:
        of the target, for messages.
        """
        assert self.target is not None
        assert self.folder is not None
        if unfinished and not self.resume and not self.overwrite:
            raise InputError(
                f"{quote(self.folder, 200)} holds an unfinished run: continue it with --resume (Python: resume=True), "
                "or discard it with --overwrite (overwrite=True)"
            )
        has_model = self.target.exists() and any(self.target.iterdir())
        if not has_model or unfinished or self.overwrite:
            return
        if self.resume:
            raise InputError(f"{name} is a finished model, and there is no run to resume; --overwrite trains anew")
        raise InputError(
            f"{name} exists: replace it with --overwrite (Python: overwrite=True), or choose another folder with --out"
        )

    @property
    def resume_hint(self) -> str:
        """The end of the message of an interrupted run."""
        return "" if self.target is None else RESUME_HINT

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Hold the run folder's lock and give NumPy's products one thread; at the end delete the folder, unless an
        exception leaves it for `resume`.
        """
        if self.folder is None or self.target is None:
            with one_blas_thread():
                yield
            return
        with locked(self.folder, remove=True), one_blas_thread():
            check_target(self.target)
            # Another run may have ended since the first check, which had no lock.
            self.check(_has_checkpoint(self.folder), quote(self.target, 200))
            if self.overwrite:
                _empty(self.folder)
            yield


def _has_checkpoint(folder: Path) -> bool:
    """Whether an unfinished run left anything to continue from: its checkpoint, or that of its teacher."""
    return any(folder.rglob("*.safetensors"))


def _empty(folder: Path) -> None:
    """Delete what a run folder holds, but its lock."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


@contextmanager
def interruptible() -> Iterator[StopEvent]:
    """An event that the first Ctrl-C, SIGTERM or SIGHUP (of a closed terminal) sets, so that the loop stops after its
    step. The second signal has its usual effect: Ctrl-C raises KeyboardInterrupt. A signal that is ignored, as under
    nohup, stays ignored. Only the main thread receives signals: elsewhere nothing sets the event.
    """
    stop = StopEvent()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            handler = handlers[number]
            if callable(handler):
                handler(number, frame)
            raise KeyboardInterrupt
        stop.number = number
        stop.set()

    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    handlers = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}
    for number in handlers:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def run_identity(recipe: Mapping[str, Any], seed: int, fingerprint: str, kernel: str) -> str:
    """What must be equal for a run to continue bit for bit, as JSON: kernel, threads and machine are those of the first
    process. Raises TrainingError where recipe, seed, data or version of another process differ.
    """
    of_all_processes = {"recipe": dict(recipe), "seed": seed, "data": fingerprint, "numpy": np.__version__}
    communicator = current()
    encoded = {name: json.dumps(value, sort_keys=True).encode() for name, value in of_all_processes.items()}
    communicator.check_equal(encoded, "training")
    of_the_first = {
        "kernel": kernel,
        "threads": threads(),
        "processes": communicator.size,
        "machine": platform.machine(),
    }
    identity = json.dumps({**of_all_processes, **of_the_first}, sort_keys=True)
    return communicator.broadcast(identity.encode()).decode()
