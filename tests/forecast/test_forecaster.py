"""Forecaster: better than the seasonal naive forecast, frames out, saved and loaded, explained, cross-validated."""

import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import gatewise as gw
from gatewise.errors import DataWarning, InputError, ModelFileError
from gatewise.forecast.forecaster import Forecaster
from gatewise.members.windows import roll_out
from gatewise.model.model import load
from gatewise.storage.folder import Folder, load_folder
from gatewise.storage.strict_json import json_bytes
from gatewise.types import Array
from tests.forecast.conftest import SHOP, TINY, frame, seasonal
from tests.refusals import assert_refused


def test_it_forecasts_better_than_the_last_season(fitted: Forecaster) -> None:
    future = seasonal(96 + 6)[96:]
    assert fitted.seasons == (12,)
    found = fitted.predict()
    assert list(found.columns) == ["id", "time", "forecast", "lo-80", "hi-80"]
    assert found["time"].tolist() == list(range(96, 102))
    assert np.abs(found["forecast"] - future).mean() < 0.6 * np.abs(seasonal()[84:90] - future).mean()
    assert fitted.held_out.scores.mase < 0.6 * fitted.held_out.naive_scores.mase
    assert ((found["lo-80"] < found["forecast"]) & (found["forecast"] < found["hi-80"])).all()
    assert sum(fitted.weights.values()) == pytest.approx(1)


def test_levels(fitted: Forecaster) -> None:
    found = fitted.predict(30, level=[0.5, 80, 80 + 1e-11, 95])
    assert list(found.columns)[3:] == ["lo-50", "hi-50", "lo-80", "hi-80", "lo-95", "hi-95"]
    np.testing.assert_allclose(found["forecast"][:6], fitted.predict()["forecast"])
    assert ((found["hi-80"] > found["hi-50"]) & (found["hi-95"] > found["hi-80"])).all()
    assert np.isfinite(found.iloc[:, 2:].to_numpy()).all()
    for level in (0, 1e-300, 100, 100 - 1e-11, "80", True, [80, -1], None):
        assert_refused("a level must lie between 0 and 100, such as 80, got", fitted.predict, level=level)


@pytest.fixture(scope="module")
def monthly() -> Forecaster:
    """Two series of different length, with a column of each purpose."""
    return Forecaster.fit(monthly_frame(), **SHOP, **PURPOSES, horizon=4, **TINY)


PURPOSES: dict[str, Any] = {"future": ["sale"], "past": ["price"], "static": ["kind"]}


def monthly_frame(months: int = 72) -> pd.DataFrame:
    found = frame(72, 60).assign(kind=lambda rows: rows["shop"] + "x")
    rng = np.random.default_rng(4)
    found["sale"] = (rng.random(len(found)) < 0.2).astype(float)
    found["price"] = rng.normal(size=len(found))
    found["sold"] += 0.6 * found["sold"].groupby(found["shop"]).transform("mean") * found["sale"]
    last = found["month"].drop_duplicates().sort_values().iloc[months - 1]
    return found[found["month"] <= last].reset_index(drop=True)


def test_columns_of_each_purpose(monthly: Forecaster, tmp_path: Path) -> None:
    np.testing.assert_allclose(monthly.effects[:, 0], 0.6 * monthly_frame().groupby("shop")["sold"].mean(), rtol=0.3)
    assert_refused("the future values of 'sale' of series 'a' end before 2016-01-01: pass future=", monthly.predict)
    future = pd.DataFrame(
        {"shop": ["a"] * 4 + ["b"] * 4, "month": 2 * list(pd.date_range("2016", periods=4, freq="MS"))}
    )
    none, some = (monthly.predict(future=future.assign(sale=sale)) for sale in (0.0, [1.0, 0, 0, 0, 0, 0, 0, 0]))
    assert list(none.columns) == ["shop", "month", "forecast", "lo-80", "hi-80"]
    assert none["month"].tolist() == future["month"].tolist()
    difference = some["forecast"] - none["forecast"]
    np.testing.assert_allclose(difference, [monthly.effects[0, 0], *[0] * 7], atol=1e-6)
    assert none["forecast"][4:].mean() > 10 * none["forecast"][:4].mean()
    monthly.save(tmp_path / "f")
    again = gw.load(tmp_path / "f")
    pd.testing.assert_frame_equal(again.predict(future=future.assign(sale=0.0)), none)
    assert again.weights == monthly.weights
    assert again.explain(2, series="a").contributions.shape[1] == 3
    assert_refused("name one of the series; there are 'a', 'b'", monthly.explain)
    assert_refused("no series 'c'; there are 'a', 'b'", monthly.trace, series="c")


def test_newer_values_need_no_fit(monthly: Forecaster) -> None:
    older = Forecaster.fit(monthly_frame(60), **SHOP, **PURPOSES, horizon=4, **TINY)
    newer = monthly_frame()
    known = newer["month"] >= "2015-10-01"
    unknown = newer.assign(sold=newer["sold"].where(~known))  # the last three months as the future
    found = older.predict(3, data=unknown)
    assert found["month"].tolist() == 2 * list(pd.date_range("2015-10", periods=3, freq="MS"))
    actual = newer[known]["sold"].to_numpy()
    assert np.mean(np.abs(found["forecast"] / actual - 1)) < 0.25
    one = older.predict(3, data=unknown[unknown["shop"] == "b"].rename(columns={"month": "Month", "sold": "SOLD"}))
    np.testing.assert_allclose(one["forecast"], found["forecast"][3:])
    for data, message in (
        (newer.assign(shop=newer["shop"] + "2"), "no series 'a2'; there are 'a', 'b'"),
        (newer.drop(columns="price"), "no column 'price'"),
        (newer[newer["shop"] == "a"].drop(columns="shop"), "the data has no column 'shop', which names the series"),
        (newer[newer["month"] >= "2015-09-01"], "series 'a' has 4 values; the forecaster reads the last"),
    ):
        assert_refused(message, older.predict, data=data)


def test_polars_in_polars_out() -> None:
    given = pl.DataFrame(frame(40).rename(columns={"shop": "unique_id", "month": "ds", "sold": "y"}).to_dict("list"))
    found = Forecaster.fit(given, horizon=2, **TINY).predict()
    assert isinstance(found, pl.DataFrame)
    assert found.columns == ["unique_id", "ds", "forecast", "lo-80", "hi-80"]
    assert [f"{time:%Y-%m}" for time in found["ds"]] == ["2013-05", "2013-06"]


def test_cross_validation(monthly: Forecaster, tmp_path: Path) -> None:
    found = monthly.cross_validation(3, 2, level=[80, 95])
    assert list(found.columns)[:5] == ["shop", "month", "cutoff", "sold", "forecast"]
    assert list(found.columns)[5:] == ["lo-80", "hi-80", "lo-95", "hi-95"]
    assert len(found) == 2 * 2 * 3
    joined = found.merge(monthly_frame(), on=["shop", "month"])
    np.testing.assert_array_equal(joined["sold_x"], joined["sold_y"])
    assert [f"{one:%Y-%m}" for one in found["cutoff"].unique()] == ["2015-06", "2015-09"]
    assert (found["cutoff"] < found["month"]).all()
    assert np.mean(np.abs(found["forecast"] / found["sold"] - 1)) < 0.25
    assert_refused("no value before 30 windows of 3 steps", monthly.cross_validation, 3, 30)
    monthly.save(tmp_path / "f")
    assert_refused("does not hold all values: fit it again", gw.load(tmp_path / "f").cross_validation)


@pytest.mark.parametrize("freq", ["MS", "B", "D", "h", "30min"])
def test_a_short_series_has_a_forecast(freq: str) -> None:
    """24 monthly points and a horizon of 6; weekdays, hours in a zone with daylight saving time."""
    zone = "Europe/Berlin" if freq in ("D", "h") else None
    times = pd.date_range("2024-03-11", periods=24, freq=freq, tz=zone)
    values = pd.Series(seasonal(24), index=times)
    found = Forecaster.fit(values, horizon=6, **TINY).predict()
    assert found["time"].tolist() == list(pd.date_range(times[-1], periods=7, freq=freq)[1:])
    assert np.isfinite(found[["forecast", "lo-80", "hi-80"]].to_numpy()).all()


def test_values_that_are_never_negative_have_no_negative_bound() -> None:
    counts = np.random.default_rng(3).poisson(0.4, 60).astype(float)
    found = Forecaster.fit(counts, horizon=5, **TINY).predict(level=95)
    assert (found[["forecast", "lo-95"]] >= 0).all(axis=None)
    with pytest.raises(InputError, match="series 'series' has a value below 0, and had none in the fit: fit the"):
        Forecaster.fit(counts, horizon=5, **TINY).predict(data=counts - 1)
    found = Forecaster.fit(counts - 1, horizon=5, **TINY).predict(level=95)
    assert (found["lo-95"] < -0.5).all()


def test_save_and_load(fitted: Forecaster, tmp_path: Path) -> None:
    fitted.save(tmp_path / "f")
    again = gw.load(tmp_path / "f")
    pd.testing.assert_frame_equal(again.predict(9, level=[50, 99]), fitted.predict(9, level=[50, 99]))
    assert again.held_out.scores == fitted.held_out.scores
    assert again.weights == fitted.weights
    assert again.card() == fitted.card()
    with pytest.raises(ModelFileError, match="is a forecaster, made by `gatewise forecast`"):
        load(tmp_path / "f")  # the LSTM is never taken for the whole


def test_the_forecast_is_the_weighted_sum_of_the_members(fitted: Forecaster) -> None:
    ensemble, windows = fitted.ensemble, fitted._windows(fitted.series)
    assert next(iter(fitted.weights)).startswith("LSTM: ")
    assert len(fitted.weights) == len(ensemble.members)
    parts = [weight * roll_out(member, windows, 6) for member, weight in ensemble]
    np.testing.assert_allclose(fitted.predict()["forecast"], np.sum(parts, axis=0)[0], rtol=1e-12)
    assert str(fitted.held_out) in fitted.report()[0]
    assert all(f"  {weight:.2f}  {name}" in fitted.report() for name, weight in fitted.weights.items())


def test_the_gates_of_the_lstm_are_traced(fitted: Forecaster) -> None:
    found = fitted.trace()
    assert len(found) == found.layer(-1)[0].h.shape[0] >= 1
    assert found.contributions.shape == (len(found), 4)
    assert found.logits.shape == (6,)


def test_explanations_add_up(fitted: Forecaster) -> None:
    for step in (1, 6):
        found = fitted.explain(step)
        assert found.forecast == pytest.approx(fitted.predict()["forecast"][step - 1], rel=1e-6)
        assert abs(found.error) < 0.05 * abs(found.forecast - found.base) + 0.5
        assert np.abs(found.contributions).sum() > 1
    assert fitted.explain(np.int64(6)).step == 6  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [0, 1.5, True, "2", 10_001])
def test_steps_and_horizons_are_whole_numbers(fitted: Forecaster, number: Any) -> None:
    calls = (("step", fitted.explain), ("horizon", fitted.predict), ("horizon", fitted.cross_validation))
    for name, call in (*calls, ("horizon", lambda one: Forecaster.fit(seasonal(), horizon=one))):
        assert_refused(f"{name} must be a whole number from 1 to 10,000, got '{number}'", call, number)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (seasonal(7), {}, "the series has 7 values; a forecast needs 8: add earlier values, or leave the series out"),
        ([seasonal(60), seasonal(6)], {}, "series '1' has 6 values"),
        (seasonal(20), {"season": 14}, "20 values; a season of 14 needs 21: add earlier values, or set season=1"),
        (seasonal(20), {"season": 2.5}, r"season must be a whole number from 1, got '2\.5'"),
        (seasonal(20), {"seed": -1}, "seed must be from 0 to"),
        (pd.Series(np.ones(9), pd.date_range("9999-04", periods=9, freq="MS", unit="s")), {}, "outside the years 1 to"),
    ],
)
def test_what_cannot_be_forecast_is_named(data: Any, options: dict[str, Any], message: str) -> None:
    assert_refused(message, Forecaster.fit, data, horizon=6, **options, **TINY)


def test_a_season_that_is_given_is_kept() -> None:
    for n, season in ((8, 5), (12, 8), (18, 12)):
        assert Forecaster.fit(seasonal(n), horizon=2, season=season, **TINY).seasons == (season,)


def test_the_report_is_about_the_intervals_that_were_asked_for(fitted: Forecaster) -> None:
    assert not any("level of" in line for line in fitted.report())
    assert "for a level of 99%, which needs 99" in fitted.report(level=[80, 99])[-1]
    assert "the held-out windows end at step 6" in fitted.report(horizon=9)[-1]


def test_what_was_found_is_said() -> None:
    y = seasonal(84) + 300 * (np.arange(84) >= 40)
    y[60] += 500
    given = pd.Series(np.where(np.arange(84) == 20, np.nan, y), pd.date_range("2010", periods=84, freq="MS"))
    report = "\n".join(Forecaster.fit(given, horizon=3, **TINY).report())
    assert "1 missing value interpolated" in report
    assert "1 outlier replaced before the fit" in report
    assert "level shift by +" in report
    assert "at 2013-05-01: the values before it are moved to the new level" in report


def test_options_of_an_lstm_without_a_weight_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A straight line, which the drift forecasts exactly; then residuals in which the LSTM is the best member."""
    line = np.arange(60.0)
    says = (
        "recipe, units, epochs did not change the forecast: recipe and fields are those of the LSTM, and the LSTM has"
    )
    with pytest.warns(DataWarning, match=says):
        found = Forecaster.fit(line, horizon=2, recipe="lstm", units=1, epochs=1)
    assert found.ensemble.lstm_weight == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        Forecaster.fit(line, horizon=2)  # nothing was asked for
        flat = partial(combine_for_lstm, lstm_weight=0.5)
        monkeypatch.setattr("gatewise.forecast.fit.combine", flat)
        assert Forecaster.fit(line, horizon=2, units=1, epochs=1).ensemble.lstm_weight == 0.5


def combine_for_lstm(residuals: Array, naive: int, lengths: float, lstm_weight: float) -> tuple[Array, Array]:
    """Weights of the LSTM and the naive forecast alone."""
    weights = np.zeros(len(residuals))
    weights[[0, naive]] = lstm_weight, 1 - lstm_weight
    return weights, np.tensordot(weights, residuals, axes=1)


def test_what_is_filled_in_newer_values_is_named(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=100, freq="D")
    rng = np.random.default_rng(9)
    values = 50 + 10 * np.sin(2 * np.pi * np.arange(100) / 7) + rng.normal(size=100)
    data = pd.DataFrame({"ds": days, "y": values})
    Forecaster.fit(data[:80], horizon=3, **TINY).save(tmp_path / "f")
    saved = gw.load(tmp_path / "f")
    with_gap = data.drop(index=[90, 91, 95, 97])
    dates = "2024-03-31, 2024-04-01, 2024-04-05, 2024-04-07"
    says = rf"newer values: 4 missing values interpolated \(4 missing times among them\), at {dates}"
    with pytest.warns(DataWarning, match=says):
        saved.predict(data=with_gap)
    with pytest.warns(DataWarning, match=says):
        saved.explain(data=with_gap)
    with pytest.warns(DataWarning, match=r"^4 missing values interpolated .* 2024-03-31"):
        Forecaster.fit(with_gap, horizon=3, epochs=1, units=2)
    spiked = data.assign(y=np.where(np.arange(100) == 93, 500, values))
    with pytest.warns(DataWarning, match="newer values: 1 outlier replaced before the forecast"):
        saved.predict(data=spiked)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        saved.predict(data=data)


def changed(files: dict[str, bytes], **values: Any) -> dict[str, bytes]:
    """The files with changes in config.json: of a dict, of its entries."""
    config = json.loads(files["config.json"])
    for name, value in values.items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    return {**files, "config.json": json_bytes(config)}


@pytest.fixture(scope="module")
def daily(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a forecaster of two series with days in Europe/Berlin, up to three days before the clocks change."""
    days = pd.date_range(end="2024-03-28", periods=60, freq="D", tz="Europe/Berlin")
    rows = pd.concat(
        [pd.DataFrame({"unique_id": name, "ds": days, "y": seasonal(60, seed)}) for seed, name in enumerate("ab")]
    )
    found = Forecaster.fit(rows, horizon=6, season=12, **TINY)
    folder = tmp_path_factory.mktemp("daily") / "f"
    found.save(folder)
    shown = [str(time) for time in gw.load(folder).predict()["ds"]]
    assert shown == [str(time) for time in found.predict()["ds"]]
    assert shown[2:4] == ["2024-03-31 00:00:00+01:00", "2024-04-01 00:00:00+02:00"]
    return dict(load_folder(folder).files)


def long(config: dict[str, Any]) -> list[Any]:
    """The members that read as many values as there are, with windows of 10**9 steps: 8 GB of them."""
    return [
        {**one, "transform": {**one["transform"], "length": 10**9}}
        if one["kind"] in ("ets", "theta") or one.get("drift")
        else one
        for one in config["members"]
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *[
            (lambda c, name=name: {"forecast": {name: 0}}, "sizes must be at least 1")
            for name in ("horizon", "origins")
        ],
        (lambda c: {"forecast": {"horizon": 10**9}}, "and horizon at most 10,000"),
        (lambda c: {"forecast": {"names": []}}, "at least 1|every series needs|windows of 0"),
        (lambda c: {"forecast": {"names": ["a", "a"]}}, "names must differ"),
        (lambda c: {"forecast": {"names": ["a"]}}, "every series needs a start and a length"),
        (lambda c: {"forecast": {"lengths": [0, 3]}}, "sizes must be at least 1"),
        (lambda c: {"forecast": {"lengths": [1, 1]}}, "shorter than the windows of the members"),
        (lambda c: {"forecast": {"lengths": [10**15] * 2}}, "tensor 'values' has shape"),
        (lambda c: {"forecast": {"statics": ["x"]}}, "this model needs"),
        (lambda c: {"forecast": {"seasons": [1]}}, "two seasons, of at least 2 steps"),
        (lambda c: {"forecast": {"seasons": [10**15]}}, "shorter than the windows of the members"),
        (lambda c: {"members": long(c)}, "shorter than the windows of the members|has shape"),
        (lambda c: {"forecast": {"origins": 7}}, "tensor 'actual' has shape"),
        (lambda c: {"forecast": {"more": 7}}, "unknown key 'more'"),
        (lambda c: {"forecast": {"starts": ["abc", "2024-01-01T00:00+01:00"]}}, "neither a number nor a date"),
        (lambda c: {"forecast": {"starts": ["2024-01-01"] * 2}}, "'2024-01-01' does not fit the calendar"),
        (lambda c: {"forecast": {"starts": ["9999-12-28T00:00+01:00"] * 2}}, "is outside the years 1 to 9999"),
        (lambda c: {"forecast": {"calendar": {**c["forecast"]["calendar"], "zone": "Europe"}}}, "is not known here"),
        (lambda c: {"forecast": {"calendar": {**c["forecast"]["calendar"], "count": 1e13}}}, "outside the years"),
        (
            lambda c: {"forecast": {"calendar": {**c["forecast"]["calendar"], "count": -1.0}}},
            "must be a number above 0",
        ),
        (lambda c: {"forecast": {"roles": {**c["forecast"]["roles"], "time": "y"}}}, "named for two purposes"),
        (lambda c: {"members": [{**c["members"][0], "weight": -0.5}, *c["members"][1:]]}, "with weights from 0"),
        (lambda c: {"members": [{**c["members"][0], "weight": 1}, *c["members"][1:]]}, "weight must be a number"),
        (lambda c: {"members": c["members"][1:]}, "exactly one LSTM"),
        (lambda c: {"members": [c["members"][0]] * 2}, "needs a file of its own"),
        (lambda c: {"target": {"classes": [f"step {n}" for n in range(5)]}}, "this model needs"),
        (lambda c: {"target": {"task": "multilabel"}}, "a regression with weights from 0"),
        (lambda c: {"shift": [0.0] * 5}, "shift must be 6 finite numbers"),
        (lambda c: {"shift": [1.0] * 6}, "weights from 0 and a shift of 0"),
        (lambda c: {"format": 1}, "the folder has format '1'"),
        (lambda c: {"kind": "model"}, "kind must be 'forecaster', not 'model'"),
        (lambda c: {"more": 1}, "the keys must be forecast, format, "),
    ],
)
def test_a_changed_folder_is_refused(daily: dict[str, bytes], change: Any, message: str) -> None:
    config = json.loads(daily["config.json"])
    with pytest.raises(ModelFileError, match=f"^saved/fc.*({message})"):
        Forecaster.from_folder(Folder(Path("saved/fc"), changed(daily, **change(config)), ""))
