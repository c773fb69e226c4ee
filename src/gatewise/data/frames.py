"""Columns by name: those of data frames, of pandas, polars, PyArrow and datasets, which are not imported; and cells."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, printable, quote, required


def find_column(name: str, columns: Sequence[str]) -> str:
    """The column `name` as the table writes it: equal, or the only one that is equal without case and spaces. Raises
    InputError that lists the columns.
    """
    same = [column for column in columns if column == name]
    if len(same) == 1:
        return same[0]
    if same:
        raise InputError(f"there are {len(same)} columns {quote(name)}")
    near = [column for column in columns if _folded(column) == _folded(name)]
    if len(near) == 1:
        return near[0]
    if near:
        raise InputError(f"{quote(name)} may be {' or '.join(map(quote, near))}")
    shown = ", ".join(quote(column) for column in columns[:20]) or "none"
    more = f", … ({len(columns)} in all)" if len(columns) > 20 else ""
    raise InputError(f"no column {quote(name)}; there {'is' if len(columns) == 1 else 'are'} {shown}{more}")


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def joined_texts(columns: Mapping[str, Sequence[Any]], problems: dict[int, str]) -> list[str | None]:
    """The text of each row, of several columns joined by a newline; None where all of them are missing.

    problems: gets the number of a row with a value that is not a text, and what is wrong with it.
    """
    parts: list[Sequence[Any]] = []
    for name, cells in columns.items():
        if not all(type(cell) is str for cell in cells):
            texts: list[Any] = []
            for number, cell in enumerate(cells):
                texts.append(str(cell) if isinstance(cell, str) else None)  # numpy.str_ too
                if texts[-1] is None and not is_missing(cell):
                    problems.setdefault(number, f"column {quote(name)} is {described(cell)}, not a text")
            cells = texts
        parts.append(cells)
    if len(parts) == 1:
        return list(parts[0])
    rows = zip(*parts, strict=True)
    return ["\n".join(part or "" for part in row) if any(part is not None for part in row) else None for row in rows]


def texts_of(columns: Mapping[str, Sequence[Any]], nullable: bool = False) -> list[Any]:
    """The texts in columns of a data frame, see `joined_texts`. nullable: None where a text is missing or blank.

    Raises InputError that names the row, for a value that is not a text too.
    """
    problems: dict[int, str] = {}
    texts = joined_texts(columns, problems)
    name, cells = next(iter(columns.items()))
    for number, text in enumerate(texts):
        if not (text or "").strip():
            what = not_a_text(cells[number]) if is_missing(cells[number]) else "is blank: leave such rows out"
            if not nullable:
                problems.setdefault(number, f"column {quote(name)} {what}")
            texts[number] = None
    for number in sorted(problems)[:1]:
        raise InputError(f"row {number}: {problems[number]}")
    return texts


def is_frame(values: Any) -> bool:
    """Whether it is a data frame: pandas, polars, a PyArrow table or record batch, or datasets.Dataset. Raises
    InputError for a lazy one.
    """
    if type(values).__name__ == "LazyFrame":
        raise InputError("a lazy data frame has no rows yet: call collect() first")
    if isinstance(values, Mapping):
        return False
    return hasattr(values, "column_names") or (hasattr(values, "columns") and hasattr(values, "shape"))


def readable(frame: Any) -> Any:
    """A data frame whose columns can be taken by name: that of a library that only has the Arrow interface, such as a
    DuckDB relation, as a PyArrow table. Raises MissingExtra without PyArrow.
    """
    own = hasattr(frame, "to_numpy") or hasattr(frame, "column_names")
    if own or not is_frame(frame) or not hasattr(frame, "__arrow_c_stream__"):
        return frame
    return required("pyarrow", "data", f"{described(frame)} as a data frame").table(frame)


def frame_names(frame: Any) -> list[Any]:
    """The names of the columns of a data frame."""
    given = getattr(frame, "column_names", None)  # a data frame of pandas has its columns as attributes too
    return given if isinstance(given, list) else list(frame.columns)


def frame_columns(frame: Any) -> dict[str, list[Any]]:
    """The columns of a data frame by name, as lists. Raises InputError for two columns of one name.

    The numbers of a datasets.ClassLabel become the names of the classes.
    """
    frame = readable(frame)
    names, features = frame_names(frame), getattr(frame, "features", None)
    if doubled := [name for name, count in Counter(map(str, names)).items() if count > 1]:
        raise InputError(f"the data frame cannot be read: it has two columns {quote(doubled[0], 40)}")
    columns: dict[str, list[Any]] = {}
    for name in names:
        column = frame[name]
        to_list = getattr(column, "to_pylist", getattr(column, "to_list", None))  # PyArrow; pandas and polars
        values = list(column) if to_list is None else to_list()
        feature = features.get(name) if isinstance(features, Mapping) else None  # of datasets.Dataset
        classes = getattr(getattr(feature, "feature", feature), "names", None)  # of a label, or of a list of labels
        columns[str(name)] = values if classes is None else [_class_names(value, classes) for value in values]
    return columns


def _class_names(value: Any, classes: Sequence[str]) -> Any:
    """The names of the classes with these numbers; None for -1, which is no label."""
    if isinstance(value, list):
        return [_class_names(one, classes) for one in value]
    return None if value is None or value < 0 else classes[value]


def frame_arrays(frame: Any) -> dict[str, NDArray[Any]]:
    """The columns by name, as arrays (rows,). Errors as `frame_columns`."""
    if not hasattr(frame, "to_numpy"):
        return {name: np.asarray(column) for name, column in frame_columns(frame).items()}
    arrays: dict[str, NDArray[Any]] = {}
    for name in frame.columns:
        column = frame[name]
        array = column.to_numpy()
        if array.dtype.kind == "O" and str(column.dtype).lower().startswith(("int", "uint", "float")):
            array = np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))  # a nullable type of pandas
        arrays[str(name)] = array
    return arrays


def check_index(inputs: Any, others: Mapping[str, Any]) -> None:
    """Raise InputError where the inputs and `others` are of pandas and have different indexes: rows are matched by
    position, which may be another order than the owner means.
    """
    index: Any = getattr(inputs, "index", None)
    for name, values in others.items():
        own: Any = getattr(values, "index", None)
        if not (hasattr(index, "equals") and hasattr(own, "equals")) or len(index) != len(own) or index.equals(own):
            continue
        row = next((row for row, (a, b) in enumerate(zip(index, own, strict=True)) if a != b), 0)
        raise InputError(
            f"the inputs and the {name} have different indexes: row {row} is {quote(index[row], 40)} and "
            f"{quote(own[row], 40)}; rows are matched by position: align them, or drop both with reset_index(drop=True)"
        )


def is_real(value: Any) -> bool:
    """Whether it is a real number, NaN included: no boolean, complex number or duration."""
    is_other = isinstance(value, bool | np.bool_ | np.complexfloating | np.timedelta64)
    return isinstance(value, Real | Decimal | np.number) and not is_other


def is_finite(number: Any) -> bool:
    """Whether the number is one of float64: neither NaN nor infinite, nor a whole number above 1e308."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def is_missing(value: Any) -> bool:
    """Whether it is None, NaN, pandas.NA or NaT."""
    if value is None:
        return True
    if hasattr(value, "__len__"):  # a text, a list, an array
        return False
    if type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return True
    return bool(value != value) if not isinstance(value, Decimal) else value.is_nan()  # a signaling one has no order


def missing_name(value: Any) -> str:
    """A missing value as a user writes it: None, NaN, NA."""
    return {"NoneType": "None", "NAType": "NA", "NaTType": "NaT"}.get(type(value).__name__, "NaN")


def not_a_text(row: Any) -> str:
    """Why a row is no text, and what to do about it."""
    if is_missing(row):
        return f"is missing ({missing_name(row)}): leave such rows out, or replace them by a text"
    return f"is {described(row)}, not a text"


def described(value: Any) -> str:
    """What a value is, for messages: a number (7), a list, bytes."""
    if isinstance(value, bool | np.bool_):
        return f"{bool(value)}"
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, int | float | complex | np.number):
        return f"a number ({printable(value, 30)})"
    if isinstance(value, str):
        return f"a text ({quote(value, 30)})"
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def listed(keys: Iterable[Any]) -> str:
    """Names for a message, at most ten."""
    names = [printable(key) for key in keys]
    return ", ".join(names[:10]) + (f", … ({len(names)} in all)" if len(names) > 10 else "")
