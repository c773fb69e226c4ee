"""`FeatureLayout`: nodes that move columns and compute nothing, on `Features`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.network.features import (
    Axis,
    Features,
    Filled,
    NotRecognised,
    Role,
    Value,
    column_shape,
    without_axes,
)
from gatewise.network.graph import Node
from gatewise.network.operation import ValueType
from gatewise.network.size import Dim, Shape, divided, remainder


class FeatureLayout:
    """types: of the values of the graph. sizes: of the batch and of the steps."""

    def __init__(self, types: Mapping[str, ValueType], sizes: Mapping[Role, Dim]) -> None:
        self.types = types
        self.sizes = sizes

    def moved(self, node: Node, values: list[Any]) -> Sequence[Value] | None:
        """The outputs of a node; None for one that computes."""
        name = node.operation.name()
        rule = _LAYOUTS.get(name)
        if rule is None:
            return None
        if name != "Expand" and any(isinstance(value, np.ndarray) for value in values):
            raise NotRecognised("it joins outputs with constants, or cuts a constant to the size of the inputs")
        return rule(self, node, values)

    def _same(self, node: Node, values: list[Any]) -> Sequence[Value]:
        return [values[0]]

    def _transpose(self, node: Node, values: list[Any]) -> Sequence[Value]:
        [value] = values
        if isinstance(value, Filled):
            return [value]
        perm = node.operation._order(len(value.axes))  # type: ignore[attr-defined]
        full = value.full.transpose(perm)
        axes = tuple(value.axes[axis] for axis in perm)
        return [Features(axes, without_axes(full, axes), value.flipped)]

    def _reshape(self, node: Node, values: list[Any]) -> Sequence[Value]:
        [value] = values
        if isinstance(value, Filled):
            return [value]
        shape = self.types[node.outputs[0]].shape
        axes = self._reshaped_axes(value, shape)
        return [Features(axes, value.columns.reshape(column_shape(shape, axes)), value.flipped)]

    def _reshaped_axes(self, value: Features, shape: Shape) -> tuple[Axis, ...]:
        """What the axes count after a reshape, which keeps the order of the numbers: each new axis takes the next of
        the old ones, whole or, of columns, a factor. Axes of size 1 are columns of their own.
        """
        waiting: list[Role | int] = []
        sizes = iter(value.columns.shape)
        for axis in value.axes:
            waiting += axis or [next(sizes)]
        waiting = [one for one in waiting if one != 1]
        axes: list[Axis] = []
        for size in shape:
            rest = size
            roles: list[Role] = []
            of_columns = False
            while rest != 1:
                if not waiting:
                    raise NotRecognised(f"its shape {', '.join(map(str, shape))} is read in no way")
                first = waiting.pop(0)
                taken = self.sizes[first] if isinstance(first, str) else first
                if isinstance(first, int) and isinstance(rest, int) and first % rest == 0:
                    taken = rest
                    waiting[:0] = [first // rest] if first != rest else []
                if remainder(rest, taken) != 0:
                    raise NotRecognised("it joins steps and their outputs, or cuts the sequences into others")
                rest = divided(rest, taken)
                if isinstance(first, str):
                    roles.append(first)
                else:
                    of_columns = True
            if roles and of_columns:
                raise NotRecognised("it joins the outputs of the steps, such as Flatten")
            axes.append(tuple(roles))
        return tuple(axes)

    def _expand(self, node: Node, values: list[Any]) -> Sequence[Value]:
        [value] = values
        if isinstance(value, Filled):
            return [value]
        if isinstance(value, np.ndarray):
            if value.size and np.all(value == value.flat[0]):
                return [Filled(float(value.flat[0]))]
            raise NotRecognised("it repeats a constant for each sequence, such as a learned state")
        shape = self.types[node.outputs[0]].shape
        axes = (*((),) * (len(shape) - len(value.axes)), *value.axes)
        for axis, size in zip(axes, shape, strict=True):
            if not axis and not isinstance(size, int):
                raise NotRecognised("it repeats a value for each step or sequence")
        full = value.full.reshape((1,) * (len(shape) - len(value.axes)) + value.full.shape)
        wide = np.broadcast_to(full, [1 if axis else int(str(size)) for axis, size in zip(axes, shape, strict=True)])
        return [Features(axes, without_axes(wide, axes), value.flipped)]

    def _concat(self, node: Node, values: list[Any]) -> Sequence[Value]:
        if all(isinstance(value, Filled) for value in values) and len(set(values)) == 1:
            return [values[0]]
        features = [value for value in values if isinstance(value, Features)]
        if len(features) < len(values):
            raise NotRecognised("it joins outputs with constants")
        first = features[0]
        axis = node.operation.axis_of(node.operation.axis, len(first.axes))  # type: ignore[attr-defined]
        if first.axes[axis] or any(one.axes != first.axes or one.flipped != first.flipped for one in features):
            raise NotRecognised("it joins steps or sequences")
        return [first.with_full(np.concatenate([one.full for one in features], axis=axis))]

    def _split(self, node: Node, values: list[Any]) -> Sequence[Value]:
        [value] = values
        if isinstance(value, Filled):
            return [value] * len(node.outputs)
        axis = node.operation.axis  # type: ignore[attr-defined]
        axis %= len(value.axes)
        if value.axes[axis]:
            raise NotRecognised("it cuts the steps or the sequences apart")
        sizes = [self.types[name].shape[axis] for name in node.outputs]
        bounds = np.cumsum([size for size in sizes if isinstance(size, int)])[:-1]
        return [value.with_full(chunk) for chunk in np.split(value.full, bounds, axis=axis)]

    def _slice(self, node: Node, values: list[Any]) -> Sequence[Value]:
        [value] = values
        if isinstance(value, Filled):
            return [value]
        operation: Any = node.operation
        shape = self.types[node.inputs[0]].shape
        result = self.types[node.outputs[0]].shape
        full, flipped = value.full, value.flipped
        for axis, start, end, step in operation._bounds(len(value.axes)):
            if not value.axes[axis]:
                full = full[(slice(None),) * axis + (slice(start, end, step),)]
            elif result[axis] != shape[axis] or (value.axes[axis] != ("steps",) and step != 1):
                raise NotRecognised("it takes steps or sequences at constant places")
            elif step == -1:
                flipped = not flipped
            elif step != 1:
                raise NotRecognised("it takes steps at constant places")
        return [Features(value.axes, without_axes(full, value.axes), flipped)]


_LAYOUTS: dict[str, Callable[[FeatureLayout, Node, list[Any]], Sequence[Value]]] = {
    "Identity": FeatureLayout._same,
    # A model reads each sequence with as many steps as it has, so that none is cut off.
    "RequireLongest": FeatureLayout._same,
    "Transpose": FeatureLayout._transpose,
    "Reshape": FeatureLayout._reshape,
    "Expand": FeatureLayout._expand,
    "Concat": FeatureLayout._concat,
    "Split": FeatureLayout._split,
    "Slice": FeatureLayout._slice,
}
