"""`gatewise predict`: a label and a probability for each text, row of a table, or series."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.arguments import (
    BundledOption,
    DelimiterOption,
    IdOption,
    JsonOption,
    LabelOption,
    LayoutOption,
    ModelChoice,
    PrecisionOption,
    SeriesOption,
    SkipOption,
    TextOption,
    TimeOption,
    argument,
    choose_model,
    names_file,
    open_model,
    option,
    refuse_folders,
)
from gatewise.cli.inputs import TableOptions, is_series, table_delimiter
from gatewise.cli.output import print_json
from gatewise.cli.predictions import as_json as objects
from gatewise.cli.predictions import as_lines
from gatewise.errors import InputError, quote

if TYPE_CHECKING:
    from gatewise.cli.table_output import TableOutput
    from gatewise.model.model import Model

_INPUTS = (
    "Model folder (default: the bundled model), and texts, or files: tables (.csv, .tsv, .jsonl, .json, .parquet, "
    ".arrow, also .gz and .zst), .txt with one text per line, series (.ts, .arff, .npz, .npy); - for stdin."
)
_OUT = (
    "Write the input columns, label and probabilities to this table: .csv, .tsv, .jsonl (also .gz), .parquet; or to "
    "tables in this folder, FOLDER/."
)
_LINES = "Read every line of stdin as one text, even if the lines look like a table."
_KEEP = "With -o: input column to write; repeat the option for more columns. Default: all."
_PART = (
    "With -o FOLDER/: predict share K of N shares of the rows, for example 3/16. Start N processes with the same "
    "FOLDER/, one per share."
)
_ROWS = "With -o FOLDER/: rows per file of the output. Default: 100000."
_FORMAT = "With -o FOLDER/: parquet, csv, tsv, jsonl, csv.gz, tsv.gz or jsonl.gz. Default: that of the input."
_RAY = "With -o FOLDER/: predict with Ray Data at this address; local starts Ray here, auto finds a cluster."
_WORKERS = "With --ray: number of workers, one CPU each. Default: all CPUs but one."
_PROBABILITIES = "With -o: a column of probabilities per class, or one for the predicted label."


def predict(
    arguments: Annotated[list[str] | None, argument("[MODEL] INPUT...", _INPUTS)] = None,
    file: Annotated[str | None, option("--file", "FILE", "A file to predict; the same as INPUT.")] = None,
    text: TextOption = None,
    lines: Annotated[bool, typer.Option("--lines", help=_LINES)] = False,
    out: Annotated[str | None, option("--out", "FILE|FOLDER/", _OUT, "-o")] = None,
    keep: Annotated[list[str] | None, option("--keep", "COLUMN", _KEEP)] = None,
    part: Annotated[str | None, option("--part", "K/N", _PART)] = None,
    rows_per_file: Annotated[int | None, option("--rows-per-file", "N", _ROWS, min=1)] = None,
    output_format: Annotated[str | None, option("--format", "NAME", _FORMAT)] = None,
    ray: Annotated[str | None, option("--ray", "ADDRESS", _RAY)] = None,
    workers: Annotated[int | None, option("--workers", "N", _WORKERS, min=1)] = None,
    probabilities: Annotated[str, typer.Option("--probabilities", metavar="top|all", help=_PROBABILITIES)] = "all",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="With -o: replace the output if it exists.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="With -o: continue an interrupted run.")] = False,
    delimiter: DelimiterOption = None,
    skip_bad_rows: SkipOption = None,
    series: SeriesOption = False,
    id: IdOption = None,
    layout: LayoutOption = None,
    label: LabelOption = None,
    time: TimeOption = None,
    use_bundled: BundledOption = False,
    precision: PrecisionOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Predict labels: prints one line per input with label, tab, probability, or writes a table.

    \b
    gatewise predict "A film to see twice."
    gatewise predict models/imdb-fast "A film to see twice." "A waste of an evening."
    gatewise predict models/reviews-fast new.csv -o out.csv
    gatewise predict models/reviews-fast in/*.parquet -o out/ --part 3/16
    gatewise predict models/imdb-fast - < reviews.txt
    gatewise predict models/gestures new.ts --json
    """
    if probabilities not in ("top", "all"):
        raise InputError(f"--probabilities must be top or all, not {quote(probabilities)}")
    if out is None and (overwrite or resume):
        raise InputError("--overwrite and --resume are for an output: give -o FILE")
    if out is None and (probabilities == "top" or keep):
        raise InputError(f"{'--keep' if keep else '--probabilities'} is for an output: give -o FILE")
    in_folder = {"--part": part, "--rows-per-file": rows_per_file, "--format": output_format, "--ray": ray}
    folder = out is not None and (out.endswith("/") or os.path.isdir(out))
    if not folder and (given := [name for name, value in in_folder.items() if value is not None]):
        raise InputError(f"{given[0]} is for an output folder: give -o FOLDER/")
    if workers is not None and ray is None:
        raise InputError("--workers is for Ray: give --ray ADDRESS")
    nothing = "give either texts (- for stdin) or files"
    if not arguments and file is None:
        raise InputError(nothing)
    if lines and (text or delimiter or "-" not in (*(arguments or ()), file)):
        raise InputError("--lines is for the lines of stdin (-), without --text and --delimiter")
    choice = choose_model(arguments or [], use_bundled, files=True)
    model = open_model(choice.path, precision)
    inputs = [*choice.inputs, *([file] if file is not None else [])]
    if not inputs or (file is not None and choice.inputs):
        raise InputError(nothing)
    calibrated = model.metadata.calibration is not None
    of_series = model.architecture.inputs == "channels" or series
    columns = {"--label": label, "--id": id, "--time": time, "--layout": layout}
    if not of_series and (given := [name for name, value in columns.items() if value is not None]):
        raise InputError(f"{given[0]} is for series, and the model classifies texts")
    if of_series:
        if text or skip_bad_rows or delimiter:
            raise InputError("--text, --delimiter and --skip-bad-rows are for texts, and the model classifies series")
        if resume or keep or folder:
            name = "-o FOLDER/" if folder else "--resume" if resume else "--keep"
            raise InputError(f"{name} is for texts: series are predicted at once")
        from gatewise.cli.bulk_series import predict_series

        logits = predict_series(
            model,
            inputs,
            options=TableOptions(None, label, time=time, id=id, layout=layout, columns=model.metadata.columns),
            out=out,
            every=probabilities == "all",
            new=not overwrite,
        )
    elif _are_files(inputs, file):
        if any(is_series(word) for word in inputs):
            raise InputError("the model classifies texts, not series")
        from gatewise.cli.table_output import FolderOptions, TableOutput

        output = None
        if out is not None:
            output = TableOutput(out, probabilities == "all", keep, overwrite, resume)
        if folder:
            assert output is not None
            output.folder = FolderOptions(part, rows_per_file, output_format, ray, workers)
        _predict_files(model, choice, inputs, text, lines, output, delimiter, skip_bad_rows, as_json)
        return
    else:
        if text or out or delimiter or skip_bad_rows:
            raise InputError("--text, -o, --delimiter and --skip-bad-rows are for files, and these are texts")
        logits = model.logits(inputs)
    choice.report(calibrated and not as_json)
    if as_json:
        print_json(
            {"model": choice.name, "n": len(logits), "calibrated": calibrated, "predictions": objects(model, logits)}
        )
    elif out is None:
        for line in as_lines(model, logits):
            print(line)


def _are_files(inputs: list[str], file: str | None) -> bool:
    """Whether the inputs are files. Raises InputError for files among texts."""
    refuse_folders(inputs)
    files = [word for word in inputs if word in ("-", file) or names_file(word)]
    if files and len(files) < len(inputs):
        other = next(word for word in inputs if word not in files)
        raise InputError(f"{quote(files[0])} is a file and {quote(other)} a text: give files or texts, not both")
    return bool(files)


def _predict_files(
    model: Model,
    choice: ModelChoice,
    inputs: list[str],
    text: list[str] | None,
    any_lines: bool,
    output: TableOutput | None,
    delimiter: str | None,
    skip_bad_rows: str | None,
    as_json: bool,
) -> None:
    from gatewise.cli.bulk import batches, print_live
    from gatewise.cli.text_lines import open_lines
    from gatewise.data.columns import Columns, RowReader
    from gatewise.scorer import model_fingerprint
    from gatewise.storage.streams import STDIN

    texts = tuple(text or model.metadata.columns.text or ("text",))
    if output is not None and output.folder is not None and output.folder.ray is not None:
        if skip_bad_rows is not None:
            raise InputError("--skip-bad-rows is not for --ray: rows without a text get null predictions")
        separator = table_delimiter(delimiter)
        n = output.write_with_ray(model, choice.folder, inputs, list(texts), separator)
        choice.report(model.metadata.calibration is not None and not as_json)
        if as_json:
            print_json({"model": choice.name, "out": output.out, "n": n})
        return
    # Without a column, stdin holds one text per line; files say by their name whether they are tables.
    columns = Columns(texts)
    live = STDIN in inputs
    with RowReader.open(
        inputs,
        columns,
        table_delimiter(delimiter),
        skip_bad_rows,
        lines=partial(open_lines, refuse_tables=not any_lines) if text is None and delimiter is None else None,
        fail_fast=True,
        live=live,
    ) as reader:
        if output is not None:
            identity = {"model": model_fingerprint(choice.folder), "precision": model.ensemble.lstm.precision}
            n = output.write(model, reader, identity)
            if as_json:
                print_json({"model": choice.name, "out": output.out, "n": n, "skipped": reader.n_bad})
        elif as_json:
            found: list[dict[str, Any]] = []
            for batch in batches(iter(reader), live):
                found += objects(model, model.logits([row.text for row in batch]))
            calibrated = model.metadata.calibration is not None
            print_json({"model": choice.name, "n": len(found), "calibrated": calibrated, "predictions": found})
        else:
            print_live(iter(reader), live, lambda texts: as_lines(model, model.logits(texts)))
    choice.report(model.metadata.calibration is not None and not as_json)
