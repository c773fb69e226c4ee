"""`gatewise forecast`: the next values of one or several series in a table, with prediction intervals."""

import csv
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from gatewise.cli import options
from gatewise.cli.options import command, flag, option
from gatewise.cli.output import check_overwrite, print_json
from gatewise.errors import InputError, printable

_FILE = "Table with one value per row: .csv, .tsv, .jsonl, .json, .parquet, .arrow, also .gz and .zst; - for stdin."
_TIME = "Column of times: numbers, or dates such as 2024-03-31 or 2024-03."
_LEVEL = click.FloatRange(0, 100, min_open=True, max_open=True)
_FUTURE = "Column that is known in advance, such as a promotion: after the last value, its rows hold the future."
_COLUMNS = ("time", "target", "id", "future", "past", "static")  # options of a fit, not of a saved forecaster


@command()
@click.argument("file", metavar="FILE", required=False, help=_FILE)
@option("-i", "--input", metavar="FILE", help="Table with newer values, for the forecaster of -m.")
@option("-m", "--model", metavar="DIR", help="Folder of a forecaster, which is not fitted again.")
@option("--time", metavar="COLUMN", help=_TIME)
@option("--target", metavar="COLUMN", help="Column of the values to forecast.")
@option("--id", metavar="COLUMN", help="Column that names the series, for several.")
@option("--future", metavar="COLUMN", multiple=True, help=f"{_FUTURE} May be repeated.")
@option("--past", metavar="COLUMN", multiple=True, help="Column that is known up to the present. May be repeated.")
@option("--static", metavar="COLUMN", multiple=True, help="Column with one value per series. May be repeated.")
@option("--horizon", metavar="N", type=click.IntRange(1), help="Values to forecast. Default: 12, or as -m was fitted.")
@option("--season", metavar="N", type=click.IntRange(1), help="Period of the season, 1 for none. Default: detected.")
@option(
    "--level",
    metavar="P",
    type=_LEVEL,
    multiple=True,
    help="Level of intervals, in percent, or a share below 1. Default: 80.",
)
@option("--seed", default=0, help="Random seed of the LSTM.")
@option("-o", "--out", metavar="FILE", help="Table for the forecasts: .csv, .tsv, .jsonl (also .gz), .parquet.")
@option("--save", metavar="DIR", help="Folder for the forecaster.")
@flag("--overwrite", help="Replace the file of -o and the folder of --save if they exist.")
@options.json_option
def forecast(given: Any) -> None:
    """Forecast one or several series, with prediction intervals.

    \b
    gatewise forecast sales.csv --time month --target sold --horizon 12
    gatewise forecast sales.parquet --id shop --time week --target sold --future promotion -o next.csv
    gatewise forecast sales.csv --save FOLDER; gatewise forecast -m FOLDER -i new.csv
    """
    from gatewise.data.times import show_time
    from gatewise.forecast.forecaster import Forecaster
    from gatewise.forecast.series import read_forecast_table
    from gatewise.model.loading import load

    file = given.file or given.input
    if (file is None) or (given.file and given.input) or (given.input and not given.model):
        raise InputError("name one table: FILE for a fit, -i FILE together with -m for a saved forecaster")
    fixed = [name for name in (*_COLUMNS, "season", "save") if getattr(given, name)]
    if given.model and fixed:
        raise InputError(f"--{fixed[0]} is for a fit; the forecaster of -m has its own")
    if given.out is not None:
        from gatewise.cli.table_writer import check_output

        check_output(Path(given.out), [file], given.overwrite)
    if given.save is not None:
        check_overwrite(given.save, given.overwrite, "--save", folder=True)
    level = list(given.level) or [80.0]
    if given.model:
        found = load(given.model)
        if not isinstance(found, Forecaster):
            raise InputError(f"{given.model} is not a forecaster: `gatewise predict` reads it")
        series, form = read_forecast_table(file, replace(found.series.roles, static=()), found.series.calendar)
        forecasts = found.by_series(given.horizon, data=series, level=level)
    else:
        series, form = read_forecast_table(file, **{name: getattr(given, name) for name in _COLUMNS})
        found = Forecaster.fit(series, horizon=given.horizon or 12, season=given.season, seed=given.seed)
        if given.save is not None:
            found.save(given.save)
        forecasts = found.by_series(level=level)
    id, time = series.roles.id, series.roles.time
    written = []
    for name, columns in forecasts.items():
        columns[time] = [show_time(at, form) for at in columns[time]]
        named = {} if series.is_unnamed else {id: name}
        for row in zip(*columns.values(), strict=True):
            cells = (float(f"{cell:.6g}") if isinstance(cell, float) else cell for cell in row)
            written.append({**named, **dict(zip(columns, cells, strict=True))})
    head = list(written[0])
    if given.out is not None:
        from gatewise.cli.table_writer import write_table

        with write_table(given.out, head) as writer:
            writer.write(written)
    if given.as_json:
        print_json({**found.about(), "series": forecasts})
        return
    for line in found.report(given.horizon, level):
        print(f"gatewise: {printable(line, 500)}", file=sys.stderr)
    if given.out is None:
        lines = csv.DictWriter(sys.stdout, head, lineterminator="\n")
        lines.writeheader()
        lines.writerows(written)
    else:
        print(f"gatewise: wrote {printable(given.out, 500)}", file=sys.stderr)
