"""`LabelledLoop`: the training of a network on labelled sequences, of any form of network.

    classification   cross-entropy of the softmax; with two classes binary cross-entropy of the one logit
    with transitions the cross-entropy of the labels of whole sequences (`gatewise.target.crf`), per step
    multi-label      binary cross-entropy of each label, the mean over the labels
    regression       squared error of the standardised numbers, the mean over the numbers

Each row, or each label of a row, counts with its weight; the loss of a batch is the mean over its rows.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.batching import batches
from gatewise.errors import TrainingError
from gatewise.network.architecture import TRANSITIONS, Architecture
from gatewise.network.trainable import BatchLoss, Trainable
from gatewise.ragged import flat, rows_per_input
from gatewise.target import StepTarget
from gatewise.target.crf import NAMES, Transitions, sequence_losses
from gatewise.training.callback import EpochLog, RunInfo
from gatewise.training.loop import Loop, StepBatch
from gatewise.training.network_data import NetworkData
from gatewise.training.optim import Adam, one_cycle
from gatewise.types import Array

ANNEALED = 0.8  # of the epochs of a cross-validation; the best one is among those that follow


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledBatch(StepBatch):
    """Labelled rows. own_rows: those of `rows` that this process takes."""

    own_rows: NDArray[np.int64]


class LabelledLoop(Loop[LabelledBatch]):
    """A subclass says how its network computes a batch and the validation set.

    out_of_fold: logits (n, outputs) of all rows after each epoch, from the networks of a cross-validation. The scores
    are those of these logits, where there are any, else those of the network's own. options: of `Loop`.
    """

    def __init__(
        self,
        training_data: NetworkData,
        network: Trainable,
        seed: int,
        out_of_fold: Sequence[Array] = (),
        **options: Any,
    ) -> None:
        super().__init__(network, **options)
        recipe = training_data.recipe
        settings = recipe.optimisation
        self.training_data = training_data
        self.seed = seed
        self.out_of_fold = out_of_fold
        self.steps_per_epoch = math.ceil(len(training_data.epoch_rows) / settings.batch_size)
        self.interval = self.steps_per_epoch
        epochs = max(settings.epochs, math.ceil(settings.min_steps / self.steps_per_epoch))
        self.steps = epochs * self.steps_per_epoch
        self.grad_clip = settings.grad_clip
        self.patience = recipe.validation.patience
        self.has_accuracy = training_data.target.each.has_probabilities
        self.best = network.state()
        self.validation_logits: list[Array] = []  # (validation rows, outputs) after each epoch of this process
        self._epoch = -1
        self._batches: list[NDArray[np.int64]] = []  # of this epoch
        self.optimizer = Adam(
            network.parameters,
            network.tables,
            beta_2=settings.beta_2,
            epsilon=1e-7,  # as in Keras
            keras=True,
            lr_scale=dict.fromkeys(network.tables, settings.embedding_lr_scale),
        )

    def transitions(self, parameters: Mapping[str, Array]) -> Transitions | None:
        """The transitions among the parameters of a network with a conditional random field; None without one."""
        if TRANSITIONS + NAMES[0] not in parameters:
            return None
        return Transitions.of(parameters, TRANSITIONS)

    @abstractmethod
    def layers(self) -> list[tuple[str, str, int]]:
        """Name, output shape and number of parameters of each layer of the network."""

    @property
    def architecture(self) -> Architecture | None:
        """Of an LSTM; None for a network of another form."""
        return None

    def info(self) -> RunInfo:
        training_data = self.training_data
        return RunInfo(
            recipe=training_data.recipe,
            source=training_data.source,
            train=len(training_data.epoch_rows),
            validation=len(training_data.validation),
            kernel=training_data.recipe.kernel().name,
            steps_per_epoch=self.steps_per_epoch,
            validation_how=training_data.validation_how,
            architecture=self.architecture,
            layers=tuple(self.layers()),
            task=training_data.target.task,
            has_accuracy=self.has_accuracy,
        )

    def learning_rate(self, step: int) -> float:
        settings = self.training_data.recipe.optimisation
        if settings.schedule == "constant":
            return settings.learning_rate
        return one_cycle(settings.learning_rate, step, self.steps, self.steps // 5)

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of an epoch, as row numbers."""
        rows = self.training_data.epoch_rows
        recipe = self.training_data.recipe
        lengths = np.array([len(self.training_data.sequences[n]) for n in rows])
        rng = np.random.default_rng([self.seed, epoch])
        by_length = recipe.lstm.padding == "none"  # padded sequences are all of one length
        return [rows[batch] for batch in batches(lengths, recipe.optimisation.batch_size, rng, by_length)]

    def batch(self, step: int) -> LabelledBatch:
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._batches = self.batches(epoch)
        rows = self._batches[place]
        own_rows = self._own_rows(rows)
        labels = self.training_data.labels
        n = int(rows_per_input(labels[rows]).sum())
        own_n = int(rows_per_input(labels[own_rows]).sum())
        return LabelledBatch(step=step, n=n, share=own_n / n, rows=rows, own_rows=own_rows)

    def _own_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of a batch that this process takes. They are dealt out by length, back and forth, so that no process
        computes much longer than the others, which wait for it.
        """
        size = self.communicator.size
        if size == 1:
            return rows
        lengths = np.array([len(self.training_data.sequences[n]) for n in rows])
        place = np.arange(len(rows)) % (2 * size)
        owner = np.minimum(place, 2 * size - 1 - place)
        longest_first = np.argsort(-lengths, kind="stable")
        own_rows: NDArray[np.int64] = rows[longest_first[owner == self.communicator.rank]]
        return own_rows

    def score(self, outputs: Array, state: dict[str, Array]) -> EpochLog:
        progress = self.progress
        epoch = len(progress.history) + 1
        logits = outputs
        if self.out_of_fold:
            logits = self.out_of_fold[epoch - 1]
        self.validation_logits.append(logits)
        data = self.training_data
        loss, accuracy, rmse = scores_of(data, logits, data.validation, self.transitions(state))
        if not math.isfinite(loss):
            raise TrainingError(f"the validation loss is not finite after epoch {epoch}; a lower learning rate helps")
        best = loss < min((row.val_loss for row in self._rivals(epoch)), default=math.inf)
        if best:
            self.best = state
        return EpochLog(
            epoch=epoch,
            loss=progress.loss,
            accuracy=progress.accuracy if self.has_accuracy else None,
            val_loss=loss,
            val_accuracy=accuracy,
            seconds=progress.seconds,
            best=best,
            val_rmse=rmse,
        )

    def _rivals(self, epoch: int) -> list[EpochLog]:
        """The earlier epochs that this one must be better than, to be the best: by loss, not by accuracy, as over 5,000
        rows the standard error of the accuracy is as large as the difference of two epochs.
        """
        history = self.progress.history
        # The loss of a cross-validation is that of other networks, which agree where the learning rate is low.
        annealed = int(ANNEALED * len(self.out_of_fold))
        if epoch > annealed:
            return history[annealed:]
        return history

    @abstractmethod
    def parameters(self, state: dict[str, Array]) -> dict[str, Array]:
        """The parameters of the network with the weights `state`, for a regression in the unit of the numbers."""


def _losses(data: NetworkData, logits: Array, rows: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """Losses, their gradients and their weights, of logits (n, outputs) of these rows: see `Target.loss`. The weights
    are (n, 1), of multi-label rows with class weights (n, K).
    """
    targets = data.targets(rows)
    losses, gradient = targets.loss(logits.astype(np.float64), targets.values)
    return losses, gradient, targets.weight.reshape(len(losses), -1)


def mean_loss(
    data: NetworkData, logits: Array, rows: NDArray[np.int64], transitions: Transitions | None = None
) -> BatchLoss:
    """The mean loss of logits (B, outputs) of these rows, and its gradient (B, outputs) in float64. transitions: of a
    network with a conditional random field, whose loss is that of whole sequences, divided by the number of steps.
    """
    if transitions is not None:
        return sequence_loss(data, logits, rows, transitions)
    losses, gradient, weight = _losses(data, logits, rows)
    value = float((weight * losses).mean())
    return BatchLoss(value, weight * gradient / losses.size, correct_rows(data, logits, rows))


def sequence_loss(data: NetworkData, logits: Array, rows: NDArray[np.int64], transitions: Transitions) -> BatchLoss:
    """`mean_loss` of a conditional random field. A sequence counts with the mean weight of its steps. A step is correct
    where its label has the largest marginal.
    """
    labels: Any = data.labels[rows]
    target = step_target(data, transitions)
    weight_of_step = data.targets(rows).weight
    n = len(weight_of_step)
    sums = np.zeros(len(labels))
    np.add.at(sums, np.repeat(np.arange(len(labels)), labels.lengths), weight_of_step)
    weight = sums / np.maximum(labels.lengths, 1) / n
    result = sequence_losses(target.emissions(labels.with_values(logits)), labels.values, transitions, weight)
    gradient = result.emissions
    if logits.shape[1] == 1:  # the logit of class 1 against class 0
        gradient = gradient[:, 1:]
    of_parameters = {TRANSITIONS + name: array for name, array in result.transitions.items()}
    correct = int((result.marginals.argmax(axis=1) == labels.values).sum())
    return BatchLoss(float(weight @ result.losses), gradient, correct, of_parameters)


def step_target(data: NetworkData, transitions: Transitions | None) -> StepTarget:
    """The target of data with a label per step, with transitions."""
    target = data.target.with_transitions(transitions)
    assert isinstance(target, StepTarget)
    return target


def correct_rows(
    data: NetworkData, logits: Array, rows: NDArray[np.int64], transitions: Transitions | None = None
) -> int:
    """How many rows, or steps, are predicted correctly, in all their labels; 0 for numbers."""
    labels: Any = data.labels[rows]
    if transitions is not None:
        predicted = step_target(data, transitions).decided(labels.with_values(logits))
        return int((predicted == labels.values).sum())
    correct = data.target.each.correct(logits, flat(labels))
    if correct is None:
        return 0
    return int(correct.sum())


def scores_of(
    data: NetworkData, logits: Array, rows: NDArray[np.int64], transitions: Transitions | None = None
) -> tuple[float, float | None, float | None]:
    """Loss, accuracy and RMSE of a model's logits (n, outputs) on these rows.

    The loss is what training minimises, a weighted mean where rows have weights. The accuracy is None for regression,
    for multi-label the subset accuracy. The RMSE, of regression alone, has the unit of the numbers. transitions: see
    `mean_loss`.
    """
    if transitions is not None:
        loss = sequence_loss(data, logits, rows, transitions).value
        return loss, correct_rows(data, logits, rows, transitions) / len(logits), None
    scaling = data.target_scaling
    standardised = logits
    if scaling is not None:
        standardised = scaling.transform(logits)
    losses, _, weight = _losses(data, standardised, rows)
    loss = float(np.average(losses, weights=np.broadcast_to(weight, losses.shape)))
    if scaling is not None:
        return loss, None, float(np.square(logits - data.labels[rows]).mean() ** 0.5)
    return loss, correct_rows(data, logits, rows) / len(logits), None
