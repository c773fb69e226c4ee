"""Times in tables: numbers and ISO dates; regular steps between them."""

from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise.data.times import parse_time, show_time, written_form
from gatewise.errors import InputError
from gatewise.forecast.calendar import Calendar, calendar_of, on_calendar
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
