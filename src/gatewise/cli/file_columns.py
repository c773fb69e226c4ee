"""`FileColumns`: what a file that is no table adds to each row of an output."""

from __future__ import annotations

from typing import NamedTuple

from gatewise.data.frames import find_column


class FileColumns(NamedTuple):
    """The columns, as a `Table` has them: of series their names or numbers, of arrays the number of the row and what
    else the file has one value of for each row.
    """

    columns: tuple[str, ...]
    keys: tuple[str, ...]
    schema: None = None

    def column(self, name: str, option: str) -> str:
        """The column `name` as it is written. Raises InputError."""
        return find_column(name, self.columns)
