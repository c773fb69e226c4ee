"""Data frames of pandas, polars, PyArrow and datasets, which are recognised without importing these packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, MissingExtra, quote


def is_frame(values: Any) -> bool:
    """Whether it is a data frame: pandas, polars, a PyArrow table or record batch, or datasets.Dataset. Raises
    InputError for a lazy one.
    """
    if type(values).__name__ == "LazyFrame":
        raise InputError("a lazy data frame has no rows yet: call collect() first")
    if isinstance(values, Mapping):
        return False
    return hasattr(values, "column_names") or (hasattr(values, "columns") and hasattr(values, "shape"))


def frame_columns(frame: Any) -> dict[str, list[Any]]:
    """The columns of a data frame by name, as lists. Raises InputError for two columns of one name.

    The numbers of a datasets.ClassLabel become the names of the classes.
    """
    if hasattr(frame, "features") and hasattr(frame, "column_names"):  # datasets.Dataset
        return {str(column): _dataset_column(frame, column) for column in frame.column_names}
    try:
        import narwhals as nw
    except ImportError:
        raise MissingExtra("narwhals", "data", "a data frame") from None
    if type(frame).__module__.startswith("pyarrow") and not hasattr(frame, "to_reader"):
        frame = _table_of(frame)
    try:
        eager = nw.from_native(frame, eager_only=True)
        return {str(column): eager.get_column(column).to_list() for column in eager.columns}
    except (TypeError, nw.exceptions.NarwhalsError) as error:
        raise InputError(f"the data frame cannot be read: {quote(error, 200)}") from None


def frame_arrays(frame: Any) -> dict[str, NDArray[Any]]:
    """The columns by name, as arrays (rows,). For pandas and polars without narwhals. Errors as `frame_columns`."""
    if not hasattr(frame, "to_numpy"):
        return {name: np.asarray(column) for name, column in frame_columns(frame).items()}
    return {str(name): _array_of(frame[name]) for name in frame.columns}


def _array_of(column: Any) -> NDArray[Any]:
    array: NDArray[Any] = column.to_numpy()
    if array.dtype.kind == "O" and str(column.dtype).lower().startswith(("int", "uint", "float")):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))  # a nullable type of pandas
    return array


def _dataset_column(dataset: Any, column: str) -> list[Any]:
    feature = (dataset.features or {}).get(column)
    inner = getattr(feature, "feature", feature)  # of a list of labels
    names = getattr(inner, "names", None)
    if names is None:
        return list(dataset[column])

    def name(value: Any) -> Any:
        if isinstance(value, list):
            return [name(one) for one in value]
        return None if value is None or value < 0 else names[value]  # -1: no label

    return [name(value) for value in dataset[column]]


def _table_of(batch: Any) -> Any:
    """The PyArrow table of a record batch, which narwhals does not take."""
    import pyarrow

    return pyarrow.Table.from_batches([batch])
