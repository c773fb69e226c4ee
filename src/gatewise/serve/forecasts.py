"""A served forecaster, and its forecasts as JSON."""

import math
from collections.abc import Callable
from typing import Any

from gatewise.data.times import show_time
from gatewise.errors import FutureValuesError, InputError, printable, quote, required
from gatewise.serve.endpoint import Endpoint
from gatewise.serve.schemas import ColumnLists, ForecastRequest, RequestError

_MOST_NUMBERS = 100_000  # series times steps of one response
_MOST_COLUMNS = 100
_MOST_PERTURBED = 2_000_000  # values of windows that the attributions of one response perturb, in about 10 seconds


class ForecastEndpoint(Endpoint):
    """A served `gatewise.forecast.Forecaster`, as `gatewise.load` returns it."""

    input_kind = "forecast"

    def __init__(self, name: str, forecaster: Any, rejected: Callable[[str], None]) -> None:
        super().__init__(name, rejected)
        self.forecaster = forecaster

    def answer(self, request: ForecastRequest) -> dict[str, Any]:
        """The response to /forecast. Raises RequestError that names the field."""
        forecaster = self.forecaster
        try:
            values = _frame(request.values)
            series = forecaster.current(values)
        except InputError as error:
            raise self._refused("values", error) from None
        names = list(series.names)
        if request.series is not None:
            names = [request.series]
        if names[0] not in series.names:
            raise RequestError("series", "series must be one of the fitted series, or of values")
        horizon = request.horizon or forecaster.horizon
        # All series are forecast, also those that the response leaves out.
        if len(series.names) * horizon > _MOST_NUMBERS:
            raise RequestError("horizon", f"{len(series.names)} series may have {_MOST_NUMBERS:,} steps in all")
        try:
            future = _frame(request.future)
            forecasts = forecaster.by_series(horizon, future=future, data=values, level=request.level)
        except FutureValuesError as error:  # it quotes the server's own columns, and nothing of the request
            raise RequestError("future", str(error).replace("'", ""), "input") from None
        except InputError as error:
            field = "horizon"
            if series.roles.future or request.future is not None:
                field = "future"
            raise self._refused(field, error) from None

        time = series.roles.time
        columns = {name: {**forecasts[name], time: list(map(show_time, forecasts[name][time]))} for name in names}
        response = {"model": self.name, "horizon": horizon, "series": columns}
        if "history" in request.include:
            response["history"] = {name: series.to_json(name) for name in names}
        if "attribution" in request.include:
            self._check_cost(series, len(names), request.step)
            explanations = forecaster.explanations(request.step, names, series)
            response["attribution"] = {name: explanation.to_json() for name, explanation in explanations.items()}
        if request.id is not None:
            response["id"] = request.id
        return response

    def _check_cost(self, series: Any, count: int, step: int) -> None:
        """Raise RequestError where the attributions of `count` series at a step take more than about ten seconds.

        An attribution perturbs each value of a series. Each perturbed series is predicted up to the step, and a
        prediction reaches `outputs` steps.
        """
        outputs = self.forecaster.ensemble.target.outputs
        most_perturbed = max(values.size * len(values) for values in series.values)
        most_predictions = max(1, _MOST_PERTURBED // most_perturbed)
        if count * math.ceil(step / outputs) <= most_predictions:
            return
        most_steps = most_predictions // count * outputs
        if most_steps:
            hint = f"at most {most_steps:,} steps ahead"
        else:
            hint = f"of at most {most_predictions:,} series"
        message = f"the attribution of {count:,} series would take too long: ask for one {hint}"
        raise RequestError("step", message)

    def _refused(self, field: str, error: InputError) -> RequestError:
        """The error of the library as one of the request. Its message is "row 3: 'column' ...".

        A response repeats nothing that is quoted, because it may be the client's. The name of a column of the fit is
        the server's own, so it stays, without quotation marks.
        """
        message = str(error)
        roles = self.forecaster.series.roles
        row, _, rest = message.partition(": ")
        for name in (roles.id, roles.time, roles.target, *roles.past, *roles.future):
            quoted = quote(name, 80)
            if row.startswith("row ") and rest.startswith(quoted):
                message = f"{row}: {printable(name)}{rest.removeprefix(quoted)}"
        return RequestError(field, message, "input")

    def card(self) -> dict[str, Any]:
        """The forecaster as the page shows it."""
        forecaster = self.forecaster
        roles = forecaster.series.roles
        future_rows: ColumnLists = {}
        if roles.future:
            future_rows = self._future_rows()
        return {
            "api": 1,
            **forecaster.about(),
            "time": roles.time,
            "target": roles.target,
            "future": roles.future,
            "future_rows": future_rows,
            "report": forecaster.report(),
        }

    def _future_rows(self) -> ColumnLists:
        """The times of the next steps, and with several series their names: the rows of `ForecastRequest.future`."""
        series = self.forecaster.series
        names: list[Any] = []
        times: list[Any] = []
        for number, name in enumerate(series.names):
            for time in series.times_after(number, self.forecaster.horizon):
                names.append(name)
                times.append(time if isinstance(time, int | float) else show_time(time))
        columns: ColumnLists = {series.roles.time: times}
        if len(series.names) > 1:
            columns[series.roles.id] = names
        return columns


def _frame(columns: ColumnLists | None) -> Any:
    """A data frame of columns, or None for None. Raises InputError where their lengths differ."""
    if columns is None:
        return None
    lengths = set(map(len, columns.values()))
    if len(lengths) != 1 or len(columns) > _MOST_COLUMNS:
        raise InputError(f"there must be 1 to {_MOST_COLUMNS} columns of one length")
    return required("pandas", "forecast", "a forecast").DataFrame(columns)
