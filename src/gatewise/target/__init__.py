"""What a model predicts: a class per task, from logits to labels of the user's own type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gatewise.errors import InputError, quote
from gatewise.target.base import (
    EXPLANATION as EXPLANATION,
    Column as Column,
    Logits as Logits,
    RowTarget as RowTarget,
    Target as Target,
    check_logits as check_logits,
)
from gatewise.target.classification import ClassificationTarget as ClassificationTarget
from gatewise.target.multilabel import MultilabelTarget as MultilabelTarget
from gatewise.target.regression import RegressionTarget as RegressionTarget
from gatewise.target.scheme_transitions import Scheme
from gatewise.target.score import TargetScore as TargetScore
from gatewise.target.steps import StepTarget as StepTarget
from gatewise.target.words import SPACED_WORD as SPACED_WORD
from gatewise.target.words import join_words as join_words
from gatewise.target.words import join_words_of_rows as join_words_of_rows
from gatewise.target.words import words_of as words_of
from gatewise.types import LabelType, Task

TASKS: dict[str, type[Target]] = {
    "classification": ClassificationTarget,
    "multilabel": MultilabelTarget,
    "regression": RegressionTarget,
    "tagging": StepTarget,
}
"""The tasks by name. A new task is a class and a line here; `gatewise.types.Task` lists the names for type checkers."""


def target_class(task: str) -> type[Target]:
    """The class of the targets of a task. Raises InputError for an unknown one."""
    if task not in TASKS:
        *first, last = map(repr, TASKS)
        raise InputError(f"task must be {', '.join(first)} or {last}, not {quote(task)}")
    return TASKS[task]


def labels_task(task: Task | None) -> Task | None:
    """The task as which the labels of a task are read, which its class names; of None none. Raises InputError for an
    unknown one.
    """
    if task is None:
        return None
    return target_class(task).labels_task


def target_of(
    classes: Sequence[str],
    task: str = "classification",
    label_type: LabelType = "str",
    thresholds: Sequence[float] = (),
    *,
    per_step: bool = False,
    scheme: Scheme | None = None,
) -> Target:
    """The target of a task; see `Target`. per_step: a prediction of that task for each step. scheme: of such classes.
    Raises InputError.
    """
    target = target_class(task)
    names = tuple(classes)
    limits = tuple(thresholds)
    if per_step and issubclass(target, RowTarget):
        return StepTarget(names, label_type, limits, of=target, scheme=scheme)
    if scheme is not None:
        raise InputError("scheme: only a class per step has a label scheme")
    return target(names, label_type, limits)


@dataclass(frozen=True)
class TargetConfig:
    """A target as config.json stores it; see `target_of`, whose errors it has."""

    classes: tuple[str, ...]
    task: str = "classification"
    label_type: LabelType = "str"
    thresholds: tuple[float, ...] = ()
    per_step: bool = False
    scheme: Scheme | None = None

    def __post_init__(self) -> None:
        self.target()

    def target(self) -> Target:
        """The target."""
        return target_of(
            self.classes, self.task, self.label_type, self.thresholds, per_step=self.per_step, scheme=self.scheme
        )

    @classmethod
    def of(cls, target: Target) -> TargetConfig:
        """What `target` gives back."""
        each = target.each
        return cls(target.classes, each.task, target.label_type, target.thresholds, target.per_step, target.scheme)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        values = asdict(self)
        if self.scheme is None:
            del values["scheme"]
        return values
