"""`BadRowList`: the rows of a table that were skipped, because they cannot be read."""

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from gatewise.errors import DataError, InputError, quote

_LISTED = ("file", "line", "reason")


class BadRowList:
    """The CSV file `path` for the bad rows that are skipped, which replaces the list of an earlier run.

    Raises InputError for a file that exists and is not such a list; DataError, as its methods, for one that cannot be
    written, of which nothing stays.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: IO[str] | None = None
        begin = ",".join(_LISTED).encode()
        with self._errors():
            found = b""
            if os.path.exists(path):
                with open(path, "rb") as file:
                    found = file.read(len(begin))
        if found not in (b"", begin):
            raise InputError(f"{quote(path, 200)}: exists, and is not a list of bad rows: it is not overwritten")

    def check_other(self, path: str | Path, what: str) -> None:
        """Raises InputError if `path`, which `what` names, is this file."""
        there = os.path.exists(path) and self.path.exists()
        if os.path.samefile(path, self.path) if there else os.path.realpath(path) == os.path.realpath(self.path):
            raise InputError(f"{quote(self.path, 200)}: the list of bad rows is {what}")

    def add(self, *row: object) -> None:
        """Append file, line and reason of a row, if there is one. The header comes first, when this is called first."""
        with self._errors():
            if self._file is None:  # a file name may have bytes that are not UTF-8
                self._file = open(self.path, "w", encoding="utf-8", errors="backslashreplace", newline="")  # noqa: SIM115
                csv.writer(self._file).writerow(_LISTED)
            if row:
                csv.writer(self._file).writerow(row)

    def close(self) -> None:
        """Close the file."""
        with self._errors():
            if self._file is not None:
                self._file.close()
        self._file = None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise DataError for a file that cannot be written, and remove what was written, unless it is a device."""
        try:
            yield
        except OSError as error:
            file, self._file = self._file, None
            with suppress(OSError):
                if file is not None:
                    file.close()  # what cannot be written fails again
            with suppress(OSError):
                if file is not None and self.path.is_file():
                    self.path.unlink()
            raise DataError(f"{quote(self.path, 200)}: cannot be written: {error.strerror}") from None
