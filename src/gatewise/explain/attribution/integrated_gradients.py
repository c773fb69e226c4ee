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
from typing import Literal

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.explain.attribution.method import Attribution, Method
from gatewise.explain.example import Example
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.network.autograd import VALUES, gradients
from gatewise.network.batch import PAD, Batch, chunks
from gatewise.ragged import starts_of
from gatewise.system.cancel import check_cancelled
from gatewise.types import Array

Baseline = Literal["unknown", "pad", "zero", "mean"]
BASELINES: tuple[Baseline, ...] = ("unknown", "pad", "zero", "mean")
_BASELINE_TEXTS: dict[str, dict[Baseline, str]] = {
    "tokens": {
        "unknown": "an unknown word",
        "pad": "a pad",
        "zero": "an embedding of zeros",
        "mean": "the mean word",
    },
    "channels": {"zero": "the training data's mean", "mean": "this series' mean"},
}

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

    def _baseline_of(self, net: LSTM) -> Baseline:
        known = _BASELINE_TEXTS[net.arch.inputs]
        if self.baseline is not None and self.baseline not in known:
            raise InputError(f"a {net.arch.nouns.one} has the baselines {' and '.join(known)}, not {self.baseline}")
        if self.baseline is not None:
            return self.baseline
        return "pad" if net.arch.inputs == "tokens" and net.arch.padding == "none" else "zero"

    def _baseline_text(self, net: LSTM) -> str:
        return _BASELINE_TEXTS[net.arch.inputs][self._baseline_of(net)]

    def note(self, ensemble: Ensemble) -> str:
        noun, binary = ensemble.target.score_noun, ensemble.lstm.arch.gate == "binary"
        through = ", by the straight-through gradient of its binary gates" if binary else ""
        return (
            f"The {noun}'s gradient with respect to the {ensemble.token_noun}, averaged over {self.points} or more "
            f"points on the path from {self._baseline_text(ensemble.lstm)} to it{through}; the scores and the base "
            f"value add up to the {noun} minus the residual, and they describe gradients, not a cause."
        )

    def base_value_note(self, ensemble: Ensemble) -> str:
        return f"the prediction for {self._baseline_text(ensemble.lstm)} at every {ensemble.token_noun}"

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        net = examples[0].lstm
        if net.clamps:
            raise InputError("integrated gradients need the kernel's backward pass, which has no clamps: remove them")
        paths = [self._path(example) for example in examples]
        _integrate(net, [_Interval(path, 0.0, 1.0, self.points) for path in paths])
        while net.arch.gate == "sigmoid":  # with binary gates the residual is not an error of the integral
            halves = [half for path in paths for half in self._halves(path)]
            if not halves:
                break
            _integrate(net, halves)
        by_channel = net.arch.inputs == "channels"
        found = []
        for path in paths:
            scores = np.sum([interval.scores for interval in path.intervals], axis=0)  # (T, D)
            found.append(Attribution(scores.sum(axis=1), path.score_at[0.0], scores if by_channel else None))
        return found

    def _path(self, example: Example) -> _Path:
        net, baseline = example.lstm, self._baseline_of(example.lstm)
        x = net.embedded(example.read)
        if net.arch.inputs == "tokens":
            table = net.parameters["embedding.weight"]
            if baseline == "unknown" and net.unknown is None:
                raise InputError("this vocabulary has no row for an unknown word: use the baseline pad, zero or mean")
            base = np.zeros_like(table[0])
            if baseline != "zero":
                base = table.mean(axis=0) if baseline == "mean" else table[PAD if baseline == "pad" else net.unknown]
        else:
            x = np.asarray(x, dtype=net.parameters["dense.bias"].dtype)
            base = x.mean(axis=0) if baseline == "mean" else np.zeros_like(x[0])
        score = example.lstm_score
        return _Path(x, base, score.weights, {1.0: float(score(example.lstm_logits))}, self.points, example.step)

    def _halves(self, path: _Path) -> Iterator[_Interval]:
        """The halves of the intervals with the largest errors, in place of these, while the path has points left."""
        for one in sorted(path.intervals, key=lambda one: -abs(one.residual)):
            # First the full number, for corners along the whole path; then fewer, to close in on a jump.
            points = self.points if one.high - one.low == 1 else max(1, self.points // 8)
            if path.used + 2 * points > self.max_points or abs(one.residual) <= one.allowed:
                break
            path.intervals.remove(one)
            path.used += 2 * points
            middle = (one.low + one.high) / 2
            yield _Interval(path, one.low, middle, points)
            yield _Interval(path, middle, one.high, points)


@dataclass(eq=False)
class _Path:
    """The path from `base` (D,) to the input x (T, D). score_at: the target score by position on it, 0 to 1; used: its
    points so far; step: the one that is explained, of a tagger; intervals: those that it is divided into, once they are
    integrated.
    """

    x: Array
    base: Array
    logit_weights: Array
    score_at: dict[float, float]
    used: int
    step: int | None = None
    intervals: list[_Interval] = field(default_factory=list)


class _Interval:
    """A part of a path with points of its own. alphas, weights: its ends whose score is not known yet, with weight 0,
    and its points. After integration it has scores (T, D), and the path has the scores of its ends.
    """

    def __init__(self, path: _Path, low: float, high: float, points: int) -> None:
        self.path, self.low, self.high = path, low, high
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
class _Piece:
    """Some positions of an interval. len() is the number of steps of all of them."""

    interval: _Interval
    alphas: Array
    weights: Array

    def __len__(self) -> int:
        return len(self.alphas) * len(self.interval.path.x)


@cache
def _legendre(points: int) -> tuple[Array, Array]:
    """Nodes in [-1, 1] and weights of Gauss-Legendre quadrature."""
    return np.polynomial.legendre.leggauss(points)


def _integrate(net: LSTM, intervals: Sequence[_Interval]) -> None:
    """Compute the scores of the intervals, and add each to its path."""
    steps = min(_STEPS_PER_BATCH, _STATES_PER_BATCH // (net.arch.top.size))
    pieces = []
    for one in intervals:
        count = max(1, steps // len(one.path.x))  # positions of a piece
        for first in range(0, len(one.alphas), count):
            rows = slice(first, first + count)
            pieces.append(_Piece(one, one.alphas[rows], one.weights[rows]))
        one.path.intervals.append(one)
    for some in chunks(pieces, steps):
        check_cancelled()
        _integrate_batch(net, some)


def _integrate_batch(net: LSTM, pieces: Sequence[_Piece]) -> None:
    """All points of the pieces as one batch. Its input rows are the pad, the baseline and the steps of each piece; the
    runs interpolate between them, so no point has an input product of its own.
    """
    arch, parameters = net.arch, dict(net.parameters)
    paths = [one.interval.path for one in pieces]
    bases, rows = np.stack([path.base for path in paths]), np.concatenate([path.x for path in paths])  # (S, D), (R, D)
    runs = np.array([len(one.alphas) for one in pieces])
    steps = np.array([len(path.x) for path in paths], dtype=np.intp)
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
    dlogits = np.concatenate(
        [one.weights[:, None] * path.logit_weights for one, path in zip(pieces, paths, strict=True)]
    )  # (runs, outputs)
    explained = np.arange(len(lengths))  # the rows of the logits
    if paths[0].step is not None:
        explained = starts_of(lengths) + np.repeat([path.step for path in paths], runs)

    def of_rows(logits: Array) -> Array:
        found = np.zeros_like(logits, dtype=dlogits.dtype)
        found[explained] = dlogits
        return found

    points = base.astype(np.int32), alphas
    logits, slopes = gradients(
        parameters, arch, batch, of_rows, [name], net.ops().kernel, interpolation=points, memo=net.memo
    )
    logits = logits[explained]
    slope = slopes[name][-len(rows) :].astype(np.float64)  # (R, D), weighted and summed over the runs
    run = row = 0
    for one, path in zip(pieces, paths, strict=True):
        ends = one.alphas[one.weights == 0]  # they come first
        scores = logits[run : run + len(ends)].astype(np.float64) @ path.logit_weights
        path.score_at.update(zip(ends.tolist(), scores.tolist(), strict=True))
        one.interval.scores += slope[row : row + len(path.x)] * (path.x - path.base)
        run, row = run + len(one.alphas), row + len(path.x)
