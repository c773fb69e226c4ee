"""The training loop: steps, validations, checkpoints, callbacks.

One loop trains classifiers, regressions, the LSTM of a forecaster and language models. Its subclasses have what differs
between them: the batches, their forward and backward pass, and the scores on the validation set.

`Loop.train_step` is one step: forward, loss, backward, step. What else a step does stands around it: the sum over the
processes (`StepTotal`), the request to stop (`StopFlag`), the clock of the checkpoints
(`gatewise.training.checkpoint.CheckpointClock`) and the clock of the epoch (`EpochClock`).

Several processes (`gatewise.training.processes`) each take a part of the rows of a batch and of the validation set.
They take the same steps, so that their weights stay equal bit for bit. Each draws the dropout masks of its own rows.
"""

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, TrainingError
from gatewise.network.trainable import Gradients, Trainable
from gatewise.training.callback import Callback, EpochLog, RunInfo, StepLog
from gatewise.training.checkpoint import (
    FILE,
    CheckpointClock,
    Groups,
    Progress,
    parse_checkpoint,
    read_verified,
    write_checkpoint,
)
from gatewise.training.optim import Adam, clip_scale, gradient_norm
from gatewise.training.processes import PeerError, current
from gatewise.types import Array

MAX_ROWS_SHOWN = 8  # in the message of an error


@dataclass(frozen=True, eq=False, kw_only=True)
class StepBatch:
    """The batch of a step. Subclasses add what this process reads of it."""

    step: int
    """Its number, from 0."""
    n: int = 1
    """The weight of its loss in the mean of an epoch: its rows, or with a label per step their steps. 1 where all
    batches are of one size.
    """
    share: float = 1.0
    """The share of n that this process reads."""
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Row numbers of the whole batch, for the messages of errors."""


BatchType = TypeVar("BatchType", bound=StepBatch)


class StepResult(NamedTuple):
    """Forward and backward pass of what this process reads of a batch."""

    gradients: Gradients
    """Of the mean loss."""
    loss: float
    """The mean over the rows."""
    correct: int = 0
    """How many rows are predicted correctly."""
    carried: Mapping[str, Array] = MappingProxyType({})
    """What `Loop.carried` becomes after the step."""


class StepTotal(NamedTuple):
    """The step of the whole batch: a `StepResult` summed over all processes, with the same bits in each of them."""

    gradients: Gradients
    """Of the mean loss over the whole batch."""
    loss: float
    correct: int


class StopFlag:
    """Whether the run is to stop. A signal sets the event in each process at another time, but all processes must stop
    after the same step: several of them stop when `agreed` is set.
    """

    def __init__(self, event: threading.Event, processes: int) -> None:
        self._event = event
        self._processes = processes
        self.agreed = False
        """Whether the event was set in any process when the last step was summed."""

    @property
    def set_here(self) -> bool:
        """Whether the event is set in this process."""
        return self._event.is_set()

    @property
    def raised(self) -> bool:
        """Whether to stop before the next step."""
        if self._processes == 1:
            return self.set_here
        return self.agreed


class EpochClock:
    """The seconds of an epoch. Those before an interruption count too."""

    def __init__(self) -> None:
        self._began = 0.0
        self._first_step = 0
        self._seconds_before = 0.0

    def start(self, step: int, seconds: float = 0.0) -> None:
        """The epoch begins, or continues at this step after so many seconds."""
        self._began = time.perf_counter()
        self._first_step = step
        self._seconds_before = seconds

    def seconds(self) -> float:
        """Since the start of the epoch."""
        return self._seconds_before + time.perf_counter() - self._began

    def remaining(self, step: int, steps_left: int, seconds: float) -> float:
        """The seconds of the steps that are left, by the mean of those that this process has made up to `step`.
        seconds: what `seconds()` was after it.
        """
        seconds_per_step = (seconds - self._seconds_before) / (step - self._first_step)
        return seconds_per_step * steps_left


class Loop(ABC, Generic[BatchType]):
    """Training of one network. `run` continues from `progress`; `result` has the weights.

    folder: for checkpoints; None for none, and in all processes but the first one. identity: of the run, see
    `gatewise.training.run.run_identity`.

    A subclass sets the attributes below.
    """

    network: Trainable
    optimizer: Adam
    """Of the parameters of the network."""
    steps: int
    """Of the run."""
    steps_per_epoch: int
    """After so many steps, callbacks see the next epoch."""
    interval: int
    """Steps from one validation to the next."""
    grad_clip: float
    """The largest norm of the gradient; 0 for no limit."""
    patience: int = 0
    """The run ends after so many validations without a new best one; 0 for all steps."""
    has_accuracy: bool = False
    """Whether rows are right or wrong; numbers are not."""

    def __init__(
        self, network: Trainable, callback: Callback | None = None, folder: Path | None = None, identity: str = ""
    ) -> None:
        self.network = network
        self.callback = callback or Callback()
        self.folder = folder
        self.identity = identity
        self.communicator = current()
        # The first process sends its weights: equal seeds give equal bits on equal machines only.
        for array in network.parameters.values():
            raw = self.communicator.broadcast(array.tobytes())
            array[...] = np.frombuffer(raw, array.dtype).reshape(array.shape)
        self.best: dict[str, Array] = {}
        """The weights of the best validation. A checkpoint holds them."""
        self.carried: Mapping[str, Array] = {}
        """Arrays by name with which the next step begins, of the rows of this process. A checkpoint holds those of all
        processes.
        """
        self.progress = Progress()
        self.stop_flag = StopFlag(threading.Event(), self.communicator.size)
        self.checkpoint_clock = CheckpointClock(writes=folder is not None)
        self.epoch_clock = EpochClock()

    @abstractmethod
    def info(self) -> RunInfo:
        """What the run is going to do."""

    @abstractmethod
    def learning_rate(self, step: int) -> float:
        """Of a step, counted from 0."""

    @abstractmethod
    def batch(self, step: int) -> BatchType:
        """The batch of a step, counted from 0."""

    @abstractmethod
    def forward_backward(self, batch: BatchType) -> StepResult:
        """Loss and gradients of what this process reads of a batch, with the present weights."""

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
        raw = self.communicator.broadcast(raw)
        if not raw:
            return
        self.progress, groups = parse_checkpoint(
            raw, self.folder or "", self.identity, self._checkpoint_groups(), self.optimizer
        )
        self.steps = self.progress.steps
        self.network.set_state(groups["weights"])
        self.best = groups["best"]
        self.carried = {name: self.communicator.own_rows(array) for name, array in groups["carried"].items()}
        self.callback.log(f"resuming after {self.progress.position}")

    def run(self, stop: threading.Event) -> bool:
        """Train to the end and return True, or until `stop` is set and return False."""
        progress = self.progress
        if not progress.steps:
            progress.steps = int(self.communicator.broadcast(b"%d" % self.steps))
        self.steps = progress.steps
        self.callback.on_train_begin(replace(self.info(), processes=self.communicator.size))
        self.stop_flag = StopFlag(stop, self.communicator.size)
        self.checkpoint_clock.restart()
        self.epoch_clock.start(progress.step, progress.seconds)
        try:
            return self._run_to_end()
        except TrainingError as error:
            raise type(error)(f"{error}{self._checkpoint_of_failure(error)}") from error

    @np.errstate(over="ignore", invalid="ignore")  # `_require_finite` reports it in one line
    def train_step(self, step: int) -> None:
        """One step: forward, loss and backward of the batch, then the optimiser."""
        batch = self.batch(step)
        result = self.forward_backward(batch)
        total = self._sum_over_processes(result, batch.share)
        norm = gradient_norm(total.gradients)
        _require_finite(total.loss, norm, batch)
        self.optimizer.step(total.gradients, self.learning_rate(step), clip_scale(norm, self.grad_clip))
        self.carried = result.carried
        self.progress.add_step(total.loss, total.correct, batch.n)

    def state(self) -> dict[str, Array]:
        """Copies of the present weights by name; embedding rows make up for their missed steps first."""
        self.optimizer.catch_up_all()
        return self.network.state()

    def result(self) -> dict[str, Array]:
        """The weights of the best validation, where there is one, else the present ones."""
        if self.progress.history and self.best:
            return self.best
        return self.state()

    def _run_to_end(self) -> bool:
        """Steps and validations in turn; False if `stop_flag` ends them."""
        progress = self.progress
        while not self._finished:
            if self.stop_flag.raised:
                self._checkpoint()
                return False
            if progress.step == min(self._last_validation + self.interval, progress.steps):
                self._validate()
                self._checkpoint()
            else:
                self._advance()
        return True

    @property
    def _last_validation(self) -> int:
        """The number of steps at the last validation."""
        return min(len(self.progress.history) * self.interval, self.progress.steps)

    @property
    def _finished(self) -> bool:
        """Whether the last step is validated, or `patience` is over."""
        if self._last_validation == self.progress.steps:
            return True
        without_new_best = len(self.progress.history) - self.progress.best_epoch
        return 0 < self.patience <= without_new_best

    def _advance(self) -> None:
        """A step, its log, and a checkpoint where one is due."""
        progress = self.progress
        if progress.step % self.steps_per_epoch == 0:
            self.epoch_clock.start(progress.step)
        self.train_step(progress.step)
        progress.seconds = self.epoch_clock.seconds()
        self.callback.on_step_end(self._step_log())
        if self.checkpoint_clock.due:
            self._checkpoint()

    def _step_log(self) -> StepLog:
        """The last step, for callbacks."""
        progress = self.progress
        epoch, step_in_epoch = divmod(progress.step - 1, self.steps_per_epoch)
        steps_left = self.steps_per_epoch - (step_in_epoch + 1)
        return StepLog(
            epoch=epoch + 1,
            epochs=progress.steps // self.steps_per_epoch,
            step=step_in_epoch + 1,
            steps=self.steps_per_epoch,
            loss=progress.loss,
            accuracy=progress.accuracy if self.has_accuracy else None,
            seconds=progress.seconds,
            eta_seconds=self.epoch_clock.remaining(progress.step, steps_left, progress.seconds),
        )

    def _sum_over_processes(self, result: StepResult, share: float) -> StepTotal:
        """The step of the whole batch. The processes tell each other in the same message whether to stop and whether a
        checkpoint is due: all of them do so after the same step.
        """
        numbers = {
            "loss": share * result.loss,
            "correct": result.correct,
            "stop": self.stop_flag.set_here,
            "checkpoint": self.checkpoint_clock.due_here,
        }
        gradients, totals = self.communicator.sum(result.gradients, self.network.parameters, share, numbers)
        self.stop_flag.agreed = totals["stop"] > 0
        self.checkpoint_clock.due = totals["checkpoint"] > 0
        return StepTotal(gradients, totals["loss"], int(totals["correct"]))

    @np.errstate(over="ignore", invalid="ignore")
    def _validate(self) -> None:
        progress = self.progress
        state = self.state()
        self.communicator.check_equal(state, f"after step {progress.step}")
        outputs = self.outputs(state, self.communicator.own_rows, last=progress.step == progress.steps)
        row = self.score(self.communicator.gather_rows(outputs), state)
        self.callback.on_epoch_end(row)
        progress.add_validation(row)
        progress.seconds = self.epoch_clock.seconds()

    def _checkpoint_groups(self) -> Groups:
        """What a checkpoint holds besides progress and optimiser."""
        carried = {name: self.communicator.gather_rows(array) for name, array in self.carried.items()}
        return {"weights": self.state(), "best": self.best, "carried": carried}

    def _checkpoint(self) -> None:
        """Write a checkpoint, where there is a folder. The other processes send what they carry."""
        if self.communicator.size == 1 and self.folder is None:
            return
        groups = self._checkpoint_groups()
        if self.folder is not None:
            write_checkpoint(self.folder, self.identity, self.progress, groups, self.optimizer)
            self.checkpoint_clock.restart()

    def _checkpoint_of_failure(self, error: TrainingError) -> str:
        """Write a checkpoint of the weights before a failed step, which has changed nothing: what the error adds."""
        if isinstance(error, PeerError) and self.carried:  # a part of which the process has that is gone
            return ""
        try:
            self._checkpoint()
        except InputError:  # weights or moments that are not finite either; an earlier checkpoint stays
            return ""
        if self.folder is None:
            return ""
        return f"; {self.folder} holds the weights before it"


def _require_finite(loss: float, norm: float, batch: StepBatch) -> None:
    """Raise TrainingError that names the step, and its rows, for a loss or norm of the gradient that is not finite."""
    for quantity, value in (("loss", loss), ("gradient", norm)):
        if math.isfinite(value):
            continue
        where = f"step {batch.step + 1}"
        if len(batch.rows):
            where += ", rows " + ", ".join(map(str, batch.rows[:MAX_ROWS_SHOWN]))
        if len(batch.rows) > MAX_ROWS_SHOWN:
            where += ", ..."
        raise TrainingError(f"the {quantity} is not finite at {where}; a lower learning rate helps")
