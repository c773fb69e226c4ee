"""`Forecaster`: an ensemble of an LSTM and linear autoregressions on windows of one or several series."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.errors import DataWarning, InputError, counted, quote
from gatewise.forecast.explanation import ForecastExplanation, explain_window
from gatewise.forecast.files import files_of, fitted_from
from gatewise.forecast.fitted import Fitted
from gatewise.forecast.held_out import HeldOut, Plan, combine, naive_scale
from gatewise.forecast.members import (
    MAX_HORIZON,
    Autoregression,
    Member,
    NetworkMember,
    TrainingWindows,
    fit_autoregression,
    roll_out,
)
from gatewise.forecast.result import Forecast
from gatewise.forecast.season import detect_season, seasonal_naive
from gatewise.forecast.series import SeriesSet, series_set
from gatewise.forecast.transform import Transform, candidates
from gatewise.storage import save_folder
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.model.model import Model

_LEAST_WINDOWS = 6  # that an autoregression is fitted on, per series
_DIRECT_STEPS = 12  # predicted at once without a season


class Forecaster:
    """Forecasts one or several series.

    horizon: the values that are forecast. season: the period; None: detected, 1: none. recipe, seed, changes: of the
    LSTM, as in `gatewise.train`; by default `gatewise.forecast.recipe.RECIPE`.

    `fit` holds out the last windows of each series: up to 24 origins, from each of which the horizon is forecast by
    members that were fitted before the first of them. These windows give the weights of the members, the errors in
    `held_out` and the prediction intervals. Then every member is fitted again on all values. The members are linear
    autoregressions on windows with and without logarithms, seasonal differences and differences against the last value,
    and one LSTM on the form that was best before the held-out windows. Longer horizons than the members predict at once
    feed the predictions back.

    Attributes after fit: `season`, `held_out` (errors of the forecaster and of the seasonal naive forecast), `model`
    (the LSTM, a `gatewise.Model` for regression on windows), `weights` by member, `names` of the series.
    """

    def __init__(
        self, horizon: int = 12, *, season: int | None = None, recipe: str | None = None, seed: int = 0, **changes: Any
    ) -> None:
        self.horizon = _whole("horizon", horizon, MAX_HORIZON)
        self.season_option = None if season is None else _whole("season", season)
        self.recipe, self.seed, self.changes = recipe, seed, changes
        self._fitted: Fitted | None = None

    def __repr__(self) -> str:
        state = "not fitted" if self._fitted is None else f"season={self.season}, {len(self.names)} series"
        return f"Forecaster(horizon={self.horizon}, {state})"

    def fit(self, y: Any, exogenous: Any = None, times: Any = None) -> Forecaster:
        """Fit on series up to the present; see `gatewise.forecast.series.series_set` for what they may be.

        exogenous: further columns, known up to the present; their future values are not needed. Raises InputError for
        missing values, irregular times, series that are too short, and a horizon beyond the year 9999.
        """
        given = series_set(y, exogenous, times)
        given.check_times(self.horizon)
        shortest = min(len(one) for one in given.values)
        plan = Plan.of(shortest, self.horizon)
        before = [plan.before(one) for one in given.values]
        season = self.season_option or detect_season([one[:, 0] for one in before])
        steps = min(self.horizon, season if season > 1 else _DIRECT_STEPS)
        if any(len(one) <= season for one in before):
            raise InputError(self._too_short(given, shortest, season))
        # Logarithms must exist for the values of the held-out windows too, on which the members are fitted again.
        transforms = candidates(season, all(bool((one[:, 0] > 0).all()) for one in given.values))
        linear = _fit_linear(before, transforms, steps)
        if not linear:
            raise InputError(self._too_short(given, shortest, season))
        chosen = _choose(before, season, transforms, steps) or linear[0].transform
        network = self._network(before, chosen, steps)
        weights, network_weight, held_out = _evaluate(given.values, plan, season, linear, network)
        kept = weights > 0
        final = _fit_linear(
            given.values, [one.transform for one, keep in zip(linear, kept, strict=True) if keep], steps
        )
        last = self._network(given.values, chosen, steps)
        history = max([season, chosen.history, *(one.transform.history for one in final)])
        tail = SeriesSet(given.names, [one[-history:] for one in given.values], given.last, given.step, given.single)
        self._fitted = Fitted(season, tuple(final), weights[kept], last, network_weight, held_out, tail)
        return self

    def predict(self, horizon: int | None = None) -> Array:
        """The next values: (H,) for one series, (S, H) for several in the order of `names`. horizon: None for that of
        the forecaster. Raises InputError before `fit`.
        """
        found = self._forecast(horizon)
        return np.asarray(found[0] if self.fitted.series.single else found)

    def forecast(self, horizon: int | None = None, *, level: float = 0.8, series: str | None = None) -> Forecast:
        """One series with prediction intervals and the seasonal naive forecast.

        series: the name, for several. level: probability that a value lies in its interval. The interval comes from the
        held-out windows of the series; where they are too few for the level, from those of all series, with errors
        relative to the mean error of each. Without enough windows, there is a warning and no interval. Raises
        InputError for an unknown name.
        """
        fitted, number, horizon = self.fitted, self._number(series), self._horizon(horizon)
        times = fitted.series.times_after(number, horizon)
        mean = self._forecast(horizon)[number]
        half, windows = fitted.held_out.half_widths(mean, number, level)
        naive = seasonal_naive(fitted.series.values[number][None, :, 0], len(mean), fitted.season)[0]
        return Forecast(mean, mean - half, mean + half, naive, times, level, windows)

    def explain(self, step: int = 1, *, series: str | None = None) -> ForecastExplanation:
        """How much each past value contributed to the forecast `step` values ahead, of all members together.

        step: from 1. `model.explain` explains the LSTM alone, on a window in its own form.
        """
        fitted, number, step = self.fitted, self._number(series), _whole("step", step, MAX_HORIZON)

        def predict(windows: Array) -> Array:
            return fitted.forecast(windows, [number] * len(windows), step)[:, -1]

        return explain_window(predict, fitted.series.values[number], step)

    @property
    def fitted(self) -> Fitted:
        """What `fit` found. Raises InputError before it."""
        if self._fitted is None:
            raise InputError("the forecaster is not fitted: call fit(y) first")
        return self._fitted

    @fitted.setter
    def fitted(self, value: Fitted) -> None:
        self._fitted = value

    @property
    def season(self) -> int:
        """The period; 1: none."""
        return self.fitted.season

    @property
    def held_out(self) -> HeldOut:
        """The held-out windows with their errors."""
        return self.fitted.held_out

    @property
    def model(self) -> Model:
        """The LSTM, fitted on all values."""
        return self.fitted.network.model

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the series."""
        return self.fitted.series.names

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each member by its description; they sum to 1."""
        fitted = self.fitted
        out = {f"LSTM: {fitted.network.transform.describe()}": fitted.network_weight}
        for weight, member in zip(fitted.weights.tolist(), fitted.linear, strict=True):
            out[f"autoregression: {member.transform.describe()}"] = weight
        return out

    def save(self, path: str | Path) -> None:
        """Write a folder, completely or not at all: that of `model`, with the forecaster's files in it."""
        save_folder(path, files_of(self.horizon, self.fitted))

    def _network(self, series: list[Array], transform: Transform, steps: int) -> NetworkMember:
        from gatewise.data.labelled import Labelled
        from gatewise.training import train

        windows = TrainingWindows.of(series, transform, steps, _LEAST_WINDOWS)
        names = tuple(f"step {k + 1}" for k in range(steps))
        inputs: Any = list(windows.x.astype(np.float32))
        # The rows are in the order of time: every window is a group of its own, and the last ones validate.
        groups = np.arange(len(inputs), dtype=np.int64)
        data = Labelled(inputs, windows.y, names, groups, counted(len(inputs), "window"), task="regression")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)  # windows are not rows that somebody collected
            changes = {"split": "time", **self.changes}  # whatever the recipe says
            model = train(data, recipe=self.recipe or "forecast", seed=self.seed, verbose=0, **changes)
        return NetworkMember(transform, steps, windows.scales, model)

    def _forecast(self, horizon: int | None) -> Array:
        windows = np.stack(self.fitted.series.values)
        return self.fitted.forecast(windows, range(len(windows)), self._horizon(horizon))

    def _horizon(self, horizon: int | None) -> int:
        return self.horizon if horizon is None else _whole("horizon", horizon, MAX_HORIZON)

    def _number(self, name: str | None) -> int:
        names = self.names
        if name is None and len(names) == 1:
            return 0
        if name not in names:
            raise InputError(f"no series {quote(name)}; there are {', '.join(map(quote, names[:10]))}")
        return names.index(name)

    def _too_short(self, given: SeriesSet, shortest: int, season: int) -> str:
        which = given.names[[len(one) for one in given.values].index(shortest)]
        what = "the series" if given.single else f"series {quote(which, 40)}"
        has = f"{what} has {counted(shortest, 'value')}"
        return f"{has}, too few for windows of season {season} and horizon {self.horizon}"


def load_forecaster(path: str | Path) -> Forecaster:
    """A forecaster that `Forecaster.save` wrote. Nothing in the folder is executed. Raises ModelFileError."""
    horizon, fitted = fitted_from(path)
    found = Forecaster(horizon)
    found.fitted = fitted
    return found


def _whole(name: str, number: Any, most: int | None = None) -> int:
    """A whole number from 1 to `most`. Raises InputError."""
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or number < 1 or (most is not None and number > most):
        limit = "" if most is None else f" to {most:,}"
        raise InputError(f"{name} must be a whole number from 1{limit}, got {quote(number, 40)}")
    return int(number)


def _fit_linear(series: list[Array], transforms: Sequence[Transform], steps: int) -> list[Autoregression]:
    """One autoregression per transform that has enough windows."""
    found = []
    for transform in transforms:
        try:
            windows = TrainingWindows.of(series, transform, steps, _LEAST_WINDOWS)
        except ValueError:
            continue
        found.append(fit_autoregression(windows, transform))
    return found


def _choose(series: list[Array], season: int, transforms: Sequence[Transform], steps: int) -> Transform | None:
    """The transform with the smallest error on the last windows of these series; None if they are too short."""
    plan = Plan.of(min(map(len, series)), steps)
    before = [plan.before(one) for one in series]
    if any(len(one) <= season for one in before):
        return None
    linear = _fit_linear(before, transforms, steps)
    if not linear:
        return None
    _, errors, _ = _held_out_forecasts(series, plan, season, linear)
    return linear[int(errors.mean(axis=(1, 2, 3)).argmin())].transform


def _held_out_forecasts(
    series: list[Array], plan: Plan, season: int, members: Sequence[Member]
) -> tuple[Array, Array, HeldOut]:
    """Forecasts and absolute errors (M, S, W, steps) of the members, the errors relative to each series' scale; and the
    held-out windows with the seasonal naive forecast in both places.
    """
    history = max([season, *(member.transform.history for member in members)])
    parts = [plan.windows(one, history) for one in series]
    known = np.concatenate([window for window, _ in parts])  # (S W, history, C)
    actual = np.stack([future for _, future in parts])  # (S, W, steps)
    owners = np.repeat(np.arange(len(series)), plan.origins).tolist()
    scale = np.array([naive_scale(plan.before(one)[:, 0], season) for one in series])
    forecasts = np.stack([roll_out(one, known, owners, plan.steps).reshape(actual.shape) for one in members])
    errors = np.abs(forecasts - actual) / scale[:, None, None]
    naive = seasonal_naive(known[:, :, 0], plan.steps, season).reshape(actual.shape)
    return forecasts, errors, HeldOut(actual, naive, naive, scale)


def _evaluate(
    series: list[Array], plan: Plan, season: int, linear: Sequence[Autoregression], network: NetworkMember
) -> tuple[Array, float, HeldOut]:
    """The weights of the autoregressions, that of the network, and the held-out windows."""
    forecasts, errors, held = _held_out_forecasts(series, plan, season, [*linear, network])
    weights, combined = combine(forecasts, errors)
    return weights[:-1], float(weights[-1]), HeldOut(held.actual, combined, held.naive, held.scale)
