"""What users pass: times and their steps; long frames, arrays, series of pandas; gaps, columns by purpose, messages."""

import itertools
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gatewise.data.times import parse_time, show_time, written_form
from gatewise.errors import DataError, InputError
from gatewise.forecast.calendar import Calendar, calendar_of, on_calendar
from gatewise.forecast.series import Roles, future_values, read_forecast_table, series_set
from tests.forecast.conftest import SHOP, frame
from tests.refusals import assert_refused


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("1960", 1960.0),
        ("-2.5", -2.5),
        (7, 7.0),
        (np.int64(7), 7.0),
        ("2024-03", datetime(2024, 3, 1)),
        ("2024-Q2", datetime(2024, 4, 1)),
        ("1970 Q1", datetime(1970, 1, 1)),
        ("2024-03-31", datetime(2024, 3, 31)),
        ("2024-03-31T12:30", datetime(2024, 3, 31, 12, 30)),
        ("2024-03-31 12:30:05", datetime(2024, 3, 31, 12, 30, 5)),
        (date(2024, 3, 31), datetime(2024, 3, 31)),
        (np.datetime64("2024-03-31"), datetime(2024, 3, 31)),
        (pd.Timestamp("2024-03-31"), datetime(2024, 3, 31)),
        (datetime(2024, 3, 31, tzinfo=UTC), datetime(2024, 3, 31, tzinfo=UTC)),
    ],
)
def test_parse(given: Any, want: Any) -> None:
    assert parse_time(given) == want


@pytest.mark.parametrize(
    "given",
    [
        *("31/03/2024", "2024-13", "March", "", "nan", float("nan"), "2024-Q5", True, None, np.datetime64("NaT")),
        np.datetime64("20000-01-02", "D"),  # NumPy converts it to a number
        pd.Timestamp(np.datetime64("20000-01-02", "s")),
    ],
)
def test_what_is_no_time_is_refused(given: Any) -> None:
    with pytest.raises(InputError):
        parse_time(given)


def following(times: list[Any], count: int = 2) -> tuple[Calendar, list[str]]:
    """The calendar of times, and the next times."""
    parsed = [parse_time(time) for time in times]
    found = calendar_of(parsed)
    here = on_calendar(parsed, found)
    places = found.places(here)
    assert all(after > before for before, after in pairwise(places))
    return found, [show_time(time) for time in found.times(here[0], places[-1] + 1, places[-1] + 1 + count)]


@pytest.mark.parametrize(
    ("times", "step", "want"),
    [
        (["2024-01-31", "2024-02-29", "2024-03-31"], "1 month", ["2024-04-30", "2024-05-31"]),
        (["2023-11", "2023-12", "2024-01"], "1 month", ["2024-02-01", "2024-03-01"]),
        (["2023-Q3", "2023-Q4"], "3 months", ["2024-01-01", "2024-04-01"]),
        (["2020-02-10", "2021-02-10"], "12 months", ["2022-02-10", "2023-02-10"]),
        (["2024-02-27", "2024-02-28"], "1 day", ["2024-02-29", "2024-03-01"]),
        (["2024-01-01", "2024-01-08"], "7 days", ["2024-01-15", "2024-01-22"]),
        (["2024-01-01T22:00", "2024-01-01T23:00"], "1 hour", ["2024-01-02", "2024-01-02T01:00:00"]),
        (["2024-01-01T22:00", "2024-01-01T22:30"], "30 minutes", ["2024-01-01T23:00:00", "2024-01-01T23:30:00"]),
        (["0.1", "0.2", "0.3", "0.4"], "0.1", ["0.5", "0.6"]),
        ([f"{1_700_000_000_123_456 + 1000 * n}" for n in range(3)], "1000", ["1700000000126456", "1700000000127456"]),
        (["1700000000.123456", "1700000000.124456"], "0.001", ["1700000000.125456", "1700000000.126456"]),
        ([f"{n}e-10" for n in range(9)], "1e-10", ["9e-10", "1e-09"]),
        (["1.0005", "2.001", "3.0015"], "1.0005", ["4.002", "5.0025"]),
        (["9999-09", "9999-10"], "1 month", ["9999-11-01", "9999-12-01"]),
        (["0001-01-31", "0001-02-28"], "1 month", ["0001-03-31", "0001-04-30"]),
        # Weekdays; a holiday is a missing time, not another step.
        (["2024-03-07", "2024-03-08", "2024-03-11", "2024-03-12"], "1 business day", ["2024-03-13", "2024-03-14"]),
        (["2024-03-27", "2024-03-28", "2024-04-01", "2024-04-02"], "1 business day", ["2024-04-03", "2024-04-04"]),
        # Missing times between others
        (["2024-01", "2024-02", "2024-04", "2024-05"], "1 month", ["2024-06-01", "2024-07-01"]),
        ([1, 2, 4, 5], "1", ["6", "7"]),
        # Business ends of months
        (["2024-01-31", "2024-02-29", "2024-03-29", "2024-04-30"], "1 month", ["2024-05-31", "2024-06-28"]),
    ],
)
def test_regular_steps(times: list[Any], step: str, want: list[str]) -> None:
    found, after = following(times)
    assert (found.describe(), after) == (step, want)


@pytest.mark.parametrize(
    ("times", "utc", "want"),
    [
        # Hours are regular in UTC, in spring and in autumn.
        (["2024-03-31T00:00+01:00", "2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00"], True, "T04:00:00+02:00"),
        (["2024-10-27T01:00+02:00", "2024-10-27T02:00+02:00", "2024-10-27T02:00+01:00"], True, "T03:00:00+01:00"),
        # Days, months and half days are regular on the clock. What offset follows is not known.
        (["2024-03-30T00:00+01:00", "2024-03-31T00:00+01:00", "2024-04-01T00:00+02:00"], False, "2024-04-02"),
        (["2024-10-26T12:00+02:00", "2024-10-27T12:00+01:00"], False, "2024-10-28T12:00:00"),
        (["2024-03-01T00:00+01:00", "2024-04-01T00:00+02:00"], False, "2024-05-01"),
        (["2024-05-01T00:00+02:00", "2024-05-02T00:00+02:00"], False, "2024-05-03T00:00:00+02:00"),
        # Days in UTC, written in the local time
        (["2024-03-30T01:00+01:00", "2024-03-31T02:00+02:00", "2024-04-01T02:00+02:00"], True, "2024-04-02T02:00"),
    ],
)
def test_daylight_saving_time(times: list[str], utc: bool, want: str) -> None:
    found, [after] = following(times, 1)
    assert found.utc == utc
    assert want in after


@pytest.mark.parametrize(
    ("freq", "start", "want"),
    [
        ("D", "2024-03-29", "2024-04-01T00:00:00+02:00"),
        ("h", "2024-10-27", "2024-10-27T02:00:00+01:00"),
    ],
)
def test_a_named_zone_stays(freq: str, start: str, want: str) -> None:
    times = list(pd.date_range(start, periods=3, freq=freq, tz="Europe/Berlin"))
    found, [after] = following(times, 1)
    assert found.zone == "Europe/Berlin"
    assert after == want


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-03T12:00"], "2024-01-03T12:00:00 comes after 2024-01-03"),
        (["1"], "at least two"),
        ([1, 2, 2.5, 3.5, 4.5], "the times are not regular: 2.5 comes after 2, but the step is 1"),
        ([0, 1, *range(9, 12)], "the step is 1, but 7 of the 12 times from 0 to 11 are missing: sum or average"),
        ([0, 1e-200, 2e-200], "the steps between times must lie between"),
        ([-17e307, 17e307], "the steps between times must lie between"),
        (["9999-11-30", "9999-12-31"], "steps of 1 month after 9999-11-30 is outside the years 1 to 9999"),
        (["9999-12-31T18:00-05:00", "9999-12-31T19:00-05:00"], "is outside the years 1 to 9999"),
    ],
)
def test_irregular_times_are_named(times: list[Any], message: str) -> None:
    assert_refused(message, following, times, 1)


def test_steps_that_overflow_are_refused() -> None:
    assert_refused("is outside the years 1 to 9999", Calendar(1e12, "s").times, datetime(2000, 1, 1), 9, 12)


@pytest.mark.parametrize(
    ("calendar", "want"),
    [
        (Calendar(1, "MS"), (12,)),
        (Calendar(3, "ME"), (4,)),
        (Calendar(12, "MS"), ()),
        (Calendar(86400, "s"), (7, 365)),
        (Calendar(7 * 86400, "s"), (52,)),
        (Calendar(3600, "s"), (24, 168)),
        (Calendar(1800, "s"), (48, 336)),
        (Calendar(1, "B"), (5, 261)),
        (Calendar(60, "s"), (60, 1440)),
        (Calendar(1, "number"), ()),
    ],
)
def test_the_seasons_of_a_step(calendar: Calendar, want: tuple[int, ...]) -> None:
    assert calendar.seasons() == want


@pytest.mark.parametrize(
    "settings",
    [
        {"unit": "weeks"},
        {"count": 0.0},
        {"count": float("nan")},
        {"count": 1.5, "unit": "MS"},
        {"unit": "s", "zone": "Europe/Nowhere"},
        {"unit": "s", "zone": "../secret"},
        {"unit": "s", "zone": "+25:99"},
        {"unit": "s", "utc": True},
    ],
)
def test_what_is_no_calendar(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Calendar(**settings)


@pytest.mark.parametrize("text", ["2024-03", "2024Q1", "2024-Q4", "2024 q2", "1999-12"])
def test_months_and_quarters_are_shown_as_they_were_written(text: str) -> None:
    time = parse_time(text)
    assert show_time(time, written_form([text], [time])) == text


@pytest.mark.parametrize("value", ["2024-03-31", "2024", "202403", 2024, datetime(2024, 3, 1)])
def test_other_times_have_no_form(value: Any) -> None:
    assert written_form([value], [parse_time(value)]) == ""
    assert written_form(["2024-01-01T12:00"], [datetime(2024, 1, 1, 12)]) == "T"


def test_a_frame_of_nixtla_needs_no_names() -> None:
    given = frame(20, 14).rename(columns={"shop": "unique_id", "month": "ds", "sold": "y"})
    for data in (given, pl.DataFrame(given.to_dict("list")), given.sample(frac=1, random_state=1)):
        found = series_set(data)
        assert sorted(found.names) == ["a", "b"]
        number = found.names.index("b")
        np.testing.assert_allclose(found.values[number][:, 0], given["y"][20:])
        assert [f"{time:%Y-%m}" for time in found.times_after(number, 2)] == ["2011-09", "2011-10"]  # type: ignore[str-format]
        assert found.calendar.seasons() == (12,)


def test_columns_are_found_by_name_or_because_no_other_is_left() -> None:
    given = frame(20)
    assert series_set(given, id="Shop", time="month", target="sold").roles == Roles("shop", "month", "sold")
    assert series_set(given[["month", "sold"]]).names == ("series",)
    assert series_set(given.set_index("month")[["sold"]]).roles.time == "month"
    assert series_set(given.set_index("month")["sold"]).calendar.unit == "MS"
    periods = given.set_index(pd.PeriodIndex(given["month"], freq="M"))[["sold"]]
    assert series_set(periods).starts == series_set(periods["sold"]).starts == [datetime(2010, 1, 1)]


def test_further_columns() -> None:
    given = frame(20, 14, size=3.0, kind="x", price=np.arange(34.0), sale=np.arange(34) % 2)
    given.loc[given["shop"] == "b", ["size", "kind"]] = [7.0, "y"]
    found = series_set(given, **SHOP, past=["price"], static=["size", "kind"], future="sale")
    assert found.statics == ("size", "kind=y")
    np.testing.assert_array_equal(found.values[1][0, 1:], [20, 7, 1])
    np.testing.assert_array_equal(found.future[0][:3, 0], [0, 1, 0])
    given.loc[3, "size"] = 4
    assert_refused("series 'a': 'size' is static, and not one value", series_set, given, **SHOP, static=["size"])


def test_the_hour_that_occurs_twice_in_autumn() -> None:
    hours = pd.date_range("2024-10-26", periods=60, freq="h", tz="Europe/Berlin")  # the clocks change on the 27th
    given = pd.DataFrame({"ds": hours, "y": np.arange(60.0), "price": np.arange(60.0)}).sample(frac=1, random_state=2)
    found = series_set(given, future=["price"])
    np.testing.assert_array_equal(found.values[0][:, 0], np.arange(60))
    early = series_set(given[given["y"] < 25], future=["price"])
    assert future_values(given, early, 9)[0][:, 0].tolist() == list(range(25, 34))
    late = ["9999-12-31T23:00+00:00", "9999-12-31T23:30+00:00"]
    said = r"the time 9999-12-31T23:00:00\+00:00 is outside the years 1 to 9999 in Europe"
    assert_refused(said, series_set, pd.DataFrame({"ds": late, "y": [1.0, 2.0]}), None, found.calendar)


def test_gaps_are_interpolated_and_ends_without_values_are_left_out() -> None:
    given = frame(24)
    given["sold"] = np.arange(24.0)
    given.loc[[0, 7, 23], "sold"] = np.nan
    found = series_set(given.drop(index=[4, 5]), **SHOP)
    np.testing.assert_allclose(found.values[0][:, 0], np.arange(1.0, 23))
    assert found.notes == (
        "3 missing values interpolated (2 missing times among them), at 2010-05-01, 2010-06-01, 2010-08-01",
        "1 time without a value at the end: forecasts begin after the last value",
    )


def test_the_notes_of_several_series_name_each_and_count_other_columns() -> None:
    given = frame(40, 30, price=np.arange(70.0))
    given.loc[[3, 44], "sold"] = np.nan
    given.loc[[7, 8, 50], "price"] = np.nan
    found = series_set(given, **SHOP, past=["price"])
    assert found.notes == (
        "2 missing values interpolated (0 missing times among them), at 2010-04-01 of 'a', 2011-03-01 of 'b'",
        "3 missing values of 'price' interpolated",
    )
    given.loc[np.arange(10, 24), "sold"] = np.nan
    [many, _] = series_set(given, **SHOP, past=["price"]).notes
    assert many.startswith("16 missing values interpolated (0 missing times among them), at 2010-04-01 of 'a', 2010-11")
    assert many.endswith("2011-07-01 of 'a' and 6 more")


def test_future_columns_stand_after_the_last_value_or_in_a_frame_of_their_own() -> None:
    given = frame(20, 14, sale=1.0)
    given.loc[[18, 19, 32, 33], "sold"] = np.nan
    found = series_set(given, **SHOP, future=["sale"])
    assert [len(one) for one in found.values] == [18, 12]
    assert [one.tolist() for one in future_values(None, found, 2)] == [[[1.0], [1.0]]] * 2
    flags = series_set(given.assign(sale=True), **SHOP, future=["sale"])
    np.testing.assert_array_equal(flags.future[1], found.future[1])
    with pytest.raises(InputError, match=r"'sale' of series 'a' end before 2011-09-01: pass future=, a frame with"):
        future_values(None, found, 3)
    more = pd.concat([frame(23)[18:], frame(23)[18:].assign(shop="b")]).assign(sale=np.arange(10.0))
    assert future_values(more, found, 3)[1][:, 0].tolist() == [5, 6, 7]
    assert_refused("future has no values of series 'b' at 2011-09-01", future_values, more[:7], found, 3)
    assert_refused("no column 'sale'", future_values, more.drop(columns="sale"), found, 3)
    with pytest.raises(InputError, match="future has two rows of series 'a' at 2011-07-01"):
        future_values(pd.concat([more, more[:1]]), found, 3)
    given.loc[3, "sale"] = np.nan
    with pytest.raises(InputError, match="'sale' is known in advance, and missing at 2010-04-01: fill it"):
        series_set(given, **SHOP, future=["sale"])


def dated(zone: str | None = None, count: int = 20) -> pd.Series:
    return pd.Series(np.arange(float(count)), pd.date_range("2024", periods=count, freq="D", tz=zone))


def test_times_of_different_kinds_are_named() -> None:
    for first, second in itertools.permutations([np.arange(30.0), dated(), dated("Asia/Tokyo")], 2):
        with pytest.raises(InputError, match="are not of one kind: numbers, dates, or dates with a time zone"):
            series_set({"a": first, "b": second})
    for fitted, newer, kind in (
        (np.arange(30.0), dated(), "numbers"),
        (dated(), np.arange(30.0), "dates"),
        (dated("Asia/Tokyo"), dated(), "dates with a time zone"),
        (dated("Asia/Tokyo"), np.arange(30.0), "dates with a time zone"),
    ):
        assert_refused(f"does not fit the calendar: pass {kind}$", series_set, newer, None, series_set(fitted).calendar)


@pytest.mark.parametrize(("start", "step"), [(1_700_000_000_000, 1000), (1_700_000_000.25, 0.25), (0.3, 0.1)])
def test_future_values_of_numbered_times(start: float, step: float) -> None:
    """Also of numbers that differ in their last digits only, and of ones that rounding moves."""
    given = pd.DataFrame({"ds": start + step * np.arange(24), "p": np.arange(24.0), "y": 1.0})
    found = series_set(given[:20], future=["p"])
    assert future_values(given[20:], found, 4)[0].ravel().tolist() == [20, 21, 22, 23]
    with pytest.raises(InputError, match="future has no values at"):
        future_values(given[20:].assign(ds=lambda rows: rows["ds"] + 0.4 * step), found, 4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": np.r_[np.inf, np.ones(40)]}, "row 0: 'target' must be a finite number, not 'inf'"),
        (np.ones((20, 2)), r"must be \(n,\), got \(20, 2\); pass several as a dict by name, or as a long"),
        (["a", "b"], "row 0: 'target' must be a number, not 'a'"),
        (np.r_[np.ones(40), -2e150], r"row 40: 'target' must be a finite number of at most 1e\+150"),
        (1e-310 * np.ones(9), "all values are below 1e-150 in size"),
        ([10**400, 1, 2], "row 0: 'target' must be a finite number, not '1000"),
        ([1 + 2j], "must be a number"),
        (pd.Series([np.complex64(1 + 2j)], dtype=object), "must be a number"),
        (pd.Series([np.timedelta64(1, "D")], dtype=object), "must be a number, not '1 day"),
        ([Decimal("sNaN")] * 9, "'target' has no value"),
        ([True, False], "must be a number, not 'True'"),
        ({1: np.ones(9), "1": np.ones(9)}, "two series have one name"),
        ({}, "has no row"),
        (np.full(9, np.nan), "'target' has no value"),
    ],
)
def test_what_is_no_series_is_named(data: Any, message: str) -> None:
    assert_refused(message, series_set, data)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda f: f, {"id": None}, "07-01 occurs twice: name the column of the series with id=, or sum such values"),
        (lambda f: pd.concat([f, f[:1]]), {}, r"series 'a': the time 2010-01-01 occurs twice: sum such values$"),
        (lambda f: f.assign(shop=["a", None, *["a"] * 32]), {}, "row 1: 'shop' is empty"),
        (lambda f: f.assign(month="31/01/2010"), {}, "row 0: the time '31/01/2010' is neither"),
        (
            lambda f: f.assign(month=f["month"] + pd.to_timedelta((f["shop"] == "b").astype(int), unit="D")),
            {},
            "'b': the times are not regular: 2010-07-02 is on no step of 1 month",
        ),
        (lambda f: f.assign(y=1.0), {"id": "sold", "target": "y"}, "each series of the column 'sold' has one row: "),
        (lambda f: f.assign(forecast=1.0), {"target": "forecast"}, "rename the column 'forecast'"),
        (lambda f: f.rename(columns={"month": "lo-80"}), {"time": "lo-80"}, "rename the column 'lo-80'"),
        (lambda f: f.assign(kind=["x", None, *"x" * 32]), {"static": ["kind"]}, "row 1: 'kind' is empty"),
        (lambda f: f, {"past": ["sold"]}, "named for two purposes"),
        (lambda f: f, {"future": ["price"]}, "no column 'price'; there are 'shop'"),
        (lambda f: f, dict.fromkeys(SHOP), "name the column of the time with time=; there are 'shop', 'month', 'sold'"),
        (lambda f: np.ones(20), {"id": None, "time": None}, "columns can be named for a data frame only"),
    ],
)
def test_frames_that_are_not_regular_are_named(change: Any, options: dict[str, Any], message: str) -> None:
    assert_refused(message, series_set, change(frame(20, 14)), **{**SHOP, **options})


def test_a_table_file(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("Shop,day,sold,kind\nb,2024-01-02,2,x\nb,2024-01-01,1,x\n,2024-01-03,3,x\n")
    columns = {"id": "shop", "time": "day", "target": "sold", "static": ["kind"]}
    assert_refused(r"data\.csv':4: 'Shop' is empty", read_forecast_table, str(file), **columns, error=DataError)
    file.write_text(file.read_text().replace("\n,2", "\nb,2"))
    found, form = read_forecast_table(str(file), **columns)
    assert (found.names, found.values[0].tolist(), form) == (("b",), [[1.0], [2.0], [3.0]], "")
    file.write_text(file.read_text().replace("01-02,2", "01-02,many"))
    with pytest.raises(DataError, match=r"data\.csv':2: 'sold' must be a number, not 'many'"):
        read_forecast_table(str(file), **columns)
