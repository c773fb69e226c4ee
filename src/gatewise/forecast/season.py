"""The period of the season, from the autocorrelation."""

from __future__ import annotations

import numpy as np

from gatewise.types import Array

MAX_PERIOD = 400
_LEAST = 0.3  # autocorrelation of a season
_NEAR = 0.9  # of the highest peak: the first such peak is the period, higher ones may be its multiples


def detect_season(series: list[Array]) -> int:
    """The period common to the series (n,), 1 if there is none.

    The autocorrelation of the first differences is averaged over the series. Peaks count after its first value of at
    most 0, if they are above 0.3 and above two standard errors of noise; the first within 10% of the highest is the
    period.
    """
    top = min(min(len(one) // 3 for one in series), MAX_PERIOD)
    if top < 4:
        return 1
    found = []
    for one in series:
        d = np.diff(one)
        d = d - d.mean()
        power = float((d * d).sum())
        if power > 0:
            found.append([float((d[k:] * d[:-k]).sum()) / power for k in range(1, top)])
    if not found:
        return 1
    r = np.mean(found, axis=0)  # r[k - 1] at lag k
    least = max(_LEAST, 2 / float(np.sqrt(sum(map(len, series)))))
    # Over a period the autocorrelation has the mean 0. Before its first fall to 0, noise makes peaks of a long period.
    fallen = np.minimum.accumulate(r) <= 0
    peaks = [k for k in range(2, top - 1) if fallen[k - 1] and r[k - 1] >= max(r[k - 2], r[k], least)]
    if not peaks:
        return 1
    highest = max(float(r[k - 1]) for k in peaks)
    return next(k for k in peaks if r[k - 1] >= _NEAR * highest)


def seasonal_naive(history: Array, horizon: int, season: int) -> Array:
    """The last season repeated: (B, horizon) from (B, n) with n >= season."""
    step = np.arange(horizon) % season
    return np.asarray(history[:, history.shape[1] - season + step])
