"""`Calendar`: regular steps between times, as pandas has them, and the seasons that a step suggests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np

from gatewise.data.times import OUTSIDE, Time, in_zone, instant, show_time, zone_of
from gatewise.errors import InputError, counted, quote, required

_MONTHS = ("MS", "ME", "BMS", "BME", "months")  # units that are counted in months
_UNITS = ("number", "s", "B", *_MONTHS)
_DAY = 86_400
_MOST_MISSING = 0.5  # of the times between the first and the last one
_LARGEST = 1e15  # of a step


@dataclass(frozen=True)
class Calendar:
    """A step between times.

    count, unit: "number" of times that are numbers, else an offset of pandas: "s" seconds, "B" business days, "MS" and
    "ME" starts and ends of months, "BMS" and "BME" those on business days, "months" the same day of a month. zone: the
    time zone, such as Europe/Berlin or +01:00; "" for none. utc: the times are regular in UTC; else as a clock shows
    them in their zone, where a day may have 23 hours.
    """

    count: float = 1.0
    unit: str = "number"
    zone: str = ""
    utc: bool = False

    def __post_init__(self) -> None:
        if self.unit not in _UNITS or not 1 / _LARGEST <= self.count <= _LARGEST or (self.utc and not self.zone):
            raise InputError("the step between times must be a number above 0 and a unit that is known")
        if self.unit not in ("number", "s") and self.count != int(self.count):
            raise InputError(f"a step in {self.unit} must be a whole number")
        if self.zone:
            zone_of(self.zone)

    def describe(self) -> str:
        """The step in words: "1 month", "7 days", "0.5"."""
        if self.unit == "number":
            return show_time(self.count)
        for noun, seconds in (("day", _DAY), ("hour", 3600), ("minute", 60)):
            if self.unit == "s" and self.count % seconds == 0:
                return counted(int(self.count) // seconds, noun)
        noun = {"s": "second", "B": "business day"}.get(self.unit, "month")
        return f"{self.count:g} {noun}{'s' * (self.count != 1)}"

    def times(self, start: Time, first: int, stop: int) -> list[Time]:
        """The times that lie `first` to `stop` - 1 steps after `start`. Raises InputError after the year 9999."""
        if not isinstance(start, datetime):
            # Decimal, so that 0.4 + 2 * 0.1 is 0.6, as in a table.
            base = Decimal(repr(start))
            step = Decimal(repr(self.count))
            return [float(base + k * step) for k in range(first, stop)]
        pd = required("pandas", "forecast", "a forecast")
        count = int(self.count)
        try:
            clock = pd.Timestamp(_clock(start, self.utc)).as_unit("us")
            if self.unit == "s":
                offset = pd.Timedelta(round(self.count * 1e6), unit="us")
            elif self.unit == "months":
                offset = pd.DateOffset(months=count)
            else:
                offset = pd.tseries.frequencies.to_offset(f"{count}{self.unit}")
            stamps = [clock + k * offset for k in range(first, stop)]
            if stamps and stamps[-1].year > 9999:
                raise OverflowError
        except (OverflowError, ValueError) as error:
            last = f"the time {counted(stop - 1, 'step')} of {self.describe()} after {show_time(start)}"
            raise InputError(f"{last} {OUTSIDE}") from error
        clocks = [stamp.to_pydatetime() for stamp in stamps]
        if not self.zone:
            return clocks
        zone = zone_of(self.zone)
        if self.utc:
            return [in_zone(clock.replace(tzinfo=UTC), zone) for clock in clocks]
        return [clock.replace(tzinfo=zone) for clock in clocks]

    def places(self, times: Sequence[Time]) -> list[int]:
        """The number of steps from the first of ascending times to each. Raises InputError for one that is on no step,
        and if more than half of the steps have no time.
        """
        n = len(times)
        start = times[0]
        last = self._steps(times)
        if n < _MOST_MISSING * (last + 1):
            raise InputError(
                f"the step is {self.describe()}, but {last + 1 - n:,} of the {last + 1:,} times from "
                f"{show_time(start)} to {show_time(times[-1])} are missing: sum or average over a longer step"
            )
        places = self.steps_from(start, last + 1, times)
        if -1 in places:
            k = places.index(-1)
            where = f"comes after {show_time(times[k - 1])}, but the step is" if k else "is on no step of"
            raise InputError(
                f"the times are not regular: {show_time(times[k])} {where} {self.describe()}. "
                "Sum or average the values over regular steps"
            )
        return places

    def steps_from(self, start: Any, stop: int, times: Sequence[Any]) -> list[int]:
        """The number of steps from `start` to each of the times; -1 for one that is on none of the first `stop`."""
        if self.unit != "number":
            steps = {instant(time): k for k, time in enumerate(self.times(start, 0, stop))}
            return [steps.get(instant(time), -1) for time in times]
        at = (np.array(times, dtype=np.float64) - start) / self.count
        slack = 0.01 + 4 * math.ulp(max(map(abs, (start, *times)))) / self.count
        near = (np.abs(at - np.round(at)) <= slack) & (at > -0.5) & (at < stop - 0.5)
        return list(map(int, np.where(near, np.round(at), -1)))

    def _steps(self, times: Sequence[Any]) -> int:
        """About as many steps as there are from the first time to the last."""
        if self.unit == "number":
            return round(float(times[-1] - times[0]) / self.count)
        first = _clock(times[0], self.utc)
        last = _clock(times[-1], self.utc)
        if self.unit == "B":
            return int(np.busday_count(first.date(), last.date()) / self.count)
        length = 1 if self.unit == "s" else 365.2425 * _DAY / 12
        return round((last - first).total_seconds() / length / self.count)

    def seasons(self) -> tuple[int, ...]:
        """The periods that the step suggests, the shortest first: 12 for months, 7 and 365 for days, 24 and 168 for
        hours; none for years and numbers.
        """
        periods = [cycle / self.count for cycle in self._cycles()]
        # A short cycle must be a whole number of steps; a long one, such as 365.25 days, is rounded.
        return tuple(int(period) for period in periods if period >= 2 and (period == int(period) or period > 50))

    def _cycles(self) -> tuple[float, ...]:
        """The cycles that values with this step often have, in its unit: the hour, the day, the week and the year."""
        if self.unit == "number":
            return ()
        if self.unit in _MONTHS:
            return (12,)
        if self.unit == "B":
            return (5, 261)
        if self.count >= _DAY:
            return (7 * _DAY, 365.25 * _DAY)
        if self.count >= 300:
            return (_DAY, 7 * _DAY)
        if self.count >= 60:
            return (3600, _DAY)
        return (60, 3600)


def calendar_of(times: Sequence[Time]) -> Calendar:
    """The most frequent step of ascending times that differ. Raises InputError for fewer than two times, and for
    numbers and dates together.
    """
    if len(times) < 2:
        raise InputError("at least two times are needed: add earlier values")
    if not isinstance(times[0], datetime):
        return Calendar(_number_step(np.array(times, dtype=np.float64)))
    zone = _zone_name(times)
    on_clock: Calendar | None = None
    reason: InputError | None = None
    for utc in (False, True) if zone else (False,):
        clocks = [_clock(time, utc) for time in times]  # type: ignore[arg-type]
        if any(after <= before for before, after in pairwise(clocks)):
            continue
        count, unit = _step(clocks)
        name = zone
        if zone == "mixed":  # an offset from UTC; on the clock the zone has no name
            name = str(times[-1])[-6:] if utc else ""
        calendar = Calendar(count, unit, name, utc)
        try:
            calendar.places(on_calendar(times, calendar))
        except InputError as error:
            reason = reason or error
            continue
        # Days are regular on the clock of their zone, hours in UTC.
        if unit != "s" or count % _DAY == 0 or utc:
            return calendar
        on_clock = calendar
    if on_clock is None:
        raise reason or InputError("the times are not regular")
    return on_clock


def on_calendar(times: Sequence[Time], calendar: Calendar) -> list[Time]:
    """The times in the zone of the calendar. On a calendar without a zone they lose their offsets from UTC, as the
    offsets of the following times are not known. Raises InputError for a number on a calendar of dates, a date on one
    of numbers, and a date without a zone on one with a zone.
    """
    numbers = calendar.unit == "number"
    zone = zone_of(calendar.zone) if calendar.zone else None
    out = list[Time]()
    for time in times:
        if isinstance(time, float) != numbers or (zone and not getattr(time, "tzinfo", None)):
            kind = "dates"
            if numbers:
                kind = "numbers"
            elif zone:
                kind = "dates with a time zone"
            raise InputError(f"the time {quote(show_time(time), 40)} does not fit the calendar: pass {kind}")
        if isinstance(time, datetime) and time.tzinfo is not None:
            time = in_zone(time, zone) if zone else time.replace(tzinfo=None)
        out.append(time)
    return out


def _zone_name(times: Sequence[Any]) -> str:
    """The name of the time zone, "+01:00" for a fixed offset, "mixed" for offsets that differ, "" for none."""
    first = times[0].tzinfo
    if first is None:
        return ""
    keys = {getattr(time.tzinfo, "key", None) for time in times}
    if len(keys) == 1 and None not in keys:
        return str(keys.pop())
    offsets = {time.utcoffset() for time in times}
    if len(offsets) > 1:
        return "mixed"
    if isinstance(first, timezone) and not offsets.pop():
        return "UTC"
    return str(times[0].isoformat()[-6:])


def _clock(time: datetime, utc: bool) -> datetime:
    """What a clock shows at the time, without the time zone: in UTC, or in that zone."""
    return (instant(time) if utc else time).replace(tzinfo=None, fold=0)


def _step(clocks: list[datetime]) -> tuple[float, str]:
    """The most frequent step; of equally frequent ones, the shortest."""
    pd = required("pandas", "forecast", "a forecast")
    index = pd.DatetimeIndex(np.array(clocks, dtype="datetime64[us]"))
    deltas, counts = np.unique(np.diff(index.asi8), return_counts=True)
    seconds = float(deltas[counts.argmax()]) / 1e6
    if len({clock.time() for clock in clocks}) == 1:
        months = np.diff(index.year * 12 + index.month)
        if months.min() >= 1:
            values, counts = np.unique(months, return_counts=True)
            count = float(values[counts.argmax()])
            for unit in ("MS", "ME", "BMS", "BME"):
                if all(map(pd.tseries.frequencies.to_offset(unit).is_on_offset, index)):
                    return count, unit
            if len(set(index.day)) == 1:
                return count, "months"
        weekend = (index.day_of_week >= 5).any()
        several_weeks = (np.diff(index.day_of_week) < 0).any()
        if seconds == _DAY and several_weeks and not weekend:
            return 1.0, "B"
    return seconds, "s"


def _number_step(times: Any) -> float:
    """The most frequent difference of ascending numbers, with the fewest digits that rounding allows."""
    with np.errstate(over="ignore"):
        differences = np.diff(times)
    if differences.min() < 1 / _LARGEST or differences.max() > _LARGEST:
        raise InputError(f"the steps between times must lie between {1 / _LARGEST:g} and {_LARGEST:g}")
    values, counts = np.unique([float(f"{difference:.5g}") for difference in differences], return_counts=True)
    near = differences[np.abs(differences / values[counts.argmax()] - 1) <= 1e-3]
    step = float(near.mean())
    shown = (float(f"{step:.{count}g}") for count in range(1, 18))  # 17 digits give the number itself
    slack = 2 * math.ulp(float(np.abs(times).max())) / len(near) + 1e-9 * step
    return next(number for number in shown if abs(number - step) <= slack)
