"""What a series is made of before any member is fitted: seasons, outliers, level shifts, effects of known columns."""

from itertools import pairwise

import numpy as np

from gatewise.members.windows import around_average, seasonal_profile
from gatewise.types import Array

MAX_PERIOD = 400  # of a season that is detected
_LEAST_AUTOCORRELATION = 0.2
_LEAST_EXPLAINED = 0.2
_NEAR = 0.7  # of the highest peak: the first such peak counts, higher ones may be at its multiples
_OUTLIER = 7.0  # robust standard deviations from both neighbours and the median
_SHIFT = 7.0  # robust standard deviations of the changes
_AROUND = 6  # values before and after a level shift
_MOST_OUTLIERS = 0.03  # of the values; if there are more, none is replaced
_MOST_SHIFTS = 3
_RIDGE = 1e-3


def clean(values: Array, season: int) -> tuple[Array, list[int], list[tuple[int, float]]]:
    """The values (n,) without outliers, and with those before a level shift moved to the level after it; where values
    were replaced; where a new level begins, and by how much it differs. Both are judged by medians, after the seasonal
    profile is subtracted.

    An outlier lies seven robust standard deviations from the median of the four values around it; if more than 3% of
    the values do, none is replaced. A level shift is a change as large, after which at least six values
    stay at the new level.
    """
    n, y = len(values), np.array(values, dtype=np.float64)
    seasonal = np.zeros(n)
    if 1 < season <= n // 3:
        seasonal = seasonal_profile(y[None], season)[0][np.arange(-n, 0) % season]
    z = y - seasonal
    spread = 1.4826 * float(np.median(np.abs(np.diff(z) - np.median(np.diff(z)))))
    if n < 4 * _AROUND or not spread or np.mean(np.diff(y) == 0) > 0.2:  # intermittent values, and counts
        return y, [], []
    changes = np.diff(z)
    shifts: list[tuple[int, float]] = []
    for k in np.argsort(-np.abs(changes)).tolist():
        if abs(changes[k]) <= _SHIFT * spread:
            break
        before, after = z[max(0, k + 1 - _AROUND) : k + 1], z[k + 1 : k + 1 + _AROUND]
        if min(len(before), len(after)) < _AROUND or any(abs(k + 1 - at) < _AROUND for at, _ in shifts):
            continue
        size = float(np.median(after) - np.median(before))
        lasting = min(np.abs(after - np.median(before))) > 0.5 * abs(size)
        if size * changes[k] > 0 and abs(size) > _SHIFT / 2 * spread and lasting:
            shifts.append((k + 1, size))
    shifts = shifts if len(shifts) <= _MOST_SHIFTS else []
    for at, size in shifts:
        z[:at] += size
    padded = np.pad(z, 2, mode="reflect")
    around = np.median(np.stack([padded[:n], padded[1 : n + 1], padded[3 : n + 3], padded[4:]]), axis=0)
    found = np.flatnonzero(np.abs(z - around) > _OUTLIER * spread)
    found = found[(found > 1) & (found < n - 2)]
    alone = [k for k in found.tolist() if np.sign(z[k] - z[k - 1]) == np.sign(z[k] - z[k + 1])]
    if len(alone) > max(1, _MOST_OUTLIERS * n):
        alone = []
    z[alone] = around[alone]
    return z + seasonal if alone or shifts else y, alone, sorted(shifts)


def detect_seasons(series: list[Array]) -> tuple[int, ...]:
    """The periods common to the series (n,), at most two, the shortest first.

    The second is a longer one that the series have after the profile of the first is subtracted.
    """
    first = detect_season(series)
    if first == 1:
        return ()
    long = [one for one in series if len(one) > 3 * first]
    rest = [one - seasonal_profile(one[None], first)[0][np.arange(-len(one), 0) % first] for one in long]
    second = detect_season(rest) if len(rest) == len(series) else 1
    return (first, second) if second > 2 * first else (first,)


def detect_season(series: list[Array]) -> int:
    """The period common to the series (n,), 1 if there is none.

    The autocorrelation of the values without their linear trend finds a season in noise, that of the first differences
    one in values whose level changes. Differences are cut at five median deviations, so that outliers and level shifts
    do not hide a season. The candidates are the periods within 2 lags or 5% of the first high peak of either, since
    noise moves a peak. Each cycle is predicted by the mean of the other cycles. The period whose predictions explain
    most of the variance is taken, if they explain at least a fifth.
    """
    scaled = [_with_limited_changes(one / np.abs(one).max()) for one in series if np.ptp(one) > 0]
    top = min((min(len(one) // 3 for one in scaled), MAX_PERIOD)) if scaled else 0
    if top < 4:
        return 1
    least = max(_LEAST_AUTOCORRELATION, 2 / float(np.sqrt(sum(map(len, scaled)))))
    steps = [np.arange(len(one)) for one in scaled]
    level = [one - np.polyval(np.polyfit(at, one, 1), at) for one, at in zip(scaled, steps, strict=True)]
    peaks = _peak(level, top, least), _peak([np.diff(one) for one in scaled], top, least)
    periods = [k for peak in peaks if peak for k in range(2, top + 1) if abs(k - peak) <= max(2, peak / 20)]
    explained = {k: float(np.mean([_explained(one, k) for one in scaled])) for k in periods}
    best = max(periods, key=explained.__getitem__, default=1)
    return best if explained.get(best, 0.0) >= _LEAST_EXPLAINED else 1


def _with_limited_changes(one: Array) -> Array:
    """The values (n,) with their changes cut at five median deviations around the median change, where the changes
    have some.
    """
    changes = np.diff(one)
    middle = float(np.median(changes))
    spread = 5 * 1.4826 * float(np.median(np.abs(changes - middle)))
    if not spread:
        return one
    return np.cumsum(np.r_[one[0], np.clip(changes, middle - spread, middle + spread)])


def _peak(series: list[Array], top: int, least: float) -> int:
    """The lag below `top` of the first peak of the mean autocorrelation of the series (n,) that has at least 70% of the
    highest; 0 if there is none. A peak is the largest value between two that are at most 0, if it is at least `least`.
    """
    r = np.zeros(top - 1)  # r[k - 1] at lag k
    for one in series:
        d = one - one.mean()
        power = float(d @ d) or 1.0
        r += [float(d[k:] @ d[:-k]) / power / len(series) for k in range(1, top)]
    # Noise makes many local maxima next to one of a long period. Over a period the autocorrelation has the mean 0, so
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
    around = around_average((one - one.mean())[None], period)[0]
    cycles = len(around) // period
    if cycles < 2:
        return 0.0
    d = around[-cycles * period :].reshape(cycles, period)
    predicted = (d.sum(axis=0) - d) / (cycles - 1)
    variance = float((d * d).sum())
    return 1 - float(((d - predicted) ** 2).sum()) / variance if variance > 0 else 0.0


def fit_effects(series: list[Array], future: list[Array], season: int) -> Array:
    """Effects (S, F): by how much the columns that are known in advance move the values of each series.

    Ridge regressions of the changes of the values (n,) on those of the columns (n, F): against the value before, the
    last season, or both, whichever explains the larger share. Changes need no level, trend and season in the
    regression. Rows of the columns after the last value are not read.
    """
    slopes = np.zeros((len(series), future[0].shape[1]))
    for number, (y, x) in enumerate(zip(series, future, strict=True)):
        best, x = 0.0, x[: len(y)]
        for lags in ((1,), (season,), (season, 1)):
            dy, dx = y, x
            for lag in lags:
                dy, dx = dy[lag:] - dy[:-lag], dx[lag:] - dx[:-lag]
            if len(dy) < 2 * x.shape[1] + 6 or not dx.any():
                continue
            dx_centred, dy_centred = dx - dx.mean(axis=0), dy - np.median(dy)
            gram = dx_centred.T @ dx_centred
            size = np.maximum(np.diag(gram), 1e-300)
            found = np.linalg.solve(gram + np.diag(_RIDGE * size + 1e-300), dx_centred.T @ dy_centred)
            rest = dy_centred - dx_centred @ found
            explained = 1 - float(rest @ rest) / max(float(dy_centred @ dy_centred), 1e-300)
            explained = 1 - (1 - explained) * (len(dy) - 1) / max(1, len(dy) - x.shape[1] - 1)
            if explained > best:
                best, slopes[number] = explained, found
    return slopes
