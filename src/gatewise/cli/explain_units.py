"""`gatewise explain MODEL --data SOURCE`: the units over a data set, computed once and kept in the model folder (not
in that of the model in the box, which stays as it came)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gatewise.cli.common import print_json, read_data
from gatewise.cli.model_argument import Which

if TYPE_CHECKING:
    from rich.console import Console

    from gatewise.model.model import Model


def show_units(
    model: Model,
    which: Which,
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

    from gatewise.explain.render.terminal_units import unit_report, units_report

    splits = read_data(data, column, label)
    rows = splits.test or splits.train
    if len(rows) > limit:
        rows = rows.take(np.sort(np.random.default_rng(0).permutation(len(rows))[:limit]))
    report = model.units
    if report is None or report.fingerprint != rows.fingerprint():
        print(f"gatewise: looking at {len(rows):,} rows, once for each unit", file=sys.stderr)
        model = model.with_units(rows)
        if which.path is not None:
            model.save(which.path)
        report = model.units
        kept = "kept with the model, in units.json" if which.path is not None else "not kept: the box stays as it is"
        print(f"gatewise: {kept}", file=sys.stderr)
    assert report is not None
    if as_json:
        shown: Any = report if unit is None else report.unit(unit)
        from dataclasses import asdict

        print_json({"model": which.name, **asdict(shown)})
        return
    screen.print(
        units_report(report, count=count, marks=marks) if unit is None else unit_report(report, unit, marks=marks)
    )
