"""`gatewise predict`: a label and a probability for each text, row of a table, or series."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.arguments import (
    BundledOption,
    JsonOption,
    ModelChoice,
    PrecisionOption,
    argument,
    choose_model,
    names_file,
    open_model,
    option,
    refuse_folders,
)
from gatewise.cli.inputs import (
    NO_OPTIONS,
    TableOptions,
    takes_columns,
)
from gatewise.cli.output import print_json
from gatewise.cli.predictions import as_json as objects
from gatewise.cli.predictions import as_lines
from gatewise.errors import DataError, InputError, counted, quote

if TYPE_CHECKING:
    from gatewise.model.model import Model
    from gatewise.types import Array

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


@takes_columns("text", "label", "time", "series", "id", "layout", "delimiter", "skip_bad_rows")
def predict(
    arguments: Annotated[list[str] | None, argument("[MODEL] INPUT...", _INPUTS)] = None,
    file: Annotated[str | None, option("--file", "FILE", "A file to predict; the same as INPUT.")] = None,
    table: TableOptions = NO_OPTIONS,
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
    resume: Annotated[bool, typer.Option("--resume", help="With -o FOLDER/: write missing parts.")] = False,
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
    if resume and not folder:
        raise InputError("--resume is for an output folder, -o FOLDER/: a single file is written as a whole")
    if workers is not None and ray is None:
        raise InputError("--workers is for Ray: give --ray ADDRESS")
    nothing = "give either texts (- for stdin) or files"
    if not arguments and file is None:
        raise InputError(nothing)
    if lines and (table.text or table.delimiter or "-" not in (*(arguments or ()), file)):
        raise InputError("--lines is for the lines of stdin (-), without --text and --delimiter")
    choice = choose_model(arguments or [], use_bundled, files=True)
    model = open_model(choice.path, precision)
    inputs = [*choice.inputs, *([file] if file is not None else [])]
    if not inputs or (file is not None and choice.inputs):
        raise InputError(nothing)
    options = table.of(model)
    of_series = model.architecture.inputs == "channels"
    files = inputs if of_series or options.series or _are_files(inputs, file) else []
    options.check(model, files)
    calibrated = model.metadata.calibration is not None
    if not files and out is not None:
        raise InputError("-o is for files, and these are texts")
    if not files:
        _print(model, [model.logits(inputs)], choice, as_json)
    elif out is None:
        from gatewise.cli.bulk import batches

        with options.rows(model, files, lines) as reader:
            found = batches(iter(reader), "-" in inputs)
            _print(model, (model.logits([row.input for row in batch]) for batch in found), choice, as_json)
    else:
        from gatewise.cli.bulk import ROWS_PER_FILE, BulkPrediction, FolderPrediction, Share

        every = probabilities == "all"
        if ray is not None:
            from gatewise.cli.bulk_ray import RayPrediction

            unused = {"--resume": resume, "--part": part, "--rows-per-file": rows_per_file}
            unused[f"--format {output_format}"] = output_format not in (None, "parquet")
            if given := [name for name, value in unused.items() if value]:
                raise InputError(f"{given[0]} is not for --ray, which writes the whole as Parquet")
            prediction = RayPrediction(model, choice.folder, inputs, options, Path(out), ray, workers, every, keep)
            n, words = prediction.run(overwrite)
            result: dict[str, Any] = {"model": choice.name, "out": out, "n": n}
        else:
            with options.rows(model, files, lines) as reader:
                bulk = BulkPrediction(model, reader, every, keep, overwrite)
                if folder:
                    identity = {
                        "model": model.manifest_sha256,
                        "precision": precision,
                        "text": options.texts,
                        "delimiter": table.delimiter,
                        "series": (table.label, table.id, table.time, table.layout),
                    }
                    suffix, share = f".{output_format}" if output_format else "", Share.parse(part or "1/1")
                    size = rows_per_file or ROWS_PER_FILE
                    words = FolderPrediction(bulk, Path(out), suffix, size, share, resume, identity).run()
                else:
                    bulk.to_file(Path(out))
                    words = counted(bulk.n, "row")
            result = {"model": choice.name, "out": out, "n": bulk.n, "skipped": reader.n_bad}
        print(f"gatewise: wrote {quote(out, 200)}: {words}", file=sys.stderr)
        if as_json:
            print_json(result)
    choice.report(calibrated and not as_json)


def _are_files(inputs: list[str], file: str | None) -> bool:
    """Whether the inputs are files. Raises InputError for files among texts."""
    refuse_folders(inputs)
    files = [word for word in inputs if word in ("-", file) or names_file(word)]
    if files and len(files) < len(inputs):
        other = next(word for word in inputs if word not in files)
        raise InputError(f"{quote(files[0])} is a file and {quote(other)} a text: give files or texts, not both")
    return bool(files)


def _print(model: Model, logits: Iterable[Array], choice: ModelChoice, as_json: bool) -> None:
    """Print predictions as they arrive, or all together as JSON. Raises DataError where there is none."""
    n, found = 0, []
    for batch in logits:
        n += len(batch)
        if as_json:
            found += objects(model, batch)
        else:
            print("\n".join(as_lines(model, batch)), flush=True)
    if not n:
        raise DataError("there is no row to predict")
    if as_json:
        calibrated = model.metadata.calibration is not None
        print_json({"model": choice.name, "n": n, "calibrated": calibrated, "predictions": found})
