"""`Scorer`: a model as a function of table batches, for Ray Data, Spark, Dask and process pools.

>>> import gatewise as gw
>>> scorer = gw.Scorer("models/reviews", text="review")  # doctest: +SKIP
>>> dataset.map_batches(scorer, batch_format="pyarrow")  # doctest: +SKIP
>>> frame.map_partitions(scorer, meta=scorer(frame._meta))  # doctest: +SKIP

A Scorer holds the path of the model, so that its pickle has some hundred bytes. Each process loads the model at the
first call and keeps it for the following ones.
"""

import hashlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.frames import described, find_column, texts_of
from gatewise.data.inputs import one_series
from gatewise.data.row_columns import Row
from gatewise.errors import InputError, ModelFileError, quote, warn
from gatewise.model import Model, bundled
from gatewise.model.model import load
from gatewise.ragged import concatenated
from gatewise.storage.atomic import read_regular
from gatewise.storage.folder import MANIFEST
from gatewise.target import EXPLANATION, Column, Logits
from gatewise.types import Array, Precision

_ROWS = 4096  # whose logits are computed at once
_MODELS = 4  # kept in a process
_MAX_MANIFEST = 1 << 20  # bytes


@dataclass(frozen=True)
class Scorer:
    """A callable that adds the predictions of a model to a batch of rows. It can be pickled.

    model: path of a model folder, "hf://owner/name@revision", or None for the bundled model. A folder that exists here
    is held by its absolute path and `fingerprint`, the SHA-256 of its manifest: another model under this path raises
    ModelFileError in the worker. text: the text column; several are joined by a newline; None: the columns of the
    table that the model was trained on, else "text". series: for a model of series, the column whose cells are series,
    lists or arrays (steps,) or (steps, channels); or the columns of numbers that are the steps, in order.

    A call takes a pyarrow.Table or RecordBatch, a DataFrame of pandas or polars, or a dict of arrays (n,) by column
    name, and returns the same type, with the same rows in the same order and the new columns at the end:

        label, probability        the predicted label in the type of the training labels, and its probability
        label, probability_NAME   with probabilities="all": one column per class
        prediction                of a regression; prediction_NAME where it predicts several numbers
        tokens, attributions, attribution_target   with `explain`: the words that the network reads, the score of
                                  each, and the class that positive scores favour, see `Model.explain`

    For multi-label models label and probability are lists. explain: True for the attribution method that measured best
    on this model, or the name of a method. columns: other names for new columns, as in {"label": "predicted_label"}.
    missing: "raise", or "null" for null predictions where a text is missing or blank, or a series. precision: see
    `Model`.

    Raises InputError for a batch of another type, a column that is missing, a new column whose name the batch has
    already, a value that is not a text or a series (with its row), and `text` for a model of series or the other way
    round; errors of the model as `gatewise.load`.
    """

    model: str | Path | None
    text: str | Sequence[str] | None = None
    series: str | Sequence[str] | None = field(default=None, kw_only=True)
    probabilities: str = field(default="top", kw_only=True)
    explain: bool | str = field(default=False, kw_only=True)
    columns: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    missing: str = field(default="raise", kw_only=True)
    precision: Precision = field(default="float32", kw_only=True)
    fingerprint: str | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.model, str | os.PathLike | None):
            raise InputError(
                f"Scorer takes the path of a model, not {described(self.model)}: save it, and pass the path"
            )
        for name, value, known in (
            ("probabilities", self.probabilities, ("top", "all")),
            ("missing", self.missing, ("raise", "null")),
        ):
            if value not in known:
                raise InputError(f"{name} must be {' or '.join(known)}, not {quote(value)}")
        for name, columns in (("text", self.text), ("series", self.series)):
            if columns is not None and not columns:
                raise InputError(f"there must be at least one {name} column")
        if isinstance(self.explain, str):
            from gatewise.explain import METHODS

            if self.explain not in METHODS:
                raise InputError(f"explain must be True or one of {', '.join(METHODS)}, not {quote(self.explain)}")
        folder = self._folder()
        if folder is not None and (folder / MANIFEST).is_file():
            if self.model is not None:
                object.__setattr__(self, "model", str(folder.resolve()))
            if self.fingerprint is None:
                manifest = read_regular(folder / MANIFEST, _MAX_MANIFEST)  # it has the digest of each file
                object.__setattr__(self, "fingerprint", hashlib.sha256(manifest).hexdigest())

    def __call__(self, batch: Any) -> Any:
        """The batch with the new columns."""
        names, nullable = _names(batch), self.missing == "null"
        model = _load(str(self._folder() or self.model), self.precision, self.fingerprint)
        if model.preprocessor.inputs.further:
            arrays = ", ".join([model.ensemble.network.main_input, *model.preprocessor.inputs.further])
            raise InputError(f"a table has no columns for the arrays {arrays}: use Model.predict")
        given = self.series if model.channels else self.text or model.metadata.columns.text or "text"
        if not given or (self.text if model.channels else self.series):
            own, other = ("series", "text") if model.channels else ("text", "series")
            raise InputError(
                f"{quote(self.model, 200)}: the model takes {own}: name its columns with {own}=, not {other}="
            )
        inputs = self._inputs(model, batch, names, given)
        new = self._predict(model, inputs)
        unknown = [name for name in self.columns if name not in new]
        if unknown:
            raise InputError(f"columns: there is no new column {quote(unknown[0])}; there are {', '.join(new)}")
        renamed: dict[str, Column] = {}
        for name, column in new.items():
            own = self.columns.get(name, name)
            if own in names or own in renamed:
                raise InputError(
                    f"the batch has a column {quote(own)} already: give the new one another name, for example "
                    f"columns={{{name!r}: {f'predicted_{name}'!r}}}"
                )
            renamed[own] = column
        return _with_columns(batch, renamed, nullable)

    def _inputs(self, model: Model, batch: Any, names: list[str], given: str | Sequence[str]) -> list[Any]:
        """The text or series of each row with its columns; None for a missing one, if that is allowed. given: the
        columns of the texts or series.
        """
        nullable = self.missing == "null"

        def values_of(name: str) -> list[Any]:
            column = find_column(name, names)
            return _values(batch, names.index(column), column)

        cells = {name: values_of(name) for name in ([given] if isinstance(given, str) else given)}
        inputs: list[Any]
        if not model.channels:
            inputs = texts_of(cells, nullable)
        elif isinstance(given, str):
            inputs = [_series(row, cell, model.channels, nullable) for row, cell in enumerate(cells[given])]
        else:
            rows = zip(*cells.values(), strict=True)
            inputs = [_series(row, cell, model.channels, nullable) for row, cell in enumerate(rows)]
        columns = {name: values_of(name) for name in model.preprocessor.columns.names}
        if not columns:
            return inputs
        carried = []
        for row, one in enumerate(inputs):
            values = {name: column[row] for name, column in columns.items()}
            carried.append(None if one is None else Row(one, values))
        return carried

    def _folder(self) -> Path | None:
        """The folder of the model; None for one on the Hub."""
        return None if str(self.model).startswith("hf://") else bundled.resolve(self.model)

    def _predict(self, model: Model, inputs: list[Any]) -> dict[str, Column]:
        """The new columns by their default names, from the text or series of each row; None where there is none."""
        places = [row for row, one in enumerate(inputs) if one is not None]
        present = [one for one in inputs if one is not None]
        parts, outside = [], model.outside()
        for at in range(0, len(present), _ROWS):
            try:
                parts.append(model.logits(present[at : at + _ROWS], outside=outside))
            except InputError as error:
                if row := re.match("row ([0-9]+)(?=[:, ])", str(error)):  # of those given to the model
                    raise InputError(f"row {places[at + int(row[1])]}{str(error)[row.end() :]}") from None
                raise
        for message in outside.messages():
            warn(message)
        logits: Logits = np.zeros((0, model.target.outputs))
        if parts:
            logits = reduce(concatenated, parts)
        found = model.target.columns(logits, every=self.probabilities == "all", names=False)
        if self.explain:
            method = None if self.explain is True else self.explain
            explained = (model.explain(model.example(one, model.outside()), method) for one in present)
            rows = [(list(e.steps), e.scores.tolist(), e.target) for e in explained]
            tokens, attributions, target = ([row[k] for row in rows] for k in range(3))
            columns = Column(tokens, "str", True), Column(attributions, "float", True), Column(target, "str")
            found |= dict(zip(EXPLANATION, columns, strict=True))
        if len(present) == len(inputs):
            return found

        def spread(column: Column) -> Column:
            values: list[Any] = [None] * len(inputs)
            for place, value in zip(places, column.values, strict=True):
                values[place] = value
            return column._replace(values=values)

        return {name: spread(column) for name, column in found.items()}


def _with_nan(cell: Any) -> Any:
    """The lists of a series with NaN for None and pandas.NA, as which tables hold a missing number."""
    if isinstance(cell, list | tuple):
        return [math.nan if one is None or type(one).__name__ == "NAType" else _with_nan(one) for one in cell]
    return cell


def _series(row: int, cell: Any, channels: int, nullable: bool) -> Array | None:
    """A series as `Model.predict` takes it; None for a missing one, if that is allowed. Raises InputError that names
    the row, for values of another type too.
    """
    if nullable and cell is None:
        return None
    if not hasattr(cell, "__len__") or isinstance(cell, str | bytes | Mapping):
        raise InputError(f"row {row}: {quote(cell, 40)} is not a series of numbers")
    try:
        return one_series(_with_nan(cell), channels)
    except InputError as error:
        raise InputError(f"row {row}: {re.sub('^row 0[:,] ', '', str(error))}") from None


@lru_cache(maxsize=_MODELS)
def _load(path: str, precision: Precision, fingerprint: str | None) -> Model:
    """The model, loaded once per process: a process pool unpickles a Scorer for every batch."""
    model = load(path, precision=precision)
    if fingerprint is not None and model.manifest_sha256 != fingerprint:
        raise ModelFileError(f"{quote(path, 200)}: the model is another one than when the Scorer was made")
    return model


def _module(batch: Any) -> str:
    return type(batch).__module__.partition(".")[0]


def _names(batch: Any) -> list[str]:
    """The names of the columns. Raises InputError for a batch of another type."""
    if isinstance(batch, Mapping):
        return [str(name) for name in batch]
    if _module(batch) == "pyarrow" and hasattr(batch, "schema"):
        return list(batch.schema.names)
    if _module(batch) in ("pandas", "polars") and hasattr(batch, "columns"):
        return [str(name) for name in batch.columns]
    package = "" if _module(batch) == "builtins" else f" of {_module(batch)}"
    raise InputError(
        "a batch must be a PyArrow table or record batch, a data frame of pandas or polars or a dict of arrays, not "
        f"{described(batch)}{package}"
    )


def _values(batch: Any, place: int, name: str) -> list[Any]:
    """The values of a column as a list."""
    if isinstance(batch, Mapping):
        column = list(batch.values())[place]
        if not isinstance(column, np.ndarray):
            return list(column)  # not as an array: numbers among texts would become texts
        if column.ndim != 1 and column.dtype.kind not in "fiu":  # numbers may be series
            raise InputError(f"column {quote(name)}: an array of shape {column.shape}, not (n,)")
        return list(column) if column.ndim > 1 else list(column.tolist())
    if _module(batch) == "pyarrow":
        return list(batch.column(place).to_pylist())
    return list((batch.iloc[:, place] if _module(batch) == "pandas" else batch.to_series(place)).to_list())


def _with_columns(batch: Any, columns: Mapping[str, Column], nullable: bool) -> Any:
    """A copy of the batch with the columns. nullable: they have types that can hold null, in every batch."""
    if isinstance(batch, Mapping):
        return {**batch, **{name: _array(column, nullable) for name, column in columns.items()}}
    if _module(batch) == "pandas":
        import pandas

        dtypes = {
            "float": "float64",
            "int": "Int64" if nullable else "int64",
            "bool": "boolean" if nullable else "bool",
        }
        return batch.assign(
            **{
                name: pandas.Series(values, batch.index, dtype=object if lists else dtypes.get(kind, object))
                for name, (values, kind, lists) in columns.items()
            }
        )
    if _module(batch) == "polars":
        import polars

        kinds = {"str": polars.String, "int": polars.Int64, "float": polars.Float64, "bool": polars.Boolean}
        return batch.with_columns(
            polars.Series(name, values, polars.List(kinds[kind]) if lists else kinds[kind])
            for name, (values, kind, lists) in columns.items()
        )
    import pyarrow

    types = {"str": pyarrow.string(), "int": pyarrow.int64(), "float": pyarrow.float64(), "bool": pyarrow.bool_()}
    for name, (values, kind, lists) in columns.items():
        array = pyarrow.array(values, pyarrow.list_(types[kind]) if lists else types[kind])
        batch = batch.append_column(name, array if isinstance(batch, pyarrow.RecordBatch) else [array])
    return batch


def _array(column: Column, nullable: bool) -> Array:
    """The values as an array (n,): of objects for lists and, if nullable, for labels; NaN for a missing number."""
    if column.kind == "float" and not column.lists:
        return np.array(column.values, dtype=np.float64)
    if not column.lists and not nullable and column.values:
        return np.array(column.values)
    out = np.empty(len(column.values), dtype=object)
    for row, value in enumerate(column.values):  # NumPy would make one array of lists of one length
        out[row] = value
    return out
