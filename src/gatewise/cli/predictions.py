"""Predictions as lines, as JSON, and as columns of a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from gatewise.errors import DataError, printable, quote

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
    target = model.target
    if target.task == "regression":
        return ["\t".join(f"{value:.6g}" for value in row) for row in target.predicted(logits)]
    probabilities = target.probabilities(logits)
    lines = []
    for row, decided in zip(probabilities, target.decide(probabilities), strict=True):
        if target.task == "multilabel":
            own = [k for k, chosen in enumerate(decided) if chosen]
            names = _SEPARATOR.join(printable(model.classes[k]) for k in own)
            lines.append(f"{names}\t{_SEPARATOR.join(f'{row[k]:.4f}' for k in own)}")
        else:
            lines.append(f"{printable(model.classes[decided])}\t{row[decided]:.4f}")
    return lines


def as_json(model: Model, logits: Array) -> list[dict[str, Any]]:
    """One object per input: label (multi-label: labels) and probabilities; for regression the numbers by name."""
    target = model.target
    if target.task == "regression":
        return [{"prediction": dict(zip(model.classes, row.tolist(), strict=True))} for row in target.predicted(logits)]
    probabilities = target.probabilities(logits)
    found: list[dict[str, Any]] = []
    for row, decided in zip(probabilities, target.decide(probabilities), strict=True):
        if target.task == "multilabel":
            label: dict[str, Any] = {"labels": [model.classes[k] for k, chosen in enumerate(decided) if chosen]}
        else:
            label = {"label": model.classes[decided]}
        found.append({**label, "probabilities": dict(zip(model.classes, row.tolist(), strict=True))})
    return found


class PredictionColumns:
    """The columns that predictions add to a table: label and probabilities, or for regression prediction.

    every: a column of probabilities per class, else one for the label. taken: names of other columns; a name that is
    among them gets "predicted_" in front.
    """

    def __init__(self, model: Model, every: bool, taken: Collection[str]) -> None:
        from gatewise.model.prediction_columns import column_names

        self._target, self._every = model.target, every
        self.names: list[str] = []
        for name in column_names(self._target, every):
            while name in taken or name in self.names:
                name = f"predicted_{name}"
            self.names.append(name)

    def rows(self, logits: Array, *, lists: bool) -> list[dict[str, Any]]:
        """The values by column. lists: the labels of a multi-label row are a list, else a text separated by "; "."""
        from gatewise.model.prediction_columns import prediction_columns

        numbers = self._target.task == "regression"

        def cell(value: Any) -> Any:
            if isinstance(value, list):
                parts = [cell(one) for one in value]
                return parts if lists else _SEPARATOR.join(map(str, parts))
            if isinstance(value, float):
                return float(f"{value:.7g}") if numbers else round(value, 6)
            return value

        found = prediction_columns(self._target, logits, every=self._every, names=True)
        columns = [map(cell, column.values) for column in found.values()]
        return [dict(zip(self.names, row, strict=True)) for row in zip(*columns, strict=True)]


class OutputRows:
    """Joins rows of `table` with predictions.

    keep: the columns to write; None: all. every: a column of probabilities per class. suffix: of the output, without
    that of a compression. columns, header: the keys of the output's rows and their names in the file. Raises DataError
    for a column of `keep` that the table does not have.
    """

    def __init__(
        self, model: Model, table: Table | SeriesTable, keep: Sequence[str] | None, every: bool, suffix: str
    ) -> None:
        self._suffix, self._all = suffix, keep is None
        self._own = list(table.keys) if keep is None else [table.column(name, "--keep") for name in keep]
        names = dict(zip(table.keys, table.columns, strict=True)) if keep is None else {}
        header = [names.get(name, name) for name in self._own]
        self._added = PredictionColumns(model, every, {*self._own, *header})
        self.columns = [*self._own, *self._added.names]
        self.header = [*header, *self._added.names]
        self._names = set(self.columns)

    def join(self, batch: Sequence[TableRow], logits: Array) -> list[dict[str, Any]]:
        """The output's rows for rows of the table and their logits (n, outputs). Raises DataError for a row whose
        columns do not fit those of the first row.
        """
        new = self._added.rows(logits, lists=self._suffix in (*JSON_LINES, ".parquet"))
        return [self._row(row, one) for row, one in zip(batch, new, strict=True)]

    def _row(self, row: TableRow, predicted: dict[str, Any]) -> dict[str, Any]:
        values = row.values if self._all else {name: row.values[name] for name in self._own if name in row.values}
        if any(name in values for name in self._added.names):
            name = next(name for name in self._added.names if name in values)
            raise DataError(f"{row.where}: the column {quote(name)} is in this row, but not in the first one")
        if self._suffix not in JSON_LINES and not values.keys() <= self._names:
            extra = next(name for name in values if name not in self._names)
            raise DataError(
                f"{row.where}: {quote(extra)} is not among the columns of the first row: write .jsonl instead"
            )
        return values | predicted
