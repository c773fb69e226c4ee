"""The period of the season, from autocorrelations and the variance that a repeated cycle explains."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gatewise.types import Array

MAX_PERIOD = 400
_LEAST_AUTOCORRELATION = 0.2
_LEAST_EXPLAINED = 0.2
_NEAR = 0.7  # of the highest peak: the first such peak counts, higher ones may be at its multiples


def detect_season(series: list[Array]) -> int:
    """The period common to the series (n,), 1 if there is none.

    Two autocorrelations are averaged over the series. That of the values without their linear trend finds a season in
    noise. That of the first differences finds one in values whose level changes. A peak is the largest of the positive
    autocorrelations between two that are at most 0, if it is above 0.2 and above two standard errors of noise. In each,
    the first peak of at least 70% of the highest is taken.

    The candidates are the periods within 2 lags or 5% of these peaks, since noise moves a peak. Each cycle is predicted
    by the mean of the other cycles. The period whose predictions explain most of the variance is taken, if they explain
    at least a fifth.
    """
    top = min(min(len(one) // 3 for one in series), MAX_PERIOD)
    scaled = [one / np.abs(one).max() for one in series if np.ptp(one) > 0]
    if top < 4 or not scaled:
        return 1
    least = max(_LEAST_AUTOCORRELATION, 2 / float(np.sqrt(sum(map(len, scaled)))))
    peaks = (
        _peak([_autocorrelation(_without_trend(one), top) for one in scaled], least),
        _peak([_autocorrelation(np.diff(one), top) for one in scaled], least),
    )
    periods = [k for peak in peaks if peak for k in range(2, top + 1) if abs(k - peak) <= max(2, peak / 20)]
    explained = {k: float(np.mean([_explained(one, k) for one in scaled])) for k in periods}
    best = max(periods, key=explained.__getitem__, default=1)
    return best if explained.get(best, 0.0) >= _LEAST_EXPLAINED else 1


def _without_trend(one: Array) -> Array:
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
    # Noise makes many local maxima beside one of a long period. Over a period the autocorrelation has the mean 0, so
    # that it falls to 0 or below between two peaks.
    falls = [*np.flatnonzero(r <= 0).tolist(), len(r)]
    lags = [a + 2 + int(r[a + 1 : b].argmax()) for a, b in pairwise(falls) if b > a + 1]
    peaks = [k for k in lags if k < len(r) and r[k - 1] >= least]  # at the last lag it may still rise
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
