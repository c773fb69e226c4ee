"""The rows of a user with their numeric and categorical columns: what carries them, and what reads them by a schema."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import (
    check_index,
    described,
    find_column,
    frame_columns,
    frame_names,
    is_frame,
    readable,
)
from gatewise.data.schema import RowSchema
from gatewise.errors import InputError, counted, quote
from gatewise.row import columns_of
from gatewise.row import with_columns as row_with_columns

T = TypeVar("T")
_HOW = "pass a data frame or gatewise.data.with_columns; on the command line --column NAME=VALUE"


def with_columns(inputs: Any, columns: Any) -> Any:
    """Texts or series that carry the columns of their rows, for training and prediction.

    >>> rows = gw.data.with_columns(["Good.", "Bad."], {"stars": [5, 1], "shop": ["A", "B"]})
    >>> rows[0], rows[0].row
    ('Good.', {'stars': 5, 'shop': 'A'})

    inputs: n texts or arrays, or one text. columns: a data frame of n rows, or n values by name; of one text a value by
    name. Raises InputError for another number of values, for inputs and columns of pandas with different indexes, and
    for what has no values by name.
    """
    if not hasattr(columns, "items") and not is_frame(columns):
        raise InputError(f"columns must be a data frame, or values by name, not {described(columns)}")
    if isinstance(inputs, str):
        if is_frame(columns):
            raise InputError("columns of one text are a value by name, such as {'price': 12.5}, not a data frame")
        return row_with_columns(inputs, {str(name): value for name, value in columns.items()})
    if is_frame(inputs) or isinstance(inputs, Mapping) or not isinstance(inputs, Iterable):
        raise InputError(f"inputs must be n texts or arrays, not {described(inputs)}")
    if isinstance(columns, Mapping):
        named = {f"column {name}": values for name, values in columns.items()}
        indexed = (one for one in (inputs, *named.values()) if hasattr(getattr(one, "index", None), "equals"))
        check_index(next(indexed, None), named)
    else:
        check_index(inputs, {"columns": columns})
    rows, by_name = list(inputs), dict[str, list[Any]]()
    for name, values in (frame_columns(columns) if is_frame(columns) else columns).items():
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise InputError(f"column {quote(str(name))} must be a value per row, not {described(values)}")
        by_name[str(name)] = list(values)
    return carrying(rows, by_name)


def carrying(rows: Sequence[Any], columns: Mapping[str, Sequence[Any]]) -> list[Any]:
    """The texts or arrays with these values of each column. Raises InputError for another number of values."""
    for name, values in columns.items():
        if len(values) != len(rows):
            raise InputError(f"column {quote(name)} has {counted(len(values), 'value')} for {len(rows):,} rows")
    carried = []
    for n, row in enumerate(rows):
        values_of_row = {name: values[n] for name, values in columns.items()}
        carried.append(row_with_columns(row if isinstance(row, str) else np.asarray(row), values_of_row))
    return carried


def rows_with_columns(rows: list[Any], inputs: Any, schema: RowSchema) -> list[Any]:
    """The rows of `inputs` with the columns of a schema, read from it; of other inputs than a data frame the rows as
    they are. Raises InputError as `converted`, and for a column that is not there.
    """
    if not is_frame(inputs):
        return rows
    by_name = frame_columns(inputs)
    found = {name: by_name[find_column(name, list(by_name))] for name in schema.names}
    return converted(carrying(rows, found), schema)


def converted(rows: Sequence[Any], schema: RowSchema) -> list[Any]:
    """The rows with the columns of a schema alone, as numbers and names of categories. Raises InputError that names
    row and column for a row without the column and a value that the schema refuses.
    """
    return list(map(row_with_columns, rows, _each(schema.read, rows, schema)))


def sequences_with_columns(sequences: list[Any], rows: Sequence[Any], schema: RowSchema) -> list[Any]:
    """The sequences of these rows, with what members read of the columns (`RowSchema.values`). Errors as
    `converted`.
    """
    return list(map(row_with_columns, sequences, _each(schema.values, rows, schema)))


def _each(read: Callable[[Mapping[str, Any]], T], rows: Sequence[Any], schema: RowSchema) -> Iterator[T]:
    """What `read` returns for the columns of each row."""
    for number, row in enumerate(rows):
        carried = columns_of(row)
        if carried is None:
            raise InputError(f"row {number}: the model reads the columns {schema} too, and the row has none: {_HOW}")
        try:
            yield read(carried)
        except InputError as error:
            raise InputError(f"row {number}: {error}") from None


def of_column(rows: Sequence[Any], name: str, schema: RowSchema) -> list[NDArray[np.float32]]:
    """A column of converted rows as series of one step (1, 1): its numbers, or the numbers of its categories."""
    values: Any = [columns_of(row)[name] for row in rows]
    if name not in schema.names_by_type["numeric"]:
        values = np.unique(values, return_inverse=True)[1]
    return list(np.asarray(values, dtype=np.float32).reshape(-1, 1, 1))


def refuse_unread(rows: Sequence[Any], schema: RowSchema) -> None:
    """Raise InputError for rows that carry columns where none is named: they would be ignored."""
    if not schema and any(columns_of(row) is not None for row in rows):
        raise InputError("the rows carry columns: name those that the model reads in numeric and categorical")


def without_columns(frame: Any, names: Iterable[str]) -> Any:
    """A data frame without these columns; anything else as it is."""
    names = tuple(names)
    if not names or not is_frame(frame):
        return frame
    frame = readable(frame)
    every = list(map(str, frame_names(frame)))
    taken = {find_column(name, every) for name in names}
    kept = [name for name in frame_names(frame) if str(name) not in taken]
    select = getattr(frame, "select_columns", getattr(frame, "select", None))  # datasets; polars and PyArrow
    return frame[kept] if select is None else select(kept)
