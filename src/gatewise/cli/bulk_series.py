"""Predictions for the series of a file, with or without labels, which fit into memory."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.cli.arguments import is_file_name
from gatewise.cli.inputs import NO_SERIES_ON_STDIN
from gatewise.cli.output import check_overwrite
from gatewise.errors import DataError, InputError, counted, quote

if TYPE_CHECKING:
    from gatewise.data.labelled import Rows
    from gatewise.model.model import Model
    from gatewise.types import Array


def predict_series(
    model: Model,
    inputs: list[str],
    *,
    label: list[str] | None,
    id: str | None,
    time: str | None,
    layout: str | None,
    out: str | None,
    every: bool,
    new: bool,
) -> Array:
    """The logits (n, outputs) of the series of one file.

    label, id, time, layout: as in `read_series`; labels are not used. out: the table for id or number, label and
    probabilities. new: the table must not exist. Raises InputError for texts, stdin and an output, complete or not,
    that exists, DataError for a file that is not there.
    """
    from gatewise.cli.bulk import part_files
    from gatewise.data.read import read_series

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
    if label is not None and len(label) > 1:
        raise InputError("series have one label column")
    rows = read_series(inputs[0], label=label[0] if label else None, id=id, time=time, layout=layout)
    check_series(model, rows)
    logits = model.logits(rows.inputs)
    if out is not None:
        from gatewise.cli.predictions import PredictionColumns
        from gatewise.cli.table_writer import TableWriter

        key = id or "series"
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


def check_series(model: Model, rows: Rows) -> None:
    """Warn about series of another length than all training series had: a column may be a label or an id.

    Raises InputError for a first column of a UCR text file that is not the class, and for another number of channels.
    """
    path = rows.file
    if (
        rows.paths[0].lower().endswith((".tsv", ".txt"))
        and isinstance(rows.labels, list)
        and model.task != "regression"
    ):
        other = sorted(set(rows.labels) - set(model.classes))
        if other:
            raise InputError(
                f"{path}: the first column is the class, but the model has no class {quote(other[0], 40)}; if the file "
                "has no classes, add --label ''"
            )
    channels = rows.inputs[0].shape[1] if rows.inputs else model.channels
    if channels != model.channels:
        hint = "" if channels > 1 else "; a table with one row per step needs --time, and --id for several series"
        count = counted(channels, "channel")
        raise InputError(f"{path}: the series have {count}, the model reads {model.channels}{hint}")
    shortest, longest = getattr(model.preprocessor, "steps", (0, 0))
    lengths = {len(series) for series in rows.inputs}
    if 0 < shortest == longest and lengths != {longest}:
        found = f"{min(lengths)} to {max(lengths)}" if len(lengths) > 1 else f"{min(lengths)}"
        found += " step" if found == "1" else " steps"
        text = f"{path}: the series have {found}, those of training {longest}; name a label or id column"
        warnings.warn(text, UserWarning, stacklevel=2)
