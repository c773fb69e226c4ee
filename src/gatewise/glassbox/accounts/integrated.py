r"""Integrated gradients (Sundararajan, Taly & Yan 2017), through the kernel's own backward, without torch.

Every step's input x_t is drawn on a straight line from a baseline b, all steps at once, and the gradient of the margin
is averaged along the way:

    score_t = Σ_d (x_t - b)_d ∫_0^1 ∂margin/∂x_td (b + a (x - b)) da        start = margin(b)

With the start, the scores add up to the margin but for the error of the integral, which is the residual. The integral
is taken at Gauss-Legendre points, all of them and both ends of the path in one ragged batch. Where a network answers
with a jump somewhere on the way, no fixed points do: since the margin at both ends of any stretch is known, so is the
stretch's own error, and stretches that are off are halved until they are not, or the points are spent.

With gate="binary" the margin is a staircase along that path, and its gradient the straight-through one, which is the
slope of no staircase. Nothing then says that the scores add up; the residual says how far they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from gatewise.batch import PAD, Batch
from gatewise.cell import Array
from gatewise.errors import InputError, quote
from gatewise.glassbox.accounts.account import Account, Beside, Reading, direction_of
from gatewise.glassbox.net import Net, chunks
from gatewise.gradient import VALUES, gradients

__all__ = ["BASELINES", "Baseline", "IntegratedGradients"]

Baseline = Literal["unknown", "pad", "zero", "mean"]
BASELINES: tuple[Baseline, ...] = ("unknown", "pad", "zero", "mean")

_STEPS_AT_ONCE = 24_576  # rows of a batch, each with 4H numbers three times over


@dataclass(frozen=True)
class IntegratedGradients:
    """points: of the quadrature. most: what may be spent where they do not do; no more than `points` for none at all.

    baseline: what no word looks like, the same at every step. For tokens "unknown" (the embedding of a word that the
    vocabulary lacks), "pad" (of the pad), "zero" or "mean" (of all rows of the embedding). For series "zero", which is
    the mean of the training data, or "mean", of this series itself. None: "pad" where pads are masked, so that the
    network never learned anything from one, else "zero"; docs/glassbox.md has the measurements behind that.
    """

    points: int = 32
    baseline: Baseline | None = None
    most: int = 256
    adds_up = False
    beside: ClassVar[Beside] = "shared"

    def __post_init__(self) -> None:
        if self.points < 1:
            raise InputError(f"integrated gradients need at least 1 point, not {self.points}")
        if self.baseline not in (None, *BASELINES):
            raise InputError(f"a baseline is {', '.join(BASELINES)}, not {quote(self.baseline)}")

    def _named(self, net: Net) -> Baseline:
        if self.baseline is not None:
            return self.baseline
        return "pad" if net.arch.inputs == "tokens" and net.arch.padding == "none" else "zero"

    def _whose(self, net: Net) -> str:
        whose = {
            "unknown": "an unknown word",
            "pad": "a pad",
            "zero": "an embedding of zeros" if net.arch.inputs == "tokens" else "the training data's mean",
            "mean": "the mean word" if net.arch.inputs == "tokens" else "this series' mean",
        }
        return whose[self._named(net)]

    def note(self, net: Net) -> str:
        through = ", by the straight-through gradient of its binary gates" if net.arch.gate == "binary" else ""
        return (
            f"The logit's slope for the {net.thing}, averaged on the way from {self._whose(net)} to it at "
            f"{self.points} points or more{through}; it adds up but for the residual, and it is an account of slopes, "
            "not a cause."
        )

    def start_note(self, net: Net) -> str:
        return f"the verdict on {self._whose(net)}, step by step"

    def accounts(self, net: Net, readings: Sequence[Reading], channels: bool = False) -> list[Account]:
        if net.clamps:
            raise InputError("integrated gradients go through the kernel, which holds no gate: take the clamps away")
        paths = [_Path(net, self._named(net), reading, self.points) for reading in readings]
        _integrate(net, [_Stretch(path, 0.0, 1.0, self.points) for path in paths])
        if net.arch.gate == "sigmoid":  # with gates of 0 or 1 the residual is no error of the integral
            self._refine(net, paths)
        return [path.account(net) for path in paths]

    def _refine(self, net: Net, paths: Sequence[_Path]) -> None:
        points = max(1, self.points // 8)
        while True:
            halves = []
            for path in paths:
                for stretch in sorted(path.stretches, key=lambda stretch: -abs(stretch.residual)):
                    if path.spent + 2 * points > self.most or abs(stretch.residual) <= path.allowed(stretch):
                        break
                    path.stretches.remove(stretch)
                    middle = (stretch.low + stretch.high) / 2
                    halves.append(_Stretch(path, stretch.low, middle, points))
                    halves.append(_Stretch(path, middle, stretch.high, points))
                    path.spent += 2 * points
            if not halves:
                return
            _integrate(net, halves)


class _Path:
    """One reading's way from the baseline, as the stretches that it was cut into."""

    def __init__(self, net: Net, baseline: Baseline, reading: Reading, points: int) -> None:
        self.reading, self.spent = reading, points
        self.stretches: list[_Stretch] = []
        if net.arch.inputs == "tokens":
            table = net.parameters["embedding.weight"]
            self.x: Array = table[reading.read]  # (T, D)
            self.base: Array = _row(net, baseline, table)
        else:
            self.x = np.asarray(reading.read, dtype=net.parameters["dense.bias"].dtype)
            if baseline not in ("zero", "mean"):
                raise InputError(f"a series has the baselines zero and mean, not {baseline}")
            self.base = self.x.mean(axis=0) if baseline == "mean" else np.zeros_like(self.x[0])
        self.direction = direction_of(net.arch, reading.predicted)

    def allowed(self, stretch: _Stretch) -> float:
        """How far off a stretch may be: half a percent of the whole way, in proportion to its length."""
        ends = sorted(self.stretches, key=lambda one: one.low)
        way = abs(ends[-1].ends[1] - ends[0].ends[0])
        return 0.005 * max(way, 0.1) * max(stretch.high - stretch.low, 1 / 16)

    def account(self, net: Net) -> Account:
        first = min(self.stretches, key=lambda one: one.low)
        scores = np.sum([stretch.scores for stretch in self.stretches], axis=0)  # (T, D)
        return Account(scores.sum(axis=1), first.ends[0], scores if net.arch.inputs == "channels" else None)


class _Stretch:
    """A part of a path with `points` of its own and both its ends; its length is the steps of all of them together.

    Once integrated: scores (T, D), ends (the margin at low and high), residual.
    """

    def __init__(self, path: _Path, low: float, high: float, points: int) -> None:
        self.path, self.low, self.high = path, low, high
        places, weights = np.polynomial.legendre.leggauss(points)
        self.along = np.concatenate([[low], low + (high - low) * (places + 1) / 2, [high]])
        self.weights = np.concatenate([[0], (high - low) * weights / 2, [0]])
        self.scores: Array = np.zeros(0)
        self.ends = (0.0, 0.0)

    def __len__(self) -> int:
        return len(self.along) * len(self.path.x)

    def inputs(self) -> Array:
        """The inputs at every point (K T, D)."""
        x, base = self.path.x, self.path.base
        inputs: Array = base + self.along[:, None, None].astype(x.dtype) * (x - base)  # (K, T, D)
        if self.high == 1:
            inputs[-1] = x  # to the bit
        return inputs.reshape(-1, x.shape[1])

    @property
    def residual(self) -> float:
        return self.ends[1] - self.ends[0] - float(self.scores.sum())


def _row(net: Net, baseline: Baseline, table: Array) -> Array:
    if baseline == "unknown":
        if net.unknown is None:
            raise InputError("this vocabulary has no row for an unknown word: take the baseline pad, zero or mean")
        return np.asarray(table[net.unknown])
    if baseline == "pad":
        return np.asarray(table[PAD])
    return np.asarray(table.mean(axis=0)) if baseline == "mean" else np.zeros_like(table[0])


def _integrate(net: Net, stretches: Sequence[_Stretch]) -> None:
    """Fill in what the stretches lack, and give each to its path."""
    for some in chunks(stretches, _STEPS_AT_ONCE):
        _integrate_batch(net, some)
        for stretch in some:
            stretch.path.stretches.append(stretch)


def _integrate_batch(net: Net, stretches: Sequence[_Stretch]) -> None:
    arch, parameters = net.arch, dict(net.parameters)
    inputs = np.concatenate([one.inputs() for one in stretches])  # (N, D): each step of each point has its own row
    lengths = np.concatenate([np.full(len(one.along), len(one.path.x), dtype=np.int64) for one in stretches])
    if arch.inputs == "tokens":
        name = "embedding.weight"
        pads = arch.length - lengths if arch.padding == "pre" else None
        # An embedding of these rows alone, behind that of the pad, which stays what it is.
        parameters[name] = np.concatenate([net.parameters[name][[PAD]], inputs])
        rows = np.arange(len(inputs) + 1)
        batch = Batch(lengths, distinct=rows, index=rows[1:].astype(np.int32), pads=pads)
    else:
        name, batch = VALUES, Batch(lengths, values=inputs)
    sent = np.concatenate([one.weights[:, None] * one.path.direction for one in stretches])  # (runs, outputs)
    logits, slopes = gradients(parameters, arch, batch, lambda _: sent, [name], net.kernel)
    slope = slopes[name][1:] if arch.inputs == "tokens" else slopes[name]  # (N, D), weighted already
    row = run = 0
    for one in stretches:
        x, margins = one.path.x, logits[run : run + len(one.along)].astype(np.float64) @ one.path.direction
        mean = slope[row : row + len(one)].reshape(len(one.along), *x.shape).astype(np.float64).sum(axis=0)  # (T, D)
        one.scores, one.ends = mean * (x - one.path.base), (float(margins[0]), float(margins[-1]))
        row, run = row + len(one), run + len(one.along)
