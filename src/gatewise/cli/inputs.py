"""The data that a command reads: IMDB, tables, folders, series files and lines of text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.errors import DataError, InputError, quote

if TYPE_CHECKING:
    from gatewise.data import Splits


def is_series(source: str) -> bool:
    """Whether the source is a file that can hold series only, such as .ts and the .tsv files of the UCR archive."""
    suffix = Path(source).suffix.lower()
    if suffix not in (".ts", ".arff", ".npz", ".npy", ".tsv", ".txt"):  # texts need no reader of series
        return False
    from gatewise.data.series_files import is_series_file

    return is_series_file(source)


def read_source(source: str, data: str | None, text: str, label: str) -> Splits:
    """`imdb`, a file, or a folder with one folder per class. Of files and folders, all rows are in `train`.

    text, label: the columns of a table. Raises InputError for `data` with a source other than imdb, DataError for data
    that is missing or damaged.
    """
    from gatewise.data import Splits, imdb, read_folder, read_table

    if source == "imdb":
        return imdb(data)
    if data is not None:
        raise InputError("--data is only for the source imdb; give other data as the source itself")
    if is_series(source):
        return Splits(read_series(source), None, "")
    if Path(source).is_dir():
        return Splits(read_folder(source), None, "")
    if not Path(source).suffix and not Path(source).exists():
        raise DataError(f"{quote(source)}: neither imdb nor a file")
    return Splits(read_table(source, text=text, label=label), None, "")


def read_data(data: str, text: str, label: str) -> Splits:
    """As `read_source`, where `data` may also be the IMDB archive, its folder, or `embedded`."""
    path = Path(data)
    unpacked = (path / "train").is_dir() and (path / "test").is_dir()
    if data == "embedded" or data.endswith((".tar.gz", ".tgz")) or unpacked:
        return read_source("imdb", data, text, label)
    return read_source(data, None, text, label)


def read_series(path: str) -> Any:
    """The labelled series of a file."""
    from gatewise.data.series_files import read_series as read

    return read(path).labelled()


def read_lines(path: str | None) -> list[str]:
    """The lines of a UTF-8 file (None: stdin) without line ends and without blank lines at the end.

    Raises DataError for a file that cannot be read, is not UTF-8, or is empty.
    """
    where = "stdin" if path is None else quote(path)
    try:
        raw = sys.stdin.buffer.read() if path is None else Path(path).read_bytes()
        lines = [line.removesuffix("\r") for line in raw.decode("utf-8-sig").split("\n")]
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not valid UTF-8 at byte {error.start}") from None
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{where}: contains no text")
    return lines
