"""Fit the polynomial of the native kernel's sigmoid and tanh, and measure its float32 error against float64.

    python benchmarks/fit_activations.py

expm1(r) = r + r² q(r) on |r| ≤ ln2 / 2, with q of degree 4, which keeps the relative error small near zero. q is the
minimax fit of (expm1(r) - r) / r² with weight r² / expm1(r), by Remez exchange; the coefficients are those in
src/native/activations.h. `power`, `expm1` and `sigmoid` do the computation of that header in NumPy float32, over a
dense grid.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

DEGREE = 4
EDGE = 0.5 * log(2)
# 1.5 · 2^23 + 127: adding it rounds to an integer n and leaves n + 127 in the low bits.
MAGIC = np.float32(12582912 + 127)
LOG2E, LN2_HIGH, LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
Floats = NDArray[np.float32]


def remez() -> NDArray[np.float64]:
    """Coefficients (5,) of q, constant term first; the relative error of r + r² q(r) is equioscillating."""
    grid = np.linspace(-EDGE, EDGE, 200_001)
    grid = grid[grid != 0]
    target_values = (np.expm1(grid) - grid) / grid**2
    weight = grid**2 / np.expm1(grid)
    nodes = EDGE * np.cos(np.pi * (np.arange(DEGREE + 2) + 0.5) / (DEGREE + 2))[::-1]
    for _ in range(30):
        at = np.clip(np.searchsorted(grid, nodes), 0, len(grid) - 1)
        # Unknowns: the coefficients and the ripple; weight · (q - target_values) = ± ripple at the nodes.
        system = np.hstack([np.vander(grid[at], DEGREE + 1, increasing=True), (-1.0) ** np.arange(DEGREE + 2)[:, None]])
        system[:, -1] /= np.abs(weight[at])
        coefficients: NDArray[np.float64] = np.linalg.solve(system, target_values[at])[:-1]
        error = np.abs(weight) * (np.polynomial.polynomial.polyval(grid, coefficients) - target_values)
        # The new nodes: the largest error of each sign between two changes of sign.
        cuts = np.flatnonzero(np.diff(np.sign(error)))
        peaks = [part[np.argmax(np.abs(error[part]))] for part in np.split(np.arange(len(grid)), cuts + 1)]
        if len(peaks) != DEGREE + 2:
            break
        nodes = grid[peaks]
    return coefficients


def power(x: Floats, q: Floats) -> tuple[Floats, Floats]:
    """scale and p with e^x = scale (1 + p), as in activations.h, except that a multiply-add rounds twice here."""
    x = np.clip(x, np.float32(-88), np.float32(88))
    shifted = x * LOG2E + MAGIC
    n = shifted - MAGIC
    scale = (shifted.view(np.int32) << 23).view(np.float32)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    polynomial = np.full_like(r, q[DEGREE])
    for coefficient in q[DEGREE - 1 :: -1]:
        polynomial = polynomial * r + coefficient
    return scale, (r * r) * polynomial + r


def expm1(x: Floats, q: Floats) -> Floats:
    scale, p = power(x, q)
    return scale * p + (scale - np.float32(1))


def sigmoid(x: Floats, q: Floats) -> Floats:
    scale, p = power(-x, q)
    return np.float32(1) / (scale * p + scale + np.float32(1))


def main() -> None:
    q = remez().astype(np.float32)
    print("q, constant term first:", ", ".join(f"{c:.9g}f" for c in q))
    r = np.linspace(-EDGE, EDGE, 1_000_001)
    r = r[r != 0]
    fit = r + r * r * np.polynomial.polynomial.polyval(r, q.astype(np.float64))
    print(f"fit in exact arithmetic: largest relative error {np.max(np.abs(fit / np.expm1(r) - 1)):.2e}")
    small = np.geomspace(1e-30, 1, 100_001)
    # Every 31st float from 2^-7 to 16, where the errors are largest; a linear grid has few numbers below 1.
    dense = np.arange(*np.array([2**-7, 16], np.float32).view(np.int32), 31, dtype=np.int32).view(np.float32)
    x = np.concatenate([np.linspace(-80, 80, 1_000_001), small, -small, dense, -dense])
    x32 = x.astype(np.float32)
    wide = x32.astype(np.float64)
    two = np.float32(2)
    with np.errstate(over="ignore"):
        rows = [
            ("expm1", expm1(x32, q), np.expm1(wide)),
            ("sigmoid", sigmoid(x32, q), 1 / (1 + np.exp(-wide))),
            ("tanh", (e := expm1(two * x32, q)) / (e + two), np.tanh(wide)),
        ]
    for name, computed, exact in rows:
        relative = np.where(exact == 0, 0, np.abs(computed.astype(np.float64) / np.where(exact == 0, 1, exact) - 1))
        ulp = np.abs(computed - exact) / np.spacing(np.abs(exact.astype(np.float32)))
        worst = int(np.argmax(relative))
        ulps = f"{np.max(ulp):.2f} ulp; mean {np.mean(ulp):.3f} ulp"
        print(f"{name:8} largest relative error {relative[worst]:.2e} at {wide[worst]:.6g}, {ulps}")


if __name__ == "__main__":
    main()
