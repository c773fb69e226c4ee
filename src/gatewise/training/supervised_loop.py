"""The training of an LSTM on labelled sequences, with dropout and adversarial inputs.

Adversarial training (Miyato et al. 2017, eq. 2): the network must also be right on perturbed inputs. The inputs x
(T, D) of a sequence, embeddings or channels, move along the gradient of the loss L by `epsilon` times their own norm,
and both losses count half:

    r = epsilon ‖x‖ g / ‖g‖,  g = ∂L/∂x        (L(x) + L(x + r)) / 2,  r held constant

Every step is perturbed by itself: a word can move one way here and another way there. So the input product runs over
all steps instead of the distinct words, and a training step takes some 2.5 times as long. The paper fixes ‖r‖ and
normalises the embeddings to variance 1; a perturbation relative to the norm needs no normalisation, and larger
embeddings do not evade it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels.pooling import segment_reduce
from gatewise.network.architecture import Architecture, summary
from gatewise.network.autograd import Variable
from gatewise.network.batch import Batch
from gatewise.network.distinct_tokens import unique_tokens
from gatewise.network.forward import forward, in_batches
from gatewise.network.ops import Ops, array_of
from gatewise.network.trainable import BatchLoss, LossOf, Network
from gatewise.training.labelled_loop import LabelledBatch, LabelledLoop, mean_loss
from gatewise.training.loop import StepResult
from gatewise.training.network_data import NetworkData
from gatewise.types import Array

MASKS = 0xD50  # separates the draws of the masks from others with the same seed


class SupervisedLoop(LabelledLoop):
    """The training of an LSTM."""

    network: Network

    @property
    def architecture(self) -> Architecture:
        return self.training_data.architecture

    def layers(self) -> list[tuple[str, str, int]]:
        return summary(self.architecture)

    def forward_backward(self, batch: LabelledBatch) -> StepResult:
        data = self.training_data
        network = self.network
        network.zero_grad()
        if not len(batch.own_rows):  # the last batch of an epoch can have fewer rows than there are processes
            return StepResult(network.gradients(), loss=0.0)
        network.dropout.rng = self._mask_generator(batch.step)
        inputs = Batch.of([data.sequences[n] for n in batch.own_rows], data.architecture)
        self._catch_up(inputs)
        transitions = self.transitions(network.parameters)
        loss_of = partial(mean_loss, data, rows=batch.own_rows, transitions=transitions)
        epsilon = data.recipe.optimisation.adversarial
        if epsilon:
            _, loss = adversarial_backward(network, inputs, loss_of, epsilon)
            return StepResult(network.gradients(), loss.value, loss.correct)
        predictions = network.forward(inputs)
        losses = predictions.losses(loss_of)
        predictions.backward(losses)
        return StepResult(network.gradients(), losses[0].value, losses[0].correct)

    def _mask_generator(self, step: int) -> np.random.Generator:
        """The generator of the dropout masks of a step. Each process has its own, as each has other rows."""
        seed = [self.seed, MASKS, step]
        if self.communicator.rank:
            seed.append(self.communicator.rank)
        return np.random.default_rng(seed)

    def _catch_up(self, inputs: Batch) -> None:
        """Bring the embedding rows of the batch to the present step: Adam moves a row only when it is read."""
        for name, rows in self.network.table_rows(inputs).items():
            self.optimizer.catch_up(name, rows)

    def outputs(self, state: dict[str, Array], rows: Callable[[Array], Array], last: bool) -> Array:
        data = self.training_data
        ops = Ops(data.recipe.kernel())
        validation = data.validation
        if self.out_of_fold:  # `score` reads those logits
            validation = validation[:0]
        sequences = [data.sequences[n] for n in rows(validation)]
        return in_batches(forward, self.parameters(state), data.architecture, sequences, ops)

    def parameters(self, state: dict[str, Array]) -> dict[str, Array]:
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
        if tokens.ndim == 2:  # words with features
            tokens = tokens[:, 0]
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


def adversarial_backward(network: Network, batch: Batch, loss_of: LossOf, epsilon: float) -> tuple[Array, BatchLoss]:
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
    return predictions.logits, losses[0]


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
