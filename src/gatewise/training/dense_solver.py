"""Linear models on dense features: a generalised linear model drawn towards a prior, and ridge regression with
out-of-fold values. `sparse_solver` is the one for sparse features.

The generalised linear model minimises, by L-BFGS with bounds (Byrd et al. 1995),

    Σ_i weight_i loss(z_i, y_i) + l2/2 |w - prior|²        z = x w + c

The prior is 0 for weights of features. Weights of values that all outputs share are at least 0.

Ridge regression has one eigensystem for all penalties. For features Z (n, F) whose columns have mean 0, with
K = Z Zᵀ / F = U diag(s) Uᵀ, the fitted values are H Y, H = U diag(s / (s + l2)) Uᵀ + 1/n, and the values of the rows B
of a fold, from a fit to the other rows, follow without refitting (for one row: Allen 1974, PRESS):

    Y_B - Ŷ_B(without B) = (I - H_BB)⁻¹ (Y - H Y)_B

Rows with weights are multiplied by their roots. Where n is so large that Z does not fit into memory, `ridge_sums`
adds up ZᵀZ chunk by chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels.threads import one_blas_thread
from gatewise.losses import CROSS_ENTROPY, Loss
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.training.training_data import TrainingData

MAX_ITER = 1_000
MEMORY = 50  # steps that L-BFGS remembers: with 10 it takes four times the iterations for 20 classes
TOLERANCE = 1e-5  # of the largest entry of the gradient, which is a sum over the rows
PENALTIES = tuple(10.0**exponent for exponent in np.arange(-4, 3.01, 0.5))  # of a ridge regression
# The scale of logits from values of -1 to 1: what the calibration is drawn towards, and its penalty.
SCALE = 3.0
SCALE_L2 = 0.5
EPSILON = 1e-6  # added to standard deviations: a constant feature must not divide by 0


def fit_glm(
    x: Array, y: Array, l2: float, *, loss: Loss = CROSS_ENTROPY, sample_weight: Array | None = None
) -> tuple[Array, Array]:
    """Weights (F, outputs) and shift (outputs,) for targets y (n, outputs), see `TrainingData.targets`.

    x (n, F), which may be sparse. loss: the sum over the outputs is minimised, half of it for a squared error. l2: the
    penalty of the weights; the shift has none. sample_weight (n,). Equal arguments give equal bits.
    """
    features = x.shape[1]
    outputs = y.shape[1]
    size = features * outputs
    start = np.zeros(size + outputs)
    penalty = np.append(np.full(size, l2), np.zeros(outputs))
    weights, shift = _minimum(x, y, start, size, penalty, [(None, None)] * len(start), loss, sample_weight)
    return weights.reshape(features, outputs), shift


def fit_shared_weights(
    values: Array,
    y: Array,
    prior: Array,
    l2: float,
    *,
    loss: Loss = CROSS_ENTROPY,
    one_shift: bool = False,
    sample_weight: Array | None = None,
) -> tuple[Array, Array]:
    """Weights (P,), at least 0, that all outputs share, and shift (outputs,) for values (n, outputs, P) and targets y
    (n, outputs), see `TrainingData.targets`.

    prior (P,): what the weights are drawn towards. l2: the penalty of the weights, and of the shift. one_shift: whether
    all outputs share the shift too, which is (1,) then. loss: as in `fit_glm`; a squared error is divided by the
    variance, which is that of the prior's prediction, so that a penalty means the same for every loss, and has a shift
    of 0, as standardised numbers have mean 0. sample_weight (n,). Equal arguments give equal bits.
    """
    n, outputs, size = values.shape
    shift_bounds: tuple[float | None, float | None] = (None, None)
    if loss.has_unit:
        errors = np.square(values @ prior - y).mean(axis=1)
        variance = max(float(np.average(errors, weights=sample_weight)), 1e-12)
        l2 = l2 * variance
        shift_bounds = (0, 0)
    shifts = outputs
    if one_shift:
        shifts = 1
    start = np.append(prior, np.zeros(shifts))
    penalty = np.full(len(start), l2)
    bounds = [(0, None)] * size + [shift_bounds] * shifts
    return _minimum(values.reshape(n * outputs, size), y, start, size, penalty, bounds, loss, sample_weight)


def _minimum(
    x: Array,
    y: Array,
    start: Array,
    size: int,
    penalty: Array,
    bounds: list[Any],
    loss: Loss,
    sample_weight: Array | None,
) -> tuple[Array, Array]:
    """Weights (size,) and shift (outputs,), or (1,) for all outputs, with the lowest loss.

    x: (n, F), or a row per row and output (n outputs, F); y (n, outputs); start: the weights and the shift where the
    search begins, towards which the penalty of each draws; bounds: of each.
    """
    from scipy.optimize import minimize  # the extra [train]

    x = x.astype(np.float64)
    y = y.astype(np.float64)
    shifts = len(start) - size
    weight = sample_weight
    if weight is None:
        weight = np.ones(len(y))

    def objective(theta: Array) -> tuple[float, Array]:
        products = x @ theta[:size].reshape(x.shape[1], -1)
        losses, dz = row_losses(products.reshape(y.shape) + theta[size:], y, loss)
        dz *= weight[:, None]
        of_shift = dz.sum(axis=0).reshape(shifts, -1).sum(axis=1)
        gradient = np.append(x.T @ dz.reshape(x.shape[0], -1), of_shift)
        change = theta - start
        value = float(weight @ losses) + 0.5 * float(penalty @ np.square(change))
        return value, gradient + penalty * change

    options = {"maxcor": MEMORY, "maxiter": MAX_ITER, "maxfun": 2 * MAX_ITER, "gtol": TOLERANCE, "ftol": 0.0}
    with one_blas_thread():
        theta = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return theta[:size], theta[size:]


def fit_standardised_glm(
    x: Array, y: Array, l2: float, *, shared_scale: bool = False, loss: Loss = CROSS_ENTROPY
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
    weight, bias = fit_glm((x - mean) / deviation, y, l2, loss=loss)
    weight = weight.T / deviation
    return np.ascontiguousarray(weight, dtype=np.float32), (bias - weight @ mean).astype(np.float32)


def row_losses(z: Array, y: Array, loss: Loss) -> tuple[Array, Array]:
    """Loss (n,) of logits z (n, outputs) against targets y (n, outputs), see `fit_glm`; its gradient (n, outputs)."""
    losses, gradient = loss(z, y)
    if loss.has_unit:  # half a squared error, whose gradient is the error
        return 0.5 * losses.sum(axis=1), 0.5 * gradient
    return losses.sum(axis=1), gradient


def calibrated(
    values: Array, targets: Array, prior: Array, l2: float, *, loss: Loss, sample_weight: Array | None
) -> tuple[Array, Array, Array]:
    """Weights (P,), at least 0, and shift (outputs,) that make logits of held-out values (n, outputs, P), and the
    losses (n,) of these logits.
    """
    weights, shift = fit_shared_weights(values, targets, prior, l2, loss=loss, sample_weight=sample_weight)
    losses, _ = row_losses(values @ weights + shift, targets, loss)
    return weights, shift, losses


class Ridge(NamedTuple):
    """Ridge regression of n rows with weights w: the eigensystem s (r,), u (n, r) of the centred kernel matrix, whose
    rows and columns are multiplied by root (n,), √w of mean square 1.
    """

    s: Array
    u: Array
    root: Array

    @classmethod
    def of(cls, z: Array, root: Array | None = None) -> Self:
        """From features (n, F) whose columns have weighted mean 0; in the smaller one of Z Zᵀ and ZᵀZ."""
        n, features = z.shape
        if root is None:
            root = np.ones(n)
        smallest = 8 * np.finfo(z.dtype).eps  # relative to the largest eigenvalue: less is rounding
        if features < n:
            rows = z.astype(np.float64) * root[:, None]
            s, v = np.linalg.eigh(rows.T @ rows / features)
            kept = s > smallest * max(float(s[-1]), 1e-30)
            return cls(s[kept], rows @ (v[:, kept] / np.sqrt(features * s[kept])), root)
        kernel = (z @ z.T).astype(np.float64) / features * root[:, None] * root
        # Rounding leaves means of 1e-7, whose direction is that of the intercept and would count twice
        # (docs/log/series.md, "Intercept in the kernel matrix").
        mean = root / np.linalg.norm(root)
        along = kernel @ mean
        kernel += (mean @ along) * np.outer(mean, mean) - np.outer(along, mean) - np.outer(mean, along)
        s, u = np.linalg.eigh(kernel)
        kept = s > smallest * max(float(s[-1]), 1e-30)
        return cls(s[kept], u[:, kept], root)

    def out_of_fold(self, y: Array, l2: float, folds: Sequence[NDArray[np.int64]] = ()) -> Array:
        """Values (n, outputs) of the targets y (n, outputs), of each row from a fit to the rows of other folds; of a
        row in no fold from a fit to all other rows.
        """
        shrink = self.s / (self.s + l2)
        share = self.root / np.linalg.norm(self.root)
        centred = self.root[:, None] * (y - np.average(y, axis=0, weights=self.root**2))
        residual = centred - (self.u * shrink) @ (self.u.T @ centred)
        leverage = self.u**2 @ shrink + share**2
        without = residual / np.maximum(1 - leverage, 1e-9)[:, None]
        for rows in folds:
            if len(rows) > 1:
                hat = (self.u[rows] * shrink) @ self.u[rows].T + np.outer(share[rows], share[rows])
                without[rows] = np.linalg.lstsq(np.eye(len(rows)) - hat, residual[rows], rcond=None)[0]
        return np.asarray(y - without / self.root[:, None])

    def weights(self, z: Array, y: Array, l2: float) -> tuple[Array, Array]:
        """Weights (F, outputs) and bias (outputs,) float64 of the fit to all rows."""
        bias = np.average(y, axis=0, weights=self.root**2)
        dual = (self.u / (self.s + l2)) @ (self.u.T @ (self.root[:, None] * (y - bias)))
        return z.T.astype(np.float64) @ (self.root[:, None] * dual) / z.shape[1], bias


def ridge_sums(z: Array, y: Array, root: Array) -> Array:
    """What rows z (n, F) float32 with targets y (n, outputs) and roots of weights (n,) add to the sums of the same
    regression: Σ w (z, 1) (z, 1, y)ᵀ, (F + 1, F + 1 + outputs).
    """
    ones = np.concatenate([z, np.ones((len(z), 1), dtype=np.float32)], axis=1)
    both = np.concatenate([ones, y.astype(np.float32)], axis=1) * root[:, None] ** 2
    return np.asarray(ones.T @ both.astype(np.float32))


def ridge_of_sums(total: Array, l2: float) -> tuple[Array, Array]:
    """As `Ridge.weights`, from the `ridge_sums` of all rows."""
    size = len(total) - 1
    left = total[:, : size + 1] / size
    left[np.arange(size), np.arange(size)] += l2
    solution = np.linalg.solve(left, total[:, size + 1 :] / size)
    return solution[:-1], solution[-1]


class RidgeTargets:
    """What a ridge regression of features fits, and how its values become logits: convolutions, frozen LSTM layers.

    Classes are targets of -1 and 1. `Ridge` gives the values of the rows of each fold from a fit to the others, for
    every penalty without refitting. The penalty with the lowest loss of these values is taken; a scale and a shift turn
    them into logits (Platt 1999).

    targets (n, outputs); y (n, outputs), the targets or for classes -1 and 1; weight (n,) of the rows, root (n,) of
    mean square 1; counts (n,), weights without those of classes; the folds, row numbers: the rows of one fold are
    predicted from all others; held (m,), the rows of all folds; scaling and logit_shift: see `TrainingData`.
    """

    def __init__(self, data: TrainingData, rows: NDArray[np.int64], folds: Sequence[NDArray[np.int64]]) -> None:
        self.data = data
        self.rows = rows
        self.targets = data.targets(rows)
        self.scaling = data.target_scaling
        self.target_loss = data.target.each.loss
        self.folds = folds
        self.held = np.concatenate(folds)
        self.y = self.targets
        if not self.target_loss.has_unit:
            self.y = 2.0 * self.targets - 1
        # One ridge regression has one weight per row, not one per label. The fit has the class weights, its calibration
        # does not (docs/log/series.md, "Class weights in the convolutions").
        self.counts = data.sample_weight(rows)
        weight = self.counts
        self.logit_shift: Array | None = None
        if data.class_weights is not None and data.weights is not None and data.weights.ndim == 1:
            weight = data.weights[rows]
            self.logit_shift = data.logit_shift
        if weight is None:
            weight = np.ones(len(rows))
        self.weight = np.asarray(weight, dtype=np.float64)
        self.root = np.sqrt(np.maximum(self.weight / self.weight.mean(), 1e-9))

    def loss(self, values: Array) -> float:
        """Of values (m, outputs) out of fold: the squared error, for classes the cross-entropy after calibration."""
        truth = self.targets[self.held]
        weight = self.weight[self.held]
        if self.target_loss.has_unit:
            losses = np.square(values - truth).mean(axis=1)
        else:
            _, _, losses = calibrated(
                values[:, :, None],
                truth,
                prior=np.array([SCALE]),
                l2=SCALE_L2,
                loss=self.target_loss,
                sample_weight=weight,
            )
        return float(np.average(losses, weights=weight))

    def best(self, ridge: Ridge) -> tuple[float, float, Array]:
        """The lowest loss, its penalty, and its values (m, outputs) out of fold."""
        values = [ridge.out_of_fold(self.y, l2, self.folds)[self.held] for l2 in PENALTIES]
        losses = [self.loss(out_of_fold) for out_of_fold in values]
        n = int(np.argmin(losses))
        return losses[n], PENALTIES[n], values[n]

    def calibration(self, values: Array) -> tuple[Array, Array]:
        """Scale (1,) or (outputs,) and shift (outputs,) that turn values into logits, from those out of fold (m,
        outputs); for a regression into numbers.
        """
        if self.scaling is not None:
            return self.scaling.scale, self.scaling.mean
        # With class weights in the fit, the shift is drawn towards the one that takes them back.
        shift_back = np.zeros(values.shape[1])
        if self.logit_shift is not None:
            shift_back = -self.logit_shift
        sample_weight = None
        if self.counts is not None:
            sample_weight = self.counts[self.held]
        weights, shift, _ = calibrated(
            np.stack([values, np.broadcast_to(shift_back, values.shape)], axis=2),
            self.targets[self.held],
            prior=np.array([SCALE, 1.0]),
            l2=SCALE_L2,
            loss=self.target_loss,
            sample_weight=sample_weight,
        )
        return weights[:1], shift + weights[1] * shift_back

    def held_out(self, logits: Array, predict: Callable[[list[EncodedSequence]], Array]) -> Array:
        """Logits (n, outputs) of the validation rows: of the fitted ones the logits (m, outputs) out of fold, of the
        others those that `predict` gives for their full sequences.
        """
        validation = self.data.validation
        out_of_fold = np.full(self.targets.shape, np.nan)
        out_of_fold[self.held] = logits
        fitted = np.isin(validation, self.rows)
        held_out = np.zeros((len(validation), self.targets.shape[1]))
        held_out[fitted] = out_of_fold[np.searchsorted(self.rows, validation[fitted])]
        held_out[~fitted] = predict(self.data.full(validation[~fitted]))
        return held_out
