"""The table of layers, as `train` and `info` show it."""

from __future__ import annotations

from rich.table import Table

from gatewise.architecture import Architecture, summary

__all__ = ["summary_table"]


def summary_table(arch: Architecture) -> Table:
    """The layers: name, output shape, parameters, and the sum."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("layer")
    table.add_column("output shape")
    table.add_column("parameters", justify="right")
    layers = summary(arch)
    for name, shape, count in layers:
        table.add_row(name, shape, f"{count:,}")
    table.add_row("total", "", f"{sum(count for _, _, count in layers):,}", style="bold")
    return table
