"""The two colours of every report in a terminal, and its plain table."""

from __future__ import annotations

from rich.style import Style
from rich.table import Table

__all__ = ["AGAINST", "TOWARDS", "plain_table"]

TOWARDS, AGAINST = Style(color="#2a7de1"), Style(color="#c86000")


def plain_table() -> Table:
    """A table without lines."""
    return Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
