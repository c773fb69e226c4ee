"""`SeriesReader`: the series of files as rows, as `RowReader` has those of texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gatewise.cli.file_columns import FileColumns
from gatewise.data.row_reader import TableRow
from gatewise.errors import DataError, InputError, counted, quote, warn

if TYPE_CHECKING:
    from gatewise.data import Rows
    from gatewise.model.model import Model


@dataclass
class SeriesReader:
    """The series of files as rows, as `RowReader` has those of texts. read: reads a file; one file at a time is in
    memory. id: the value of --id, the column that names the series.
    """

    model: Model
    paths: list[str]
    read: Callable[[str], Rows]
    id: str | None
    chosen: Callable[[int, int], bool] | None = None
    table: FileColumns | None = None
    skipped = None
    done = None
    n_bad = 0

    def __iter__(self) -> Iterator[TableRow]:
        for path in self.paths:
            if not os.path.isfile(path):
                raise DataError(f"{quote(path, 200)}: not found")
        for file, path in enumerate(self.paths):
            rows = self.read(path)
            check_series(self.model, rows)
            key = self.id or rows.names.id or "series"
            self.table = FileColumns((key,), (key,))
            for number, series in enumerate(rows.inputs):
                if self.chosen is not None and not self.chosen(file, number):
                    continue
                name: Any = number + 1
                if rows.ids:
                    name = rows.ids[number]
                yield TableRow(number + 1, {key: name}, rows.file, file, number, series)


def check_series(model: Model, rows: Rows) -> None:
    """Check that the series of a file fit the model.

    Raises InputError for another number of channels, and for a UCR text file whose first column is not the class. Warns
    where all training series had one length and these have another one: a column may be a label or an id.
    """
    path = rows.file
    is_ucr = rows.paths[0].lower().endswith((".tsv", ".txt")) and isinstance(rows.labels, list)
    if is_ucr:
        unknown = model.target.each.unknown_names(rows.labels or ())
        if unknown:
            raise InputError(
                f"{path}: the first column is the class, but the model has no class {quote(unknown[0], 40)}; if the "
                "file has no classes, add --label ''"
            )
    if not rows.inputs:
        return
    channels = rows.inputs[0].shape[1]
    if channels != model.channels:
        message = f"{path}: the series have {counted(channels, 'channel')}, the model reads {model.channels}"
        if channels == 1:
            message += "; a table with one row per step needs --time, and --id for several series"
        raise InputError(message)
    shortest, longest = getattr(model.preprocessor, "steps", (0, 0))
    lengths = {len(series) for series in rows.inputs}
    if shortest == longest > 0 and lengths != {longest}:
        steps = counted(min(lengths), "step")
        if len(lengths) > 1:
            steps = f"{min(lengths)} to {max(lengths)} steps"
        warn(f"{path}: the series have {steps}, those of training {longest}; name a label or id column")
