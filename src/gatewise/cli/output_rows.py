"""`OutputRows`: the rows of an output table, input columns and then the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gatewise.cli.predictions import PredictionColumns
from gatewise.errors import DataError, quote

if TYPE_CHECKING:
    from gatewise.data.columns import TableRow
    from gatewise.data.tables import Table
    from gatewise.model.model import Model
    from gatewise.types import Array

JSON_LINES = (".jsonl", ".ndjson")


class OutputRows:
    """Joins rows of `table` with predictions.

    own: the keys of the rows, in order. keep: the columns to write; None: all. every: a column of probabilities per
    class. suffix: of the output, without that of a compression. columns, header: the keys of the output's rows and
    their names in the file. Raises DataError for a column of `keep` that the table does not have.
    """

    def __init__(
        self, model: Model, table: Table, own: Sequence[str], *, suffix: str, every: bool, keep: Sequence[str] | None
    ) -> None:
        self._suffix = suffix
        self._own = list(own) if keep is None else [table.column(name, "--keep") for name in keep]
        self._all = keep is None
        names = dict(zip(table.keys, table.columns, strict=True)) if self._all else {}
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
