"""Times in tables: numbers and ISO dates; regular steps."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
import pytest

from gatewise.data.times import parse_time, show_time
from gatewise.errors import InputError
from gatewise.forecast.steps import last_of, month_form, regular_steps


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
        (datetime(2024, 3, 31, tzinfo=UTC), datetime(2024, 3, 31, tzinfo=UTC)),
    ],
)
def test_parse(given: Any, want: Any) -> None:
    assert parse_time(given) == want


@pytest.mark.parametrize(
    "given", ["31/03/2024", "2024-13", "March", "", "nan", float("nan"), "2024-Q5", True, None, np.datetime64("NaT")]
)
def test_what_is_no_time_is_refused(given: Any) -> None:
    with pytest.raises(InputError):
        parse_time(given)


@pytest.mark.parametrize(
    ("times", "step", "following"),
    [
        (["2024-01-31", "2024-02-29", "2024-03-31"], "1 month", ["2024-04-30", "2024-05-31"]),
        (["2023-11", "2023-12", "2024-01"], "1 month", ["2024-02-01", "2024-03-01"]),
        (["2023-Q3", "2023-Q4"], "3 months", ["2024-01-01", "2024-04-01"]),
        (["2020-02-10", "2021-02-10"], "12 months", ["2022-02-10", "2023-02-10"]),
        (["2024-02-27", "2024-02-28"], "1 day", ["2024-02-29", "2024-03-01"]),
        (["2024-01-01", "2024-01-08"], "7 days", ["2024-01-15", "2024-01-22"]),
        (["2024-01-01T22:00", "2024-01-01T23:00"], "1:00:00", ["2024-01-02", "2024-01-02T01:00:00"]),
        (["0.1", "0.2", "0.3", "0.4"], "0.1", ["0.5", "0.6"]),
        ([f"{1_700_000_000_123_456 + 1000 * n}" for n in range(3)], "1000", ["1700000000126456", "1700000000127456"]),
        (["1700000000.123456", "1700000000.124456"], "0.001", ["1700000000.125456", "1700000000.126456"]),
        ([f"{n}e-10" for n in range(9)], "1e-10", ["9e-10", "1e-09"]),
        ([f"{1.5 * n}e-9" for n in range(9)], "1.5e-09", ["1.35e-08", "1.5e-08"]),
        ([f"{n / 3!r}" for n in range(80)], "0.3333333333333333", ["26.666666666666664", "27"]),
        (["1.0005", "2.001", "3.0015"], "1.0005", ["4.002", "5.0025"]),
        (["0", "10000000"], "10000000", ["20000000", "30000000"]),
    ],
)
def test_regular_steps(times: list[str], step: str, following: list[str]) -> None:
    parsed = [parse_time(time) for time in times]
    found = regular_steps(parsed)
    assert found.describe() == step
    assert [show_time(time) for time in found.after(parsed[-1], 2)] == following


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2024-01", "2024-02", "2024-04", "2024-05"], "2024-03-01 is missing"),
        (["2024-01", "2024-02", "2024-02"], "the time 2024-02-01 occurs twice"),
        (["2024-01", "2024-03", "2024-02"], "2024-02-01 comes after 2024-03-01: sort"),
        (["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-03T12:00"], "there are times in between"),
        (["1", "2024-01"], "not of one kind"),
        (["2024-01-01", "2024-01-02T00:00+01:00"], "not of one kind"),
        (["1"], "at least two"),
        ([1, 2, 4, 5], "3 is missing"),
        ([1_700_000_000, 1_700_000_001, 1_700_000_003, 1_700_000_004], "1700000002 is missing"),
        ([17e14, 17e14 + 1, 17e14 + 2, 17e14 + 4, 17e14 + 5], "the step is 1: 1700000000000003 is missing"),
        ([0, 1e-10, 3e-10, 4e-10], "the step is 1e-10: 2e-10 is missing"),
        ([0, 1e-200, 2e-200], r"the steps between times must lie between 1e-150 and 1e\+150"),
        ([-17e307, 17e307], "the steps between times must lie between"),
        (["2024-01-30", "2024-03-30", "2024-04-30", "2024-05-30"], "2024-02-29 is missing"),
    ],
)
def test_irregular_times_are_named(times: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        regular_steps([parse_time(time) for time in times])


@pytest.mark.parametrize(
    ("times", "following"),
    [
        (["9999-09-30", "9999-10-31"], ["9999-11-30", "9999-12-31"]),
        (["9999-09", "9999-10"], ["9999-11-01", "9999-12-01"]),
        (["9999-12-28", "9999-12-29"], ["9999-12-30", "9999-12-31"]),
        (["0001-01-31", "0001-02-28"], ["0001-03-31", "0001-04-30"]),
    ],
)
def test_the_ends_of_the_calendar(times: list[str], following: list[str]) -> None:
    parsed = [parse_time(time) for time in times]
    assert [show_time(time) for time in regular_steps(parsed).after(parsed[-1], 2)] == following


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["9999-11-30", "9999-12-31"], "the time 1 step of 1 month after 9999-12-31 is outside the years 1 to 9999"),
        (["9999-10", "9999-11"], "the time 2 steps of 1 month after 9999-11-01 is outside"),
        (["9999-12-30", "9999-12-31"], "the time 1 step of 1 day after 9999-12-31 is outside"),
        (
            ["9999-12-31T17:00-05:00", "9999-12-31T18:00-05:00"],
            "the time 1 step of 1:00:00 after 9999-12-31T18:00:00-05:00 is outside",
        ),
        (
            ["0001-01-01T00:00+05:00", "0001-01-02T00:00+05:00"],
            r"the time 0001-01-01T00:00:00\+05:00 is outside the years 1 to 9999 in UTC",
        ),
        (["9999-12-31T18:00-05:00", "9999-12-31T19:00-05:00"], "T19:00:00-05:00 is outside the years 1 to 9999 in UTC"),
    ],
)
def test_times_outside_of_the_calendar_are_named(times: list[str], message: str) -> None:
    parsed = [parse_time(time) for time in times]
    with pytest.raises(InputError, match=message):
        regular_steps(parsed).after(parsed[-1], 2)


@pytest.mark.parametrize("unit", ["D", "s"])
def test_years_that_python_does_not_have_are_no_numbers(unit: str) -> None:
    """NumPy converts them to numbers."""
    time = np.datetime64("20000-01-02", unit)
    with pytest.raises(InputError, match=r"the time 20000-01-02.* is outside the years 1 to 9999"):
        parse_time(time)


def test_zones_of_pytz_follow_the_clock() -> None:
    """Their objects have one offset, which later times would keep."""

    class Winter(tzinfo):
        zone = "Europe/Berlin"

        def utcoffset(self, at: datetime | None) -> timedelta:
            return timedelta(hours=1)

        def dst(self, at: datetime | None) -> timedelta:
            return timedelta()

    days = [parse_time(datetime(2024, 3, day, tzinfo=Winter())) for day in (29, 30, 31)]
    following = regular_steps(days).after(days[-1], 1)
    assert [show_time(time) for time in [*days[:1], *following]] == [
        "2024-03-29T00:00:00+01:00",
        "2024-04-01T00:00:00+02:00",
    ]


def test_years_of_pandas_that_python_does_not_have() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(InputError, match=r"the time 20000-01-02.* is outside the years 1 to 9999"):
        parse_time(pandas.Timestamp(np.datetime64("20000-01-02", "s")))


def test_rounded_numbers_are_regular() -> None:
    assert regular_steps([0.1, 0.2, 0.30000000000000004, 0.4]).number == pytest.approx(0.1)
    assert regular_steps([1_700_000_000.0, 1_700_000_000.1, 1_700_000_000.2]).number == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize(("start", "step"), [(0, 1 / 3), (2000, 1 / 12), (17e8, 0.1), (17e17, 10**6)])
def test_steps_of_many_and_of_few_rounded_numbers_are_equal(start: float, step: float) -> None:
    few, many = (regular_steps([float(start + n * step) for n in range(count)]) for count in (30, 1000))
    assert few.equals(many)
    assert few.number == pytest.approx(step, rel=1e-6)
    assert not few.equals(regular_steps([0.0, 1.001 * step]))
    assert not few.equals(regular_steps([datetime(2024, 1, 1), datetime(2024, 1, 2)]))


def test_months_without_the_day_have_their_last_day() -> None:
    leap = [parse_time(f"2024-{month:02d}-29") for month in range(1, 13)]
    assert [show_time(time) for time in regular_steps(leap).after(leap[-1], 3)] == [
        "2025-01-29",
        "2025-02-28",
        "2025-03-29",
    ]


class Summer(tzinfo):
    """One hour ahead of UTC, two from 31 March 2024 1:00 to 27 October 2024 1:00 UTC."""

    def dst(self, at: datetime | None) -> timedelta:
        assert at is not None
        clock = at.replace(tzinfo=None, fold=0)
        end = datetime(2024, 10, 27, 2 if at.fold else 3)
        return timedelta(hours=int(datetime(2024, 3, 31, 3) <= clock < end))

    def utcoffset(self, at: datetime | None) -> timedelta:
        return timedelta(hours=1) + self.dst(at)

    def tzname(self, at: datetime | None) -> str:
        return "summer"

    def fromutc(self, at: datetime) -> datetime:
        utc = at.replace(tzinfo=None)
        summer = datetime(2024, 3, 31, 1) <= utc < datetime(2024, 10, 27, 1)
        back = datetime(2024, 10, 27, 1) <= utc < datetime(2024, 10, 27, 2)
        return (utc + timedelta(hours=2 if summer else 1)).replace(tzinfo=self, fold=int(back))


@pytest.mark.parametrize(
    ("times", "utc", "following"),
    [
        # Hours are regular in UTC, in spring and in autumn.
        (
            ["2024-03-31T00:00+01:00", "2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00"],
            True,
            "2024-03-31T04:00:00+02:00",
        ),
        (
            ["2024-10-27T01:00+02:00", "2024-10-27T02:00+02:00", "2024-10-27T02:00+01:00"],
            True,
            "2024-10-27T03:00:00+01:00",
        ),
        # Days, months and half days are regular on the clock. What offset follows is not known.
        (["2024-03-30T00:00+01:00", "2024-03-31T00:00+01:00", "2024-04-01T00:00+02:00"], False, "2024-04-02"),
        (["2024-10-26T12:00+02:00", "2024-10-27T12:00+01:00"], False, "2024-10-28T12:00:00"),
        (["2024-03-01T00:00+01:00", "2024-04-01T00:00+02:00"], False, "2024-05-01"),
        (["2024-03-30T12:00+01:00", "2024-03-31T00:00+01:00", "2024-03-31T12:00+02:00"], False, "2024-04-01"),
        (["2024-05-01T00:00+02:00", "2024-05-02T00:00+02:00"], False, "2024-05-03T00:00:00+02:00"),
        # Days in UTC, written in the local time
        (
            ["2024-03-30T01:00+01:00", "2024-03-31T02:00+02:00", "2024-04-01T02:00+02:00"],
            True,
            "2024-04-02T02:00:00+02:00",
        ),
    ],
)
def test_daylight_saving_time(times: list[str], utc: bool, following: str) -> None:
    parsed = [parse_time(time) for time in times]
    step = regular_steps(parsed)
    assert step.utc == utc
    assert show_time(step.add(last_of(parsed, step), 1)) == following


def test_times_of_a_zone_stay_in_it() -> None:
    zone = Summer()
    hours = [datetime(2024, 10, 26, 23, tzinfo=UTC) + timedelta(hours=n) for n in range(5)]
    local = [parse_time(time.astimezone(zone)) for time in hours]
    step = regular_steps(local[:3])
    assert (step.describe(), step.utc) == ("1:00:00", True)
    assert [time.isoformat() for time in step.after(local[1], 3)] == [  # type: ignore[union-attr]
        "2024-10-27T02:00:00+01:00",
        "2024-10-27T03:00:00+01:00",
        "2024-10-27T04:00:00+01:00",
    ]
    days = [datetime(2024, 3, day, tzinfo=zone) for day in (29, 30, 31)]
    step = regular_steps(days)
    assert [time.isoformat() for time in step.after(last_of(days, step), 1)] == ["2024-04-01T00:00:00+02:00"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (
            ["2024-03-30T00:00+01:00", "2024-03-31T00:00+01:00", "2024-04-02T00:00+02:00", "2024-04-03T00:00+02:00"],
            r"2024-04-01T00:00:00\+01:00 is missing",
        ),
        (
            ["2024-03-31T00:00+01:00", "2024-03-31T01:00+01:00", "2024-03-31T04:00+02:00", "2024-03-31T05:00+02:00"],
            r"2024-03-31T02:00:00\+01:00 is missing",
        ),
        (["2024-10-27T02:00+02:00", "2024-10-27T01:00+01:00"], "occurs twice"),
        (["2024-10-27T02:00+01:00", "2024-10-27T02:30+02:00"], "sort the rows by time"),
    ],
)
def test_irregular_times_with_a_zone_are_named(times: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        regular_steps([parse_time(time) for time in times])


@pytest.mark.parametrize("text", ["2024-03", "2024Q1", "2024-Q4", "2024 q2", "1999-12"])
def test_months_and_quarters_are_shown_as_they_were_written(text: str) -> None:
    assert show_time(parse_time(text), month_form(text)) == text


@pytest.mark.parametrize("value", ["2024-03-31", "2024", "202403", 2024, datetime(2024, 3, 1)])
def test_other_times_have_no_form(value: Any) -> None:
    assert month_form(value) == ""
