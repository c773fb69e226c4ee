"""One example: a sequence and all that a network computes for it, each part once, when it is first read.

The terminal report, the HTML report, the page, the notebook and every attribution method read the same object, so one
explanation costs one forward pass where the method allows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.errors import InputError
from gatewise.explain.html_repr import HtmlRepr
from gatewise.explain.score import TargetScore, target_score
from gatewise.kernels import Kernel
from gatewise.members.gates import Activations, Gates, Share, gate_shares, run_with_activations
from gatewise.members.net import ExplainedNetwork, run_all
from gatewise.members.prefix import prefix_logits, unit_contributions
from gatewise.network.architecture import Architecture
from gatewise.network.batch import truncate
from gatewise.target import check_logits
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


class Example(HtmlRepr):
    """One sequence of T steps (after truncation) through one network, which may be clamped.

    net: the network. sequence (length, ...): token ids or channels, before truncation. names: a name for each of its
    steps; None for their numbers, from 1. spans (length, 2): start and end of each step in the text, if known. item:
    the text or series itself, if known. rows (T,): the steps that the network reads. Raises InputError for an empty
    sequence and for a wrong number of names.
    """

    def __init__(
        self,
        net: ExplainedNetwork,
        sequence: Array,
        names: Sequence[str] | None = None,
        spans: Sequence[tuple[int, int]] = (),
        *,
        item: Any = None,
        network_logits: Array | None = None,
    ) -> None:
        if names is not None and len(names) != len(sequence):
            raise InputError(f"{len(names)} names for {len(sequence)} steps: there must be one for each")
        if not len(sequence):
            raise InputError("there is nothing to explain: the sequence is empty")
        self.net, self.item = net, item
        self.sequence = np.asarray(sequence)
        self.spans = np.asarray(spans, dtype=np.int32).reshape(-1, 2)  # tuples would take ten times the memory
        self.names = [str(name) for name in (range(1, len(sequence) + 1) if names is None else names)]
        self.rows = truncate(np.arange(len(sequence)), net.arch)
        if network_logits is not None:
            self.network_logits = network_logits
        self._sampled: dict[int, Array] = {}

    def __len__(self) -> int:
        """T, the number of steps that the network reads."""
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Example({len(self)} {self.net.token_noun}s, {self.truncated} truncated)"

    @property
    def steps(self) -> list[str]:
        """The names of the steps that the network reads."""
        return [self.names[row] for row in self.rows]

    @property
    def truncated(self) -> int:
        """How many steps the truncation to `max_length` removes."""
        return len(self.sequence) - len(self.rows)

    @cached_property
    def read(self) -> Array:
        """The steps that the network reads (T, ...)."""
        return np.asarray(self.sequence[self.rows])

    @cached_property
    def activations(self) -> Activations:
        """Gates, states, logits and pads of one forward pass."""
        [found] = run_with_activations(self.net, [self.read])
        return found

    @property
    def lstms(self) -> tuple[Gates, ...]:
        """The gates and states of each LSTM, bottom layer first."""
        return self.activations.lstms

    @property
    def pads(self) -> int:
        """How many pad steps run before the first step (padding "pre")."""
        return self.activations.pads

    @cached_property
    def network_logits(self) -> Array:
        """The logits (outputs,) float64 of the network without the linear model."""
        return self.activations.logits

    @cached_property
    def logits(self) -> Array:
        """The logits (outputs,) float64, the linear model included. Raises InputError unless they are finite."""
        linear = self.net.linear
        found = self.network_logits if linear is None else self.network_logits + linear.logits([self.sequence])[0]
        check_logits(found[None])
        return found

    @cached_property
    def probabilities(self) -> Array:
        """The probabilities (K,) of the classes or labels. Raises InputError for regression."""
        return np.asarray(self.net.target.probabilities(self.logits[None])[0])

    @cached_property
    def predicted(self) -> Array:
        """The prediction, one row of `Target.predicted`: a class index, 0 or 1 by label (K,), or numbers (M,)."""
        return np.asarray(self.net.target.predicted(self.logits[None])[0])

    @cached_property
    def score(self) -> TargetScore:
        """The score that is explained: that of the prediction, unless `with_score` chose another."""
        return target_score(self.net.target, self.logits)

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
    def network_score(self) -> float:
        """The network's part of `target_score`, without the linear model."""
        return float(self.score(self.network_logits))

    @cached_property
    def network_prefix_logits(self) -> Array:
        """`prefix_logits` of the network without the linear model."""
        return prefix_logits(self.net, self.read, self.lstms)

    @cached_property
    def prefix_logits(self) -> Array:
        """The prefix predictions (T + 1, outputs) float64: row t holds the logits after t steps.

        With padding "pre" each row continues this run, after the same number of pads.
        """
        linear = self.linear_prefix_logits
        return self.network_prefix_logits if linear is None else self.network_prefix_logits + linear

    @cached_property
    def linear_prefix_logits(self) -> Array | None:
        """What the linear model adds to the logits after 0, 1, ... T steps (T + 1, outputs): for text, the n-grams that
        are complete by then.

        The linear model reads the whole sequence, truncated steps included. None without one.
        """
        if self.net.linear is None:
            return None
        running = self.net.linear.prefix_logits(self.sequence)  # (length, outputs)
        before = running[self.rows[0] - 1] if self.rows[0] else np.zeros_like(running[0])
        return np.concatenate([before[None], running[self.rows]])

    def sampled_prefix_logits(self, budget: int) -> tuple[int, Array]:
        """A stride, and the prefix logits (n, outputs) after 0, stride, 2 stride, ... T steps.

        The stride is 1 unless that would run more than `budget` steps, which only two directions can.
        """
        steps = len(self.read)
        stride = -(-steps * (steps + 1) // 2 // budget) or 1 if self.net.arch.bidirectional else 1
        if stride == 1:
            return 1, self.prefix_logits
        if stride not in self._sampled:
            ends = [*range(0, steps, stride), steps]
            found = run_all(self.net.without_linear(), (self.read[:end] for end in ends))
            linear = self.linear_prefix_logits
            self._sampled[stride] = found if linear is None else found + linear[ends]
        return stride, self._sampled[stride]

    @cached_property
    def contributions(self) -> Array:
        """How much each unit of the top layer changes the target score at each step: (T, H x directions) float64."""
        weight = np.asarray(self.net.parameters["dense.weight"], dtype=np.float64)
        return unit_contributions(self.net.arch, self.score(weight.T), self.layer(-1))

    @property
    def effects(self) -> Array:
        """The effect of each unit of the top layer on the target score: the sum of its contributions over the steps,
        (H x directions,) float64. The base value and the effects add up to the score of the network.
        """
        return np.asarray(self.contributions.sum(axis=0))

    @property
    def top_unit(self) -> int:
        """The unit of the top layer with the largest effect, in absolute value."""
        return int(np.abs(self.effects).argmax())

    def layer(self, number: int) -> tuple[Gates, ...]:
        """The LSTMs of one layer, forward first; -1 is the top layer."""
        directions = len(self.net.arch.directions)
        first = number % self.net.arch.layers * directions
        return self.lstms[first : first + directions]

    def values(self, name: str, layer: int) -> Array:
        """i, f, g, o, c or h of all units of a layer: (T, units), the directions side by side."""
        return np.concatenate([getattr(gates, name) for gates in self.layer(layer)], axis=1)

    def unit(self, unit: int) -> tuple[Gates, int]:
        """The LSTM and the column of one unit of the top layer. Raises InputError for a unit that does not exist."""
        units, directions = self.net.arch.units, len(self.net.arch.directions)
        if not 0 <= unit < units * directions:
            raise InputError(f"unit must be from 0 to {units * directions - 1}, not {unit}")
        return self.layer(-1)[unit // units], unit % units

    def gate_shares(self) -> dict[str, Share]:
        """For each gate (i, f, o), over all LSTMs: the shares of its values below 0.1, between, and above 0.9."""
        return gate_shares(self.lstms)

    def half_lives(self) -> Array:
        """(H x directions,): for each unit of the top layer, the steps until half of its memory is forgotten."""
        return np.concatenate([gates.half_life() for gates in self.layer(-1)])


def trace(
    parameters: Mapping[str, Array],
    arch: Architecture,
    sequence: Array,
    steps: Sequence[str],
    kernel: Kernel | None = None,
) -> Example:
    """Run one sequence, (length,) token ids or (length, C) channels with a name for each step, and keep everything.

    kernel: None for the one that predicts. Raises InputError for an empty sequence or a wrong number of names.
    """
    return Example(ExplainedNetwork(parameters, arch, kernel), sequence, steps)


def predict_examples(net: ExplainedNetwork, sequences: Sequence[Array]) -> list[Example]:
    """An example for each sequence (length, ...), with its logits from batched forward passes."""
    logits = run_all(net.without_linear(), sequences)
    linear = np.zeros_like(logits) if net.linear is None or not len(sequences) else net.linear.logits(sequences)
    examples = []
    for sequence, network_row, linear_row in zip(sequences, logits, linear, strict=True):
        example = Example(net, sequence, network_logits=network_row)
        example.logits = network_row + linear_row
        examples.append(example)
    return examples


def activations_of(examples: Sequence[Example]) -> Iterator[Activations]:
    """The activations of each example: of one example its own, of several those of batched runs, which are not kept."""
    if len(examples) == 1:
        yield examples[0].activations
    elif examples:
        yield from run_with_activations(examples[0].net, [example.read for example in examples])
