"""`gatewise evaluate`: accuracy, log loss, calibration and the confusion matrix on labelled data."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gatewise.cli.arguments import (
    SOURCES,
    BundledOption,
    DataOption,
    JsonOption,
    LabelOption,
    ModelChoice,
    PrecisionOption,
    TextOption,
    argument,
    choose_model,
    is_model,
    open_model,
)
from gatewise.cli.inputs import read_source
from gatewise.cli.output import console, plain_table, print_json
from gatewise.errors import InputError, printable, quote

if TYPE_CHECKING:
    from rich.table import Table

    from gatewise.metrics import Evaluation


def evaluate(
    arguments: Annotated[
        list[str] | None,
        argument("[MODEL] SOURCE", f"Model folder (default: the bundled model) and data: {SOURCES}"),
    ] = None,
    data: DataOption = None,
    text: TextOption = "text",
    label: LabelOption = "label",
    use_bundled: BundledOption = False,
    precision: PrecisionOption = "float32",
    reliability: Annotated[
        bool, typer.Option("--reliability", help="Print the reliability diagram: accuracy per confidence bin.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a model: accuracy with standard error, log loss, calibration, confusion matrix.

    \b
    gatewise evaluate imdb                                                   the bundled model
    gatewise evaluate models/imdb-tutorial imdb --data aclImdb_v1.tar.gz     the official test half
    gatewise evaluate models/imdb-tutorial imdb --data embedded              a hold-out of the train half
    gatewise evaluate models/reviews-fast new.csv --text review --label sentiment
    """
    choice, source = _choice(arguments or [], use_bundled)
    model = open_model(choice.path, precision)
    splits = read_source(source, data, text, label)
    labelled = splits.test or splits.train
    trained_on_this = bool(model.metadata.fingerprint) and labelled.fingerprint() == model.metadata.fingerprint
    if trained_on_this:
        print("gatewise: warning: the model was trained on this data", file=sys.stderr)
    result = model.evaluate(labelled)
    if as_json:
        notes = {"note": splits.note, "trained_on_this": trained_on_this}
        print_json({"model": choice.name, **result.as_dict(), **notes})
        return
    print(f"data      {printable(result.data, 500)}")
    if splits.note:
        print(f"note      {splits.note}")
    print(f"n         {result.n:,}")
    print(f"accuracy  {result.accuracy:.4f} ± {result.standard_error:.4f} (standard error)")
    print(f"log loss  {result.loss:.4f}")
    print(f"ECE       {result.calibration_error:.4f} (expected calibration error, {len(result.reliability)} bins)")
    print(f"Brier     {result.brier:.4f}\n")
    console().print(_confusion(result))
    if reliability:
        print()
        console().print(_reliability(result))


def _choice(arguments: list[str], use_bundled: bool) -> tuple[ModelChoice, str]:
    """The model and the source."""
    if not arguments:
        raise InputError("give the data to evaluate on, for example: gatewise evaluate imdb")
    if len(arguments) == 1 and not is_model(arguments[0]):
        return ModelChoice(None, arguments), arguments[0]  # a source may be a path
    choice = choose_model(arguments, use_bundled, max_inputs=1)
    if not choice.inputs:
        raise InputError(f"{quote(arguments[0])} is a model: also give the data to evaluate on")
    return choice, choice.inputs[0]


def _confusion(result: Evaluation) -> Table:
    from rich.text import Text

    table = plain_table("true \\ predicted")
    for name in result.classes:
        table.add_column(Text(printable(name, 30)), justify="right")
    table.add_column("recall", justify="right")
    for k, row in enumerate(result.confusion):
        recall = f"{row[k] / sum(row):.4f}" if sum(row) else ""
        table.add_row(Text(printable(result.classes[k], 30)), *(f"{count:,}" for count in row), recall)
    return table


def _reliability(result: Evaluation) -> Table:
    table = plain_table("confidence", "n", "mean confidence", "accuracy", "difference")
    for one in result.reliability:
        if one.n:
            numbers = f"{one.confidence:.3f}", f"{one.accuracy:.3f}", f"{one.accuracy - one.confidence:+.3f}"
            table.add_row(f"{one.low:.3f} to {one.high:.3f}", f"{one.n:,}", *numbers)
    return table
