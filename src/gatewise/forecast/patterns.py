"""Patterns found in series before any member is fitted: seasons, outliers, level shifts, effects of known columns."""

from itertools import pairwise

import numpy as np

from gatewise.members.windows import around_average, seasonal_profile
from gatewise.types import Array

MAX_PERIOD = 400  # of a season that is detected
_LEAST_AUTOCORRELATION = 0.2
_LEAST_EXPLAINED = 0.2
_NEAR = 0.7  # of the highest peak: the first peak as high counts, as a higher one may lie at a multiple of the period
_OUTLIER = 7.0  # robust standard deviations from both neighbours and the median
_SHIFT = 7.0  # robust standard deviations of the changes
_AROUND = 6  # values before and after a level shift
_MOST_OUTLIERS = 0.03  # of the values; if there are more, none is replaced
_MOST_SHIFTS = 3
_RIDGE = 1e-3


def clean(values: Array, season: int) -> tuple[Array, list[int], list[tuple[int, float]]]:
    """The values (n,) without outliers, those before a level shift moved to the level after it; the places of the
    outliers; the places where a new level begins, with its difference from the level before.

    Both are judged by medians, after the seasonal profile is subtracted. An outlier lies seven robust standard
    deviations from the median of the four values around it; if more than 3% of the values do, none is replaced. A level
    shift is a change as large, after which at least six values stay at the new level.
    """
    n = len(values)
    y = np.array(values, dtype=np.float64)
    seasonal = np.zeros(n)
    if 1 < season <= n // 3:
        seasonal = seasonal_profile(y[None], season)[0][np.arange(-n, 0) % season]
    z = y - seasonal
    spread = 1.4826 * float(np.median(np.abs(np.diff(z) - np.median(np.diff(z)))))
    # Many equal neighbours: intermittent values and counts, whose large changes are no errors.
    if n < 4 * _AROUND or not spread or np.mean(np.diff(y) == 0) > 0.2:
        return y, [], []
    shifts = _level_shifts(z, spread)
    for at, size in shifts:
        z[:at] += size
    outliers, around = _outliers(z, spread)
    z[outliers] = around[outliers]
    if outliers or shifts:
        return z + seasonal, outliers, sorted(shifts)
    return y, [], []  # the bits of the values


def _level_shifts(z: Array, spread: float) -> list[tuple[int, float]]:
    """Where a new level begins in values (n,), and its difference from the level before; none if there are too many.
    spread: the robust standard deviation of the changes.
    """
    changes = np.diff(z)
    shifts: list[tuple[int, float]] = []
    for k in np.argsort(-np.abs(changes)).tolist():
        if abs(changes[k]) <= _SHIFT * spread:
            break
        before = z[max(0, k + 1 - _AROUND) : k + 1]
        after = z[k + 1 : k + 1 + _AROUND]
        if min(len(before), len(after)) < _AROUND or any(abs(k + 1 - at) < _AROUND for at, _ in shifts):
            continue
        size = float(np.median(after) - np.median(before))
        lasting = min(np.abs(after - np.median(before))) > 0.5 * abs(size)
        if size * changes[k] > 0 and abs(size) > _SHIFT / 2 * spread and lasting:
            shifts.append((k + 1, size))
    if len(shifts) > _MOST_SHIFTS:
        return []
    return shifts


def _outliers(z: Array, spread: float) -> tuple[list[int], Array]:
    """The places of outliers in values (n,), none if there are too many; the median (n,) around each value."""
    n = len(z)
    padded = np.pad(z, 2, mode="reflect")
    around = np.median(np.stack([padded[:n], padded[1 : n + 1], padded[3 : n + 3], padded[4:]]), axis=0)
    far = np.flatnonzero(np.abs(z - around) > _OUTLIER * spread)
    inner = far[(far > 1) & (far < n - 2)]
    outliers = [k for k in inner.tolist() if np.sign(z[k] - z[k - 1]) == np.sign(z[k] - z[k + 1])]
    if len(outliers) > max(1, _MOST_OUTLIERS * n):
        outliers = []
    return outliers, around


def detect_seasons(series: list[Array]) -> tuple[int, ...]:
    """The periods common to the series (n,), at most two, the shortest first.

    The second is a longer one that the series have after the profile of the first is subtracted.
    """
    first = detect_season(series)
    if first == 1:
        return ()
    if min(map(len, series)) <= 3 * first:
        return (first,)
    without_first = []
    for values in series:
        profile = seasonal_profile(values[None], first)[0]
        without_first.append(values - profile[np.arange(-len(values), 0) % first])
    second = detect_season(without_first)
    if second > 2 * first:
        return (first, second)
    return (first,)


def detect_season(series: list[Array]) -> int:
    """The period common to the series (n,), 1 if there is none.

    The autocorrelation of the values without their linear trend finds a season in noise, that of the first differences
    one in values whose level changes. Differences are cut at five median deviations, so that outliers and level shifts
    do not hide a season. The candidates are the periods within 2 lags or 5% of the first high peak of either, since
    noise moves a peak. Each cycle is predicted by the mean of the other cycles. The period whose predictions explain
    most of the variance is taken, if they explain at least a fifth (docs/log/series.md, "Season in noise").
    """
    scaled = [_with_limited_changes(values / np.abs(values).max()) for values in series if np.ptp(values) > 0]
    shortest = min(map(len, scaled), default=0)
    top = min(shortest // 3, MAX_PERIOD)
    if top < 4:
        return 1
    least = max(_LEAST_AUTOCORRELATION, 2 / float(np.sqrt(sum(map(len, scaled)))))
    detrended = []
    for values in scaled:
        at = np.arange(len(values))
        detrended.append(values - np.polyval(np.polyfit(at, values, 1), at))
    differences = [np.diff(values) for values in scaled]
    periods: list[int] = []
    for peak in (_peak(detrended, top, least), _peak(differences, top, least)):
        if peak:
            periods += [k for k in range(2, top + 1) if abs(k - peak) <= max(2, peak / 20)]
    explained = {k: float(np.mean([_explained(values, k) for values in scaled])) for k in periods}
    best = max(periods, key=explained.__getitem__, default=1)
    if explained.get(best, 0.0) < _LEAST_EXPLAINED:
        return 1
    return best


def _with_limited_changes(values: Array) -> Array:
    """The values (n,) with their changes cut at five median deviations around the median change; unchanged where the
    median deviation is 0.
    """
    changes = np.diff(values)
    middle = float(np.median(changes))
    spread = 5 * 1.4826 * float(np.median(np.abs(changes - middle)))
    if not spread:
        return values
    return np.cumsum(np.r_[values[0], np.clip(changes, middle - spread, middle + spread)])


def _peak(series: list[Array], top: int, least: float) -> int:
    """The lag below `top` of the first peak of the mean autocorrelation of the series (n,) that has at least 70% of the
    highest; 0 if there is none. A peak is the largest value between two that are at most 0, if it is at least `least`.
    """
    r = np.zeros(top - 1)  # r[k - 1] at lag k
    for values in series:
        d = values - values.mean()
        power = float(d @ d) or 1.0  # 0 for equal values
        r += [float(d[k:] @ d[:-k]) / power / len(series) for k in range(1, top)]
    # Noise makes many local maxima next to one of a long period. Over a period the autocorrelation has the mean 0, so
    # that it falls to 0 or below between two peaks.
    falls = [*np.flatnonzero(r <= 0).tolist(), len(r)]
    lags = [a + 2 + int(r[a + 1 : b].argmax()) for a, b in pairwise(falls) if b > a + 1]
    peaks = [k for k in lags if k < len(r) and r[k - 1] >= least]  # at the last lag it may still rise
    highest = max((float(r[k - 1]) for k in peaks), default=0.0)
    return next((k for k in peaks if r[k - 1] >= _NEAR * highest), 0)


def _explained(values: Array, period: int) -> float:
    """The share of the variance around a moving average that the mean of the other cycles explains; below 0 where the
    moving average alone is nearer.
    """
    around = around_average((values - values.mean())[None], period)[0]
    cycles = len(around) // period
    if cycles < 2:
        return 0.0
    d = around[-cycles * period :].reshape(cycles, period)
    predicted = (d.sum(axis=0) - d) / (cycles - 1)
    variance = float((d * d).sum())
    if variance <= 0:
        return 0.0
    return 1 - float(((d - predicted) ** 2).sum()) / variance


def fit_effects(series: list[Array], future: list[Array], season: int) -> Array:
    """Effects (S, F): by how much the columns that are known in advance move the values of each series.

    Ridge regressions of the changes of the values (n,) on those of the columns (n, F): against the value before, the
    last season, or both, whichever explains the larger share of their variance. Changes need no level, trend and season
    in the regression. Rows of the columns after the last value are not read.
    """
    effects = np.zeros((len(series), future[0].shape[1]))
    for number, (y, x) in enumerate(zip(series, future, strict=True)):
        best = 0.0
        for lags in ((1,), (season,), (season, 1)):
            dy = y
            dx = x[: len(y)]
            for lag in lags:
                dy = dy[lag:] - dy[:-lag]
                dx = dx[lag:] - dx[:-lag]
            if len(dy) < 2 * x.shape[1] + 6 or not dx.any():
                continue
            slopes, explained = _regression_of_changes(dy, dx)
            if explained > best:
                best = explained
                effects[number] = slopes
    return effects


def _regression_of_changes(dy: Array, dx: Array) -> tuple[Array, float]:
    """Slopes (F,) of a ridge regression of dy (n,) on dx (n, F), and the adjusted share of the variance that they
    explain. The median, not the mean, centres dy: outliers must not move it.
    """
    n, columns = dx.shape
    dx_centred = dx - dx.mean(axis=0)
    dy_centred = dy - np.median(dy)
    gram = dx_centred.T @ dx_centred
    size = np.maximum(np.diag(gram), 1e-300)
    slopes = np.linalg.solve(gram + np.diag(_RIDGE * size + 1e-300), dx_centred.T @ dy_centred)
    residual = dy_centred - dx_centred @ slopes
    explained = 1 - float(residual @ residual) / max(float(dy_centred @ dy_centred), 1e-300)
    return slopes, 1 - (1 - explained) * (n - 1) / max(1, n - columns - 1)
