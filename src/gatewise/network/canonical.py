"""`same`: whether two graphs compute the same by their structure.

Each value gets the number of an expression, and equal expressions have one number. Expressions that differ in how rows
are read and arranged alone, such as a slice of what was stacked, are written in one way. Values are never compared.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.network.graph import Graph, Node
from gatewise.network.operation import Execution, ValueType
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.size import Dim, Shape, divided, product, remainder, symbols_of
from gatewise.types import Array

_MAX_FOLDED = 1 << 20  # numbers of a constant


def same(left: Graph, right: Graph) -> bool:
    """Whether two graphs with the same inputs compute the same outputs, operation by operation."""
    return different(left, right) is None


def different(left: Graph, right: Graph) -> Node | None:
    """The first node of `left` whose outputs `right` does not compute, where the outputs of the graphs differ."""
    expressions = Expressions()
    of_left = expressions.of(left)
    of_right = expressions.of(right)
    pairs = zip(left.outputs, right.outputs, strict=False)
    if dict(left.inputs) != dict(right.inputs) or len(left.outputs) != len(right.outputs):
        return left.nodes[0] if left.nodes else Node("", Recurrent(), (), ())
    if all(of_left[name] == of_right[other] for name, other in pairs):
        return None
    computed = set(of_right.values())
    for node in left.nodes:
        if any(of_left[name] not in computed for name in node.outputs):
            return node
    return left.nodes[-1]


class Expressions:
    """The expressions so far, by their numbers."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._keys: list[Any] = []
        self._types: list[ValueType] = []
        self._arrays: dict[int, Array] = {}
        self._values: dict[int, Any] = {}
        """The number of which an expression consists in all places."""

    def of(self, graph: Graph) -> dict[str, int]:
        """The number of the expression of each value of a graph."""
        numbers: dict[str, int] = {}
        for name, value_type in graph.inputs.items():
            numbers[name] = self._number(("input", name), value_type)
        for name, array in graph.constants.items():
            numbers[name] = self._constant(array, graph.types[name])
        for node in graph.nodes:
            inputs = [numbers[name] if name else None for name in node.inputs]
            types = [graph.types[name] for name in node.outputs]
            numbers |= zip(node.outputs, self._node(node, inputs, types), strict=True)
        return numbers

    def _number(self, key: tuple[Any, ...], value_type: ValueType) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self._keys)
            self._keys.append(key)
            self._types.append(value_type)
        return self._numbers[key]

    def _constant(self, array: Array, value_type: ValueType) -> int:
        """A constant by its content. One number in all places is that number in a shape."""
        if value_type.dtype == "float":
            array = np.asarray(array, dtype=np.float64)
        if array.size and (array.ravel()[:1].tobytes() * array.size) == array.tobytes():
            return self._full(array.flat[0], value_type)
        number = self._number(("constant", value_type, array.tobytes()), value_type)
        self._arrays[number] = array
        return number

    def _full(self, value: Any, value_type: ValueType) -> int:
        number = self._number(("full", value_type, np.asarray(value).tobytes()), value_type)
        if all(isinstance(size, int) for size in value_type.shape):
            shape: Any = value_type.shape
            if product(shape) <= _MAX_FOLDED:  # type: ignore[operator]  # of numbers
                self._arrays[number] = np.full(shape, value)
        self._values[number] = value
        return number

    def _node(self, node: Node, inputs: Sequence[int | None], types: Sequence[ValueType]) -> list[int]:
        operation: Any = node.operation
        name = operation.name()
        first = inputs[0] if inputs else None
        if name in ("Identity", "Dropout") and first is not None:
            return [first]
        if name in ("Reshape", "Squeeze", "Unsqueeze", "Flatten") and first is not None:
            return [self._reshape(first, types[0].shape)]
        if name == "Expand" and first is not None:
            if first in self._values:
                return [self._full(self._values[first], types[0])]
            if self._types[first] == types[0]:
                return [first]
            return [self._number(("expand", first, types[0]), types[0])]
        if name == "ConstantOfShape":
            folded = (
                operation.forward(Execution({}, dtype=np.float64)) if not node.inputs and _is_fixed(types[0]) else None
            )
            if folded is not None:
                return [self._constant(folded[0][0], types[0])]
        if name == "Slice" and first is not None:
            sliced = self._slices(operation, first)
            if sliced is not None:
                return [sliced]
        if name == "Split" and first is not None:
            axis = operation.axis % len(self._types[first].shape)
            return self._split(first, axis, [value_type.shape[axis] for value_type in types])
        if name == "Gather":
            row = self._row(operation, inputs, types[0])
            if row is not None:
                return [row]
        if name == "Concat":
            axis = operation.axis % len(types[0].shape)
            return [self._concat([number for number in inputs if number is not None], axis)]
        if isinstance(operation, Recurrent):
            inputs = self._with_states(operation, inputs, types)
        folded_constant = self._folded(node, inputs, types)
        if folded_constant is not None:
            return folded_constant
        key = (operation, tuple(inputs))
        return [self._number((*key, place), value_type) for place, value_type in enumerate(types)]

    def _with_states(
        self, operation: Recurrent, inputs: Sequence[int | None], types: Sequence[ValueType]
    ) -> list[int | None]:
        """The inputs with zeros for the states that are left out."""
        padded = [*inputs, *(None,) * (len(operation.formal) - len(inputs))]
        for formal, state in zip(("h0", "c0"), types[1:], strict=False):
            place = operation.formal.index(formal)
            if padded[place] is None:
                padded[place] = self._full(np.float64(0), state)
        return padded

    def _folded(self, node: Node, inputs: Sequence[int | None], types: Sequence[ValueType]) -> list[int] | None:
        """What a node of constants computes."""
        arrays = [None if number is None else self._arrays.get(number) for number in inputs]
        missing = any(number is not None and array is None for number, array in zip(inputs, arrays, strict=True))
        if missing or not all(map(_is_fixed, types)):
            return None
        try:
            outputs, _ = node.operation.forward(Execution({}, dtype=np.float64), *arrays)
        except KeyError:  # a size that is not known
            return None
        return [self._constant(output, value_type) for output, value_type in zip(outputs, types, strict=True)]

    # Rows

    def _reshape(self, number: int, shape: Shape) -> int:
        value_type = self._types[number]
        if value_type.shape == shape:
            return number
        new = ValueType(value_type.dtype, shape)
        if number in self._values:
            return self._full(self._values[number], new)
        if number in self._arrays and _is_fixed(new):
            fixed: Any = shape
            return self._constant(self._arrays[number].reshape(fixed), new)
        key = self._keys[number]
        if key[0] == "reshape":
            return self._reshape(key[1], shape)
        if key[0] == "concat":
            pushed = self._reshaped_parts(key, shape)
            if pushed is not None:
                return pushed
        return self._number(("reshape", number, new), new)

    def _reshaped_parts(self, key: Any, shape: Shape) -> int | None:
        """Reshape what is concatenated, where the axes before that of the parts stay as they are."""
        _, axis, parts = key
        if len(shape) <= axis or self._types[parts[0]].shape[:axis] != shape[:axis]:
            return None
        rest = product(shape[axis + 1 :])
        sizes = []
        for part in parts:
            numbers = product(self._types[part].shape[axis:])
            if rest == 0 or remainder(numbers, rest) != 0:
                return None
            sizes.append(divided(numbers, rest))
        reshaped = []
        for part, size in zip(parts, sizes, strict=True):
            reshaped.append(self._reshape(part, (*shape[:axis], size, *shape[axis + 1 :])))
        return self._concat(reshaped, axis)

    def _concat(self, parts: Sequence[int], axis: int) -> int:
        flat: list[int] = []
        for part in parts:
            key = self._keys[part]
            if self._types[part].shape[axis] == 0:
                continue
            if key[0] == "concat" and key[1] == axis:
                flat += key[2]
            else:
                flat.append(part)
        if not flat:
            return parts[0]
        flat = self._joined_slices(flat, axis)
        if len(flat) == 1:
            return flat[0]
        shape = self._types[flat[0]].shape
        size: Dim = 0
        for part in flat:
            size = size + self._types[part].shape[axis]
        new = ValueType(self._types[flat[0]].dtype, (*shape[:axis], size, *shape[axis + 1 :]))
        if all(part in self._arrays for part in flat):
            return self._constant(np.concatenate([self._arrays[part] for part in flat], axis=axis), new)
        return self._number(("concat", axis, tuple(flat)), new)

    def _joined_slices(self, parts: list[int], axis: int) -> list[int]:
        """Slices that follow each other in one value are one slice of it."""
        joined: list[int] = []
        for part in parts:
            before: Any = self._keys[joined[-1]] if joined else ("",)
            key = self._keys[part]
            follows = key[0] == before[0] == "slice" and key[1:3] == before[1:3] and key[2] == axis
            if follows and key[5] == before[5] == 1 and before[3] + before[4] == key[3]:
                joined[-1] = self._slice(key[1], axis, before[3], before[4] + key[4], 1)
            else:
                joined.append(part)
        return joined

    def _slice(self, number: int, axis: int, first: int, count: int, stride: int) -> int:
        """`count` rows of an axis of a fixed size."""
        value_type = self._types[number]
        size = value_type.shape[axis]
        if count == 1:
            stride = 1
        if first == 0 and count == size and stride == 1:
            return number
        new = ValueType(value_type.dtype, (*value_type.shape[:axis], count, *value_type.shape[axis + 1 :]))
        if number in self._values:
            return self._full(self._values[number], new)
        if number in self._arrays:
            rows = first + stride * np.arange(count)
            return self._constant(np.take(self._arrays[number], rows, axis=axis), new)
        key = self._keys[number]
        if key[0] == "slice" and key[2] == axis:
            return self._slice(key[1], axis, key[3] + first * key[5], count, key[5] * stride)
        if key[0] == "slice" and key[2] > axis:
            inner = self._slice(key[1], axis, first, count, stride)
            return self._slice(inner, key[2], key[3], key[4], key[5])
        if key[0] == "concat" and key[1] == axis:
            rows_of_parts = self._rows_of_parts(key[2], axis, [first + stride * row for row in range(count)])
            if rows_of_parts is not None:
                return self._concat(rows_of_parts, axis)
        return self._number(("slice", number, axis, first, count, stride), new)

    def _rows_of_parts(self, parts: Sequence[int], axis: int, rows: Sequence[int]) -> list[int] | None:
        """Single rows of what is concatenated."""
        owners: list[tuple[int, int]] = []
        for part in parts:
            size = self._types[part].shape[axis]
            if not isinstance(size, int):
                return None
            owners += [(part, row) for row in range(size)]
        return [self._slice(owners[row][0], axis, owners[row][1], 1, 1) for row in rows]

    def _slices(self, operation: Any, number: int) -> int | None:
        shape = self._types[number].shape
        bounds = fixed_bounds(operation, shape)
        if bounds is None:
            return None
        for axis, (first, count, stride) in bounds.items():
            number = self._slice(number, axis, first, count, stride)
        return number

    def _split(self, number: int, axis: int, sizes: Sequence[Dim]) -> list[int]:
        chunks = []
        start = 0
        for size in sizes:
            if not isinstance(size, int):
                raise InputError("a chunk whose size depends on the inputs")
            chunks.append(self._slice(number, axis, start, size, 1))
            start += size
        return chunks

    def _row(self, operation: Any, inputs: Sequence[int | None], value_type: ValueType) -> int | None:
        """One row that is gathered by a constant index."""
        data, indices = inputs
        assert data is not None
        assert indices is not None
        index = self._arrays.get(indices)
        axis = operation.axis % len(self._types[data].shape)
        size = self._types[data].shape[axis]
        if index is None or index.size != 1 or not isinstance(size, int):
            return None
        row = int(index.flat[0])
        return self._reshape(self._slice(data, axis, row % size, 1, 1), value_type.shape)


def fixed_bounds(operation: Any, shape: Shape) -> dict[int, tuple[int, int, int]] | None:
    """The first row, the count and the stride of a Slice of each axis that it does not leave as it is; None where these
    depend on sizes that are not known.
    """
    axes = range(len(operation.starts)) if operation.axes is None else operation.axes
    steps = operation.steps or (1,) * len(operation.starts)
    (result,) = operation.infer(ValueType("float", shape))
    bounds: dict[int, tuple[int, int, int]] = {}
    for axis, start, end, step in zip(axes, operation.starts, operation.ends, steps, strict=True):
        place = axis % len(shape)
        size = shape[place]
        if result.shape[place] == size and step > 0:
            continue
        if not (isinstance(size, int) and isinstance(start, int) and isinstance(end, int)):
            return None
        rows = range(size)[start : None if step < 0 and end < -size else end : step]
        bounds[place] = (rows.start, len(rows), step)
    return bounds


def _is_fixed(value_type: ValueType) -> bool:
    return not any(symbols_of(dim) for dim in value_type.shape)
