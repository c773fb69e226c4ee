"""`Stream`: one text or series that arrives step by step, with the prediction so far after each step."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.members.ensemble import Ensemble
from gatewise.target import Target
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.model.preprocessor import Preprocessor


@dataclass(frozen=True)
class StreamPrediction:
    """The prediction after `steps` steps (tokens or time steps), from `logits` (outputs,) float64. InputError where a
    logit is not finite.
    """

    steps: int
    logits: Array
    target: Target = field(repr=False)

    @property
    def label(self) -> Any:
        """The label as `Model.predict` returns it: for "multilabel" a tuple of labels, for regression the numbers."""
        return self.target.labels(self.logits[None])[0]

    @property
    def probabilities(self) -> Array:
        """Probabilities (K,) float64 as `Model.predict_proba` returns them. Raises InputError for regression."""
        return np.asarray(self.target.probabilities(self.logits[None])[0])


class Stream:
    """Made by `Model.stream`. A step takes the same time and memory however many came before it.

    With the native kernel the logits after each step are bit-equal to `Model.logits` of the steps so far, as one input;
    those of a tagger are the logits of the last step, and equal to rounding.
    """

    def __init__(self, preprocessor: Preprocessor, ensemble: Ensemble) -> None:
        self._preprocessor, self._ensemble = preprocessor, ensemble
        self._weight, self._network = ensemble.lstm_weight, ensemble.lstm.stream()

    @property
    def steps(self) -> int:
        """How many steps it has read: tokens or time steps."""
        return self._network.steps

    def push(self, item: Any) -> StreamPrediction:
        """The prediction after one more item: a word or another part of a text, or one step (C,) of a series, a number
        where C is 1. A part of several tokens is several steps.

        Raises InputError, and reads nothing, for an item that is not valid, a part without a word, a step with a
        missing value, and more steps than the network reads.
        """
        rows, network = self._preprocessor.encode_step(item, self.steps), self._network
        most = network.arch.max_length
        if most and network.steps + len(rows) > most:
            raise InputError(
                f"the network reads {most:,} steps, and of a longer input not the same ones: start another stream, or "
                "train with max_length=0"
            )
        for row in rows:
            logits = network.step(row)
        total = self._weight * logits.astype(np.float64) + self._ensemble.shift
        return StreamPrediction(network.steps, total, self._ensemble.target)

    def copy(self) -> Self:
        """Another stream in the same state, which continues by itself; it shares the weights."""
        other = copy.copy(self)
        other._network = self._network.copy()
        return other

    @cached_property
    def _model(self) -> str:
        return self._ensemble.fingerprint()

    @property
    def state(self) -> dict[str, Any]:
        """The state as plain data, for JSON: `model`, the fingerprint of what is streamed, `steps`, and `arrays`, lists
        of numbers by name. Set it to continue from there, in another process too. Setting raises InputError for a state
        of another model, and for anything else that `state` does not return.
        """
        arrays = {name: array.tolist() for name, array in self._network.state.items()}
        return {"model": self._model, "steps": self.steps, "arrays": arrays}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        if not isinstance(state, dict) or set(state) != {"model", "steps", "arrays"}:
            raise InputError("state: the keys must be model, steps, arrays")
        model, steps, arrays = state["model"], state["steps"], state["arrays"]
        if model != self._model:
            raise InputError(f"state: it is of model {quote(model, 20)}, and this is a stream of {self._model}")
        if type(steps) is not int or steps < 0:
            raise InputError("state: steps must be a whole number, at least 0")
        names = self._network.state
        if not isinstance(arrays, dict) or set(arrays) != set(names):
            raise InputError(f"state: the arrays must be {', '.join(names)}")
        found = {name: _numbers(name, arrays[name], len(array)) for name, array in names.items()}
        self._network.steps, self._network.state = steps, found


def _numbers(name: str, values: Any, count: int) -> Array:
    """Finite float32 numbers (count,). Raises InputError."""
    if isinstance(values, list) and len(values) == count and {*map(type, values)} <= {float, int}:
        with np.errstate(over="ignore"), suppress(OverflowError):
            array = np.array(values, dtype=np.float32)
            if np.isfinite(array).all():
                return array
    raise InputError(f"state: {name} must be a list of {count} finite numbers")
