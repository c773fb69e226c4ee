"""Generalised linear models on dense features, drawn towards a prior. `sparse_solver` is the one for sparse features,
`ridge` has ridge regression.

A model minimises, by L-BFGS with bounds (Byrd et al. 1995),

    Σ_i weight_i loss(z_i, y_i) + l2/2 |w - prior|²        z = x w + c

The prior is 0 for weights of features. Weights of values that all outputs share are at least 0.
"""

from typing import Any

import numpy as np

from gatewise.kernels.threads import one_blas_thread
from gatewise.training.weighted_targets import WeightedTargets
from gatewise.types import Array

MAX_ITER = 1_000
MEMORY = 50  # steps that L-BFGS remembers: with 10 it takes four times the iterations for 20 classes
TOLERANCE = 1e-5  # of the largest entry of the gradient, which is a sum over the rows
EPSILON = 1e-6  # added to standard deviations: a constant feature must not divide by 0


def fit_glm(x: Array, targets: WeightedTargets, l2: float) -> tuple[Array, Array]:
    """Weights (F, outputs) and shift (outputs,) for the targets of n rows.

    x (n, F), which may be sparse. l2: the penalty of the weights; the shift has none. Equal arguments give equal bits.
    """
    features = x.shape[1]
    size = features * targets.outputs
    start = np.zeros(size + targets.outputs)
    penalty = np.append(np.full(size, l2), np.zeros(targets.outputs))
    weights, shift = _minimum(x, targets, start, size, penalty, [(None, None)] * len(start))
    return weights.reshape(features, targets.outputs), shift


def fit_shared_weights(
    values: Array, targets: WeightedTargets, prior: Array, l2: float, *, one_shift: bool = False
) -> tuple[Array, Array]:
    """Weights (P,), at least 0, that all outputs share, and shift (outputs,) for values (n, outputs, P) and the targets
    of n rows.

    prior (P,): what the weights are drawn towards. l2: the penalty of the weights, and of the shift. one_shift: whether
    all outputs share the shift too, which is (1,) then. The loss is that of `WeightedTargets.row_losses`; a squared
    error is divided by the variance, which is that of the prior's prediction, so that a penalty means the same for
    every loss, and has a shift of 0, as standardised numbers have mean 0. Equal arguments give equal bits.
    """
    n, outputs, size = values.shape
    shift_bounds: tuple[float | None, float | None] = (None, None)
    if targets.loss.has_unit:
        errors = np.square(values @ prior - targets.values).mean(axis=1)
        variance = max(targets.mean(errors), 1e-12)
        l2 = l2 * variance
        shift_bounds = (0, 0)
    shifts = outputs
    if one_shift:
        shifts = 1
    start = np.append(prior, np.zeros(shifts))
    penalty = np.full(len(start), l2)
    bounds = [(0, None)] * size + [shift_bounds] * shifts
    return _minimum(values.reshape(n * outputs, size), targets, start, size, penalty, bounds)


def _minimum(
    x: Array, targets: WeightedTargets, start: Array, size: int, penalty: Array, bounds: list[Any]
) -> tuple[Array, Array]:
    """Weights (size,) and shift (outputs,), or (1,) for all outputs, with the lowest loss.

    x: (n, F), or a row per row and output (n outputs, F); start: the weights and the shift where the search begins,
    towards which the penalty of each draws; bounds: of each.
    """
    from scipy.optimize import minimize  # the extra [train]

    x = x.astype(np.float64)
    shifts = len(start) - size

    def objective(theta: Array) -> tuple[float, Array]:
        products = x @ theta[:size].reshape(x.shape[1], -1)
        losses, dz = targets.row_losses(products.reshape(targets.values.shape) + theta[size:])
        dz *= targets.weight[:, None]
        of_shift = dz.sum(axis=0).reshape(shifts, -1).sum(axis=1)
        gradient = np.append(x.T @ dz.reshape(x.shape[0], -1), of_shift)
        change = theta - start
        value = float(targets.weight @ losses) + 0.5 * float(penalty @ np.square(change))
        return value, gradient + penalty * change

    options = {"maxcor": MEMORY, "maxiter": MAX_ITER, "maxfun": 2 * MAX_ITER, "gtol": TOLERANCE, "ftol": 0.0}
    with one_blas_thread():
        theta = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return theta[:size], theta[size:]


def fit_standardised_glm(
    x: Array, targets: WeightedTargets, l2: float, *, shared_scale: bool = False
) -> tuple[Array, Array]:
    """weight (outputs, F) and bias (outputs,) float32 for features x (n, F), of a fit to standardised features.

    shared_scale: divide all features by one number, the root mean square of their standard deviations, where the
    deviations themselves carry information.
    """
    x = x.astype(np.float64)
    mean = x.mean(axis=0)
    deviation = x.std(axis=0) + EPSILON
    if shared_scale:
        deviation = np.full_like(deviation, np.sqrt(np.mean(deviation**2)))
    weight, bias = fit_glm((x - mean) / deviation, targets, l2)
    weight = weight.T / deviation
    return np.ascontiguousarray(weight, dtype=np.float32), (bias - weight @ mean).astype(np.float32)


def fit_calibration(values: Array, targets: WeightedTargets, prior: Array, l2: float) -> tuple[Array, Array, Array]:
    """Weights (P,), at least 0, and shift (outputs,) that make logits of held-out values (n, outputs, P), and the
    losses (n,) of these logits.
    """
    weights, shift = fit_shared_weights(values, targets, prior, l2)
    losses, _ = targets.row_losses(values @ weights + shift)
    return weights, shift, losses
