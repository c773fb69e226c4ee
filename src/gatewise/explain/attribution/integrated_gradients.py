r"""Integrated gradients (Sundararajan, Taly & Yan 2017), with the kernel's own backward pass, without torch.

All step inputs x move together on a straight path from a baseline b, and the gradient of the target score is averaged
along the path:

    score_t = Σ_d (x_t - b)_d ∫_0^1 ∂score/∂x_td (b + a (x - b)) da        base value = score(b)

With the base value, the scores add up to the target score, except for the error of the integral, the residual. The
integral is taken at Gauss-Legendre points; the points and both ends of the path are one ragged batch. Where the score
jumps along the path, a fixed number of points is not enough. The score at both ends of any interval is known, and so is
the interval's error: intervals with a large error are halved until it is small or the points are used up.

With gate="binary" the score is a step function along the path and the gradient is the straight-through estimate. The
scores then need not add up, and the residual says by how much they do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, Literal

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.explain.attribution.method import Attribution
from gatewise.explain.example import Example
from gatewise.kernels import Interpolation
from gatewise.kernels.ragged import starts_of
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.members.member import Rule
from gatewise.network.autograd import VALUES, gradients
from gatewise.network.batch import PAD, Batch, chunks
from gatewise.system.cancel import check_cancelled
from gatewise.types import Array

Baseline = Literal["unknown", "pad", "zero", "mean"]
BASELINES: tuple[Baseline, ...] = ("unknown", "pad", "zero", "mean")

_STEPS_PER_BATCH = 24_576  # rows of a batch, each with 4H numbers three times over
_STATES_PER_BATCH = 1 << 22  # rows times the units of a layer


@dataclass(frozen=True)
class IntegratedGradients:
    """points: of the quadrature. max_points: the limit for paths that need more; `points` or less for no refinement. It
    bounds the time and is not compared: methods that differ in it alone are equal.

    baseline: the input without information, the same at every step. For tokens: "unknown" (the embedding of an unknown
    word), "pad" (of the pad), "zero", or "mean" (of all rows of the embedding). For series: "zero", the mean of the
    training data, or "mean", of this series. None: "pad" where pads are masked, so that the network never learned
    anything from a pad, else "zero"; docs/explain.md has the measurements.
    """

    points: int = 32
    baseline: Baseline | None = None
    max_points: int = field(default=256, compare=False)
    name: ClassVar[str] = "integrated-gradients"
    adds_up: ClassVar[bool] = False
    rule: ClassVar[Rule] = "shared"

    def __post_init__(self) -> None:
        if self.points < 1:
            raise InputError(f"integrated gradients need at least 1 point, not {self.points}")
        if self.baseline not in (None, *BASELINES):
            raise InputError(f"a baseline is {', '.join(BASELINES)}, not {quote(self.baseline)}")

    def _baseline_of(self, net: LSTM) -> Baseline:
        if self.baseline is not None:
            return self.baseline
        return "pad" if net.arch.inputs == "tokens" and net.arch.padding == "none" else "zero"

    def _baseline_text(self, net: LSTM) -> str:
        texts = {
            "unknown": "an unknown word",
            "pad": "a pad",
            "zero": "an embedding of zeros" if net.arch.inputs == "tokens" else "the training data's mean",
            "mean": "the mean word" if net.arch.inputs == "tokens" else "this series' mean",
        }
        return texts[self._baseline_of(net)]

    def note(self, ensemble: Ensemble) -> str:
        noun, binary = ensemble.score_noun, ensemble.lstm.arch.gate == "binary"
        through = ", by the straight-through gradient of its binary gates" if binary else ""
        return (
            f"The {noun}'s gradient with respect to the {ensemble.token_noun}, averaged over {self.points} or more "
            f"points on the path from {self._baseline_text(ensemble.lstm)} to it{through}; the scores and the base "
            f"value add up to the {noun} minus the residual, and they describe gradients, not a cause."
        )

    def base_value_note(self, ensemble: Ensemble) -> str:
        return f"the prediction for {self._baseline_text(ensemble.lstm)} at every {ensemble.token_noun}"

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        if not examples:
            return []
        net = examples[0].lstm
        if net.clamps:
            raise InputError("integrated gradients need the kernel's backward pass, which has no clamps: remove them")
        paths = [_Path(net, self._baseline_of(net), example, self.points) for example in examples]
        _integrate(net, [_Interval(path, 0.0, 1.0, self.points) for path in paths])
        if net.arch.gate == "sigmoid":  # with binary gates the residual is not an error of the integral
            self._refine(net, paths)
        return [path.attribution(net) for path in paths]

    def _refine(self, net: LSTM, paths: Sequence[_Path]) -> None:
        while True:
            halves = []
            for path in paths:
                for interval in sorted(path.intervals, key=lambda interval: -abs(interval.residual)):
                    # First the full number, for corners along the whole path; then fewer, to close in on a jump.
                    points = self.points if interval.high - interval.low == 1 else max(1, self.points // 8)
                    if path.used + 2 * points > self.max_points or abs(interval.residual) <= path.allowed(interval):
                        break
                    path.intervals.remove(interval)
                    middle = (interval.low + interval.high) / 2
                    halves.append(_Interval(path, interval.low, middle, points))
                    halves.append(_Interval(path, middle, interval.high, points))
                    path.used += 2 * points
            if not halves:
                return
            _integrate(net, halves)


class _Path:
    """One example's path from the baseline, as the intervals that it is divided into."""

    def __init__(self, net: LSTM, baseline: Baseline, example: Example, points: int) -> None:
        self.used = points
        self.intervals: list[_Interval] = []
        self.score_at = {
            1.0: float(example.lstm_score(example.lstm_logits))
        }  # the target score by position on the path, 0 to 1
        if net.arch.inputs == "tokens":
            table = net.parameters["embedding.weight"]
            self.x: Array = table[example.read]  # (T, D)
            self.base: Array = _row(net, baseline, table)
        else:
            self.x = np.asarray(example.read, dtype=net.parameters["dense.bias"].dtype)
            if baseline not in ("zero", "mean"):
                raise InputError(f"a series has the baselines zero and mean, not {baseline}")
            self.base = self.x.mean(axis=0) if baseline == "mean" else np.zeros_like(self.x[0])
        self.logit_weights = example.lstm_score.weights

    def allowed(self, interval: _Interval) -> float:
        """The largest error of an interval: half a percent of the whole difference, in proportion to its length."""
        difference = abs(self.score_at[1.0] - self.score_at[0.0])
        return 0.005 * max(difference, 0.1) * max(interval.high - interval.low, 1 / 16)

    def attribution(self, net: LSTM) -> Attribution:
        scores = np.sum([interval.scores for interval in self.intervals], axis=0)  # (T, D)
        return Attribution(scores.sum(axis=1), self.score_at[0.0], scores if net.arch.inputs == "channels" else None)


class _Interval:
    """A part of a path with its own `points`, and those of its ends whose score is not known yet. After integration:
    scores (T, D), and the path has the scores of its ends.
    """

    def __init__(self, path: _Path, low: float, high: float, points: int) -> None:
        self.path, self.low, self.high = path, low, high
        nodes, weights = _legendre(points)
        self.ends = [end for end in (low, high) if end not in path.score_at]
        path.score_at.update(dict.fromkeys(self.ends, np.nan))  # no other interval computes them
        self.alphas = np.concatenate([self.ends, low + (high - low) * (nodes + 1) / 2])
        self.weights = np.concatenate([np.zeros(len(self.ends)), (high - low) * weights / 2])
        self.scores: Array = np.zeros(path.x.shape)

    def pieces(self, steps: int) -> Iterator[_Piece]:
        """The ends and points in pieces of at most so many steps, or of one point."""
        count = max(1, steps // len(self.path.x))
        for first in range(0, len(self.alphas), count):
            rows = slice(first, first + count)
            yield _Piece(self, self.ends[rows], self.alphas[rows], self.weights[rows])

    @property
    def residual(self) -> float:
        return self.path.score_at[self.high] - self.path.score_at[self.low] - float(self.scores.sum())


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some positions of an interval, those of its ends first. len() is the number of steps of all of them."""

    interval: _Interval
    ends: Sequence[float]
    alphas: Array
    weights: Array

    @property
    def path(self) -> _Path:
        return self.interval.path

    def __len__(self) -> int:
        return len(self.alphas) * len(self.path.x)


@cache
def _legendre(points: int) -> tuple[Array, Array]:
    """Nodes in [-1, 1] and weights of Gauss-Legendre quadrature."""
    return np.polynomial.legendre.leggauss(points)


def _row(net: LSTM, baseline: Baseline, table: Array) -> Array:
    if baseline == "unknown":
        if net.unknown is None:
            raise InputError("this vocabulary has no row for an unknown word: use the baseline pad, zero or mean")
        return np.asarray(table[net.unknown])
    if baseline == "pad":
        return np.asarray(table[PAD])
    return np.asarray(table.mean(axis=0)) if baseline == "mean" else np.zeros_like(table[0])


def _integrate(net: LSTM, intervals: Sequence[_Interval]) -> None:
    """Compute the scores of the intervals, and add each to its path."""
    steps = min(_STEPS_PER_BATCH, _STATES_PER_BATCH // (net.arch.units * len(net.arch.directions)))
    for some in chunks((piece for interval in intervals for piece in interval.pieces(steps)), steps):
        check_cancelled()
        _integrate_batch(net, some)
    for interval in intervals:
        interval.path.intervals.append(interval)


def _integrate_batch(net: LSTM, pieces: Sequence[_Piece]) -> None:
    """All points of the pieces as one batch. Its input rows are the pad, the baseline and the steps of each piece; the
    runs interpolate between them, so no point has an input product of its own.
    """
    arch, parameters = net.arch, dict(net.parameters)
    bases = np.stack([one.path.base for one in pieces])  # (S, D)
    rows = np.concatenate([one.path.x for one in pieces])  # (R, D)
    runs = np.array([len(one.alphas) for one in pieces])
    steps = np.array([len(one.path.x) for one in pieces], dtype=np.int64)
    first = len(pieces) + starts_of(steps)
    index = np.concatenate(
        [np.tile(np.arange(f, f + t), k) for f, t, k in zip(first, steps, runs, strict=True)]
    )  # (N,): of each step of each run its row
    lengths, base = np.repeat(steps, runs), np.repeat(np.arange(len(pieces)), runs)
    if arch.inputs == "tokens":
        name, pads = "embedding.weight", arch.max_length - lengths if arch.padding == "pre" else None
        # An embedding of these rows only, after the pad, whose row stays the same.
        parameters[name] = np.concatenate([net.parameters[name][[PAD]], bases, rows])
        batch = Batch(lengths, np.arange(len(parameters[name])), (index + 1).astype(np.int32), pads=pads)
        base = base + 1
    else:
        name, batch = VALUES, Batch(lengths, values=np.concatenate([bases, rows]), index=index.astype(np.int32))
    alphas = np.concatenate([one.alphas for one in pieces]).astype(rows.dtype)
    dlogits = np.concatenate([one.weights[:, None] * one.path.logit_weights for one in pieces])  # (runs, outputs)
    points = Interpolation(base.astype(np.int32), alphas)
    logits, slopes = gradients(
        parameters, arch, batch, lambda _: dlogits, [name], net.ops().kernel, interpolation=points, memo=net.memo
    )
    slope = slopes[name][-len(rows) :].astype(np.float64)  # (R, D), weighted and summed over the runs
    run = row = 0
    for one in pieces:
        ends = logits[run : run + len(one.ends)].astype(np.float64) @ one.path.logit_weights
        one.path.score_at.update(zip(one.ends, ends.tolist(), strict=True))
        one.interval.scores += slope[row : row + len(one.path.x)] * (one.path.x - one.path.base)
        run, row = run + len(one.alphas), row + len(one.path.x)
