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

    from gatewise.cli.sources import TableOptions
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
_FORMAT = "Format of the files: parquet, csv, tsv, jsonl, csv.gz, tsv.gz or jsonl.gz. Default: that of the input."
_RAY = "Predict with Ray Data at this address; local starts Ray here, auto finds a cluster."
_PROBABILITIES = "With -o: a column of probabilities per class, or one for the predicted label."
_OUTPUTS = "With --json or -o: also all outputs of the network by name, of a network that is a graph."
_WORKERS = "Number of actors of --ray, with one CPU each. Default: all CPUs but one."
_FOLDER = "Output folder, -o FOLDER/"


@command()
@options.texts_argument
@options.model_option
@options.input_option
@column_option
@option("-o", "--out", metavar="FILE|FOLDER/", help=_OUT)
@option("--keep", metavar="COLUMN", multiple=True, help=_KEEP)
@option("--probabilities", type=click.Choice(("top", "all")), default="all", metavar="top|all", help=_PROBABILITIES)
@flag("--outputs", help=_OUTPUTS)
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
@option("--workers", metavar="N", type=click.IntRange(1), group=_FOLDER, help=_WORKERS)
def predict(args: Any) -> None:
    """Predict labels: prints one line per input with label, tab, probability, or writes a table.

    \b
    gatewise predict "A warm, funny and honest film."
    gatewise predict -m models/imdb-fast "A warm, funny and honest film." "A waste of an evening."
    gatewise predict -m models/reviews-fast -i new.csv -o out.csv
    gatewise predict -m models/reviews-fast -i 'in/*.parquet' -o out/ --part 3/16
    gatewise predict -m models/imdb-fast -i - < reviews.txt
    gatewise predict -m models/gestures -i new.ts --json
    """
    if args.lines and (args.text or args.delimiter or "-" not in args.files):
        raise InputError("--lines is for the lines of stdin (-i -), without --text and --delimiter")
    if args.out is None:
        of_output = ("keep", "escape_formulas", "overwrite", "part", "rows_per_file", "format", "ray", "workers")
        refuse(args, of_output, "an output: give -o")
        if args.probabilities == "top":
            raise InputError("--probabilities is for an output: give -o")
    elif args.texts or not args.files:
        raise InputError("-o is for files: give them with -i")
    model = options.open_model(args.model, args.precision)
    if args.outputs:
        _check_outputs(model, args)
    outside = model.outside()
    if args.out is None:
        _print(model, args, outside)
    else:
        _write(model, args, outside)
    # The workers of Ray count the rows outside of the training data by themselves, so here their number is unknown.
    is_calibrated = args.ray is None and model.is_calibrated(outside)
    options.report_model(args.model, is_calibrated and not args.as_json)
    options.report_outside(outside)


def _check_outputs(model: Model, args: Any) -> None:
    """Raise InputError where all outputs of the network cannot be written."""
    if not model.ensemble.network.output_names:
        raise InputError("--outputs is for a network that is a graph: the outputs of this one have no names")
    if not args.as_json and args.out is None:
        raise InputError("--outputs is for --json and -o")
    if args.ray is not None:
        raise InputError("--outputs is not for --ray")


def _print(model: Model, args: Any, outside: OutsideCounts) -> None:
    """Print the predictions: lines as soon as they are computed, or one JSON object. outside: counts the rows outside
    of the training data.
    """
    n = 0
    records: list[dict[str, Any]] = []
    with open_inputs(model, args) as inputs:
        for batch in batches(inputs, live="-" in args.files):
            logits = model.logits(batch, outside=outside)
            n += len(batch)
            if args.as_json:
                new = as_json(model, logits, batch)
                if args.outputs:
                    for record, outputs in zip(new, model.row_outputs(batch), strict=True):
                        record["outputs"] = {name: array.tolist() for name, array in outputs.items()}
                records += new
            else:
                print("\n".join(as_lines(model, logits, batch)), flush=True)
    if not n:
        raise DataError("there is no row to predict")
    if args.as_json:
        result = {
            "model": options.model_name(args.model),
            "n": n,
            "calibrated": model.is_calibrated(outside),
            "warnings": outside.messages(),
            "predictions": records,
        }
        print_json(result)


def _write(model: Model, args: Any, outside: OutsideCounts) -> None:
    """Write the predictions of files into the table or the folder `out`. outside: counts the rows outside of the
    training data, except for those that Ray predicts.
    """
    from gatewise.cli.sources import table_of

    table = table_of(args, model)
    is_folder = args.out.endswith("/") or os.path.isdir(args.out)
    if not is_folder:
        refuse(args, ("part", "rows_per_file", "format", "ray"), "an output folder: give -o FOLDER/")
    if args.workers is not None and args.ray is None:
        raise InputError("--workers is for Ray: give --ray ADDRESS")
    if is_folder:
        # Processes with different shares (--part) write into one folder. Nothing else may.
        claim(args.out, shared=not args.overwrite and args.ray is None)
    if args.ray is not None:
        from gatewise.cli.bulk_ray import predict_with_ray

        for name in ("part", "rows_per_file", "format"):
            if getattr(args, name) is not None:
                raise InputError(f"--{name.replace('_', '-')} is not for --ray, which writes the whole as Parquet")
        n, words = predict_with_ray(model, args, table)
        result = {"n": n}
    else:
        result, words = _write_rows(model, args, table, is_folder, outside)
    print(f"gatewise: wrote {quote(args.out, 200)}: {words}", file=sys.stderr)
    if args.as_json:
        print_json({"model": options.model_name(args.model), "out": args.out, **result})


def _write_rows(
    model: Model, args: Any, table: TableOptions, is_folder: bool, outside: OutsideCounts
) -> tuple[dict[str, int], str]:
    """Write the predictions in this process. Returns the numbers of predicted and skipped rows, and what was written,
    in words.
    """
    from gatewise.cli.bulk import ROWS_PER_FILE, BulkPrediction

    with table.rows(args.files, args.lines) as reader:
        every = args.probabilities == "all"
        bulk = BulkPrediction(model, reader, every, args.keep, args.overwrite, args.escape_formulas)
        bulk.outputs = args.outputs
        bulk.logits = partial(model.logits, outside=outside)
        if is_folder:
            identity = {
                "model": model.manifest_sha256,
                "precision": args.precision,
                "text": table.texts,
                "delimiter": table.delimiter,
                "series": (table.label, table.id, table.time, table.layout),
                "outputs": args.outputs,
            }
            suffix = ""
            if args.format:
                suffix = f".{args.format}"
            rows_per_file = args.rows_per_file or ROWS_PER_FILE
            words = bulk.to_folder(Path(args.out), suffix, rows_per_file, args.part or "1/1", identity)
        else:
            words = bulk.to_file(Path(args.out))
    return {"n": bulk.n, "skipped": reader.n_bad}, words


def as_lines(model: Model, logits: Logits, inputs: Sequence[Any]) -> list[str]:
    """One line per input: label, tab, probability, and "undecided" where it is close to the threshold; the labels of a
    multi-label model; the numbers of a regression. For a tagger one line per step, as in a CoNLL file: word, label,
    probability, and an empty line after each input.
    """
    from gatewise.ragged import Ragged

    target = model.target

    def text_of(value: Any) -> str:
        if isinstance(value, list):
            return target.each.label_separator.join(map(text_of, value))
        if isinstance(value, str):
            return printable(value)
        return target.each.value_text(value)

    if isinstance(logits, Ragged):
        lines = []
        for record in as_json(model, logits, inputs):
            for step in zip(*record.values(), strict=True):
                lines.append("\t".join(map(text_of, step)))
            lines.append("")
        return lines
    columns = target.columns(logits, every=False, names=True)
    rows = zip(*(column.values for column in columns.values()), strict=True)
    lines = ["\t".join(map(text_of, row)) for row in rows]
    probabilities = target.each.optional_probabilities(logits)
    if probabilities is not None:
        for n, is_undecided in enumerate(target.each.undecided(probabilities)):
            if is_undecided:
                lines[n] += "\tundecided"
    return lines


def as_json(model: Model, logits: Logits, inputs: Sequence[Any]) -> list[dict[str, Any]]:
    """One object per input: label (multi-label: labels) and probabilities; for regression the numbers by name. For a
    tagger steps, labels and the probabilities of these labels, one per step.
    """
    from gatewise.ragged import Ragged

    target = model.target
    if not isinstance(logits, Ragged):
        return target.each.records(logits)
    columns = target.columns(logits, every=False, names=True)
    records = []
    for n, item in enumerate(inputs):
        record: dict[str, Any] = {"steps": model.preprocessor.token_names(item)}
        record |= {name: column.values[n] for name, column in columns.items()}
        records.append(record)
    return records
