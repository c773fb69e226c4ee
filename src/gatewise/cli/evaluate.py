"""`gatewise evaluate`: scores, confusions, calibration and mistakes on labelled data, as text, JSON and HTML."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import click

from gatewise.cli import options
from gatewise.cli.options import columns, command, flag, option
from gatewise.cli.output import check_ending, console, print_json, write_file
from gatewise.cli.sources import read_source, table_of, warn_of_training_data
from gatewise.errors import InputError, quote


@command()
@options.sources_argument
@options.model_option
@options.data_option
@options.precision_option
@flag("--reliability", help="Print the reliability diagram: accuracy per confidence bin.")
@option("--top", metavar="N", type=click.IntRange(1, 20), default=10, help="Number of confusions and mistakes.")
@options.json_option
@option(
    "-o", "--out", metavar="FILE", help="Also write the rows of the files with their predictions: .csv, .jsonl, ..."
)
@flag("--overwrite", help="Replace the table of -o if it exists.")
@option("--html", metavar="FILE", help="Also write a self-contained HTML report; it contains excerpts.")
@columns("text", "label", "label_separator", "time", "series", "id", "layout", "delimiter", "skip_bad_rows")
def evaluate(given: Any) -> None:
    """Evaluate a model: scores per class, calibration, confusions and the most confident mistakes.

    \b
    gatewise evaluate imdb                                                   the bundled model
    gatewise evaluate -m models/imdb-tutorial imdb --data aclImdb_v1.tar.gz  the official test half
    gatewise evaluate -m models/imdb-tutorial imdb --data embedded           a hold-out of the train half
    gatewise evaluate -m models/reviews-fast new.csv --html report.html
    """
    check_ending("--html", given.html, ".html")
    model, name = options.open_model(given.model, given.precision), options.model_name(given.model)
    table = table_of(given, model)
    if given.out is not None and any(source in ("imdb", "-") or os.path.isdir(source) for source in given.sources):
        raise InputError("-o is for the rows of files, and not for imdb, stdin or a folder")
    splits = read_source(given.sources, given.data, table)
    labelled = splits.test or splits.train
    trained_on_this = warn_of_training_data(model, labelled)

    @cache
    def logits() -> Any:  # not before the output is checked
        return model.logits(labelled.inputs)

    if given.out is not None:
        from gatewise.cli.bulk import BulkPrediction

        with table.rows(given.sources, labelled=True) as reader:
            bulk = BulkPrediction(model, reader, overwrite=given.overwrite)
            bulk.logits = lambda rows: logits()[bulk.n : bulk.n + len(rows)]
            words = bulk.to_file(Path(given.out))
        print(f"gatewise: wrote {quote(given.out, 200)}: {words}", file=sys.stderr)
    from gatewise.model.reports import evaluation_report

    report = evaluation_report(model, labelled, logits())
    if given.html is not None:
        from gatewise.explain.render.evaluation import evaluation_page

        warning = "Warning: the model was trained on this data." if trained_on_this else ""
        weights = f"Weights of the members: {model.ensemble}."
        notes = [splits.note, warning, weights, options.provenance(model, given.model)]
        write_file(given.html, evaluation_page(report, name, notes))
    if given.as_json:
        found = {"model": name, "members": model.ensemble.weights_json(), **report.as_dict()}
        print_json({**found, "note": splits.note, "trained_on_this": trained_on_this})
        return
    from gatewise.explain.render.evaluation import evaluation_text

    screen = console()
    screen.print(evaluation_text(report, given.top, given.reliability, splits.note))
