"""Modules of PyTorch as graphs: what torch.export writes down, operation by operation. No value is looked at."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from gatewise.errors import InputError, quote
from gatewise.exchange.torch_call import Call, Value, array_of, dtype_of
from gatewise.exchange.torch_export import LEAST_TORCH, Arguments, copy_of, program_of
from gatewise.exchange.torch_guards import agrees, guarded
from gatewise.exchange.torch_network import TorchNetwork, resized
from gatewise.exchange.torch_operations import REFUSED, RULES
from gatewise.exchange.torch_original import (
    SIZE_CHECKS,
    constant_of,
    kept_between_calls,
    module_outputs,
    operation_name,
)
from gatewise.exchange.torch_packing import PackedError
from gatewise.exchange.torch_sizes import dim_of
from gatewise.network.graph import Node as GraphNode
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.network.operations import operation_of
from gatewise.network.size import symbols_of

_EXTENDED = 3  # the size of an axis that has 1 in the example
_MOST_SINGLE = 6  # axes of size 1 of which all sets are tried

_OWN_FILES = (str(Path(torch.__file__).parent), str(Path(__file__).parent), "<")
"""Where code is that is not the user's: torch, this package, and what has no file."""


def read_torch(module: nn.Module, example: Any) -> TorchNetwork:
    """The graph of a module, as it computes in eval mode. The module does not change.

    example: what the module is called with: a tensor, a tuple or list of tensors, or a dict of tensors by the names of
    the arguments. Its sizes tell which axes there are, and the graph holds for others too, where the module does.

    Raises InputError naming the layer, the line and the operation that is not read.
    """
    check_version()
    if not isinstance(module, nn.Module):
        raise InputError(f"a torch.nn.Module is read, not {type(module).__name__}")
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.dtype in (torch.float16, torch.bfloat16):
            raise InputError(f"{quote(name)} is {tensor.dtype}, and would be rounded: call module.float() first")
    arguments = Arguments.of(module, example)
    single = _single_axes(arguments)
    for chosen in _subsets(single):
        extended = _extended(arguments, chosen)
        if not chosen or _runs(module, extended):
            return _read(module, extended)
    raise AssertionError("the last subset has no axis")


def _read(module: nn.Module, arguments: Arguments) -> TorchNetwork:
    """The network of an example that torch.export takes as it is."""
    with _named(module):
        program = program_of(copy_of(module), arguments, {})
    translation = _Translation(module, arguments, program)
    network = translation.network()
    kept = kept_between_calls(module, arguments)
    if kept is not None:
        what = f"it keeps {kept}; set it anew in forward" if kept else "it is random or keeps a state"
        reason = f"a second call with the same inputs gives other outputs: {what}"
        raise InputError(f"{type(module).__name__}: {reason}")
    if not agrees(network, network.example_sizes()):
        # Nothing is known about what differs; the values of the nodes would tell.
        raise InputError(f"{type(module).__name__}: the graph does not compute what the module computes")
    return guarded(network, _shape_env(program), translation.names)


def _shape_env(program: ExportedProgram) -> Any:
    """What torch.export decided about sizes."""
    for node in program.graph.nodes:
        fake_mode = getattr(node.meta.get("val"), "fake_mode", None)
        if fake_mode is not None:
            return fake_mode.shape_env
    raise InputError("torch.export has kept no sizes")


# torch.export takes a size of 1 for a constant, so that an example with one sequence or one step is extended.


def _single_axes(arguments: Arguments) -> list[tuple[int, int]]:
    """The axes of size 1, by the numbers of the input and the axis."""
    axes = []
    for number, tensor in enumerate(arguments.tensors):
        axes += [(number, axis) for axis, size in enumerate(tensor.shape) if size == 1]
    return axes


def _subsets(axes: list[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], ...]]:
    """Sets of axes, the largest first. Of many axes, only all of them and those of one kind."""
    if len(axes) > _MOST_SINGLE:
        yield tuple(axes)
        for place in sorted({axis for _, axis in axes}):
            yield tuple(pair for pair in axes if pair[1] == place)
        yield ()
        return
    for count in range(len(axes), -1, -1):
        yield from combinations(axes, count)


def _extended(arguments: Arguments, axes: Sequence[tuple[int, int]]) -> Arguments:
    """The example with other sizes along these axes."""
    tensors = []
    for number, tensor in enumerate(arguments.tensors):
        shape = [_EXTENDED if (number, axis) in axes else size for axis, size in enumerate(tensor.shape)]
        tensors.append(resized(tensor, shape))
    return arguments.with_tensors(tensors)


def _runs(module: nn.Module, arguments: Arguments) -> bool:
    """Whether the module takes an example."""
    try:
        module_outputs(module, arguments, torch.float64)
    except Exception:  # of any kind: it is code of the user
        return False
    return True


def check_version() -> None:
    """Raises InputError for a torch that is too old for torch.export as it is used here."""
    version = tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2])
    if version < LEAST_TORCH:
        least = ".".join(map(str, LEAST_TORCH))
        raise InputError(
            f"PyTorch {torch.__version__} has no torch.export that reads modules; install {least} or later"
        )


@contextmanager
def _named(module: nn.Module) -> Iterator[None]:
    """What torch raises within it, as an InputError that names the line of the module."""
    try:
        yield
    except PackedError as error:
        raise InputError(f"{type(module).__name__}: {origin_of(error.node)}: {error}") from None
    except InputError:
        raise
    except Exception as error:
        line = _line_of(error)
        where = f"{type(module).__name__}{f', {line}' if line else ''}"
        raise InputError(f"{where}: {_reason(error)}") from error


def _line_of(error: BaseException) -> str:
    """The last line of the user that an exception passed, as file:line and its code."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    if not lines:
        return ""
    frame = lines[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} ({frame.line})"


def _is_users(file: str) -> bool:
    return not file.startswith(_OWN_FILES)


def _reason(error: BaseException) -> str:
    """What is wrong and what to write instead, of an exception of torch."""
    kind = type(error).__name__
    if kind in ("GuardOnDataDependentSymNode", "DataDependentOutputException", "UserError"):
        return f"{REFUSED['item']}"
    first = str(error).strip().split("\n")[0]
    return f"torch.export: {first}"


def origin_of(node: Node) -> str:
    """The path of the module and the line of the user's forward method from which a node comes."""
    stack = node.meta.get("nn_module_stack") or {}
    path = ""
    for entry in stack.values():
        path = str(entry[0]).removeprefix("L['self']").lstrip(".")
    line = ""
    for file, number in re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or ""):
        if _is_users(file):
            line = f"{Path(file).name}:{number}"
    if path and line:
        return f"{path} ({line})"
    return path or line


class _Translation:
    """An exported program as a graph."""

    def __init__(self, module: nn.Module, arguments: Arguments, program: ExportedProgram) -> None:
        self.module = module
        self.arguments = arguments
        self.program = program
        self.builder = GraphBuilder()
        self.values: dict[Node, Value] = {}
        self.names = _symbol_names(program, arguments)
        self.places: dict[str, tuple[str, int | None]] = {}

    def network(self) -> TorchNetwork:
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
                raise self.refusal(node, f"an input of the kind {spec.kind.name} is not read")

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
            raise InputError(REFUSED.get(short, "gatewise does not compute this operation"))
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
                raise InputError(f"{type(self.module).__name__}: it returns {quote(output)}; outputs are tensors")
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
        module = copy_of(self.module)
        return TorchNetwork(graph, tuple(compared), module, self.arguments, self.program, places, self._lengths())

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
                symbols = () if isinstance(size, int) else sorted(size.node.expr.free_symbols, key=str)
                if len(symbols) == 1 and symbols[0].name not in names:
                    names[symbols[0].name] = name
            if names:
                break
    tensors = _inputs_of(program)
    for input_name, tensor in zip(arguments.names, tensors, strict=True):
        for axis, size in enumerate(tensor.shape):
            if isinstance(size, int):
                continue
            for symbol in sorted(size.node.expr.free_symbols, key=str):
                if symbol.name in names:
                    continue
                name = re.sub(r"\W", "_", f"{input_name}_{axis}")
                if axis == 0 and "B" not in names.values():
                    name = "B"
                elif axis == 1 and "T" not in names.values() and names:
                    name = "T"
                names[symbol.name] = name
    return names


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
