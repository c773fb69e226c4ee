"""A terminal or a pipe as a console of rich, and the tables that are printed there."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


class PlainConsole(Console):
    """Prints text unchanged: no markup, no emoji codes, no highlighting. stderr: to standard error."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False)

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, as `print` does: rich would end the program with exit code 1."""
        raise BrokenPipeError


def plain_table(justify: str, *headings: str | Text, **settings: Any) -> Table:
    """A table without lines. justify: `l` (left) or `r` (right) for each column. settings: of `rich.table.Table`."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, show_header=bool(headings), **settings)
    names = headings or [""] * len(justify)
    for name, side in zip(names, justify, strict=True):
        if side == "l":
            table.add_column(name, justify="left")
        else:
            table.add_column(name, justify="right")
    return table
