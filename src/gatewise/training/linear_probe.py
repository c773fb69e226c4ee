"""Initial weights of a network: random, pretrained, or pretrained with a linear probe as dense layer.

Fine-tuning from a random dense layer first distorts the pretrained features; with few labels the network never
recovers. Kumar et al. (2022) start from a linear probe. With x_i the pooled states of row i, standardised over the
rows, L-BFGS (Liu & Nocedal 1989) minimises from zero

    Σ_i cross-entropy_i + l2/2 Σ w²        logit = w x + b; the bias is not penalised

and the standardisation is folded into the dense layer. (`linear_solver` cannot fit a softmax, whose outputs depend on
each other, and computes in single precision, for sparse features.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise import kernels
from gatewise.network.architecture import initial_parameters
from gatewise.network.forward import features_of
from gatewise.network.ops import NumpyOps
from gatewise.training.blas import one_blas_thread
from gatewise.training.objective import binary_cross_entropy, cross_entropy, mean_squared_error
from gatewise.training.pretrained import Pretrained
from gatewise.training.training_data import TrainingData
from gatewise.types import Array, Task

MAX_ITER, MEMORY = 1_000, 50  # steps that L-BFGS remembers: with 10 it takes four times the iterations for 20 classes
TOLERANCE = 1e-5  # of the largest entry of the gradient, which is a sum over the rows
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
    from scipy.optimize import minimize  # the extra [train]

    states = states.astype(np.float64)
    mean, deviation = states.mean(axis=0), states.std(axis=0) + EPSILON
    if shared_scale:
        deviation = np.full_like(deviation, np.sqrt(np.mean(deviation**2)))
    x, y = (states - mean) / deviation, targets.astype(np.float64)
    features, outputs = x.shape[1], y.shape[1]

    def objective(theta: Array) -> tuple[float, Array]:
        """The loss at theta (F + 1, outputs), raveled, whose last row is the bias; and its gradient."""
        w, bias = theta[: features * outputs].reshape(features, outputs), theta[features * outputs :]
        loss, dz = _loss(x @ w + bias, y, task)
        gradient = np.concatenate([(x.T @ dz + l2 * w).ravel(), dz.sum(axis=0)])
        return loss + 0.5 * l2 * float(np.square(w).sum()), gradient

    with one_blas_thread():
        theta = minimize(
            objective,
            np.zeros((features + 1) * outputs),
            jac=True,
            method="L-BFGS-B",
            options={"maxcor": MEMORY, "maxiter": MAX_ITER, "maxfun": 2 * MAX_ITER, "gtol": TOLERANCE, "ftol": 0.0},
        ).x.reshape(features + 1, outputs)
    weight = theta[:-1].T / deviation  # (outputs, F)
    shift = theta[-1] - weight @ mean
    return np.ascontiguousarray(weight, dtype=np.float32), shift.astype(np.float32)


def _loss(z: Array, y: Array, task: Task) -> tuple[float, Array]:
    """The summed loss of logits z (n, outputs) against y (n, outputs), and its gradient (n, outputs)."""
    one = np.ones((len(z), 1))
    if task == "regression":
        loss, gradient, scale = *mean_squared_error(z, y, one), z.size / 2
    elif task == "multilabel" or y.shape[1] == 1:
        loss, gradient, scale = *binary_cross_entropy(z, y, one), z.size
    else:
        loss, gradient, scale = *cross_entropy(z, y, one), len(z)
    return scale * loss, scale * gradient
