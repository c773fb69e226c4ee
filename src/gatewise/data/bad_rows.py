"""Bad rows of tables, and the CSV file that lists those that are skipped."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from gatewise.errors import DataError, InputError, quote


class BadRow(NamedTuple):
    """A row that cannot be used."""

    file: str
    line: int
    reason: str


class BadRowList:
    """The CSV file `path` for the bad rows that are skipped, which replaces the list of an earlier run.

    Raises InputError for a file that exists and is not such a list.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: IO[str] | None = None
        begin = b",".join(name.encode() for name in BadRow._fields)
        try:
            with open(path, "rb") as file:
                found = file.read(len(begin))
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._error(error) from None
        if found not in (b"", begin):
            raise InputError(f"{quote(path, 200)}: exists, and is not a list of bad rows: it is not overwritten")

    def check_other(self, path: str | Path, what: str) -> None:
        """Raises InputError if `path`, which `what` names, is this file."""
        if os.path.realpath(path) == os.path.realpath(self.path) or (
            os.path.exists(path) and self.path.exists() and os.path.samefile(path, self.path)
        ):
            raise InputError(f"{quote(self.path, 200)}: the list of bad rows is {what}")

    def open(self) -> None:
        """Write the header, unless it is written. Raises DataError, as `add` and `close`, for a file that cannot be
        written.
        """
        if self._file is None:
            try:
                # A file name may have bytes that are not UTF-8.
                self._file = open(self.path, "w", encoding="utf-8", errors="backslashreplace", newline="")  # noqa: SIM115
            except OSError as error:
                raise self._error(error) from None
            self.add(BadRow._fields)

    def add(self, row: Sequence[object]) -> None:
        """Append a `BadRow`."""
        assert self._file is not None
        try:
            csv.writer(self._file).writerow(row)
        except OSError as error:
            raise self._remove(error) from None

    def close(self) -> None:
        """Close the file."""
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:
            raise self._remove(error) from None
        self._file = None

    def _remove(self, error: OSError) -> DataError:
        """Remove a list of which a part is missing, unless it is a device: the error to raise."""
        file, self._file = self._file, None
        with suppress(OSError):
            if file is not None:
                file.close()  # what cannot be written fails again
        with suppress(OSError):
            if self.path.is_file():
                self.path.unlink()
        return self._error(error)

    def _error(self, error: OSError) -> DataError:
        return DataError(f"{quote(self.path, 200)}: cannot be written: {error.strerror}")
