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

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

from gatewise.errors import InputError, quote
from gatewise.exchange.torch_export import ASSIGNED, LEAST_TORCH, Arguments, copy_of, program_of
from gatewise.exchange.torch_guards import Condition, agrees, beyond, close, conditions_of, guarded
from gatewise.exchange.torch_network import TorchNetwork, resized
from gatewise.exchange.torch_original import Original
from gatewise.exchange.torch_packing import PackedError
from gatewise.exchange.torch_rules import REFUSED
from gatewise.exchange.torch_steps import require_same_code
from gatewise.exchange.torch_translation import Translation, is_users, origin_of
from gatewise.network.graph import Graph
from gatewise.network.operation import Execution
from gatewise.network.recurrent_loops import with_recurrent
from gatewise.network.roll import rolled

_EXTENDED = 3  # the size of an axis that has 1 in the example
_MOST_SINGLE = 6  # axes of size 1 of which all sets are tried
_MOST_EXPORTS = 8  # for conditions that code asks
_LENGTHS = (1, 2, 3, 4, 5)
"""Numbers of steps for which a module with a loop over them is exported."""

_MORE_STEPS = (37, 130)
"""Numbers of steps for which the module then has to compute what the graph computes."""
_MANY_STEPS = 1000
"""A number of steps for which it has to run the same code."""

MIXED = (
    "converted to float64, it has weights of another dtype: make each module an attribute of the one that calls it, and"
    " each tensor with dtype=x.dtype"
)
"""Why a module is refused that holds on to weights which a copy of it does not have."""

_REASONS = {
    ".numpy() is not supported": "NumPy computes with its numbers: compute with tensors, such as torch.clamp",
    "fake tensor in the exported program": ASSIGNED,
    "Cannot view a tensor": "its view does not fit the order in memory: write reshape",
    "torch._C.Generator": REFUSED["generator"],
    "does not match weight dtype": MIXED,
    "input must have the type": MIXED,
    "must have the same dtype": MIXED,
    " not in VR[": "its code needs other sizes than the example has: give a larger example, or ask for sizes with if",
}
"""What is wrong and what to write instead, by a phrase of the message of torch."""

Axes = tuple[tuple[int, int], ...]
"""Axes of the inputs, by the numbers of the input and the axis."""


def read_torch(module: nn.Module, example: Any) -> TorchNetwork:
    """The graph of a module, as it computes in eval mode. The module does not change.

    example: what the module is called with: a tensor, a tuple or list of tensors, or a dict of tensors by the names of
    the arguments. Its sizes tell which axes there are, and the graph holds for others too, where the module does.

    Raises InputError naming the layer, the line and the operation that is not read.
    """
    check_version()
    if not isinstance(module, nn.Module):
        raise InputError(
            f"a torch.nn.Module is read, not {type(module).__name__}; load stored weights into their module first, by "
            "load_state_dict"
        )
    for name, submodule in module.named_modules():
        # What TorchScript asks of a size, torch.export does not see.
        if isinstance(submodule, torch.jit.ScriptModule):
            where = quote(name) if name else "the module"
            raise InputError(f"{where} (ScriptModule): its code is not read: use the module that was scripted")
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.dtype in (torch.float16, torch.bfloat16):
            raise InputError(f"{quote(name)} is {tensor.dtype}, and would be rounded: call module.float() first")
    arguments = Arguments.of(module, example)
    original = Original(copy_of(module))
    for chosen in _subsets(_single_axes(arguments)):
        extended = _with_size(arguments, chosen, _EXTENDED)
        if not chosen or _runs(original, extended):
            return _read(original, extended)
    raise AssertionError("the last subset has no axis")


def unrolled_graphs(module: nn.Module, example: Any, axes: Axes, lengths: Sequence[int]) -> list[Graph]:
    """The graphs of a module for several numbers of steps, each of which has constant sizes along these axes of its
    inputs. A loop over the steps is written down as many times as there are steps.
    """
    original = Original(copy_of(module))
    arguments = Arguments.of(module, example)
    return [_translation(original, _with_size(arguments, axes, length)).network().graph for length in lengths]


def _translation(original: Original, arguments: Arguments, fixed: Axes = ()) -> Translation:
    with _named(original.module):
        program = program_of(copy_of(original.module), arguments, fixed)
    return Translation(original, arguments, program)


def _translated(original: Original, arguments: Arguments) -> tuple[Translation, TorchNetwork]:
    """The network with as many sizes that depend on the inputs as its operations have."""
    refusal: InputError | None = None
    for fixed in _constant_axes(arguments):
        translation = _translation(original, arguments, fixed)
        try:
            return translation, translation.network()
        except InputError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _constant_axes(arguments: Arguments) -> Iterator[Axes]:
    """Axes whose sizes are constants: none, then the features of each step, then all but the batch.

    The features are on the last axis, or the steps are, as of spectrograms (B, bands, T) and images (B, 1, height, T).
    """
    yield ()
    ranks = [tensor.dim() for tensor in arguments.tensors]
    yield tuple((number, rank - 1) for number, rank in enumerate(ranks) if rank >= 3)
    yield tuple((number, axis) for number, rank in enumerate(ranks) for axis in range(1, rank - 1))
    yield tuple((number, axis) for number, rank in enumerate(ranks) for axis in range(1, rank))


def _read(original: Original, arguments: Arguments) -> TorchNetwork:
    """The network of an example that torch.export takes as it is."""
    translation, network = _translated(original, arguments)
    _check_calls(original, arguments)
    if not agrees(network, network.example_sizes()):
        raise InputError(f"{type(original.module).__name__}: {_difference(network)}")
    conditions = _conditions(translation, network)
    axes = _loop_axes(network)
    if axes:
        network = _rolled(network, axes)
    return guarded(network, conditions)


def _conditions(translation: Translation, network: TorchNetwork) -> list[Condition]:
    """The conditions on sizes that torch.export decided for the example. What the code of the module asks, it may ask
    more of where the answer differs: the module is exported for such sizes too.
    """
    conditions = conditions_of(_shape_env(translation.program), translation.names)
    example = network.example_sizes()
    exports = 0
    for condition in conditions:  # those that are found meanwhile too
        is_asked = not condition.place or is_users(condition.place)
        if not is_asked or exports == _MOST_EXPORTS or not condition.symbols <= set(example):
            continue
        sizes = beyond(condition, example)
        if sizes is None:
            continue
        exports += 1
        inputs = network.example_inputs(sizes)
        tensors = [torch.tensor(inputs[name]) for name in network.arguments.names]
        try:
            other = _translation(network.original, network.arguments.with_tensors(tensors))
        except InputError:
            continue  # the module refuses these sizes, and the graph is tried there
        known = set(map(str, conditions))
        new = conditions_of(_shape_env(other.program), other.names)
        conditions += [condition for condition in new if str(condition) not in known]
    return conditions


def _rolled(network: TorchNetwork, axes: Axes) -> TorchNetwork:
    """The network for any number of steps, of one that torch.export has written down for a number of them."""
    number, axis = axes[0]
    steps = network.arguments.tensors[number].shape[axis]
    try:
        examples = {length: _with_size(network.arguments, axes, length) for length in _LENGTHS}
        # A module may need some steps, as the last two.
        examples = {length: example for length, example in examples.items() if _runs(network.original, example)}
        graphs = [_translation(network.original, example).network().graph for example in examples.values()]
        symbol = "T"
        if any(symbol in of_length.symbols for of_length in graphs):
            symbol = re.sub(r"\W", "_", f"{network.arguments.names[number]}_{axis}")
        graph = with_recurrent(rolled(graphs, tuple(examples), symbol))
        many = _with_size(network.arguments, axes, _MANY_STEPS)
        require_same_code(network.original, [*examples.values()], many)
        looped = replace(network, graph=graph, compared=graph.outputs, places={})
        for length in (*_LENGTHS, steps, 2 * steps + 1, *_MORE_STEPS):
            sizes = {**looped.example_sizes(), symbol: length}
            if all(guard.holds(sizes) for guard in graph.guards) and not agrees(looped, sizes):
                raise InputError(f"it computes something else for {length} steps")
    except InputError as error:
        name = network.arguments.names[number]
        note = f"{quote(name)} has {steps} steps, as in the example: its loop over the steps is not read: {error}"
        return replace(network, notes=(*network.notes, note))
    return looped


def _loop_axes(network: TorchNetwork) -> Axes:
    """The axes whose size is that of the example in the graph, while the module takes others."""
    constant: list[tuple[int, int]] = []
    for number, value_type in enumerate(network.graph.inputs.values()):
        constant += [(number, axis) for axis, size in enumerate(value_type.shape) if isinstance(size, int)]
    tensors = network.arguments.tensors
    sizes = sorted({tensors[number].shape[axis] for number, axis in constant} - {1})
    for size in sizes:
        equal = tuple(pair for pair in constant if tensors[pair[0]].shape[pair[1]] == size)
        for axes in (equal, *((pair,) for pair in equal)):
            others = (size + 1, size - 1) if size > 2 else (size + 1,)
            if all(_runs(network.original, _with_size(network.arguments, axes, other)) for other in others):
                return axes
    return ()


def _check_calls(original: Original, arguments: Arguments) -> None:
    """Refuse a module that returns something else when it is called again. A graph has no state."""
    with _named(original.module):
        first, second = original.calls(arguments, torch.float64, 2)
    same = len(first) == len(second) and all(
        one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num())
        for one, other in zip(first, second, strict=True)
    )
    if not same:
        changed = original.changed_attributes(arguments)
        those = f", which changes {' and '.join(changed)}" if changed else ""
        raise InputError(
            f"{type(original.module).__name__}: its second call returns something else than its first one{those}:"
            " pass the state as an argument and return it"
        )


def _difference(network: TorchNetwork) -> str:
    """What differs between a graph and its module, for a message."""
    inputs = network.example_inputs(network.example_sizes())
    inner = [name for name in network.compared if name in network.places]
    wanted = network.original_values(inputs, network.graph.outputs, "float64")
    try:
        exported = network.exported_values(inputs, inner)
    except InputError as error:
        return str(error)  # the example has none of the sizes or values for which the graph holds
    computed = network.graph.run(inputs, values=inner, execution=Execution(dtype=np.float64, keep=False))
    for name in inner:
        if not close(computed[name], exported[name]):
            return f"the value {quote(name)} of the graph is not what torch computes"
    shapes = {name: array.shape for name, array in wanted.items()}
    return (
        f"torch.export writes down something else than the module computes (outputs {shapes}): it may call the forward"
        " method of another module, or change its weights"
    )


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


def _subsets(axes: list[tuple[int, int]]) -> Iterator[Axes]:
    """Sets of axes, the largest first. Of many axes, only all of them and those of one kind."""
    if len(axes) > _MOST_SINGLE:
        yield tuple(axes)
        for place in sorted({axis for _, axis in axes}):
            yield tuple(pair for pair in axes if pair[1] == place)
        yield ()
        return
    for count in range(len(axes), -1, -1):
        yield from combinations(axes, count)


def _with_size(arguments: Arguments, axes: Axes, size: int) -> Arguments:
    """The example with another size along these axes."""
    tensors = []
    for number, tensor in enumerate(arguments.tensors):
        shape = [size if (number, axis) in axes else old for axis, old in enumerate(tensor.shape)]
        tensors.append(resized(tensor, shape))
    return arguments.with_tensors(tensors)


def _runs(original: Original, arguments: Arguments) -> bool:
    """Whether the module takes an example."""
    try:
        original.outputs(arguments, torch.float64)
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
    except Exception as error:
        line = _line_of(error)
        where = f"{type(module).__name__}{f', {line}' if line else ''}"
        raise InputError(f"{where}: {_reason(error)}") from error


def _line_of(error: BaseException) -> str:
    """The last line of the user that an exception passed, as file:line and its code."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]
    if not lines:
        return ""
    frame = lines[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} ({frame.line})"


def _reason(error: BaseException) -> str:
    """What is wrong and what to write instead, of an exception of torch."""
    kind = type(error).__name__
    message = str(error)
    if isinstance(error, InputError):
        return message
    if kind in ("GuardOnDataDependentSymNode", "DataDependentOutputException") or "data-dependent" in message:
        return REFUSED["item"]
    for phrase, reason in _REASONS.items():
        if phrase in message:
            return reason
    first = message.strip().split("\n")[0]
    return f"{type(error).__name__}: {first}"
