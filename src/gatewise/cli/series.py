"""`SeriesReader`: the series of files as rows, as `RowReader` has those of texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from gatewise.data.frames import find_column
from gatewise.data.row_reader import TableRow
from gatewise.errors import DataError, InputError, counted, quote, warn

if TYPE_CHECKING:
    from gatewise.data import Rows
    from gatewise.model.model import Model


class SeriesTable(NamedTuple):
    """The column of an output that comes from a file of series: their names, or their numbers."""

    columns: tuple[str, ...]
    keys: tuple[str, ...]
    schema: None = None

    def column(self, name: str, option: str) -> str:
        """The column `name` as it is written. Raises InputError."""
        return find_column(name, self.columns)


@dataclass
class SeriesReader:
    """The series of files as rows, as `RowReader` has those of texts; one file, from `read`, is in memory. id: the
    column that names the series, by an option.
    """

    model: Model
    paths: list[str]
    read: Callable[[str], Rows]
    id: str | None
    chosen: Callable[[int, int], bool] | None = None
    table: SeriesTable | None = None
    skipped = done = None
    n_bad = 0

    def __iter__(self) -> Iterator[TableRow]:
        for path in self.paths:
            if not os.path.isfile(path):
                raise DataError(f"{quote(path, 200)}: not found")
        for file, path in enumerate(self.paths):
            rows = self.read(path)
            check_series(self.model, rows)
            key = self.id or rows.names.id or "series"
            self.table = SeriesTable((key,), (key,))
            for number, series in enumerate(rows.inputs):
                if self.chosen is None or self.chosen(file, number):
                    name = rows.ids[number] if rows.ids else number + 1
                    yield TableRow(number + 1, {key: name}, rows.file, file, number, series)


def check_series(model: Model, rows: Rows) -> None:
    """Warn about series of another length than all training series had: a column may be a label or an id.

    Raises InputError for a first column of a UCR text file that is not the class, and for another number of channels.
    """
    path = rows.file
    ucr = rows.paths[0].lower().endswith((".tsv", ".txt")) and isinstance(rows.labels, list)
    unknown = model.target.each.unknown_names(rows.labels or ()) if ucr else []
    if unknown:
        raise InputError(
            f"{path}: the first column is the class, but the model has no class {quote(unknown[0], 40)}; if the file "
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
        warn(text)
