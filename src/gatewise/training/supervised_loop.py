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
from dataclasses import replace
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
from gatewise.network.trainable import TABLE, LossOf, Network
from gatewise.ragged import flat, rows_per_input
from gatewise.training.callback import EpochLog, RunInfo
from gatewise.training.loop import Loop, Result
from gatewise.training.network_data import NetworkData
from gatewise.training.optim import Adam, one_cycle
from gatewise.types import Array

ANNEALED = 0.8  # of the epochs of a cross-validation; the best one is among those that follow
MASKS = 0xD50  # separates the draws of the masks from others with the same seed


class SupervisedLoop(Loop):
    """Training of a network on labelled sequences.

    out_of_fold: logits (n, outputs) of all rows after each epoch, from the networks of a cross-validation: what the
    scores are then for, in place of the network's own logits. options: of `Loop`.
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
        self.steps_per_epoch = self.interval = -(-len(training_data.epoch_rows) // settings.batch_size)
        self.steps = max(settings.epochs, -(-settings.min_steps // self.interval)) * self.interval
        self.grad_clip = settings.grad_clip
        self.patience = recipe.validation.patience
        self.has_accuracy = training_data.target.has_probabilities
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

    def part(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of the batch of a step, and those of this process among them. They are dealt out by length, back and
        forth, so that no process computes much longer than the others, which wait for it.
        """
        epoch, at = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._batches = self.batches(epoch)
        rows = self._batches[at]
        size = self.communicator.size
        if size == 1:
            return rows, rows
        lengths = np.array([len(self.training_data.sequences[n]) for n in rows])
        place = np.arange(len(rows)) % (2 * size)
        owner = np.minimum(place, 2 * size - 1 - place)
        return rows, rows[np.argsort(-lengths, kind="stable")[owner == self.communicator.rank]]

    def backward(self, step: int) -> Result:
        data, network, (rows, mine) = self.training_data, self.network, self.part(step)
        rank = self.communicator.rank
        network.dropout.rng = np.random.default_rng([self.seed, MASKS, step, *([rank] if rank else [])])
        network.zero_grad()
        n = rows_per_input(data.labels[rows]).sum()
        if not len(mine):
            return Result(network.gradients(), 0.0, 0.0, rows=rows, n=int(n))
        batch = Batch.of([data.sequences[n] for n in mine], data.architecture)
        if batch.distinct is not None:
            self.optimizer.catch_up(TABLE, network.with_rows(batch).distinct)
        loss_of_rows, epsilon = partial(loss_of, data, rows=mine), data.recipe.optimisation.adversarial
        if epsilon:
            logits, loss = adversarial_backward(network, batch, loss_of_rows, epsilon)
        else:
            logits, loss = network.backward(batch, loss_of_rows)
        correct = correct_rows(data, logits, mine)
        return Result(network.gradients(), loss, len(logits) / n, correct, rows=rows, n=int(n))

    def outputs(self, state: dict[str, Array], rows: Callable[[Array], Array], last: bool) -> Array:
        data = self.training_data
        ops = Ops(data.recipe.kernel())
        sequences = [data.sequences[n] for n in rows(data.validation[: 0 if self.out_of_fold else None])]
        return in_batches(forward, self.parameters(state), data.architecture, sequences, ops)

    def score(self, outputs: Array, state: dict[str, Array]) -> EpochLog:
        progress = self.progress
        epoch = len(progress.history) + 1
        logits = self.out_of_fold[epoch - 1] if self.out_of_fold else outputs
        self.validation_logits.append(logits)
        loss, accuracy, rmse = scores_of(self.training_data, logits, self.training_data.validation)
        if not math.isfinite(loss):
            raise TrainingError(f"the validation loss is not finite after epoch {epoch}; a lower learning rate helps")
        # By loss, not by accuracy: over 5,000 rows the accuracy's standard error is as large as an epoch's difference.
        # The loss of a cross-validation is that of other networks, which agree where the learning rate is low.
        first = int(ANNEALED * len(self.out_of_fold))
        rivals = progress.history[first if epoch > first else 0 :]
        best = loss < min((row.val_loss for row in rivals), default=math.inf)
        if best:
            self.best = state
        return EpochLog(
            epoch=epoch,
            loss=progress.loss,
            accuracy=progress.correct / progress.loss_count if self.has_accuracy else None,
            val_loss=loss,
            val_accuracy=accuracy,
            seconds=progress.seconds,
            best=best,
            val_rmse=rmse,
        )

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
    rows = None  # of the embedding, that occur in training, and PAD
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
    losses, gradient = data.target.loss(logits.astype(np.float64), data.targets(rows))
    weight = np.ones(len(losses)) if data.weights is None else flat(data.weights[rows]).astype(np.float64)
    return losses, gradient, weight.reshape(len(losses), -1)


def loss_of(data: NetworkData, logits: Array, rows: NDArray[np.int64]) -> tuple[float, Array]:
    """The mean loss of logits (B, outputs) of these rows, and its gradient (B, outputs) in float64."""
    losses, gradient, weight = _losses(data, logits, rows)
    return float((weight * losses).mean()), weight * gradient / losses.size


def correct_rows(data: NetworkData, logits: Array, rows: NDArray[np.int64]) -> int:
    """How many rows, or steps, are predicted correctly, in all their labels; 0 for numbers."""
    correct = data.target.correct(logits, flat(data.labels[rows]))
    return 0 if correct is None else int(correct.sum())


def scores_of(data: NetworkData, logits: Array, rows: NDArray[np.int64]) -> tuple[float, float | None, float | None]:
    """Loss, accuracy and RMSE of a model's logits (n, outputs) on these rows.

    The loss is what training minimises, a weighted mean where rows have weights. The accuracy is None for regression,
    for multi-label the subset accuracy. The RMSE, of regression alone, has the unit of the numbers.
    """
    scaling = data.target_scaling
    losses, _, weight = _losses(data, logits if scaling is None else scaling.transform(logits), rows)
    loss = float(np.average(losses, weights=np.broadcast_to(weight, losses.shape)))
    if scaling is not None:
        return loss, None, float(np.square(logits - data.labels[rows]).mean() ** 0.5)
    return loss, correct_rows(data, logits, rows) / len(logits), None


def adversarial_backward(network: Network, batch: Batch, loss_of: LossOf, epsilon: float) -> tuple[Array, float]:
    """Add the gradient of the mean of both losses to the network's; return logits (B, outputs) and loss of the
    unperturbed inputs. loss_of: the loss of logits (B, outputs) and its gradient.
    """

    def half(logits: Array) -> tuple[float, Array]:
        loss, gradient = loss_of(logits)
        return loss, gradient / 2

    ops = network.ops()
    x = network.inputs(ops, batch)
    if batch.index is not None:  # (N, D); recorded once, for both losses
        x = ops.take(x, batch.index.astype(np.int64))
        batch = replace(batch, index=None)
    plain = Variable(array_of(x))
    logits, loss = network.backward(batch, half, plain)
    perturbed = Variable(perturb(plain.value, plain.grad_or_zeros(), batch.lengths, epsilon))
    network.backward(batch, half, perturbed)
    if isinstance(x, Variable):  # channels are data
        for inputs in (plain, perturbed):
            x.accumulate(inputs.grad_or_zeros())
        ops.backward()
    return logits, loss


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
