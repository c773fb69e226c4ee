"""Ridge regression on dense features, with out-of-fold values.

One eigensystem serves all penalties. For features Z (n, F) whose columns have mean 0, with
K = Z Zᵀ / F = U diag(s) Uᵀ, the fitted values are H Y, H = U diag(s / (s + l2)) Uᵀ + 1/n, and the values of the rows B
of a fold, from a fit to the other rows, follow without refitting (for one row: Allen 1974, PRESS):

    Y_B - Ŷ_B(without B) = (I - H_BB)⁻¹ (Y - H Y)_B

Rows with weights are multiplied by their roots. Where n is so large that Z does not fit into memory, `ridge_sums`
adds up ZᵀZ chunk by chunk.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.types import Array


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
        shrink = self.s / (self.s + l2)  # H = U diag(shrink) Uᵀ + share shareᵀ
        share = self.root / np.linalg.norm(self.root)
        centred = self.root[:, None] * (y - np.average(y, axis=0, weights=self.root**2))
        residual = centred - (self.u * shrink) @ (self.u.T @ centred)
        leverage = self.u**2 @ shrink + share**2
        without = residual / np.maximum(1 - leverage, 1e-9)[:, None]  # a fold of one row needs no equations
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
