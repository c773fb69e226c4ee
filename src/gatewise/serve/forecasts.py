"""A served forecaster, and its forecasts as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gatewise.data.times import show_time
from gatewise.errors import InputError, required
from gatewise.serve.schemas import ForecastRequest, RequestError, Table

_MOST_NUMBERS = 100_000  # series times steps of one response
_MOST_COLUMNS = 100


class ForecastEndpoint:
    """A `gatewise.forecast.Forecaster`, which `gatewise.load` gives, under a name. input_kind: "forecast"."""

    input_kind = "forecast"

    def __init__(self, name: str, forecaster: Any, rejected: Callable[[str], None]) -> None:
        self.name, self.forecaster, self.rejected = name, forecaster, rejected

    def answer(self, request: ForecastRequest) -> dict[str, Any]:
        """The response to /forecast. Raises RequestError that names the field."""
        found = self.forecaster
        try:
            given = None if request.values is None else _frame(request.values)
            series = found.current(given)
        except InputError as error:
            raise RequestError("values", str(error), "input") from None
        names = [request.series] if request.series is not None else list(series.names)
        if names[0] not in series.names:
            raise RequestError("series", "series must be one of those that the forecaster knows, or that values holds")
        horizon = request.horizon or found.horizon
        if len(series.names) * horizon > _MOST_NUMBERS:
            raise RequestError("horizon", f"{len(series.names)} series may have {_MOST_NUMBERS:,} steps in all")
        try:
            future = None if request.future is None else _frame(request.future)
            columns = found.predict_columns(horizon, future=future, data=given, level=request.level)
        except InputError as error:
            raise RequestError("future" if series.roles.future else "values", str(error), "input") from None
        answers = [self._of_series(name, series, columns, request, given) for name in names]
        identity = {} if request.id is None else {"id": request.id}
        return {"model": self.name, "horizon": horizon, "series": answers, **identity}

    def _of_series(
        self, name: str, series: Any, columns: dict[str, list[Any]], request: ForecastRequest, given: Any
    ) -> dict[str, Any]:
        rows = [row for row, one in enumerate(columns[series.roles.id]) if one == name]
        cells = {label: [column[row] for row in rows] for label, column in columns.items()}
        levels = [label.removeprefix("lo-") for label in cells if label.startswith("lo-")]
        made: dict[str, Any] = {
            "name": name,
            "times": [show_time(time) for time in cells[series.roles.time]],
            "forecast": cells["forecast"],
            "intervals": [
                {"level": float(one), "lower": cells[f"lo-{one}"], "upper": cells[f"hi-{one}"]} for one in levels
            ],
        }
        number = series.number(name)
        if "history" in request.include:
            values = series.values[number][:, 0]
            times = series.times(number, 0, len(values))
            made["history"] = {"times": [show_time(time) for time in times], "values": values.tolist()}
        if "attribution" in request.include:
            found = self.forecaster.explain(request.step, series=name, data=given)
            names = [series.roles.target, *series.roles.past, *series.statics]
            scores = np.pad(found.contributions, ((len(series.values[number]) - len(found.values), 0), (0, 0)))
            by_column = dict(zip(names, scores.T.tolist(), strict=True))
            made["attribution"] = {"step": request.step, "forecast": found.forecast, "base": found.base}
            made["attribution"]["contributions"] = by_column
        return made

    def view(self) -> dict[str, Any]:
        """The forecaster as the page shows it, for GET /model."""
        found = self.forecaster
        about = {"horizon": found.horizon, "seasons": list(found.seasons), "series": list(found.names)}
        return {"api": 1, **about, "members": found.ensemble.weights_json(), "report": found.report()}


def _frame(table: Table) -> Any:
    """A data frame of columns. Raises InputError where they differ in their length."""
    lengths = set(map(len, table.values()))
    if len(lengths) != 1 or len(table) > _MOST_COLUMNS:
        raise InputError(f"there must be 1 to {_MOST_COLUMNS} columns of one length")
    return required("pandas", "forecast", "a forecast").DataFrame(table)
