"""The series of a table with one value per row, for a forecaster."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gatewise.data.files import fail
from gatewise.data.series_tables import SeriesTable, name_of, number, time_of
from gatewise.data.times import Time, month_form, regular_steps
from gatewise.errors import DataError, InputError, quote
from gatewise.types import Array


class ForecastTable(NamedTuple):
    """Values (n,), exogenous columns (n, K) and times (n) of each series by name.

    time, value, id: the columns as the header writes them. form: how the times are written, see `show_time`: "T" if
    one of them has a time of day, else that of months or quarters if all have one form.
    """

    values: dict[str, Array]
    exogenous: dict[str, Array] | None
    times: dict[str, list[Time]]
    time: str
    value: str
    id: str | None
    form: str


def read_forecast_table(
    path: str | Path, *, time: str, value: str, id: str | None = None, exogenous: list[str] | None = None
) -> ForecastTable:
    """The columns of a table, in the order of its rows.

    id: the column that names the series; None: all rows are one series. Raises DataError with the line for missing
    values, and times that are missing, not regular, not ascending or there twice.
    """
    with closing(SeriesTable(path)) as table:
        time, value = table.column(time, "--time"), table.column(value, "--value")
        id = None if id is None else table.column(id, "--id")
        columns = [value, *(table.column(name, "--exogenous") for name in exogenous or [])]
        rows: dict[str, list[tuple[int, Time, list[float]]]] = {}
        forms: set[str] = set()
        for line, row in table.rows():
            name = "series" if id is None else name_of(row[id])
            if not name:
                fail(table.file, line, f"{quote(id)} is empty")
            numbers = [number(table.file, line, column, row[column]) for column in columns]
            for column, found in zip(columns, numbers, strict=True):
                if found != found:
                    fail(table.file, line, f"{quote(column)} is missing; fill or interpolate it before forecasting")
            forms.add(month_form(row[time]))
            rows.setdefault(name, []).append((line, time_of(table.file, line, row[time]), numbers))
        if not rows:
            raise DataError(f"{quote(path, 200)}: has no row")
        for name, steps in rows.items():
            try:
                regular_steps([at for _, at, _ in steps])
            except InputError as error:
                whose = "" if id is None else f"series {quote(name, 40)}: "
                several = id is None and len({at for _, at, _ in steps}) < len(steps)
                hint = "; --id names the column of the series, if there are several" if several else ""
                raise DataError(f"{quote(path, 200)}: {whose}{error}{hint}") from None
    every = [at for steps in rows.values() for _, at, _ in steps]
    daytime = any(isinstance(at, datetime) and at.time() != datetime.min.time() for at in every)
    form = "T" if daytime else forms.pop() if len(forms) == 1 else ""
    tables = {name: np.array([numbers for _, _, numbers in steps]) for name, steps in rows.items()}
    return ForecastTable(
        {name: one[:, 0] for name, one in tables.items()},
        {name: one[:, 1:] for name, one in tables.items()} if exogenous else None,
        {name: [at for _, at, _ in steps] for name, steps in rows.items()},
        *(time, value, id, form),
    )
