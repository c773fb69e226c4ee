"""Predictions for the series of a file, with or without labels, which fit into memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.cli.arguments import is_file_name
from gatewise.cli.inputs import NO_SERIES_ON_STDIN, TableOptions, check_series
from gatewise.cli.output import check_overwrite
from gatewise.errors import DataError, InputError, counted, quote

if TYPE_CHECKING:
    from gatewise.model.model import Model
    from gatewise.types import Array


def predict_series(
    model: Model,
    inputs: list[str],
    *,
    options: TableOptions,
    out: str | None,
    every: bool,
    new: bool,
) -> Array:
    """The logits (n, outputs) of the series of one file.

    options: of the table; labels are not used. out: the table for id or number, label and
    probabilities. new: the table must not exist. Raises InputError for texts, stdin and an output, complete or not,
    that exists, DataError for a file that is not there.
    """
    from gatewise.cli.bulk import part_files

    if model.architecture.inputs != "channels":
        raise InputError("the model classifies texts, not series")
    if inputs == ["-"]:
        raise InputError(NO_SERIES_ON_STDIN)
    if len(inputs) == 1 and is_file_name(inputs[0]) and not os.path.exists(inputs[0]):
        raise DataError(f"{quote(inputs[0], 200)}: not found")
    if len(inputs) != 1 or not os.path.isfile(inputs[0]):
        raise InputError("the model classifies series: give one file, such as .ts, .npz or .csv")
    if out is not None and new:
        check_overwrite(out, False)
        for path in part_files(Path(out)):
            if path.exists():
                raise InputError(f"{quote(path, 200)}: an unfinished run; --overwrite starts again")
    if out is not None and os.path.exists(out) and os.path.samefile(inputs[0], out):
        raise InputError(f"{quote(out, 200)}: the output is the input")
    rows = options.read_series(inputs[0])
    check_series(model, rows)
    logits = model.logits(rows.inputs)
    if out is not None:
        from gatewise.cli.predictions import PredictionColumns
        from gatewise.cli.table_writer import TableWriter

        key = options.id or rows.names.id or "series"
        names: list[Any] = rows.ids or list(range(1, len(logits) + 1))
        added = PredictionColumns(model, every, {key})
        predicted = added.rows(logits, lists=False)
        part, state = part_files(Path(out))
        writer = TableWriter(out, part, [key, *added.names])
        try:
            state.unlink(missing_ok=True)  # of a run for texts that this one replaces
            writer.write([{key: name} | row for name, row in zip(names, predicted, strict=True)])
            writer.finish()
        except BaseException:
            writer.discard()
            raise
        print(f"gatewise: wrote {quote(out, 200)}: {counted(len(logits), 'row')}", file=sys.stderr)
    return logits
