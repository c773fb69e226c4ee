"""One example: a sequence and all that a network computes for it, each part once, when it is first read.

The terminal report, the HTML report, the page, the notebook and every attribution method read the same object, so one
explanation costs one forward pass where the method allows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.errors import InputError
from gatewise.explain.display import Displayed
from gatewise.members.contributions import has_contributions, unit_contributions
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.members.gates import Activations, Gates, Share
from gatewise.members.lstm import LSTM
from gatewise.network.forward import head
from gatewise.network.ops import Ops
from gatewise.target import TargetScore, check_logits
from gatewise.types import Array

if TYPE_CHECKING:
    from functools import cached_property
else:

    class cached_property:
        """functools.cached_property as of Python 3.12; that of 3.11 computes under one lock for all examples."""

        def __init__(self, compute: Any) -> None:
            self.compute, self.__doc__ = compute, compute.__doc__

        def __get__(self, example: Any, owner: type) -> Any:
            if example is None:
                return self
            return example.__dict__.setdefault(self.compute.__name__, self.compute(example))


class Example(Displayed):
    """One sequence of T steps (after truncation) through one model, whose LSTM may be clamped.

    ensemble: the members of the model. sequence: what they read, before truncation. names: a name for each of its
    steps; None for their numbers, from 1. spans (length, 2): start and end of each step in the text, if known. item:
    the text or series itself, if known. Raises InputError for an empty sequence and for a wrong number of names.

    rows (T,): the steps that the LSTM reads; steps: their names; truncated: how many more the sequence has. A tagger
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
        if names is not None and len(names) != len(sequence):
            raise InputError(f"{len(names)} names for {len(sequence)} steps: there must be one for each")
        if not len(sequence):
            raise InputError("there is nothing to explain: the sequence is empty")
        self.ensemble, self.lstm, self.item = ensemble, ensemble.lstm, item
        self.sequence = sequence
        self.spans = np.asarray(spans, dtype=np.int32).reshape(-1, 2)  # tuples would take ten times the memory
        self.names = [str(name) for name in (range(1, len(sequence) + 1) if names is None else names)]
        self.rows, self.read = self.lstm.read(sequence.steps)
        self.steps = [self.names[row] for row in self.rows]
        self.truncated = len(sequence) - len(self.rows)
        self._sampled: dict[int, Array] = {}

    def __len__(self) -> int:
        """T, the number of steps that the LSTM reads."""
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Example({len(self)} {self.ensemble.token_noun}s, {self.truncated} truncated)"

    @cached_property
    def activations(self) -> Activations:
        """Gates, states, logits and pads of one forward pass."""
        [found] = self.lstm.activations([self.read])
        return found

    @cached_property
    def step(self) -> int | None:
        """The step whose prediction is explained (`at_step`), None unless each step has one. The target chooses it."""
        return self.ensemble.target.explained_step(lambda: self.labels)

    @cached_property
    def step_logits(self) -> Array:
        """The logits (T, outputs) float64 of the model for each step. Raises InputError unless they are finite."""
        found = np.asarray(self.ensemble.lstm_weight * self.activations.logits + self.ensemble.shift)
        check_logits(found)
        return found

    @property
    def labels(self) -> list[str]:
        """The prediction for each step in words."""
        target = self.ensemble.target
        return [target.each.text(one) for one in target.each.predicted(self.step_logits)]

    def at_step(self, step: int) -> Example:
        """This example with the prediction of another step to explain, from 0. Raises InputError unless it has one."""
        if self.step is None:
            raise InputError("step is for a tagger: this model has one prediction per sequence")
        if not 0 <= step < len(self):
            raise InputError(f"step must be from 0 to {len(self) - 1}, not {step}")
        other = copy(self)
        for name in ("lstm_logits", "logits", "probabilities", "predicted", "score", "contributions"):
            other.__dict__.pop(name, None)
        other.step = step
        return other

    @property
    def lstms(self) -> tuple[Gates, ...]:
        """The gates and states of each LSTM, bottom layer first."""
        return self.activations.lstms

    @property
    def pads(self) -> int:
        """How many pad steps run before the first step (padding "pre")."""
        return self.activations.pads

    @cached_property
    def lstm_logits(self) -> Array:
        """The logits (outputs,) float64 of the LSTM alone, without its weight."""
        return self.activations.logits if self.step is None else np.asarray(self.activations.logits[self.step])

    @cached_property
    def logits(self) -> Array:
        """The logits (outputs,) float64 of the model. Raises InputError unless they are finite."""
        found = self.ensemble.shift
        with np.errstate(over="ignore", invalid="ignore"):
            for member, weight in self.ensemble:
                if weight:
                    own = self.lstm_logits if member is self.lstm else member.logits([member.part_of(self.sequence)])[0]
                    found = found + weight * own
        check_logits(found[None])
        return np.asarray(found)

    @cached_property
    def probabilities(self) -> Array | None:
        """The probabilities (K,) of the classes or labels; None for numbers."""
        p = self.ensemble.target.each.optional_probabilities(self.logits[None])
        return None if p is None else np.asarray(p[0])

    @cached_property
    def predicted(self) -> Array:
        """The prediction, one row of `Target.predicted`: a class index, 0 or 1 by label (K,), or numbers (M,)."""
        return np.asarray(self.ensemble.target.each.predicted(self.logits[None])[0])

    @cached_property
    def score(self) -> TargetScore:
        """The score that is explained: that of the prediction, unless `with_score` chose another."""
        return self.ensemble.target.each.score(self.logits)

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
        return replace(self.score, weights=self.ensemble.lstm_weight * self.score.weights)

    @cached_property
    def lstm_prefix_logits(self) -> Array:
        """The logits (T + 1, outputs) float64 of the LSTM alone, without its weight, after t steps; of a tagger those
        of step t, and the first row those of a state of zeros.
        """
        if self.step is not None:
            nothing = head(Ops(), self.lstm.parameters, self.lstm.arch, np.zeros((1, self.lstm.arch.features)))
            return np.concatenate([nothing, self.activations.logits])
        return self.lstm.read_prefix_logits(self.read, self.lstms)

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
        found = np.tile(self.ensemble.shift, (len(self.rows) + 1, 1))
        for member, weight in self.ensemble.others:
            every = member.prefix_logits(member.part_of(self.sequence))
            found += weight * every[np.concatenate([self.rows[:1], self.rows + 1])]
        return found

    def sampled_prefix_logits(self, budget: int) -> tuple[int, Array]:
        """A stride, and the prefix logits (n, outputs) after 0, stride, 2 stride, ... T steps.

        The stride is 1 unless that would run more than `budget` steps, which only a backward direction can.
        """
        steps = len(self.read)
        stride = -(-steps * (steps + 1) // 2 // budget) or 1 if not self.lstm.arch.unidirectional else 1
        stride = 1 if self.step is not None else stride
        if stride == 1:
            return 1, self.prefix_logits
        if stride not in self._sampled:
            ends = [*range(0, steps, stride), steps]
            found = self.lstm.logits(self.read[:end] for end in ends)
            self._sampled[stride] = self.ensemble.lstm_weight * found + self.other_prefix_logits[ends]
        return stride, self._sampled[stride]

    @cached_property
    def contributions(self) -> Array | None:
        """How much each unit of the top layer changes the target score at each step: (T, H x directions) float64. None
        where the units have no parts of their own (`gatewise.members.contributions.has_contributions`).
        """
        net, top = self.top_run(self.lstms)
        return None if not has_contributions(net.arch) else unit_contributions(net, self.lstm_score.weights, top)

    def top_run(self, lstms: Sequence[Gates]) -> tuple[LSTM, tuple[Gates, ...]]:
        """The network and the gates of its top layer (directions,), of all its LSTMs, for the explained prediction. For
        that of a step of a tagger, each direction has read what it reads before the step and the step, and its last
        state is pooled.
        """
        arch, net = self.lstm.arch, self.lstm
        top = tuple(lstms[-len(arch.top.directions) :])
        if self.step is None:
            return net, top
        last = replace(net, arch=replace(arch, pooling="last"))
        return last, tuple(gates.held_after(self.step) for gates in top)

    @property
    def effects(self) -> Array | None:
        """The effect of each unit of the top layer on the target score: the sum of its contributions over the steps,
        (H x directions,) float64. The base value and the effects add up to the LSTM's part of the score.
        """
        return None if self.contributions is None else np.asarray(self.contributions.sum(axis=0))

    @property
    def top_unit(self) -> int:
        """The unit of the top layer with the largest effect, in absolute value; without effects that with the largest
        change of its memory in one step.
        """
        sizes = self.jumps(-1)[0] if self.effects is None else np.abs(self.effects)
        return int(sizes.argmax())

    def jumps(self, layer: int) -> tuple[Array, Array]:
        """The largest absolute change of c in one step, of each unit of a layer, and that step: (units,) each."""
        changes = np.abs(np.concatenate([gates.memory_changes() for gates in self.layer(layer)], axis=1))  # (T, units)
        return changes.max(axis=0), changes.argmax(axis=0)

    def layer(self, number: int) -> tuple[Gates, ...]:
        """The LSTMs of one layer, forward first; -1 is the top layer."""
        wanted = number % len(self.lstm.arch.layers)
        return tuple(gates for gates in self.lstms if gates.layer == wanted)

    def values(self, name: str, layer: int) -> Array:
        """i, f, g, o, c or h of all units of a layer: (T, units), the directions side by side."""
        return np.concatenate([getattr(gates, name) for gates in self.layer(layer)], axis=1)

    def unit(self, unit: int) -> tuple[Gates, int]:
        """The LSTM and the column of one unit of the top layer. Raises InputError for a unit that does not exist."""
        top = self.lstm.arch.top
        if not 0 <= unit < top.size:
            raise InputError(f"unit must be from 0 to {top.size - 1}, not {unit}")
        return self.layer(-1)[unit // top.units], unit % top.units

    def gate_shares(self) -> dict[str, Share]:
        """For each gate (i, f, o), over all LSTMs: the shares of its values below 0.1, between, and above 0.9."""
        shares = {}
        for gate in ("i", "f", "o"):
            values = np.concatenate([getattr(gates, gate).ravel() for gates in self.lstms])
            below, above = float((values < 0.1).mean()), float((values > 0.9).mean())
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
    of_lstm = ensemble.lstm.logits([example.read for example in examples])
    logits = ensemble.lstm_weight * of_lstm + ensemble.shift
    for member, weight in ensemble.others:
        logits = logits + weight * member.logits(member.parts_of(sequences))
    for example, alone, row in zip(examples, of_lstm, logits, strict=True):
        example.lstm_logits, example.logits = alone, row
    return examples


def activations_of(examples: Sequence[Example]) -> Iterator[Activations]:
    """The activations of each example: of one example its own, of several those of batched runs, which are not kept."""
    if len(examples) == 1:
        yield examples[0].activations
    else:
        yield from examples[0].lstm.activations(example.read for example in examples)
