"""`graph_to_keras`: a graph as a keras.Model of one layer, whose weights are the constants of the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.exchange.keras_backend import keras_module
from gatewise.exchange.keras_functions import FUNCTIONS, Run
from gatewise.exchange.keras_recurrence import in_steps, recurrent_layer, weights_of_layer, with_layer
from gatewise.network.graph import Graph, Node
from gatewise.network.graph_file import graph_entry, graph_from
from gatewise.network.operation import DType, ValueType
from gatewise.network.size import Dim, value_of
from gatewise.network.trainable_graph import weights_of

_DTYPES: dict[DType, str] = {"float": "float32", "int64": "int64", "int32": "int32", "bool": "bool"}


def graph_to_keras(graph: Graph) -> Any:
    """A keras.Model with the inputs and outputs of the graph: a single one as it is, several in a dict by name.

    The weights of layers are trainable, the other constants are not: factors, masks and the statistics of batch
    normalisation. It runs with the sizes of its inputs known, as they are outside of `tf.function`. A file that it is
    saved in needs gatewise: `layer_class()` before `keras.models.load_model`.

    Raises InputError naming a node that has no function in Keras, for an input whose first axis is a fixed one, and
    without Keras.
    """
    _check(graph)
    keras = keras_module()
    inputs = {}
    for name, value_type in graph.inputs.items():
        if not value_type.shape or isinstance(value_type.shape[0], int):
            raise InputError(f"the input {name} is {value_type}: the first axis of an input of Keras is any size")
        inputs[name] = keras.Input(_dims(value_type.shape[1:]), dtype=_DTYPES[value_type.dtype], name=name)
    layer = layer_class()(graph)
    outputs = layer(list(inputs.values()))
    named = dict(zip(graph.outputs, outputs, strict=True))
    read: Any = inputs
    if len(inputs) == 1:
        [read] = inputs.values()
    return keras.Model(read, outputs[0] if len(named) == 1 else named)


@cache
def layer_class() -> Any:
    """The class of the layer, which `keras.models.load_model` knows from then on."""
    keras = keras_module()

    @keras.saving.register_keras_serializable(package="gatewise")
    class GraphLayer(keras.layers.Layer):  # type: ignore[misc, name-defined]
        """The nodes of a graph. It takes a list of its inputs, and returns a list of its outputs."""

        def __init__(self, graph: Graph, **settings: Any) -> None:
            super().__init__(**settings)
            self.graph = graph
            self.constants: dict[str, Any] = {}
            self.recurrent_layers: dict[str, Any] = {}
            in_layers: set[str] = set()
            for node in graph.nodes:
                if node.operation.name() != "Recurrent":
                    continue
                names = weights_of_layer(graph, node)
                if names:
                    arrays = {formal: np.asarray(graph.constants[name]) for formal, name in names.items()}
                    self.recurrent_layers[node.name] = recurrent_layer(keras, node.operation, arrays)
                    in_layers |= set(names.values())
            trained = set(weights_of(graph))
            for number, (name, array) in enumerate(graph.constants.items()):
                if name in in_layers:
                    continue
                dtype = _DTYPES[graph.types[name].dtype]
                weight = self.add_weight(
                    shape=array.shape, dtype=dtype, trainable=name in trained, name=f"constant_{number}",
                    initializer="zeros",
                )  # fmt: skip
                weight.assign(np.asarray(array, dtype=dtype))
                self.constants[name] = weight
            self.built = True

        def call(self, inputs: Sequence[Any]) -> list[Any]:
            ops = keras.ops
            given = dict(zip(self.graph.inputs, inputs, strict=True))
            sizes = self.graph.sizes({name: _like(self.graph.inputs[name], x) for name, x in given.items()})
            values: dict[str, Any] = {}
            for name, x in given.items():
                values[name] = ops.cast(ops.convert_to_tensor(x), _DTYPES[self.graph.inputs[name].dtype])
            for name, weight in self.constants.items():
                values[name] = ops.convert_to_tensor(weight)
            _compute(ops, self.graph, values, Run(sizes, (), "float32"), self.recurrent_layers)
            return [values[name] for name in self.graph.outputs]

        def compute_output_spec(self, inputs: Sequence[Any]) -> list[Any]:
            specs = []
            for name in self.graph.outputs:
                value_type = self.graph.types[name]
                specs.append(keras.KerasTensor(_dims(value_type.shape), _DTYPES[value_type.dtype]))
            return specs

        def get_config(self) -> dict[str, Any]:
            constants = {}
            for name, array in self.graph.constants.items():
                constants[name] = [_DTYPES[self.graph.types[name].dtype], list(array.shape)]
            return {**super().get_config(), "graph": graph_entry(self.graph), "constants": constants}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            settings = dict(config)
            # The weights come from the file of weights.
            constants = {name: np.zeros(shape, dtype) for name, (dtype, shape) in settings.pop("constants").items()}
            return cls(graph_from(settings.pop("graph"), constants, "the layer"), **settings)

    return GraphLayer


def _check(graph: Graph) -> None:
    """Refuse a graph with an operation that has no function in Keras, in loops too."""
    for node in graph.nodes:
        operation: Any = node.operation
        if operation.name() == "Loop":
            _check(operation.body)
        elif operation.name() != "Recurrent" and operation.name() not in FUNCTIONS:
            raise InputError(f"{node.shown}: {operation.name()} has no function in Keras")


def _dims(shape: Sequence[Dim]) -> tuple[int | None, ...]:
    """A shape with None for the sizes that depend on the inputs."""
    return tuple(dim if isinstance(dim, int) else None for dim in shape)


def _like(value_type: ValueType, x: Any) -> Any:
    """An array of the shape of a tensor and the dtype of an input, without memory."""
    return np.broadcast_to(np.zeros((), _DTYPES[value_type.dtype]), tuple(x.shape))


def _compute(ops: Any, graph: Graph, values: dict[str, Any], run: Run, layers: Mapping[str, Any]) -> None:
    """Add the values of all nodes. layers: of recurrences, by the names of their nodes."""
    for node in graph.nodes:
        shapes = tuple(tuple(value_of(dim, run.sizes) for dim in graph.types[name].shape) for name in node.outputs)
        own = Run(run.sizes, shapes, run.float_dtype)
        try:
            outputs = _computed(ops, node, own, values, layers)
        except InputError as error:
            raise InputError(f"{node.shown}: {error}") from None
        values |= zip(node.outputs, outputs, strict=True)


def _computed(ops: Any, node: Node, run: Run, values: Mapping[str, Any], layers: Mapping[str, Any]) -> Sequence[Any]:
    operation: Any = node.operation
    if operation.name() == "Recurrent":
        # The weights of a layer are its own.
        given = {formal: values.get(name) for formal, name in zip(operation.formal, node.inputs, strict=False)}
        if node.name in layers:
            return with_layer(ops, layers[node.name], operation, given)
        return in_steps(ops, operation, run, given)
    inputs = [values[name] if name else None for name in node.inputs]
    if operation.name() == "Loop":
        return _loop(ops, operation, run, inputs)
    outputs = FUNCTIONS[operation.name()](ops, operation, run, *inputs)
    return outputs if isinstance(outputs, list) else [outputs]


def _loop(ops: Any, operation: Any, run: Run, inputs: Sequence[Any]) -> list[Any]:
    """The states after the last step, and the rows of all steps, stacked."""
    count = operation.states + len(operation.axes)
    states = list(inputs[: operation.states])
    sequences = [ops.moveaxis(x, axis, 0) for x, axis in zip(inputs[operation.states :], operation.axes, strict=False)]
    rows: list[list[Any]] = [[] for _ in operation.output_axes]
    for step in range(run.size(operation.steps)):
        read = [*states, *(sequence[step] for sequence in sequences), *inputs[count:]]
        values = dict(zip(operation.body.inputs, read, strict=True))
        _compute(ops, operation.body, values, run, {})
        returned = [values[name] for name in operation.body.outputs]
        states = returned[: operation.states]
        for of_output, row in zip(rows, returned[operation.states :], strict=True):
            of_output.append(row)
    stacked = []
    for number, (of_output, axis) in enumerate(zip(rows, operation.output_axes, strict=True), operation.states):
        if of_output:
            stacked.append(ops.stack(of_output, axis=axis))
        else:
            dtype = run.dtype(operation.body.types[operation.body.outputs[number]].dtype)
            stacked.append(ops.zeros(run.shapes[number], dtype=dtype))
    return [*states, *stacked]
