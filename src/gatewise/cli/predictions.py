"""Predictions as lines, as JSON, and as columns of a table."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from gatewise.errors import printable

if TYPE_CHECKING:
    from gatewise.model.model import Model
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
        self._model, self._every = model, every
        task, classes = model.task, model.classes
        if task == "regression":
            names = ["prediction"] if len(classes) == 1 else [f"prediction_{name}" for name in classes]
        else:
            names = ["label", *([f"probability_{name}" for name in classes] if every else ["probability"])]
        self.names: list[str] = []
        for name in names:
            while name in taken or name in self.names:
                name = f"predicted_{name}"
            self.names.append(name)

    def rows(self, logits: Array, *, lists: bool) -> list[dict[str, Any]]:
        """The values by column. lists: the labels of a multi-label row are a list, else a text separated by "; "."""
        target, classes = self._model.target, self._model.classes
        if target.task == "regression":
            rows = target.predicted(logits).tolist()
            return [{name: float(f"{value:.7g}") for name, value in zip(self.names, row, strict=True)} for row in rows]
        probabilities = target.probabilities(logits)
        out = []
        for row, decided in zip(probabilities.tolist(), target.decide(probabilities).tolist(), strict=True):
            own = [decided] if target.task == "classification" else [k for k, chosen in enumerate(decided) if chosen]
            label: Any = [classes[k] for k in own]
            top: Any = [round(row[k], 6) for k in own]
            if target.task == "classification":
                label, top = label[0], top[0]
            elif not lists:
                label, top = _SEPARATOR.join(label), _SEPARATOR.join(map(str, top))
            values = [label, *([round(p, 6) for p in row] if self._every else [top])]
            out.append(dict(zip(self.names, values, strict=True)))
        return out
