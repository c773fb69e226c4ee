"""`TargetScore`: the number that an explanation divides among the steps. It is a linear combination of the logits.

classification, two classes    the single logit, which favours classes[1]
classification, K classes      the logit of X minus the mean of all logits; or minus the logit of another class
multilabel                     the logit of one label
regression                     one of the numbers, in its own unit
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.types import Array


class TargetScore(NamedTuple):
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


class MeasuredValue(NamedTuple):
    """The number by which deletions are measured, of each of n predictions: the probability of what is predicted, or
    how far a predicted number is from that for no step.

    column (n,): the class, label or number; score_sign (n,): 1 where positive scores favour the prediction, else -1;
    value_sign (n,): 1, or -1 for a number below `base`.
    """

    column: NDArray[np.intp]
    score_sign: NDArray[np.intp]
    value_sign: NDArray[np.intp]
    base: float = 0.0

    def of(self, values: Array) -> Array:
        """The numbers (n,) of `Target.values` (n, K)."""
        own = values[np.arange(len(values)), self.column]
        return np.asarray(self.value_sign * (own - self.base))

    def repeated(self, times: int) -> Self:
        """For predictions of which each is there as many times, one after the other."""
        columns = (self.column, self.score_sign, self.value_sign)
        column, score_sign, value_sign = (np.repeat(array, times) for array in columns)
        return self._replace(column=column, score_sign=score_sign, value_sign=value_sign)
