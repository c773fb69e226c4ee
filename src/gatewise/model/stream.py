"""`Stream`: one text or series that arrives step by step, with the prediction so far after each step.

The logits after each step are those of `Model.logits` for the steps so far: of an `LSTM` with the native kernel bit for
bit, of a graph to rounding (`gatewise.members.running_network`). Those of a tagger are of the last step.
"""

import copy
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.members.ensemble import Ensemble
from gatewise.model.preprocessor import Preprocessor
from gatewise.model.step_rule import StepRule
from gatewise.storage.tensors import metadata_of, tensors_from_bytes, tensors_to_bytes
from gatewise.target import Target
from gatewise.types import Array

_MOST_STEPS = 2**53 - 1  # the largest count that JSON of any language and a float64 hold exactly


class StreamPrediction(NamedTuple):
    """The prediction after `steps` tokens or time steps, from `logits` (outputs,) float64."""

    steps: int
    logits: Array
    target: Target

    @property
    def label(self) -> Any:
        """What `Model.predict` returns for one input. Raises InputError where a logit is not finite."""
        return self.target.labels(self.logits[None])[0]

    @property
    def probabilities(self) -> Array:
        """Probabilities (K,) float64. Raises InputError for regression, and as `label`."""
        return np.asarray(self.target.probabilities(self.logits[None])[0])


class Stream:
    """Made by `Model.stream`. A step takes the same time and memory however many came before it. steps: how many it has
    read. Raises InputError for a model that cannot be streamed, with the reason.
    """

    def __init__(self, preprocessor: Preprocessor, ensemble: Ensemble) -> None:
        nouns = " and ".join(member.noun for member, weight in ensemble.others if weight)
        if nouns:
            raise InputError(
                f"{nouns} cannot be streamed: a new step changes what the steps before it add; network_only=True "
                "streams the LSTM alone"
            )
        if preprocessor.window > 1:
            raise InputError(
                f"a network that reads windows of {preprocessor.window} steps cannot be streamed: a new step changes "
                "the last windows; train with windows=0"
            )
        self._preprocessor = preprocessor
        self._ensemble = ensemble
        self._most: int | None = None  # of the steps that the preprocessor leaves as they are
        pads = 0
        rule = getattr(preprocessor, "steps", None)
        if isinstance(rule, StepRule) and rule.length:
            if rule.masked:
                self._most = rule.length
            elif rule.side == "post":
                raise InputError(
                    f"a network whose sequences are padded at the end to {rule.length:,} steps cannot be streamed: the "
                    "pads come after the last step, which a stream does not know"
                )
            else:
                pads = rule.length
        self._running = ensemble.network.running(pads)

    @property
    def steps(self) -> int:
        """How many steps it has read."""
        return self._running.steps

    def push(self, item: Any) -> StreamPrediction:
        """The prediction after one more item: a word or another part of a text, or one step (C,) of a series, a number
        where C is 1. A part of several tokens is several steps; what the model leaves out, such as a masked step, is
        none.

        Raises InputError, and reads nothing, for an item that is not valid, a step with a missing value, more steps
        than the network reads, and where there is no step at all yet.
        """
        running = self._running
        rows = self._preprocessor.encode_step(item, running.steps)
        steps = running.steps + len(rows)
        if self._most is not None and steps > self._most:
            raise InputError(f"the network reads {self._most:,} steps: start another stream")
        if running.most is not None and steps > running.most:
            raise InputError(f"the network reads {running.most:,} steps, {running.why_most}: start another stream")
        if steps > _MOST_STEPS:
            raise InputError(f"a stream has at most {_MOST_STEPS:,} steps: start another one")
        if not steps:
            raise InputError(f"{quote(item, 40)} has no step for the network, and none came before it")
        running.read(rows)
        logits = self._ensemble.lstm_weight * running.logits() + self._ensemble.shift
        return StreamPrediction(running.steps, logits, self._ensemble.target)

    def copy(self) -> Self:
        """Another stream in the same state, which continues by itself. It shares the weights."""
        other = copy.copy(self)
        other._running = self._running.copy()
        return other

    @cached_property
    def _fingerprint(self) -> str:
        return self._ensemble.fingerprint()

    @property
    def state(self) -> bytes:
        """The state as safetensors: some KB of numbers, `steps`, and the model's fingerprint in the metadata. Set it to
        continue from there, also in another process. Setting raises InputError for the state of another model, and for
        anything else.
        """
        tensors = {name: array.astype(_stored(array)) for name, array in self._running.arrays.items()}
        tensors["steps"] = np.array(self._running.steps)
        return tensors_to_bytes(tensors, {"model": self._fingerprint})

    @state.setter
    def state(self, state: bytes) -> None:
        if not isinstance(state, bytes | bytearray | memoryview):
            raise InputError(
                f"state: expected the bytes of a stream's state, not a value of type {type(state).__name__}"
            )
        state = bytes(state)
        forms: dict[str, Any] = {name: (array.shape, _stored(array)) for name, array in self._running.arrays.items()}
        try:
            if metadata_of(state, "state") != {"model": self._fingerprint}:
                raise InputError("state: it is that of another model")
            tensors = tensors_from_bytes(state, forms | {"steps": ((), np.int64)}, "state")
        except ModelFileError as error:
            raise InputError(str(error)) from None
        steps = int(tensors.pop("steps"))
        if not 0 <= steps <= _MOST_STEPS:
            raise InputError(f"state: steps must be from 0 to {_MOST_STEPS:,}, not {steps:,}")
        self._running.steps = steps
        self._running.arrays = {name: tensors[name].astype(array.dtype) for name, array in self._running.arrays.items()}


def _stored(array: Array) -> Any:
    """The dtype of an array in a file, which has no bool."""
    return np.uint8 if array.dtype == np.bool_ else array.dtype.type
