"""Initial weights of a network: random, pretrained, or pretrained with a linear probe as dense layer.

Fine-tuning from a random dense layer first distorts the pretrained features; with few labels the network never
recovers. Kumar et al. (2022) start from a linear probe: a generalised linear model on the pooled states, standardised
over the rows (`dense_solver`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise import kernels
from gatewise.network.architecture import initial_parameters
from gatewise.network.forward import features_of
from gatewise.network.ops import NumpyOps
from gatewise.training.dense_solver import fit_standardised_glm
from gatewise.training.pretrained import Pretrained
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

MAX_ROWS = 1_000  # of the probe; with more, training itself fits the dense layer as well


def initial_weights(training_data: TrainingData, pretrained: Pretrained | None, seed: int) -> dict[str, Array]:
    """Initial parameters by name: random, those of the pretrained model where it has them, and the linear probe's dense
    layer where the recipe asks for it.
    """
    parameters = initial_parameters(training_data.architecture, np.random.default_rng([seed, 0x5EED]))
    if pretrained is None:
        return parameters
    body = {name: array for name, array in pretrained.parameters.items() if not name.startswith("dense.")}
    parameters |= {name: body[name] for name in parameters if name in body}
    l2 = training_data.recipe.lstm.probe_l2
    if not l2:
        return parameters
    rows = training_data.train[:: -(-len(training_data.train) // MAX_ROWS)]
    states = pooled_states(parameters, training_data, [training_data.sequences[n] for n in rows])
    weight, bias = fit_standardised_glm(states, training_data.targets(rows), l2, task=training_data.data.task)
    return parameters | {"dense.weight": weight, "dense.bias": bias}


def pooled_states(parameters: dict[str, Array], training_data: TrainingData, sequences: Sequence[Array]) -> Array:
    """The inputs (n, F) of the dense layer for n truncated sequences, in the recipe's precision."""
    ops = NumpyOps(kernels.for_precision(training_data.recipe.kernel_precision))
    return features_of(parameters, training_data.architecture, sequences, ops)
