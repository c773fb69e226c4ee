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
    verb = "is" if len(columns) == 1 else "are"
    raise InputError(f"no column {quote(name)}; there {verb} {shown}{more}")


def _folded(name: str) -> str:
    """The name without case, with one space between its words."""
    return " ".join(name.casefold().split())


def joined_texts(columns: Mapping[str, Sequence[Any]], problems: dict[int, str]) -> list[str | None]:
    """The text of each row, of several columns joined by a newline; None where all of them are missing.

    problems: gets the number of a row with a value that is not a text, and what is wrong with it.
    """
    texts_of_columns = [_texts_of_column(name, cells, problems) for name, cells in columns.items()]
    if len(texts_of_columns) == 1:
        return texts_of_columns[0]
    return [_joined(texts_of_row) for texts_of_row in zip(*texts_of_columns, strict=True)]


def _texts_of_column(name: str, cells: Sequence[Any], problems: dict[int, str]) -> list[str | None]:
    """The text of each cell, None for a missing one. problems: see `joined_texts`."""
    if all(type(cell) is str for cell in cells):
        return list(cells)
    texts: list[str | None] = []
    for number, cell in enumerate(cells):
        if isinstance(cell, str):
            texts.append(str(cell))  # numpy.str_ too
            continue
        texts.append(None)
        if not is_missing(cell):
            problems.setdefault(number, f"column {quote(name)} is {described(cell)}, not a text")
    return texts


def _joined(texts: Sequence[str | None]) -> str | None:
    """The texts joined by a newline, None if all of them are missing."""
    if all(text is None for text in texts):
        return None
    return "\n".join(text or "" for text in texts)


def texts_of(columns: Mapping[str, Sequence[Any]], nullable: bool = False) -> list[Any]:
    """The texts in columns of a data frame, see `joined_texts`. nullable: None where a text is missing or blank.

    Raises InputError that names the first row with a value that is not a text, or, unless nullable, without a text.
    """
    problems: dict[int, str] = {}
    texts = joined_texts(columns, problems)
    name, cells = next(iter(columns.items()))
    for number, text in enumerate(texts):
        if text is not None and text.strip():
            continue
        texts[number] = None
        if not nullable:
            what = not_a_text(cells[number]) if is_missing(cells[number]) else "is blank: leave such rows out"
            problems.setdefault(number, f"column {quote(name)} {what}")
    if problems:
        first = min(problems)
        raise InputError(f"row {first}: {problems[first]}")
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
    takes_names = hasattr(frame, "to_numpy") or hasattr(frame, "column_names")
    if takes_names or not is_frame(frame) or not hasattr(frame, "__arrow_c_stream__"):
        return frame
    return required("pyarrow", "data", f"{described(frame)} as a data frame").table(frame)


def frame_names(frame: Any) -> list[Any]:
    """The names of the columns of a data frame."""
    # PyArrow and datasets have a list here. In pandas it may be a column with this name.
    column_names = getattr(frame, "column_names", None)
    return column_names if isinstance(column_names, list) else list(frame.columns)


def frame_columns(frame: Any) -> dict[str, list[Any]]:
    """The columns of a data frame by name, as lists. Raises InputError for two columns of one name.

    The numbers of a datasets.ClassLabel become the names of the classes.
    """
    frame = readable(frame)
    names = frame_names(frame)
    doubled = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if doubled:
        raise InputError(f"the data frame cannot be read: it has two columns {quote(doubled[0], 40)}")
    columns: dict[str, list[Any]] = {}
    for name in names:
        values = _as_list(frame[name])
        classes = _class_labels(frame, name)
        if classes is not None:
            values = [_class_names(value, classes) for value in values]
        columns[str(name)] = values
    return columns


def _as_list(column: Any) -> list[Any]:
    """The cells of a column of a data frame."""
    if hasattr(column, "to_pylist"):  # PyArrow
        cells = column.to_pylist()
    elif hasattr(column, "to_list"):  # pandas and polars
        cells = column.to_list()
    else:
        cells = column
    return list(cells)


def _class_labels(frame: Any, name: Any) -> Sequence[str] | None:
    """The names of the classes of a column of datasets.Dataset, of one label or a list of labels per row; None for
    other columns.
    """
    features = getattr(frame, "features", None)  # in pandas it may be a column with this name
    if not isinstance(features, Mapping):
        return None
    feature = features.get(name)
    label_feature = getattr(feature, "feature", feature)  # of a list of labels, that of each
    names: Sequence[str] | None = getattr(label_feature, "names", None)
    return names


def _class_names(value: Any, classes: Sequence[str]) -> Any:
    """The name of the class with this number, or the names of a list of them; None for -1, which is no label."""
    if isinstance(value, list):
        return [_class_names(number, classes) for number in value]
    if value is None or value < 0:
        return None
    return classes[value]


def frame_arrays(frame: Any) -> dict[str, NDArray[Any]]:
    """The columns by name, as arrays (rows,). Errors as `frame_columns`."""
    if not hasattr(frame, "to_numpy"):
        return {name: np.asarray(column) for name, column in frame_columns(frame).items()}
    arrays: dict[str, NDArray[Any]] = {}
    for name in frame.columns:
        column = frame[name]
        array = column.to_numpy()
        is_nullable = array.dtype.kind == "O" and str(column.dtype).lower().startswith(("int", "uint", "float"))
        if is_nullable:  # Int64 and the like of pandas, whose to_numpy has pandas.NA
            array = np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
        arrays[str(name)] = array
    return arrays


def check_index(inputs: Any, others: Mapping[str, Any]) -> None:
    """Raise InputError where the inputs and `others` are of pandas and have different indexes.

    Rows are matched by position. Where the indexes differ, the user may mean another order. Different numbers of rows
    are refused later.
    """
    index: Any = getattr(inputs, "index", None)
    if not hasattr(index, "equals"):  # a list has a method of this name
        return
    for name, values in others.items():
        other_index: Any = getattr(values, "index", None)
        if not hasattr(other_index, "equals") or len(index) != len(other_index) or index.equals(other_index):
            continue
        pairs = enumerate(zip(index, other_index, strict=True))
        row = next((row for row, (key, other_key) in pairs if key != other_key), 0)
        raise InputError(
            f"the inputs and the {name} have different indexes: row {row} is {quote(index[row], 40)} and "
            f"{quote(other_index[row], 40)}; rows are matched by position: align them, or drop both with "
            "reset_index(drop=True)"
        )


def is_real(value: Any) -> bool:
    """Whether it is a real number, NaN included: no boolean, complex number or duration."""
    if isinstance(value, bool | np.bool_ | np.complexfloating | np.timedelta64):
        return False
    return isinstance(value, Real | Decimal | np.number)


def is_finite(number: Any) -> bool:
    """Whether float64 can hold the number: it is neither NaN nor infinite, nor a whole number above 1e308."""
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
    if isinstance(value, Decimal):
        return value.is_nan()  # comparing a signaling NaN is an error
    return bool(value != value)


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
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    return f"{article} {kind}"


def listed(keys: Iterable[Any]) -> str:
    """Names for a message, at most ten."""
    names = [printable(key) for key in keys]
    first_ones = ", ".join(names[:10])
    if len(names) > 10:
        return f"{first_ones}, … ({len(names)} in all)"
    return first_ones
