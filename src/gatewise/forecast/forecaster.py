"""`Forecaster`: an ensemble of an LSTM and linear autoregressions on windows of one or several series.

The files of its folder, which `gatewise.load` opens:

    config.json             format, kind, members with their weights, names, season, times of the series
    forecast.safetensors    last values of the series, held-out windows (float64)
    window_lstm.safetensors, autoregression.safetensors, ...    the arrays of each member
    README.md               the card, for people; it is not read back
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gatewise._version import __version__
from gatewise.data.times import Time, parse_time, show_time, zone_of
from gatewise.errors import InputError, ModelFileError, counted, quote
from gatewise.forecast.held_out import Forecast, HeldOut, seasonal_naive
from gatewise.forecast.series import SeriesSet, series_set
from gatewise.forecast.steps import Steps
from gatewise.members.ensemble import Ensemble
from gatewise.members.member import Inputs
from gatewise.members.window_lstm import WindowLSTM
from gatewise.members.windows import WindowMember, attributed, mean_window, numbered, roll_out
from gatewise.model.card import ModelMetadata, escape_markdown, markdown_table, metadata_rows
from gatewise.model.model import FORMAT, config_of
from gatewise.storage.fields import fields_from
from gatewise.storage.folder import Folder, save_folder
from gatewise.storage.strict_json import json_bytes
from gatewise.storage.tensors import tensors_from_bytes, tensors_to_bytes
from gatewise.target import Target, check_logits
from gatewise.types import Array, Precision

if TYPE_CHECKING:
    from gatewise.explain.example import Example

MAX_HORIZON = 10_000  # values; the time to forecast them grows with the square of their number
_TENSORS = "forecast.safetensors"
_KEYS = {"format", "kind", "target", "members", "shift", "metadata", "forecast"}


class Forecaster:
    """Forecasts one or several series.

    horizon: the values that are forecast. season: the period; None: detected, 1: none. recipe, seed, changes: of the
    LSTM, as in `gatewise.train`; by default the recipe "forecast". Its groups `lstm`, `optimisation` and `validation`
    are read.

    `fit` holds out the last windows of each series: up to 24 origins, from each of which the horizon is forecast by
    members that were fitted before the first of them. These windows give the weights of the members, the errors in
    `held_out` and the prediction intervals. Then every member is fitted again on all values. The members are linear
    autoregressions on windows with and without logarithms, seasonal differences and differences against the last value,
    and one LSTM on the form that was best before the held-out windows. Longer horizons than the members predict at once
    feed the predictions back.
    """

    season: int
    """After `fit`: the period; 1 for none."""
    ensemble: Ensemble
    """After `fit`: the members on windows, fitted on all values, with their weights."""
    held_out: HeldOut
    """After `fit`: the held-out windows, with the errors of the forecaster and of the seasonal naive forecast."""
    series: SeriesSet
    """After `fit`: names, times, and the last values of each series."""
    metadata: ModelMetadata
    """After `fit`: the recipe, the seed and the date."""
    manifest_sha256 = ""
    """Of the folder that `gatewise.load` read; "" for a forecaster that was fitted here."""

    def __init__(
        self, horizon: int = 12, *, season: int | None = None, recipe: str | None = None, seed: int = 0, **changes: Any
    ) -> None:
        self.horizon = _whole("horizon", horizon, MAX_HORIZON)
        self.season_option = None if season is None else _whole("season", season)
        self.recipe, self.seed, self.changes = recipe, seed, changes

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in Forecaster.__annotations__:
                raise InputError("the forecaster is not fitted: call fit(y) first")
            raise AttributeError(name)

    def __repr__(self) -> str:
        state = f"season={self.season}, {len(self.names)} series" if "season" in vars(self) else "not fitted"
        return f"Forecaster(horizon={self.horizon}, {state})"

    def fit(self, y: Any, exogenous: Any = None, times: Any = None) -> Forecaster:
        """Fit on series up to the present; see `gatewise.forecast.series.series_set` for what they may be.

        exogenous: further columns, known up to the present; their future values are not needed. Raises InputError for
        missing values, irregular times, series that are too short, and a horizon beyond the year 9999.
        """
        from gatewise.forecast.fit import fit, window_recipe  # what a saved forecaster does not need

        start = time.perf_counter()
        given = series_set(y, exogenous, times)
        given.check_times(self.horizon)
        recipe = window_recipe(self.recipe, self.changes)
        found = fit(given, self.horizon, self.season_option, recipe, self.seed)
        self.season, self.ensemble, self.held_out = found
        self.metadata = ModelMetadata(
            gatewise=__version__,
            recipe=recipe.name,
            seed=self.seed,
            seconds=round(time.perf_counter() - start, 1),
            created=time.strftime("%Y-%m-%d", time.gmtime()),
        )
        history = _history(self.season, self.ensemble)
        self.series = replace(given, values=[one[-history:] for one in given.values])
        return self

    def predict(self, horizon: int | None = None) -> Array:
        """The next values: (H,) for one series, (S, H) for several in the order of `names`. horizon: None for that of
        the forecaster. Raises InputError before `fit`.
        """
        horizon = _whole("horizon", self.horizon if horizon is None else horizon, MAX_HORIZON)
        found = self._forecast(self._windows(), horizon)
        return np.asarray(found[0] if self.series.single else found)

    def forecast(self, horizon: int | None = None, *, level: float = 0.8, series: str | None = None) -> Forecast:
        """One series with prediction intervals and the seasonal naive forecast.

        series: the name, for several. level: probability that a value lies in its interval. The interval comes from the
        held-out windows of the series; where they are too few for the level, from those of all series, with errors
        relative to the mean error of each. Without enough windows, there is a warning and no interval. Raises
        InputError for an unknown name.
        """
        horizon = _whole("horizon", self.horizon if horizon is None else horizon, MAX_HORIZON)
        number = self._number(series)
        times = self.series.times_after(number, horizon)
        mean = self._forecast(self._windows()[number : number + 1], horizon)[0]
        half, windows = self.held_out.half_widths(mean, number, level)
        if np.isinf(mean + half).any() or np.isinf(mean - half).any():
            raise InputError("the prediction interval overflows: the held-out errors are too large")
        naive = seasonal_naive(self.series.values[number][None, :, 0], len(mean), self.season)[0]
        return Forecast(mean, mean - half, mean + half, naive, times, level, windows)

    def explain(self, step: int = 1, *, series: str | None = None) -> ForecastExplanation:
        """How much each past value contributed to the forecast `step` values ahead: the weighted sum over the members
        (`gatewise.members.windows.attributed`). step: from 1.
        """
        number, step = self._number(series), _whole("step", step, MAX_HORIZON)
        window = self._windows()[number]
        parts = [weight * attributed(member, window, step)[:, :, -1] for member, weight in self.ensemble]
        forecast, base = self._forecast(np.stack([window, mean_window(window)]), step)[:, -1].tolist()
        contributions = np.sum(parts, axis=0)
        if not np.isfinite(contributions).all():
            raise InputError("the forecaster overflows: a contribution is not finite")
        return ForecastExplanation(step, forecast, base, window[:, :-1], contributions)

    def trace(self, *, series: str | None = None) -> Example:
        """The gates and states of the LSTM on the last window of a series, in the form that it reads: standardised
        values. Its logits are the next values in this form, before the base is added.
        """
        from gatewise.explain.example import Example

        lstm = cast(WindowLSTM, self.ensemble.lstm)
        x, _, _ = lstm.encode(self._windows()[[self._number(series)]])
        return Example(Ensemble.of(lstm.network, self.ensemble.target), x[0].astype(np.float32))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the series."""
        return self.series.names

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each member by its name, the LSTM first; they sum to 1."""
        return dict(self.ensemble.weight_rows())

    def report(self) -> list[str]:
        """Errors on the held-out windows and weights of the members, in lines."""
        held, season = self.held_out, f"season {self.season}" if self.season > 1 else "no season"
        lines = [
            f"{season}; {held}, forecast by models fitted before them",
            f"  gatewise        {held.scores}",
            f"  seasonal naive  {held.naive_scores}",
        ]
        if held.scores.mase >= held.naive_scores.mase:
            lines.append("warning: the seasonal naive forecast had the smaller error on these windows")
        lines.append("the forecast is a weighted sum of the forecasts of these models:")
        lines += [f"  {weight:.2f}  {name}" for name, weight in self.ensemble.weight_rows()]
        if held.steps < self.horizon:
            lines.append(f"warning: no interval after step {held.steps}: the held-out windows end there")
        return lines

    def card(self) -> str:
        """The card of the folder, Markdown."""
        names, shown = self.names, ", ".join(map(escape_markdown, self.names[:60]))
        several = f"{len(names):,} series: {shown}" if len(names) > 1 else "one series"
        about = f"It forecasts the next {counted(self.horizon, 'value')} of {several}."
        report, facts = [f"    {line}" for line in self.report()], markdown_table(metadata_rows(self.metadata))
        return "\n".join(["# A gatewise forecaster", "", about, "", *report, "", *facts, ""])

    def save(self, path: str | Path) -> None:
        """Write the folder, completely or not at all; `gatewise.load` opens it."""
        save_folder(path, self.to_files())

    def to_files(self) -> dict[str, bytes]:
        """The files of the folder by name."""
        ensemble, members = self.ensemble.to_files()
        series, last, times = self.series, np.stack(self.series.values), None
        if series.last is not None and series.step is not None:
            zones = tuple(getattr(getattr(one, "tzinfo", None), "key", None) or "" for one in series.last)
            times = _Times(tuple(map(show_time, series.last)), zones, series.step)
        _, origins, steps = self.held_out.actual.shape
        columns, season = last.shape[2], self.season
        forecast = _Config(self.horizon, season, columns, series.names, series.single, origins, steps, times)
        config = {
            "format": FORMAT,
            "kind": "forecaster",
            "target": asdict(self.ensemble.target),
            **ensemble,
            "metadata": asdict(self.metadata),
            "forecast": asdict(forecast),
        }
        tensors = {"last": last, **vars(self.held_out)}
        files = {"README.md": self.card().encode(), "config.json": json_bytes(config), **members}
        return {**files, _TENSORS: tensors_to_bytes(tensors)}

    @classmethod
    def of_files(cls, files: Mapping[str, bytes], where: str | Path, precision: Precision = "float32") -> Forecaster:
        """What `to_files` made. Nothing is executed. Raises ModelFileError that names `where`."""
        try:
            return cls._of_folder(Folder(Path(where), files, ""), precision)
        except (InputError, ModelFileError) as error:
            raise ModelFileError(str(error) if str(where) in str(error) else f"{where}: {error}") from error

    @classmethod
    def _of_folder(cls, folder: Folder, precision: Precision) -> Forecaster:
        entry = config_of(folder, "forecaster", _KEYS)
        config = fields_from(_Config, entry["forecast"], "config.json: forecast")
        target = fields_from(Target, entry["target"], "config.json: target")
        metadata = fields_from(ModelMetadata, entry["metadata"], "config.json: metadata")
        ensemble = Ensemble.from_files(entry, target, Inputs("windows", config.columns), folder.read)
        count = len(config.names)
        for member in ensemble.members:
            if not isinstance(member, WindowMember) or len(member.scales.mean) != count:
                raise InputError(f"config.json: every member must read windows of {count} series")
        if target.task != "regression" or min(ensemble.weights) < 0:
            raise InputError("config.json: a forecaster needs a regression with weights from 0")
        if ensemble.shift.any():
            raise InputError("config.json: the shift of a forecaster is 0")
        windows = ((count, config.origins, config.held_out_steps), "float64")
        last = ((count, _history(config.season, ensemble), config.columns), "float64")
        expected = {"last": last, "scale": ((count,), "float64")}
        expected |= dict.fromkeys(("actual", "forecast", "naive"), windows)
        tensors = tensors_from_bytes(folder.read(_TENSORS), expected, _TENSORS)
        times, found = config.times, cls(config.horizon)
        last_times, step = (None, None) if times is None else (times.read(), times.step)
        found.series = SeriesSet(config.names, list(tensors.pop("last")), last_times, step, config.single)
        found.series.check_times(config.horizon)
        if precision != "float32":
            ensemble = ensemble.with_lstm(precision=precision)
        found.season, found.ensemble, found.held_out = config.season, ensemble, HeldOut(**tensors)
        with np.errstate(all="ignore"):
            scores = [*astuple(found.held_out.scores), *astuple(found.held_out.naive_scores)]
        if not all(score is None or np.isfinite(score) for score in scores):
            raise InputError(f"{_TENSORS}: the errors on the held-out windows are not finite")
        found.metadata = metadata
        found._forecast(found._windows(), 1)  # finite parameters can overflow
        return found

    def _windows(self) -> Array:
        """The last window of each series (S, R, C + 1)."""
        return np.stack([numbered(one, number) for number, one in enumerate(self.series.values)])

    @np.errstate(over="ignore", invalid="ignore")
    def _forecast(self, windows: Array, horizon: int) -> Array:
        """(B, horizon) from windows (B, R, C + 1). Raises InputError where a member overflows."""
        found = np.sum([weight * roll_out(member, windows, horizon) for member, weight in self.ensemble], axis=0)
        check_logits(found)
        return np.asarray(found)

    def _number(self, name: str | None) -> int:
        names = self.names
        if name is None and len(names) == 1:
            return 0
        if name not in names:
            raise InputError(f"no series {quote(name)}; there are {', '.join(map(quote, names[:10]))}")
        return names.index(name)


@dataclass(frozen=True, eq=False)
class ForecastExplanation:
    """One forecast value as a sum: forecast = base + Σ contributions, up to `error`.

    values, contributions (R, C): the last R values of the series and of its exogenous columns, oldest first, and their
    parts of the forecast in its unit. base: the forecast for a window in which every column has its mean. step: from 1.
    """

    step: int
    forecast: float
    base: float
    values: Array
    contributions: Array

    @property
    def error(self) -> float:
        """What the integral leaves over."""
        return self.forecast - self.base - float(self.contributions.sum())


@dataclass(frozen=True)
class _Times:
    """The last time of each series as text, the names of their time zones, such as Europe/Berlin ("" for none or a
    fixed offset), and the step between times.
    """

    last: tuple[str, ...]
    zones: tuple[str, ...]
    step: Steps

    def __post_init__(self) -> None:
        steps = (self.step.months, self.step.seconds, self.step.number)
        if min(steps) < 0 or sum(step > 0 for step in steps) != 1:
            raise InputError("one of months, seconds and number must be above 0, the others 0")
        if self.step.seconds >= timedelta.max.total_seconds():
            raise InputError("seconds is too large")

    def read(self) -> list[Time]:
        """The last times. Raises InputError for texts that do not fit the step and the zones."""
        found = []
        for text, zone in zip(self.last, self.zones, strict=True):
            one = parse_time(text)
            aware = isinstance(one, datetime) and one.tzinfo is not None
            if isinstance(one, float) != (self.step.number > 0) or ((zone or self.step.utc) and not aware):
                raise InputError(f"times: {quote(text, 40)} does not fit the step, the zones and utc")
            found.append(one.astimezone(zone_of(zone)) if zone and isinstance(one, datetime) else one)
        return found


@dataclass(frozen=True)
class _Config:
    """The entry "forecast" of config.json. columns: of a series, with the exogenous ones. single: whether one series
    was given without a name. origins, held_out_steps: of the held-out windows of each series.
    """

    horizon: int
    season: int
    columns: int
    names: tuple[str, ...]
    single: bool
    origins: int
    held_out_steps: int
    times: _Times | None

    def __post_init__(self) -> None:
        # A size of 0 would make arrays of no bytes, whose other sizes could be any number.
        sizes = (self.horizon, self.season, self.columns, self.origins, self.held_out_steps, len(self.names))
        if min(sizes) < 1 or self.horizon > MAX_HORIZON:
            raise InputError(f"sizes must be at least 1, and horizon at most {MAX_HORIZON:,}")
        if len(set(self.names)) < len(self.names) or (self.single and len(self.names) > 1):
            raise InputError("names must differ, and a single series has one")
        if self.times is not None and {len(self.times.last), len(self.times.zones)} != {len(self.names)}:
            raise InputError("every series needs a time and a zone, or none does")


def _history(season: int, ensemble: Ensemble) -> int:
    """The values that the members and the seasonal naive forecast need."""
    members = [member for member in ensemble.members if isinstance(member, WindowMember)]
    return max([season, *(member.transform.history for member in members)])


def _whole(name: str, number: Any, most: int | None = None) -> int:
    """A whole number from 1 to `most`. Raises InputError."""
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or number < 1 or (most is not None and number > most):
        limit = "" if most is None else f" to {most:,}"
        raise InputError(f"{name} must be a whole number from 1{limit}, got {quote(number, 40)}")
    return int(number)
