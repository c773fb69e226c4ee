"""`GraphBuilder`: a graph that is written down node by node, as the readers of other libraries do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.network.graph import Graph, Guard, Node, constant_type, needed_nodes, output_types
from gatewise.network.operation import Execution, Operation, ValueType
from gatewise.network.operations import operation_of
from gatewise.network.size import product
from gatewise.types import Array

MAX_CONSTANT = 1 << 24  # numbers that a node of constants may return to be computed at once, and not in each run
# Operations that compute more than a few times the numbers that they read and return.
_PRODUCTS = ("Conv", "Einsum", "Gemm", "MatMul")
_LOOPS = ("Loop", "Recurrent")


@dataclass
class Folding:
    """What nodes of constants may still be computed while a graph is written down: a file cannot ask for unbounded
    memory or time. Nodes beyond that are computed in each run, which is checked.

    numbers: that they return. work: multiplications.
    """

    numbers: int = 1 << 28
    work: int = 1 << 31


class GraphBuilder:
    """A graph so far. types: of its values, by name. constants: those that nodes of constants alone return are among
    them, so that nothing is computed twice.

    >>> from gatewise.network.size import symbol
    >>> builder = GraphBuilder()
    >>> x = builder.input("x", ValueType("float", (symbol("B"), 3)))
    >>> builder.add("Softmax", x, axis=-1)
    'softmax'
    >>> str(builder.types["softmax"])
    'float (B, 3)'
    """

    def __init__(self, folding: Folding | None = None) -> None:
        """folding: of several builders together."""
        self.folding = folding or Folding()
        self.inputs: dict[str, ValueType] = {}
        self.constants: dict[str, Array] = {}
        self.nodes: list[Node] = []
        self.types: dict[str, ValueType] = {}
        self.reserved: set[str] = set()
        """Names that come later: nothing that the builder names itself gets one of them."""
        self._node_names: set[str] = set()
        self.origin = ""
        """Of the nodes that are added next: a line, or the name of a layer."""

    @classmethod
    def of(cls, graph: Graph) -> GraphBuilder:
        """A builder that continues a graph."""
        builder = cls()
        builder.inputs = dict(graph.inputs)
        builder.constants = dict(graph.constants)
        builder.nodes = list(graph.nodes)
        builder.types = dict(graph.types)
        builder._node_names = {node.name for node in graph.nodes}
        return builder

    def input(self, name: str, value_type: ValueType) -> str:
        """The name of a new input."""
        self._check_new(name)
        self.inputs[name] = self.types[name] = value_type
        return name

    def constant(self, array: Any, name: str = "") -> str:
        """The name of a new constant."""
        array = np.asarray(array)
        if name:
            self._check_new(name)
        else:
            name = f"constant_{len(self.constants)}"
            while self._is_taken(name):
                name += "_"
        self.types[name] = constant_type(name, array)
        self.constants[name] = array
        return name

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """The name of what a new node returns, the first of several."""
        return self.node(operation_of(operation, attributes), inputs)[0]

    def node(
        self, operation: Operation, inputs: Sequence[str], outputs: Sequence[str] = (), name: str = ""
    ) -> list[str]:
        """The names of what a new node returns: `outputs`, as many of them as there are, or names of its own. A node
        that reads constants alone is computed at once.
        """
        name = name or operation.name().lower()
        types = output_types(Node(name, operation, tuple(inputs), (), self.origin), self.types)
        # ONNX leaves out the names of outputs that nothing reads.
        names = [*outputs, *[""] * (len(types) - len(outputs))]
        own = [number for number, output in enumerate(names) if not output]
        name = self._unused(name, own)
        self._node_names.add(name)
        for number in own:
            names[number] = _output_name(name, number)
        for output in names:
            self._check_new(output)
        if self._is_folded(operation, inputs, types):
            for output, array in zip(names, self._computed(operation, inputs), strict=True):
                self.constant(array, output)
            return names
        self.nodes.append(Node(name, operation, tuple(inputs), tuple(names), self.origin))
        self.types |= zip(names, types, strict=True)
        return names

    def _is_folded(self, operation: Operation, inputs: Sequence[str], types: Sequence[ValueType]) -> bool:
        """Whether a node is computed at once: it reads constants alone, and is not too much."""
        read = [value for value in inputs if value]
        if not read or any(value not in self.constants for value in read) or operation.name() in _LOOPS:
            return False
        returned = 0
        for value_type in types:
            # An operation on constants may still depend on the sizes of the inputs, as Expand to the batch does.
            count = product(value_type.shape)
            if not isinstance(count, int):
                return False
            returned += count
        sizes = [*(self.constants[value].size for value in read), returned]
        work = sum(sizes)
        if operation.name() in _PRODUCTS:
            work += math.isqrt(math.prod(sizes))
        if returned > min(MAX_CONSTANT, self.folding.numbers) or work > self.folding.work:
            return False
        self.folding.numbers -= returned
        self.folding.work -= work
        return True

    def _computed(self, operation: Operation, inputs: Sequence[str]) -> list[Array]:
        """What an operation returns of constants, computed in float64, and in float32 again where that loses nothing,
        as of a transposed matrix.
        """
        execution = Execution(dtype=np.float64)
        arrays = []
        for value in inputs:
            array = self.constants.get(value)
            arrays.append(None if array is None else array.astype(execution.numpy_dtype(self.types[value].dtype)))
        results, _ = operation.forward(execution, *arrays)
        rounded = []
        for result in results:
            with np.errstate(over="ignore"):
                single = result.astype(np.float32) if result.dtype.kind == "f" else result
            rounded.append(single if np.array_equal(single, result, equal_nan=True) else result)
        return rounded

    def graph(self, outputs: Sequence[str], guards: Sequence[Guard] = ()) -> Graph:
        """The graph, without the nodes and constants on which no output depends."""
        nodes = needed_nodes(self.nodes, outputs)
        read = {*outputs, *(name for node in nodes for name in node.inputs)}
        constants = {name: array for name, array in self.constants.items() if name in read}
        return Graph(self.inputs, constants, nodes, tuple(outputs), tuple(guards))

    def _unused(self, name: str, outputs: Sequence[int] = (0,)) -> str:
        """The name for a node and those of its outputs that have no name, with a number where it is taken."""
        unused = name
        number = len(self.nodes)
        while unused in self._node_names or any(self._is_taken(_output_name(unused, place)) for place in outputs):
            number += 1
            unused = f"{name}_{number}"
        return unused

    def _is_taken(self, name: str) -> bool:
        return name in self.types or name in self.reserved

    def _check_new(self, name: str) -> None:
        if name in self.types:
            raise InputError(f"graph: two values are called {name!r}")


def _output_name(name: str, number: int) -> str:
    """Of an output of the node with this name."""
    return name if number == 0 else f"{name}_{number}"
