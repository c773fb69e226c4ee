"""The training loop: batches, loss, gradients, Adam; validation after each epoch; a checkpoint after that, and in a
long epoch every few minutes.

All random draws follow from the seed: the order of an epoch from (seed, epoch), the dropout masks of a step from (seed,
step). A checkpoint therefore needs no state of a generator.

Several processes each take a part of the rows of a batch and of the validation part. They take the same steps, so that
their weights stay equal bit for bit. The masks of dropout are drawn by each for its own rows.
"""

from __future__ import annotations

import math
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatewise import kernels
from gatewise.data import batches
from gatewise.errors import InputError, TrainingError
from gatewise.model.model import Model
from gatewise.network.autograd import RowGradient
from gatewise.network.batch import Batch
from gatewise.network.trainable import TABLE, Gradients, Network
from gatewise.training.adversarial import adversarial_backward
from gatewise.training.callback import Callback, EpochLog, RunInfo, StepLog
from gatewise.training.checkpoint import CHECKPOINT_SECONDS, Groups, Progress, parse_checkpoint, write_checkpoint
from gatewise.training.communicator import Communicator
from gatewise.training.gradient_exchange import GradientExchange, StepSum, balanced_part
from gatewise.training.objective import Scores, correct_rows, loss_of, scores_of
from gatewise.training.optim import Adam, clipping, gradient_norm, learning_rate_at
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

MASKS = 0xD50  # separates the draws of the masks from others with the same seed


class Loop:
    """Training of one network. `run()` continues from `progress`; `best` has the weights of the best epoch.

    folder: for checkpoints; None for none, and in all processes but the first of `communicator`.
    """

    def __init__(
        self,
        training_data: TrainingData,
        network: Network,
        seed: int,
        callback: Callback,
        folder: Path | None,
        identity: str,
        communicator: Communicator | None = None,
    ) -> None:
        communicator = communicator or Communicator()
        recipe = training_data.recipe
        self.training_data, self.network, self.seed, self.callback = training_data, network, seed, callback
        self.folder, self.identity, self.communicator = folder, identity, communicator
        for array in network.parameters.values():
            communicator.broadcast(array)  # equal seeds give equal bits on equal machines only
        self.exchange = GradientExchange(communicator, network.parameters)
        self.validation_logits: list[Array] = []  # (validation rows, outputs) after each epoch of this process
        self.out_of_fold: list[Array] = []  # those of a cross-validation, which replace the network's own
        self._stop, self._stopped = threading.Event(), False  # of this process; of any
        self._saved, self._save = 0.0, False  # when the last checkpoint was written; whether the next one is due
        self.progress: Progress[EpochLog] = Progress()
        self.best = network.state()
        settings = recipe.optimisation
        self.steps_per_epoch = -(-len(training_data.epoch_rows) // settings.batch_size)
        self.epochs = max(settings.epochs, -(-settings.min_steps // self.steps_per_epoch))
        self.optimizer = Adam(
            network.parameters,
            frozenset({TABLE}) & network.parameters.keys(),
            beta_2=settings.beta_2,
            epsilon=1e-7,  # as in Keras
            keras=True,
            lr_scale={TABLE: settings.embedding_lr_scale},
        )

    def run(self, stop: threading.Event) -> bool:
        """Train to the end and return True, or until `stop` is set and return False."""
        progress, self._stop, self._saved = self.progress, stop, time.perf_counter()
        while progress.epoch < self.epochs and not self._out_of_patience():
            try:
                complete = self._epoch()
            except TrainingError as error:
                raise type(error)(f"{error}{self._kept()}") from error
            if not complete:
                self._checkpoint()
                return False
            self._validate()
            self._checkpoint()
        return True

    def info(self) -> RunInfo:
        """What the run is going to do."""
        training_data = self.training_data
        return RunInfo(
            recipe=training_data.recipe,
            source=training_data.data.source,
            train=len(training_data.epoch_rows),
            validation=len(training_data.validation),
            kernel=kernels.for_precision(training_data.recipe.kernel_precision).name,
            steps_per_epoch=self.steps_per_epoch,
            validation_how=training_data.validation_how,
            architecture=training_data.architecture,
            task=training_data.data.task,
            processes=self.communicator.size,
        )

    def restore(self, checkpoint: bytes, folder: Path | str) -> None:
        """Continue from a checkpoint, which was found in `folder`. Raises TrainingError for that of another run."""
        found = parse_checkpoint(checkpoint, folder, self.identity, EpochLog, self._groups(), self.optimizer)
        self.progress, groups = found
        self.best = groups["best"]
        self.network.set_state(groups["weights"])

    def state(self) -> dict[str, Array]:
        """Copies of the present weights by name; embedding rows make up for their missed steps first."""
        self.optimizer.catch_up_all()
        return self.network.state()

    def model(self, state: dict[str, Array]) -> Model:
        """A model with the weights of the network as in `state`, for a regression in the unit of the numbers."""
        training_data, data = self.training_data, self.training_data.data
        parameters, scaling = self.network.arrays(state), training_data.target_scaling
        return Model(
            training_data.architecture,
            parameters if scaling is None else scaling.fold(parameters),
            training_data.preprocessor,
            data.classes,
            precision=training_data.recipe.kernel_precision,
            task=data.task,
            label_type=data.label_type,
        )

    def _epoch(self) -> bool:
        progress, order = self.progress, self._order(self.progress.epoch)
        began, before, first = time.perf_counter(), progress.seconds, progress.step
        self._meet()
        for rows in order[first:]:
            if self._stopped:
                return False
            loss, correct = self._step(rows, progress.epoch * len(order) + progress.step, len(order))
            progress.step += 1
            progress.loss_count += len(rows)
            progress.loss_sum += loss * len(rows)
            progress.correct += correct
            elapsed = time.perf_counter() - began
            progress.seconds = before + elapsed
            self.callback.on_step_end(
                StepLog(
                    epoch=progress.epoch + 1,
                    epochs=self.epochs,
                    step=progress.step,
                    steps=len(order),
                    loss=progress.loss_sum / progress.loss_count,
                    accuracy=self._accuracy(),
                    seconds=progress.seconds,
                    eta_seconds=elapsed / (progress.step - first) * (len(order) - progress.step),
                )
            )
            if self._save:
                self._checkpoint()
            if self.communicator.size == 1:
                self._meet()  # the callback may have set it
        self._meet()
        return not self._stopped

    def _meet(self) -> None:
        """Stop where any of the processes is to stop."""
        self._stopped = bool(self.communicator.meet(self._stop.is_set()).any())

    def _order(self, epoch: int) -> list[NDArray[np.int64]]:
        """The epoch's batches, as row numbers."""
        rows, recipe = self.training_data.epoch_rows, self.training_data.recipe
        lengths = np.array([len(self.training_data.sequences[n]) for n in rows])
        rng = np.random.default_rng([self.seed, epoch])
        by_length = recipe.lstm.padding == "none"  # padded sequences are all of one length
        return [rows[batch] for batch in batches(lengths, recipe.optimisation.batch_size, rng, by_length)]

    @np.errstate(over="ignore", invalid="ignore")  # the errors below say it in one line
    def _step(self, rows: NDArray[np.int64], step: int, steps_per_epoch: int) -> tuple[float, int]:
        """One optimizer step: the batch's mean loss and its correct predictions, before the step."""
        settings, optimizer = self.training_data.recipe.optimisation, self.optimizer
        mine = balanced_part(rows, self.training_data.sequences, self.communicator)
        self.network.zero_grad()
        loss, correct = self._backward(mine, step) if len(mine) else (0.0, 0)
        save = self.folder is not None and time.perf_counter() - self._saved > CHECKPOINT_SECONDS
        own = StepSum(self.network.gradients(), loss, correct, self._stop.is_set(), save)
        gradients, loss, correct, self._stopped, self._save = self.exchange.sum(own, len(mine) / len(rows))
        self._catch_up(gradients)
        if not math.isfinite(loss):
            raise self._not_finite("loss", step, rows)
        norm = gradient_norm(gradients)
        if not math.isfinite(norm):
            raise self._not_finite("gradient", step, rows)
        rate = learning_rate_at(settings.learning_rate, settings.schedule, step, steps_per_epoch * self.epochs)
        optimizer.step(gradients, rate, clipping(norm, settings.grad_clip))
        return loss, correct

    def _catch_up(self, gradients: Gradients) -> None:
        """Bring the embedding rows that other processes have read to the present step."""
        table = gradients.get(TABLE)
        if self.communicator.size > 1 and isinstance(table, RowGradient):
            self.optimizer.catch_up(TABLE, table.rows)

    def _backward(self, rows: NDArray[np.int64], step: int) -> tuple[float, int]:
        """Add the gradient of the mean loss of these rows; that loss and the correct predictions."""
        training_data, rank = self.training_data, self.communicator.rank
        adversarial = training_data.recipe.optimisation.adversarial
        self.network.dropout.rng = np.random.default_rng([self.seed, MASKS, step, *([rank] if rank else [])])
        batch = Batch.of([training_data.sequences[n] for n in rows], training_data.architecture)
        if batch.distinct is not None:
            self.optimizer.catch_up(TABLE, self.network.with_rows(batch).distinct)
        loss_of_rows = partial(loss_of, training_data, rows=rows)
        if adversarial:
            logits, loss = adversarial_backward(self.network, batch, loss_of_rows, adversarial)
        else:
            logits, loss = self.network.backward(batch, loss_of_rows)
        return loss, correct_rows(training_data, logits, rows)

    def _accuracy(self) -> float | None:
        """Of the epoch so far; None for regression."""
        regression = self.training_data.data.task == "regression"
        return None if regression else self.progress.correct / self.progress.loss_count

    @np.errstate(over="ignore", invalid="ignore")
    def _scores(self, state: dict[str, Array]) -> Scores:
        """Of the validation part with the weights `state`. Raises TrainingError for a loss that is not finite."""
        training_data, epoch = self.training_data, self.progress.epoch
        if self.out_of_fold:
            logits = self.out_of_fold[epoch]
        else:
            mine = self.communicator.part(training_data.validation)
            logits = self.model(state).logits_of([training_data.sequences[n] for n in mine])
            logits = self.communicator.whole(logits)
            self.validation_logits.append(logits)
        scores = scores_of(training_data, logits, training_data.validation)
        if not math.isfinite(scores.loss):
            raise TrainingError(
                f"the validation loss is not finite after epoch {epoch + 1}; a lower learning rate helps"
            )
        return scores

    def _validate(self) -> None:
        progress, state = self.progress, self.state()
        self.communicator.check_same(state, f"after epoch {progress.epoch + 1}")
        loss, accuracy, rmse = self._scores(state)
        # By loss, not by accuracy: over 5,000 rows the accuracy's standard error is as large as an epoch's difference.
        best = loss < min((row.val_loss for row in progress.history), default=math.inf)
        if best:
            self.best, progress.best_epoch = state, progress.epoch + 1
        row = EpochLog(
            epoch=progress.epoch + 1,
            loss=progress.loss_sum / progress.loss_count,
            accuracy=self._accuracy(),
            val_loss=loss,
            val_accuracy=accuracy,
            seconds=progress.seconds,
            best=best,
            val_rmse=rmse,
        )
        progress.history.append(row)
        progress.epoch += 1
        progress.step = progress.loss_count = progress.correct = 0
        progress.loss_sum = progress.seconds = 0.0
        self.callback.on_epoch_end(row)

    def _out_of_patience(self) -> bool:
        patience, progress = self.training_data.recipe.validation.patience, self.progress
        return patience > 0 and progress.epoch - progress.best_epoch >= patience

    def _groups(self) -> Groups:
        return {"weights": self.state(), "best": self.best}

    def _checkpoint(self) -> None:
        if self.folder is not None:
            write_checkpoint(self.folder, self.identity, self.progress, self._groups(), self.optimizer)
            self._saved = time.perf_counter()

    def _not_finite(self, what: str, step: int, rows: NDArray[np.int64]) -> TrainingError:
        shown = ", ".join(str(n) for n in rows[:8]) + (", ..." if len(rows) > 8 else "")
        return TrainingError(f"the {what} is not finite at step {step + 1}, rows {shown}")

    def _kept(self) -> str:
        """Write a checkpoint of the weights before a failed step, which has changed nothing: what the error adds."""
        if self.folder is None:
            return ""
        try:
            self._checkpoint()
        except InputError:  # weights or moments that are not finite either; an earlier checkpoint stays
            return ""
        return f"; {self.folder} holds the weights before it"
