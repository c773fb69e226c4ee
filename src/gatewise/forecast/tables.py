"""The series of a table with one value per row, for a forecaster."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gatewise.data.columns import Columns, RowReader
from gatewise.data.labelled import Rows
from gatewise.errors import DataError, InputError, quote
from gatewise.forecast.series import SeriesSet, series_set
from gatewise.forecast.steps import month_form
from gatewise.types import ColumnNames


class ForecastTable(NamedTuple):
    """Series with their times. names: the columns as the header writes them; the first of the values is forecast. form:
    how the times are written, see `show_time`: "T" if one of them has a time of day, else that of months or quarters if
    all have one form.
    """

    series: SeriesSet
    names: ColumnNames
    form: str


def read_forecast_table(
    path: str | Path, *, time: str, value: str, id: str | None = None, exogenous: list[str] | None = None
) -> ForecastTable:
    """The columns of a table, in the order of its rows.

    id: the column that names the series; None: all rows are one series. Raises DataError with the line for missing
    values, and for times that are missing, not regular, not ascending or there twice.
    """
    columns = Columns((), (), (value, *(exogenous or [])), id, time)
    parts: list[Rows] = []
    forms: set[str] = set()
    with RowReader.open(path, columns, fail_fast=True) as reader:
        for batch, cells in reader.batches():
            parts.append(batch)
            forms.update(month_form(row.values[batch.names.time]) for row in cells)
    if not parts:
        raise DataError(f"{quote(path, 200)}: has no row")
    rows = Rows.together(parts)
    numbers, times = np.array(rows.inputs), list(rows.times or [])
    for row, column in np.argwhere(np.isnan(numbers))[:1].tolist():
        rows.fail(row, f"{quote(rows.names.values[column])} is missing; fill or interpolate it before forecasting")
    found = {name or "series": (numbers[of], [times[row] for row in of]) for name, of in rows.by_series().items()}
    given = (
        {name: table[:, 0] for name, (table, _) in found.items()},
        {name: table[:, 1:] for name, (table, _) in found.items()} if exogenous else None,
        {name: own for name, (_, own) in found.items()},
    )
    try:
        series = series_set(*(given if id is not None else (one and one["series"] for one in given)))
    except InputError as error:
        several = id is None and len(set(times)) < len(times)
        hint = "; --id names the column of the series, if there are several" if several else ""
        raise DataError(f"{quote(path, 200)}: {error}{hint}") from None
    daytime = any(isinstance(at, datetime) and at.time() != datetime.min.time() for at in times)
    return ForecastTable(series, rows.names, "T" if daytime else forms.pop() if len(forms) == 1 else "")
