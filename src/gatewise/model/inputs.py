"""What a user passes to `Model.predict` and `Model.evaluate`, for the model's preprocessor.

A list of texts is passed on as it is, so that a prediction imports nothing of `gatewise.data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatewise.errors import InputError
from gatewise.model.preprocessor import Preprocessor, SeriesPreprocessor
from gatewise.target import Target
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.data import Labelled


def encode_inputs(preprocessor: Preprocessor, inputs: Any, layout: str | None = None) -> list[Array]:
    """The encoded sequences of n texts or series in any container, or of one of them. Errors as `Model.predict`."""
    if isinstance(preprocessor, SeriesPreprocessor):
        return preprocessor.encode_batch(inputs, layout)
    _refuse(layout)
    return preprocessor.encode_batch(_texts(inputs))


def labelled_for(
    target: Target, preprocessor: Preprocessor, data: Any, labels: Any = None, layout: str | None = None
) -> Labelled:
    """Labelled data, or inputs with labels, as data for a model that predicts `target`."""
    from gatewise.data import Labelled

    if isinstance(data, Labelled):
        if labels is not None:
            raise InputError("labels are part of the data already")
        if data.task != target.task:
            raise InputError(f"the model was trained for {target.task}, and the labels of the data are for {data.task}")
        return data
    if labels is None:
        raise InputError("labels are missing: one for each text or series")
    if isinstance(preprocessor, SeriesPreprocessor):
        from gatewise.data.inputs import series_of

        rows: Any = series_of(data, layout, preprocessor.scaling.channels)
        layout = "time-first"  # of the rows, whatever that of the data
    else:
        _refuse(layout)
        rows = _texts(data)
    names = None if target.task == "classification" else target.classes
    return Labelled.of(rows, labels, task=target.task, classes=names, layout=layout)


def _texts(inputs: Any) -> list[Any]:
    if isinstance(inputs, str):
        return [inputs]
    if isinstance(inputs, list | tuple):  # the preprocessor checks each text
        return list(inputs)
    from gatewise.data.inputs import convert_inputs

    return convert_inputs(inputs, "text")


def _refuse(layout: str | None) -> None:
    if layout is not None:
        raise InputError("layout is for series, and this is a model of texts")
