"""Series from a file of any known format, by its name and its content."""

from __future__ import annotations

from pathlib import Path

from gatewise.data.series_arrays import read_npy, read_npz
from gatewise.data.series_rows import SeriesRows
from gatewise.data.series_tables import read_long, read_wide
from gatewise.data.series_text import is_ucr, read_arff, read_ts, read_ucr
from gatewise.data.tables import TABLES, is_table
from gatewise.errors import DataError, InputError, quote

SERIES = (".ts", ".arff", ".npz", ".npy")
"""File names of series alone; tables may hold series too."""


def read_series(
    path: str | Path,
    *,
    label: str | None = None,
    id: str | None = None,
    time: str | None = None,
    layout: str | None = None,
) -> SeriesRows:
    """The series of a .ts, .arff, .npz or .npy file, a .tsv or .txt file of the UCR archive, or a table.

    A .tsv or .txt file whose first lines hold numbers only is of the UCR archive: the first column is the class, unless
    label is "". Other tables have one series per row, or with `time` one step per row. label, id, time: their columns
    (`read_wide`, `read_long`); without a name, a column "label" holds the labels. layout: of three-dimensional arrays
    in .npz and .npy. Raises DataError with file and line, InputError for an option that the format does not have.
    """
    file = Path(path).expanduser()
    suffix = file.suffix.lower()
    options = {"label": label, "id": id, "time": time, "layout": layout}

    def allow(*names: str) -> None:
        for name, value in options.items():
            if value and name not in names:
                raise InputError(f"{quote(file, 200)}: the option {name} is not for {suffix} files")

    if suffix == ".ts":
        allow()
        return read_ts(file)
    if suffix == ".arff":
        allow("label")
        return read_arff(file, label)
    if suffix in (".npz", ".npy"):
        allow("layout")
        return read_npz(file, layout) if suffix == ".npz" else read_npy(file, layout)
    if suffix in (".tsv", ".txt") and is_ucr(file):
        allow()
        return read_ucr(file, label is None)
    if not is_table(file):
        raise DataError(f"{quote(file, 200)}: the name must end in one of {' '.join((*SERIES, *TABLES))}")
    allow("label", "id", "time")
    return read_wide(file, label, id) if time is None else read_long(file, id, time, label)


def is_series_file(path: str | Path) -> bool:
    """Whether the file can hold series only: by its name, or a .tsv or .txt file of numbers without a header."""
    suffix = Path(path).suffix.lower()
    return suffix in SERIES or (suffix in (".tsv", ".txt") and Path(path).is_file() and is_ucr(path))
