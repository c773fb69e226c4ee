"""Initial weights of a network: random, pretrained, or pretrained with a linear probe as dense layer.

Fine-tuning from a random dense layer first distorts the pretrained features; with few labels the network never
recovers. Kumar et al. (2022) start from a linear probe. With x_i the pooled states of row i, standardised over the
rows, L-BFGS minimises from zero

    Σ_i cross-entropy_i + l2/2 Σ w²        logit = w x + b; the bias is not penalised

and the standardisation is folded into the dense layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gatewise import kernels
from gatewise.network.architecture import initial_parameters
from gatewise.network.forward import features_of
from gatewise.network.ops import NumpyOps
from gatewise.training.pretrained import Pretrained
from gatewise.training.training_data import TrainingData
from gatewise.types import Array, Task

MAX_ROWS = 1_000  # of the probe; with more, training itself fits the dense layer as well
EPSILON = 1e-6  # added to standard deviations: a constant state must not divide by 0


def initial_weights(training_data: TrainingData, pretrained: Pretrained | None, seed: int) -> dict[str, Array]:
    """Initial parameters by name: random, those of the pretrained model where it has them, and the linear probe's dense
    layer where the recipe asks for it.
    """
    parameters = initial_parameters(training_data.architecture, np.random.default_rng([seed, 0x5EED]))
    if pretrained is None:
        return parameters
    body = {name: array for name, array in pretrained.parameters.items() if not name.startswith("dense.")}
    parameters |= {name: body[name] for name in parameters if name in body}
    l2 = training_data.recipe.probe_l2
    if not l2:
        return parameters
    rows = training_data.train[:: -(-len(training_data.train) // MAX_ROWS)]
    states = pooled_states(parameters, training_data, [training_data.sequences[n] for n in rows])
    weight, bias = fit_linear_probe(states, training_data.targets(rows), l2, task=training_data.data.task)
    return parameters | {"dense.weight": weight, "dense.bias": bias}


def pooled_states(parameters: dict[str, Array], training_data: TrainingData, sequences: Sequence[Array]) -> Array:
    """The inputs (n, F) of the dense layer for n truncated sequences, in the recipe's precision."""
    ops = NumpyOps(kernels.for_precision(training_data.recipe.kernel_precision))
    return features_of(parameters, training_data.architecture, sequences, ops)


def fit_linear_probe(
    states: Array, targets: Array, l2: float, *, shared_scale: bool = False, task: Task = "classification"
) -> tuple[Array, Array]:
    """weight (outputs, F) and bias (outputs,) float32 from states (n, F) and targets (n, outputs), see
    `TrainingData.targets`. The loss is cross-entropy, for multi-label that of each label, for regression half the
    squared error.

    shared_scale: divide all features by one number, the root mean square of their standard deviations, where the
    deviations themselves carry information. Equal arguments give equal bits.
    """
    states = states.astype(np.float64)
    mean, deviation = states.mean(axis=0), states.std(axis=0) + EPSILON
    if shared_scale:
        deviation = np.full_like(deviation, np.sqrt(np.mean(deviation**2)))
    x, y = torch.from_numpy((states - mean) / deviation), torch.from_numpy(targets.astype(np.float64))
    w = torch.zeros((x.shape[1], y.shape[1]), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(y.shape[1], dtype=torch.float64, requires_grad=True)
    lbfgs = torch.optim.LBFGS([w, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        lbfgs.zero_grad()
        z = x @ w + bias
        if task == "regression":
            losses = 0.5 * (z - y).square()
        elif task == "multilabel" or y.shape[1] == 1:
            losses = torch.nn.functional.softplus(z) - y * z
        else:
            losses = -y * z.log_softmax(dim=1)
        loss = losses.sum() + 0.5 * l2 * w.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    lbfgs.step(closure)  # type: ignore[no-untyped-call]
    weight = w.detach().numpy().T / deviation  # (outputs, F)
    shift = bias.detach().numpy() - weight @ mean
    return np.ascontiguousarray(weight, dtype=np.float32), shift.astype(np.float32)
