"""`TargetScore`: the number that an explanation divides among the steps. It is a linear combination of the logits.

classification, two classes    the single logit, which favours classes[1]
classification, K classes      the logit of X minus the mean of all logits; or minus the logit of another class
multilabel                     the logit of one label
regression                     one of the numbers, in its own unit
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import InputError, number_text, quote
from gatewise.target import Target
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class TargetScore:
    """score = weights · logits, with weights (outputs,) float64.

    target: the class, label or number that positive scores favour, as an index of `Target.classes`. against: the class
    that negative scores favour; None for all others. name: the score in a few words, for tables; note: what is
    subtracted from the logit, in a few words, empty if nothing is.
    """

    weights: Array
    target: int
    against: int | None
    name: str
    note: str

    def __call__(self, logits: Array) -> Array:
        """The score (...,) float64 of logits (..., outputs)."""
        return np.asarray(logits, dtype=np.float64) @ self.weights


def target_score(of: Target, logits: Array, target: int | None = None, against: int | None = None) -> TargetScore:
    """The score for logits (outputs,).

    target: the class, label or number; None for the predicted class (of two classes, classes[1]), the most probable
    label, or the first number. against: a class that is subtracted in place of the mean; if it is the predicted class,
    the target is by default the most probable of the others. Raises InputError for equal classes, and for `against` of
    another task.
    """
    outputs, classes = of.outputs, of.classes
    if against is not None and of.task != "classification":
        raise InputError(f"a contribution against a class is for classification; the model's task is {of.task}")
    if against is not None and target == against:
        raise InputError(f"the target and the class to compare with are the same: {quote(classes[against])}")
    if of.task == "regression":
        target = target or 0
        name = "prediction" if outputs == 1 else f"prediction of {classes[target]}"
        return TargetScore(np.eye(outputs)[target], target, None, name, "")
    if of.task == "classification" and outputs == 1:
        chosen = 1 - against if against is not None else 1 if target is None else target
        return TargetScore(np.array([1.0 if chosen == 1 else -1.0]), chosen, None, f"logit of {classes[chosen]}", "")
    if target is None:
        target = int(logits.argmax() if of.task == "multilabel" else of.predicted(logits[None])[0])
        if target == against:
            target = int(np.where(np.arange(outputs) == against, -np.inf, logits).argmax())
    weights, note = np.eye(outputs)[target], ""
    if against is not None:
        weights[against] = -1
        note = f"minus the logit of {classes[against]}"
    elif of.task == "classification":
        weights -= 1 / outputs
        note = "minus the mean of all logits"
    return TargetScore(weights, target, against, f"logit of {classes[target]}", note)


def prediction_text(of: Target, predicted: Array) -> str:
    """One prediction in words, from one row of `Target.predicted`: the class, the labels, or the numbers."""
    if of.task == "regression":
        numbers = [number_text(value) for value in predicted.tolist()]
        return ", ".join(numbers if len(numbers) == 1 else map("{} {}".format, of.classes, numbers))
    [found] = of.named(np.asarray(predicted)[None])
    return found if isinstance(found, str) else ", ".join(found) or "no label"


def decision_text(of: Target, predicted: Array, probabilities: Array | None) -> str:
    """As `prediction_text`, but "undecided" where the probabilities (K,) are close to the threshold."""
    if probabilities is not None and of.undecided(probabilities[None])[0]:
        return "undecided"
    return prediction_text(of, predicted)


def prediction_dict(of: Target, predicted: Array, probabilities: Array | None) -> dict[str, Any]:
    """One prediction as plain data, for JSON. classification: `prediction`, a class, and `probabilities` by class.
    multilabel: a list of labels, and the probabilities. regression: one number, or the numbers by name.
    """
    if of.task == "regression":
        numbers = predicted.tolist()
        return {"prediction": numbers[0] if len(numbers) == 1 else dict(zip(of.classes, numbers, strict=True))}
    assert probabilities is not None
    [found] = of.named(predicted[None])
    return {"prediction": found, "probabilities": dict(zip(of.classes, probabilities.tolist(), strict=True))}


def favours(of: Target, predicted: Array, score: TargetScore) -> bool:
    """Whether positive scores favour what is predicted."""
    if of.task == "regression":
        return True
    return bool(predicted[score.target]) if of.task == "multilabel" else int(predicted) == score.target


def score_text(of: Target, value: float) -> str:
    """A score with its sign: logits with three decimals, numbers of a regression with four significant digits."""
    if of.task != "regression":
        return f"{value:+.3f}"
    return f"{value:+,.0f}" if abs(value) >= 10_000 else f"{value:+.4g}"


def sum_text(of: Target, value: float) -> str:
    """As `score_text`, and a logit that would be shown as 0 as a power of ten."""
    return f"{value:+.0e}" if of.task != "regression" and 0 < abs(value) < 5e-4 else score_text(of, value)
