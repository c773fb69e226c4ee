"""Predictions as lines and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatewise.errors import printable
from gatewise.target import prediction_columns

if TYPE_CHECKING:
    from gatewise.model.model import Model
    from gatewise.types import Array

SEPARATOR = "; "


def as_lines(model: Model, logits: Array) -> list[str]:
    """One line per input: label, tab, probability; the labels of a multi-label model; numbers of a regression."""
    number = "{:.6g}" if model.task == "regression" else "{:.4f}"

    def shown(value: Any) -> str:
        if isinstance(value, list):
            return SEPARATOR.join(map(shown, value))
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
