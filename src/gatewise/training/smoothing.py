"""The fits of exponential smoothing and of Theta: all series, forms and trial parameters in one batch of recursions."""

from typing import NamedTuple

import numpy as np

from gatewise.members.ets import ETS, smooth_from_back, start_state
from gatewise.members.theta import Theta
from gatewise.members.windows import Scales, Transform
from gatewise.types import Array

MAX_SMOOTHED = 600  # last values of a series that are smoothed
MAX_PERIOD = 60  # of a season that is smoothed; the profile of a longer one is subtracted
_FIRST, _MORE, _ROUNDS = 32, 12, 7  # trial parameters: of the first round, of each further one, and their rounds
_LEAST_PHI = 0.8
_ROWS = 20_000  # of one batch


class Form(NamedTuple):
    """A form of exponential smoothing: with a trend, damped, with a season."""

    trend: bool
    damped: bool
    seasonal: bool

    def smoothing(self, unit: Array) -> Array:
        """Parameters (4, ...) from trial parameters in the unit cube (..., 4), within the usual bounds: beta at most
        alpha, gamma at most 1 - alpha.
        """
        alpha, beta, gamma, phi = np.moveaxis(unit, -1, 0)
        alpha = 0.0001 + 0.9998 * alpha
        beta = alpha * beta**2 if self.trend else 0 * beta
        gamma = (1 - alpha) * gamma if self.seasonal else 0 * gamma
        return np.stack([alpha, beta, gamma, _LEAST_PHI + 0.18 * phi if self.damped else np.ones_like(phi)])

    def parameters(self, period: int) -> int:
        """The fitted numbers, with the first state, for the information criterion."""
        return 3 + 2 * self.trend + self.damped + (period * self.seasonal)


_TRENDS = ((False, False), (True, False), (True, True))
FORMS = [Form(trend, damped, seasonal) for seasonal in (False, True) for trend, damped in _TRENDS]
SIMPLE = FORMS[0]


def transformed(series: list[Array], transform: Transform) -> tuple[Array, Scales]:
    """The last `transform.length` values of the series (n_s, C), transformed (S, length), with NaN in front of shorter
    ones, and the scales of the series.
    """
    scales = transform.scales_of(series)
    padded = np.full((len(series), transform.history, series[0].shape[1]), np.nan)
    for row, one in zip(padded, series, strict=True):
        last = one[-len(row) :]
        row[len(row) - len(last) :] = last
    return transform.encode(padded, scales, 1)[0][:, :, 0], scales


def fit_ets(series: list[Array], transform: Transform, steps: int, period: int) -> ETS:
    """The form with the smallest corrected information criterion (AICc) for each series, of the six with additive
    errors; without a season where a series has less than two.
    """
    z, scales = transformed(series, transform)
    count = (~np.isnan(z)).sum(axis=1)
    best = np.full(len(z), np.inf)
    smoothing, periods = np.zeros((len(z), 4)), np.ones(len(z), dtype=np.int64)
    for form in FORMS:
        length = period if form.seasonal else 1
        if form.seasonal and not 1 < period <= MAX_PERIOD:
            continue
        usable = np.flatnonzero(count >= (2 * length if form.seasonal else 1))
        if not len(usable):
            continue
        found, squares = _search(z[usable], form, length)
        n, k = count[usable], form.parameters(length)
        spare = n - k - 1
        variance = np.maximum(squares / n, 1e-12)
        criterion = np.where(spare > 0, n * np.log(variance) + 2 * k + 2 * k * (k + 1) / np.maximum(spare, 1), np.inf)
        if form == SIMPLE:
            criterion = np.where(np.isinf(criterion), 1e300, criterion)  # the one for very short series
        better = criterion < best[usable]
        rows = usable[better]
        best[rows], smoothing[rows], periods[rows] = criterion[better], found[better], length
    return ETS(transform, scales, steps, smoothing, periods)


def fit_theta(series: list[Array], transform: Transform, steps: int) -> Theta:
    """The alpha of simple exponential smoothing."""
    z, scales = transformed(series, transform)
    return Theta(transform, scales, steps, np.ascontiguousarray(_search(z, SIMPLE, 1)[0][:, 0]))


def _search(z: Array, form: Form, period: int) -> tuple[Array, Array]:
    """Parameters (S, 4) with the smallest sum of squared errors one step ahead, and that sum (S,), for values (S, T).

    Points spread over the unit cube, then normal steps around the best point, which become smaller.
    """
    rng = np.random.default_rng(7)
    unit = np.tile(_spread(_FIRST), (len(z), 1, 1))  # (S, points, 4)
    if form == SIMPLE:
        unit[:, :, 0] = np.linspace(0, 1, _FIRST)
    best, least = np.full((len(z), 4), 0.5), np.full(len(z), np.inf)
    for turn in range(_ROUNDS):
        if turn:
            width = 0.25 * 0.5 ** (turn - 1)
            unit = np.clip(best[:, None] + rng.normal(0, width, (len(z), _MORE, 4)), 0, 1)
        squares = _squares(z, form.smoothing(unit), period)
        at = squares.argmin(axis=1)
        rows = np.arange(len(z))
        better = squares[rows, at] < least
        best[better], least[better] = unit[rows, at][better], squares[rows, at][better]
    return np.ascontiguousarray(form.smoothing(best).T), least


def _squares(z: Array, smoothing: Array, period: int) -> Array:
    """Sums of squared errors (S, points) of values (S, T) with parameters (4, S, points)."""
    points = smoothing.shape[2]
    out = np.empty((len(z), points))
    most = max(1, _ROWS // points)
    for first in range(0, len(z), most):
        part = z[first : first + most]
        start = start_state(part, period)
        repeated = type(start)(*(np.repeat(one, points, axis=-1) for one in start))
        values = np.repeat(np.ascontiguousarray(part.T), points, axis=1)
        with np.errstate(all="ignore"):
            _, squares = smooth_from_back(values, smoothing[:, first : first + most].reshape(4, -1), repeated)
        out[first : first + most] = np.nan_to_num(squares, nan=np.inf).reshape(len(part), points)
    return out


def _spread(count: int) -> Array:
    """Points (count, 4) spread evenly over the unit cube (an additive recurrence with the plastic numbers)."""
    root = 1.1673039782614187  # of x**5 = x + 1
    return np.asarray((0.5 + np.arange(1, count + 1)[:, None] / root ** np.arange(1, 5)) % 1)
