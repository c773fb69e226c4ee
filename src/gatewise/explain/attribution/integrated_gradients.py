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
from typing import Any

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.explain.attribution.baselines import BASELINES, Baseline, baselines_of
from gatewise.explain.attribution.method import Attribution, Method
from gatewise.explain.example import Example
from gatewise.members.ensemble import Ensemble
from gatewise.members.network import Network
from gatewise.members.path_gradients import PathPoints
from gatewise.network.batch import chunks
from gatewise.system.cancel import check_cancelled
from gatewise.types import Array

_STEPS_PER_BATCH = 24_576  # rows of a batch, each with 4H numbers three times over
_STATES_PER_BATCH = 1 << 22  # rows times the units of a layer


@dataclass(frozen=True)
class IntegratedGradients(Method):
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
    name = "integrated-gradients"
    rule = "shared"

    def __post_init__(self) -> None:
        if self.points < 1:
            raise InputError(f"integrated gradients need at least 1 point, not {self.points}")
        if self.baseline not in (None, *BASELINES):
            raise InputError(f"a baseline is {', '.join(BASELINES)}, not {quote(self.baseline)}")

    def _baseline_of(self, net: Network) -> Baseline:
        baselines = baselines_of(net)
        if self.baseline is None:
            return baselines.default(net)
        known = baselines.texts(net)
        if self.baseline not in known:
            raise InputError(f"a {net.nouns.one} has the baselines {' and '.join(known)}, not {self.baseline}")
        return self.baseline

    def _baseline_text(self, net: Network) -> str:
        return baselines_of(net).texts(net)[self._baseline_of(net)]

    def note(self, ensemble: Ensemble) -> str:
        noun = ensemble.target.each.score_noun
        through = ""
        if ensemble.network.has_binary_gates:
            through = ", by the straight-through gradient of its binary gates"
        return (
            f"The {noun}'s gradient with respect to the {ensemble.token_noun}, averaged over {self.points} or more "
            f"points on the path from {self._baseline_text(ensemble.network)} to it{through}; the scores and the base "
            f"value add up to the {noun} minus the residual, and they describe gradients, not a cause."
        )

    def base_value_note(self, ensemble: Ensemble) -> str:
        return f"the prediction for {self._baseline_text(ensemble.network)} at every {ensemble.token_noun}"

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        net = examples[0].network
        if net.clamps:
            raise InputError("integrated gradients need the kernel's backward pass, which has no clamps: remove them")
        paths = [self._path(example) for example in examples]
        _integrate(net, [_Interval(path, 0.0, 1.0, self.points) for path in paths])
        while not net.has_binary_gates:  # with binary gates the residual is not an error of the integral
            halves = [half for path in paths for half in self._halves(path)]
            if not halves:
                break
            _integrate(net, halves)
        by_channel = baselines_of(net).by_channel
        attributions = []
        for path in paths:
            scores = np.sum([interval.scores for interval in path.intervals], axis=0)  # (T, D)
            attributions.append(Attribution(scores.sum(axis=1), path.score_at[0.0], scores if by_channel else None))
        return attributions

    def _path(self, example: Example) -> _Path:
        net = example.network
        x = np.asarray(net.embedded(example.part), dtype=net.float_dtype)
        base = baselines_of(net).of(net, x, self._baseline_of(net))
        score = example.lstm_score
        score_at = {1.0: float(score(example.lstm_logits))}
        return _Path(x, base, score.weights, score_at, self.points, example.step, example.part)

    def _halves(self, path: _Path) -> Iterator[_Interval]:
        """The halves of the intervals with the largest errors, in place of these, while the path has points left."""
        for interval in sorted(path.intervals, key=lambda interval: -abs(interval.residual)):
            # First the full number, for corners along the whole path; then fewer, to close in on a jump.
            points = max(1, self.points // 8)
            if interval.high - interval.low == 1:
                points = self.points
            if path.used + 2 * points > self.max_points or abs(interval.residual) <= interval.allowed:
                break
            path.intervals.remove(interval)
            path.used += 2 * points
            middle = (interval.low + interval.high) / 2
            yield _Interval(path, interval.low, middle, points)
            yield _Interval(path, middle, interval.high, points)


@dataclass(eq=False)
class _Path:
    """The path from `base` (D,) to the input x (T, D). score_at: the target score by position on it, 0 to 1; used: its
    points so far; step: the one that is explained, of a tagger; part: what the network reads of the sequence;
    intervals: those that it is divided into, once they are integrated.
    """

    x: Array
    base: Array
    logit_weights: Array
    score_at: dict[float, float]
    used: int
    step: int | None = None
    part: Any = None
    intervals: list[_Interval] = field(default_factory=list)


class _Interval:
    """A part of a path with points of its own. alphas, weights: its ends whose score is not known yet, with weight 0,
    and its points. After integration it has scores (T, D), and the path has the scores of its ends.
    """

    def __init__(self, path: _Path, low: float, high: float, points: int) -> None:
        self.path = path
        self.low = low
        self.high = high
        nodes, weights = _legendre(points)
        ends = [end for end in (low, high) if end not in path.score_at]
        path.score_at.update(dict.fromkeys(ends, np.nan))  # no other interval computes them
        self.alphas = np.concatenate([ends, low + (high - low) * (nodes + 1) / 2])
        self.weights = np.concatenate([np.zeros(len(ends)), (high - low) * weights / 2])
        self.scores: Array = np.zeros(path.x.shape)

    @property
    def residual(self) -> float:
        return self.path.score_at[self.high] - self.path.score_at[self.low] - float(self.scores.sum())

    @property
    def allowed(self) -> float:
        """The largest error: half a percent of the path's whole difference, in proportion to the length."""
        difference = abs(self.path.score_at[1.0] - self.path.score_at[0.0])
        return 0.005 * max(difference, 0.1) * max(self.high - self.low, 1 / 16)


@dataclass(frozen=True, eq=False)
class _Piece(PathPoints):
    """Some points of an interval. The ends of the interval have the weight 0."""

    interval: _Interval


@cache
def _legendre(points: int) -> tuple[Array, Array]:
    """Nodes in [-1, 1] and weights of Gauss-Legendre quadrature."""
    return np.polynomial.legendre.leggauss(points)


def _integrate(net: Network, intervals: Sequence[_Interval]) -> None:
    """Compute the scores of the intervals, and add each to its path."""
    steps = min(_STEPS_PER_BATCH, _STATES_PER_BATCH // net.step_size)
    pieces: list[_Piece] = []
    for interval in intervals:
        path = interval.path
        count = max(1, steps // len(path.x))  # positions of a piece
        for first in range(0, len(interval.alphas), count):
            rows = slice(first, first + count)
            points = (path.x, path.base, interval.alphas[rows], interval.weights[rows])
            pieces.append(_Piece(*points, path.logit_weights, path.step, path.part, interval))
        path.intervals.append(interval)
    for batch in chunks(pieces, steps):
        check_cancelled()
        for piece, (scores, gradient) in zip(batch, net.path_gradients(batch), strict=True):
            path = piece.interval.path
            is_end = piece.weights == 0
            path.score_at.update(zip(piece.alphas[is_end].tolist(), scores[is_end].tolist(), strict=True))
            piece.interval.scores += gradient * (path.x - path.base)
