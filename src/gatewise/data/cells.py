"""`Cells`: rows of a table as read, by column: names, numbers, times, and what is wrong with a row."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import is_missing
from gatewise.data.schema import number_of
from gatewise.data.times import Time, parse_time
from gatewise.errors import InputError, quote
from gatewise.target import join_words

_BINARY = {"0": 0, "1": 1, "false": 0, "true": 1, "0.0": 0, "1.0": 1}


@dataclass
class Cells:
    """Rows of a table, by column. problems: what is wrong with a row that cannot be used, by its number."""

    rows: list[dict[str, Any]]
    problems: dict[int, str] = field(default_factory=dict)

    def fail(self, row: int, reason: str) -> None:
        """Note what is wrong with a row, unless something is."""
        self.problems.setdefault(row, reason)

    def column(self, name: str) -> list[Any]:
        """The cells of a column."""
        try:
            return [row[name] for row in self.rows]
        except KeyError:  # of a JSON record
            for n, row in enumerate(self.rows):
                if name not in row:
                    self.fail(n, f"no key {quote(name)}; there are {', '.join(quote(key) for key in list(row)[:20])}")
            return [row.get(name) for row in self.rows]

    def names(self, name: str, needed: bool = True) -> list[Any]:
        """The names in a column, texts without spaces around them, also of lists; "" where one is missing, which is a
        problem if it is needed. 0 and false are names.
        """

        def named(n: int, cell: Any) -> Any:
            cell = cell.strip() if isinstance(cell, str) else cell
            if cell == "" or (not isinstance(cell, str) and is_missing(cell)):
                if needed:
                    self.fail(n, f"{quote(name)} is empty")
                return ""
            if not isinstance(cell, str | bool | int | float):
                self.fail(n, f"{quote(name)} must be a text, a number or true/false")
            return cell

        cells = enumerate(self.column(name))
        return [[named(n, one) for one in cell] if isinstance(cell, list) else named(n, cell) for n, cell in cells]

    def texts(self, column: list[Any]) -> list[Any]:
        """The cells of a column with texts for lists of words."""
        out = []
        for n, cell in enumerate(column):
            try:
                out.append(join_words(cell))
            except InputError as error:
                self.fail(n, str(error))
                out.append("")
        return out

    def binary(self, name: str) -> list[int]:
        """The 0 and 1 of a column of labels."""
        cells = self.names(name)
        for n, cell in enumerate(cells):
            if str(cell).lower() not in _BINARY:
                self.fail(n, f"{quote(name)} must be 0 or 1, not {quote(cell)}")
        return [_BINARY.get(str(cell).lower(), 0) for cell in cells]

    def numbers(self, name: str, needed: bool = False, hint: str = "", limit: float = math.inf) -> NDArray[np.float64]:
        """The numbers (n,) in a column, NaN for a missing one, which is a problem if it is needed. hint: what the
        message about another value ends with. limit: of their size.
        """
        out = []
        for n, cell in enumerate(self.column(name)):
            number = math.nan
            try:
                number = number_of(cell, limit)
            except InputError as error:
                self.fail(n, f"{quote(name)} {error}{hint}")
            if needed and number != number:
                self.fail(n, f"{quote(name)} is empty")
            out.append(number)
        return np.array(out, dtype=np.float64)

    def times(self, name: str) -> list[Time]:
        """The times in a column."""
        out: list[Time] = []
        for n, cell in enumerate(self.column(name)):
            try:
                out.append(parse_time(cell))
            except InputError as error:
                self.fail(n, str(error))
                out.append(math.nan)
        return out
