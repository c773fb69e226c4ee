"""Predictions as columns: label and probability, or the numbers of a regression."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gatewise.target import Target
from gatewise.types import Array, LabelType

EXPLANATION = ("tokens", "attributions", "attribution_target")
"""The columns of an explanation: what the network reads, the score of each, and what positive scores favour."""


class Column(NamedTuple):
    """Values (n,), None for a row without a prediction, and their type. lists: each value is a list of that type."""

    values: list[Any]
    kind: LabelType
    lists: bool = False


def prediction_columns(target: Target, logits: Array, *, every: bool, names: bool) -> dict[str, Column]:
    """The columns of logits (n, outputs) by name: label and probability; prediction for a regression.

    every: in place of probability, that of the label, a column per class, probability_NAME. names: labels are the names
    of the classes, not values of the labels' own type. The labels of a multi-label row are a list. A regression of
    several numbers has a column prediction_NAME for each.
    """
    if target.task == "regression":
        columns = ["prediction"] if len(target.classes) == 1 else [f"prediction_{name}" for name in target.classes]
        numbers = target.predicted(logits)
        return {name: Column(numbers[:, k].tolist(), "float") for k, name in enumerate(columns)}
    probabilities = target.probabilities(logits)
    decided = target.decide(probabilities)
    classes: list[Any] = list(target.classes) if names else target.class_labels.tolist()
    kind: LabelType = "str" if names else target.label_type
    if target.task == "multilabel":
        own = [np.flatnonzero(row).tolist() for row in decided]
        label = Column([[classes[k] for k in chosen] for chosen in own], kind, lists=True)
        top = Column([row[chosen].tolist() for row, chosen in zip(probabilities, own, strict=True)], "float", True)
    else:
        label = Column([classes[k] for k in decided.tolist()], kind)
        top = Column(probabilities[np.arange(len(decided)), decided].tolist(), "float")
    if not every:
        return {"label": label, "probability": top}
    each = {f"probability_{name}": probabilities[:, k].tolist() for k, name in enumerate(target.classes)}
    return {"label": label, **{name: Column(values, "float") for name, values in each.items()}}


def column_names(target: Target, every: bool) -> list[str]:
    """The names of `prediction_columns`."""
    return list(prediction_columns(target, np.zeros((0, target.outputs)), every=every, names=True))
