"""`gatewise evaluate`: accuracy, loss, calibration and confusion on labelled data."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gatewise.cli.common import (
    DataOption,
    JsonOption,
    LabelOption,
    PrecisionOption,
    TextOption,
    console,
    open_model,
    print_json,
    read_source,
)
from gatewise.cli.model_argument import BoxOption, Which, is_model, which_model
from gatewise.errors import InputError, printable, quote

if TYPE_CHECKING:
    from rich.table import Table

    from gatewise.metrics.evaluation import Evaluation


def evaluate(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL] SOURCE",
            help="A model folder (without one, the model in the box), and: imdb; a file: .csv .tsv .jsonl .ts .npz; or "
            "a folder of folders of .txt.",
            show_default=False,
        ),
    ] = None,
    data: DataOption = None,
    text: TextOption = "text",
    label: LabelOption = "label",
    in_box: BoxOption = False,
    precision: PrecisionOption = "float32",
    reliability: Annotated[
        bool, typer.Option("--reliability", help="Show how often verdicts of each confidence are right.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a model: accuracy with its standard error, log loss, calibration, confusion.

    \b
    gatewise evaluate imdb                                                   the model in the box
    gatewise evaluate models/imdb-tutorial imdb --data aclImdb_v1.tar.gz     the official test half
    gatewise evaluate models/imdb-tutorial imdb --data embedded              a hold-out of the train half
    gatewise evaluate models/reviews-fast new.csv --text review --label sentiment
    """
    model, source = _which(arguments or [], in_box)
    found = open_model(model.path, precision)
    splits = read_source(source, data, text, label)
    labelled = splits.test or splits.train
    seen = bool(found.metadata.fingerprint) and labelled.fingerprint() == found.metadata.fingerprint
    if seen:
        print("gatewise: warning: this is the data that the model was trained on", file=sys.stderr)
    result = found.evaluate(labelled)
    if as_json:
        print_json({"model": model.name, **result.as_dict(), "note": splits.note, "trained_on_this": seen})
        return
    print(f"data      {printable(result.data, 500)}")
    if splits.note:
        print(f"note      {splits.note}")
    print(f"n         {result.n:,}")
    print(f"accuracy  {result.accuracy:.4f} ± {result.standard_error:.4f} (one standard error)")
    print(f"log loss  {result.loss:.4f}")
    print(f"ECE       {result.calibration_error:.4f} (expected calibration error, {len(result.reliability)} bins)")
    print(f"Brier     {result.brier:.4f}\n")
    console().print(_confusion(result))
    if reliability:
        print()
        console().print(_reliability(result))


def _which(arguments: list[str], in_box: bool) -> tuple[Which, str]:
    """The model, and the source that is left."""
    if not arguments:
        raise InputError("give the data to measure on, as in: gatewise evaluate imdb")
    if len(arguments) == 1 and not is_model(arguments[0]):
        return Which(None, arguments), arguments[0]  # a source may be a path
    model = which_model(arguments, in_box, most=1)
    if not model.rest:
        raise InputError(f"{quote(arguments[0])} is a model: give the data to measure it on, too")
    return model, model.rest[0]


def _confusion(result: Evaluation) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("truth \\ predicted")
    for name in result.classes:
        table.add_column(Text(printable(name, 30)), justify="right")
    table.add_column("recall", justify="right")
    for k, row in enumerate(result.confusion):
        recall = f"{row[k] / sum(row):.4f}" if sum(row) else ""
        table.add_row(Text(printable(result.classes[k], 30)), *(f"{count:,}" for count in row), recall)
    return table


def _reliability(result: Evaluation) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("confidence")
    for name in ("n", "mean confidence", "right", "difference"):
        table.add_column(name, justify="right")
    for one in result.reliability:
        if one.n:
            numbers = f"{one.confidence:.3f}", f"{one.accuracy:.3f}", f"{one.accuracy - one.confidence:+.3f}"
            table.add_row(f"{one.low:.3f} to {one.high:.3f}", f"{one.n:,}", *numbers)
    return table
