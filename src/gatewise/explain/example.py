"""One example: a sequence and all that a network computes for it, each part once, when it is first read.

The terminal report, the HTML report, the page, the notebook and every attribution method read the same object, so one
explanation costs one forward pass where the method allows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.errors import InputError
from gatewise.explain.display import Displayed
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.members.gates import Activations, Share
from gatewise.members.lstm import LSTM
from gatewise.ragged import Ragged, flat
from gatewise.target import TargetScore, check_logits
from gatewise.types import Array

if TYPE_CHECKING:
    from functools import cached_property
else:

    class cached_property:
        """functools.cached_property as of Python 3.12; that of 3.11 computes under one lock for all examples."""

        def __init__(self, compute: Any) -> None:
            self.compute = compute
            self.__doc__ = compute.__doc__

        def __get__(self, example: Any, owner: type) -> Any:
            if example is None:
                return self
            return example.__dict__.setdefault(self.compute.__name__, self.compute(example))


class Example(Displayed):
    """One sequence of T steps (after truncation) through one model, whose network may be clamped.

    ensemble: the members of the model. sequence: what they read, before truncation. names: a name for each of its
    steps; None for their numbers, from 1. spans (length, 2): start and end of each step in the text, if known. item:
    the text or series itself, if known. Raises InputError for an empty sequence and for a wrong number of names.

    rows (T,): the steps that the network reads; read: their token ids (T,) or channels (T, C); part: what the network
    reads of them; steps: their names; truncated: how many more the sequence has. A tagger
    predicts each step: the logits, the prediction and the score of the example are those of one of them, `step`.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        sequence: EncodedSequence,
        names: Sequence[str] | None = None,
        spans: Sequence[tuple[int, int]] = (),
        *,
        item: Any = None,
    ) -> None:
        if names is None:
            names = [str(number) for number in range(1, len(sequence) + 1)]
        if len(names) != len(sequence):
            raise InputError(f"{len(names)} names for {len(sequence)} steps: there must be one for each")
        if not len(sequence):
            raise InputError("there is nothing to explain: the sequence is empty")
        self.ensemble = ensemble
        self.network = ensemble.network
        self.item = item
        self.sequence = sequence
        self.spans = np.asarray(spans, dtype=np.int32).reshape(-1, 2)  # tuples would take ten times the memory
        self.names = [str(name) for name in names]
        self.rows, self.part = self.network.read(self.network.part_of(sequence))
        self.read = self.network.steps_of(self.part)
        self.steps = [self.names[row] for row in self.rows]
        self.truncated = len(sequence) - len(self.rows)
        self._sampled: dict[int, Array] = {}

    def __len__(self) -> int:
        """T, the number of steps that the network reads."""
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Example({len(self)} {self.ensemble.token_noun}s, {self.truncated} truncated)"

    @property
    def lstm(self) -> LSTM:
        """The network as an `LSTM`. Raises InputError for another one."""
        return self.ensemble.lstm

    @cached_property
    def activations(self) -> Activations:
        """Gates, states, logits and pads of one forward pass."""
        [activations] = self.network.activations([self.part])
        return activations

    @cached_property
    def step(self) -> int | None:
        """The step whose prediction is explained (`at_step`), None unless each step has one. The target chooses it."""
        return self.ensemble.target.explained_step(lambda: self.labels)

    @cached_property
    def step_logits(self) -> Array:
        """The logits (T, outputs) float64 of the model for each step. Raises InputError unless they are finite."""
        logits = self.ensemble.lstm_weight * self.activations.logits + self.ensemble.shift
        for member, weight in self.ensemble.others:
            if weight:
                logits = logits + weight * member.logits([member.part_of(self.sequence)])
        logits = np.asarray(logits)
        check_logits(logits)
        return logits

    @property
    def ragged_logits(self) -> Ragged:
        """`step_logits` as those of one input."""
        return Ragged(self.step_logits, np.array([len(self)], dtype=np.intp))

    @cached_property
    def decided_steps(self) -> Array:
        """The prediction for each step (T, ...), see `Target.decided`."""
        return self.ensemble.target.decided(self.ragged_logits)

    @property
    def labels(self) -> list[str]:
        """The prediction for each step in words."""
        target = self.ensemble.target.each
        return [target.text(prediction) for prediction in self.decided_steps]

    def at_step(self, step: int) -> Example:
        """This example with the prediction of another step to explain, from 0. Raises InputError unless it has one."""
        if self.step is None:
            raise InputError("step is for a tagger: this model has one prediction per sequence")
        if not 0 <= step < len(self):
            raise InputError(f"step must be from 0 to {len(self) - 1}, not {step}")
        other = copy(self)
        # What depends on the step is computed again; the activations of the run are shared.
        for name in ("lstm_logits", "logits", "probabilities", "predicted", "score", "contributions"):
            other.__dict__.pop(name, None)
        other.step = step
        return other

    @property
    def lstms(self) -> tuple[Any, ...]:
        """The gates and states of each direction of each recurrent layer, the lowest first: a `Gates` of an LSTM, and
        another `LayerStates` of a GRU or a simple RNN.
        """
        return self.activations.lstms

    @property
    def other_lstms(self) -> tuple[Any, ...]:
        """As `lstms`, of recurrent layers that read another number of steps than the input has, such as those after a
        convolution that moves by two: row t is step t of that layer. Reports and the page leave them out.
        """
        return self.activations.other_lstms

    @property
    def pads(self) -> int:
        """How many pad steps run before the first step (padding "pre")."""
        return self.activations.pads

    @cached_property
    def lstm_logits(self) -> Array:
        """The logits (outputs,) float64 of the LSTM alone, without its weight."""
        logits = self.activations.logits
        if self.step is not None:
            return np.asarray(logits[self.step])
        return logits

    @cached_property
    def logits(self) -> Array:
        """The logits (outputs,) float64 of the model. Raises InputError unless they are finite."""
        if self.step is not None:
            return np.asarray(self.step_logits[self.step])
        total = self.ensemble.shift
        with np.errstate(over="ignore", invalid="ignore"):  # `check_logits` refuses what overflows
            for member, weight in self.ensemble:
                if not weight:
                    continue
                if member is self.network:
                    logits = self.lstm_logits
                else:
                    logits = member.logits([member.part_of(self.sequence)])[0]
                total = total + weight * logits
        check_logits(total[None])
        return np.asarray(total)

    @property
    def marginal_logits(self) -> Array:
        """Logits (outputs,) whose probabilities are those of the prediction, see `Target.marginal_logits`."""
        if self.step is None:
            return self.logits
        return np.asarray(self.step_marginals[self.step])

    @cached_property
    def step_marginals(self) -> Array:
        """The `marginal_logits` of each step of a tagger (T, outputs)."""
        return np.asarray(flat(self.ensemble.target.marginal_logits(self.ragged_logits)))

    def prefix_probabilities(self, logits: Array) -> Array | None:
        """The probabilities (n, K) of prefix logits (n, outputs), or for a tagger (T + 1, outputs) those of no step and
        of each step; None for numbers.
        """
        if self.step is not None:
            logits = np.concatenate([logits[:1], self.step_marginals])
        return self.ensemble.target.each.optional_probabilities(logits)

    @cached_property
    def probabilities(self) -> Array | None:
        """The probabilities (K,) of the classes or labels; None for numbers."""
        probabilities = self.ensemble.target.each.optional_probabilities(self.marginal_logits[None])
        if probabilities is None:
            return None
        return np.asarray(probabilities[0])

    @cached_property
    def predicted(self) -> Array:
        """The prediction, one row of `Target.predicted`: a class index, 0 or 1 by label (K,), or numbers (M,)."""
        if self.step is not None:
            return np.asarray(self.decided_steps[self.step])
        return np.asarray(self.ensemble.target.each.predicted(self.logits[None])[0])

    @cached_property
    def score(self) -> TargetScore:
        """The score that is explained: that of the prediction, unless `with_score` chose another."""
        return self.ensemble.target.score_of(self.logits, self.predicted)

    def with_score(self, score: TargetScore) -> Example:
        """This example with another score to explain. What the network computed is shared."""
        other = copy(self)
        other.__dict__.pop("contributions", None)
        other.score = score
        return other

    @property
    def target_score(self) -> float:
        """The number that is explained, see `TargetScore`."""
        return float(self.score(self.logits))

    @property
    def lstm_score(self) -> TargetScore:
        """The part of the score that the LSTM has, as a function of its logits: `score` times its weight."""
        return self.score._replace(weights=self.ensemble.lstm_weight * self.score.weights)

    @cached_property
    def lstm_prefix_logits(self) -> Array:
        """The logits (T + 1, outputs) float64 of the network alone, without its weight, after t steps; of a tagger
        those of step t, and the first row those of no step.
        """
        if self.step is None:
            return self.network.read_prefix_logits(self.part, self.lstms)
        return self.network.step_prefix_logits(self.part, self.activations.logits)

    @cached_property
    def prefix_logits(self) -> Array:
        """The prefix predictions (T + 1, outputs) float64: row t holds the logits after t steps.

        With padding "pre" each row continues this run, after the same number of pads.
        """
        return self.ensemble.lstm_weight * self.lstm_prefix_logits + self.other_prefix_logits

    @cached_property
    def other_prefix_logits(self) -> Array:
        """What the other members and the shift add to the logits after 0, 1, ... T steps (T + 1, outputs): for text,
        the n-grams that are complete by then. These members read the whole sequence, truncated steps included.
        """
        total = np.tile(self.ensemble.shift, (len(self.rows) + 1, 1))
        prefixes = np.concatenate([self.rows[:1], self.rows + 1])  # their lengths (T + 1,) in the whole sequence
        for member, weight in self.ensemble.others:
            logits = member.prefix_logits(member.part_of(self.sequence))
            total += weight * logits[prefixes]
        return total

    def sampled_prefix_logits(self, budget: int) -> tuple[int, Array]:
        """A stride, and the prefix logits (n, outputs) after 0, stride, 2 stride, ... T steps.

        The stride is 1 unless that would run more than `budget` steps, which only a backward direction can.
        """
        stride = self._stride(budget)
        if stride == 1:
            return 1, self.prefix_logits
        if stride not in self._sampled:
            steps = len(self.read)
            ends = [*range(0, steps, stride), steps]
            of_lstm = self.network.logits_after(self.part, ends)
            self._sampled[stride] = self.ensemble.lstm_weight * of_lstm + self.other_prefix_logits[ends]
        return stride, self._sampled[stride]

    def _stride(self, budget: int) -> int:
        """The distance of the prefixes that run at most about `budget` steps."""
        # A forward direction has read every prefix on its way; so has each direction of a tagger up to its step.
        if self.network.is_causal or self.step is not None:
            return 1
        # A backward direction begins at the end of a prefix, so each prefix is a run of its own.
        steps = len(self.read)
        steps_of_all_prefixes = steps * (steps + 1) // 2
        return max(1, math.ceil(steps_of_all_prefixes / budget))

    @cached_property
    def contributions(self) -> Array | None:
        """How much each unit of the top layer changes the target score at each step: (T, H x directions) float64. None
        where the units have no parts of their own (`Network.has_contributions`).
        """
        return self.network.contributions(self.lstm_score.weights, self.lstms, self.step)

    @property
    def effects(self) -> Array | None:
        """The effect of each unit of the top layer on the target score: the sum of its contributions over the steps,
        (H x directions,) float64. The base value and the effects add up to the LSTM's part of the score.
        """
        if self.contributions is None:
            return None
        return np.asarray(self.contributions.sum(axis=0))

    @property
    def top_unit(self) -> int:
        """The unit of the top layer with the largest effect, in absolute value; without effects that with the largest
        change of its memory in one step.
        """
        if self.effects is None:
            sizes, _ = self.jumps(-1)
        else:
            sizes = np.abs(self.effects)
        return int(sizes.argmax())

    def jumps(self, layer: int) -> tuple[Array, Array]:
        """The largest absolute change of c in one step, of each unit of a layer, and that step: (units,) each."""
        changes = np.abs(np.concatenate([gates.memory_changes() for gates in self.layer(layer)], axis=1))  # (T, units)
        return changes.max(axis=0), changes.argmax(axis=0)

    def layer(self, number: int) -> tuple[Any, ...]:
        """The LSTMs of one layer, forward first; -1 is the top layer."""
        self._check_layers()
        wanted = number % len(self.network.layers)
        return tuple(gates for gates in self.lstms if gates.layer == wanted)

    def _check_layers(self) -> None:
        if not self.network.layers:
            message = "the network has no recurrent layer that reads the steps of the input"
            if self.other_lstms:
                message += "; other_lstms has the gates of those that read other steps"
            raise InputError(message)

    def values(self, name: str, layer: int) -> Array:
        """A gate or state of all units of a layer, such as f: (T, units), the directions side by side."""
        return np.concatenate([getattr(gates, name) for gates in self.layer(layer)], axis=1)

    def unit(self, unit: int) -> tuple[Any, int]:
        """The LSTM and the column of one unit of the top layer. Raises InputError for a unit that does not exist."""
        self._check_layers()
        top = self.network.layers[-1]
        if not 0 <= unit < top.size:
            raise InputError(f"unit must be from 0 to {top.size - 1}, not {unit}")
        return self.layer(-1)[unit // top.units], unit % top.units

    def gate_shares(self) -> dict[str, Share]:
        """For each gate between 0 and 1 (i, f, o; of a GRU r, z), over all layers: the shares of its values below 0.1,
        between, and above 0.9.
        """
        shares = {}
        for gate in dict.fromkeys("".join(gates.shares for gates in self.lstms)):
            values = np.concatenate([getattr(gates, gate).ravel() for gates in self.lstms if gate in gates.shares])
            below = float((values < 0.1).mean())
            above = float((values > 0.9).mean())
            shares[gate] = Share(below, 1 - below - above, above)
        return shares

    def half_lives(self) -> Array:
        """(H x directions,): for each unit of the top layer, the steps until half of its memory is forgotten."""
        return np.concatenate([gates.half_life() for gates in self.layer(-1)])


def predict_examples(ensemble: Ensemble, sequences: Sequence[EncodedSequence]) -> list[Example]:
    """An example for each sequence, with its logits from batched forward passes."""
    examples = [Example(ensemble, sequence) for sequence in sequences]
    if any(example.step is not None for example in examples):
        return examples  # to choose the step took a forward pass of its own
    of_lstm = ensemble.network.logits([example.part for example in examples])
    logits = ensemble.lstm_weight * of_lstm + ensemble.shift
    for member, weight in ensemble.others:
        logits = logits + weight * member.logits(member.parts_of(sequences))
    for row, example in enumerate(examples):
        example.lstm_logits = of_lstm[row]
        example.logits = logits[row]
    return examples


def activations_of(examples: Sequence[Example]) -> Iterator[Activations]:
    """The activations of each example: of one example its own, of several those of batched runs, which are not kept."""
    if len(examples) == 1:
        yield examples[0].activations
    else:
        yield from examples[0].network.activations(example.part for example in examples)
