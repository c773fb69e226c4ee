"""`Stream`: one text or series that arrives step by step, with the prediction so far after each step.

The state is h and c of each LSTM, and where the network pools over the steps their sum or maximum so far. With the
native kernel the logits after each step are those of `Model.logits` for the steps so far, bit for bit: the kernel
computes every row of a product in the same order, whatever the number of rows. Those of a tagger are of the last step.
"""

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.kernels.interface import Stepper
from gatewise.members.ensemble import Ensemble
from gatewise.model.preprocessor import Preprocessor
from gatewise.model.step_rule import StepRule
from gatewise.network.architecture import Hidden
from gatewise.network.ops import Ops
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
        lstm, nouns = ensemble.lstm, " and ".join(member.noun for member, weight in ensemble.others if weight)
        if nouns:
            raise InputError(
                f"{nouns} cannot be streamed: a new step changes what the steps before it add; network_only=True "
                "streams the LSTM alone"
            )
        for number, layer in enumerate(lstm.arch.layers):
            if layer.direction != "forward":
                kind = "bidirectional" if layer.direction == "both" else "backward"
                raise InputError(
                    f"a {kind} LSTM cannot be streamed: layer {number} starts at the last step, which a stream does "
                    "not know; train with bidirectional=False"
                )
        if preprocessor.window > 1:
            raise InputError(
                f"a network that reads windows of {preprocessor.window} steps cannot be streamed: a new step changes "
                "the last windows; train with windows=0"
            )
        steps = getattr(preprocessor, "steps", None)
        if lstm.arch.padding == "pre" or (isinstance(steps, StepRule) and steps.length):
            raise InputError(
                "a network with padding 'pre' cannot be streamed: the number of pads before the first step depends on "
                "the last one; train with padding='none'"
            )
        self.steps = 0
        self._preprocessor, self._ensemble, self._weight = preprocessor, ensemble, ensemble.lstm_weight
        self._arch = lstm.arch
        self._embedded = lstm.embedded
        self._ops = Ops(lstm.ops().kernel.with_threads(1))
        self._steppers: list[tuple[Stepper, str, str]] = []
        self._state: dict[str, Array] = {}
        for _, _, name in lstm.arch.lstms():
            weight_ih, weight_hh, bias = (
                np.ascontiguousarray(lstm.parameters[f"{name}.{part}"]) for part in ("weight_ih", "weight_hh", "bias")
            )
            stepper = self._ops.kernel.stepper(weight_ih, weight_hh, bias, lstm.arch.gate)
            self._steppers.append((stepper, f"{name}.h", f"{name}.c"))
            self._state |= {key: np.zeros(weight_hh.shape[1], np.float32) for key in self._steppers[-1][1:]}
        self._dense: list[tuple[Callable[[Array], Array], Hidden]] = []
        for name, _, dense in lstm.arch.dense():
            weight, bias = (np.ascontiguousarray(lstm.parameters[f"{name}.{part}"]) for part in ("weight", "bias"))
            self._dense.append((self._ops.pad_kernel.dense(weight, bias), dense))
        self._pooling = [how for how in ("mean", "max") if how in lstm.arch.pooling]
        self._state |= {how: np.zeros(weight_hh.shape[1], np.float32) for how in self._pooling}

    def push(self, item: Any) -> StreamPrediction:
        """The prediction after one more item: a word or another part of a text, or one step (C,) of a series, a number
        where C is 1. A part of several tokens is several steps; what the model leaves out, such as a masked step, is
        none.

        Raises InputError, and reads nothing, for an item that is not valid, a step with a missing value, more steps
        than the network reads, and where there is no step at all yet.
        """
        rows, most = self._preprocessor.encode_step(item, self.steps), self._arch.max_length
        if most and self.steps + len(rows) > most:
            raise InputError(
                f"the network reads {most:,} steps, and of a longer input not the same ones: start another stream, or "
                "train with max_length=0"
            )
        if self.steps + len(rows) > _MOST_STEPS:
            raise InputError(f"a stream has at most {_MOST_STEPS:,} steps: start another one")
        if not self.steps + len(rows):
            raise InputError(f"{quote(item, 40)} has no step for the network, and none came before it")
        for row in rows:
            self._step(row)
        x = self._pooled()
        for product, dense in self._dense:
            x = self._ops.activate(product(x), dense.activation, dense.negative_slope)
        logits = self._weight * x[0].astype(np.float64) + self._ensemble.shift
        return StreamPrediction(self.steps, logits, self._ensemble.target)

    def _step(self, row: Any) -> None:
        """Read one more step: a token id, or channels (C,) float32."""
        x = self._embedded(row)
        state = self._state
        for stepper, h, c in self._steppers:
            stepper(x, state[h], state[c])
            x = state[h]
        self.steps += 1
        for how in self._pooling:
            if self.steps == 1:
                state[how][:] = x
            else:
                (np.maximum if how == "max" else np.add)(state[how], x, out=state[how])

    def _pooled(self) -> Array:
        """The pooled states (1, features) of the steps so far."""
        state, top = self._state, self._steppers[-1][1]
        pooled = [state[how] / np.float32(self.steps) if how == "mean" else state[how] for how in self._pooling]
        return np.concatenate(pooled or [state[top]])[None]

    def copy(self) -> Self:
        """Another stream in the same state, which continues by itself. It shares the weights."""
        other = copy.copy(self)
        other._state = {name: array.copy() for name, array in self._state.items()}
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
        return tensors_to_bytes(self._state | {"steps": np.array(self.steps)}, {"model": self._fingerprint})

    @state.setter
    def state(self, state: bytes) -> None:
        if not isinstance(state, bytes | bytearray | memoryview):
            raise InputError(
                f"state: expected the bytes of a stream's state, not a value of type {type(state).__name__}"
            )
        state = bytes(state)
        forms: dict[str, Any] = {name: (array.shape, np.float32) for name, array in self._state.items()}
        try:
            if metadata_of(state, "state") != {"model": self._fingerprint}:
                raise InputError("state: it is that of another model")
            found = tensors_from_bytes(state, forms | {"steps": ((), np.int64)}, "state")
        except ModelFileError as error:
            raise InputError(str(error)) from None
        steps = int(found.pop("steps"))
        if not 0 <= steps <= _MOST_STEPS:
            raise InputError(f"state: steps must be from 0 to {_MOST_STEPS:,}, not {steps:,}")
        self.steps = steps
        self._state = found
