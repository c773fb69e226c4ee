"""`gatewise evaluate`: scores, confusions, calibration and mistakes on labelled data, as text, JSON and HTML."""

from __future__ import annotations

import sys

import click

from gatewise.cli.inputs import TableOptions, columns, read_source
from gatewise.cli.options import (
    command,
    data_option,
    flag,
    json_option,
    model_name,
    model_option,
    open_model,
    option,
    precision_option,
    sources_argument,
    typed_command,
)
from gatewise.cli.output import check_ending, console, print_json, write_file


@command()
@sources_argument
@model_option
@data_option
@precision_option
@flag("--reliability", help="Print the reliability diagram: accuracy per confidence bin.")
@option("--top", metavar="N", type=click.IntRange(1, 20), default=10, help="Number of confusions and mistakes.")
@json_option
@option("--html", metavar="FILE", help="Also write a self-contained HTML report; it contains excerpts.")
@columns("text", "label", "label_separator", "time", "series", "id", "layout", "delimiter", "skip_bad_rows")
def evaluate(
    sources: tuple[str, ...],
    model: str | None,
    data: str | None,
    table: TableOptions,
    precision: str,
    reliability: bool,
    top: int,
    as_json: bool,
    html: str | None,
) -> None:
    """Evaluate a model: scores per class, calibration, confusions and the most confident mistakes.

    \b
    gatewise evaluate imdb                                                   the bundled model
    gatewise evaluate -m models/imdb-tutorial imdb --data aclImdb_v1.tar.gz  the official test half
    gatewise evaluate -m models/imdb-tutorial imdb --data embedded           a hold-out of the train half
    gatewise evaluate -m models/reviews-fast new.csv --html report.html
    """
    check_ending("--html", html, ".html")
    opened, name = open_model(model, precision), model_name(model)
    splits = read_source(sources, data, table.of(opened, one_class=True))
    labelled = splits.test or splits.train
    trained_on_this = bool(opened.metadata.fingerprint) and labelled.fingerprint() == opened.metadata.fingerprint
    if trained_on_this:
        print("gatewise: warning: the model was trained on this data", file=sys.stderr)
    report = opened.evaluation_report(labelled)
    if html is not None:
        from gatewise.explain.provenance import provenance
        from gatewise.explain.render.evaluation import evaluation_page

        warning = "Warning: the model was trained on this data." if trained_on_this else ""
        weights = f"Weights of the members: {opened.ensemble}."
        notes = [splits.note, warning, weights, provenance(opened.fingerprint, name, typed_command())]
        write_file(html, evaluation_page(report, name, notes))
    if as_json:
        found = {"model": name, "members": opened.ensemble.weights_json(), **report.as_dict()}
        print_json({**found, "note": splits.note, "trained_on_this": trained_on_this})
        return
    from gatewise.explain.render.evaluation import evaluation_text

    screen = console()
    screen.print(evaluation_text(report, screen.width, top, reliability, splits.note))
