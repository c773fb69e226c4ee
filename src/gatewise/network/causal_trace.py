"""`CausalTrace`: the step graph so far, and what each value of the graph is in it, for the rules of single nodes.

See `gatewise.network.causality`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NoReturn

import numpy as np

from gatewise.errors import quote
from gatewise.network.graph import Graph, Node
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import Operation, ValueType
from gatewise.network.size import Dim, Size, substituted, symbol, symbols_of
from gatewise.network.step_graph import State
from gatewise.types import Array

Role = Literal["fixed", "steps", "prefix"]


class NotCausalError(Exception):
    """Why a graph is not causal."""


@dataclass(frozen=True)
class Traced:
    """A value of the graph. name: of the value that the step graph has for it.

    axis: that of the steps, None without one. lead: how many rows before the new ones it has there, as the pads of a
    convolution. tail: how many rows after them, which depend on later steps: a causal convolution that is padded on
    both sides has them until they are cut off. ahead: which node made them.

    place: of whole numbers that follow from the place of a step alone, t + place for the rows of "steps", and T + place
    for a "prefix" of T steps; None for other values.
    """

    name: str
    role: Role
    axis: int | None = None
    lead: int = 0
    tail: int = 0
    ahead: str = ""
    place: int | None = None


@dataclass
class CausalTrace:
    """graph, axes, sizes, lengths: as of `causality_of`. values: what the values traced so far are, by name. builder:
    of the step graph.
    """

    graph: Graph
    axes: Mapping[str, int]
    sizes: Mapping[str, int]
    lengths: str = ""
    values: dict[str, Traced] = field(default_factory=dict)
    builder: GraphBuilder = field(default_factory=GraphBuilder)
    states: list[State] = field(default_factory=list)
    columns: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    """By the names of joined values, the places of the values that they join."""
    before: str = ""
    begun: str = ""
    has_places: bool = False
    node: Node | None = None
    """The node that is traced."""
    steps: Size = field(init=False)
    """T, the symbol of the number of steps: in the step graph that of the new ones."""

    def start(self) -> None:
        """Write the inputs and constants down. Raises NotCausalError where the steps have no size of their own."""
        self.builder.reserved = set(self.graph.types)
        self.steps = self._symbol_of_steps()
        for name, value_type in self.graph.inputs.items():
            self.values[name] = self._input(name, value_type)
        for name, array in self.graph.constants.items():
            self.builder.constant(array, name)
            self.values[name] = Traced(name, "fixed")

    def _symbol_of_steps(self) -> Size:
        """T; a new symbol where the number of steps is fixed."""
        dims = {self.graph.inputs[name].shape[axis] for name, axis in self.axes.items()}
        if len(dims) != 1:
            self.refuse(f"the inputs have {' and '.join(sorted(map(str, dims)))} steps")
        [dim] = dims
        if isinstance(dim, Size):
            if symbols_of(dim) != {str(dim)}:
                self.refuse(f"the inputs have {dim} steps")
            return dim
        name = "T"
        while name in self.graph.symbols:
            name += "_"
        return symbol(name)

    def _input(self, name: str, value_type: ValueType) -> Traced:
        if name == self.lengths:
            # Each sequence has all steps.
            shape = tuple(substituted(dim, self.sizes) for dim in value_type.shape)
            count = self.builder.add("Cast", self.count(), to=value_type.dtype)
            return Traced(self.builder.add("Expand", count, shape=shape), "prefix", place=0)
        shape = tuple(substituted(dim, self.sizes) for dim in value_type.shape)
        axis = self.axes.get(name)
        if axis is None:
            if any(self.mentions(dim) for dim in shape):
                self.refuse(f"the input {quote(name)} has an axis of {self.steps} that is not that of the steps")
            return Traced(self.builder.input(name, ValueType(value_type.dtype, shape)), "fixed")
        shape = (*shape[:axis], self.steps, *shape[axis + 1 :])
        return Traced(self.builder.input(name, ValueType(value_type.dtype, shape)), "steps", axis)

    # What rules ask

    def refuse(self, reason: str) -> NoReturn:
        """Raise NotCausalError with the node that is traced."""
        if self.node is None:
            raise NotCausalError(reason)
        raise NotCausalError(f"{self.node.shown}: {reason}")

    def type_of(self, value: Traced) -> ValueType:
        """The type of a value in the step graph."""
        return self.builder.types[value.name]

    def shape_of(self, value: Traced) -> tuple[Dim, ...]:
        """The shape of a value in the step graph."""
        return self.builder.types[value.name].shape

    def mentions(self, attribute: Any) -> bool:
        """Whether a size, or an attribute of an operation, depends on the number of steps."""
        if isinstance(attribute, Size):
            return str(self.steps) in symbols_of(attribute)
        if isinstance(attribute, tuple):
            return any(map(self.mentions, attribute))
        if isinstance(attribute, Graph):
            dims = [dim for value_type in attribute.types.values() for dim in value_type.shape]
            return any(map(self.mentions, [*dims, *(node.operation for node in attribute.nodes)]))
        if isinstance(attribute, Operation):
            return any(self.mentions(getattr(attribute, one.name)) for one in fields(attribute))  # type: ignore[arg-type]
        return False

    def constant_of(self, value: Traced) -> Array | None:
        """The array of a constant, None for another value."""
        return self.builder.constants.get(value.name)

    # What rules write

    def write(self, node: Node, names: Sequence[str], operation: Operation | None = None) -> list[str]:
        """Write a node that reads these values. The names of what it returns are its own."""
        return self.builder.node(operation or node.operation, names, node.outputs, node.name)

    def count(self) -> str:
        """How many steps there are after the new ones, a number (), int64."""
        new = self.builder.add("Sizes", sizes=(self.steps,), scalar=True)
        return self.builder.add("Add", new, self.steps_before())

    def steps_before(self) -> str:
        """How many steps came before the new ones, a number (), int64."""
        if not self.before:
            self.before = self.builder.input(self._unused("steps_before"), ValueType("int64", ()))
        return self.before

    def state(self, start: Array, *, is_sum: bool = False) -> str:
        """The input for a new state. `keep` says what it becomes. is_sum: see `State`."""
        value_type = ValueType("float" if start.dtype.kind == "f" else str(start.dtype), start.shape)  # type: ignore[arg-type]
        name = self.builder.input(self._unused(f"state_{len(self.states)}"), value_type)
        self.states.append(State(name, "", start, is_sum))
        return name

    def keep(self, read: str, written: str) -> None:
        """Say what the state with this input is after the new steps."""
        number = next(number for number, state in enumerate(self.states) if state.read == read)
        self.states[number] = self.states[number]._replace(written=written)

    def state_from(self, first: str) -> tuple[str, str]:
        """What the new steps start from, and the input for it as a state: `first` before the first step, which the
        graph computes.
        """
        array = self.builder.constants.get(first)
        if array is not None:
            state = self.state(array)
            return state, state
        state = self.state(self.zeros(self.builder.types[first]))
        return self.builder.add("Where", self.has_begun(), state, first), state

    def has_begun(self) -> str:
        """Whether there were steps before the new ones, a bool ()."""
        if not self.begun:
            self.begun = self.builder.input(self._unused("has_begun"), ValueType("bool", ()))
        return self.begun

    def zeros(self, value_type: ValueType) -> Array:
        """Zeros of a type whose sizes are known. Refuses a state whose size depends on the inputs."""
        if not all(isinstance(dim, int) for dim in value_type.shape):
            self.refuse(f"its state is {value_type}, whose size depends on the inputs")
        dtype = np.dtype("float32" if value_type.dtype == "float" else value_type.dtype)
        return np.zeros(value_type.shape, dtype)  # type: ignore[arg-type]

    def _unused(self, name: str) -> str:
        while name in self.builder.types or name in self.builder.reserved:
            name += "_"
        return name
