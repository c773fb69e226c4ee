"""Times in tables: numbers and ISO dates; regular steps."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from gatewise.data.times import parse_time, regular_steps, show_time
from gatewise.errors import InputError


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
        (["2024-01-30", "2024-03-30", "2024-04-30", "2024-05-30"], "2024-02-29 is missing"),
    ],
)
def test_irregular_times_are_named(times: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        regular_steps([parse_time(time) for time in times])


def test_rounded_numbers_are_regular() -> None:
    assert regular_steps([0.1, 0.2, 0.30000000000000004, 0.4]).delta == pytest.approx(0.1)
    assert regular_steps([1_700_000_000.0, 1_700_000_000.1, 1_700_000_000.2]).delta == pytest.approx(0.1, rel=1e-4)


def test_months_without_the_day_have_their_last_day() -> None:
    leap = [parse_time(f"2024-{month:02d}-29") for month in range(1, 13)]
    assert [show_time(time) for time in regular_steps(leap).after(leap[-1], 3)] == [
        "2025-01-29",
        "2025-02-28",
        "2025-03-29",
    ]
