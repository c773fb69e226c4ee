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
_FUTURE = "Column that is known in advance, such as a promotion; the rows after the last value hold its future values."
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
def forecast(args: Any) -> None:
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

    file = args.file or args.input
    names_one_table = (args.file is None) != (args.input is None)
    if not names_one_table or (args.input and not args.model):
        raise InputError("name one table: FILE for a fit, -i FILE together with -m for a saved forecaster")
    if args.model:
        for name in (*_COLUMNS, "season", "save"):
            if getattr(args, name):
                raise InputError(f"--{name} is for a fit; the forecaster of -m has its own")
    if args.out is not None:
        from gatewise.cli.table_writer import check_output

        check_output(Path(args.out), [file], args.overwrite)
    if args.save is not None:
        check_overwrite(args.save, args.overwrite, "--save", folder=True)
    level = list(args.level) or [80.0]
    if args.model:
        forecaster = load(args.model)
        if not isinstance(forecaster, Forecaster):
            raise InputError(f"{args.model} is not a forecaster: `gatewise predict` reads it")
        # A forecaster knows the static columns of its series, so newer values come without them.
        roles = replace(forecaster.series.roles, static=())
        series, time_format = read_forecast_table(file, roles, forecaster.series.calendar)
        forecasts = forecaster.by_series(args.horizon, data=series, level=level)
    else:
        series, time_format = read_forecast_table(file, **{name: getattr(args, name) for name in _COLUMNS})
        forecaster = Forecaster.fit(series, horizon=args.horizon or 12, season=args.season, seed=args.seed)
        if args.save is not None:
            forecaster.save(args.save)
        forecasts = forecaster.by_series(level=level)
    for columns in forecasts.values():
        columns[series.roles.time] = [show_time(time, time_format) for time in columns[series.roles.time]]
    id_column = series.roles.id
    if series.is_unnamed:
        id_column = ""
    rows = _rows(forecasts, id_column)
    header = list(rows[0])
    if args.out is not None:
        from gatewise.cli.table_writer import write_table

        with write_table(args.out, header) as writer:
            writer.write(rows)
    if args.as_json:
        print_json({**forecaster.about(), "series": forecasts})
        return
    for line in forecaster.report(args.horizon, level):
        print(f"gatewise: {printable(line, 500)}", file=sys.stderr)
    if args.out is None:
        csv_writer = csv.DictWriter(sys.stdout, header, lineterminator="\n")
        csv_writer.writeheader()
        csv_writer.writerows(rows)
    else:
        print(f"gatewise: wrote {printable(args.out, 500)}", file=sys.stderr)


def _rows(forecasts: dict[str, Any], id_column: str) -> list[dict[str, Any]]:
    """The rows of the table of forecasts, numbers with six significant digits. id_column: the column of the names of
    the series; "" for no such column.
    """
    rows = []
    for name, columns in forecasts.items():
        for cells in zip(*columns.values(), strict=True):
            row: dict[str, Any] = {}
            if id_column:
                row[id_column] = name
            for column, cell in zip(columns, cells, strict=True):
                row[column] = float(f"{cell:.6g}") if isinstance(cell, float) else cell
            rows.append(row)
    return rows
