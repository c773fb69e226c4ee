"""The configuration of a forecaster, as config.json holds it."""

from dataclasses import dataclass

from gatewise.data.times import Time, parse_time
from gatewise.errors import InputError
from gatewise.forecast.calendar import Calendar, on_calendar
from gatewise.forecast.series import MAX_HORIZON, Roles


@dataclass(frozen=True)
class Config:
    """The entry "forecast" of config.json. starts, lengths: of each series, the time of the first stored value and the
    number of stored values. origins: the number of held-out windows per series. held_out_steps: the values that each
    forecasts. stride: the steps from one window to the next. non_negative: whether no value is below 0.
    """

    horizon: int
    seasons: tuple[int, ...]
    names: tuple[str, ...]
    roles: Roles
    statics: tuple[str, ...]
    calendar: Calendar
    starts: tuple[str, ...]
    lengths: tuple[int, ...]
    origins: int
    held_out_steps: int
    non_negative: bool
    notes: tuple[str, ...]
    stride: float = 1.0

    def __post_init__(self) -> None:
        # A size of 0 would make arrays of no bytes, whose other sizes could be any number.
        sizes = (self.horizon, self.origins, self.held_out_steps, len(self.names), *self.lengths)
        if min(sizes) < 1 or self.horizon > MAX_HORIZON:
            raise InputError(f"sizes must be at least 1, and horizon at most {MAX_HORIZON:,}")
        if not 1 <= self.stride <= 1e9:
            raise InputError("stride must be at least 1")
        if len(self.seasons) > 2 or min(self.seasons, default=2) < 2:
            raise InputError("there can be two seasons, of at least 2 steps")
        if len(set(self.names)) < len(self.names):
            raise InputError("names must differ")
        if {len(self.starts), len(self.lengths)} != {len(self.names)}:
            raise InputError("every series needs a start and a length")
        self.read_starts()

    @property
    def columns(self) -> int:
        """The columns that the members read."""
        return 1 + len(self.roles.past) + len(self.statics)

    def read_starts(self) -> list[Time]:
        """The times of the first values. Raises InputError for texts that do not fit the calendar."""
        return on_calendar(list(map(parse_time, self.starts)), self.calendar)
