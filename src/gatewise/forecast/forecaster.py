"""`Forecaster`: a weighted sum of members that read windows of one or several series.

The files of its folder, which `gatewise.load` opens:

    config.json             format, kind, members with their weights, names, seasons, calendar, columns
    forecast.safetensors    last values of the series, effects, held-out windows (float64)
    window_lstm.safetensors, ets.safetensors, ...    the arrays of each member
    README.md               the card, for people; it is not read back
"""

from __future__ import annotations

import time as clock
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

import numpy as np

from gatewise._version import __version__
from gatewise.data.times import show_time
from gatewise.errors import InputError, counted, quote, warn
from gatewise.forecast.held_out import HeldOut
from gatewise.forecast.series import MAX_HORIZON, Roles, SeriesSet, frame_like, future_values, series_set
from gatewise.members import Ensemble, Inputs
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.window_lstm import WindowLSTM
from gatewise.members.windows import WindowMember, Windows, attributed, roll_out
from gatewise.model import ModelMetadata
from gatewise.model.card import escape_markdown, markdown_table, metadata_rows
from gatewise.model.folder import FORMAT, config_of, errors_of
from gatewise.storage.fields import fields_from
from gatewise.storage.folder import Folder, save_folder
from gatewise.storage.strict_json import json_bytes
from gatewise.storage.tensors import tensors_from_bytes, tensors_to_bytes
from gatewise.target import RegressionTarget, TargetConfig, check_logits
from gatewise.types import Array, Precision

if TYPE_CHECKING:
    from gatewise.explain import Example
    from gatewise.forecast.series import Frame
    from gatewise.training import Recipe
    from gatewise.training.recipe_fields import RecipeFields

_TENSORS = "forecast.safetensors"
_HELD_OUT = ("actual", "forecast", "naive", "scale")
_MOST_NOTES = 50  # that a forecaster keeps
_CHECKED = 200  # values of each series that are forecast when a folder is read; `predict` checks all
_KEYS = {"format", "kind", "target", "members", "shift", "metadata", "forecast"}


@dataclass(frozen=True, eq=False)
class ForecastExplanation:
    """One forecast value as a sum: forecast = base + Σ contributions, up to `error`.

    values (R, C): the last R values of the series and of its exogenous columns, oldest first. contributions (R, C): how
    much each of them adds to the forecast, in its unit. base: the forecast for a window in which every column has its
    mean. step: from 1. columns: the names of the C columns.
    """

    step: int
    forecast: float
    base: float
    values: Array
    contributions: Array
    columns: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data, the contributions by column."""
        by_column = dict(zip(self.columns, self.contributions.T.tolist(), strict=True))
        return {"step": self.step, "forecast": self.forecast, "base": self.base, "contributions": by_column}

    @property
    def error(self) -> float:
        """The forecast less base and contributions: the error of the numerical integral."""
        return self.forecast - self.base - float(self.contributions.sum())


class Forecaster:
    """Forecasts one or several series as a weighted sum of members. `Forecaster.fit` makes one.

    >>> forecaster = gw.Forecaster.fit([10, 12, 9, 11] * 12, horizon=4, epochs=1, units=4)
    >>> forecaster.predict()["forecast"].round().tolist()
    [10.0, 12.0, 9.0, 11.0]

    The members are the naive, seasonal naive and drift forecasts, exponential smoothing (ETS) and Theta, with and
    without logarithms and seasonal profiles, linear autoregressions on windows, and one LSTM over all series. They are
    fitted before the held-out windows, up to 32 per series, from each of which the horizon is forecast. The errors
    there give the weights, the scores in `held_out` and the prediction intervals. Then the members are fitted to all
    values. Longer horizons than the members predict at once feed the predictions back.

    names: of the series. horizon: the number of values that are forecast by default. seasons: the periods, at most two.
    ensemble: the members, fitted on all values, with their weights. held_out: the held-out windows, with the errors of
    the forecaster and of the seasonal naive forecast. series: the last values of the series, as the members read them
    and as many as they need. effects (S, F): by how much each column that is known in advance moves each series.
    metadata: the recipe, the seed and the date. notes: what was replaced in the series, in lines. manifest_sha256: the
    digest of the folder that `gatewise.load` read, or "".
    """

    manifest_sha256 = ""

    def __init__(
        self,
        horizon: int,
        seasons: tuple[int, ...],
        series: SeriesSet,
        ensemble: Ensemble,
        held_out: HeldOut,
        effects: Array,
        metadata: ModelMetadata,
        notes: tuple[str, ...],
        non_negative: bool,
    ) -> None:
        self.horizon = horizon
        self.seasons = seasons
        self.names = series.names
        self.series = series
        self.ensemble = ensemble
        self.held_out = held_out
        self.effects = effects
        self.metadata = metadata
        self.notes = notes
        self._non_negative = non_negative
        # What `fit` was called with, for `cross_validation`; a folder does not hold it.
        self._data: SeriesSet | None = None
        self._settings: dict[str, Any] = {}
        self._frame: type = object  # the type of the data

    def __repr__(self) -> str:
        return f"Forecaster(horizon={self.horizon}, seasons={list(self.seasons)}, {len(self.names)} series)"

    @classmethod
    def fit(
        cls,
        data: Any,
        *,
        id: str | None = None,
        time: str | None = None,
        target: str | None = None,
        future: Sequence[str] = (),
        past: Sequence[str] = (),
        static: Sequence[str] = (),
        horizon: int = 12,
        season: int | None = None,
        recipe: str | Recipe | None = None,
        seed: int | None = 0,
        **changes: Unpack[RecipeFields],
    ) -> Forecaster:
        """Fit on series up to the present.

        data: a long data frame with one row per series and time, of pandas, polars or PyArrow; or one array, several as
        a dict or a list (`gatewise.forecast.series.series_set`). id, time, target: its columns; by default unique_id,
        ds and y as in Nixtla. future: columns that are known in advance, such as promotions and prices. past: columns
        known up to the present. static: columns with one value per series. season: the period, 1 for none; None: from
        the times, else from the data. recipe, seed, changes: of the LSTM, as in `gatewise.train`; the other members are
        tried in any case. A DataWarning says so where the LSTM gets weight 0, and names what was interpolated.

        Raises InputError for irregular times, series that are too short, and a horizon beyond the year 9999.
        """
        from gatewise.forecast.fit import fit  # what a saved forecaster does not need
        from gatewise.training.fields import checked_seed
        from gatewise.training.forecast_members import window_recipe

        seed = checked_seed(seed, resume=False)
        series = series_set(data, id=id, time=time, target=target, future=future, past=past, static=static)
        begin = clock.perf_counter()
        horizon = _whole("horizon", horizon, MAX_HORIZON)
        season = None if season is None else _whole("season", season)
        series.check_horizon(horizon)
        chosen = window_recipe(recipe, changes)
        fitted = fit(series, horizon, season, chosen, seed)
        metadata = ModelMetadata(
            gatewise=__version__,
            recipe=chosen.name,
            seed=seed,
            seconds=round(clock.perf_counter() - begin, 1),
            created=clock.strftime("%Y-%m-%d", clock.gmtime()),
        )
        forecaster = cls(
            horizon=horizon,
            seasons=fitted.seasons,
            series=replace(series, values=fitted.series).last(_history(fitted.seasons, fitted.ensemble)),
            ensemble=fitted.ensemble,
            held_out=fitted.held_out,
            effects=fitted.effects,
            metadata=metadata,
            notes=tuple(fitted.notes[:_MOST_NOTES]),
            non_negative=all(bool((values[:, 0] >= 0).all()) for values in series.values),
        )
        forecaster._data = series
        forecaster._frame = type(data)
        forecaster._settings = {"season": season, "recipe": recipe, "seed": seed, **changes}
        if series.notes and not isinstance(data, SeriesSet):  # the command line passes one, and prints the report
            warn("; ".join(series.notes))
        settings = ["recipe"] * (recipe is not None) + list(changes)
        if settings and not fitted.ensemble.lstm_weight:
            warn(
                f"{', '.join(settings)} did not change the forecast: recipe and fields are those of the LSTM, and the "
                "LSTM has weight 0, as the other members had smaller errors on the held-out windows; "
                "Forecaster.weights lists all members"
            )
        return forecaster

    def predict(
        self, horizon: int | None = None, *, future: Any = None, data: Any = None, level: float | Sequence[float] = 80
    ) -> Frame:
        """A data frame with the columns id, time (as they are named), forecast, lo-80 and hi-80: one row per series and
        step.

        horizon: None for that of the fit. future: a frame with the columns that are known in advance, for these times.
        data: newer values of the series, a frame as for `fit`, with a DataWarning of what is interpolated or replaced
        in them; None: those of the fit. level: of the prediction intervals in percent, one or several, such as
        [80, 95]; numbers below 1 are shares. Raises InputError for series that are not known, and for missing future
        values.
        """
        forecasts = self.by_series(horizon, future=future, data=data, level=level)
        frame_type = self._frame if data is None else type(data)
        return frame_like(frame_type, _table(self.series.roles, forecasts.items()))

    def by_series(
        self, horizon: int | None = None, *, future: Any = None, data: Any = None, level: float | Sequence[float] = 80
    ) -> dict[str, dict[str, list[Any]]]:
        """The columns of `predict` but that of the names, as lists, by name of the series. Times are numbers, or
        datetimes.
        """
        series = self.current(data)
        levels = _levels(level)
        horizon = _whole("horizon", self.horizon if horizon is None else horizon, MAX_HORIZON)
        numbers = [self.series.number(name) for name in series.names]
        forecasts = self._forecast(self._windows(series), horizon)
        if series.roles.future:
            known = future_values(future, series, horizon)
            effects = [columns @ self.effects[number] for number, columns in zip(numbers, known, strict=True)]
            forecasts += np.stack(effects)
        elif future is not None:
            raise InputError("the forecaster was fitted without columns that are known in advance: leave future= out")
        least = 0.0 if self._non_negative else -np.inf
        out: dict[str, dict[str, list[Any]]] = {}
        for place, (name, number) in enumerate(zip(series.names, numbers, strict=True)):
            mean = np.maximum(forecasts[place], least)
            columns: dict[str, Array] = {"forecast": mean}
            for share in levels:
                half = self.held_out.half_widths(mean, number, share)
                columns[f"lo-{100 * share:.10g}"] = np.maximum(mean - half, least)
                columns[f"hi-{100 * share:.10g}"] = mean + half
            if not np.isfinite(list(columns.values())).all():
                raise InputError("the prediction interval overflows: divide the values by a constant")
            out[name] = {series.roles.time: series.times_after(place, horizon)}
            out[name] |= {label: column.tolist() for label, column in columns.items()}
        return out

    def cross_validation(
        self, horizon: int | None = None, windows: int = 3, *, level: float | Sequence[float] = 80
    ) -> Frame:
        """Forecasts from earlier cutoffs, each by a forecaster that is fitted again on the values up to it: a frame
        with id, time, cutoff, the target, forecast and intervals. The last `windows` times `horizon` values of each
        series are forecast.

        Raises InputError for a forecaster that was loaded, whose folder does not hold all values.
        """
        if self._data is None:
            raise InputError("a forecaster from a folder does not hold all values: fit it again for a cross-validation")
        if horizon is None:
            horizon = self.horizon
        horizon = _whole("horizon", horizon, MAX_HORIZON)
        windows = _whole("windows", windows, 1000)
        data = self._data
        roles = data.roles
        if min(map(len, data.values)) <= windows * horizon:
            raise InputError(f"the shortest series has no value before {windows} windows of {horizon} steps: use fewer")
        tables: list[tuple[str, dict[str, list[Any]]]] = []
        for cut in range(windows * horizon, 0, -horizon):
            before = replace(data, values=[values[: len(values) - cut] for values in data.values])
            forecaster = Forecaster.fit(before, horizon=horizon, **self._settings)
            forecasts = forecaster.by_series(horizon, level=level)
            for number, (name, columns) in enumerate(forecasts.items()):
                n = len(before.values[number])
                [cutoff] = before.times(number, n - 1, n)
                table = {
                    roles.time: columns.pop(roles.time),
                    "cutoff": [cutoff] * horizon,
                    roles.target: data.values[number][n : n + horizon, 0].tolist(),
                    **columns,
                }
                tables.append((name, table))
        return frame_like(self._frame, _table(roles, tables))

    def explain(self, step: int = 1, *, series: str | None = None, data: Any = None) -> ForecastExplanation:
        """How much each past value contributed to the forecast `step` values ahead: the weighted sum over the members
        (`gatewise.members.windows.attributed`), before the effects of columns that are known in advance. step: from 1.
        data: newer values, as for `predict`.
        """
        current = self.current(data)
        name = current.names[current.number(series)]
        return self.explanations(step, [name], current)[name]

    def explanations(self, step: int, names: Sequence[str], current: SeriesSet) -> dict[str, ForecastExplanation]:
        """`explain` of several series of `current`, as the members read them, by name."""
        step = _whole("step", step, MAX_HORIZON)
        windows = self._windows(current)
        labels = (current.roles.target, *current.roles.past, *current.statics)
        explanations = {}
        for name in names:
            window = windows[current.number(name)]
            known = ~np.isnan(window.values[0, :, 0])
            window = replace(window, values=window.values[:, known])
            terms = [weight * attributed(member, window, step)[:, :, -1] for member, weight in self._weighted]
            both = Windows.concatenated([window, window.means()])
            forecast, base = self._forecast(both, step)[:, -1].tolist()
            contributions = np.sum(terms, axis=0)
            if not np.isfinite(contributions).all():
                raise InputError("the forecaster overflows: a contribution is not finite; ask for fewer steps")
            explanations[name] = ForecastExplanation(step, forecast, base, window.values[0], contributions, labels)
        return explanations

    def trace(self, *, series: str | None = None) -> Example:
        """The gates and states of the LSTM on the last window of a series. The LSTM reads the window standardised, and
        its logits are the next values in this scale, less the base of the window.
        """
        from gatewise.explain import Example

        lstm = cast(WindowLSTM, self.ensemble.lstm)
        x, _, _ = lstm.encode(self._windows(self.series)[self.series.number(series)])
        window = EncodedSequence(x[0].astype(np.float32))
        return Example(Ensemble.of(lstm.network, self.ensemble.target), window)

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each member by its name, the LSTM first; they sum to 1."""
        return dict(self.ensemble.weight_rows())

    def about(self) -> dict[str, Any]:
        """Horizon, seasons and series, the errors on the held-out windows, and the weights of the members, as plain
        data.
        """
        about = {"horizon": self.horizon, "seasons": list(self.seasons), "series": list(self.names)}
        return {**about, "held_out": self.held_out.to_json(), "members": self.ensemble.weights_json()}

    def report(self, horizon: int | None = None, level: float | Sequence[float] = 80) -> list[str]:
        """Errors on the held-out windows, weights of the members, and what was replaced in the series, in lines.
        horizon, level: those of the intervals; the last line warns where they had to be widened.
        """
        held = self.held_out
        season = f"season {' and '.join(map(str, self.seasons))}" if self.seasons else "no season"
        lines = [
            f"{season}; {held}, forecast by models fitted before them",
            f"  gatewise        {held.scores}",
            f"  seasonal naive  {held.naive_scores}",
        ]
        if held.scores.mase >= held.naive_scores.mase:
            lines.append("warning: the seasonal naive forecast had the smaller error on these windows")
        lines.append("the forecast is a weighted sum of the forecasts of these members:")
        lines += [f"  {weight:.2f}  {name}" for name, weight in self.ensemble.weight_rows()]
        lines += self.notes
        note = held.note(horizon or self.horizon, max(_levels(level)))
        return [*lines, *[f"warning: {note}"] * bool(note)]

    def card(self) -> str:
        """The card of the folder, Markdown."""
        shown = ", ".join(map(escape_markdown, self.names[:60]))
        several = f"{len(self.names):,} series: {shown}" if len(self.names) > 1 else "one series"
        about = f"It forecasts the next {counted(self.horizon, 'value')} of {several}."
        report = [f"    {line}" for line in self.report()]
        facts = markdown_table(metadata_rows(self.metadata))
        return "\n".join(["# A gatewise forecaster", "", about, "", *report, "", *facts, ""])

    def save(self, path: str | Path) -> None:
        """Write the folder, completely or not at all; `gatewise.load` opens it."""
        save_folder(path, self.to_files())

    def to_files(self) -> dict[str, bytes]:
        """The files of the folder by name."""
        from gatewise.forecast.config import Config

        _, origins, held_out_steps = self.held_out.actual.shape
        forecast = Config(
            horizon=self.horizon,
            seasons=self.seasons,
            names=self.names,
            roles=self.series.roles,
            statics=self.series.statics,
            calendar=self.series.calendar,
            starts=tuple(map(show_time, self.series.starts)),
            lengths=tuple(map(len, self.series.values)),
            origins=origins,
            held_out_steps=held_out_steps,
            non_negative=self._non_negative,
            notes=self.notes,
            stride=self.held_out.stride,
        )
        ensemble, members = self.ensemble.to_files()
        config = {
            "format": FORMAT,
            "kind": "forecaster",
            "target": TargetConfig.of(self.ensemble.target).as_dict(),
            **ensemble,
            "metadata": asdict(self.metadata),
            "forecast": asdict(forecast),
        }
        tensors = {
            "values": np.concatenate(self.series.values),
            "effects": self.effects,
            **{name: getattr(self.held_out, name) for name in _HELD_OUT},
        }
        files = {"README.md": self.card().encode(), "config.json": json_bytes(config), **members}
        return {**files, _TENSORS: tensors_to_bytes(tensors)}

    @classmethod
    def from_folder(cls, folder: Folder, precision: Precision = "float32") -> Forecaster:
        """The forecaster in a folder that `save` wrote. Raises ModelFileError that names its path."""
        with errors_of(folder):
            forecaster = cls._of_folder(folder, precision)
        forecaster.manifest_sha256 = folder.fingerprint
        return forecaster

    @classmethod
    def _of_folder(cls, folder: Folder, precision: Precision) -> Forecaster:
        from gatewise.forecast.config import Config

        entry = config_of(folder, "forecaster", _KEYS)
        config = fields_from(Config, entry["forecast"], "config.json: forecast")
        target = fields_from(TargetConfig, entry["target"], "config.json: target").target()
        metadata = fields_from(ModelMetadata, entry["metadata"], "config.json: metadata")
        ensemble = Ensemble.from_files(entry, target, Inputs("windows", config.columns), folder.read)
        count = len(config.names)
        for member in ensemble.members:
            if not isinstance(member, WindowMember) or len(member.scales.mean) != count:
                raise InputError(f"config.json: every member must read windows of {count} series")
        if not isinstance(target, RegressionTarget) or min(ensemble.weights) < 0 or ensemble.shift.any():
            raise InputError("config.json: a forecaster needs a regression with weights from 0 and a shift of 0")
        too_short = min(config.lengths) < _history(config.seasons, ensemble, ragged=False)
        if too_short or max(config.lengths) < _history(config.seasons, ensemble):
            raise InputError("config.json: the series are shorter than the windows of the members")
        expected = {
            "values": ((sum(config.lengths), config.columns), "float64"),
            "effects": ((count, len(config.roles.future)), "float64"),
            "scale": ((count,), "float64"),
            **dict.fromkeys(_HELD_OUT[:3], ((count, config.origins, config.held_out_steps), "float64")),
        }
        tensors = tensors_from_bytes(folder.read(_TENSORS), expected, _TENSORS)
        values = np.split(tensors.pop("values"), np.cumsum(config.lengths)[:-1])
        unused = [np.zeros((n, len(config.roles.future))) for n in config.lengths]
        series = SeriesSet(
            names=config.names,
            values=values,
            future=unused,
            starts=config.read_starts(),
            calendar=config.calendar,
            roles=config.roles,
            statics=config.statics,
        )
        effects = tensors.pop("effects")
        series.check_horizon(config.horizon)
        if precision != "float32":
            ensemble = ensemble.with_lstm(precision=precision)
        forecaster = cls(
            horizon=config.horizon,
            seasons=config.seasons,
            series=series,
            ensemble=ensemble,
            held_out=HeldOut(**tensors, stride=config.stride),
            effects=effects,
            metadata=metadata,
            notes=config.notes,
            non_negative=config.non_negative,
        )
        forecaster._check_finite()
        return forecaster

    @np.errstate(all="ignore")
    def _check_finite(self) -> None:
        """Raise InputError where numbers of a folder give scores, forecasts or intervals that are not finite."""
        scores = [*astuple(self.held_out.scores), *astuple(self.held_out.naive_scores)]
        if not all(score is None or np.isfinite(score) for score in scores):
            raise InputError(f"{_TENSORS}: the errors on the held-out windows are not finite")
        forecasts = self._forecast(self._windows(self.series), min(self.horizon, _CHECKED))
        for number, mean in enumerate(forecasts):
            check_logits(self.held_out.half_widths(mean, number, 0.99)[None])

    def current(self, data: Any = None) -> SeriesSet:
        """The series as the members read them, as many of the last values as these need. data: as for `predict`."""
        if data is None:
            return self.series
        from gatewise.forecast.fit import clean_series

        roles = self.series.roles
        newer = series_set(data, replace(roles, static=()), self.series.calendar)
        if newer.is_unnamed and not self.series.is_unnamed:
            raise InputError(f"the data has no column {quote(roles.id, 40)}, which names the series")
        needed = _history(self.seasons, self.ensemble, ragged=False)
        numbers = [self.series.number(name) for name in newer.names]
        with_statics = []
        for name, number, values in zip(newer.names, numbers, newer.values, strict=True):
            if self._non_negative and (values[:, 0] < 0).any():
                raise InputError(
                    f"series {quote(name, 40)} has a value below 0, and had none in the fit: fit the forecaster again "
                    "on these values"
                )
            if len(values) < needed:
                raise InputError(
                    f"series {quote(name, 40)} has {counted(len(values), 'value')}; the forecaster reads the last "
                    f"{needed}: add earlier values"
                )
            statics = self.series.values[number][-1:, 1 + len(roles.past) :]  # as in the fit
            with_statics.append(np.concatenate([values, statics.repeat(len(values), axis=0)], axis=1))
        newer = replace(newer, values=with_statics, statics=self.series.statics, roles=roles)
        season = self.seasons[0] if self.seasons else 1
        prepared, _, changes = clean_series(newer, self.effects[numbers], season, "forecast")
        notes = [*newer.notes, *changes][:_MOST_NOTES]
        if notes:
            warn(f"newer values: {'; '.join(notes)}")
        return replace(newer, values=prepared).last(_history(self.seasons, self.ensemble))

    def _windows(self, series: SeriesSet) -> Windows:
        """The last window of each series, with NaN in front of the first value."""
        history = max(map(len, series.values))
        padded = [
            np.pad(values, ((history - len(values), 0), (0, 0)), constant_values=np.nan) for values in series.values
        ]
        numbers = [self.names.index(name) for name in series.names]
        return Windows(np.stack(padded), np.array(numbers, dtype=np.intp))

    @property
    def _weighted(self) -> list[tuple[WindowMember, float]]:
        """The members with a weight."""
        return [(cast(WindowMember, member), weight) for member, weight in self.ensemble if weight]

    @np.errstate(all="ignore")
    def _forecast(self, windows: Windows, horizon: int) -> Array:
        """(B, horizon) from B windows. Raises InputError where a member overflows."""
        terms = [weight * roll_out(member, windows, horizon) for member, weight in self._weighted]
        forecasts = np.zeros((len(windows), horizon))
        if terms:
            forecasts = np.asarray(np.sum(terms, axis=0))
        check_logits(forecasts)
        return forecasts


def _history(seasons: tuple[int, ...], ensemble: Ensemble, ragged: bool = True) -> int:
    """The number of values that the members read. ragged: with the members that also take shorter series; without
    them, the number of values that each series must have.
    """
    members = [member for member in ensemble.members if isinstance(member, WindowMember)]
    histories = [member.transform.history for member in members if ragged or not member.ragged]
    return max([2, *seasons, *histories])


def _table(roles: Roles, tables: Iterable[tuple[str, dict[str, list[Any]]]]) -> dict[str, list[Any]]:
    """One table of the columns of several series, with a column of their names. Whole numbers as times are int."""
    out: dict[str, list[Any]] = {roles.id: []}
    for name, columns in tables:
        out[roles.id] += [name] * len(columns["forecast"])
        for label, column in columns.items():
            out.setdefault(label, []).extend(column)
    for label in {roles.time, "cutoff"}.intersection(out):
        if all(isinstance(time, float) and time.is_integer() for time in out[label]):
            out[label] = list(map(int, out[label]))
    return out


def _levels(level: Any) -> list[float]:
    """The levels as shares, each once. Raises InputError for one that is not between 0 and 100."""
    levels = level if isinstance(level, list | tuple | np.ndarray) else [level]
    return list(dict.fromkeys(map(_share, levels)))


def _share(level: Any) -> float:
    """A level as a share, rounded to the digits that the names of the columns show."""
    share = 0.0
    if isinstance(level, int | float | np.number) and not isinstance(level, bool):
        number = float(level)
        share = round(number if number < 1 else number / 100, 10)
    if not 0 < share < 1:
        raise InputError(f"a level must lie between 0 and 100, such as 80, got {quote(level, 40)}")
    return share


def _whole(name: str, number: Any, most: int | None = None) -> int:
    """A whole number from 1 to `most`. Raises InputError."""
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or number < 1 or (most is not None and number > most):
        limit = "" if most is None else f" to {most:,}"
        raise InputError(f"{name} must be a whole number from 1{limit}, got {quote(number, 40)}")
    return int(number)
