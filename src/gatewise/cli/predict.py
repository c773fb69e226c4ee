"""`gatewise predict`: a label and a probability for each text, row of a table, or series."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from gatewise.cli.inputs import TableOptions, batches, columns
from gatewise.cli.options import (
    command,
    flag,
    input_option,
    json_option,
    model_folder,
    model_name,
    model_option,
    open_model,
    option,
    precision_option,
    report_model,
    texts_argument,
)
from gatewise.cli.output import print_json
from gatewise.errors import DataError, InputError, quote

_OUT = (
    "Write the input columns, label and probabilities to this table: .csv, .tsv, .jsonl (also .gz), .parquet; or to "
    "tables in this folder, FOLDER/, where the same command continues after an interruption."
)
_LINES = "Read every line of stdin as one text, even if the lines look like a table."
_KEEP = "With -o: input column to write; repeat the option for more columns. Default: all."
_PART = (
    "Predict share K of N shares of the rows, for example 3/16. Start N processes with the same FOLDER/, one per share."
)
_FORMAT = "parquet, csv, tsv, jsonl, csv.gz, tsv.gz or jsonl.gz. Default: that of the input."
_RAY = "Predict with Ray Data at this address; local starts Ray here, auto finds a cluster."
_PROBABILITIES = "With -o: a column of probabilities per class, or one for the predicted label."
_FOLDER = "Output folder, -o FOLDER/"


@command()
@texts_argument
@model_option
@input_option
@option("-o", "--out", metavar="FILE|FOLDER/", help=_OUT)
@option("--keep", metavar="COLUMN", multiple=True, help=_KEEP)
@option("--probabilities", type=click.Choice(("top", "all")), default="all", metavar="top|all", help=_PROBABILITIES)
@flag("--overwrite", help="With -o: replace the output if it exists.")
@flag("--lines", help=_LINES)
@precision_option
@json_option
@columns("text", "label", "time", "series", "id", "layout", "delimiter", "skip_bad_rows")
@option("--part", metavar="K/N", group=_FOLDER, help=_PART)
@option("--rows-per-file", metavar="N", type=click.IntRange(1), group=_FOLDER, help="Rows per file. Default: 100000.")
@option("--format", "output_format", metavar="NAME", group=_FOLDER, help=_FORMAT)
@option("--ray", metavar="ADDRESS", group=_FOLDER, help=_RAY)
@option("--workers", metavar="N", type=click.IntRange(1), group=_FOLDER, help="Of --ray. Default: all CPUs but one.")
def predict(
    texts: tuple[str, ...],
    model: str | None,
    files: tuple[str, ...],
    out: str | None,
    table: TableOptions,
    lines: bool,
    precision: str,
    as_json: bool,
    **output: Any,
) -> None:
    """Predict labels: prints one line per input with label, tab, probability, or writes a table.

    \b
    gatewise predict "A film to see twice."
    gatewise predict -m models/imdb-fast "A film to see twice." "A waste of an evening."
    gatewise predict -m models/reviews-fast -i new.csv -o out.csv
    gatewise predict -m models/reviews-fast -i 'in/*.parquet' -o out/ --part 3/16
    gatewise predict -m models/imdb-fast -i - < reviews.txt
    gatewise predict -m models/gestures -i new.ts --json
    """
    if lines and (table.text or table.delimiter or "-" not in files):
        raise InputError("--lines is for the lines of stdin (-i -), without --text and --delimiter")
    if out is None:
        for name, value in output.items():
            if value and (name, value) != ("probabilities", "all"):
                raise InputError(f"--{name.removeprefix('output_').replace('_', '-')} is for an output: give -o")
    elif texts or not files:
        raise InputError("-o is for files: give them with -i")
    opened = open_model(model, precision)
    options, calibrated = table.of(opened), opened.metadata.calibration is not None
    if out is not None:
        result = _write(opened, model, files, out, options, lines, precision, **output)
        if as_json:
            print_json({"model": model_name(model), "out": out, **result})
    else:
        from gatewise.cli.predictions import as_json as objects
        from gatewise.cli.predictions import as_lines

        n, found = 0, list[dict[str, Any]]()
        with options.inputs(opened, texts, files, lines) as inputs:
            for batch in batches(inputs, "-" in files):
                logits = opened.logits(batch)
                n += len(batch)
                if as_json:
                    found += objects(opened, logits)
                else:
                    print("\n".join(as_lines(opened, logits)), flush=True)
        if not n:
            raise DataError("there is no row to predict")
        if as_json:
            print_json({"model": model_name(model), "n": n, "calibrated": calibrated, "predictions": found})
    report_model(model, calibrated and not as_json)


def _write(
    model: Any,
    name: str | None,
    files: tuple[str, ...],
    out: str,
    table: TableOptions,
    lines: bool,
    precision: str,
    *,
    keep: tuple[str, ...],
    probabilities: str,
    overwrite: bool,
    part: str | None,
    rows_per_file: int | None,
    output_format: str | None,
    ray: str | None,
    workers: int | None,
) -> dict[str, Any]:
    """Write predictions of files into the table or the folder `out`. Returns their number, and that of skipped rows."""
    from gatewise.cli.bulk import ROWS_PER_FILE, BulkPrediction, FolderPrediction, Share

    every = probabilities == "all"
    given = {"--part": part, "--rows-per-file": rows_per_file, "--format": output_format, "--ray": ray}
    folder = out.endswith("/") or os.path.isdir(out)
    if not folder and (wrong := [option for option, value in given.items() if value is not None]):
        raise InputError(f"{wrong[0]} is for an output folder: give -o FOLDER/")
    if workers is not None and ray is None:
        raise InputError("--workers is for Ray: give --ray ADDRESS")
    if ray is not None:
        from gatewise.cli.bulk_ray import predict_with_ray

        if part or rows_per_file or output_format not in (None, "parquet"):
            wrong = [name for name in ("--part", "--rows-per-file", "--format") if given[name]]
            raise InputError(f"{wrong[0]} is not for --ray, which writes the whole as Parquet")
        n, words = predict_with_ray(
            model, model_folder(name), files, table, Path(out), ray, workers, every, keep, overwrite
        )
        result = {"n": n}
    else:
        with table.rows(model, files, lines) as reader:
            bulk = BulkPrediction(model, reader, every, keep, overwrite)
            if folder:
                identity = {
                    "model": model.manifest_sha256,
                    "precision": precision,
                    "text": table.texts,
                    "delimiter": table.delimiter,
                    "series": (table.label, table.id, table.time, table.layout),
                }
                suffix, size = f".{output_format}" if output_format else "", rows_per_file or ROWS_PER_FILE
                words = FolderPrediction(bulk, Path(out), suffix, size, Share.parse(part or "1/1"), identity).run()
            else:
                words = bulk.to_file(Path(out))
        result = {"n": bulk.n, "skipped": reader.n_bad}
    print(f"gatewise: wrote {quote(out, 200)}: {words}", file=sys.stderr)
    return result
