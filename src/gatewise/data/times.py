"""Times in tables: numbers, or dates and times in ISO 8601."""

import re
from collections.abc import Callable, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import is_finite, is_real
from gatewise.errors import InputError, printable, quote

MONTH = re.compile(r"(\d{4})-(\d{2})|(\d{4})[- ]?Q([1-4])", re.I)
OUTSIDE = "is outside the years 1 to 9999"

Time = float | datetime


def parse_time(value: Any) -> Time:
    """A number, or a date or time: 2024-03, 2024-Q1, 2024-03-31, 2024-03-31T12:00; also date, datetime, datetime64.

    Raises InputError for anything else, such as 31/03/2024, whose order of day and month is not certain.
    """
    if isinstance(value, np.datetime64):
        converted = value.astype("datetime64[us]").item()
        if isinstance(converted, int):
            raise InputError(f"the time {value} {OUTSIDE}")
        value = converted
    if value is None or value != value:  # NaN, NaT
        raise InputError("the time is missing")
    if isinstance(value, datetime):
        if not MINYEAR <= value.year <= MAXYEAR:  # of pandas.Timestamp
            raise InputError(f"the time {printable(value, 40)} {OUTSIDE}")
        if zone := getattr(value.tzinfo, "zone", None):  # of pytz: one object per offset, which later times would keep
            value = value.astimezone(zone_of(zone))
        day = (value.year, value.month, value.day)
        clock = (value.hour, value.minute, value.second, value.microsecond)
        return datetime(*day, *clock, value.tzinfo, fold=value.fold)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if is_real(value):
        if not is_finite(value):
            raise InputError(f"the time {quote(value, 40)} is not finite")
        return float(value)
    text = str(value).strip()
    if not text:
        raise InputError("the time is missing")
    found = MONTH.fullmatch(text)
    try:
        if found:
            year, month = (found[1], int(found[2])) if found[1] else (found[3], 3 * int(found[4]) - 2)
            return datetime(int(year), month, 1)
        number = float(text)
    except ValueError:
        pass
    else:
        if not np.isfinite(number):
            raise InputError(f"the time {quote(text, 40)} is not finite")
        return number
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"the time {quote(text, 40)} is neither a number nor a date such as 2024-03-31, 2024-03 or 2024-Q1"
        ) from None


def zone_of(name: str) -> tzinfo:
    """The time zone of this name, such as Europe/Berlin, or of this offset from UTC, such as +01:00. Raises InputError
    if it is not known here.
    """
    try:
        offset = "+00:00" if name == "UTC" else name
        if offset[0] in "+-":
            zone = datetime.fromisoformat(f"2000-01-01T00:00{offset}").tzinfo
        else:
            zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: of a folder of zones, such as Europe
        raise InputError(
            f"the time zone {quote(name, 40)} is not known here; pip install tzdata adds the usual ones"
        ) from None
    return zone or UTC


def in_zone(time: datetime, zone: tzinfo) -> datetime:
    """The time in this zone. Raises InputError for one that has another year than 1 to 9999 there."""
    try:
        return time.astimezone(zone)
    except OverflowError:
        raise InputError(f"the time {show_time(time)} {OUTSIDE} in {zone}") from None


def instant(time: Any) -> Any:
    """The time, in UTC where it has a time zone: within a zone, the hour that occurs twice in autumn is one hour to
    Python. Raises InputError as `in_zone`.
    """
    return in_zone(time, UTC) if isinstance(time, datetime) and time.tzinfo else time


def seconds_of(values: Sequence[Any], where: Callable[[int], str]) -> NDArray[np.float64]:
    """Numbers (n,) as they are; seconds since 1970 of dates, in UTC where they have no time zone.

    where: names a row for messages. Raises InputError for numbers and dates in one column, and as `parse_time`.
    """
    out = np.zeros(len(values))
    times = list[Time]()
    for row, value in enumerate(values):
        try:
            times.append(time := parse_time(value))
        except InputError as error:
            raise InputError(f"{where(row)}: {error}") from None
        if isinstance(time, datetime) != isinstance(times[0], datetime):
            raise InputError(f"{where(row)}: {show_time(time)} and {show_time(times[0])} are not of one kind")
        out[row] = time if isinstance(time, float) else (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return out


def comparable(a: Time, b: Time) -> bool:
    """Whether both are numbers, both dates with a time zone, or both dates without."""
    if isinstance(a, datetime) and isinstance(b, datetime):
        return bool(a.tzinfo) == bool(b.tzinfo)
    return type(a) is type(b)


def show_time(time: Time, form: str = "") -> str:
    """The time as a table has it: a date without a time of day where that is 0:00. form: of months and quarters, see
    `written_form`; "T": with the time of day, in ISO 8601.
    """
    if isinstance(time, datetime):
        if form == "T":
            return time.isoformat()
        if form:
            number = f"{(time.month + 2) // 3}" if form[-1] in "qQ" else f"{time:%m}"
            return f"{time:%Y}{form}{number}"
        midnight = not (time.hour or time.minute or time.second or time.microsecond or time.tzinfo)
        return time.date().isoformat() if midnight else time.isoformat()
    return str(int(time)) if time.is_integer() and abs(time) < 1e21 else repr(time)


def written_form(cells: Sequence[Any], times: Sequence[Time]) -> str:
    """How times are written, for `show_time`: "T" where one has a time of day; what follows the year of months and
    quarters and precedes the number, "-" in 2024-03, "-Q" in 2024-Q1; "" for others.
    """
    if any(isinstance(time, datetime) and time.time() != datetime.min.time() for time in times):
        return "T"
    forms = set()
    for cell in cells:
        text = str(cell).strip()
        found = MONTH.fullmatch(text)
        forms.add(text[4 : -1 if found[3] else -2] if found else "")
    return forms.pop() if len(forms) == 1 else ""
