"""`gatewise forecast`: the next values of one or several series in a table, with prediction intervals."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.arguments import JsonOption, argument, option
from gatewise.cli.output import check_model_folder, check_overwrite, print_json
from gatewise.errors import InputError, printable, quote

if TYPE_CHECKING:
    from gatewise.forecast.forecaster import Forecaster
    from gatewise.forecast.held_out import Forecast, HeldOut
    from gatewise.forecast.series import ForecastTable


def forecast(
    file: Annotated[str, argument("FILE", "Table with one value per row: .csv, .tsv, .jsonl, .parquet, ...")],
    time: Annotated[
        str | None,
        option("--time", "COLUMN", "Column of times: numbers, or dates such as 2024-03-31 or 2024-03."),
    ] = None,
    value: Annotated[str | None, option("--value", "COLUMN", "Column of the values to forecast.")] = None,
    id: Annotated[str | None, option("--id", "COLUMN", "Column that names the series, for several.")] = None,
    exogenous: Annotated[
        list[str] | None,
        option("--exogenous", "COLUMN", "Further column that is known up to the present. May be repeated."),
    ] = None,
    horizon: Annotated[int, typer.Option("--horizon", metavar="N", help="Values to forecast.", min=1)] = 12,
    season: Annotated[
        int | None, option("--season", "N", "Period of the season, 1 for none. Default: detected.", min=1)
    ] = None,
    level: Annotated[float, typer.Option("--level", metavar="P", help="Level of the prediction intervals.")] = 0.8,
    seed: Annotated[int, typer.Option("--seed", help="Random seed of the LSTM.")] = 0,
    out: Annotated[str | None, option("--out", "FILE", "CSV file for the forecasts.", "-o")] = None,
    save: Annotated[str | None, option("--save", "DIR", "Folder for the forecaster.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file of -o and the folder of --save if they exist.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Forecast one or several series, with prediction intervals and the seasonal naive forecast.

    \b
    gatewise forecast data.csv --time month --value passengers --horizon 12
    gatewise forecast sales.parquet --id shop --time week --value sold --exogenous price -o next.csv
    """
    from gatewise.forecast.forecaster import Forecaster
    from gatewise.forecast.series import read_forecast_table

    if time is None or value is None:
        raise InputError("give the columns with --time and --value")
    if not 0 < level < 1:
        raise InputError(f"--level must lie between 0 and 1, got {level}")
    _check_outputs(file, out, save, overwrite)
    table = read_forecast_table(file, time=time, value=value, id=id, exogenous=exogenous or [])
    found = Forecaster(horizon, season=season, seed=seed)
    found.fit(table.series)
    forecasts = {name: found.forecast(level=level, series=name) for name in found.names}
    if save is not None:
        found.save(save)
    rows = _rows(table, forecasts)
    if out is not None:
        _write(Path(out), rows)
    if as_json:
        print_json(_json(found, forecasts, table.form))
        return
    for line in found.report():
        print(f"gatewise: {printable(line, 500)}", file=sys.stderr)
    if out is None:
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows(rows)
    else:
        print(f"gatewise: wrote {printable(out, 500)}", file=sys.stderr)


def _check_outputs(file: str, out: str | None, save: str | None, overwrite: bool) -> None:
    """Raises InputError, before anything is fitted, for outputs that cannot be written or would be overwritten."""
    if out is not None and not out.lower().endswith(".csv"):
        raise InputError(f"--out {quote(out)}: the name must end in .csv")
    if out is not None and os.path.exists(out) and os.path.exists(file) and os.path.samefile(out, file):
        raise InputError(f"--out {quote(out)}: the output is the input")
    if out is not None and not Path(out).parent.is_dir():
        raise InputError(f"--out {quote(out)}: {quote(Path(out).parent)} is not a folder")
    if out is not None and os.path.isdir(out):
        raise InputError(f"--out {quote(out, 200)}: is a folder")
    if out is not None:
        check_overwrite(out, overwrite, "--out")
    if save is not None:
        check_model_folder(save, overwrite, "--save")


def _rows(table: ForecastTable, forecasts: dict[str, Forecast]) -> list[list[str]]:
    from gatewise.data.times import show_time

    level = f"{100 * next(iter(forecasts.values())).level:g}"
    names = table.names
    head = [str(names.time), names.values[0], f"lower {level}%", f"upper {level}%", "seasonal naive"]
    rows = [([] if names.id is None else [names.id]) + head]
    for name, one in forecasts.items():
        for step, at in enumerate(one.times or []):
            numbers = (one.mean[step], one.lower[step], one.upper[step], one.seasonal_naive[step])
            shown = ["" if number != number else f"{number:.6g}" for number in numbers]
            rows.append(([] if names.id is None else [name]) + [show_time(at, table.form), *shown])
    return rows


def _write(path: Path, rows: list[list[str]]) -> None:
    import csv
    import io

    from gatewise.storage.atomic import write_atomic

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_atomic(path, text.getvalue().encode())


def _json(found: Forecaster, forecasts: dict[str, Forecast], form: str) -> dict[str, Any]:
    from gatewise.data.times import show_time

    def numbers(values: Any) -> list[float | None]:
        return [None if number != number else number for number in values.tolist()]

    series = {
        name: {
            "times": [show_time(at, form) for at in one.times or []],
            "forecast": numbers(one.mean),
            "lower": numbers(one.lower),
            "upper": numbers(one.upper),
            "seasonal_naive": numbers(one.seasonal_naive),
        }
        for name, one in forecasts.items()
    }
    level = next(iter(forecasts.values())).level
    about = {"season": found.season, "horizon": found.horizon, "level": level}
    members = found.ensemble.weights_json()
    return {**about, "held_out": scores_json(found.held_out), "members": members, "series": series}


def scores_json(held: HeldOut) -> dict[str, Any]:
    """The held-out windows and the errors on them, of the forecaster and of the seasonal naive forecast."""
    both = (("gatewise", held.scores), ("seasonal_naive", held.naive_scores))
    return {"windows": held.windows, "steps": held.steps, **{name: asdict(one) for name, one in both}}
