"""`Pooling`: what the dense layers read of the states of the top layer.

Each pooling is a class with all that is known of it: the forward pass, the gradient, the nodes of a graph, the pooled
states of each prefix, and which steps it reads, for explanations and streams. "mean+max" is two of them, and "none",
with a prediction per step, is none. `gatewise.exchange.keras_model` and `gatewise.nn.network` have code of their own:
their models show the layers of Keras and torch, and run without gatewise.

Here h (T, H) are the states of one direction in the order in which it reads the steps, and h0 (H,) the state before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels.pooling import max_backward, repeat_rows, segment_reduce
from gatewise.network.merge_mode import MergeMode
from gatewise.types import Array, Lengths

if TYPE_CHECKING:
    from gatewise.kernels import Forward
    from gatewise.network.graph_builder import GraphBuilder
    from gatewise.network.ops import Ops

PoolingName = Literal["last", "step", "mean", "max", "mean+max", "none"]

BELOW_ALL_STATES = -3.0  # every h is above -1, and a sum of two above -2


class PooledState(NamedTuple):
    """A state that a pooling reads of each unit. steps (H,): at which step, counted as they are read. share: of this
    state in the pooled one.
    """

    steps: NDArray[np.intp]
    share: float


class Replaced(NamedTuple):
    """The pooled state of each prefix with another state for its last step. share (T, H): how much of the difference
    of the two states changes the pooled one. pooled (T, H): the pooled states with the other ones.
    """

    share: Array
    pooled: Array


@dataclass(frozen=True, eq=False)
class GraphStates:
    """The states of the top layer of a graph under construction. Values are names. h (B, T, width); final (B, width):
    after the last step that each direction reads; lengths (B,); mask (B, T): the steps of each sequence. may_be_empty:
    whether a sequence may have no step.
    """

    builder: GraphBuilder
    h: str
    final: str
    lengths: str
    mask: str
    may_be_empty: bool

    def where_read(self, otherwise: float) -> str:
        """h, and the number at the steps that are not read."""
        is_read = self.builder.add("Unsqueeze", self.mask, axes=(2,))  # (B, T, 1)
        return self.builder.add("Where", is_read, self.h, self.number(otherwise))

    def column(self, value: str) -> str:
        """(B,) as (B, 1)."""
        return self.builder.add("Unsqueeze", value, axes=(1,))

    def number(self, value: float) -> str:
        """A number without axes: an int is int64."""
        return self.builder.constant(np.asarray(value))


class Pooling(ABC):
    """reads_outputs: whether the outputs of steps enter, and not the final states alone. reads_all_steps: whether those
    of all steps do. is_linear: whether the pooled state of a sum is the sum of the pooled states.
    """

    name: ClassVar[str]
    reads_outputs: ClassVar[bool] = True
    reads_all_steps: ClassVar[bool] = False
    is_linear: ClassVar[bool] = True

    @abstractmethod
    def features(self, ops: Ops, runs: Sequence[Forward], merge: MergeMode, lengths: Lengths) -> list[Any]:
        """The pooled states (B, ...) of the runs of the directions, arrays or variables, to be placed side by side."""

    @abstractmethod
    def nodes(self, states: GraphStates) -> str:
        """Add the nodes of the pooled states. Returns the value (B, width)."""

    @abstractmethod
    def prefixes(self, h: Array, h0: Array, is_backward: bool) -> Array:
        """The pooled states after 0, 1, ... T steps (T + 1, H)."""

    @abstractmethod
    def states_read(self, h: Array, is_backward: bool) -> Iterator[PooledState]:
        """The states whose sum, each times its share, is the pooled one."""

    @abstractmethod
    def replaced(self, h: Array, other: Array, prefixes: Array) -> Replaced:
        """With other states (T, H) of a forward direction. prefixes: of h."""


class Last(Pooling):
    """The final state of each direction."""

    name = "last"
    reads_outputs = False

    def features(self, ops: Ops, runs: Sequence[Forward], merge: MergeMode, lengths: Lengths) -> list[Any]:
        return [ops.merge([run.h_T for run in runs], merge)]

    def nodes(self, states: GraphStates) -> str:
        return states.final

    def prefixes(self, h: Array, h0: Array, is_backward: bool) -> Array:
        return np.concatenate([h0[None], h])

    def states_read(self, h: Array, is_backward: bool) -> Iterator[PooledState]:
        yield PooledState(np.full(h.shape[1], len(h) - 1), 1.0)

    def replaced(self, h: Array, other: Array, prefixes: Array) -> Replaced:
        return Replaced(np.ones_like(h), other)


class Step(Last):
    """The output of the last step of the sequence, which a backward direction reads first."""

    name = "step"
    reads_outputs = True

    def features(self, ops: Ops, runs: Sequence[Forward], merge: MergeMode, lengths: Lengths) -> list[Any]:
        return [ops.last_rows(ops.merge([run.h for run in runs], merge), lengths)]

    def nodes(self, states: GraphStates) -> str:
        step = states.column(states.builder.add("Sub", states.lengths, states.number(1)))
        return states.builder.add("GatherND", states.h, step, batch_dims=1)

    def prefixes(self, h: Array, h0: Array, is_backward: bool) -> Array:
        if not is_backward:
            return super().prefixes(h, h0, is_backward)
        return np.concatenate([h0[None], np.repeat(h[:1], len(h), axis=0)])

    def states_read(self, h: Array, is_backward: bool) -> Iterator[PooledState]:
        if not is_backward:
            yield from super().states_read(h, is_backward)
            return
        yield PooledState(np.zeros(h.shape[1], dtype=np.intp), 1.0)


class StepsPooling(Pooling):
    """A pooling over all steps: their states are joined one by one, so that a stream can go on with it. That of no step
    is 0. join: of two joined states. start: what changes no joined state.
    """

    reads_all_steps = True
    join: ClassVar[np.ufunc]
    start: ClassVar[float]

    @abstractmethod
    def joined(self, h: Array, lengths: Lengths) -> Array:
        """The joined states (B, H) of a ragged batch h (N, H), one step after the other."""

    def pooled(self, h: Array, lengths: Lengths) -> Array:
        """The pooled states (B, H) of a ragged batch h (N, H)."""
        count = np.maximum(lengths, 1)[:, None]
        return self.finished(self.joined(h, lengths), count.astype(h.dtype))

    @abstractmethod
    def gradient(self, h: Array, pooled: Array, lengths: Lengths, grad: Array, into: Array | None) -> Array:
        """The gradient (N, H) of h, of that of the pooled states (B, H), added to an array if there is one."""

    @abstractmethod
    def finished(self, joined: Array, count: Array) -> Array:
        """The pooled states, of joined ones (n, H). count (n, 1): how many steps each has, at least 1."""

    def features(self, ops: Ops, runs: Sequence[Forward], merge: MergeMode, lengths: Lengths) -> list[Any]:
        outputs: list[Any] = [run.h for run in runs]
        # Pooled before they are placed side by side, to the same result: the copy is smaller.
        if merge.by_unit:
            outputs = [ops.merge(outputs, merge)]
        return [ops.pool(h, lengths, self) for h in outputs]

    def prefixes(self, h: Array, h0: Array, is_backward: bool) -> Array:
        joined = self.join.accumulate(h, axis=0)
        count = np.arange(1, len(h) + 1)[:, None]
        return np.concatenate([np.zeros_like(h0)[None], self.finished(joined, count)])


class Mean(StepsPooling):
    """The mean over the steps."""

    name = "mean"
    join = np.add
    start = 0.0

    def joined(self, h: Array, lengths: Lengths) -> Array:
        return segment_reduce(h, lengths, "sum")

    def gradient(self, h: Array, pooled: Array, lengths: Lengths, grad: Array, into: Array | None) -> Array:
        count = np.maximum(lengths, 1)[:, None]
        return repeat_rows(grad / count.astype(grad.dtype), lengths, into)

    def finished(self, joined: Array, count: Array) -> Array:
        return np.asarray(joined / count)

    def nodes(self, states: GraphStates) -> str:
        add = states.builder.add
        total = add("ReduceSum", states.where_read(0.0), axes=(1,), keepdims=0)
        count = add("Cast", add("Max", states.lengths, states.number(1)), to="float")
        return add("Div", total, states.column(count))

    def states_read(self, h: Array, is_backward: bool) -> Iterator[PooledState]:
        for step in range(len(h)):
            yield PooledState(np.full(h.shape[1], step), 1 / len(h))

    def replaced(self, h: Array, other: Array, prefixes: Array) -> Replaced:
        count = np.arange(1, len(h) + 1)[:, None]
        return Replaced(np.broadcast_to(1 / count, h.shape), prefixes[1:] + (other - h) / count)


class Max(StepsPooling):
    """The maximum over the steps."""

    name = "max"
    is_linear = False
    join = np.maximum
    start = -np.inf

    def joined(self, h: Array, lengths: Lengths) -> Array:
        return segment_reduce(h, lengths, "max")

    def gradient(self, h: Array, pooled: Array, lengths: Lengths, grad: Array, into: Array | None) -> Array:
        return max_backward(h, pooled, lengths, grad, into)

    def finished(self, joined: Array, count: Array) -> Array:
        return joined

    def nodes(self, states: GraphStates) -> str:
        add = states.builder.add
        largest = add("ReduceMax", states.where_read(BELOW_ALL_STATES), axes=(1,), keepdims=0)
        if not states.may_be_empty:
            return largest
        has_steps = states.column(add("Greater", states.lengths, states.number(0)))
        return add("Where", has_steps, largest, states.number(0.0))

    def states_read(self, h: Array, is_backward: bool) -> Iterator[PooledState]:
        yield PooledState(h.argmax(axis=0), 1.0)

    def replaced(self, h: Array, other: Array, prefixes: Array) -> Replaced:
        before = np.concatenate([np.full((1, h.shape[1]), self.start), prefixes[1:-1]])  # no step: no maximum yet
        pooled = np.maximum(before, other)
        rise = np.maximum(before, h) - pooled
        share = np.divide(rise, h - other, out=np.zeros_like(h), where=h != other)
        return Replaced(share, pooled)


MEAN = Mean()

POOLINGS: dict[str, Pooling] = {pooling.name: pooling for pooling in (Last(), Step(), MEAN, Max())}
"""By name."""


def poolings_of(name: str) -> tuple[Pooling, ...]:
    """The poolings of an architecture, whose states are placed side by side; none where each step has a prediction."""
    if name == "none":
        return ()
    return tuple(POOLINGS[part] for part in name.split("+"))
