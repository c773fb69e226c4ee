"""The table of layers, as `train` and `info` show it."""

from __future__ import annotations

from rich.table import Table

from gatewise.network.architecture import Architecture, summary
from gatewise.network.ngrams import Ngrams


def summary_table(arch: Architecture, ngrams: Ngrams | None = None) -> Table:
    """The layers: name, output shape, parameters, and the sum. ngrams: the linear path, if it is there already."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("layer")
    table.add_column("output shape")
    table.add_column("parameters", justify="right")
    layers = summary(arch) if ngrams is None else [*summary(arch), ngrams.summary()]
    for name, shape, count in layers:
        table.add_row(name, shape, f"{count:,}")
    table.add_row("total", "", f"{sum(count for _, _, count in layers):,}", style="bold")
    return table
