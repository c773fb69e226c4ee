"""A served forecaster, and its forecasts as JSON."""

import math
from collections.abc import Callable
from typing import Any

from gatewise.data.times import show_time
from gatewise.errors import FutureValuesError, InputError, printable, quote, required
from gatewise.serve.endpoint import Endpoint
from gatewise.serve.schemas import ForecastRequest, RequestError, Table

_MOST_NUMBERS = 100_000  # series times steps of one response
_MOST_COLUMNS = 100
_MOST_MOVED = 2_000_000  # values of windows that the attributions of one response move, in about 10 seconds


class ForecastEndpoint(Endpoint):
    """A `gatewise.forecast.Forecaster`, which `gatewise.load` gives, under a name. input_kind: "forecast"."""

    input_kind = "forecast"

    def __init__(self, name: str, forecaster: Any, rejected: Callable[[str], None]) -> None:
        super().__init__(name, rejected)
        self.forecaster = forecaster

    def answer(self, request: ForecastRequest) -> dict[str, Any]:
        """The response to /forecast. Raises RequestError that names the field."""
        found = self.forecaster
        try:
            given = None if request.values is None else _frame(request.values)
            series = found.current(given)
        except InputError as error:
            raise self._refused("values", error) from None
        names = list(series.names) if request.series is None else [request.series]
        if names[0] not in series.names:
            raise RequestError("series", "series must be one of the fitted series, or of values")
        horizon = request.horizon or found.horizon
        if len(series.names) * horizon > _MOST_NUMBERS:
            raise RequestError("horizon", f"{len(series.names)} series may have {_MOST_NUMBERS:,} steps in all")
        try:
            future = None if request.future is None else _frame(request.future)
            forecasts = found.by_series(horizon, future=future, data=given, level=request.level)
        except FutureValuesError as error:  # what it quotes is the server's own
            raise RequestError("future", str(error).replace("'", ""), "input") from None
        except InputError as error:
            field = "future" if series.roles.future or request.future is not None else "horizon"
            raise self._refused(field, error) from None
        time = series.roles.time
        shown = {name: {**forecasts[name], time: list(map(show_time, forecasts[name][time]))} for name in names}
        made = {"model": self.name, "horizon": horizon, "series": shown}
        if "history" in request.include:
            made["history"] = {name: series.to_json(name) for name in names}
        if "attribution" in request.include:
            # Predictions are fed back up to the step, for each series and each value that is moved.
            most = max(1, _MOST_MOVED // max(one.size * len(one) for one in series.values))
            count, outputs = len(names), found.ensemble.target.outputs
            if count * math.ceil(request.step / outputs) > most:
                steps = most // count * outputs
                hint = f"at most {steps:,} steps ahead" if steps else f"of at most {most:,} series"
                message = f"the attribution of {count:,} series would take too long: ask for one {hint}"
                raise RequestError("step", message)
            explained = found.explanations(request.step, names, series)
            made["attribution"] = {name: one.to_json() for name, one in explained.items()}
        return made if request.id is None else {**made, "id": request.id}

    def _refused(self, field: str, error: InputError) -> RequestError:
        """The error of the library. A column that it begins with, after the row, is the server's own, and loses its
        quotation marks: what is quoted is not sent back.
        """
        message, roles = str(error), self.forecaster.series.roles
        row, _, rest = message.partition(": ")
        for name in (roles.id, roles.time, roles.target, *roles.past, *roles.future):
            if row.startswith("row ") and rest.startswith(quote(name, 80)):
                message = f"{row}: {printable(name)}{rest.removeprefix(quote(name, 80))}"
        return RequestError(field, message, "input")

    def card(self) -> dict[str, Any]:
        """The forecaster as the page shows it."""
        found, roles = self.forecaster, self.forecaster.series.roles
        about = {"api": 1, **found.about(), **{name: getattr(roles, name) for name in ("time", "target", "future")}}
        return {**about, "future_rows": self._future_rows() if roles.future else {}, "report": found.report()}

    def _future_rows(self) -> Table:
        """The times of the next steps, and with several series their names: the rows of `ForecastRequest.future`."""
        found, roles = self.forecaster.series, self.forecaster.series.roles
        rows = [
            (name, time if isinstance(time, int | float) else show_time(time))
            for number, name in enumerate(found.names)
            for time in found.times_after(number, self.forecaster.horizon)
        ]
        names, times = map(list, zip(*rows, strict=True))
        return {roles.time: times} | ({roles.id: names} if len(found.names) > 1 else {})


def _frame(table: Table) -> Any:
    """A data frame of columns. Raises InputError where they differ in their length."""
    lengths = set(map(len, table.values()))
    if len(lengths) != 1 or len(table) > _MOST_COLUMNS:
        raise InputError(f"there must be 1 to {_MOST_COLUMNS} columns of one length")
    return required("pandas", "forecast", "a forecast").DataFrame(table)
