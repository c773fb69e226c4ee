"""The folder of a run with its lock and its checkpoint, the seed, and Ctrl-C.

A checkpoint is everything that the rest of a run depends on, in one safetensors file without pickle. It is written
whole or not at all. A run that continues from it ends with the same bits as one that was never stopped, on the same
machine with the same number of threads.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np

from gatewise.errors import GatewiseError, InputError, ModelFileError, TrainingError, quote
from gatewise.kernels.threads import one_blas_thread, threads
from gatewise.storage.atomic import LOCK, locked, read_regular, write_atomic
from gatewise.storage.fields import fields_from
from gatewise.storage.folder import check_target
from gatewise.storage.strict_json import parse_json
from gatewise.storage.tensors import metadata_of, tensors_from_bytes, tensors_to_bytes, verify_checksum
from gatewise.system.processes import STOP_SIGNALS
from gatewise.training.callback import EpochLog
from gatewise.training.fields import field_of
from gatewise.training.optim import Adam
from gatewise.training.processes import RESTARTS, current
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.model.model import Model

FILE = "checkpoint.safetensors"
MAX_BYTES = 16_000_000_000  # the weights of the largest model folder, those of the best epoch, and Adam's state, twice
RESUME_HINT = "; continue with --resume"
Groups = Mapping[str, Mapping[str, Array]]  # "weights" and others, each arrays by name


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
        self.stop, self.model, self.member = stop, model, member
        self.exit_code = 128 + stop.number


_Seed = Annotated[int, "from 0 to 2^63 - 1, or None to draw one", lambda value: 0 <= value < 2**63]


def checked_seed(seed: Any, resume: bool) -> int:
    """The seed as an int; None draws one. Raises InputError for any other value than a whole number from 0 to 2^63 - 1,
    and for None where a run is to resume: it continues with the seed that it began with.
    """
    if seed is None:
        if resume:
            raise InputError("seed: to resume, pass the seed that the run began with, not None")
        return secrets.randbelow(2**31)
    return int(field_of("seed", _Seed).checked(seed))


@dataclass(frozen=True)
class RunFolder:
    """target: the folder that the result is saved to; folder: `target`.run, for the checkpoint; both None for a run
    that is not saved, and in all processes but the first. resume: whether to continue from a checkpoint there.
    overwrite: whether to replace a model or an unfinished run there.
    """

    target: Path | None
    folder: Path | None
    resume: bool
    overwrite: bool = False

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
        target, name = check_target(out), quote(out, 200)
        folder = target.with_name(target.name + ".run")
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
                raise InputError(f"{name} is a finished model, and there is no run to resume; --overwrite trains anew")
            raise InputError(
                f"{name} exists: replace it with --overwrite (Python: overwrite=True), or choose another folder with "
                "--out"
            )
        return cls(target, folder, resume, overwrite)

    @property
    def resume_hint(self) -> str:
        """The end of the message of an interrupted run."""
        return "" if self.target is None else RESUME_HINT

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Hold the run folder's lock and give NumPy's products one thread; at the end delete the folder, unless an
        exception leaves it for `resume`.
        """
        lock = nullcontext() if self.folder is None else locked(self.folder, remove=True)
        with lock, one_blas_thread():
            if self.target is not None:  # another run may have ended since it was looked at
                RunFolder.of(self.target, self.resume, self.overwrite)
            for path in self.folder.iterdir() if self.folder is not None and self.overwrite else ():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()
            yield


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


@dataclass
class Progress:
    """Where a run is. step: steps done, of `steps`; loss_sum over loss_count, correct: since the last validation;
    seconds: since the start of the epoch; history: a row per validation.
    """

    step: int = 0
    steps: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    correct: int = 0
    seconds: float = 0.0
    history: list[EpochLog] = field(default_factory=list)

    @property
    def loss(self) -> float:
        """Mean loss since the last validation."""
        return self.loss_sum / self.loss_count

    @property
    def best_epoch(self) -> int:
        """The epoch with the lowest validation loss, counted from 1; 0 before the first validation."""
        return max((row.epoch for row in self.history if row.best), default=0)

    @property
    def position(self) -> str:
        """Where the run is, in words."""
        return f"step {self.step:,} of {self.steps:,}"

    @property
    def history_lines(self) -> str:
        """The history as JSON lines, as a model folder stores it."""
        return "".join(json.dumps(row.as_dict()) + "\n" for row in self.history)


def run_identity(recipe: Mapping[str, Any], seed: int, fingerprint: str, kernel: str) -> str:
    """What must be equal for a run to continue bit for bit, as JSON: kernel, threads and machine are those of the first
    process. Raises TrainingError where recipe, seed, data or version of another process differ.
    """
    same = {"recipe": dict(recipe), "seed": seed, "data": fingerprint, "numpy": np.__version__}
    communicator = current()
    values = {name: json.dumps(value, sort_keys=True).encode() for name, value in same.items()}
    communicator.check_equal(values, "training")
    parts = {"kernel": kernel, "threads": threads(), "processes": communicator.size, "machine": platform.machine()}
    return communicator.share(json.dumps({**same, **parts}, sort_keys=True).encode()).decode()


def write_checkpoint(folder: Path, identity: str, progress: Progress, groups: Groups, optimizer: Adam) -> None:
    """Write `folder`/checkpoint.safetensors: progress, arrays and Adam's state. identity: what only a run of the same
    `run_identity` may continue.
    """
    tensors = {f"{group}/{name}": value for group, arrays in groups.items() for name, value in arrays.items()}
    tensors |= optimizer.state()
    metadata = {"identity": identity, "progress": json.dumps(asdict(progress))}
    write_atomic(folder / FILE, tensors_to_bytes(tensors, metadata, checksum=True))


def parse_checkpoint(
    raw: bytes,
    folder: Path | str,
    identity: str,
    groups: Groups,
    optimizer: Adam,
) -> tuple[Progress, dict[str, dict[str, Array]]]:
    """Progress and arrays of the content of a checkpoint, which was read from `folder` by `read_verified`; Adam's state
    is restored in place.

    groups: arrays of the expected names, shapes and dtypes. Raises TrainingError
    for the checkpoint of another run, ModelFileError for a damaged one.
    """
    metadata = metadata_of(raw, FILE)
    if metadata.get("identity") != identity:
        was, now = _object(metadata.get("identity", "")), _object(identity)
        differs = sorted(key for key in {*was, *now} if was.get(key) != now.get(key))
        raise TrainingError(
            f"{folder} holds another run: it differs in {', '.join(differs)}; resume with the same, or delete it"
        )
    progress = fields_from(Progress, _object(metadata.get("progress", "")), f"{FILE}: progress")
    for name in ("step", "steps", "loss_count", "correct"):
        if getattr(progress, name) < 0:
            raise ModelFileError(f"{FILE}: progress: {name} must not be negative")
    expected = {f"{group}/{name}": value for group, arrays in groups.items() for name, value in arrays.items()}
    shapes = {name: (value.shape, value.dtype.name) for name, value in (expected | optimizer.state()).items()}
    tensors = tensors_from_bytes(raw, shapes, FILE)
    if not 0 <= int(tensors["adam/step"]) < 2**31:
        raise ModelFileError(f"{FILE}: adam/step is not a number of steps")
    optimizer.load_state(tensors)
    return progress, {
        group: {name: tensors[f"{group}/{name}"].copy() for name in arrays} for group, arrays in groups.items()
    }


def read_verified(path: Path) -> bytes:
    """The content of a file of a run folder. Raises ModelFileError for what is not a regular file, and where its
    SHA-256 does not match.
    """
    raw = read_regular(path, MAX_BYTES)
    try:
        verify_checksum(raw, str(path))
    except ModelFileError as error:
        raise ModelFileError(f"{error}; start the run again with --overwrite (overwrite=True)") from error
    return raw


def _object(text: str) -> dict[str, Any]:
    found = parse_json(text.encode(), FILE)
    if not isinstance(found, dict):
        raise ModelFileError(f"{FILE}: its metadata must be objects")
    return found
