"""Forecaster: better than the seasonal naive forecast, blind to the future, saved and loaded, explained."""

from __future__ import annotations

import json
from copy import copy
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import safetensors.numpy

import gatewise as gw
from gatewise.errors import InputError, ModelFileError
from gatewise.forecast.forecaster import Forecaster
from gatewise.forecast.series import SeriesSet
from gatewise.forecast.steps import Steps
from gatewise.members.windows import roll_out
from gatewise.model.model import load
from gatewise.storage.folder import load_folder, save_folder
from gatewise.storage.strict_json import json_bytes
from gatewise.storage.tensors import tensors_to_bytes
from tests.forecast.conftest import TINY, seasonal


def test_it_forecasts_better_than_the_last_season(fitted: Forecaster) -> None:
    future = seasonal(96 + 6)[96:]
    assert fitted.season == 12
    found = fitted.forecast()
    assert np.abs(found.mean - future).mean() < 0.6 * np.abs(found.seasonal_naive - future).mean()
    assert fitted.held_out.scores.mase < 0.6 * fitted.held_out.naive_scores.mase
    np.testing.assert_array_equal(fitted.predict(), found.mean)
    assert (found.lower < found.mean).all()
    assert found.windows == 16
    assert found.times is None
    assert sum(fitted.weights.values()) == pytest.approx(1)


def test_longer_horizons_feed_forecasts_back_without_intervals(fitted: Forecaster) -> None:
    found = fitted.forecast(30)
    assert len(found) == 30
    np.testing.assert_allclose(found.mean[:6], fitted.predict(), rtol=1e-6)
    assert np.isnan(found.upper[6:]).all()
    assert np.isfinite(found.upper[:6]).all()
    rows = found._repr_html_().split("<tr>")[2:]
    assert len(rows) == 30
    assert rows[0].count("<td>") == 4
    assert rows[29].count("<td></td>") == 2


@pytest.mark.parametrize("count", [3, 8])
def test_nothing_sees_the_future(count: int) -> None:
    """Whatever the last values are, the forecasts of windows before them and what was fitted before do not change."""
    y = seasonal(72)
    first = Forecaster(4, **TINY).fit(y)
    changed = y.copy()
    changed[-count:] *= np.random.default_rng(1).uniform(0.2, 5, size=count)
    second = Forecaster(4, **TINY).fit(changed)
    assert first.season == second.season
    assert first.weights != second.weights
    one, two = first.held_out, second.held_out
    np.testing.assert_array_equal(one.scale, two.scale)
    origins = one.actual.shape[1]
    blind = 72 - 4 - np.arange(origins)[::-1] <= 72 - count  # window w knows 72 - 4 - (W - 1 - w) values
    np.testing.assert_array_equal(one.forecast[:, blind], two.forecast[:, blind])
    assert blind.sum() >= 8
    assert blind.all() == bool((one.forecast == two.forecast).all())
    assert (one.actual != two.actual).any()
    assert (first.predict() != second.predict()).all()


def test_several_series_with_exogenous_columns_and_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    y = {"a": seasonal(72), "b": seasonal(60, seed=1, level=3000)}
    extra = {"a": rng.normal(size=(72, 2)), "b": rng.normal(size=(60, 2))}
    times = {
        "a": [f"{2000 + n // 12}-{n % 12 + 1:02d}" for n in range(72)],
        "b": [f"{2001 + n // 12}-{n % 12 + 1:02d}" for n in range(60)],
    }
    found = Forecaster(4, **TINY).fit(y, extra, times)
    assert found.names == ("a", "b")
    assert found.predict().shape == (2, 4)
    assert found.predict()[1].mean() > 10 * found.predict()[0].mean()
    one = found.forecast(series="b")
    assert one.times is not None
    assert [f"{time:%Y-%m}" for time in one.times] == ["2006-01", "2006-02", "2006-03", "2006-04"]  # type: ignore[str-format]
    with pytest.raises(InputError, match="no series 'c'; there are 'a', 'b'"):
        found.forecast(series="c")
    found.save(tmp_path / "f")
    again = gw.load(tmp_path / "f")
    np.testing.assert_allclose(again.predict(), found.predict(), rtol=1e-12)
    assert again.forecast(series="b").times == one.times
    assert again.weights == found.weights
    assert again.explain(2, series="a").contributions.shape[1] == 3


def test_save_and_load(fitted: Forecaster, tmp_path: Path) -> None:
    fitted.save(tmp_path / "f")
    again = gw.load(tmp_path / "f")
    one, two = fitted.forecast(), again.forecast()
    for name in ("mean", "lower", "upper", "seasonal_naive"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-12)
    assert again.held_out.scores == fitted.held_out.scores
    assert again.weights == fitted.weights
    assert again.card() == fitted.card()
    with pytest.raises(ModelFileError, match="is a forecaster, made by `gatewise forecast`"):
        load(tmp_path / "f")  # the LSTM is never taken for the whole


def test_the_forecast_is_the_weighted_sum_of_the_members(fitted: Forecaster) -> None:
    ensemble, windows = fitted.ensemble, fitted._windows()
    assert next(iter(fitted.weights)).startswith("LSTM: ")
    assert len(fitted.weights) == len(ensemble.members) > 2
    parts = [weight * roll_out(member, windows, 6) for member, weight in ensemble]
    np.testing.assert_allclose(fitted.predict(), np.sum(parts, axis=0)[0], rtol=1e-12)
    np.testing.assert_allclose(fitted.predict(), ensemble.logits(list(windows))[0], rtol=1e-6)
    assert str(fitted.held_out) in fitted.report()[0]
    assert all(f"  {weight:.2f}  {name}" in fitted.report() for name, weight in fitted.weights.items())


def test_the_gates_of_the_lstm_are_traced(fitted: Forecaster) -> None:
    found = fitted.trace()
    assert len(found) == found.layer(-1)[0].h.shape[0] > 3
    assert found.contributions.shape == (len(found), 4)
    assert found.logits.shape == (6,)


def test_explanations_add_up(fitted: Forecaster) -> None:
    for step in (1, 6):
        found = fitted.explain(step)
        assert found.forecast == pytest.approx(fitted.predict()[step - 1], rel=1e-6)
        assert abs(found.error) < 0.02 * abs(found.forecast - found.base) + 0.05
        assert np.abs(found.contributions).sum() > 1
    assert fitted.explain(np.int64(6)).step == 6  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [0, 1.5, True, "2", 10_001])
def test_steps_and_horizons_are_whole_numbers(fitted: Forecaster, number: Any) -> None:
    for name, call in (
        ("step", fitted.explain),
        ("horizon", fitted.predict),
        ("horizon", fitted.forecast),
        ("horizon", Forecaster),
    ):
        with pytest.raises(InputError, match=f"{name} must be a whole number from 1 to 10,000, got '{number}'"):
            call(number)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (np.r_[seasonal(40), np.nan], {}, r"the series: value 40 \(from 0\) is missing"),
        ({"a": np.r_[np.inf, seasonal(40)]}, {}, r"series 'a': value 0 \(from 0\) is infinite"),
        (seasonal(12), {}, "the series has 12 values, too few"),
        ([seasonal(60), seasonal(14)], {}, "series '1' has 14 values, too few"),
        (seasonal(40).reshape(20, 2), {}, r"must be \(n,\), got \(20, 2\)"),
        (["a", "b"], {}, "must be"),
        (seasonal(40), {"exogenous": np.ones((39, 1))}, r"must be \(40, K\), got \(39, 1\)"),
        (seasonal(40), {"times": list(range(39))}, "40 values but 39 times"),
        (seasonal(40), {"times": [0, 1, 1, *range(3, 40)]}, "the time 1 occurs twice"),
        (seasonal(40), {"times": [0, 2, 1, *range(3, 40)]}, "the time 1 comes after 2: sort the rows by time"),
        (seasonal(40), {"times": [*range(20), *range(21, 41)]}, "the step is 1: 20 is missing"),
        (
            seasonal(40),
            {"times": [f"{9996 + n // 12}-{n % 12 + 1:02d}" for n in range(8, 48)]},
            "outside the years 1 to",
        ),
        (np.r_[seasonal(40), -2e150], {}, r"the series: value 40 \(from 0\) is not between -1e\+150 and 1e\+150"),
        ({"a": 1e-310 * seasonal(40)}, {}, "series 'a': all values are below 1e-150 in size"),
        ([10**400, 1, 2], {}, r"the series: a value is above 1e\+150"),
        (
            seasonal(40),
            {"exogenous": np.full((40, 1), 1e200)},
            r"columns of the series: value 0 \(from 0\) is not between",
        ),
        ({1: seasonal(40), "1": seasonal(40)}, {}, "2 names are '1' as text; every name must differ"),
        ({}, {}, "there is no series"),
        ([seasonal(40)] * 2, {"exogenous": [np.ones(40)]}, "one entry each"),
    ],
)
def test_what_cannot_be_forecast_is_named(y: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Forecaster(6, **TINY).fit(y, **options)


@pytest.mark.parametrize("low", [0.0, -5.0])
def test_values_that_have_no_logarithm_may_come_late(low: float) -> None:
    y = seasonal()
    y[-3] = low
    found = Forecaster(6, recipe="fast", **TINY).fit(y)
    assert found.ensemble.lstm.arch.top.direction == "both"  # as in that recipe
    assert np.isfinite(found.predict()).all()
    assert not any("logarithms" in name for name in found.weights)


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match=r"season must be a whole number from 1, got '2\.5'"):
        Forecaster(season=2.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not fitted"):
        Forecaster().predict()


def test_hours_across_daylight_saving_time_are_saved(tmp_path: Path) -> None:
    start = datetime(2024, 3, 30, 0, tzinfo=UTC)
    hours = [start + timedelta(hours=n) for n in range(60)]
    times = [time.astimezone(timezone(timedelta(hours=1 + (n > 24)))).isoformat() for n, time in enumerate(hours)]
    found = Forecaster(3, season=12, **TINY).fit(seasonal(60), times=times)
    found.save(tmp_path / "saved")
    for one in (found, gw.load(tmp_path / "saved")):
        assert one.forecast().times == [hours[-1] + timedelta(hours=n) for n in (1, 2, 3)]
        assert next(str(time) for time in one.forecast().times or []) == "2024-04-01 14:00:00+02:00"


def changed(files: dict[str, bytes], **values: Any) -> dict[str, bytes]:
    """The files with changes in config.json: of a dict, of its entries."""
    config = json.loads(files["config.json"])
    for name, value in values.items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    return {**files, "config.json": json_bytes(config)}


@pytest.mark.parametrize("name", ["horizon", "season", "columns", "origins", "held_out_steps", "names"])
def test_sizes_in_a_folder_are_bounded(daily: dict[str, bytes], name: str) -> None:
    values: list[Any] = [[]] if name == "names" else [0, -1]
    for value in [*values, 10**9] if name == "horizon" else values:
        with pytest.raises(ModelFileError, match="sizes must be at least 1, and horizon at most 10,000"):
            Forecaster.of_files(changed(daily, forecast={name: value}), "f")


@pytest.fixture(scope="module")
def daily(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a forecaster of two series with days in Europe/Berlin, up to three days before the clocks change."""
    days = [datetime(2024, 3, 28, tzinfo=ZoneInfo("Europe/Berlin")) - timedelta(days=n) for n in range(59, -1, -1)]
    y = {"a": seasonal(60), "b": seasonal(60, seed=1)}
    found = Forecaster(6, season=12, **TINY).fit(y, times=dict.fromkeys(y, days))
    folder = tmp_path_factory.mktemp("daily") / "f"
    found.save(folder)
    assert gw.load(folder).forecast(series="b").times == found.forecast(series="b").times
    return dict(load_folder(folder).files)


def test_a_time_zone_is_saved(daily: dict[str, bytes], tmp_path: Path) -> None:
    save_folder(tmp_path / "f", daily)
    times = gw.load(tmp_path / "f").forecast(series="b").times
    assert [str(time) for time in times or []][2:4] == ["2024-03-31 00:00:00+01:00", "2024-04-01 00:00:00+02:00"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"last": ["abc", "2024-03-28T00:00+01:00"]}, "the time 'abc' is neither a number nor a date"),
        ({"last": ["2024-03-28T00:00:00+01:00"]}, "every series needs a time and a zone, or none does"),
        ({"zones": ["Europe/Berlin"]}, "every series needs a time and a zone, or none does"),
        ({"zones": ["Europe/Nowhere", ""]}, "the time zone 'Europe/Nowhere' is not known here"),
        ({"zones": ["../secret", ""]}, "the time zone '../secret' is not known here"),
        ({"zones": ["Europe", ""]}, "the time zone 'Europe' is not known here"),
        ({"last": ["2024-03-28", "2024-03-28"]}, "'2024-03-28' does not fit the step, the zones and utc"),
        ({"last": ["79", "79"], "zones": ["", ""]}, "'79' does not fit the step"),
        ({"number": 1.0, "seconds": 0.0}, r"'2024-03-28T00:00:00\+01:00' does not fit the step"),
        ({"last": ["2024-03-28"] * 2, "zones": ["", ""], "utc": True}, "does not fit the step, the zones and utc"),
        ({"number": 1.0}, "one of months, seconds and number must be above 0"),
        (
            {"last": ["1e308", "1"], "zones": ["", ""], "seconds": 0.0, "number": 1e308},
            r"6 steps of .* after .* is not finite",
        ),
        ({"seconds": 1e300}, "seconds is too large"),
        ({"seconds": 1e13}, "is outside the years 1 to 9999"),
        ({"seconds": -1.0}, "one of months, seconds and number must be above 0"),
        ({"seconds": 0.0}, "one of months, seconds and number must be above 0"),
        ({"months": -1}, "one of months, seconds and number must be above 0"),
        ({"months": 10**15, "seconds": 0.0}, "is outside the years 1 to 9999"),
    ],
)
def test_changed_times_are_refused(daily: dict[str, bytes], changes: dict[str, Any], message: str) -> None:
    times = json.loads(daily["config.json"])["forecast"]["times"]
    step = {name: value for name, value in changes.items() if name not in times}
    times |= {name: value for name, value in changes.items() if name in times} | {"step": times["step"] | step}
    with pytest.raises(ModelFileError, match=message):
        Forecaster.of_files(changed(daily, forecast={"times": times}), "f")


def test_held_out_windows_without_finite_errors_are_refused(daily: dict[str, bytes]) -> None:
    name = "forecast.safetensors"
    tensors = safetensors.numpy.load(daily[name])
    for key, value in (("scale", 0.0), ("actual", 1e308)):
        files = {**daily, name: tensors_to_bytes({**tensors, key: np.full_like(tensors[key], value)})}
        with pytest.raises(ModelFileError, match="the errors on the held-out windows are not finite"):
            Forecaster.of_files(files, "saved/fc")


def test_times_are_checked_before_anything_is_forecast(fitted: Forecaster, monkeypatch: pytest.MonkeyPatch) -> None:
    found = copy(fitted)
    last, step = [datetime(9999, 12, 30)], Steps(seconds=86400)
    found.series = SeriesSet(("a",), fitted.series.values, last, step, True)
    monkeypatch.setattr(Forecaster, "_forecast", None)
    with pytest.raises(InputError, match="2 steps of 1 day after 9999-12-30 is outside"):
        found.forecast(2)
