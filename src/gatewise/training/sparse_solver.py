"""Linear models on sparse features: L2-regularised logistic, squared-hinge and squared loss, one problem per column.

For each column k of the targets independently,

    min  Σ_i weight_i loss(x_i·w_k + b_k, y_ik) + l2/2 |w_k|²

Logistic and squared loss: by Newton's method with conjugate gradients for the step (Lin, Weng & Keerthi 2008: trust
region Newton; here with a backtracking line search) and the diagonal of the Hessian as preconditioner. The bias is not
penalised. Squared hinge loss: by dual coordinate descent in C++ (Hsieh et al. 2008), which for texts takes a tenth of
the time, and by Newton's method where the extension is missing. The bias is penalised as a weight is, as in liblinear.

Columns are solved in blocks, in threads: memory is features x block, whatever the number of classes. A column's result
does not depend on the threads.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from gatewise.kernels import native
from gatewise.kernels.threads import thread_pool, threads
from gatewise.training.weighted_targets import WeightedTargets
from gatewise.types import Array

LinearLoss = Literal["logistic", "squared-hinge", "squared"]
MAX_CG = 60  # conjugate gradient iterations of a Newton step
CG_TOLERANCE = 0.1  # of the residual, relative to the gradient
BLOCK_FLOATS = 8_000_000  # features x columns of a block, at most
MAX_PASSES = 100  # of dual coordinate descent
PASS_TOLERANCE = 0.1  # liblinear's for support vector machines


_Losses = tuple[Array, Array, Array]  # (n, c) each: the loss, its first and its second derivative in the logit


def _logistic(z: Array, y: Array) -> _Losses:
    e = np.exp(-np.abs(z))
    p = np.where(z >= 0, 1, e) / (1 + e)
    return np.maximum(z, 0) + np.log1p(e) - y * z, p - y, np.maximum(p * (1 - p), 1e-10)


def _squared_hinge(z: Array, y: Array) -> _Losses:
    """(1 - z)² for y = 1 and (1 + z)² for y = 0 where positive; a soft target y is a mixture of both."""
    up = np.maximum(1 - z, 0)
    down = np.maximum(1 + z, 0)
    loss = y * up * up + (1 - y) * down * down
    gradient = 2 * ((1 - y) * down - y * up)
    curvature = 2 * (y * (up > 0) + (1 - y) * (down > 0))
    return loss, gradient, curvature


def _squared(z: Array, y: Array) -> _Losses:
    error = z - y
    return 0.5 * error * error, error, np.ones_like(z)


_LOSSES: dict[str, Callable[[Array, Array], _Losses]] = {
    "logistic": _logistic,
    "squared-hinge": _squared_hinge,
    "squared": _squared,
}


class _Problem(NamedTuple):
    """x (n, F + 1) sparse, its transpose, the transpose of its squares; `scale` (F + 1, c), factors of the features of
    these columns; penalty (F + 1, 1).
    """

    x: Any
    transposed: Any
    squared: Any
    scale: Array
    penalty: Array

    def logits(self, w: Array) -> Array:
        return np.asarray(self.x @ (w * self.scale))

    def gradient(self, u: Array, w: Array) -> Array:
        """The gradient in w, for derivatives u (n, c) of the loss in the logits."""
        return np.asarray((self.transposed @ u) * self.scale + self.penalty * w)

    def diagonal(self, curvature: Array) -> Array:
        """The diagonal of the Hessian."""
        return np.asarray((self.squared @ curvature) * np.square(self.scale) + self.penalty)


def fit_linear(
    x: Any,
    targets: WeightedTargets,
    l2: float,
    loss: LinearLoss,
    *,
    scale: Array | None = None,
    max_iter: int = 50,
    tol: float = 0.01,
) -> tuple[Array, Array]:
    """Weights (F, c) float32 and biases (c,) float64 of c independent linear models.

    x: scipy.sparse CSR (n, F) float32. targets: of n rows and c outputs, 0 to 1 for the first two losses. loss: of each
    output, in place of that of the targets. scale (F, c): factors of the features, a column per model; the weights
    returned are those of the scaled features. tol: of Newton's method, which stops where the gradient's norm is this
    small, relative to that at zero weights.
    """
    from scipy.sparse import csr_matrix, hstack  # the extra [train]

    if loss == "squared-hinge" and scale is None:
        machines = _machines(x, targets, l2)
        if machines is not None:
            return machines
    n, features = x.shape
    columns = targets.outputs
    x = hstack([x, csr_matrix(np.ones((n, 1), dtype=np.float32))], format="csr")  # the last feature is the bias
    transposed = x.T.tocsr()
    squared = transposed.power(2)
    penalty = np.full((features + 1, 1), l2, dtype=np.float32)
    if loss != "squared-hinge":  # whose bias is penalised, as in liblinear
        penalty[-1] = 0.0
    # As many columns as keep all threads at work, unless the block would be too large for memory.
    width = min(math.ceil(columns / threads()), BLOCK_FLOATS // max(1, features))
    width = max(1, width)
    w = np.zeros((features + 1, columns), dtype=np.float32)
    weight = np.broadcast_to(targets.weight.reshape(n, -1), targets.values.shape).astype(np.float32)

    def solve(first: int) -> None:
        block = slice(first, first + width)
        factors = np.ones((features + 1, w[:, block].shape[1]), dtype=np.float32)
        if scale is not None:
            factors[:-1] = scale[:, block]
        y = np.ascontiguousarray(targets.values[:, block], dtype=np.float32)
        problem = _Problem(x, transposed, squared, factors, penalty)
        w[:, block] = _newton(problem, y, weight[:, block], _LOSSES[loss], max_iter, tol)

    with thread_pool(threads()) as run:  # SciPy's sparse products release the GIL
        list(run(solve, range(0, columns, width)))
    return w[:-1], w[-1].astype(np.float64)


def _machines(x: Any, targets: WeightedTargets, l2: float) -> tuple[Array, Array] | None:
    """Support vector machines, one per output, by dual coordinate descent; None without the C++ extension."""
    columns = targets.outputs
    starts = x.indptr.astype(np.int32)
    indices = x.indices.astype(np.int32)
    values = x.data.astype(np.float32)
    w = np.zeros((x.shape[1], columns), dtype=np.float32)
    bias = np.zeros(columns)
    cost = targets.weight / l2
    sign = np.where(targets.values > 0.5, 1, -1).astype(np.float32)

    def solve(k: int) -> bool:
        column = np.ascontiguousarray(sign[:, k])
        machine = native.squared_hinge(starts, indices, values, column, cost, x.shape[1], MAX_PASSES, PASS_TOLERANCE)
        if machine is None:
            return False
        w[:, k], bias[k] = machine
        return True

    with thread_pool(threads()) as run:  # the extension releases the GIL
        if not all(run(solve, range(columns))):
            return None
    return w, bias


def _newton(
    problem: _Problem,
    y: Array,
    weight: Array,
    losses: Callable[[Array, Array], _Losses],
    max_iter: int,
    tol: float,
) -> Array:
    def weighted(z: Array) -> _Losses:
        loss, gradient, curvature = losses(z, y)
        return (weight * loss).sum(axis=0, dtype=np.float64), weight * gradient, weight * curvature

    w = np.zeros((len(problem.penalty), y.shape[1]), dtype=np.float32)
    z = np.zeros(y.shape, dtype=np.float32)
    loss, gradient, curvature = weighted(z)
    penalty = np.zeros(y.shape[1])
    active = np.ones(y.shape[1], dtype=bool)
    g = problem.gradient(gradient, w)
    limit = tol * _column_norms(g)  # relative to zero weights
    for _ in range(max_iter):
        active &= _column_norms(g) > limit
        if not active.any():
            break
        step = _step(problem, curvature, g, active)
        change = problem.logits(step)
        slope = (g * step).sum(axis=0, dtype=np.float64)
        along = (problem.penalty * w * step).sum(axis=0, dtype=np.float64)
        curve = (problem.penalty * np.square(step)).sum(axis=0, dtype=np.float64)
        size = np.where(active, 1.0, 0.0)
        before = loss + penalty
        # Halve the step of a column until it descends enough (Armijo); after 29 times the column stays where it is.
        for attempt in range(31):
            factor = size.astype(np.float32)
            loss, gradient, curvature = weighted(z + factor * change)
            after = loss + penalty + size * along + 0.5 * size * size * curve
            worse = active & (size > 0) & (after > before + 1e-4 * size * slope)
            if not worse.any():
                break
            if attempt < 29:
                size = np.where(worse, size / 2, size)
            else:
                size = np.where(worse, 0.0, size)
        active &= (size > 0) & (before - after > 1e-9 * np.abs(before))  # float32 cannot improve the others any more
        w = w + factor * step
        z = z + factor * change
        penalty = penalty + size * along + 0.5 * size * size * curve
        g = problem.gradient(gradient, w)
    return w


def _column_norms(gradient: Array) -> Array:
    """Norm (c,) of each column, in float64."""
    return np.asarray(np.sqrt(np.square(gradient, dtype=np.float64).sum(axis=0)))


def _step(problem: _Problem, curvature: Array, gradient: Array, active: Array) -> Array:
    """The Newton steps of all columns by conjugate gradients; zeros for a column that is not active."""
    inverse = 1 / np.maximum(problem.diagonal(curvature), 1e-6)
    step = np.zeros_like(gradient)
    r = -gradient * active.astype(np.float32)
    d = inverse * r
    p = d.copy()
    rho = (r * d).sum(axis=0, dtype=np.float64)
    limit = CG_TOLERANCE**2 * rho
    going = active & (rho > 0)
    for _ in range(MAX_CG):
        if not going.any():
            break
        h = problem.gradient(curvature * problem.logits(p), p)
        curve = (p * h).sum(axis=0, dtype=np.float64)
        alpha = np.where(going & (curve > 0), rho / np.where(curve > 0, curve, 1), 0).astype(np.float32)
        step += alpha * p
        r -= alpha * h
        d = inverse * r
        then = (r * d).sum(axis=0, dtype=np.float64)
        going &= (then > limit) & (alpha > 0)
        beta = np.where(going, then / np.where(rho > 0, rho, 1), 0).astype(np.float32)
        p = d + beta * p
        rho = then
    return step
