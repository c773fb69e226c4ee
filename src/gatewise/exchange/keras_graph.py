"""A Keras network as a graph. No value is looked at.

Keras calls the network on symbolic tensors (`gatewise.exchange.keras_trace`): it propagates the masks itself. Each call
that this reaches becomes nodes (`gatewise.exchange.keras_ops`, `gatewise.exchange.keras_layers`).
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.exchange.keras_backend import keras_module, torch_inference
from gatewise.exchange.keras_layers import is_leaf, read_layer
from gatewise.exchange.keras_ops import read_operation
from gatewise.exchange.keras_original import OriginalValues, ValueKey
from gatewise.exchange.keras_shapes import created
from gatewise.exchange.keras_trace import Call, Tracer, shown_place
from gatewise.exchange.keras_user_code import check_user_code, has_user_code
from gatewise.exchange.keras_values import KerasValues, graph_dtype, traced
from gatewise.exchange.read_network import ReadNetwork
from gatewise.network.graph import Graph
from gatewise.network.operation import ValueType
from gatewise.network.size import Dim, Shape, symbol
from gatewise.types import Array

_MOST_GROUPED = 4  # inputs of any length, for which each way to have the same length is tried


@dataclass(frozen=True, eq=False)
class KerasNetwork(ReadNetwork):
    """network: the keras.Model. keys: which call of it computes a compared value, by the name of the value. The inputs
    and the outputs of the graph have the names that Keras gives them.
    """

    framework = "Keras"
    network: Any = None
    keys: Mapping[str, ValueKey] = field(default_factory=dict)

    @property
    def undefined_for_nan(self) -> frozenset[str]:
        # On PyTorch a maximum with NaN is NaN. On TensorFlow it is the lowest number, and on JAX it may be another one
        # of the numbers, in large inputs.
        if keras_module().config.backend() == "torch":
            return frozenset()
        return frozenset({"MaxPool"})

    def original_values(self, inputs: Mapping[str, Array], names: Sequence[str], dtype: str) -> dict[str, Array]:
        arrays = [np.asarray(inputs[name]) for name in self.graph.inputs]
        original = OriginalValues(keras_module(), self.network)
        return original.run(arrays, {name: self.keys[name] for name in names}, dtype)


def read_keras(network: Any) -> KerasNetwork:
    """The graph of a keras.Model or of its file. Raises InputError naming the layer that is not read, its place, why,
    and what to write instead; ModelFileError for a file that Keras does not open without running code of it.
    """
    keras = keras_module()
    if isinstance(network, str | Path):
        network = _opened(keras, network)
    if not isinstance(network, keras.Model):
        raise InputError(f"a Keras network is a keras.Model or its file, not {quote(type(network).__name__)}")
    _check_policies(network)
    specs = _inputs(keras, network)
    error: InputError | None = None
    for groups in _groupings(specs):
        try:
            read = _Reader(keras, network, specs, groups).read()
            if has_user_code(keras, network):
                again = _Reader(keras, network, specs, groups).read()
                check_user_code(network, read, again)
            return read
        except InputError as failure:
            error = failure
    assert error is not None
    raise error


def _opened(keras: Any, path: str | Path) -> Any:
    try:
        return keras.models.load_model(path, compile=False)  # safe_mode: no code of the file runs
    except Exception as error:  # Keras and its backends have many
        raise ModelFileError(f"{quote(path)}: Keras does not open it: {quote(error, 200)}") from error


def _check_policies(network: Any) -> None:
    """Refuse layers that compute in another dtype than their weights have, or in half precision."""
    for layer in network._flatten_layers():
        policy = layer.dtype_policy
        kinds = {policy.compute_dtype, policy.variable_dtype}
        if policy.quantization_mode is not None or not kinds <= {"float32", "float64", "int32", "int64", "string"}:
            raise InputError(
                f"{layer.name} ({type(layer).__name__}): its dtype policy is {quote(policy.name)}, and a graph "
                "computes in float32; build the network with dtype='float32' and copy the weights"
            )


# Inputs


@dataclass(frozen=True)
class _Input:
    """An input of a network. shape: None for an axis of any size."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


def _inputs(keras: Any, network: Any) -> list[_Input]:
    """The inputs of a network. A network that is only a class with a `call` has those of its first call."""
    try:
        tensors = keras.tree.flatten(network.inputs)
    except (AttributeError, ValueError):
        tensors = []
    if tensors:
        specs = []
        for number, tensor in enumerate(tensors):
            if tensor.sparse or getattr(tensor, "ragged", False):
                raise InputError(f"its input {quote(tensor.name)} is sparse or ragged; use a dense one")
            specs.append(_Input(tensor.name or f"input_{number}", tuple(tensor.shape), str(tensor.dtype)))
        return _unique(specs)
    shapes = getattr(network, "_build_shapes_dict", None)
    if not shapes:
        raise InputError(
            f"{network.name} ({type(network).__name__}) has no weights yet, and its inputs are not known; call it once "
            "on data, or give it a keras.Input"
        )
    specs = []
    for name, structure in shapes.items():
        flat = _flat_shapes(structure)
        for number, shape in enumerate(flat):
            label = name.removesuffix("_shape") if len(flat) == 1 else f"{name.removesuffix('_shape')}_{number}"
            # Batches and sequences of any size: the first call had one of many.
            free = min(2, len(shape)) if len(shape) > 1 else 1
            specs.append(_Input(label, (*[None] * free, *shape[free:]), "float32"))
    return _unique(specs)


def _flat_shapes(structure: Any) -> list[tuple[int | None, ...]]:
    if isinstance(structure, Mapping):
        return [shape for each in structure.values() for shape in _flat_shapes(each)]
    if all(size is None or isinstance(size, int) for size in structure):
        return [tuple(structure)]
    return [shape for each in structure for shape in _flat_shapes(each)]


def _unique(specs: Sequence[_Input]) -> list[_Input]:
    """Inputs whose names differ."""
    named: list[_Input] = []
    for spec in specs:
        name = spec.name
        number = 1
        while any(other.name == name for other in named):
            number += 1
            name = f"{spec.name}_{number}"
        named.append(_Input(name, spec.shape, spec.dtype))
    return named


def _groupings(specs: Sequence[_Input]) -> Iterator[Mapping[str, int]]:
    """The group of each input of any length. Those of a group have the same length. First each input has a length of
    its own: a network may read two texts. Where it does not fit, fewer lengths are tried: a network may join two
    columns of one text.
    """
    names = [spec.name for spec in specs if None in spec.shape[1:]]
    if len(names) > _MOST_GROUPED:
        partitions = [tuple(range(len(names))), (0,) * len(names)]
    else:
        partitions = sorted(_partitions(len(names)), key=lambda groups: -len(set(groups)))
    for groups in partitions:
        yield dict(zip(names, groups, strict=True))


def _partitions(count: int) -> list[tuple[int, ...]]:
    partitions: list[tuple[int, ...]] = [()]
    for _ in range(count):
        longer = []
        for groups in partitions:
            for group in range(len(set(groups)) + 1):
                longer.append((*groups, group))
        partitions = longer
    return partitions


def _symbolic_shape(spec: _Input, groups: Mapping[str, int]) -> Shape:
    """B for the batch, T for the steps, or T_<name of the first input of the group> of several lengths."""
    shape: list[Dim] = []
    for axis, size in enumerate(spec.shape):
        if size is not None:
            shape.append(size)
        elif axis == 0:
            shape.append(symbol("B"))
        else:
            name = "T"
            if len(set(groups.values())) > 1:
                first = next(other for other, group in groups.items() if group == groups[spec.name])
                name = "T_" + "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in first)
            shape.append(symbol(name if axis == 1 else f"{name}_{axis}"))
    return tuple(shape)


# Reading


class _Reader:
    """One trace of a network, for one grouping of its inputs."""

    def __init__(self, keras: Any, network: Any, specs: Sequence[_Input], groups: Mapping[str, int]) -> None:
        self.keras = keras
        self.network = network
        self.specs = specs
        self.groups = groups
        self.values = KerasValues(keras)
        self.tracer = Tracer(keras, is_leaf, self._read_call, self._shape, self._created)
        self.error: InputError | None = None
        """The first one that a rule raised, which Keras may wrap."""

    def read(self) -> KerasNetwork:
        symbolic = []
        for spec in self.specs:
            shape = _symbolic_shape(spec, self.groups)
            value_type = ValueType(graph_dtype(spec.dtype), shape)
            tensor = self.keras.KerasTensor(spec.shape, dtype=spec.dtype, name=spec.name)
            self.values.set(tensor, self.values.builder.input(spec.name, value_type))
            symbolic.append(tensor)
        outputs = self._traced(symbolic)
        values = [self.values.value(output) for output in self.keras.tree.flatten(outputs)]
        names = self._output_names(outputs)
        renamed: dict[str, str] = {}
        for number, (value, name) in enumerate(zip(values, names, strict=True)):
            of_a_node = value not in self.values.builder.inputs and value not in self.values.builder.constants
            if value in renamed or not of_a_node:
                values[number] = value = self.values.add("Identity", value)
            renamed[value] = name
        graph = _renamed(self.values.builder.graph(values, self.values.guards), renamed)
        keys = {renamed.get(name, name): key for name, key in self._keys().items()}
        # The outputs of the network are compared with those of the original as a whole.
        for number, name in enumerate(names):
            keys[name] = ValueKey(None, 0, number)
        compared = [name for name in graph.types if name in keys and name not in names]
        return KerasNetwork(graph, (*compared, *names), self.network, keys)

    def _traced(self, symbolic: list[Any]) -> Any:
        """The outputs of the network for symbolic inputs. Raises InputError naming the layer."""
        try:
            # Layers whose functions Keras runs to know their shapes compute with torch.
            with torch_inference(self.keras), self.tracer.running():
                return self.tracer.call(self.network, symbolic)
        except InputError as error:
            raise self._named(self.error or error, error) from None
        except Exception as error:  # of Keras, of its backend, or of the code of the network
            if self.error is not None:
                raise self._named(self.error, error) from None
            if _draws_numbers(error):
                message = (
                    "it draws random numbers, and a graph computes the same for each call; leave them out, or make them"
                    " an input of the network"
                )
                raise self._named(InputError(message), error) from None
            reason = str(error).strip().splitlines() or [type(error).__name__]
            message = f"its call cannot be followed on symbolic tensors: {quote(reason[0], 200)}; use keras.ops in it"
            raise self._named(InputError(message), error) from None

    def _named(self, error: InputError, raised: BaseException) -> InputError:
        """The error with the layer, its type and place, and the line of the network's own code."""
        place = shown_place(self.tracer.failed_at, self.tracer.failed_operation)
        line = _own_line(raised)
        return InputError(f"{place}{line}: {error}" if place else str(error))

    def _read_call(self, call: Call) -> None:
        self.values.builder.origin = shown_place(call.place, call.operation)
        if not call.is_leaf:
            return
        try:
            if isinstance(call.operation, self.keras.layers.Layer):
                read_layer(self.values, call.operation, call.args, call.kwargs, call.outputs, self._follow)
            else:
                read_operation(self.values, call.operation, call.args, call.kwargs, call.outputs)
        except InputError as error:
            self.error = self.error or error
            raise

    def _follow(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The outputs of a layer within a leaf, such as that of TimeDistributed."""
        origin = self.values.builder.origin
        outputs = self.tracer.layer(layer, args, kwargs)
        self.values.builder.origin = origin
        return outputs

    def _shape(self, tensor: Any) -> tuple[Any, ...]:
        """The shape of a symbolic tensor, with the sizes that depend on the inputs."""
        if not self.values.has(tensor):
            return tuple(tensor.shape)
        return tuple(traced(size) for size in self.values.shape(self.values.value(tensor)))

    def _created(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The symbolic tensor that a function such as `keras.ops.zeros` makes of sizes that depend on the inputs."""
        try:
            return created(self.values, name, args, kwargs)
        except InputError as error:
            self.error = self.error or error
            raise

    def _keys(self) -> dict[str, ValueKey]:
        """Which call of the original computes a value, by its name."""
        keys: dict[str, ValueKey] = {}
        # Operations that Keras makes for symbolic tensors alone are none of the network.
        lasting = {id(layer) for layer in self.network._flatten_layers()}
        for layer in self.network._flatten_layers():
            functional = getattr(layer, "_functional", None) or layer  # of a Sequential model
            lasting |= {id(operation) for operation in getattr(functional, "_operations", None) or []}
        for operation, number, outputs in self.tracer.recorded:
            if id(operation) not in lasting:
                continue
            for place, tensor in enumerate(self.keras.tree.flatten(outputs)):
                if self.values.is_symbolic(tensor) and self.values.has(tensor):
                    keys.setdefault(self.values.value(tensor), ValueKey(operation, number, place))
        return {name: key for name, key in keys.items() if name not in self.values.builder.inputs}

    def _output_names(self, outputs: Any) -> list[str]:
        """The names of the outputs: the keys of a dict, else those of Keras, which are its last layers."""
        count = len(self.keras.tree.flatten(outputs))
        if isinstance(outputs, Mapping):
            names = [str(name) for name in sorted(outputs)]
        else:
            names = list(getattr(self.network, "output_names", None) or [])
        if len(names) != count:
            last = [layer.name for layer in self.network.layers[-1:]] if count == 1 else []
            names = last or [f"output_{number}" for number in range(count)]
        unique: list[str] = []
        for name in names:
            label = name
            number = 0
            while label in unique or label in self.values.builder.types:
                number += 1
                label = f"{name}_{number}"
            unique.append(label)
        return unique


def _renamed(graph: Graph, names: Mapping[str, str]) -> Graph:
    """The graph with other names of some values."""

    def new(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names.get(value, value) for value in values)

    nodes = [replace(node, inputs=new(node.inputs), outputs=new(node.outputs)) for node in graph.nodes]
    return Graph(graph.inputs, graph.constants, tuple(nodes), new(graph.outputs), graph.guards)


def _draws_numbers(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return any("/keras/src/random/" in frame.filename.replace("\\", "/") for frame in frames)


def _own_line(error: BaseException) -> str:
    """ " (model.py, line 12: y = x.numpy())" for an error that the code of the network met; "" without such code."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = frame.filename.replace("\\", "/")
        if any(part in path for part in ("/keras/", "/gatewise/", "/torch/", "/tensorflow/", "/jax/", "/optree/")):
            continue
        if path.startswith("<frozen") or "/lib/python" in path:
            continue
        return f" ({path.rpartition('/')[2]}, line {frame.lineno}: {frame.line})" if frame.line else ""
    return ""
