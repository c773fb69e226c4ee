"""`gatewise export-page`: the lesson and the page of a model, as files that any web host serves."""

import itertools
import os
from typing import Any

import click

from gatewise.cli import options
from gatewise.cli.inputs import open_inputs
from gatewise.cli.options import columns, command, option
from gatewise.cli.output import claim
from gatewise.errors import quote


@command()
@options.texts_argument
@options.model_option
@options.input_option
@option("-o", "--out", metavar="DIR", required=True, help="Output folder.")
@options.overwrite_option
@option("--limit", metavar="N", type=click.IntRange(1), default=20, help="At most N inputs of files.")
@columns("text", "label", "time", "id", "layout")
def export_page(args: Any) -> None:
    """Export the lesson and the page of `gatewise serve`: files that any web host serves, and that a browser opens.

    The page computes its answers itself, for any text or series. The texts and files of this command are its examples.

    \b
    gatewise export-page -m tutorial -o demo
    gatewise export-page "A warm, funny and honest film." "A waste of an evening." -o demo
    gatewise export-page -m models/imdb-fast -i reviews.csv --text review --limit 12 -o demo
    """
    from gatewise.serve.page_folder import page_files
    from gatewise.storage.export_folder import check_export, write_export

    claim(args.out)
    target = check_export(args.out, args.overwrite, "page")
    model = options.open_model(args.model)
    inputs: list[Any] = []  # without inputs, the page has the examples of the model
    words = ["export-page"]
    if args.texts or args.files:
        words.append("TEXT...")
        with open_inputs(model, args) as items:
            if args.texts:
                inputs = list(items)
            else:
                inputs = list(itertools.islice(items, args.limit))
    options.report_model(args.model)
    command = options.command_line(*words, model=args.model, out=os.path.basename(target))
    files = page_files(model, inputs, command)
    write_export(target, files, "page")
    size = sum(map(len, files.values())) / 1e6
    pages = " and ".join(name for name in ("index.html", "lesson.html") if name in files)
    print(f"saved {pages} to {quote(args.out, 200)}, {size:.1f} MB; open them in a browser")
