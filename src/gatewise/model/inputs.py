"""What a user passes to `Model.predict` and `Model.evaluate`, for the model's preprocessor.

A list of texts is passed on as it is, so that a prediction imports nothing of `gatewise.data`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gatewise.errors import InputError, quote
from gatewise.model.preprocessor import Preprocessor, SeriesPreprocessor
from gatewise.target import Target
from gatewise.types import NO_COLUMNS, Array, ColumnNames

if TYPE_CHECKING:
    from gatewise.data import Labelled


def encode_inputs(
    preprocessor: Preprocessor, inputs: Any, layout: str | None = None, columns: ColumnNames = NO_COLUMNS
) -> list[Array]:
    """The encoded sequences of n texts or series in any container, or of one of them. columns: where a data frame has
    the texts. Errors as `Model.predict`.
    """
    _refuse_file(inputs, isinstance(preprocessor, SeriesPreprocessor))
    if isinstance(preprocessor, SeriesPreprocessor):
        return preprocessor.encode_batch(inputs, layout)
    _refuse(layout)
    return preprocessor.encode_batch(_texts(inputs, columns.text))


def labelled_for(
    target: Target,
    preprocessor: Preprocessor,
    data: Any,
    labels: Any = None,
    layout: str | None = None,
    columns: ColumnNames = NO_COLUMNS,
) -> Labelled:
    """Labelled data, or inputs with labels, as data for a model that predicts `target`. columns: where a data frame
    without `labels` has the texts and labels.
    """
    from gatewise.data import Labelled
    from gatewise.data.frames import is_frame

    if labels is None and columns.text and columns.label and not isinstance(data, Labelled) and is_frame(data):
        data = Labelled.from_frame(data, text=columns.text, label=columns.label, task=target.task)
    if isinstance(data, Labelled):
        if labels is not None:
            raise InputError("labels are part of the data already")
        if data.task != target.task:
            raise InputError(f"the model was trained for {target.task}, and the labels of the data are for {data.task}")
        return data
    _refuse_file(data, isinstance(preprocessor, SeriesPreprocessor))
    if labels is None:
        raise InputError("labels are missing: one for each text or series")
    if isinstance(preprocessor, SeriesPreprocessor):
        from gatewise.data.inputs import series_of

        rows: Any = series_of(data, layout, preprocessor.scaling.channels)
        layout = "time-first"  # of the rows, whatever that of the data
    else:
        _refuse(layout)
        rows = _texts(data, columns.text)
    names = None if target.task == "classification" else target.classes
    return Labelled.of(rows, labels, task=target.task, classes=names, layout=layout)


def _texts(inputs: Any, columns: Sequence[str]) -> list[Any]:
    if isinstance(inputs, str):
        return [inputs]
    if isinstance(inputs, list | tuple):  # the preprocessor checks each text
        return list(inputs)
    from gatewise.data.inputs import convert_inputs

    return convert_inputs(inputs, "text", columns=columns)


def _refuse(layout: str | None) -> None:
    if layout is not None:
        raise InputError("layout is for series, and this is a model of texts")


def _refuse_file(inputs: Any, series: bool) -> None:
    """Raise InputError for the name of a file that exists, given as one text."""
    if not isinstance(inputs, str | os.PathLike) or not os.path.isfile(inputs):
        return
    read = "read_series({!r}).inputs" if series else "read_texts([{!r}]).texts"
    raise InputError(
        f"{quote(inputs)} is a file: pass what it holds, gatewise.data.{read.format(os.fspath(inputs))}; if it is "
        "the text, pass a list"
    )
