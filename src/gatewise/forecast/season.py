"""The period of the season, from autocorrelations and from how well a pattern of this period repeats."""

from __future__ import annotations

import numpy as np

from gatewise.types import Array

MAX_PERIOD = 400
_LEAST_AUTOCORRELATION = 0.2
_LEAST_EXPLAINED = 0.2
_NEAR = 0.7  # of the highest peak: the first such peak counts, higher ones may be at its multiples
_MOVED = 2  # lags by which noise moves a peak


def detect_season(series: list[Array]) -> int:
    """The period common to the series (n,), 1 if there is none.

    A peak is found in each of two autocorrelations, averaged over the series: of the values without their straight
    line, which noise hardly changes, and of the first differences, which a changing level hardly changes. Peaks count
    after the first autocorrelation of at most 0, if they are above 0.2 and above two standard errors of noise; the
    first of at least 70% of the highest is taken.

    Of the periods at most 2 from these peaks, the one is taken whose pattern repeats best: each cycle is predicted by
    the mean of the other cycles. It is a season if this explains at least a fifth of the variance.
    """
    top = min(min(len(one) // 3 for one in series), MAX_PERIOD)
    scaled = [one / np.abs(one).max() for one in series if np.ptp(one) > 0]
    if top < 4 or not scaled:
        return 1
    least = max(_LEAST_AUTOCORRELATION, 2 / float(np.sqrt(sum(map(len, scaled)))))
    peaks = (
        _peak([_autocorrelation(_without_line(one), top) for one in scaled], least),
        _peak([_autocorrelation(np.diff(one), top) for one in scaled], least),
    )
    periods = [k for peak in peaks if peak for k in range(max(peak - _MOVED, 2), min(peak + _MOVED, top) + 1)]
    explained = {k: float(np.mean([_explained(one, k) for one in scaled])) for k in periods}
    best = max(periods, key=explained.__getitem__, default=1)
    return best if explained.get(best, 0.0) >= _LEAST_EXPLAINED else 1


def _without_line(one: Array) -> Array:
    steps = np.arange(len(one)) - (len(one) - 1) / 2
    slope = float(steps @ one) / float(steps @ steps)
    return np.asarray(one - one.mean() - slope * steps)


def _autocorrelation(one: Array, top: int) -> Array:
    """(top - 1,) at the lags 1, 2, ...; 0 of a constant."""
    d = one - one.mean()
    power = float(d @ d) or 1.0
    return np.array([float(d[k:] @ d[:-k]) / power for k in range(1, top)])


def _peak(autocorrelations: list[Array], least: float) -> int:
    """The lag of the first high peak of the mean autocorrelation (top - 1,); 0 if there is none."""
    r = np.mean(autocorrelations, axis=0)  # r[k - 1] at lag k
    # Over a period the autocorrelation has the mean 0. Before its first fall to 0, noise makes peaks of a long period.
    fallen = np.minimum.accumulate(r) <= 0
    peaks = [k for k in range(2, len(r)) if fallen[k - 1] and r[k - 1] >= max(r[k - 2], r[k], least)]
    highest = max((float(r[k - 1]) for k in peaks), default=0.0)
    return next((k for k in peaks if r[k - 1] >= _NEAR * highest), 0)


def _explained(one: Array, period: int) -> float:
    """The share of the variance around a moving average that the mean of the other cycles explains; below 0 where the
    moving average alone is nearer.
    """
    sums = np.r_[0.0, np.cumsum(one - one.mean())]
    means = (sums[period:] - sums[:-period]) / period  # means[k] of the values k to k + period - 1
    if period % 2:
        around = one[period // 2 : period // 2 + len(means)] - one.mean() - means
    else:  # an even number of values has its middle between two of them
        around = one[period // 2 : period // 2 + len(means) - 1] - one.mean() - (means[1:] + means[:-1]) / 2
    cycles = len(around) // period
    d = around[-cycles * period :].reshape(cycles, period)
    predicted = (d.sum(axis=0) - d) / (cycles - 1)
    variance = float((d * d).sum())
    return 1 - float(((d - predicted) ** 2).sum()) / variance if variance > 0 else 0.0


def seasonal_naive(history: Array, horizon: int, season: int) -> Array:
    """The last season repeated: (B, horizon) from (B, n) with n >= season."""
    step = np.arange(horizon) % season
    return np.asarray(history[:, history.shape[1] - season + step])
