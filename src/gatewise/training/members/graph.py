"""Fit a network that is a graph: fine-tuning of what `gatewise.from_torch` and the like have opened.

With the same classes, training starts from the network as it is. With others, and with numbers that it predicts no
better than their mean, its last linear layer is replaced, and the new one starts as a linear probe, as that of the LSTM
(`gatewise.training.members.lstm`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.members.graph_head import features_of, with_linear
from gatewise.members.graph_network import GraphNetwork
from gatewise.training.dense_solver import fit_standardised_glm
from gatewise.training.graph_loop import GraphLoop
from gatewise.training.labelled_loop import LabelledLoop
from gatewise.training.members import Run
from gatewise.training.network_fit import fit_network
from gatewise.training.stack import FittedMember
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

MAX_ROWS = 1_000  # of the linear probe; of more rows, training fits the layer as well
PROBE_L2 = 1.0


def fit(data: TrainingData, run: Run) -> FittedMember:
    """The network of the best epoch. Raises Interrupted after Ctrl-C, and InputError where the layers stay as they are,
    or the recipe asks for what a graph does not have.
    """
    settings = data.recipe.optimisation
    if data.recipe.frozen:
        raise InputError(
            f"recipe {data.recipe.name} keeps the layers of the pretrained model, and a network of any form is trained "
            "as a whole: choose another recipe, such as fast"
        )
    if settings.adversarial:
        raise InputError("optimisation.adversarial is for an LSTM, and the pretrained network is of another form")
    return fit_network(data, run, _loop, _member)


def _loop(data: TrainingData, run: Run, seed: int, out_of_fold: Sequence[Array], **options: Any) -> GraphLoop:
    return GraphLoop(data, initial_network(data, run), seed, out_of_fold, **options)


def _member(data: TrainingData, loop: LabelledLoop) -> FittedMember:
    """The network with the weights of the best epoch."""
    assert isinstance(loop, GraphLoop)
    network = loop.start.changed(parameters=loop.parameters(loop.result()))
    bias = np.zeros(network.outputs)
    if data.logit_shift is not None:
        bias = bias - data.logit_shift
    return FittedMember(network, bias)


def _is_better_than_mean(network: GraphNetwork, data: TrainingData, rows: Array) -> bool:
    """Whether the numbers that the network predicts for these rows are closer to their labels than the mean is. Numbers
    of another unit or another meaning are not. Always true of classes.
    """
    scaling = data.target_scaling
    if scaling is None:
        return True
    numbers = data.targets(rows).values  # of mean 0 and deviation 1
    errors = scaling.transform(network.logits(data.full(rows))) - numbers
    return bool(np.square(errors).mean() < np.square(numbers).mean())


def initial_network(data: TrainingData, run: Run) -> GraphNetwork:
    """The pretrained network, with a new last layer where its classes are others, or its numbers no better than the
    mean. Raises InputError for a network with
    another number of predictions per sequence than the labels.
    """
    assert run.pretrained is not None
    model = run.pretrained.model
    assert model is not None
    network = model.ensemble.network
    assert isinstance(network, GraphNetwork)
    network.check_target(data.target)
    network.check_sequences(data.full_sequences)
    stride = math.ceil(len(data.train) / MAX_ROWS)
    rows = data.train[::stride]
    same = (model.task, model.classes) == (data.target.task, data.target.classes)
    if same and _is_better_than_mean(network, data, rows):
        return network
    features = features_of(network)
    states = features.logits(data.full(rows))
    # Training starts from this fit and gives the rows their weights.
    weight, bias = fit_standardised_glm(states, data.targets(rows).unweighted, data.recipe.lstm.probe_l2 or PROBE_L2)
    scaling = data.target_scaling
    if scaling is not None:  # the network predicts numbers in their unit
        weight = scaling.scale[:, None] * weight
        bias = scaling.mean + scaling.scale * bias
    return with_linear(features, weight, bias)
