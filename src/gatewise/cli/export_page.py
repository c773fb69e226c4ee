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
def export_page(given: Any) -> None:
    """Export the lesson and the page of `gatewise serve`: files that any web host serves, and that a browser opens.

    The page computes its answers itself, for any text or series. The given ones are its examples.

    \b
    gatewise export-page -m tutorial -o demo
    gatewise export-page "A warm, funny and honest film." "A waste of an evening." -o demo
    gatewise export-page -m models/imdb-fast -i reviews.csv --text review --limit 12 -o demo
    """
    from gatewise.serve.page_folder import page_files
    from gatewise.storage.export_folder import check_export, write_export

    claim(given.out)
    target = check_export(given.out, given.overwrite, "page")
    model = options.open_model(given.model)
    inputs: list[Any] = []  # the model's examples
    if given.texts or given.files:
        with open_inputs(model, given) as found:
            inputs = list(found if given.texts else itertools.islice(found, given.limit))
    options.report_model(given.model)
    words = ["TEXT..."] if inputs else []
    line = options.command_line("export-page", *words, model=given.model, out=os.path.basename(target))
    files = page_files(model, inputs, line)
    write_export(target, files, "page")
    size = sum(map(len, files.values())) / 1e6
    pages = " and ".join(name for name in ("index.html", "lesson.html") if name in files)
    print(f"saved {pages} to {quote(given.out, 200)}, {size:.1f} MB; open them in a browser")
