"""`gatewise predict`: a label and a probability for each text, row of a table, or series."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli import options
from gatewise.cli.inputs import batches, open_inputs
from gatewise.cli.options import column_option, columns, command, flag, option, refuse
from gatewise.cli.output import claim, print_json
from gatewise.errors import DataError, InputError, printable, quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatewise.data.schema import OutsideCounts
    from gatewise.model.model import Model
    from gatewise.target import Logits

_OUT = (
    "Write the input columns, label and probabilities to this table: .csv, .tsv, .jsonl (also .gz), .parquet; or to "
    "tables in this folder, FOLDER/, where the same command continues after an interruption."
)
_LINES = "Read every line of stdin as one text, even if the lines look like a table."
_KEEP = "With -o: input column to write; repeat the option for more columns. Default: all."
_ESCAPE = "With -o, in .csv and .tsv: write an apostrophe before cells that a spreadsheet would run (= + - @)."
_PART = (
    "Predict share K of N shares of the rows, for example 3/16. Start N processes with the same FOLDER/, one per share."
)
_FORMAT = "parquet, csv, tsv, jsonl, csv.gz, tsv.gz or jsonl.gz. Default: that of the input."
_RAY = "Predict with Ray Data at this address; local starts Ray here, auto finds a cluster."
_PROBABILITIES = "With -o: a column of probabilities per class, or one for the predicted label."
_FOLDER = "Output folder, -o FOLDER/"


@command()
@options.texts_argument
@options.model_option
@options.input_option
@column_option
@option("-o", "--out", metavar="FILE|FOLDER/", help=_OUT)
@option("--keep", metavar="COLUMN", multiple=True, help=_KEEP)
@option("--probabilities", type=click.Choice(("top", "all")), default="all", metavar="top|all", help=_PROBABILITIES)
@flag("--escape-formulas", help=_ESCAPE)
@flag("--overwrite", help="With -o: replace the output if it exists.")
@flag("--lines", help=_LINES)
@options.precision_option
@options.json_option
@columns("text", "label", "time", "series", "id", "layout", "delimiter", "skip_bad_rows")
@option("--part", metavar="K/N", group=_FOLDER, help=_PART)
@option("--rows-per-file", metavar="N", type=click.IntRange(1), group=_FOLDER, help="Rows per file. Default: 100000.")
@option("--format", metavar="NAME", group=_FOLDER, help=_FORMAT)
@option("--ray", metavar="ADDRESS", group=_FOLDER, help=_RAY)
@option("--workers", metavar="N", type=click.IntRange(1), group=_FOLDER, help="Of --ray. Default: all CPUs but one.")
def predict(given: Any) -> None:
    """Predict labels: prints one line per input with label, tab, probability, or writes a table.

    \b
    gatewise predict "A warm, funny and honest film."
    gatewise predict -m models/imdb-fast "A warm, funny and honest film." "A waste of an evening."
    gatewise predict -m models/reviews-fast -i new.csv -o out.csv
    gatewise predict -m models/reviews-fast -i 'in/*.parquet' -o out/ --part 3/16
    gatewise predict -m models/imdb-fast -i - < reviews.txt
    gatewise predict -m models/gestures -i new.ts --json
    """
    out, of_stdin = given.out, "-" in given.files
    if given.lines and (given.text or given.delimiter or not of_stdin):
        raise InputError("--lines is for the lines of stdin (-i -), without --text and --delimiter")
    if out is None:
        of_output = ("keep", "escape_formulas", "overwrite", "part", "rows_per_file", "format", "ray", "workers")
        refuse(given, of_output, "an output: give -o")
        if given.probabilities == "top":
            raise InputError("--probabilities is for an output: give -o")
    elif given.texts or not given.files:
        raise InputError("-o is for files: give them with -i")
    model = options.open_model(given.model, given.precision)
    outside = model.outside()
    if out is not None:
        result = _write(model, given, outside)
        if given.as_json:
            print_json({"model": options.model_name(given.model), "out": out, **result})
    else:
        n, found = 0, list[dict[str, Any]]()
        with open_inputs(model, given) as inputs:
            for batch in batches(inputs, of_stdin):
                logits = model.logits(batch, outside=outside)
                n += len(batch)
                if given.as_json:
                    found += as_json(model, logits, batch)
                else:
                    print("\n".join(as_lines(model, logits, batch)), flush=True)
        if not n:
            raise DataError("there is no row to predict")
        if given.as_json:
            about = {"model": options.model_name(given.model), "n": n, "calibrated": model.is_calibrated(outside)}
            print_json({**about, "warnings": outside.messages(), "predictions": found})
    counted = given.ray is None  # the workers of Ray have counted their rows, which nobody sums
    options.report_model(given.model, counted and model.is_calibrated(outside) and not given.as_json)
    options.report_outside(outside)


def _write(model: Model, given: Any, outside: OutsideCounts) -> dict[str, Any]:
    """Write predictions of files into the table or the folder `out`. Returns their number, and that of skipped rows.
    outside: counts the rows outside of the training data, but for those that Ray predicts.
    """
    from gatewise.cli.bulk import ROWS_PER_FILE, BulkPrediction
    from gatewise.cli.sources import table_of

    table, out, every = table_of(given, model), given.out, given.probabilities == "all"
    for_folder = [name for name in ("part", "rows_per_file", "format", "ray") if getattr(given, name) is not None]
    folder = out.endswith("/") or os.path.isdir(out)
    if for_folder and not folder:
        raise InputError(f"--{for_folder[0].replace('_', '-')} is for an output folder: give -o FOLDER/")
    if given.workers is not None and given.ray is None:
        raise InputError("--workers is for Ray: give --ray ADDRESS")
    if folder:
        claim(out, shared=not given.overwrite and given.ray is None)
    if given.ray is not None:
        from gatewise.cli.bulk_ray import predict_with_ray

        if for_folder[0] != "ray":
            raise InputError(f"--{for_folder[0].replace('_', '-')} is not for --ray, which writes the whole as Parquet")
        n, words = predict_with_ray(model, given, table)
        result = {"n": n}
    else:
        with table.rows(given.files, given.lines) as reader:
            bulk = BulkPrediction(model, reader, every, given.keep, given.overwrite, given.escape_formulas)
            bulk.logits = partial(model.logits, outside=outside)
            if folder:
                identity = {
                    "model": model.manifest_sha256,
                    "precision": given.precision,
                    "text": table.texts,
                    "delimiter": table.delimiter,
                    "series": (table.label, table.id, table.time, table.layout),
                }
                suffix, rows = f".{given.format}" if given.format else "", given.rows_per_file or ROWS_PER_FILE
                words = bulk.to_folder(Path(out), suffix, rows, given.part or "1/1", identity)
            else:
                words = bulk.to_file(Path(out))
        result = {"n": bulk.n, "skipped": reader.n_bad}
    print(f"gatewise: wrote {quote(out, 200)}: {words}", file=sys.stderr)
    return result


def as_lines(model: Model, logits: Logits, inputs: Sequence[Any]) -> list[str]:
    """One line per input: label, tab, probability, and "undecided" where it is close to the threshold; the labels of a
    multi-label model; numbers of a regression. Of a tagger one line per step, as in a CoNLL file: word, label,
    probability, and an empty line after each input.
    """
    from gatewise.ragged import Ragged

    target = model.target
    row = target.each

    def shown(value: Any) -> str:
        if isinstance(value, list):
            return row.label_separator.join(map(shown, value))
        if isinstance(value, str):
            return printable(value)
        return row.value_text(value)

    if isinstance(logits, Ragged):
        records = as_json(model, logits, inputs)
        steps = (step for record in records for step in (*zip(*record.values(), strict=True), ()))
        return ["\t".join(map(shown, step)) for step in steps]
    columns = target.columns(logits, every=False, names=True)
    cells = zip(*(column.values for column in columns.values()), strict=True)
    lines = ["\t".join(map(shown, values)) for values in cells]
    p = row.optional_probabilities(logits)
    if p is None:
        return lines
    return [f"{line}\tundecided" if close else line for line, close in zip(lines, row.undecided(p), strict=True)]


def as_json(model: Model, logits: Logits, inputs: Sequence[Any]) -> list[dict[str, Any]]:
    """One object per input: label (multi-label: labels) and probabilities; for regression the numbers by name. Of a
    tagger steps, labels and probabilities of these labels, one per step.
    """
    from gatewise.ragged import Ragged

    target = model.target
    if isinstance(logits, Ragged):
        columns = target.columns(logits, every=False, names=True).items()
        return [
            {"steps": model.preprocessor.token_names(item), **{name: column.values[n] for name, column in columns}}
            for n, item in enumerate(inputs)
        ]
    return target.each.records(logits)
