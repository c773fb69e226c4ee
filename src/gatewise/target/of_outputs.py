"""The target of the outputs of a network of another library: of its activation, and of the names of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gatewise.errors import InputError, counted
from gatewise.target import Target, target_of
from gatewise.types import LabelType, Task


def target_of_outputs(
    activation: str, outputs: int, per_step: bool, classes: Sequence[Any] | None = None, task: Task | None = None
) -> Target:
    """activation: of the outputs, "linear" for none. per_step: whether each step has outputs. classes: the names of the
    classes, labels or numbers; None: "0", "1", ... task: None for that of the activation; without one classification
    where there are classes, else regression. A softmax over two classes has one logit in gatewise.

    Raises InputError where these do not fit together.
    """
    if task is None and activation == "linear" and classes is None:
        task = "regression"
    elif task is None and activation == "sigmoid" and outputs > 1:
        task = "multilabel"
    task = task or ("tagging" if per_step else "classification")
    is_one_of_classes = task in ("classification", "tagging")
    allowed = ["linear"]
    if is_one_of_classes and outputs > 1:
        allowed += ["softmax", "log_softmax"]
    elif task != "regression":
        allowed.append("sigmoid")
    if activation not in allowed:
        raise InputError(
            f"the outputs have the activation {activation}; for {task} with {counted(outputs, 'output')} it "
            f"must be {' or '.join(allowed)}"
        )
    count = 2 if outputs == 1 and is_one_of_classes else outputs
    names = [str(name) for name in (range(count) if classes is None else classes)]
    label_type: LabelType = "int" if classes is None and task != "regression" else "str"
    target = target_of(names, task, label_type, per_step=per_step)
    if target.outputs != outputs and (target.outputs, outputs) != (1, 2):
        raise InputError(f"the network has {counted(outputs, 'output')}, and {counted(len(names), 'name')} are given")
    return target
