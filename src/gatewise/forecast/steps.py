"""Regular steps between times: the calendar of a forecast."""

from __future__ import annotations

import math
from calendar import monthrange
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.times import MONTH, OUTSIDE, Time, comparable, show_time
from gatewise.errors import InputError, counted

_DAY = timedelta(days=1)
_ROUNDED = 1e-6  # relative difference of two steps that come from rounded numbers
_LARGEST_STEP = 1e150


@dataclass(frozen=True)
class Steps:
    """A regular step between times: one of months, seconds and number is above 0, the others are 0.

    number: of times that are numbers. month_end: whether the times are the last days of months. utc: the times are
    regular in UTC; else as a clock shows them in their time zone, where a day may have 23 hours.
    """

    months: int = 0
    seconds: float = 0.0
    number: float = 0.0
    month_end: bool = False
    utc: bool = False

    def after(self, last: Time, count: int) -> list[Time]:
        """The next `count` times after `last`, in its time zone. Raises InputError as `add`."""
        return [self.add(last, k) for k in range(1, count + 1)]

    def add(self, time: Time, count: int) -> Time:
        """The time `count` steps later. Raises InputError where that is after the year 9999, or not finite."""
        why = OUTSIDE if isinstance(time, datetime) else "is not finite"
        try:
            if not isinstance(time, datetime):
                # Decimal, so that 0.4 + 2 * 0.1 is 0.6, as in a table.
                found = float(Decimal(repr(time)) + count * Decimal(repr(self.number)))
                if not math.isfinite(found):
                    raise OverflowError
                return found
            clock = _clock(time, self.utc)
            if self.months:
                clock = _add_months(clock, self.months * count, self.month_end)
            else:
                clock += count * timedelta(seconds=self.seconds)
            return clock.replace(tzinfo=UTC).astimezone(time.tzinfo) if self.utc else clock.replace(tzinfo=time.tzinfo)
        except (OverflowError, ValueError):
            steps = f"{counted(count, 'step')} of {self.describe()} after {show_time(time)}"
            raise InputError(f"the time {steps} {why}") from None

    def equals(self, other: Steps) -> bool:
        """Whether both are the same step. Those of rounded numbers may differ by rounding."""
        near = math.isclose(self.number, other.number, rel_tol=_ROUNDED)
        return near and replace(self, number=other.number) == other

    def describe(self) -> str:
        """The step in words: "1 month", "7 days", "0.5"."""
        if self.months:
            return counted(self.months, "month")
        if self.number:
            return show_time(self.number)
        delta = timedelta(seconds=self.seconds)
        return f"{delta}" if delta % _DAY else counted(delta.days, "day")


def regular_steps(times: Sequence[Time]) -> Steps:
    """The step of times that are ascending and regular. Raises InputError that names the first time that is not.

    Months count as regular, whatever their lengths: equal days of the month, or the last days of months. Times with a
    time zone are regular in UTC, as hours are, or on the clock of their zone, as days are where daylight saving time
    changes.
    """
    if len(times) < 2:
        raise InputError("at least two times are needed")
    for before, after in pairwise(times):
        if not comparable(before, after):
            raise InputError(f"the times {show_time(before)} and {show_time(after)} are not of one kind")
        first, second = _instant(before), _instant(after)
        if second == first:
            raise InputError(f"the time {show_time(after)} occurs twice")
        if second < first:  # type: ignore[operator]
            raise InputError(f"the time {show_time(after)} comes after {show_time(before)}: sort the rows by time")
    if not isinstance(times[0], datetime) or times[0].tzinfo is None:
        return _regular(times, utc=False)
    local = _step([_clock(time, utc=False) for time in times])  # type: ignore[arg-type]
    days = bool(local.months) or timedelta(seconds=local.seconds) % _DAY == timedelta()
    try:
        return _regular(times, utc=not days)
    except InputError:
        with suppress(InputError):
            return _regular(times, utc=days)
        raise


def last_of(times: Sequence[Time], step: Steps) -> Time:
    """The last time. Without its offset from UTC where the offsets differ and the step is that of a clock: which offset
    the following times have, only the rules of the zone say.
    """
    last = times[-1]
    if isinstance(last, datetime) and isinstance(last.tzinfo, timezone) and not step.utc:
        offsets = {time.utcoffset() for time in times if isinstance(time, datetime)}
        return last.replace(tzinfo=None) if len(offsets) > 1 else last
    return last


def _regular(times: Sequence[Time], utc: bool) -> Steps:
    """The step of ascending times, if it is regular. utc: as in `Steps`."""
    clocks: list[Any] = [_clock(time, utc) if isinstance(time, datetime) else time for time in times]
    step = replace(_step(clocks), utc=utc)
    slack = _slack(step.number, max(map(abs, clocks))) if step.number else 0.0
    for n, after in enumerate(clocks[1:]):
        following = step.add(times[n], 1)
        expected: Any = _clock(following, utc) if isinstance(following, datetime) else following
        if expected == after or (isinstance(after, float) and abs(expected - after) <= slack):
            continue
        what = f"{show_time(following)} is missing" if expected < after else "there are times in between"
        raise InputError(
            f"the times are not regular: {show_time(times[n + 1])} (time {n + 2}) comes after {show_time(times[n])}, "
            f"but the step is {step.describe()}: {what}"
        )
    return step


def _instant(time: Time) -> Time:
    """The time, in UTC where it has a time zone. Raises InputError for one that UTC writes with another year than 1 to
    9999.
    """
    try:
        return time.astimezone(UTC) if isinstance(time, datetime) and time.tzinfo is not None else time
    except OverflowError:
        raise InputError(f"the time {show_time(time)} {OUTSIDE} in UTC") from None


def _clock(time: datetime, utc: bool) -> datetime:
    """What a clock shows at the time, without the time zone: in UTC, or in that zone."""
    return (time.astimezone(UTC) if utc else time).replace(tzinfo=None, fold=0)


def month_form(value: Any) -> str:
    """How a month or quarter is written: what follows the year and precedes the number, "-" in 2024-03, "-Q" in
    2024-Q1; "" for other times.
    """
    text = str(value).strip()
    found = MONTH.fullmatch(text)
    if not found or not (found[3] or "-" in text):
        return ""
    return text[4:-1] if found[3] else text[4:-2]


def _step(times: Sequence[Any]) -> Steps:
    """The most frequent step; of equally frequent ones, the shortest."""
    if not isinstance(times[0], datetime):
        return Steps(number=_number_step(np.array(times, dtype=np.float64)))
    month_end = all(time.day == monthrange(time.year, time.month)[1] for time in times)
    if all(time.time() == times[0].time() for time in times) and (
        month_end or all(time.day == times[0].day for time in times)
    ):
        months = [12 * (b.year - a.year) + b.month - a.month for a, b in pairwise(times)]
        values, counts = np.unique(months, return_counts=True)
        if values[0] > 0:
            return Steps(int(values[counts.argmax()]), month_end=month_end)
    deltas, counts = np.unique([b - a for a, b in pairwise(times)], return_counts=True)
    return Steps(seconds=deltas[counts.argmax()].total_seconds())


def _number_step(times: NDArray[np.float64]) -> float:
    """The most frequent difference of ascending numbers: the mean of those equal to it up to rounding, with the fewest
    digits that rounding allows. Raises InputError for differences that are too small or too large for it.
    """
    with np.errstate(over="ignore"):
        differences = np.diff(times)
    if differences.min() < 1 / _LARGEST_STEP or differences.max() > _LARGEST_STEP:
        raise InputError(f"the steps between times must lie between {1 / _LARGEST_STEP:g} and {_LARGEST_STEP:g}")
    digits = 10.0 ** (4 - np.floor(np.log10(differences)))
    values, counts = np.unique(np.round(differences * digits) / digits, return_counts=True)
    usual, largest = float(values[counts.argmax()]), float(np.abs(times).max())
    near = differences[np.abs(differences - usual) <= _slack(usual, largest)]
    step = math.fsum(near) / len(near)
    rounding = 2 * math.ulp(largest) / len(near) + math.ulp(step)
    shown = (float(f"{step:.{count}g}") for count in range(1, 18))  # 17 digits give the number itself
    return next(number for number in shown if abs(number - step) <= rounding)


def _slack(step: float, largest: float) -> float:
    """By how much a difference of rounded numbers may miss the step. largest: of the numbers."""
    return max(1e-4 * step, min(2 * math.ulp(largest), step / 2))


def _add_months(time: datetime, months: int, month_end: bool) -> datetime:
    year, month = divmod(12 * time.year + time.month - 1 + months, 12)
    last = monthrange(year, month + 1)[1]
    return time.replace(year=year, month=month + 1, day=last if month_end else min(time.day, last))
