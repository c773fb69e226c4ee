"""The loop: batches, loss, gradients, Adam; the best epoch kept; a checkpoint after each.

Everything that it draws at random comes from the seed: the order of an epoch from (seed, epoch), dropout from torch's
generator, whose state is in the checkpoint. Validation runs on the kernel and NumPy, as prediction will.
"""

from __future__ import annotations

import math
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise import kernels
from gatewise.data import batches
from gatewise.errors import TrainingError
from gatewise.metrics.evaluation import log_probabilities, scores
from gatewise.model.model import Model
from gatewise.network.batch import Batch
from gatewise.nn import Network
from gatewise.training.adversarial import adversarial_backward
from gatewise.training.callback import Callback, EpochLog, RunInfo, StepLog
from gatewise.training.checkpoint import Progress, read_checkpoint, write_checkpoint
from gatewise.training.rates import groups, learning_rate_at
from gatewise.training.soft import soft_loss
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

__all__ = ["Loop"]


class Loop:
    """One training run. `run()` goes from wherever `progress` is to the end, or to the first Ctrl-C after a step."""

    def __init__(
        self,
        training_data: TrainingData,
        network: Network,
        seed: int,
        callback: Callback,
        folder: Path | None,
        identity: str,
    ) -> None:
        recipe = training_data.recipe
        self.training_data, self.network, self.seed, self.callback = training_data, network, seed, callback
        self.folder, self.identity = folder, identity
        self.progress = Progress()
        self._random = torch.get_rng_state()
        self.best = network.state()
        batches = -(-len(training_data.rows) // recipe.batch_size)
        self.epochs = max(recipe.epochs, -(-recipe.min_steps // batches))
        self.optimizer = torch.optim.Adam(
            groups(network, recipe),
            lr=recipe.learning_rate,
            betas=(recipe.beta_1, recipe.beta_2),
            eps=recipe.epsilon,
            fused=True,
        )

    def run(self, stop: threading.Event) -> bool:
        """Train; True when it came to its end, False when `stop` was set."""
        progress = self.progress
        while progress.epoch < self.epochs and not self._out_of_patience():
            try:
                complete = self._epoch(stop)
            except TrainingError:
                torch.set_rng_state(self._random)  # as before the step that failed, which has changed nothing else
                self._checkpoint()
                raise
            if not complete:
                self._checkpoint()
                return False
            self._validate()
            self._checkpoint()
        return True

    def plan(self) -> RunInfo:
        """What the run is going to do, for whoever watches it."""
        training_data = self.training_data
        return RunInfo(
            recipe=training_data.recipe,
            architecture=training_data.architecture,
            train=len(training_data.rows),
            validation=len(training_data.validation),
            batches=-(-len(training_data.rows) // training_data.recipe.batch_size),
            source=training_data.data.source,
            validation_how=training_data.validation_how,
            kernel=kernels.for_precision(training_data.recipe.kernel_precision).name,
        )

    def restore(self, folder: Path) -> None:
        """Go on from the checkpoint in `folder`. Raises TrainingError where it is of another run."""
        found = read_checkpoint(folder, self.identity, self.network.state(), self.best, self.optimizer)
        self.progress, weights, self.best = found
        self.network.set_state(weights)

    def _epoch(self, stop: threading.Event) -> bool:
        progress = self.progress
        order = self._order(progress.epoch)
        start = time.perf_counter() - progress.seconds
        done_before = progress.batch
        began = time.perf_counter()
        self.network.train()
        for rows in order[progress.batch :]:
            if stop.is_set():
                return False
            loss, right = self._step(rows, progress.epoch * len(order) + progress.batch, len(order))
            progress.batch += 1
            progress.seen += len(rows)
            progress.loss_sum += loss * len(rows)
            progress.right += right
            progress.seconds = time.perf_counter() - start
            pace = (time.perf_counter() - began) / (progress.batch - done_before)
            self.callback.stepped(
                StepLog(
                    epoch=progress.epoch + 1,
                    epochs=self.epochs,
                    batch=progress.batch,
                    batches=len(order),
                    loss=progress.loss_sum / progress.seen,
                    accuracy=progress.right / progress.seen,
                    seconds=progress.seconds,
                    eta_seconds=pace * (len(order) - progress.batch),
                )
            )
        return not stop.is_set()

    def _order(self, epoch: int) -> list[NDArray[np.int64]]:
        """The epoch's batches, as row numbers of the data."""
        train, recipe = self.training_data.rows, self.training_data.recipe
        lengths = np.array([len(self.training_data.sequences[n]) for n in train])
        rng = np.random.default_rng([self.seed, epoch])
        return [train[rows] for rows in batches(lengths, recipe.batch_size, rng, recipe.bucket_by_length)]

    def _step(self, rows: NDArray[np.int64], step: int, steps_an_epoch: int) -> tuple[float, int]:
        """One batch: its mean loss, and how many it had right before it learned from them."""
        training_data, recipe = self.training_data, self.training_data.recipe
        self._random = torch.get_rng_state()
        batch = Batch.of([training_data.sequences[n] for n in rows], training_data.architecture)
        self.network.zero_grad()
        logits, loss = self._backward(batch, rows)
        if not math.isfinite(loss):
            raise self._not_finite("loss", step, rows)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.grad_clip or math.inf)
        if not bool(torch.isfinite(norm)):
            raise self._not_finite("gradient", step, rows)
        for group in self.optimizer.param_groups:
            rate = learning_rate_at(recipe.learning_rate, recipe.schedule, step, steps_an_epoch * self.epochs)
            group["lr"] = rate * group["share"]
            # Keras adds epsilon to sqrt(v) before the bias is corrected ("epsilon hat" in Kingma & Ba 2015), torch
            # after it. In the tutorial's first hundred steps half of the embedding's gradients are below epsilon.
            group["eps"] = recipe.epsilon / math.sqrt(1 - recipe.beta_2 ** (step + 1))
        self.optimizer.step()
        return loss, _right(logits, torch.from_numpy(training_data.labels[rows]))

    def _backward(self, batch: Batch, rows: NDArray[np.int64]) -> tuple[Tensor, float]:
        """Gradients of a batch's loss; its logits, and the loss where nothing moves against the network."""
        share, loss_of = self.training_data.recipe.adversarial, partial(self._loss, rows=rows)
        if share:
            logits, loss = adversarial_backward(self.network, batch, loss_of, share)
        else:
            logits = self.network(batch)
            loss = loss_of(logits)
            loss.backward()  # type: ignore[no-untyped-call]
        return logits.detach(), float(loss.detach())

    def _loss(self, logits: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Mean cross-entropy of logits (B, 1) or (B, K): with the labels, or where there are any with soft targets."""
        soft = self.training_data.soft
        if soft is not None:
            return soft_loss(logits, torch.from_numpy(soft.targets[rows]), torch.from_numpy(soft.weights[rows]))
        target = torch.from_numpy(self.training_data.labels[rows])
        if logits.shape[1] == 1:
            return torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target.to(logits.dtype))
        return torch.nn.functional.cross_entropy(logits, target)

    def _validate(self) -> None:
        progress = self.progress
        training_data = self.training_data
        state = self.network.state()
        logits = self.model(state).logits_of([training_data.sequences[n] for n in training_data.validation])
        accuracy, loss = scores(log_probabilities(logits), training_data.labels[training_data.validation])
        # By loss, not by accuracy: over 5,000 rows the accuracy's standard error is as large as an epoch's difference.
        best = loss < min((row.val_loss for row in progress.history), default=math.inf)
        if best:
            self.best, progress.best_epoch = state, progress.epoch + 1
        row = EpochLog(
            epoch=progress.epoch + 1,
            loss=progress.loss_sum / progress.seen,
            accuracy=progress.right / progress.seen,
            val_loss=loss,
            val_accuracy=accuracy,
            seconds=progress.seconds,
            best=best,
        )
        progress.history.append(row)
        progress.epoch += 1
        progress.batch = progress.seen = progress.right = 0
        progress.loss_sum = progress.seconds = 0.0
        self.callback.epoch_ended(row)

    def model(self, state: dict[str, Array]) -> Model:
        """A model with the network's weights as in `state`."""
        training_data = self.training_data
        return Model(
            training_data.architecture,
            self.network.arrays(state),
            training_data.preprocessor,
            training_data.data.classes,
            precision=training_data.recipe.kernel_precision,
        )

    def _out_of_patience(self) -> bool:
        patience, progress = self.training_data.recipe.patience, self.progress
        return patience > 0 and progress.epoch - progress.best_epoch >= patience

    def _checkpoint(self) -> None:
        if self.folder is not None:
            state = self.network.state()
            write_checkpoint(self.folder, self.identity, self.progress, state, self.best, self.optimizer)

    def _not_finite(self, what: str, step: int, rows: NDArray[np.int64]) -> TrainingError:
        shown = ", ".join(str(n) for n in rows[:8]) + (", ..." if len(rows) > 8 else "")
        kept = f"; {self.folder} holds the weights before it" if self.folder is not None else ""
        return TrainingError(f"the {what} is not finite at step {step + 1}, rows {shown}{kept}")


def _right(logits: Tensor, target: Tensor) -> int:
    predicted = (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)
    return int((predicted == target).sum())
