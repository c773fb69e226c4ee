"""A network as a graph: inputs, constants, named nodes, outputs, and the sizes for which it holds.

The readers of PyTorch, Keras and ONNX make graphs, and none of them looks at values. A graph is checked once, when it
is made: each node reads what stands before it, and the shape rule of its operation gives the types of what it returns.

`run` computes it, `gradients` differentiates it. Sequences of one batch have the same number of steps, or the graph
reads their lengths or a mask like any other input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from gatewise.errors import InputError, printable, quote
from gatewise.network.operation import Backward, Execution, Operation, ValueType, dtype_of
from gatewise.network.size import Dim, Shape, symbols_of, to_entry, value_of
from gatewise.types import Array

MAX_NODES = 100_000  # of a graph: a file cannot ask for unbounded work
MAX_NUMBERS = 1 << 28  # of one value: a file cannot ask for unbounded memory
_SHOWN = 3  # broken guards in a message

GraphBackward = Callable[[Mapping[str, Array]], dict[str, Array]]
"""Of the gradients of values by name: those of all values that have one."""

Nouns = Mapping[tuple[str, int], str]
"""What the sizes of axes count, such as "number of steps", by the name of the input and the axis."""
NO_NOUNS: Nouns = MappingProxyType({})

_RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<=": lambda left, right: left <= right,
    "<": lambda left, right: left < right,
}

_IN_WORDS = {
    ("==", True): "{}",
    ("==", False): "{}",
    ("!=", True): "another number than {}",
    ("!=", False): "another number than {}",
    ("<=", True): "at least {}",
    ("<=", False): "at most {}",
    ("<", True): "more than {}",
    ("<", False): "less than {}",
}
"""Of a guard on one symbol, by its relation and whether the number stands left of it."""


@dataclass(frozen=True)
class Guard:
    """A condition on the sizes for which a graph holds, such as T <= 64."""

    left: Dim
    relation: Literal["==", "!=", "<=", "<"]
    right: Dim

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether these sizes of the symbols are among those for which the graph holds. A condition that divides by 0
        does not hold.
        """
        try:
            return _RELATIONS[self.relation](value_of(self.left, sizes), value_of(self.right, sizes))
        except InputError:
            return False

    def condition(self, noun: Callable[[str], str], sizes: Mapping[str, int]) -> str:
        """The guard and the sizes that break it, in words. noun: of the size that a symbol stands for."""
        names = sorted(symbols_of(self.left) | symbols_of(self.right))
        [name, *others] = names
        words = _IN_WORDS.get((self.relation, isinstance(self.left, int)), "")
        dim, number = (self.right, self.left) if isinstance(self.left, int) else (self.left, self.right)
        if not others and str(dim) == name and isinstance(number, int) and words:
            return f"the {noun(name)} must be {words.format(f'{number:,}')}, and is {sizes[name]:,}"
        those = " and ".join(f"{name} = {sizes[name]:,}, the {noun(name)}" for name in names)
        return f"the network was read for inputs with {self}, and these have {those}"

    def to_entry(self) -> dict[str, Any]:
        """The guard as a file has it."""
        return {"left": to_entry(self.left), "relation": self.relation, "right": to_entry(self.right)}

    def __str__(self) -> str:
        return f"{self.left} {self.relation} {self.right}"


@dataclass(frozen=True)
class Node:
    """One operation of a graph. inputs, outputs: names of values; "" for an optional input that is left out. origin:
    where it comes from, such as a line of a module or the name of a layer.
    """

    name: str
    operation: Operation
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    origin: str = ""

    @property
    def origin_name(self) -> str:
        """The first word of where it comes from, such as the path of a layer; its own name where there is none."""
        return self.origin.split(" ", 1)[0] or self.name

    @property
    def shown(self) -> str:
        """For messages."""
        origin = f" ({self.origin})" if self.origin else ""
        return f"node {quote(self.name)}{origin}"

    def to_entry(self) -> dict[str, Any]:
        """The node as a file has it."""
        entry = {
            "name": self.name,
            "operation": self.operation.to_entry(),
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
        }
        if self.origin:
            entry["origin"] = self.origin
        return entry


@dataclass(frozen=True, eq=False)
class Graph:
    """A network. inputs: the types of its inputs, by name. constants: arrays by name, which do not change. nodes: each
    after those whose outputs it reads. outputs: names of values. guards: the sizes for which it holds.

    Raises InputError naming the node that does not fit.
    """

    inputs: Mapping[str, ValueType]
    constants: Mapping[str, Array]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    guards: tuple[Guard, ...] = ()
    types: Mapping[str, ValueType] = field(init=False, repr=False)
    """Of all values, by name."""

    def __post_init__(self) -> None:
        if len(self.nodes) > MAX_NODES:
            raise InputError(f"graph: at most {MAX_NODES:,} nodes, not {len(self.nodes):,}")
        types = dict(self.inputs)
        for name, array in self.constants.items():
            if name in types:
                raise InputError(f"graph: two values are called {quote(name)}")
            types[name] = constant_type(name, array)
        for node in self.nodes:
            inferred = output_types(node, types)
            if len(inferred) != len(node.outputs):
                has = f"{node.operation.name()} has {len(inferred)} outputs"
                raise InputError(f"{node.shown}: {has}, not {len(node.outputs)}")
            for name, value_type in zip(node.outputs, inferred, strict=True):
                if name in types:
                    raise InputError(f"{node.shown}: two values are called {quote(name)}")
                types[name] = value_type
        for name in self.outputs:
            if name not in types:
                raise InputError(f"graph: the output {quote(name)} is not computed")
        object.__setattr__(self, "types", types)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The names of the sizes that depend on the inputs, in the order in which the inputs have them."""
        names: list[str] = []
        for value_type in self.inputs.values():
            for dim in value_type.shape:
                names += [name for name in sorted(symbols_of(dim)) if name not in names]
        return tuple(names)

    @cached_property
    def last_reader(self) -> Mapping[str, int]:
        """The number of the last node that reads a value, by the name of the value; no output of the graph."""
        readers = {name: number for number, node in enumerate(self.nodes) for name in node.inputs if name}
        return {name: number for name, number in readers.items() if name not in self.outputs}

    def to_entry(self) -> dict[str, Any]:
        """The graph as a file has it, without its constants: `gatewise.network.graph_file` reads it."""
        return {
            "inputs": {name: value_type.to_entry() for name, value_type in self.inputs.items()},
            "nodes": [node.to_entry() for node in self.nodes],
            "outputs": list(self.outputs),
            "guards": [guard.to_entry() for guard in self.guards],
        }

    def sizes(self, inputs: Mapping[str, Array], nouns: Nouns = NO_NOUNS) -> dict[str, int]:
        """The sizes of the symbols for these inputs. Raises InputError naming an input of another shape or dtype, and
        all sizes for which the graph does not hold. nouns: of the sizes of axes, for messages.
        """
        if set(inputs) != set(self.inputs):
            raise InputError(f"the network has the inputs {', '.join(self.inputs)}, not {', '.join(inputs)}")
        sizes: dict[str, int] = {}
        for name, value_type in self.inputs.items():
            _bind(name, value_type, inputs[name], sizes, nouns)
        broken = [guard for guard in self.guards if not guard.holds(sizes)]
        if broken:
            conditions = [guard.condition(lambda name: self._noun(name, nouns), sizes) for guard in broken]
            raise InputError("; ".join(dict.fromkeys(conditions[:_SHOWN])))
        self._check_memory(sizes)
        return sizes

    def _noun(self, symbol: str, nouns: Nouns) -> str:
        """What a symbol counts: the size of the first axis that has it."""
        for name, value_type in self.inputs.items():
            for axis, dim in enumerate(value_type.shape):
                if str(dim) == symbol:
                    return nouns.get((name, axis), f"size of axis {axis} of {printable(name)}")
        return f"size {symbol}"

    @cached_property
    def _shapes(self) -> dict[Shape, str]:
        """Those of all values, in loops too, each with the first value that has it."""
        shapes: dict[Shape, str] = {}
        for name, value_type in self.types.items():
            shapes.setdefault(value_type.shape, name)
        for node in self.nodes:
            body = getattr(node.operation, "body", None)
            if isinstance(body, Graph):
                shapes = body._shapes | shapes
        return shapes

    def _check_memory(self, sizes: Mapping[str, int]) -> None:
        """Refuse inputs of which a value would be too large."""
        for shape, name in self._shapes.items():
            numbers = 1
            for dim in shape:
                numbers *= max(value_of(dim, sizes), 0)
            if numbers > MAX_NUMBERS:
                those = ", ".join(f"{symbol} = {size}" for symbol, size in sizes.items())
                made = f"{quote(name)} would have {numbers:,} numbers for inputs with {those}"
                raise InputError(f"{made}, more than {MAX_NUMBERS:,}: use fewer or shorter sequences")

    def run(
        self, inputs: Mapping[str, Array], *, execution: Execution | None = None, values: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """The outputs by name, or the values with the names `values`."""
        execution = execution or Execution(keep=False)
        execution.sizes = self.sizes(inputs)
        return self.compute(inputs, execution, self.outputs if values is None else values)

    def compute(self, inputs: Mapping[str, Array], execution: Execution, names: Sequence[str]) -> dict[str, Array]:
        """Values by name, for the sizes of an execution."""
        computed = self.start(inputs, execution)
        needed = self.ancestors(names)
        for number, node in enumerate(self.nodes):
            if not needed.intersection(node.outputs):
                continue
            results, _ = run_node(node, computed, execution)
            computed |= zip(node.outputs, results, strict=True)
            # What no later node reads makes room.
            for name in {*node.inputs, *node.outputs}:
                if self.last_reader.get(name, -1) <= number and name not in names and name not in self.outputs:
                    computed.pop(name, None)
        return {name: computed[name] for name in names}

    def gradients(
        self,
        inputs: Mapping[str, Array],
        output: str,
        grad_of: Callable[[Array], Array],
        values: Sequence[str],
        *,
        execution: Execution | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """The output, and the gradient of Σ output · grad_of(output), the second factor constant, with respect to the
        values with these names: inputs, constants or what nodes return.
        """
        execution = execution or Execution()
        execution.sizes = self.sizes(inputs)
        computed, backward = self.record(inputs, execution)
        result = computed[output]
        grads = backward({output: np.asarray(grad_of(result), dtype=result.dtype)})
        return result, {name: grads.get(name, np.zeros_like(computed[name])) for name in values}

    def record(self, inputs: Mapping[str, Array], execution: Execution) -> tuple[dict[str, Array], GraphBackward]:
        """All values by name, for the sizes of an execution, and the backward pass."""
        computed = self.start(inputs, execution)
        recorded: list[tuple[Node, Backward]] = []
        for node in self.nodes:
            results, backward = run_node(node, computed, execution)
            computed |= zip(node.outputs, results, strict=True)
            recorded.append((node, backward))

        def of_graph(of_values: Mapping[str, Array]) -> dict[str, Array]:
            grads = dict(of_values)
            for node, backward in reversed(recorded):
                of_outputs = [grads.get(name) for name in node.outputs]
                if all(grad is None for grad in of_outputs):
                    continue
                with np.errstate(all="ignore"):
                    of_inputs = backward(*of_outputs)
                # A node may leave out the last optional inputs, and the backward pass then says None for them.
                for name, grad in zip(node.inputs, of_inputs, strict=False):
                    if name and grad is not None:
                        grads[name] = grads[name] + grad if name in grads else grad
            return grads

        return computed, of_graph

    def ancestors(self, values: Sequence[str]) -> set[str]:
        """The names of these values and of all on which they depend."""
        return {*values, *(name for node in needed_nodes(self.nodes, values) for name in node.inputs)}

    def part(self, values: Sequence[str]) -> Graph:
        """The part of the graph that computes these values, which are its outputs."""
        needed = self.ancestors(values)
        constants = {name: array for name, array in self.constants.items() if name in needed}
        return replace(self, constants=constants, nodes=needed_nodes(self.nodes, values), outputs=tuple(values))

    def start(self, inputs: Mapping[str, Array], execution: Execution) -> dict[str, Any]:
        """The inputs and constants of a run, in its dtypes."""
        arrays = {**inputs, **self.constants}
        return {
            name: np.asarray(array, dtype=execution.numpy_dtype(self.types[name].dtype))
            for name, array in arrays.items()
        }


def needed_nodes(nodes: Sequence[Node], values: Sequence[str]) -> tuple[Node, ...]:
    """Those of the nodes on which the values with these names depend, in their order."""
    read = set(values)
    needed = []
    for node in reversed(nodes):
        if read.intersection(node.outputs):
            needed.append(node)
            read.update(node.inputs)
    return tuple(reversed(needed))


def run_node(node: Node, computed: Mapping[str, Any], execution: Execution) -> tuple[tuple[Array, ...], Backward]:
    """What a node returns, of the values before it, and its backward pass. Raises InputError naming the node."""
    execution.node = node.name
    try:
        # Infinite and undefined numbers are those of the network: its outputs have them too.
        with np.errstate(all="ignore"):
            return node.operation.forward(execution, *(computed[name] if name else None for name in node.inputs))
    except InputError as error:
        raise InputError(f"{node.shown}: {error}") from None


def weight_places(graph: Graph, node: Node) -> list[int]:
    """The places among the inputs of a node that training changes where they are constants."""
    return node.operation.weight_inputs([graph.types[name] if name else None for name in node.inputs])


def output_types(node: Node, types: Mapping[str, ValueType]) -> tuple[ValueType, ...]:
    """The types of what a node returns, of the types of the values before it. Raises InputError naming the node."""
    for name in node.inputs:
        if name and name not in types:
            raise InputError(f"{node.shown} reads {quote(name)}, which no earlier node computes")
    operation = node.operation
    most = len(node.inputs) if operation.variadic else len(operation.value_inputs())
    if not operation.needed <= len(node.inputs) <= most:
        raise InputError(f"{node.shown}: {operation.name()} does not take {len(node.inputs)} inputs")
    if "" in node.inputs[: operation.needed]:
        raise InputError(f"{node.shown}: {operation.name()} needs its first {operation.needed} inputs")
    try:
        inferred = operation.infer(*(types[name] if name else None for name in node.inputs))
    except InputError as error:
        raise InputError(f"{node.shown}: {error}") from None
    return inferred


def constant_type(name: str, array: Array) -> ValueType:
    """Of a constant. Raises InputError for a dtype that a graph does not have."""
    return ValueType(dtype_of(f"graph: the constant {quote(name)}", array), array.shape)


def _bind(name: str, value_type: ValueType, array: Array, sizes: dict[str, int], nouns: Nouns) -> None:
    """Add the sizes of the symbols in the shape of an input. Raises InputError for another shape or dtype."""
    kinds = {"float": "fiu", "int64": "iu", "int32": "iu", "bool": "b"}[value_type.dtype]
    message = f"the input {quote(name)} must be {value_type}, not {array.dtype} {array.shape}"
    if array.dtype.kind not in kinds or array.ndim != len(value_type.shape):
        raise InputError(message)
    for axis, (dim, size) in enumerate(zip(value_type.shape, array.shape, strict=True)):
        if isinstance(dim, int) and dim != size and (name, axis) in nouns:
            raise InputError(f"the {nouns[name, axis]} must be {dim:,}, and is {size:,}")
        unbound = symbols_of(dim) - set(sizes)
        if len(unbound) == 1 and str(dim) in unbound:
            sizes[str(dim)] = size
        elif unbound or value_of(dim, sizes) != size:
            raise InputError(message)
        if size == 0:
            raise InputError(f"{message}: no axis may be empty")
