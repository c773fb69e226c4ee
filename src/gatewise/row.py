"""A row of a table: a text or a sequence that carries the numeric and categorical columns of its row.

Whatever is made of a row, a prefix or the row without a step, keeps the columns, and what does not read them sees a
`str` or an array.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class _Text(str):
    row: Any


class _Sequence(np.ndarray[Any, Any]):
    row: Any = None

    def __array_finalize__(self, array: Any) -> None:
        self.row = getattr(array, "row", None)

    def __reduce__(self) -> Any:
        return with_columns, (np.asarray(self), self.row)


def with_columns(row: Any, columns: Any) -> Any:
    """The text or array with these columns: of a user's row their values by name, of a sequence that members read the
    numbers and the names of categories, in the order of the model.
    """
    found: Any = _Text(row) if isinstance(row, str) else np.asarray(row).view(_Sequence)
    found.row = columns
    return found


def columns_of(row: Any) -> Any:
    """The columns of a row; None where it has none."""
    return getattr(row, "row", None) if isinstance(row, _Text | _Sequence) else None
