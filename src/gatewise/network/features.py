"""`Features`: which numbers a value of a graph holds, and how its axes are arranged.

A number of a step or of a sequence is a column: one output of a source, such as unit 3 of an LSTM. Reshape, Transpose,
Slice and Concat then move columns and compute nothing, so that they apply to an array of the numbers of the columns.

>>> columns = Columns()
>>> lstm = columns.of(Series(), 4)
>>> lstm[::-1]
array([3, 2, 1, 0])
>>> source, places = columns.whole(lstm[2:])
>>> places
array([2, 3])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.network.merge_mode import MergeName
from gatewise.network.size import Shape
from gatewise.network.weight_layouts import Weights
from gatewise.types import Activation, Array

Numbers = NDArray[np.int64]
"""The numbers of columns."""

Role = Literal["batch", "steps"]
Axis = tuple[Role, ...]
"""What an axis counts: the sequences, the steps, both in this order, or columns: ()."""


class NotRecognised(Exception):
    """A network that is no `Architecture`, with the reason."""


@dataclass(frozen=True)
class Features:
    """axes: of the value. columns: its columns, in the shape of those axes that count columns. flipped: whether the
    steps are in reverse order.
    """

    axes: tuple[Axis, ...]
    columns: Numbers
    flipped: bool = False

    @property
    def of_steps(self) -> bool:
        """Whether it has numbers for each step."""
        return any("steps" in axis for axis in self.axes)

    @property
    def full(self) -> Numbers:
        """The columns in the shape of all axes, with the size 1 for sequences and steps."""
        sizes = iter(self.columns.shape)
        return self.columns.reshape([1 if axis else next(sizes) for axis in self.axes])

    def with_full(self, full: Numbers) -> Features:
        """The same axes with other columns, in the shape of `full`."""
        return Features(self.axes, without_axes(full, self.axes), self.flipped)


def without_axes(full: Numbers, axes: tuple[Axis, ...]) -> Numbers:
    """An array in the shape of the axes that count columns."""
    return full.reshape([size for size, axis in zip(full.shape, axes, strict=True) if not axis])


@dataclass(frozen=True)
class Filled:
    """An array full of one number, of any shape."""

    number: float


@dataclass(frozen=True)
class Unknown:
    """A value that no rule reads, and why."""

    reason: str


Value = Features | Array | Filled | Unknown
"""A constant is an array."""


def numbers_of(value: Array | Filled) -> Array:
    """The numbers of a constant."""
    return np.asarray(value.number if isinstance(value, Filled) else value)


def aligned(values: Sequence[Value | None]) -> tuple[tuple[Axis, ...], list[Array]]:
    """The axes of values that are broadcast, and each as an array with the size 1 for steps and sequences: the
    columns of features, or the numbers of constants.
    """
    arrays: list[Array] = []
    axes_of: list[tuple[Axis, ...]] = []
    for value in values:
        if isinstance(value, Features):
            arrays.append(value.full)
            axes_of.append(value.axes)
        elif value is not None and not isinstance(value, Unknown):
            array = numbers_of(value)
            arrays.append(array)
            axes_of.append(((),) * array.ndim)
    rank = max(len(axes) for axes in axes_of)
    merged: list[Axis] = []
    arrays = [array.reshape((1,) * (rank - array.ndim) + array.shape) for array in arrays]
    axes_of = [(*((),) * (rank - len(axes)), *axes) for axes in axes_of]
    for place in range(rank):
        roles = {axes[place] for axes in axes_of} - {()}
        if len(roles) > 1 or (roles and any(array.shape[place] != 1 for array in arrays)):
            raise NotRecognised("it joins steps with numbers of another order")
        merged.append(roles.pop() if roles else ())
    if len({role for axis in merged for role in axis}) < sum(map(len, merged)):
        raise NotRecognised("it joins each step with each other step")
    return tuple(merged), arrays


def flipped_of(values: Sequence[Value | None]) -> bool:
    """Whether the steps of all values are in reverse order. Raises NotRecognised where those of some are."""
    flips = {value.flipped for value in values if isinstance(value, Features) and value.of_steps}
    if len(flips) > 1:
        raise NotRecognised("it joins steps with others in reverse order")
    return flips.pop() if flips else False


def column_shape(shape: Shape, axes: tuple[Axis, ...]) -> tuple[int, ...]:
    """The sizes of the axes that count columns, of a value of this shape."""
    sizes = [size for size, axis in zip(shape, axes, strict=True) if not axis]
    if not all(isinstance(size, int) for size in sizes):
        raise NotRecognised("the number of its outputs depends on the inputs")
    return tuple(size for size in sizes if isinstance(size, int))


@dataclass(frozen=True)
class Rule:
    """Which steps are not read: those of the id `value`, those whose numbers are all `value`, or those beyond the
    lengths of the input `name`.
    """

    kind: Literal["id", "value", "lengths"]
    value: float = 0.0
    name: str = ""

    def __str__(self) -> str:
        return {"id": f"the id {self.value:g}", "value": f"the number {self.value:g}", "lengths": "the lengths"}[
            self.kind
        ]


class Source:
    """What has columns."""


@dataclass(frozen=True, eq=False)
class Token(Source):
    """A function of the id of the step, which the value `name` holds: its table has a row for each id."""

    name: str
    axes: tuple[Axis, ...]
    flipped: bool


@dataclass(frozen=True, eq=False)
class Series(Source):
    """The channels of a series."""


@dataclass(frozen=True, eq=False)
class Equals(Source):
    """Whether each channel of a series equals a number; negated: whether it does not."""

    value: float
    negated: bool


@dataclass(frozen=True, eq=False)
class StepNumber(Source):
    """The number of the step, from 0."""


@dataclass(frozen=True, eq=False)
class Count(Source):
    """The number of steps that the rule reads, less `less`."""

    rule: Rule
    less: int = 0


@dataclass(frozen=True, eq=False)
class Read(Source):
    """Whether the rule reads the step; negated: whether it does not."""

    rule: Rule
    negated: bool = False


@dataclass(frozen=True, eq=False)
class Affine(Source):
    """x weightᵀ + bias of the columns x (F,), weight (K, F), or (F,) for a product with each column."""

    columns: Numbers
    weight: Array
    bias: Array

    @property
    def of_each(self) -> bool:
        """Whether it multiplies and shifts each column alone."""
        return self.weight.ndim == 1


@dataclass(frozen=True, eq=False)
class Act(Source):
    """An activation of columns. kind: of a dense layer, or of outputs alone."""

    columns: Numbers
    kind: Activation | Literal["softmax", "log_softmax"]
    negative_slope: float = 0.01

    @property
    def of_each(self) -> bool:
        """Whether it is a function of each column alone."""
        return self.kind not in ("softmax", "log_softmax")


@dataclass(frozen=True, eq=False)
class Lstm(Source):
    """The outputs h of each step. direction: in the order of the steps of the inputs. rule: of the steps that are not
    read, whose outputs are those of the step read before ("previous") or "zero".
    """

    columns: Numbers
    weights: Weights
    direction: Literal["forward", "backward"]
    rule: Rule | None
    masked: Literal["previous", "zero"]

    @property
    def units(self) -> int:
        """H."""
        return int(self.weights.weight_hh.shape[1])


@dataclass(frozen=True, eq=False)
class State(Source):
    """The last c of an LSTM."""

    lstm: Lstm


@dataclass(frozen=True, eq=False)
class Merge(Source):
    """The columns of two directions, merged one by one."""

    how: MergeName
    left: Numbers
    right: Numbers


@dataclass(frozen=True, eq=False)
class Kept(Source):
    """The columns at the steps that the rule reads, and `otherwise` at the others."""

    columns: Numbers
    rule: Rule
    otherwise: float


@dataclass(frozen=True, eq=False)
class Total(Source):
    """The sum over the steps that the rule reads."""

    columns: Numbers
    rule: Rule


Pooling = Literal["final", "step", "mean", "max"]


@dataclass(frozen=True, eq=False)
class Pooled(Source):
    """A pooling of all columns of an LSTM, or of its merged directions: the state after the last step that the
    direction reads ("final"), the output of the last step of the sequence, the mean or the maximum of the outputs.
    rule: of the steps over which it goes.
    """

    kind: Pooling
    source: Lstm | Merge
    rule: Rule | None


class Columns:
    """All columns so far, numbered from 0."""

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._starts: list[int] = []
        self._count = 0
        self._derived: dict[tuple[object, ...], Numbers] = {}

    def of(self, source: Source, width: int) -> Numbers:
        """The numbers (width,) of the columns of a new source."""
        self._sources.append(source)
        self._starts.append(self._count)
        self._count += width
        return np.arange(self._count - width, self._count)

    def once(self, key: tuple[object, ...], source: Source, width: int) -> Numbers:
        """The columns of a source that is the only one with this key."""
        if key not in self._derived:
            self._derived[key] = self.of(source, width)
        return self._derived[key]

    def sources(self, columns: Numbers) -> list[Source]:
        """The sources of columns, each once, in the order of the columns."""
        numbers = np.searchsorted(self._starts, columns.ravel(), side="right") - 1
        return [self._sources[number] for number in dict.fromkeys(numbers.tolist())]

    def whole(self, columns: Numbers) -> tuple[Source, Numbers]:
        """The one source of columns, and their places in it. Raises NotRecognised where there are several."""
        sources = self.sources(columns)
        if len(sources) != 1:
            raise NotRecognised(f"it joins the outputs of {len(sources)} layers")
        return sources[0], columns - self._starts[self._sources.index(sources[0])]

    def width(self, source: Source) -> int:
        """The number of the columns of a source."""
        number = self._sources.index(source)
        ends = [*self._starts[1:], self._count]
        return ends[number] - self._starts[number]

    def all_of(self, source: Source) -> Numbers:
        """All columns of a source."""
        start = self._starts[self._sources.index(source)]
        return np.arange(start, start + self.width(source))

    def mapped(self, columns: Numbers, function: Callable[[Source], Numbers]) -> Numbers:
        """Columns in place of others. function: of a source, as many columns as it has."""
        result = np.empty_like(columns)
        for source in self.sources(columns):
            own = self.all_of(source)
            inside = (columns >= own[0]) & (columns <= own[-1])
            result[inside] = function(source)[columns[inside] - own[0]]
        return result
