"""What a module of PyTorch itself computes, in float64 or float32, for comparisons with its graph."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Interpreter, Node
from torch.overrides import TorchFunctionMode

from gatewise.errors import InputError, quote
from gatewise.exchange.torch_export import Arguments, copy_of

SIZE_CHECKS = (
    "_assert_scalar",
    "_assert_async",
    "sym_constrain_range",
    "sym_constrain_range_for_size",
    "_assert_tensor_metadata",
)
"""Operations that check sizes, which the guards of a graph do."""


class Original:
    """A module as it was given. A run of it starts as the first one, whatever an earlier one has left on it."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._in_dtype: dict[torch.dtype, nn.Module] = {}

    def outputs(self, arguments: Arguments, dtype: torch.dtype) -> list[Tensor]:
        """The tensors that the module returns, computed in a dtype."""
        return self.calls(arguments, dtype, 1)[0]

    def calls(self, arguments: Arguments, dtype: torch.dtype, count: int) -> list[list[Tensor]]:
        """The tensors of several calls one after the other."""
        if dtype not in self._in_dtype:
            self._in_dtype[dtype] = _in_dtype(self.module, dtype)
        converted = self._in_dtype[dtype]
        # The parameters do not change, and are many.
        module = copy_of(converted, shared=converted.parameters())
        tensors = [tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in arguments.tensors]
        results = []
        for _ in range(count):
            # The module may change its inputs.
            own = arguments.with_tensors([tensor.detach().clone() for tensor in tensors])
            with _trial(), _InDtype(dtype):
                returned = module(*own.args, **own.kwargs)
            results.append([leaf.clone() for leaf in pytree.tree_leaves(returned) if isinstance(leaf, Tensor)])
        return results

    def changed_attributes(self, arguments: Arguments) -> list[str]:
        """The attributes that a call of the module changes, as self.hidden."""
        module = copy_of(self.module)
        before = _attributes(module)
        with _trial():
            module(*arguments.args, **arguments.kwargs)
        after = _attributes(module)
        return [name for name, value in after.items() if name not in before or before[name] is not value]


@contextmanager
def _trial() -> Iterator[None]:
    """A run for sizes and values that the user did not choose: it has no gradients, and its warnings are ignored.

    torch warns about the standard deviation of one step, for example. Where a filter makes exceptions of warnings, the
    module would seem to refuse such sizes.
    """
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """The small products of a comparison wait longer for the threads of torch than they run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _attributes(module: nn.Module) -> dict[str, Any]:
    """The attributes of a module and those in it, without its parts, by "self.lstm.hidden"."""
    attributes = {}
    for path, submodule in module.named_modules():
        for name, value in vars(submodule).items():
            if not name.startswith("_"):
                attributes[".".join(part for part in ("self", path, name) if part)] = value
    return attributes


def _in_dtype(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of a module whose floating-point tensors have a dtype, those that are no parameters included."""
    memo: dict[int, Any] = {}
    for submodule in module.modules():
        for leaf in pytree.tree_leaves({key: value for key, value in vars(submodule).items() if key != "_modules"}):
            if isinstance(leaf, Tensor) and leaf.is_floating_point() and not isinstance(leaf, nn.Parameter):
                memo[id(leaf)] = leaf.detach().to(dtype, copy=True)
    return copy.deepcopy(module, memo).to(dtype).eval()


class _InDtype(TorchFunctionMode):
    """Code of a module that names float32 computes in this dtype."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __enter__(self) -> Any:
        self.default = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *exception: Any) -> None:
        torch.set_default_dtype(self.default)
        super().__exit__(*exception)  # type: ignore[no-untyped-call]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.float:
            return args[0].to(self.dtype)
        return func(*map(self._changed, args), **{key: self._changed(value) for key, value in (kwargs or {}).items()})

    def _changed(self, argument: Any) -> Any:
        return self.dtype if argument is torch.float32 else argument


class Recorder(Interpreter):
    """The nodes of an exported program, run in a dtype."""

    def __init__(self, program: ExportedProgram, dtype: torch.dtype) -> None:
        super().__init__(program.graph_module)
        # Else torch adds lines of the graph to the message of an error, which is one line.
        self.extra_traceback = False
        self.program = program
        self.dtype = dtype
        self.computed: dict[str, Any] = {}

    def values(self, tensors: Sequence[Tensor]) -> dict[str, Any]:
        """What each node returns, by its name."""
        placeholders = {node.name: node for node in self.program.graph.nodes if node.op == "placeholder"}
        inputs = iter(tensors)
        arguments: list[Any] = []
        for spec in self.program.graph_signature.input_specs:
            if spec.kind == InputKind.USER_INPUT:
                is_tensor = isinstance(placeholders[spec.arg.name].meta.get("val"), Tensor)
                arguments.append(next(inputs) if is_tensor else spec.arg.value)
            else:
                tensor = constant_of(self.program, spec.target).detach()
                arguments.append(tensor.to(self.dtype) if tensor.is_floating_point() else tensor)
        with _trial():
            self.run(*arguments, enable_io_processing=False)
        return self.computed

    def run_node(self, node: Node) -> Any:
        if node.op == "call_function" and operation_name(node).partition("::")[2] in SIZE_CHECKS:
            return None
        result = super().run_node(node)
        self.computed[node.name] = result
        return result

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        args = tuple(self._changed(argument) for argument in args)
        kwargs = {key: self._changed(argument) for key, argument in kwargs.items()}
        if target is torch.ops.aten.view.default:
            # The operations of a layer may lie in memory in another order than in the module.
            target = torch.ops.aten.reshape.default
        return super().call_function(target, args, kwargs)

    def _changed(self, argument: Any) -> Any:
        return self.dtype if argument is torch.float32 else argument


def operation_name(node: Node) -> str:
    """The name of the operation of a node, with its namespace: "aten::relu"."""
    schema = getattr(node.target, "_schema", None)
    if schema is not None:
        return str(schema.name)
    return str(getattr(node.target, "__name__", node.target))


def constant_of(program: ExportedProgram, name: str) -> Tensor:
    """A parameter, a buffer or a constant of a program."""
    tensor = program.state_dict.get(name)
    if tensor is None:
        tensor = program.constants[name]
    if not isinstance(tensor, Tensor):
        raise InputError(f"the constant {quote(name)} is a {type(tensor).__name__}")
    return tensor
