"""`gatewise export-page`: the page for fixed texts, as a folder that any web host serves."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.arguments import (
    BundledOption,
    argument,
    choose_model,
    command_line,
    names_file,
    open_model,
    option,
    refuse_folders,
)
from gatewise.cli.inputs import NO_OPTIONS, TableOptions, takes_columns
from gatewise.errors import InputError, counted, quote

if TYPE_CHECKING:
    from gatewise.model.model import Model

_INPUTS = (
    "Model folder (default: the bundled model), and texts; or one file: a table, .txt with one text per line, series; "
    "- for stdin."
)
_OVERWRITE = "Replace the output folder if it is an exported page."


@takes_columns("text", "label", "time", "id", "layout")
def export_page(
    out: Annotated[str, option("--out", "DIR", "Output folder.", "-o")],
    arguments: Annotated[list[str] | None, argument("[MODEL] TEXT...|FILE", _INPUTS)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=_OVERWRITE)] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most N inputs of a file.")] = 20,
    table: TableOptions = NO_OPTIONS,
    use_bundled: BundledOption = False,
) -> None:
    """Export the page of `gatewise serve` for fixed texts: a folder of static files that any web host serves.

    \b
    gatewise export-page "A film to see twice." "A waste of an evening." -o demo
    gatewise export-page models/imdb-fast reviews.csv --text review --limit 12 -o demo
    python -m http.server -d demo
    """
    if not arguments:
        raise InputError("give texts, a file, or - for stdin")
    from gatewise.serve.page_folder import check_page_folder, page_files
    from gatewise.storage.atomic import replace_folder

    target = check_page_folder(out, overwrite)
    choice = choose_model(arguments, use_bundled, files=True)
    model = open_model(choice.path)
    choice.report()
    inputs = _inputs(model, choice.inputs, table.of(model), limit)
    words = ["export-page", *([choice.path] if choice.path else [])]
    files, left_out = page_files(model, inputs, command_line(*words, "TEXT...", out=os.path.basename(target)))
    replace_folder(target, files)
    for number, method, reason in left_out:
        print(f"gatewise: input {number} is exported without {method}: {reason}", file=sys.stderr)
    size = sum(map(len, files.values()))
    noun = "series" if model.channels else "text"
    count = f"{len(inputs)} series" if model.channels else counted(len(inputs), noun)
    print(
        f"saved {count} to {quote(out, 200)}, {size / 1e6:.1f} MB; view it with: python -m http.server -d {quote(out)}"
    )


def _inputs(model: Model, words: Sequence[str], options: TableOptions, limit: int) -> Sequence[Any]:
    """The texts or series: the words themselves, or of one file the first `limit`."""
    if not words:
        raise InputError("give texts, a file, or - for stdin")
    refuse_folders(words)
    files = options.series or any(word == "-" or names_file(word) for word in words)
    options.check(model, words if files else ())
    if not files:
        return words
    if len(words) > 1:
        raise InputError(f"{quote(words[1])}: give one file, or texts")
    with options.rows(model, words) as reader:
        return [one.input for one in itertools.islice(reader, limit)]
