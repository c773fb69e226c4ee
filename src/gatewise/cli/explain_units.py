"""`gatewise explain MODEL --data SOURCE`: the units over a data set, computed once and kept in the model folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.cli.common import print_json, read_source

if TYPE_CHECKING:
    from rich.console import Console

    from gatewise.model import Model

__all__ = ["show_units"]


def show_units(
    model: Model,
    path: str,
    data: str,
    limit: int,
    column: str,
    label: str,
    unit: int | None,
    count: int,
    as_json: bool,
    screen: Console,
    marks: bool,
) -> None:
    """Report on the units over at most `limit` rows, drawn by a fixed seed; of what has a test half, over that."""
    import numpy as np

    from gatewise.glassbox.report_units import unit_report, units_report

    splits = read_source("imdb", data, column, label) if _is_imdb(data) else read_source(data, None, column, label)
    rows = splits.test or splits.train
    if len(rows) > limit:
        rows = rows.take(np.sort(np.random.default_rng(0).permutation(len(rows))[:limit]))
    report = model.units
    if report is None or report.fingerprint != rows.fingerprint():
        print(f"gatewise: looking at {len(rows):,} rows, once for each unit", file=sys.stderr)
        model = model.with_units(rows)
        model.save(path)
        report = model.units
        print("gatewise: kept with the model, in units.json", file=sys.stderr)
    assert report is not None
    if as_json:
        shown: Any = report if unit is None else report.unit(unit)
        from dataclasses import asdict

        print_json({"model": path, **asdict(shown)})
        return
    screen.print(
        units_report(report, count=count, marks=marks) if unit is None else unit_report(report, unit, marks=marks)
    )


def _is_imdb(data: str) -> bool:
    path = Path(data)
    return (
        data == "embedded"
        or data.endswith((".tar.gz", ".tgz"))
        or ((path / "train").is_dir() and (path / "test").is_dir())
    )
