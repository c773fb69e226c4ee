"""What a network learns from labelled sequences: the batches of an epoch, the loss by task, validation scores.

    classification   cross-entropy of the softmax; with two classes binary cross-entropy of the one logit
    multi-label      binary cross-entropy of each label, the mean over the labels
    regression       squared error of the standardised numbers, the mean over the numbers

Each row, or each label of a row, counts with its weight; the loss of a batch is the mean over its rows.

Adversarial training (Miyato et al. 2017, eq. 2): the network must also be right on perturbed inputs. The inputs x
(T, D) of a sequence, embeddings or channels, move along the gradient of the loss L by `epsilon` times their own norm,
and both losses count half:

    r = epsilon ‖x‖ g / ‖g‖,  g = ∂L/∂x        (L(x) + L(x + r)) / 2,  r held constant

Every step is perturbed by itself: a word can move one way here and another way there. So the input product runs over
all steps instead of the distinct words, and a training step takes some 2.5 times as long. The paper fixes ‖r‖ and
normalises the embeddings to variance 1; a perturbation relative to the norm needs no normalisation, and larger
embeddings do not evade it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.batching import batches
from gatewise.errors import TrainingError
from gatewise.kernels.pooling import segment_reduce
from gatewise.network.autograd import Variable
from gatewise.network.batch import Batch, unique_tokens
from gatewise.network.forward import forward, in_batches
from gatewise.network.ops import Ops, array_of
from gatewise.network.trainable import TABLE, BatchLoss, LossOf, Network
from gatewise.ragged import flat, rows_per_input
from gatewise.training.callback import EpochLog, RunInfo
from gatewise.training.loop import Loop, StepBatch, StepResult
from gatewise.training.network_data import NetworkData
from gatewise.training.optim import Adam, one_cycle
from gatewise.types import Array

ANNEALED = 0.8  # of the epochs of a cross-validation; the best one is among those that follow
MASKS = 0xD50  # separates the draws of the masks from others with the same seed


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledBatch(StepBatch):
    """Labelled rows. own_rows: those of `rows` that this process takes."""

    own_rows: NDArray[np.int64]


class SupervisedLoop(Loop[LabelledBatch]):
    """Training of a network on labelled sequences.

    out_of_fold: logits (n, outputs) of all rows after each epoch, from the networks of a cross-validation. The scores
    are those of these logits, where there are any, else those of the network's own. options: of `Loop`.
    """

    network: Network

    def __init__(
        self,
        training_data: NetworkData,
        network: Network,
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
            frozenset({TABLE}) & network.parameters.keys(),
            beta_2=settings.beta_2,
            epsilon=1e-7,  # as in Keras
            keras=True,
            lr_scale={TABLE: settings.embedding_lr_scale},
        )

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
            architecture=training_data.architecture,
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

    def forward_backward(self, batch: LabelledBatch) -> StepResult:
        data = self.training_data
        network = self.network
        network.zero_grad()
        if not len(batch.own_rows):  # the last batch of an epoch can have fewer rows than there are processes
            return StepResult(network.gradients(), loss=0.0)
        network.dropout.rng = self._mask_generator(batch.step)
        inputs = Batch.of([data.sequences[n] for n in batch.own_rows], data.architecture)
        self._catch_up(inputs)
        loss_of = partial(mean_loss, data, rows=batch.own_rows)
        epsilon = data.recipe.optimisation.adversarial
        if epsilon:
            logits, loss = adversarial_backward(network, inputs, loss_of, epsilon)
            return StepResult(network.gradients(), loss, correct_rows(data, logits, batch.own_rows))
        predictions = network.forward(inputs)
        losses = predictions.losses(loss_of)
        predictions.backward(losses)
        correct = correct_rows(data, predictions.logits, batch.own_rows)
        return StepResult(network.gradients(), losses[0].value, correct)

    def _mask_generator(self, step: int) -> np.random.Generator:
        """The generator of the dropout masks of a step. Each process has its own, as each has other rows."""
        seed = [self.seed, MASKS, step]
        if self.communicator.rank:
            seed.append(self.communicator.rank)
        return np.random.default_rng(seed)

    def _catch_up(self, inputs: Batch) -> None:
        """Bring the embedding rows of the batch to the present step: Adam moves a row only when it is read."""
        if inputs.distinct is not None:
            self.optimizer.catch_up(TABLE, self.network.with_rows(inputs).distinct)

    def outputs(self, state: dict[str, Array], rows: Callable[[Array], Array], last: bool) -> Array:
        data = self.training_data
        ops = Ops(data.recipe.kernel())
        validation = data.validation
        if self.out_of_fold:  # `score` reads those logits
            validation = validation[:0]
        sequences = [data.sequences[n] for n in rows(validation)]
        return in_batches(forward, self.parameters(state), data.architecture, sequences, ops)

    def score(self, outputs: Array, state: dict[str, Array]) -> EpochLog:
        progress = self.progress
        epoch = len(progress.history) + 1
        logits = outputs
        if self.out_of_fold:
            logits = self.out_of_fold[epoch - 1]
        self.validation_logits.append(logits)
        loss, accuracy, rmse = scores_of(self.training_data, logits, self.training_data.validation)
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

    def parameters(self, state: dict[str, Array]) -> dict[str, Array]:
        """The parameters of the network with the weights `state`, for a regression in the unit of the numbers."""
        parameters = self.network.arrays(state)
        scaling = self.training_data.target_scaling
        if scaling is None:
            return parameters
        return scaling.fold(parameters)


def network_of(data: NetworkData, parameters: Mapping[str, Array]) -> Network:
    """The network of the recipe, with these parameters by name."""
    recipe = data.recipe
    # Of an embedding, the rows of the tokens that occur in training, and of PAD, are trained.
    rows = None
    if data.architecture.embedding_dim:
        tokens = np.concatenate([data.sequences[n] for n in data.epoch_rows])
        rows = unique_tokens(tokens, data.architecture.vocab_size, with_pad=True)[0]
    dropout = {
        "word": recipe.lstm.dropout_word,
        "embedding": recipe.lstm.dropout_embedding,
        "output": recipe.lstm.dropout_output,
        "noise": recipe.series.noise,
    }
    return Network(
        data.architecture,
        parameters,
        trainable_rows=rows,
        dropout=dropout,
        direction_loss=recipe.optimisation.direction_loss,
        kernel=recipe.kernel(),
    )


def _losses(data: NetworkData, logits: Array, rows: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """Losses, their gradients and their weights, of logits (n, outputs) of these rows: see `Target.loss`. The weights
    are (n, 1), of multi-label rows with class weights (n, K).
    """
    targets = data.targets(rows)
    losses, gradient = targets.loss(logits.astype(np.float64), targets.values)
    return losses, gradient, targets.weight.reshape(len(losses), -1)


def mean_loss(data: NetworkData, logits: Array, rows: NDArray[np.int64]) -> BatchLoss:
    """The mean loss of logits (B, outputs) of these rows, and its gradient (B, outputs) in float64."""
    losses, gradient, weight = _losses(data, logits, rows)
    return BatchLoss(float((weight * losses).mean()), weight * gradient / losses.size)


def correct_rows(data: NetworkData, logits: Array, rows: NDArray[np.int64]) -> int:
    """How many rows, or steps, are predicted correctly, in all their labels; 0 for numbers."""
    correct = data.target.each.correct(logits, flat(data.labels[rows]))
    if correct is None:
        return 0
    return int(correct.sum())


def scores_of(data: NetworkData, logits: Array, rows: NDArray[np.int64]) -> tuple[float, float | None, float | None]:
    """Loss, accuracy and RMSE of a model's logits (n, outputs) on these rows.

    The loss is what training minimises, a weighted mean where rows have weights. The accuracy is None for regression,
    for multi-label the subset accuracy. The RMSE, of regression alone, has the unit of the numbers.
    """
    scaling = data.target_scaling
    standardised = logits
    if scaling is not None:
        standardised = scaling.transform(logits)
    losses, _, weight = _losses(data, standardised, rows)
    loss = float(np.average(losses, weights=np.broadcast_to(weight, losses.shape)))
    if scaling is not None:
        return loss, None, float(np.square(logits - data.labels[rows]).mean() ** 0.5)
    return loss, correct_rows(data, logits, rows) / len(logits), None


def adversarial_backward(network: Network, batch: Batch, loss_of: LossOf, epsilon: float) -> tuple[Array, float]:
    """Add the gradient of the mean of both losses to the network's; return logits (B, outputs) and loss of the
    unperturbed inputs.
    """
    ops = network.ops()
    x = network.inputs(ops, batch)
    if batch.index is not None:  # (N, D); recorded once, for both losses
        x = ops.take(x, batch.index.astype(np.int64))
        batch = replace(batch, index=None)

    plain_inputs = Variable(array_of(x))
    predictions = network.forward(batch, plain_inputs)
    losses = predictions.losses(loss_of)
    predictions.backward(losses, weight=0.5)

    perturbed_inputs = Variable(perturb(plain_inputs.value, plain_inputs.grad_or_zeros(), batch.lengths, epsilon))
    perturbed_predictions = network.forward(batch, perturbed_inputs)
    perturbed_predictions.backward(perturbed_predictions.losses(loss_of), weight=0.5)

    if isinstance(x, Variable):  # the embedding; channels are data
        for inputs in (plain_inputs, perturbed_inputs):
            x.accumulate(inputs.grad_or_zeros())
        ops.backward()
    return predictions.logits, losses[0].value


def perturb(x: Array, gradient: Array, lengths: NDArray[np.int64], epsilon: float) -> Array:
    """x + r (N, D) of the module's docstring, per sequence; r is 0 where the gradient (N, D) is."""
    norm = _norms(x, lengths)  # (B, 1)
    gradient_norm = _norms(gradient, lengths)
    scale = np.divide(epsilon * norm, gradient_norm, out=np.zeros_like(norm), where=gradient_norm > 0)
    perturbed: Array = gradient * np.repeat(scale, lengths, axis=0)
    perturbed += x
    return perturbed


def _norms(values: Array, lengths: NDArray[np.int64]) -> Array:
    """Norm (B, 1) of each sequence's rows of (N, D), as one vector."""
    squares = np.einsum("nd,nd->n", values, values)[:, None]
    return np.asarray(np.sqrt(segment_reduce(squares, lengths, "sum")))
