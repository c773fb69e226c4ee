"""Predictions as lines, as JSON, and as columns of a table."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from gatewise.errors import printable

if TYPE_CHECKING:
    from gatewise.model.model import Model
    from gatewise.model.prediction_columns import Column
    from gatewise.types import Array

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

    def _columns(self, logits: Array) -> dict[str, Column]:
        from gatewise.model.prediction_columns import prediction_columns

        return prediction_columns(self._target, logits, every=self._every, names=True)

    def rows(self, logits: Array, *, lists: bool) -> list[dict[str, Any]]:
        """The values by column. lists: the labels of a multi-label row are a list, else a text separated by "; "."""
        numbers = self._target.task == "regression"

        def cell(value: Any) -> Any:
            if isinstance(value, list):
                parts = [cell(one) for one in value]
                return parts if lists else _SEPARATOR.join(map(str, parts))
            if isinstance(value, float):
                return float(f"{value:.7g}") if numbers else round(value, 6)
            return value

        columns = [map(cell, column.values) for column in self._columns(logits).values()]
        return [dict(zip(self.names, row, strict=True)) for row in zip(*columns, strict=True)]
