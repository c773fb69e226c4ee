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
from functools import cache
from typing import ClassVar, Literal

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.explain.attribution.method import Attribution, Beside, Example, direction_of
from gatewise.explain.net import ExplainedNetwork, chunks
from gatewise.kernels import Interpolation
from gatewise.kernels.ragged import starts_of
from gatewise.metrics.evaluation import target_score
from gatewise.network.autograd import VALUES, gradients
from gatewise.network.batch import PAD, Batch
from gatewise.types import Array

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

    def _named(self, net: ExplainedNetwork) -> Baseline:
        if self.baseline is not None:
            return self.baseline
        return "pad" if net.arch.inputs == "tokens" and net.arch.padding == "none" else "zero"

    def _whose(self, net: ExplainedNetwork) -> str:
        whose = {
            "unknown": "an unknown word",
            "pad": "a pad",
            "zero": "an embedding of zeros" if net.arch.inputs == "tokens" else "the training data's mean",
            "mean": "the mean word" if net.arch.inputs == "tokens" else "this series' mean",
        }
        return whose[self._named(net)]

    def note(self, net: ExplainedNetwork) -> str:
        through = ", by the straight-through gradient of its binary gates" if net.arch.gate == "binary" else ""
        return (
            f"The logit's slope for the {net.token_noun}, averaged on the way from {self._whose(net)} to it at "
            f"{self.points} points or more{through}; it adds up but for the residual, and it is an account of slopes, "
            "not a cause."
        )

    def start_note(self, net: ExplainedNetwork) -> str:
        return f"the verdict on {self._whose(net)}, step by step"

    def accounts(self, net: ExplainedNetwork, readings: Sequence[Example], channels: bool = False) -> list[Attribution]:
        if net.clamps:
            raise InputError("integrated gradients go through the kernel, which holds no gate: take the clamps away")
        paths = [_Path(net, self._named(net), reading, self.points) for reading in readings]
        _integrate(net, [_Stretch(path, 0.0, 1.0, self.points) for path in paths])
        if net.arch.gate == "sigmoid":  # with gates of 0 or 1 the residual is no error of the integral
            self._refine(net, paths)
        return [path.account(net) for path in paths]

    def _refine(self, net: ExplainedNetwork, paths: Sequence[_Path]) -> None:
        while True:
            halves = []
            for path in paths:
                for stretch in sorted(path.stretches, key=lambda stretch: -abs(stretch.residual)):
                    # First as many again, for corners all along the way; then fewer, to close in on a jump.
                    points = self.points if stretch.high - stretch.low == 1 else max(1, self.points // 8)
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

    def __init__(self, net: ExplainedNetwork, baseline: Baseline, reading: Example, points: int) -> None:
        self.reading, self.spent = reading, points
        self.stretches: list[_Stretch] = []
        self.margins = {1.0: float(target_score(reading.logits, reading.predicted))}  # by place on the way
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
        way = abs(self.margins[1.0] - self.margins[0.0])
        return 0.005 * max(way, 0.1) * max(stretch.high - stretch.low, 1 / 16)

    def account(self, net: ExplainedNetwork) -> Attribution:
        scores = np.sum([stretch.scores for stretch in self.stretches], axis=0)  # (T, D)
        return Attribution(scores.sum(axis=1), self.margins[0.0], scores if net.arch.inputs == "channels" else None)


class _Stretch:
    """A part of a path with `points` of its own, and those of its ends that are not known yet; its length is the steps
    of all of them together. Once integrated: scores (T, D), and its ends' margins are in the path.
    """

    def __init__(self, path: _Path, low: float, high: float, points: int) -> None:
        self.path, self.low, self.high = path, low, high
        places, weights = _legendre(points)
        self.ends = [place for place in (low, high) if place not in path.margins]
        path.margins.update(dict.fromkeys(self.ends, np.nan))  # asked for, by this one alone
        self.along = np.concatenate([self.ends, low + (high - low) * (places + 1) / 2])
        self.weights = np.concatenate([np.zeros(len(self.ends)), (high - low) * weights / 2])
        self.scores: Array = np.zeros(0)

    def __len__(self) -> int:
        return len(self.along) * len(self.path.x)

    @property
    def residual(self) -> float:
        return self.path.margins[self.high] - self.path.margins[self.low] - float(self.scores.sum())


@cache
def _legendre(points: int) -> tuple[Array, Array]:
    """Places in [-1, 1] and weights of Gauss-Legendre quadrature."""
    return np.polynomial.legendre.leggauss(points)


def _row(net: ExplainedNetwork, baseline: Baseline, table: Array) -> Array:
    if baseline == "unknown":
        if net.unknown is None:
            raise InputError("this vocabulary has no row for an unknown word: take the baseline pad, zero or mean")
        return np.asarray(table[net.unknown])
    if baseline == "pad":
        return np.asarray(table[PAD])
    return np.asarray(table.mean(axis=0)) if baseline == "mean" else np.zeros_like(table[0])


def _integrate(net: ExplainedNetwork, stretches: Sequence[_Stretch]) -> None:
    """Fill in what the stretches lack, and give each to its path."""
    for some in chunks(stretches, _STEPS_AT_ONCE):
        _integrate_batch(net, some)
        for stretch in some:
            stretch.path.stretches.append(stretch)


def _integrate_batch(net: ExplainedNetwork, stretches: Sequence[_Stretch]) -> None:
    """All points of the stretches as one batch. Its input rows are the pad, each stretch's baseline and each stretch's
    own steps; the runs lie between them, so no point has an input product of its own.
    """
    arch, parameters = net.arch, dict(net.parameters)
    bases = np.stack([one.path.base for one in stretches])  # (S, D)
    rows = np.concatenate([one.path.x for one in stretches])  # (R, D)
    runs = np.array([len(one.along) for one in stretches])
    steps = np.array([len(one.path.x) for one in stretches], dtype=np.int64)
    first = len(stretches) + starts_of(steps)
    index = np.concatenate(
        [np.tile(np.arange(f, f + t), k) for f, t, k in zip(first, steps, runs, strict=True)]
    )  # (N,): of each step of each run its row
    lengths, base = np.repeat(steps, runs), np.repeat(np.arange(len(stretches)), runs)
    if arch.inputs == "tokens":
        name, pads = "embedding.weight", arch.max_length - lengths if arch.padding == "pre" else None
        # An embedding of these rows alone, behind that of the pad, which stays what it is.
        parameters[name] = np.concatenate([net.parameters[name][[PAD]], bases, rows])
        batch = Batch(lengths, np.arange(len(parameters[name])), (index + 1).astype(np.int32), pads=pads)
        base = base + 1
    else:
        name, batch = VALUES, Batch(lengths, values=np.concatenate([bases, rows]), index=index.astype(np.int32))
    along = np.concatenate([one.along for one in stretches]).astype(rows.dtype)
    sent = np.concatenate([one.weights[:, None] * one.path.direction for one in stretches])  # (runs, outputs)
    drawn = Interpolation(base.astype(np.int32), along)
    logits, slopes = gradients(parameters, arch, batch, lambda _: sent, [name], net.kernel, drawn=drawn, memo=net.memo)
    slope = slopes[name][-len(rows) :].astype(np.float64)  # (R, D), weighted and summed over the runs
    run = row = 0
    for one in stretches:
        margins = logits[run : run + len(one.ends)].astype(np.float64) @ one.path.direction
        one.path.margins.update(zip(one.ends, margins.tolist(), strict=True))
        one.scores = slope[row : row + len(one.path.x)] * (one.path.x - one.path.base)
        run, row = run + len(one.along), row + len(one.path.x)
