"""`unrolled`: a graph for one size of a symbol, whose loops over it are written step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from gatewise.network.graph import Graph, Guard, Node
from gatewise.network.operation import Operation, ValueType
from gatewise.network.operations import operation_of
from gatewise.network.operations.loop import Loop
from gatewise.network.size import Dim, Shape, Size, substituted
from gatewise.types import Array


def unrolled(graph: Graph, sizes: Mapping[str, Dim]) -> Graph:
    """The graph with these sizes in place of symbols. A loop whose number of steps is then known becomes its steps."""
    writer = _Writer(sizes)
    writer.constants |= graph.constants
    for node in graph.nodes:
        writer.add(node, {}, "")
    inputs = {name: _type_at(value_type, sizes) for name, value_type in graph.inputs.items()}
    guards = []
    for guard in graph.guards:
        guards.append(Guard(substituted(guard.left, sizes), guard.relation, substituted(guard.right, sizes)))
    return Graph(inputs, writer.constants, tuple(writer.nodes), graph.outputs, tuple(guards))


def operation_at(operation: Any, sizes: Mapping[str, Dim]) -> Operation:
    """An operation with these sizes in place of symbols."""
    changed = {field.name: _attribute_at(getattr(operation, field.name), sizes) for field in fields(operation)}
    result: Operation = replace(operation, **changed)
    return result


class _Writer:
    def __init__(self, sizes: Mapping[str, Dim]) -> None:
        self.sizes = sizes
        self.constants: dict[str, Array] = {}
        self.nodes: list[Node] = []

    def add(self, node: Node, names: Mapping[str, str], prefix: str) -> None:
        """Add a node whose inputs have these names, and whose outputs have this prefix."""
        inputs = tuple(names.get(name, name) for name in node.inputs)
        outputs = tuple(prefix + name for name in node.outputs)
        operation = operation_at(node.operation, self.sizes)
        if isinstance(operation, Loop) and isinstance(operation.steps, int):
            self._add_steps(operation, inputs, outputs, prefix + node.name)
        else:
            self.nodes.append(Node(prefix + node.name, operation, inputs, outputs, node.origin))

    def _add_steps(self, loop: Loop, inputs: tuple[str, ...], outputs: tuple[str, ...], prefix: str) -> None:
        body = loop.body
        states = inputs[: loop.states]
        last_sequence = loop.states + len(loop.axes)
        rows: list[list[str]] = [[] for _ in loop.output_axes]
        assert isinstance(loop.steps, int)
        for step in range(loop.steps):
            of_step = f"{prefix}/{step}/"
            # A space, which no name of a body has.
            index = self._constant(f"{of_step} index", np.array(step))
            read = [*states]
            for number, axis in enumerate(loop.axes, loop.states):
                read.append(self._new(f"{of_step} row {number}", "Gather", inputs[number], index, axis=axis))
            read += inputs[last_sequence:]
            names = dict(zip(body.inputs, read, strict=True))
            for node in body.nodes:
                self.add(node, names, of_step)
                names |= {name: of_step + name for name in node.outputs}
            returned = [names[name] for name in body.outputs]
            states = tuple(returned[: loop.states])
            for of_output, row in zip(rows, returned[loop.states :], strict=True):
                of_output.append(row)
        for output, state in zip(outputs, states, strict=False):
            self._new(output, "Identity", state)
        for number, axis in enumerate(loop.output_axes):
            value_type = _type_at(body.types[body.outputs[loop.states + number]], self.sizes)
            self._stack(outputs[loop.states + number], rows[number], value_type, axis)

    def _stack(self, output: str, rows: list[str], value_type: ValueType, axis: int) -> None:
        """The rows along a new axis; none of them is an empty value."""
        place = axis % (len(value_type.shape) + 1)
        if rows:
            parts = [
                self._new(f"{output} row {row}", "Unsqueeze", name, axes=(place,)) for row, name in enumerate(rows)
            ]
            self._new(output, "Concat", *parts, axis=place)
            return
        shape = (*value_type.shape[:place], 0, *value_type.shape[place:])
        dtype = np.dtype("float32" if value_type.dtype == "float" else value_type.dtype)
        zero = self._constant(f"{output} zero", np.zeros((1,) * len(shape), dtype))
        self._new(
            output,
            "Expand",
            self._new(f"{output} none", "Slice", zero, starts=(0,), ends=(0,), axes=(place,)),
            shape=shape,
        )

    def _constant(self, name: str, array: Array) -> str:
        self.constants[name] = array
        return name

    def _new(self, name: str, operation: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(Node(name, operation_of(operation, attributes), inputs, (name,)))
        return name


def _type_at(value_type: ValueType, sizes: Mapping[str, Dim]) -> ValueType:
    shape: Shape = tuple(substituted(dim, sizes) for dim in value_type.shape)
    return ValueType(value_type.dtype, shape)


def _attribute_at(value: Any, sizes: Mapping[str, Dim]) -> Any:
    if isinstance(value, Size):
        return substituted(value, sizes)
    if isinstance(value, tuple):
        return tuple(_attribute_at(part, sizes) for part in value)
    if isinstance(value, Operation):
        return operation_at(value, sizes)
    if isinstance(value, Graph):  # the body of a loop, whose sizes are those of the graph around it
        return unrolled(value, sizes)
    return value
