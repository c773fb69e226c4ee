"""The training of a network that is a graph, on labelled sequences.

Sequences of equal shapes are read together, and the gradients of these groups are added up. Dropout is left out of a
graph that was read from another library, so a graph is trained without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.members.graph_network import GraphNetwork
from gatewise.network.trainable import Gradients
from gatewise.network.trainable_graph import TrainableGraph
from gatewise.ragged import rows_per_input
from gatewise.training.labelled_loop import LabelledBatch, LabelledLoop, mean_loss
from gatewise.training.loop import StepResult
from gatewise.training.training_data import TrainingData
from gatewise.types import Array


class GraphLoop(LabelledLoop):
    """start: the network with its initial weights. The sequences are not truncated. Other arguments: `LabelledLoop`."""

    network: TrainableGraph
    training_data: TrainingData

    def __init__(
        self,
        training_data: TrainingData,
        start: GraphNetwork,
        seed: int,
        out_of_fold: Sequence[Array] = (),
        **options: Any,
    ) -> None:
        self.start = start
        network = TrainableGraph(start.form.explained, training_data.recipe.kernel())
        super().__init__(training_data, network, seed, out_of_fold, **options)

    def layers(self) -> list[tuple[str, str, int]]:
        return self.start.summary()

    def forward_backward(self, batch: LabelledBatch) -> StepResult:
        data = self.training_data
        gradients: Gradients = {name: np.zeros_like(weight) for name, weight in self.network.parameters.items()}
        loss = 0.0
        correct = 0
        n_labels = rows_per_input(data.labels[batch.own_rows])
        for numbers, feeds in self.start.batches(data.full(batch.own_rows), every=True):
            share = n_labels[numbers].sum() / n_labels.sum()
            of_group = _GroupLoss(data, self.start, batch.own_rows[numbers], share)
            _, of_weights = self.network.gradients(feeds, self.start.form.logits_name, of_group)
            for name, gradient in of_weights.items():
                gradients[name] += gradient
            loss += of_group.loss
            correct += of_group.correct
        return StepResult(gradients, loss, correct)

    def outputs(self, state: dict[str, Array], rows: Callable[[Array], Array], last: bool) -> Array:
        data = self.training_data
        validation = data.validation
        if self.out_of_fold:  # `score` reads those logits
            validation = validation[:0]
        trained = self.start.changed(parameters=self.parameters(state))
        return trained.logits(data.full(rows(validation)))

    def parameters(self, state: dict[str, Array]) -> dict[str, Array]:
        return {**self.start.parameters, **state}


class _GroupLoss:
    """The gradient of the loss of some rows of a batch with respect to the logits of a graph, see `Graph.gradients`.

    share: of the rows in the loss of the batch. After the call, loss is their part of it, correct how many are right.
    """

    def __init__(self, data: TrainingData, network: GraphNetwork, rows: NDArray[np.int64], share: float) -> None:
        self.data = data
        self.network = network
        self.rows = rows
        self.share = share
        self.loss = 0.0
        self.correct = 0

    def __call__(self, logits: Array) -> Array:
        data = self.data
        of_steps = self.network.form.taken(logits)  # (B, T, outputs), without steps (B, 1, outputs)
        own = of_steps[: len(self.rows)].reshape(-1, self.network.outputs).astype(np.float64)
        # The network predicts numbers in their unit, and the loss is that of standardised numbers.
        scaling = data.target_scaling
        standardised = own if scaling is None else scaling.transform(own)
        loss = mean_loss(data, standardised, self.rows)
        gradient = loss.gradient if scaling is None else loss.gradient / scaling.scale
        self.loss = self.share * loss.value
        self.correct = loss.correct
        of_logits = np.zeros_like(of_steps)
        of_logits[: len(self.rows)] = self.share * gradient.reshape(len(self.rows), -1, self.network.outputs)
        return self.network.form.placed(of_logits, logits)
