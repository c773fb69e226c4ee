"""`input_ranges`: the numbers that the inputs of a graph may have, read from its structure.

A number that a graph reads as the index of a row is one of its rows; a number that it compares with those of the steps
is a length or a step. So numbers are followed from the inputs through what moves them, and through sums and products
with known numbers, up to the node that bounds them. What is followed is `scale * x + offset` of an element x of an
input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.network.graph import Graph, Node, run_node
from gatewise.network.operation import Execution
from gatewise.network.operations.clip import Clip
from gatewise.network.operations.gather import Gather
from gatewise.network.operations.gather_elements import GatherElements
from gatewise.network.operations.gather_nd import GatherND
from gatewise.network.operations.one_hot import OneHot
from gatewise.network.operations.reverse_sequence import ReverseSequence
from gatewise.network.operations.scatter_elements import ScatterElements
from gatewise.network.operations.thresholded_relu import ThresholdedRelu
from gatewise.types import Array

_MOVES = {
    "Cast", "Concat", "Expand", "Flatten", "Gather", "GatherElements", "Identity", "Reshape", "Slice", "Split",
    "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip
_ROUNDED = {"Floor": (-1.0, 0.0), "Ceil": (0.0, 1.0), "Round": (-0.5, 0.5)}
_ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Neg"}
_COMPARISONS = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}
_BOUNDS = {"Max", "Min", "Clip"}
_BEYOND = 2  # rows
_MAX_FOLLOWED = 8  # of one value: Where has two ways
_FEW = 8  # different numbers: more are a range of ids, not constants of the network
_MAX_CONSTANTS = 32

# An index that is compared with the numbers lo to hi of a range is bounded by them: the comparison is then true for
# some of the numbers. By the operation, with the index at the right: lo + first to hi + last.
_FIRST_AND_LAST = {
    "Equal": (0, 0),
    "Less": (1, 1),
    "LessOrEqual": (0, 0),
    "Greater": (-1, -1),
    "GreaterOrEqual": (0, 0),
}
_TURNED = {
    "Equal": "Equal",
    "Less": "Greater",
    "LessOrEqual": "GreaterOrEqual",
    "Greater": "Less",
    "GreaterOrEqual": "LessOrEqual",
}


@dataclass(frozen=True, eq=False)
class InputRange:
    """The numbers that an input may have, for inputs of one shape. low, high: of each element, infinite where nothing
    bounds it. ids: which elements are rows of a constant table, such as an embedding. constants: the numbers with which
    the graph compares elements, and those elements.
    """

    low: Array
    high: Array
    ids: Array
    constants: Mapping[float, Array]

    @property
    def bounded(self) -> Array:
        """Which elements are whole numbers between `low` and `high`."""
        return np.isfinite(self.low) & np.isfinite(self.high)


@dataclass(frozen=True, eq=False)
class _Followed:
    """A value that is `scale * x + offset`. source: the number of x among the elements of all inputs, -1 where an
    element of the value is no such number. floor, ceiling: whether the value is bounded from below or above already.
    least, most: what may be added to it, such as the fraction that a quotient loses.
    """

    source: Array
    scale: Array
    offset: Array
    floor: bool = False
    ceiling: bool = False
    least: float = 0.0
    most: float = 0.0


def input_ranges(graph: Graph, sizes: Mapping[str, int]) -> tuple[dict[str, InputRange], set[float]]:
    """The numbers of each input, for these sizes of the symbols; and the numbers with which the graph compares what it
    computes from the inputs in other ways.
    """
    return _Ranges(graph, sizes).read()


@dataclass(frozen=True)
class Element:
    """An element of an input, of which a value has `scale * x + offset`. name: of the input. index: of the element."""

    name: str
    index: tuple[int, ...]
    scale: float
    offset: float


def elements_of(graph: Graph, sizes: Mapping[str, int], value: str, index: tuple[int, ...]) -> list[Element]:
    """The elements of the inputs that the element `index` of a value may be, for these sizes of the symbols."""
    ranges = _Ranges(graph, sizes)
    ranges.read()
    elements = []
    for followed in ranges.followed.get(value, ()):
        source, scale, offset = (array[index] for array in (followed.source, followed.scale, followed.offset))
        if source < 0 or not scale:
            continue
        name = next(name for name in reversed(ranges.first) if ranges.first[name] <= source)
        place = np.unravel_index(int(source) - ranges.first[name], ranges.shapes[name])
        elements.append(Element(name, tuple(int(number) for number in place), float(scale), float(offset)))
    return elements


class _Ranges:
    """known: the values that no number of the inputs changes. of_steps: those of them that a Range made. loose: the
    numbers with which values are compared that are not followed. intervals: the least and the largest number of values.
    """

    def __init__(self, graph: Graph, sizes: Mapping[str, int]) -> None:
        self.graph = graph
        self.execution = Execution(sizes, dtype=np.float64, keep=False)
        self.known: dict[str, Array] = dict(graph.constants)
        self.of_steps: set[str] = set()
        self.followed: dict[str, list[_Followed]] = {}
        self.loose: set[float] = set()
        self.intervals: dict[str, tuple[float, float]] = {}
        self.shapes = {name: self.execution.shape(value.shape) for name, value in graph.inputs.items()}
        self.first: dict[str, int] = {}
        count = 0
        for name, shape in self.shapes.items():
            self.first[name] = count
            count += int(np.prod(shape))
        self.low = np.full(count, -np.inf)
        self.high = np.full(count, np.inf)
        self.ids = np.zeros(count, dtype=bool)
        self.constants: dict[float, Array] = {}

    def read(self) -> tuple[dict[str, InputRange], set[float]]:
        for name, shape in self.shapes.items():
            if self.graph.inputs[name].dtype != "bool":
                source = self.first[name] + np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
                self.followed[name] = [_Followed(source, np.ones(shape), np.zeros(shape))]
        for node in self.graph.nodes:
            read = [name for name in node.inputs if name]
            if all(name in self.known for name in read):
                self._compute(node)
            else:
                self._read_node(node)
        ranges = {}
        for name, shape in self.shapes.items():
            elements = slice(self.first[name], self.first[name] + int(np.prod(shape)))
            low = self.low[elements].reshape(shape)
            # Bounds that exclude each other are of nodes of which one refuses the input.
            high = np.maximum(low, self.high[elements].reshape(shape))
            constants = {}
            for number, compared in self.constants.items():
                if compared[elements].any():
                    constants[number] = compared[elements].reshape(shape)
            ranges[name] = InputRange(low, high, self.ids[elements].reshape(shape), constants)
        return ranges, self.loose

    def _compute(self, node: Node) -> None:
        """A node that reads known values alone."""
        try:
            results, _ = run_node(node, self.known, self.execution)
        except InputError:
            return
        self.known |= zip(node.outputs, results, strict=True)
        steps = node.operation.name() == "Range" or bool(self.of_steps.intersection(node.inputs))
        if steps:
            self.of_steps.update(node.outputs)

    def _read_node(self, node: Node) -> None:
        name = node.operation.name()
        self._bound_indices(node)
        if name in _COMPARISONS:
            self._compare(node)
        elif name in _BOUNDS or name in ("Relu", "Abs", "ThresholdedRelu"):
            self._bound(node)
        elif name == "Where":
            self._choose(node)
        elif name in _ARITHMETIC:
            self._calculate(node)
        elif name in _ROUNDED:
            for value in self.followed.get(node.inputs[0], ()):
                least, most = _ROUNDED[name]
                self._follow(node.outputs[0], replace(value, least=value.least + least, most=value.most + most))
        elif name == "Mod" and node.inputs[1] in self.known:
            divisor = np.asarray(self.known[node.inputs[1]], dtype=np.float64)
            if (divisor > 0).all() and self.graph.types[node.outputs[0]].dtype != "float":
                self.intervals[node.outputs[0]] = (0.0, float(divisor.max()) - 1)
        elif name in ("TopK", "ReverseSequence"):
            self._rearrange(node)
        elif name in _MOVES:
            self._move(node)
        elif name in ("Not", "Sign"):
            self._meets(node.inputs[0], np.zeros(()))

    def _follow(self, name: str, followed: _Followed) -> None:
        values = self.followed.setdefault(name, [])
        if len(values) < _MAX_FOLLOWED:
            values.append(followed)

    def _shape(self, name: str) -> tuple[int, ...]:
        return self.execution.shape(self.graph.types[name].shape)

    def _bound_indices(self, node: Node) -> None:
        """What a node reads as the number of a row lies within its rows."""
        operation = node.operation
        if isinstance(operation, Gather | GatherElements | ScatterElements):
            data, indices = node.inputs[:2]
            rows = self._shape(data)[operation.axis]
            self._within(indices, 0, rows - 1, ids=isinstance(operation, Gather) and data in self.graph.constants)
        elif isinstance(operation, GatherND):
            data, indices = node.inputs[:2]
            depth = self._shape(indices)[-1]
            first = operation.batch_dims
            self._within(indices, 0, np.array(self._shape(data)[first : first + depth]) - 1)
        elif isinstance(operation, OneHot):
            self._within(node.inputs[0], 0, self.execution.size(operation.depth) - 1, ids=True)
        elif isinstance(operation, ReverseSequence):
            self._within(node.inputs[1], 1, self._shape(node.inputs[0])[operation.time_axis])

    def _within(self, name: str, low: Any, high: Any, *, ids: bool = False) -> None:
        """The value lies within these bounds, which are broadcast to it."""
        for value in self.followed.get(name, ()):
            # An id that a bound makes a row of the table may lie beyond the table.
            lower = low - _BEYOND if ids and value.floor else low
            upper = high + _BEYOND if ids and value.ceiling else high
            inside = value.source >= 0
            source = value.source[inside]
            added = (lower - value.least, upper - value.most)
            with np.errstate(all="ignore"):
                ends = [(np.broadcast_to(end, inside.shape) - value.offset) / value.scale for end in added]
            rising = value.scale > 0
            first = np.where(rising, ends[0], ends[1])[inside]
            last = np.where(rising, ends[1], ends[0])[inside]
            np.maximum.at(self.low, source, np.ceil(first))
            np.minimum.at(self.high, source, np.floor(last))
            if ids:
                self.ids[source] = True

    def _compare(self, node: Node) -> None:
        left, right = node.inputs
        name = node.operation.name()
        for value, other, operation in ((right, left, name), (left, right, _TURNED[name])):
            if other not in self.known:
                continue
            numbers = self.known[other]
            distinct = np.unique(numbers)
            if distinct.size == 0:  # the numbers of no step
                continue
            whole = bool((distinct == np.floor(distinct)).all())
            consecutive = whole and distinct.size > 1 and distinct[-1] - distinct[0] == distinct.size - 1
            if numbers.dtype != np.bool_ and (other in self.of_steps or consecutive):
                first, last = _FIRST_AND_LAST[operation]
                self._within(value, distinct[0] + first, distinct[-1] + last)
            else:
                self._meets(value, numbers)

    def _meets(self, name: str, numbers: Array) -> None:
        """The value is compared with these numbers, which are broadcast to it."""
        distinct = np.unique(np.asarray(numbers, dtype=np.float64))
        distinct = distinct[np.isfinite(distinct)]
        if distinct.size > _FEW:
            return
        if name not in self.followed:
            self.loose.update(distinct.tolist())
        for value in self.followed.get(name, ()):
            inside, sought = np.broadcast_arrays(value.source >= 0, numbers)
            source, scale, offset, _ = np.broadcast_arrays(value.source, value.scale, value.offset, sought)
            with np.errstate(all="ignore"):
                numbers_of_x = (sought[inside] - offset[inside]) / scale[inside]
            elements = source[inside]
            candidates = np.unique(numbers_of_x)
            for number in candidates[np.isfinite(candidates)][:_FEW].tolist():
                if number not in self.constants and len(self.constants) == _MAX_CONSTANTS:
                    return
                compared = self.constants.setdefault(number, np.zeros(len(self.low), dtype=bool))
                compared[elements[numbers_of_x == number]] = True

    def _bound(self, node: Node) -> None:
        """Max, Min, Clip and the like: the value meets the known numbers, and no index is beyond them."""
        [output, *_] = node.outputs
        name = node.operation.name()
        floors: list[Array] = []
        ceilings: list[Array] = []
        if isinstance(node.operation, Clip):
            bounds = [self.known.get(bound) for bound in (*node.inputs[1:], "", "")[:2]]
            floors += [bound for bound in bounds[:1] if bound is not None]
            ceilings += [bound for bound in bounds[1:] if bound is not None]
            values = list(node.inputs[:1])
        elif name in ("Max", "Min"):
            numbers = [self.known[other] for other in node.inputs if other in self.known]
            (floors if name == "Max" else ceilings).extend(numbers)
            values = [value for value in node.inputs if value not in self.known]
        else:
            alpha = node.operation.alpha if isinstance(node.operation, ThresholdedRelu) else 0.0
            floors.append(np.asarray(alpha))
            values = list(node.inputs[:1])
        shape = self._shape(output)
        for value in values:
            for numbers_met in (*floors, *ceilings):
                self._meets(value, numbers_met)
            if name == "Abs":
                continue
            for followed in self.followed.get(value, ()):
                floor = followed.floor or bool(floors)
                ceiling = followed.ceiling or bool(ceilings)
                self._follow(output, replace(_broadcast(followed, shape), floor=floor, ceiling=ceiling))

    def _choose(self, node: Node) -> None:
        """Where: each of the two may be the number."""
        [output] = node.outputs
        for name in node.inputs[1:]:
            for followed in self.followed.get(name, ()):
                self._follow(output, _broadcast(followed, self._shape(output)))

    def _calculate(self, node: Node) -> None:
        """A sum, difference, product or quotient with known numbers."""
        [output] = node.outputs
        shape = self._shape(output)
        name = node.operation.name()
        left, right = (*node.inputs, "")[:2]
        for value in self.followed.get(left, ()):
            if name == "Neg":
                self._follow(output, _times(value, np.asarray(-1.0), shape))
            elif right in self.known:
                number = np.asarray(self.known[right], dtype=np.float64)
                if name in ("Add", "Sub"):
                    self._follow(output, _plus(value, number if name == "Add" else -number, shape))
                elif name == "Mul":
                    self._follow(output, _times(value, number, shape))
                else:
                    self._divide(node, value, number)
            elif right in self.intervals:
                self._blur(node, value, self.intervals[right])
        for value in self.followed.get(right, ()):
            if left in self.intervals and name in ("Add", "Mul"):
                self._blur(node, value, self.intervals[left])
            elif left in self.known and name in ("Add", "Sub", "Mul"):
                number = np.asarray(self.known[left], dtype=np.float64)
                if name == "Mul":
                    self._follow(output, _times(value, number, shape))
                else:
                    signed = value if name == "Add" else _times(value, np.asarray(-1.0), value.source.shape)
                    self._follow(output, _plus(signed, number, shape))

    def _divide(self, node: Node, value: _Followed, number: Array) -> None:
        """A quotient; one of integers loses its fraction."""
        [output] = node.outputs
        with np.errstate(all="ignore"):
            quotient = _times(value, 1 / number, self._shape(output))
        if self.graph.types[output].dtype != "float":
            quotient = replace(quotient, least=quotient.least - 1, most=quotient.most + 1)
        self._follow(output, quotient)

    def _blur(self, node: Node, value: _Followed, interval: tuple[float, float]) -> None:
        """A sum with a number of an interval, or a product with one between 0 and 1, which lies between 0 and x."""
        [output] = node.outputs
        least, most = interval
        whole = _broadcast(value, self._shape(output))
        name = node.operation.name()
        if name == "Mul":
            if 0 <= least <= most <= 1:
                self._follow(output, whole)
        elif name in ("Add", "Sub"):
            if name == "Sub":
                least, most = -most, -least
            self._follow(output, replace(whole, least=whole.least + least, most=whole.most + most))

    def _rearrange(self, node: Node) -> None:
        """Rows in an order, or a choice of rows, that depends on the inputs: each row may be each of them, and each row
        of the data is followed.
        """
        operation = node.operation
        data, output = node.inputs[0], node.outputs[0]
        axis = 0 if isinstance(operation, ReverseSequence) else operation.axis  # type: ignore[attr-defined]
        own, result = self._shape(data), self._shape(output)
        axis %= len(own)
        rows = own[axis]
        if isinstance(operation, Gather):
            indices = self._shape(node.inputs[1])
        else:
            indices = (result[axis],)
        count = max(1, int(np.prod(indices)))
        for value in self.followed.get(data, ()):
            for start in range(0, rows, count):
                index = ((start + np.arange(count)) % rows).reshape(indices)
                arrays = [np.take(array, index, axis) for array in (value.source, value.scale, value.offset)]
                if arrays[0].shape == result:
                    self._follow(output, replace(value, source=arrays[0], scale=arrays[1], offset=arrays[2]))

    def _move(self, node: Node) -> None:
        """What moves numbers moves those that are followed alike."""
        name = node.operation.name()
        if name == "Cast" and self.graph.types[node.outputs[0]].dtype == "bool":
            self._meets(node.inputs[0], np.zeros(()))
            return
        data = node.inputs if name == "Concat" else node.inputs[:1]
        if any(other not in self.known for other in node.inputs[len(data) :]):
            if name in ("Gather", "GatherElements"):
                self._rearrange(node)
            return
        if name == "Cast" and self.graph.types[node.inputs[0]].dtype == "bool":
            self.intervals[node.outputs[0]] = (0.0, 1.0)
        for number, moved in enumerate(data):
            for value in self.followed.get(moved, ()):
                fields: list[Sequence[Array]] = []
                for values, otherwise in ((value.source, -1), (value.scale, 1.0), (value.offset, 0.0)):
                    arrays = [np.full(self._shape(other), otherwise) for other in data]
                    arrays[number] = values
                    others = [self.known[other] for other in node.inputs[len(data) :]]
                    if name == "Cast":
                        fields.append(arrays)
                        continue
                    try:
                        fields.append(node.operation.forward(self.execution, *arrays, *others)[0])
                    except InputError:
                        return  # the graph refuses these sizes, so that nothing bounds their numbers
                for output, source, scale, offset in zip(node.outputs, *fields, strict=True):
                    self._follow(output, replace(value, source=source, scale=scale, offset=offset))


def _broadcast(value: _Followed, shape: tuple[int, ...]) -> _Followed:
    arrays = [np.broadcast_to(array, shape) for array in (value.source, value.scale, value.offset)]
    return replace(value, source=arrays[0], scale=arrays[1], offset=arrays[2])


def _plus(value: _Followed, number: Array, shape: tuple[int, ...]) -> _Followed:
    whole = _broadcast(value, shape)
    return replace(whole, offset=whole.offset + number)


def _times(value: _Followed, number: Array, shape: tuple[int, ...]) -> _Followed:
    """A product. A bound from below of numbers that change their sign is one from above; of numbers of both signs it
    is none.
    """
    whole = _broadcast(value, shape)
    floor, ceiling = value.floor, value.ceiling
    if not number.size:
        return whole
    if (number < 0).all():
        floor, ceiling = ceiling, floor
    elif not (number >= 0).all():
        floor = ceiling = False
    # A product with 0 is no longer the number.
    source = np.where(np.broadcast_to(number, shape) == 0, -1, whole.source)
    ends = [end * float(factor) for end in (value.least, value.most) for factor in (number.min(), number.max())]
    return _Followed(source, whole.scale * number, whole.offset * number, floor, ceiling, min(ends), max(ends))
