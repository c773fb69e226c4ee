"""Predictions for the series of a file, with or without labels, which fit into memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.errors import InputError, quote

if TYPE_CHECKING:
    from gatewise.model.model import Model
    from gatewise.types import Array


def predict_series(
    model: Model,
    inputs: list[str],
    *,
    id: str | None,
    time: str | None,
    out: str | None,
    every: bool,
    new: bool,
) -> Array:
    """The logits (n, outputs) of the series of one file.

    id, time: columns of a table with one step per row. out: the table for id or number, label and probabilities. new:
    the table must not exist. Raises InputError for texts and for an output that exists.
    """
    from gatewise.data.series_files import read_series

    if model.architecture.inputs != "channels":
        raise InputError("the model classifies texts, not series")
    if len(inputs) != 1 or not os.path.isfile(inputs[0]):
        raise InputError("the model classifies series: give one file, such as .ts, .npz or .csv")
    if out is not None and new and os.path.exists(out):
        raise InputError(f"{quote(out, 200)}: exists already; --overwrite replaces it")
    rows = read_series(inputs[0], id=id, time=time)
    logits = model.logits(rows.inputs)
    if out is not None:
        from gatewise.cli.predictions import PredictionColumns
        from gatewise.data.table_writer import TableWriter

        key = id or "series"
        names: list[Any] = rows.ids or list(range(1, len(logits) + 1))
        added = PredictionColumns(model, every, {key})
        predicted = added.rows(logits, lists=False)
        part = Path(out + ".part")
        writer = TableWriter(out, part, [key, *added.names])
        writer.write([{key: name} | row for name, row in zip(names, predicted, strict=True)])
        writer.finish()
    return logits
