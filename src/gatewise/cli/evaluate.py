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
def evaluate(args: Any) -> None:
    """Evaluate a model: scores per class, calibration, confusions and the most confident mistakes.

    \b
    gatewise evaluate imdb                                                   the bundled model
    gatewise evaluate -m models/imdb-tutorial imdb --data aclImdb_v1.tar.gz  the official test half
    gatewise evaluate -m models/imdb-tutorial imdb --data embedded           a hold-out of the train half
    gatewise evaluate -m models/reviews-fast new.csv --html report.html
    """
    check_ending("--html", args.html, ".html")
    model = options.open_model(args.model, args.precision)
    name = options.model_name(args.model)
    table = table_of(args, model)
    if args.out is not None and any(source in ("imdb", "-") or os.path.isdir(source) for source in args.sources):
        raise InputError("-o is for the rows of files, and not for imdb, stdin or a folder")
    splits = read_source(args.sources, args.data, table)
    labelled = splits.test or splits.train
    trained_on_this = warn_of_training_data(model, labelled)

    @cache
    def logits() -> Any:
        """Computed at the first call, which `to_file` makes after it has checked the output."""
        return model.logits(labelled.rows)

    if args.out is not None:
        from gatewise.cli.bulk import BulkPrediction

        with table.rows(args.sources, labelled=True) as reader:
            bulk = BulkPrediction(model, reader, overwrite=args.overwrite)
            bulk.logits = lambda rows: logits()[bulk.n : bulk.n + len(rows)]
            words = bulk.to_file(Path(args.out))
        print(f"gatewise: wrote {quote(args.out, 200)}: {words}", file=sys.stderr)
    from gatewise.model.reports import evaluation_report

    report = evaluation_report(model, labelled, logits())
    if args.html is not None:
        from gatewise.explain.render.evaluation import evaluation_page

        notes = [splits.note]
        if trained_on_this:
            notes.append("Warning: the model was trained on this data.")
        notes.append(f"Weights of the members: {model.ensemble}.")
        notes.append(options.provenance(model, args.model))
        write_file(args.html, evaluation_page(report, name, notes))
    if args.as_json:
        result = {
            "model": name,
            "members": model.ensemble.weights_json(),
            **report.as_dict(),
            "note": splits.note,
            "trained_on_this": trained_on_this,
        }
        print_json(result)
        return
    from gatewise.explain.render.evaluation import evaluation_text

    screen = console()
    screen.print(evaluation_text(report, args.top, args.reliability, splits.note))
