"""`Translation`: an exported program of PyTorch as a graph, node by node."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from gatewise.errors import InputError, quote
from gatewise.exchange.torch_call import Call, Value, array_of, dtype_of
from gatewise.exchange.torch_export import Arguments
from gatewise.exchange.torch_network import TorchNetwork
from gatewise.exchange.torch_operations import RULES
from gatewise.exchange.torch_original import SIZE_CHECKS, Original, constant_of, operation_name
from gatewise.exchange.torch_rules import REFUSED
from gatewise.exchange.torch_sizes import dim_of
from gatewise.network.graph import Node as GraphNode
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.network.operations import operation_of
from gatewise.network.size import symbols_of

_OWN_FILES = (str(Path(torch.__file__).parent), str(Path(__file__).parent), "<")
"""Where code is that is not the user's: torch, this package, and what has no file."""
_STANDARD_LIBRARY = str(Path(re.__file__).parents[1])


def is_users(file: str) -> bool:
    """Whether a file is the user's, not that of torch, of gatewise or of Python itself."""
    is_standard = file.startswith(_STANDARD_LIBRARY) and "-packages" not in file
    return not is_standard and not file.startswith(_OWN_FILES)


def origin_of(node: Node) -> str:
    """The path of the module and the line of the user's forward method from which a node comes."""
    stack = node.meta.get("nn_module_stack") or {}
    path = ""
    for entry in stack.values():
        path = str(entry[0]).removeprefix("L['self']").lstrip(".")
    line = ""
    for file, number in re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or ""):
        if is_users(file):
            line = f"{Path(file).name}:{number}"
    if path and line:
        return f"{path} ({line})"
    return path or line


class Translation:
    """An exported program as a graph."""

    def __init__(self, original: Original, arguments: Arguments, program: ExportedProgram) -> None:
        self.original = original
        self.module = original.module
        self.arguments = arguments
        self.program = program
        self.builder = GraphBuilder()
        self.values: dict[Node, Value] = {}
        self.names = _symbol_names(program, arguments)
        self.places: dict[str, tuple[str, int | None]] = {}
        self.notes: tuple[str, ...] = ()

    def network(self) -> TorchNetwork:
        """The network. Raises InputError naming the layer, the line and the operation that is not read."""
        signature = self.program.graph_signature
        mutated = {**signature.buffers_to_mutate, **signature.user_inputs_to_mutate}
        for name, target in mutated.items():
            node = next(node for node in self.program.graph.nodes if node.name == name)
            kind = "buffer" if name in signature.buffers_to_mutate else "input"
            reason = f"it changes the {kind} {quote(target)}, which a graph does not: compute a new tensor"
            raise self.refusal(node, reason)
        self._add_inputs()
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self.builder.origin = origin_of(node)
                try:
                    self._add(node)
                except InputError as error:
                    raise self.refusal(node, str(error)) from None
            elif node.op not in ("placeholder", "output"):
                raise self.refusal(node, f"a node {node.op} is not read")
        return self._finished()

    def refusal(self, node: Node, reason: str) -> InputError:
        """Names the module, the line, the operation and the reason."""
        origin = origin_of(node)
        where = f"{type(self.module).__name__}{f', {origin}' if origin else ''}"
        operation = operation_name(node).removeprefix("aten::")
        return InputError(f"{where}: {operation}: {reason}")

    def _add_inputs(self) -> None:
        """Parameters and buffers become constants with their names, and tensors of the example inputs."""
        placeholders = {node.name: node for node in self.program.graph.nodes if node.op == "placeholder"}
        names = iter(self.arguments.names)
        for spec in self.program.graph_signature.input_specs:
            node = placeholders[spec.arg.name]
            value = node.meta.get("val")
            if spec.kind == InputKind.USER_INPUT:
                if isinstance(value, Tensor):
                    shape = tuple(
                        size if isinstance(size, int) else dim_of(size.node.expr, self.names) for size in value.shape
                    )
                    self.values[node] = self.builder.input(next(names), ValueType(dtype_of(value.dtype), shape))
            elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
                tensor = constant_of(self.program, spec.target)
                dtype_of(tensor.dtype)
                self.values[node] = self.builder.constant(array_of(tensor), self._unused(spec.target))
            else:
                # Such as a torch.Generator, of an operation that is random.
                reader = next(iter(node.users), node)
                reason = "it uses an object of torch that is no tensor: compute with tensors alone"
                raise self.refusal(reader, REFUSED.get(operation_name(reader).partition("::")[2], reason))

    def _unused(self, name: str) -> str:
        while name in self.builder.types:
            name = f"{name}_"
        return name

    def _add(self, node: Node) -> None:
        name = operation_name(node)
        if name == "getitem":
            values = self.values[node.args[0]]  # type: ignore[index]
            assert isinstance(values, tuple)
            self.values[node] = values[node.args[1]]  # type: ignore[index]
            self._record(node, self.values[node])
            return
        if not isinstance(node.meta.get("val"), Tensor | list | tuple):
            return  # a size, or a check of one; what reads it takes its expression
        short = name.partition("::")[2]
        if short in SIZE_CHECKS:
            return
        if name not in RULES:
            raise InputError(REFUSED.get(short, "gatewise does not compute this operation: write it with others"))
        self.values[node] = RULES[name](Call(node, self.builder, self.values, self.names))
        self._record(node, self.values[node])

    def _record(self, node: Node, value: Value) -> None:
        """Remember which value of the program a value of the graph is, where a node of the graph computes it."""
        if isinstance(value, str) and value not in self.builder.constants and value not in self.builder.inputs:
            self.places.setdefault(value, (node.name, None))

    def _finished(self) -> TorchNetwork:
        """The graph with the names of the outputs."""
        nodes = {node.name: node for node in self.program.graph.nodes}
        structure = pytree.tree_unflatten(
            list(range(len(self.program.graph_signature.user_outputs))), self.program.call_spec.out_spec
        )
        paths = {leaf: path for path, leaf in pytree.tree_flatten_with_path(structure)[0]}
        values: dict[str, str] = {}
        count = 0
        for place, output in enumerate(self.program.graph_signature.user_outputs):
            if output is None:
                continue
            node = nodes.get(output) if isinstance(output, str) else None
            if node is None or not isinstance(node.meta.get("val"), Tensor):
                reason = f"it returns {quote(output)}, which is no tensor: return tensors alone"
                raise InputError(f"{type(self.module).__name__}: {reason}")
            keys = [_key_of(entry) for entry in paths[place]]
            named = "_".join(key for key in keys if key and not key.isdigit())
            if named:
                name = "_".join(key for key in keys if key)
            else:
                name = "output" if count == 0 else f"output_{count}"
            count += 1
            value = self.values[node]
            assert isinstance(value, str)
            is_made = value not in self.builder.inputs and value not in self.builder.constants
            while name in values or (name in self.builder.types and not (is_made and name == value)):
                name = f"{name}_"
            values[name] = value
        renamed: dict[str, str] = {}
        outputs = []
        for name, value in values.items():
            # What is an input, a constant or another output too gets a node of its own.
            if value in renamed or value in self.builder.constants or value in self.builder.inputs:
                identity = operation_of("Identity", {})
                self.builder.nodes.append(GraphNode(self._unused(f"identity_{name}"), identity, (value,), (name,)))
                outputs.append(name)
                continue
            renamed[value] = name
            outputs.append(name)
        nodes_of_graph = []
        for graph_node in self.builder.nodes:
            inputs = tuple(renamed.get(value, value) for value in graph_node.inputs)
            results = tuple(renamed.get(value, value) for value in graph_node.outputs)
            nodes_of_graph.append(replace(graph_node, inputs=inputs, outputs=results))
        self.builder.nodes = nodes_of_graph
        graph = self.builder.graph(outputs)
        places = {renamed.get(value, value): place for value, place in self.places.items()}
        made = [value for graph_node in graph.nodes for value in graph_node.outputs]
        compared = [value for value in made if value in places or value in outputs]
        lengths = self._lengths()
        return TorchNetwork(
            graph, tuple(compared), self.original, self.arguments, self.program, places, lengths, notes=self.notes
        )

    def _lengths(self) -> dict[str, str]:
        """The inputs that hold lengths for packing, with the symbols of the steps."""
        lengths = {}
        for node in self.program.graph.nodes:
            if operation_name(node) != "gatewise::packed":
                continue
            steps = node.args[0].meta["val"].shape[1]
            source = node.args[1]
            while operation_name(source) in ("aten::_to_copy", "aten::to", "aten::clone", "aten::alias"):
                source = source.args[0]
            name = self.values.get(source)
            if isinstance(name, str) and name in self.builder.inputs and isinstance(steps, torch.SymInt):
                symbols = symbols_of(dim_of(steps.node.expr, self.names))
                if len(symbols) == 1:
                    lengths[name] = symbols.pop()
        return lengths


def _key_of(entry: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return ""


def _symbol_names(program: ExportedProgram, arguments: Arguments) -> dict[str, str]:
    """The names in the graph of the symbols of torch: B and T as the first recurrent layer shows them; the others are
    named after their input.
    """
    names: dict[str, str] = {}
    for node in program.graph.nodes:
        if operation_name(node) == "gatewise::recurrent":
            for size, name in zip(node.args[0].meta["val"].shape[:2], "BT", strict=True):
                symbols = _free_symbols(size)
                if len(symbols) == 1 and symbols[0].name not in names:
                    names[symbols[0].name] = name
            if names:
                break
    tensors = _inputs_of(program)
    for input_name, tensor in zip(arguments.names, tensors, strict=True):
        for axis, size in enumerate(tensor.shape):
            for symbol in _free_symbols(size):
                if symbol.name in names:
                    continue
                name = re.sub(r"\W", "_", f"{input_name}_{axis}")
                if "B" not in names.values() and not any(map(_free_symbols, tensor.shape[:axis])):
                    name = "B"
                elif axis == 1 and "T" not in names.values() and names:
                    name = "T"
                names[symbol.name] = name
    # One index for each row of the data: torch also takes fewer, which no reader of a batch means.
    for node in program.graph.nodes:
        if operation_name(node) == "aten::gather":
            data, axis, index = node.args[:3]
            _join(names, data.meta["val"].shape, index.meta["val"].shape, axis % max(1, data.meta["val"].dim()))
    return names


def _join(names: dict[str, str], sizes: Sequence[Any], others: Sequence[Any], except_axis: int) -> None:
    """Give the symbols that are sizes of the same axis, and were equal in the example, one name."""
    for axis, (size, other) in enumerate(zip(sizes, others, strict=True)):
        symbols = _free_symbols(size)
        other_symbols = _free_symbols(other)
        if axis == except_axis or len(symbols) != 1 or len(other_symbols) != 1:
            continue
        are_plain = size.node.expr == symbols[0] and other.node.expr == other_symbols[0]
        if are_plain and size.node.hint == other.node.hint:
            names[other_symbols[0].name] = names[symbols[0].name]


def _free_symbols(size: Any) -> list[Any]:
    """The symbols of torch in a size."""
    if isinstance(size, int):
        return []
    return sorted(size.node.expr.free_symbols, key=str)


def _inputs_of(program: ExportedProgram) -> list[Tensor]:
    """The tensors without numbers that the inputs of the module are."""
    placeholders = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    tensors = []
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            value = placeholders[spec.arg.name].meta.get("val")
            if isinstance(value, Tensor):
                tensors.append(value)
    return tensors
