"""The training loop: batches, loss, gradients, Adam; validations, checkpoints, callbacks.

One loop trains classifiers, regressions, the LSTM of a forecaster and language models. Its subclasses have what differs
between them: the batches, their loss, and the scores on the validation set.

A checkpoint is everything that the rest of a run depends on, in one safetensors file without pickle. It is written
whole or not at all. A run that continues from it ends with the same bits as one that was never stopped, on the same
machine with the same number of threads. All random draws follow from the seed and the number of the step, so that it
needs no state of a generator.

Several processes (`gatewise.training.processes`) each take a part of the rows of a batch and of the validation set.
They take the same steps, so that their weights stay equal bit for bit. Each draws the dropout masks of its own rows.
"""

import json
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError, TrainingError
from gatewise.network.trainable import Gradients, Trainable
from gatewise.storage.atomic import read_regular, write_atomic
from gatewise.storage.fields import fields_from
from gatewise.storage.strict_json import parse_json
from gatewise.storage.tensors import metadata_of, tensors_from_bytes, tensors_to_bytes, verify_checksum
from gatewise.training.callback import Callback, EpochLog, RunInfo, StepLog
from gatewise.training.optim import Adam, gradient_norm
from gatewise.training.processes import PeerError, current
from gatewise.types import Array

FILE = "checkpoint.safetensors"
MAX_BYTES = 16_000_000_000  # the weights of the largest model folder, those of the best epoch, and Adam's state, twice
CHECKPOINT_SECONDS = 300.0  # between two checkpoints: a killed process loses that much work
Groups = Mapping[str, Mapping[str, Array]]  # "weights" and others, each arrays by name


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


class Result(NamedTuple):
    """Of a step, for the part of the batch that this process takes: gradients of its mean loss, that loss, its share of
    the batch's rows, rows that are predicted correctly, and what `Loop.carried` becomes. rows: of the whole batch,
    by which errors name it. n: of its rows, or of their steps, by which losses are weighted; 1 where all are equal.
    """

    gradients: Gradients
    loss: float
    share: float
    correct: int = 0
    carried: Mapping[str, Array] = MappingProxyType({})
    rows: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    n: int = 1


class Loop(ABC):
    """Training of one network. `run` continues from `progress`; `result` has the weights.

    folder: for checkpoints; None for none, and in all processes but the first one. identity: of the run, see
    `gatewise.training.run.run_identity`.

    A subclass sets, optimizer: of the parameters. steps: of the run; steps_per_epoch: after which a callback sees the
    next epoch; interval: from one validation to the next. patience: validations without a new best after which the run
    ends, 0 for all steps. grad_clip: largest norm of the gradient, 0 for any. has_accuracy: whether rows are predicted
    correctly or not.

    best: the weights of the best validation; carried: arrays by name with which the next step begins, of this process's
    rows. Checkpoints hold both.
    """

    network: Trainable
    optimizer: Adam
    steps: int
    steps_per_epoch: int
    interval: int
    grad_clip: float
    patience: int = 0
    has_accuracy: bool = False

    def __init__(
        self, network: Trainable, callback: Callback | None = None, folder: Path | None = None, identity: str = ""
    ) -> None:
        self.network, self.callback = network, callback or Callback()
        self.folder, self.identity = folder, identity
        self.communicator = current()
        for array in network.parameters.values():
            raw = self.communicator.share(array.tobytes())  # equal seeds give equal bits on equal machines only
            array[...] = np.frombuffer(raw, array.dtype).reshape(array.shape)
        self.best: dict[str, Array] = {}
        self.carried: Mapping[str, Array] = {}
        self.progress = Progress()
        self._stop, self._stopped = threading.Event(), False  # of this process; of any
        self._started = 0.0, 0, 0.0  # the clock, the steps and the seconds when this process began the epoch
        self._saved, self._save = 0.0, False  # when the last checkpoint was written; whether the next one is due

    @abstractmethod
    def info(self) -> RunInfo:
        """What the run is going to do."""

    @abstractmethod
    def learning_rate(self, step: int) -> float:
        """Of a step, counted from 0."""

    @abstractmethod
    def backward(self, step: int) -> Result:
        """Loss and gradients of this process's part of the batch of a step, with the present weights."""

    @abstractmethod
    def outputs(self, state: dict[str, Array], rows: Callable[[Array], Array], last: bool) -> Array:
        """Predictions (n, ...) of the network with the weights `state`, for the validation rows that `rows` gives this
        process. last: whether the run ends with this validation.
        """

    @abstractmethod
    def score(self, outputs: Array, state: dict[str, Array]) -> EpochLog:
        """The row of the history for the outputs of all validation rows. Raises TrainingError for a loss that is not
        finite.
        """

    def restore(self, resume: bool) -> None:
        """Continue from the checkpoint in the folder if there is one and `resume` is set. The first process reads it
        and sends it to the others. Raises TrainingError for the checkpoint of another run.
        """
        raw = b""
        if self.folder is not None and resume:
            if (self.folder / FILE).exists():
                raw = read_verified(self.folder / FILE)
            else:
                self.callback.log(f"there is no checkpoint in {self.folder}: starting from the beginning")
        raw = self.communicator.share(raw)
        if not raw:
            return
        where = self.folder or ""
        self.progress, groups = parse_checkpoint(raw, where, self.identity, self._groups(), self.optimizer)
        self.steps = self.progress.steps
        self.network.set_state(groups["weights"])
        self.best = groups["best"]
        self.carried = {name: self.communicator.part(array) for name, array in groups["carried"].items()}
        self.callback.log(f"resuming after {self.progress.position}")

    def run(self, stop: threading.Event) -> bool:
        """Train to the end and return True, or until `stop` is set and return False."""
        progress = self.progress
        self.steps = progress.steps = progress.steps or int(self.communicator.share(b"%d" % self.steps))
        self.callback.on_train_begin(replace(self.info(), processes=self.communicator.size))
        self._stop, self._saved = stop, time.perf_counter()
        self._started = time.perf_counter(), progress.step, progress.seconds
        try:
            while True:
                validated = min(len(progress.history) * self.interval, progress.steps)  # the last time
                if validated == progress.steps or 0 < self.patience <= len(progress.history) - progress.best_epoch:
                    return True
                if self._stopped or (self.communicator.size == 1 and stop.is_set()):
                    self._checkpoint()
                    return False
                if progress.step == min(validated + self.interval, progress.steps):
                    self._validate()
                    self._checkpoint()
                else:
                    self._advance()
        except TrainingError as error:
            raise type(error)(f"{error}{self._kept(error)}") from error

    def state(self) -> dict[str, Array]:
        """Copies of the present weights by name; embedding rows make up for their missed steps first."""
        self.optimizer.catch_up_all()
        return self.network.state()

    def result(self) -> dict[str, Array]:
        """The weights of the best validation, where there is one, else the present ones."""
        return self.best if self.progress.history and self.best else self.state()

    def _advance(self) -> None:
        """A step, its log, and a checkpoint where one is due."""
        progress, steps = self.progress, self.steps_per_epoch
        if progress.step % steps == 0:
            progress.seconds = 0.0
            self._started = time.perf_counter(), progress.step, 0.0
        began, first, before = self._started
        self._step(progress.step)
        elapsed = time.perf_counter() - began
        progress.seconds = before + elapsed
        done = (progress.step - 1) % steps + 1
        self.callback.on_step_end(
            StepLog(
                epoch=(progress.step - 1) // steps + 1,
                epochs=progress.steps // steps,
                step=done,
                steps=steps,
                loss=progress.loss,
                accuracy=progress.correct / progress.loss_count if self.has_accuracy else None,
                seconds=progress.seconds,
                eta_seconds=elapsed / (progress.step - first) * (steps - done),
            )
        )
        if self._save:
            self._checkpoint()

    @np.errstate(over="ignore", invalid="ignore")  # the errors below say it in one line
    def _step(self, step: int) -> None:
        """One step of the optimiser, and its loss and correct predictions before it."""
        progress, communicator = self.progress, self.communicator
        mine = self.backward(step)
        due = self.folder is not None and time.perf_counter() - self._saved > CHECKPOINT_SECONDS
        numbers = mine.share * mine.loss, mine.correct, self._stop.is_set(), due
        parameters = self.network.parameters
        gradients, (loss, correct, stop, save) = communicator.sum(mine.gradients, parameters, mine.share, *numbers)
        norm = gradient_norm(gradients)
        for what, number in (("loss", loss), ("gradient", norm)):
            if not math.isfinite(number):
                rows = ", ".join(map(str, mine.rows[:8])) + (", ..." if len(mine.rows) > 8 else "")
                where = f"step {step + 1}" + (f", rows {rows}" if rows else "")
                raise TrainingError(f"the {what} is not finite at {where}; a lower learning rate helps")
        scale = min(1.0, self.grad_clip / (norm + 1e-6)) if self.grad_clip else 1.0  # as clip_grad_norm_
        self.optimizer.step(gradients, self.learning_rate(step), scale)
        self.carried = mine.carried
        self._stopped, self._save = bool(stop), bool(save)
        progress.step = step + 1
        progress.loss_sum += loss * mine.n
        progress.loss_count += mine.n
        progress.correct += int(correct)

    @np.errstate(over="ignore", invalid="ignore")
    def _validate(self) -> None:
        progress, state = self.progress, self.state()
        self.communicator.check_equal(state, f"after step {progress.step}")
        outputs = self.outputs(state, self.communicator.part, progress.step == progress.steps)
        outputs = self.communicator.whole(outputs)
        row = self.score(outputs, state)
        self.callback.on_epoch_end(row)
        progress.history.append(row)
        progress.loss_count = progress.correct = 0
        progress.loss_sum = 0.0
        began, _, before = self._started
        progress.seconds = before + time.perf_counter() - began

    def _groups(self) -> Groups:
        """What a checkpoint holds besides progress and optimiser."""
        carried = {name: self.communicator.whole(array) for name, array in self.carried.items()}
        return {"weights": self.state(), "best": self.best, "carried": carried}

    def _checkpoint(self) -> None:
        if self.communicator.size == 1 and self.folder is None:
            return
        groups = self._groups()
        if self.folder is not None:
            write_checkpoint(self.folder, self.identity, self.progress, groups, self.optimizer)
            self._saved = time.perf_counter()

    def _kept(self, error: TrainingError) -> str:
        """Write a checkpoint of the weights before a failed step, which has changed nothing: what the error adds."""
        if isinstance(error, PeerError) and self.carried:  # which the other process has a part of
            return ""
        try:
            self._checkpoint()
        except InputError:  # weights or moments that are not finite either; an earlier checkpoint stays
            return ""
        return "" if self.folder is None else f"; {self.folder} holds the weights before it"


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
