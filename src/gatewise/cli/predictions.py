"""Predictions as lines, as JSON, and as columns of a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from gatewise.errors import DataError, printable, quote
from gatewise.model.prediction_columns import column_names, prediction_columns

if TYPE_CHECKING:
    from gatewise.cli.inputs import SeriesTable
    from gatewise.data.columns import TableRow
    from gatewise.data.tables import Table
    from gatewise.model.model import Model
    from gatewise.types import Array

JSON_LINES = (".jsonl", ".ndjson")
_SEPARATOR = "; "


def as_lines(model: Model, logits: Array) -> list[str]:
    """One line per input: label, tab, probability; the labels of a multi-label model; numbers of a regression."""
    number = "{:.6g}" if model.task == "regression" else "{:.4f}"

    def shown(value: Any) -> str:
        if isinstance(value, list):
            return _SEPARATOR.join(map(shown, value))
        return printable(value) if isinstance(value, str) else number.format(value)

    found = prediction_columns(model.target, logits, every=False, names=True)
    return ["\t".join(map(shown, row)) for row in zip(*(column.values for column in found.values()), strict=True)]


def as_json(model: Model, logits: Array) -> list[dict[str, Any]]:
    """One object per input: label (multi-label: labels) and probabilities; for regression the numbers by name."""
    target, name = model.target, "labels" if model.task == "multilabel" else "label"
    if model.task == "regression":
        return [{"prediction": dict(zip(model.classes, row.tolist(), strict=True))} for row in target.predicted(logits)]
    labels = prediction_columns(target, logits, every=False, names=True)["label"].values
    rows = target.probabilities(logits).tolist()
    return [
        {name: label, "probabilities": dict(zip(model.classes, row, strict=True))}
        for label, row in zip(labels, rows, strict=True)
    ]


def added_names(model: Model, every: bool, taken: Collection[str]) -> list[str]:
    """The names of the columns that predictions add to a table. every: a column of probabilities per class, else one
    for the label. taken: names of other columns; a name that is among them gets "predicted_" in front.
    """
    names: list[str] = []
    for name in column_names(model.target, every):
        while name in taken or name in names:
            name = f"predicted_{name}"
        names.append(name)
    return names


class OutputRows:
    """Joins rows of `table` with predictions.

    keep: the columns to write; None: all. every: a column of probabilities per class. suffix: of the output, without
    that of a compression. columns, header: the keys of the output's rows and their names in the file. Raises DataError
    for a column of `keep` that the table does not have.
    """

    def __init__(self, model: Model, table: Table | SeriesTable, keep: Sequence[str], every: bool, suffix: str) -> None:
        self._target, self._every, self._suffix, self._all = model.target, every, suffix, not keep
        self._own = [table.column(name, "--keep") for name in keep] or list(table.keys)
        names = {} if keep else dict(zip(table.keys, table.columns, strict=True))
        header = [names.get(name, name) for name in self._own]
        self._added = added_names(model, every, {*self._own, *header})
        self.columns = [*self._own, *self._added]
        self.header = [*header, *self._added]
        self._names = set(self.columns)

    def join(self, batch: Sequence[TableRow], logits: Array) -> list[dict[str, Any]]:
        """The output's rows for rows of the table and their logits (n, outputs). Raises DataError for a row whose
        columns do not fit those of the first row.
        """
        found = prediction_columns(self._target, logits, every=self._every, names=True)
        new = zip(*(map(self._cell, column.values) for column in found.values()), strict=True)
        return [
            self._own_cells(row) | dict(zip(self._added, cells, strict=True))
            for row, cells in zip(batch, new, strict=True)
        ]

    def _cell(self, value: Any) -> Any:
        """A value as it is written. The labels of a row are a list, or in CSV a text separated by "; "."""
        if isinstance(value, list):
            parts = [self._cell(one) for one in value]
            return parts if self._suffix in (*JSON_LINES, ".parquet") else _SEPARATOR.join(map(str, parts))
        if isinstance(value, float):
            return float(f"{value:.7g}") if self._target.task == "regression" else round(value, 6)
        return value

    def _own_cells(self, row: TableRow) -> dict[str, Any]:
        values = dict(row.values) if self._all else {name: row.values[name] for name in self._own if name in row.values}
        if name := next((name for name in self._added if name in values), None):
            raise DataError(f"{row.where}: the column {quote(name)} is in this row, but not in the first one")
        if self._suffix not in JSON_LINES and not values.keys() <= self._names:
            extra = next(name for name in values if name not in self._names)
            raise DataError(
                f"{row.where}: {quote(extra)} is not among the columns of the first row: write .jsonl instead"
            )
        return values
