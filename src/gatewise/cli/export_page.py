"""`gatewise export-page`: the page for fixed texts, as a folder that any web host serves."""

from __future__ import annotations

import itertools
import os
import sys
from typing import Any

import click

from gatewise.cli import options
from gatewise.cli.inputs import columns, open_inputs
from gatewise.cli.options import command, option
from gatewise.errors import counted, quote


@command()
@options.texts_argument
@options.model_option
@options.input_option
@option("-o", "--out", metavar="DIR", required=True, help="Output folder.")
@options.overwrite_option
@option("--limit", metavar="N", type=click.IntRange(1), default=20, help="At most N inputs of files.")
@columns("text", "label", "time", "id", "layout")
def export_page(given: Any) -> None:
    """Export the page of `gatewise serve` for fixed texts: a folder of static files that any web host serves.

    \b
    gatewise export-page "A film to see twice." "A waste of an evening." -o demo
    gatewise export-page -m models/imdb-fast -i reviews.csv --text review --limit 12 -o demo
    python -m http.server -d demo
    """
    from gatewise.serve.page_folder import check_page_folder, page_files
    from gatewise.storage.atomic import replace_folder

    target = check_page_folder(given.out, given.overwrite)
    model = options.open_model(given.model)
    with open_inputs(model, given) as found:
        inputs = list(found if given.texts else itertools.islice(found, given.limit))
    options.report_model(given.model)
    line = options.command_line("export-page", "TEXT...", model=given.model, out=os.path.basename(target))
    files, left_out = page_files(model, inputs, line)
    replace_folder(target, files)
    for number, method, reason in left_out:
        print(f"gatewise: input {number} is exported without {method}: {reason}", file=sys.stderr)
    size, out = sum(map(len, files.values())) / 1e6, given.out
    count = f"{len(inputs)} series" if model.channels else counted(len(inputs), "text")
    print(f"saved {count} to {quote(out, 200)}, {size:.1f} MB; view it with: python -m http.server -d {quote(out)}")
