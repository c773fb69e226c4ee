"""`gatewise export-page`: the page for fixed texts, as a folder that any web host serves."""

from __future__ import annotations

import itertools
import os
import sys

import click

from gatewise.cli.inputs import TableOptions, columns
from gatewise.cli.options import (
    command,
    command_line,
    flag,
    input_option,
    model_option,
    open_model,
    option,
    report_model,
    texts_argument,
)
from gatewise.errors import counted, quote


@command()
@texts_argument
@model_option
@input_option
@option("-o", "--out", metavar="DIR", required=True, help="Output folder.")
@flag("--overwrite", help="Replace the output folder if it is an exported page.")
@option("--limit", metavar="N", type=click.IntRange(1), default=20, help="At most N inputs of files.")
@columns("text", "label", "time", "id", "layout")
def export_page(
    texts: tuple[str, ...],
    model: str | None,
    files: tuple[str, ...],
    out: str,
    overwrite: bool,
    limit: int,
    table: TableOptions,
) -> None:
    """Export the page of `gatewise serve` for fixed texts: a folder of static files that any web host serves.

    \b
    gatewise export-page "A film to see twice." "A waste of an evening." -o demo
    gatewise export-page -m models/imdb-fast -i reviews.csv --text review --limit 12 -o demo
    python -m http.server -d demo
    """
    from gatewise.serve.page_folder import check_page_folder, page_files
    from gatewise.storage.atomic import replace_folder

    target = check_page_folder(out, overwrite)
    opened = open_model(model)
    with table.of(opened).inputs(opened, texts, files) as found:
        inputs = list(found if texts else itertools.islice(found, limit))
    report_model(model)
    command = command_line("export-page", "TEXT...", model=model, out=os.path.basename(target))
    pages, left_out = page_files(opened, inputs, command)
    replace_folder(target, pages)
    for number, method, reason in left_out:
        print(f"gatewise: input {number} is exported without {method}: {reason}", file=sys.stderr)
    size = sum(map(len, pages.values()))
    count = f"{len(inputs)} series" if opened.channels else counted(len(inputs), "text")
    print(
        f"saved {count} to {quote(out, 200)}, {size / 1e6:.1f} MB; view it with: python -m http.server -d {quote(out)}"
    )
