"""The rows of a user with their numeric and categorical columns: `Row` joins both, `split_rows` takes them apart."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
from gatewise.data.schema import NO_ROW_COLUMNS, RowSchema
from gatewise.errors import InputError, counted, quote

_HOW = "pass a data frame or gatewise.data.with_columns; on the command line --column NAME=VALUE"


@dataclass(frozen=True, eq=False)
class Row:
    """A text or a series with the columns of its row.

    input: a str, or an array (length, channels). columns: the values by name.
    """

    input: Any
    columns: Mapping[str, Any]

    def __len__(self) -> int:
        """The characters of the text, or the steps of the series."""
        return len(self.input)


def with_columns(inputs: Any, columns: Any) -> Any:
    """Texts or series with the columns of their rows, a list of n `Row`, for training and prediction.

    >>> rows = gw.data.with_columns(["Good.", "Bad."], {"stars": [5, 1], "shop": ["A", "B"]})
    >>> rows[0]
    Row(input='Good.', columns={'stars': 5, 'shop': 'A'})

    inputs: n texts or arrays, or one text; or rows, whose columns are replaced. columns: a data frame of n rows, or n
    values by name; of one text a value by name, which gives one `Row`. Raises InputError for another number of values,
    for inputs and columns of pandas with different indexes, and for what has no values by name.
    """
    if not hasattr(columns, "items") and not is_frame(columns):
        raise InputError(f"columns must be a data frame, or values by name, not {described(columns)}")
    if isinstance(inputs, str):
        if is_frame(columns):
            raise InputError("columns of one text are a value by name, such as {'price': 12.5}, not a data frame")
        return Row(inputs, {str(name): value for name, value in columns.items()})
    if is_frame(inputs) or isinstance(inputs, Mapping) or not isinstance(inputs, Iterable):
        raise InputError(f"inputs must be n texts or arrays, not {described(inputs)}")
    if isinstance(columns, Mapping):
        named = {f"column {name}": values for name, values in columns.items()}
        with_index = [
            values for values in (inputs, *named.values()) if hasattr(getattr(values, "index", None), "equals")
        ]
        if with_index:
            check_index(with_index[0], named)
    else:
        check_index(inputs, {"columns": columns})
    items = list(inputs)
    by_name: dict[str, list[Any]] = {}
    for name, values in (frame_columns(columns) if is_frame(columns) else columns).items():
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise InputError(f"column {quote(str(name))} must be a value per row, not {described(values)}")
        by_name[str(name)] = list(values)
    for name, values in by_name.items():
        if len(values) != len(items):
            raise InputError(f"column {quote(name)} has {counted(len(values), 'value')} for {len(items):,} rows")
    rows = []
    for number, item in enumerate(items):
        values_of_row = {name: values[number] for name, values in by_name.items()}
        if isinstance(item, Row):
            item = item.input
        if not isinstance(item, str):
            item = np.asarray(item)
        rows.append(Row(item, values_of_row))
    return rows


def joined_rows(inputs: Sequence[Any], columns: Sequence[Mapping[str, Any]]) -> list[Any]:
    """n `Row` of n inputs and their columns; the inputs alone where there are no columns."""
    return list(map(Row, inputs, columns)) if columns else list(inputs)


def split_rows(
    inputs: Any, schema: RowSchema = NO_ROW_COLUMNS, *, refuse_unread: bool = False
) -> tuple[Any, list[dict[str, float | str]]]:
    """The texts or series of rows, and the columns of each row as a schema reads them (`RowSchema.read`); [] for a
    schema without columns.

    inputs: `Row` of `with_columns`; a data frame, which is returned without these columns; or anything else that
    `gatewise.data.inputs.convert_inputs` takes, which is returned as it is. refuse_unread: whether rows with columns
    are an error for a schema without columns; training would ignore the columns. Raises InputError that names row and
    column, for a row without the columns and for a value that the schema refuses.
    """
    if not schema and type(inputs) is np.ndarray and inputs.dtype.kind != "O":
        return inputs, []  # numbers without columns
    if isinstance(inputs, Row):
        inputs = [inputs]
    if isinstance(inputs, Iterator):
        inputs = list(inputs)
    if schema and is_frame(inputs):
        return without_columns(inputs, schema.names), _read(_frame_rows(inputs, schema.names), schema)
    dtype = getattr(inputs, "dtype", None)
    is_column = isinstance(dtype, np.dtype) and dtype.kind == "O" and inputs.ndim == 1
    rows = list(inputs) if isinstance(inputs, list | tuple) or is_column else []
    has_columns = any(isinstance(row, Row) for row in rows)
    if has_columns and not schema and refuse_unread:
        raise InputError("the rows carry columns: name those that the model reads in numeric and categorical")
    columns: list[dict[str, float | str]] = []
    if schema and _are_rows(inputs):
        columns = _read((row.columns if isinstance(row, Row) else None for row in rows or inputs), schema)
    if has_columns:
        inputs = [row.input if isinstance(row, Row) else row for row in rows]
    return inputs, columns


def _are_rows(inputs: Any) -> bool:
    """Whether the inputs are n rows. The function that reads texts and series refuses what is not."""
    return isinstance(inputs, Iterable) and not isinstance(inputs, str | bytes | Mapping)


def _frame_rows(frame: Any, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The values of these columns in each row."""
    by_name = frame_columns(frame)
    columns = [by_name[find_column(name, list(by_name))] for name in names]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def _read(rows: Iterable[Mapping[str, Any] | None], schema: RowSchema) -> list[dict[str, float | str]]:
    """What the schema reads of the columns of each row, None for a row without columns."""
    columns = []
    for number, row in enumerate(rows):
        if row is None:
            raise InputError(f"row {number}: the model reads the columns {schema} too, and the row has none: {_HOW}")
        try:
            columns.append(schema.read(row))
        except InputError as error:
            raise InputError(f"row {number}: {error}") from None
    return columns


def of_column(columns: Sequence[Mapping[str, Any]], name: str, schema: RowSchema) -> list[NDArray[np.float32]]:
    """A column of n rows as series of one step (1, 1): its numbers, or the numbers of its categories."""
    values: Any = [row[name] for row in columns]
    if name in schema.names_by_type["categorical"]:
        _, values = np.unique(values, return_inverse=True)
    return list(np.asarray(values, dtype=np.float32).reshape(-1, 1, 1))


def without_columns(frame: Any, names: Iterable[str]) -> Any:
    """A data frame without these columns; anything else as it is."""
    names = tuple(names)
    if not names or not is_frame(frame):
        return frame
    frame = readable(frame)
    columns = frame_names(frame)
    column_names = list(map(str, columns))
    removed = {find_column(name, column_names) for name in names}
    kept = [column for column in columns if str(column) not in removed]
    # In pandas, an attribute of these names may be a column.
    if callable(getattr(frame, "select_columns", None)):  # datasets
        return frame.select_columns(kept)
    if callable(getattr(frame, "select", None)):  # polars and PyArrow
        return frame.select(kept)
    return frame[kept]
