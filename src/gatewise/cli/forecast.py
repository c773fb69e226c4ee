"""`gatewise forecast`: the next values of one or several series in a table, with prediction intervals."""

from __future__ import annotations

import csv
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli import options
from gatewise.cli.options import command, flag, option
from gatewise.cli.output import check_model_folder, print_json
from gatewise.errors import printable

if TYPE_CHECKING:
    from gatewise.forecast.forecaster import Forecaster
    from gatewise.forecast.held_out import Forecast, HeldOut
    from gatewise.forecast.series import ForecastTable


_FILE = "Table with one value per row: .csv, .tsv, .jsonl, .json, .parquet, .arrow, also .gz and .zst; - for stdin."
_TIME = "Column of times: numbers, or dates such as 2024-03-31 or 2024-03."
_LEVEL = click.FloatRange(0, 1, min_open=True, max_open=True)
_EXOGENOUS = "Further column that is known up to the present. May be repeated."


@command()
@click.argument("file", metavar="FILE", help=_FILE)
@option("--time", metavar="COLUMN", required=True, help=_TIME)
@option("--value", metavar="COLUMN", required=True, help="Column of the values to forecast.")
@option("--id", metavar="COLUMN", help="Column that names the series, for several.")
@option("--exogenous", metavar="COLUMN", multiple=True, help=_EXOGENOUS)
@option("--horizon", metavar="N", type=click.IntRange(1), default=12, help="Values to forecast.")
@option("--season", metavar="N", type=click.IntRange(1), help="Period of the season, 1 for none. Default: detected.")
@option("--level", metavar="P", type=_LEVEL, default=0.8, help="Level of the prediction intervals.")
@option("--seed", default=0, help="Random seed of the LSTM.")
@option("-o", "--out", metavar="FILE", help="Table for the forecasts: .csv, .tsv, .jsonl (also .gz), .parquet.")
@option("--save", metavar="DIR", help="Folder for the forecaster.")
@flag("--overwrite", help="Replace the file of -o and the folder of --save if they exist.")
@options.json_option
def forecast(given: Any) -> None:
    """Forecast one or several series, with prediction intervals and the seasonal naive forecast.

    \b
    gatewise forecast data.csv --time month --value passengers --horizon 12
    gatewise forecast sales.parquet --id shop --time week --value sold --exogenous price -o next.csv
    """
    from gatewise.forecast.forecaster import Forecaster
    from gatewise.forecast.series import read_forecast_table

    if given.out is not None:
        from gatewise.cli.table_writer import check_output

        check_output(Path(given.out), [given.file], given.overwrite)
    if given.save is not None:
        check_model_folder(given.save, given.overwrite, "--save")
    columns = {"time": given.time, "value": given.value, "id": given.id, "exogenous": list(given.exogenous)}
    table = read_forecast_table(given.file, **columns)
    found = Forecaster(given.horizon, season=given.season, seed=given.seed)
    found.fit(table.series)
    forecasts = {name: found.forecast(level=given.level, series=name) for name in found.names}
    if given.save is not None:
        found.save(given.save)
    rows = _rows(table, forecasts)
    if given.out is not None:
        from gatewise.cli.table_writer import write_table

        with write_table(given.out, list(rows[0])) as writer:
            writer.write(rows)
    if given.as_json:
        print_json(_json(found, forecasts, table.form))
        return
    for line in found.report():
        print(f"gatewise: {printable(line, 500)}", file=sys.stderr)
    if given.out is None:
        lines = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        lines.writeheader()
        lines.writerows(rows)
    else:
        print(f"gatewise: wrote {printable(given.out, 500)}", file=sys.stderr)


def _rows(table: ForecastTable, forecasts: dict[str, Forecast]) -> list[dict[str, Any]]:
    """One row per series and step: its id, the time, and the numbers with six digits, None where one is missing."""
    from gatewise.data.times import show_time

    level = f"{100 * next(iter(forecasts.values())).level:g}"
    names = table.names
    head = [str(names.id)] * (names.id is not None) + [str(names.time)]
    head += [names.values[0], f"lower {level}%", f"upper {level}%", "seasonal naive"]
    rows = []
    for name, one in forecasts.items():
        for step, at in enumerate(one.times or []):
            numbers = (one.mean[step], one.lower[step], one.upper[step], one.seasonal_naive[step])
            shown = [None if number != number else float(f"{number:.6g}") for number in numbers]
            rows.append(
                dict(zip(head, [*[name] * (names.id is not None), show_time(at, table.form), *shown], strict=True))
            )
    return rows


def _json(found: Forecaster, forecasts: dict[str, Forecast], form: str) -> dict[str, Any]:
    from gatewise.data.times import show_time

    series: dict[str, dict[str, Any]] = {}
    for name, one in forecasts.items():
        series[name] = {"times": [show_time(at, form) for at in one.times or []]}
        arrays = {"forecast": one.mean, "lower": one.lower, "upper": one.upper, "seasonal_naive": one.seasonal_naive}
        for key, values in arrays.items():
            series[name][key] = [None if number != number else number for number in values.tolist()]
    level = next(iter(forecasts.values())).level
    about = {"season": found.season, "horizon": found.horizon, "level": level}
    members = found.ensemble.weights_json()
    return {**about, "held_out": scores_json(found.held_out), "members": members, "series": series}


def scores_json(held: HeldOut) -> dict[str, Any]:
    """The held-out windows and the errors on them, of the forecaster and of the seasonal naive forecast."""
    both = (("gatewise", held.scores), ("seasonal_naive", held.naive_scores))
    return {"windows": held.windows, "steps": held.steps, **{name: asdict(one) for name, one in both}}
