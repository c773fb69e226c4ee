r"""Integrated gradients (Sundararajan, Taly & Yan 2017), through the kernel's own backward, without torch.

Every step's input x_t is drawn on a straight line from a baseline b, all steps at once, and the gradient of the margin
is averaged along the way:

    score_t = Σ_d (x_t - b)_d ∫_0^1 ∂margin/∂x_td (b + a (x - b)) da        start = margin(b)

With the start, the scores add up to the margin but for the error of the integral, which is the residual. The integral
is taken at Gauss-Legendre points, since the path is smooth. All points of a sequence are one ragged batch, and both
ends of the path are in it.

With gate="binary" the margin is a staircase along that path, and its gradient the straight-through one, which is the
slope of no staircase. Nothing then says that the scores add up; the residual says how far they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gatewise.batch import PAD, Batch
from gatewise.cell import Array
from gatewise.errors import InputError, quote
from gatewise.glassbox.accounts.account import Account, Reading, direction_of
from gatewise.glassbox.net import Net, chunks
from gatewise.gradient import VALUES, gradients
from gatewise.ragged import starts_of

__all__ = ["BASELINES", "Baseline", "IntegratedGradients"]

Baseline = Literal["unknown", "pad", "zero", "mean"]
BASELINES: tuple[Baseline, ...] = ("unknown", "pad", "zero", "mean")

_STEPS_AT_ONCE = 24_576  # rows of a batch, each with 4H numbers three times over


@dataclass(frozen=True)
class IntegratedGradients:
    """points: of the quadrature. baseline: what no word looks like, the same at every step.

    For tokens "unknown" (the embedding of a word that the vocabulary lacks), "pad" (of the pad), "zero" or "mean" (of
    all rows of the embedding). For series "zero", which is the mean of the training data, or "mean", of this series
    itself. None: "unknown" where there is one, else "zero".
    """

    points: int = 32
    baseline: Baseline | None = None
    adds_up = False

    def __post_init__(self) -> None:
        if self.points < 1:
            raise InputError(f"integrated gradients need at least 1 point, not {self.points}")
        if self.baseline not in (None, *BASELINES):
            raise InputError(f"a baseline is {', '.join(BASELINES)}, not {quote(self.baseline)}")

    def _named(self, net: Net) -> Baseline:
        return self.baseline or ("zero" if net.arch.inputs == "channels" or net.unknown is None else "unknown")

    def _whose(self, net: Net) -> str:
        whose = {
            "unknown": "an unknown word",
            "pad": "a pad",
            "zero": "zero" if net.arch.inputs == "tokens" else "the training data's mean",
            "mean": "the mean word" if net.arch.inputs == "tokens" else "this series' mean",
        }
        return whose[self._named(net)]

    def note(self, net: Net) -> str:
        through = ", by the straight-through gradient of its binary gates" if net.arch.gate == "binary" else ""
        return (
            f"The logit's slope for the {net.thing}, averaged on the way from {self._whose(net)} to it at "
            f"{self.points} points{through}; it adds up but for the residual, and it is an account of slopes, not a "
            "cause."
        )

    def start_note(self, net: Net) -> str:
        return f"the verdict on {self._whose(net)}, step by step"

    def accounts(self, net: Net, readings: Sequence[Reading], channels: bool = False) -> list[Account]:
        if net.clamps:
            raise InputError("integrated gradients go through the kernel, which holds no gate: take the clamps away")
        places, weights = np.polynomial.legendre.leggauss(self.points)
        along = np.concatenate([[0], (places + 1) / 2, [1]])  # from the baseline, both ends included
        weights = np.concatenate([[0], weights / 2, [0]])
        found = []
        for some in chunks([_Path(net, self._named(net), reading, len(along)) for reading in readings], _STEPS_AT_ONCE):
            found += _accounts(net, some, along, weights)
        return found


class _Path:
    """One reading's way from the baseline; its length is the steps of all points together."""

    def __init__(self, net: Net, baseline: Baseline, reading: Reading, points: int) -> None:
        self.reading, self.points = reading, points
        if net.arch.inputs == "tokens":
            table = net.parameters["embedding.weight"]
            self.x: Array = table[reading.read]  # (T, D)
            self.base: Array = _row(net, baseline, table)
        else:
            self.x = np.asarray(reading.read, dtype=net.parameters["dense.bias"].dtype)
            if baseline not in ("zero", "mean"):
                raise InputError(f"a series has the baselines zero and mean, not {baseline}")
            self.base = self.x.mean(axis=0) if baseline == "mean" else np.zeros_like(self.x[0])

    def __len__(self) -> int:
        return self.points * len(self.x)

    def at(self, along: Array) -> Array:
        """The inputs at every point (K T, D)."""
        away = self.x - self.base
        inputs: Array = self.base + along[:, None, None].astype(away.dtype) * away  # (K, T, D)
        inputs[-1] = self.x  # to the bit
        return inputs.reshape(-1, self.x.shape[1])


def _row(net: Net, baseline: Baseline, table: Array) -> Array:
    if baseline == "unknown":
        if net.unknown is None:
            raise InputError("this vocabulary has no row for an unknown word: take the baseline pad, zero or mean")
        return np.asarray(table[net.unknown])
    if baseline == "pad":
        return np.asarray(table[PAD])
    return np.asarray(table.mean(axis=0)) if baseline == "mean" else np.zeros_like(table[0])


def _accounts(net: Net, paths: list[_Path], along: Array, weights: Array) -> list[Account]:
    arch, parameters, K = net.arch, dict(net.parameters), len(along)
    inputs = np.concatenate([path.at(along) for path in paths])  # (N, D): each step of each point has a row of its own
    lengths = np.repeat([len(path.x) for path in paths], K).astype(np.int64)
    if arch.inputs == "tokens":
        name = "embedding.weight"
        pads = arch.length - lengths if arch.padding == "pre" else None
        # An embedding of these rows alone, behind that of the pad, which stays what it is.
        parameters[name] = np.concatenate([net.parameters[name][[PAD]], inputs])
        rows = np.arange(len(inputs) + 1)
        batch = Batch(lengths, distinct=rows, index=rows[1:].astype(np.int32), pads=pads)
    else:
        name, batch = VALUES, Batch(lengths, values=inputs)
    directions = np.stack([direction_of(arch, path.reading.predicted) for path in paths])  # (B, outputs)
    sent = directions[:, None] * weights[:, None]  # (B, K, outputs)
    logits, slopes = gradients(parameters, arch, batch, lambda _: sent.reshape(-1, arch.outputs), [name], net.kernel)
    slope = slopes[name][1:] if arch.inputs == "tokens" else slopes[name]  # (N, D), weighted already
    starts = np.einsum("bo,bo->b", directions, logits.reshape(len(paths), K, -1)[:, 0].astype(np.float64))
    found = []
    for path, first, start in zip(paths, starts_of(lengths)[::K], starts, strict=True):
        mean = slope[first : first + len(path)].reshape(K, *path.x.shape).astype(np.float64).sum(axis=0)  # (T, D)
        scores = mean * (path.x - path.base)
        found.append(Account(scores.sum(axis=1), float(start), scores if arch.inputs == "channels" else None))
    return found
