"""`gatewise evaluate`: scores, confusions, calibration and mistakes on labelled data, as text, JSON and HTML."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gatewise.cli.arguments import (
    SOURCES,
    BundledOption,
    DataOption,
    JsonOption,
    ModelChoice,
    PrecisionOption,
    argument,
    choose_model,
    is_model,
    open_model,
    option,
    typed_command,
)
from gatewise.cli.inputs import NO_OPTIONS, TableOptions, read_source, takes_columns
from gatewise.cli.output import check_ending, console, print_json, write_file
from gatewise.errors import InputError, quote


@takes_columns("text", "label", "label_separator", "time", "series", "id", "layout", "delimiter", "skip_bad_rows")
def evaluate(
    context: typer.Context,
    arguments: Annotated[
        list[str] | None,
        argument("[MODEL] SOURCE", f"Model folder (default: the bundled model) and data: {SOURCES}"),
    ] = None,
    data: DataOption = None,
    table: TableOptions = NO_OPTIONS,
    use_bundled: BundledOption = False,
    precision: PrecisionOption = "float32",
    reliability: Annotated[
        bool, typer.Option("--reliability", help="Print the reliability diagram: accuracy per confidence bin.")
    ] = False,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=1, max=20, help="Number of confusions and mistakes.")
    ] = 10,
    as_json: JsonOption = False,
    html: Annotated[
        str | None, option("--html", "FILE", "Also write a self-contained HTML report; it contains excerpts.")
    ] = None,
) -> None:
    """Evaluate a model: scores per class, calibration, confusions and the most confident mistakes.

    \b
    gatewise evaluate imdb                                                   the bundled model
    gatewise evaluate models/imdb-tutorial imdb --data aclImdb_v1.tar.gz     the official test half
    gatewise evaluate models/imdb-tutorial imdb --data embedded              a hold-out of the train half
    gatewise evaluate models/reviews-fast new.csv --html report.html
    """
    check_ending("--html", html, ".html")
    choice, source = _choice(arguments or [], use_bundled)
    model = open_model(choice.path, precision)
    splits = read_source(source, data, table.of(model, one_class=True))
    labelled = splits.test or splits.train
    trained_on_this = bool(model.metadata.fingerprint) and labelled.fingerprint() == model.metadata.fingerprint
    if trained_on_this:
        print("gatewise: warning: the model was trained on this data", file=sys.stderr)
    report = model.evaluation_report(labelled)
    if html is not None:
        from gatewise.explain.provenance import provenance
        from gatewise.explain.render.evaluation import evaluation_page

        warning = "Warning: the model was trained on this data." if trained_on_this else ""
        weights = f"Weights of the members: {model.ensemble}."
        notes = [splits.note, warning, weights, provenance(model.fingerprint, choice.name, typed_command(context))]
        write_file(html, evaluation_page(report, choice.name, notes))
    if as_json:
        found = {"model": choice.name, "members": model.ensemble.weights_json(), **report.as_dict()}
        print_json({**found, "note": splits.note, "trained_on_this": trained_on_this})
        return
    from gatewise.explain.render.evaluation import evaluation_text

    screen = console()
    screen.print(evaluation_text(report, screen.width, top, reliability, splits.note))


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
