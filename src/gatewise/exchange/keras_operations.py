"""The operations of a Keras model, recorded while it runs: `gatewise.network.value_matching` reads them.

Keras runs on any of its backends. A model of the functional API or a Sequential one has a graph; each layer of it is
called as Keras calls it, with its masks, and models inside models are followed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.exchange.keras_backend import keras_module, torch_inference
from gatewise.exchange.keras_roles import Role, Roles
from gatewise.network import Layer
from gatewise.network.value_matching import ACTIVATIONS, Act, Affine, Operation, Source
from gatewise.network.weight_layouts import keras_directions
from gatewise.types import Array

_MERGES = {"concat": "concat", "sum": "sum", "ave": "mean", "mul": "product"}
# Layers and operations without weights that move numbers, pool them or do nothing in a prediction. `Roles` checks those
# whose effect may depend on the numbers or on the length of a sequence.
_ARRANGE = """
    Masking Dropout SpatialDropout1D GaussianNoise GaussianDropout AlphaDropout ActivityRegularization Identity Reshape
    Permute Flatten Concatenate Add Average GlobalMaxPooling1D GlobalAveragePooling1D Cropping1D GetItem Mean Max
    Squeeze ExpandDims Transpose Flip Cast Split Stack Take TakeAlongAxis Sum Subtract Multiply Divide NotEqual Any
    LogicalAnd LogicalOr Where Maximum
"""


class KerasSource(Source):
    """A built keras.Model of one input and one output, or its file."""

    framework = "Keras"

    def __init__(self, network: Any) -> None:
        self.keras = keras_module()
        if isinstance(network, str | Path):
            try:
                network = self.keras.models.load_model(network, compile=False)  # safe_mode: no code of the file runs
            except Exception as error:  # Keras and its backends have many
                raise ModelFileError(f"{quote(network)}: Keras does not open it: {quote(error, 200)}") from error
        if not isinstance(network, self.keras.Model):
            raise InputError(f"from_keras needs a Keras model or its file, not {quote(type(network).__name__)}")
        self.graph = self._graph(network)
        shapes = [one.shape for one in self.graph.inputs]
        if len(shapes) != 1 or len(self.graph.outputs) != 1 or len(shapes[0]) not in (2, 3):
            found = f"inputs of the shapes {shapes} and {len(self.graph.outputs)} outputs"
            raise InputError(
                f"the Keras model has {found}; gatewise reads one of ids (B, T) or series (B, T, C), and one"
            )
        layers = self._layers(network)
        tables = [one for one in layers if type(one).__name__ == "Embedding"]
        masks = [float(one.mask_value) for one in layers if type(one).__name__ == "Masking"]
        masks += [0.0 for one in tables if one.mask_zero]
        if len(set(masks)) > 1:
            raise InputError(f"the Keras model masks the values {masks}; gatewise reads networks that mask one")
        self.pad = masks[0] if masks else None
        self.roles: Roles | None = None  # of the run
        # Without an embedding, inputs (B, F) are a series in one row, which the network reshapes to steps.
        self.flat = len(shapes[0]) == 2 and not tables
        tokens = len(shapes[0]) == 2 and not self.flat
        shape = self._reshaped() if self.flat else shapes[0]
        size = tables[0].input_dim if tokens else shape[2]
        super().__init__(tokens, size, shape[:2], bool(masks))

    def _reshaped(self) -> tuple[Any, ...]:
        """The shape (B, T, C) to which a network reshapes its inputs (B, F) first."""
        [given] = self.graph.inputs
        nodes = [node for node in _nodes(self.graph) if any(one is given for one in node.input_tensors)]
        kinds = [type(node.operation).__name__ for node in nodes]
        shape = tuple(nodes[0].outputs[0].shape) if kinds in (["Reshape"], ["ExpandDims"]) else ()
        if len(shape) != 3 or shape[2] is None:
            found = ", ".join(kinds) or "no layer"
            raise InputError(
                f"the Keras model reads inputs of the shape {tuple(given.shape)} by {quote(found)}, "
                "and an LSTM reads steps: use an Embedding for token ids, or an Input or a Reshape of (steps, channels)"
            )
        return shape

    def _graph(self, network: Any) -> Any:
        """The model as one with a graph. Raises InputError where it has none."""
        try:
            return self.keras.Model(network.inputs, network.outputs)
        except (AttributeError, ValueError, TypeError):
            why = "a subclass of keras.Model, or one that is not built, has no graph of layers"
            raise InputError(
                f"the Keras model {quote(network.name)} cannot be read: {why}; build it with keras.Model(in, out)"
            ) from None

    def _layers(self, network: Any) -> list[Any]:
        inner = [self._layers(one) if isinstance(one, self.keras.Model) else [one] for one in network.layers]
        return [layer for layers in inner for layer in layers]

    def run(self, x: Array, lengths: Array) -> list[Operation]:
        found: list[Operation] = []
        x = x.reshape(len(x), -1) if self.flat else x
        tensor = self.keras.ops.convert_to_tensor(x.astype(np.int32 if self.tokens else np.float32))
        self.roles = Roles(tensor, self.pad, self.tokens)
        try:
            with torch_inference(self.keras):
                [output] = self.keras.tree.flatten(self._run(self.graph, [tensor], found))
        finally:
            self.roles = None
        return [*found, Operation("output", "output", "the end").ran(None, self._array(output))]

    def _run(self, graph: Any, inputs: list[Any], found: list[Operation]) -> Any:
        nodes = iter(_nodes(graph))

        def recorded(layer: Any) -> Callable[..., Any]:
            node = next(one for one in nodes if one.operation is layer)

            def call(*args: Any, **kwargs: Any) -> Any:
                if isinstance(layer, self.keras.Model):
                    return self._run(self._graph(layer), list(args), found)
                return self._call(layer, node.input_tensors[0].shape, args, kwargs, found)

            return call

        return graph._run_through_graph(inputs, operation_fn=recorded)

    def _call(self, layer: Any, shape: Any, args: Any, kwargs: Any, found: list[Operation]) -> Any:
        """The output of a layer, which is recorded. shape: of its first input, None for any length."""
        assert self.roles is not None
        values = [*args, *kwargs.values()]
        operations = self._operations(layer, args, kwargs, len(found) + 1)
        self.roles.check(operations[0], layer, values, shape)
        self.roles.check_mask(operations[0], kwargs.get("mask"))
        halves = [layer, *(getattr(layer, name, None) for name in ("forward_layer", "backward_layer"))]
        stateful = [one for one in halves if getattr(one, "stateful", False)]
        for one in stateful:  # each sequence starts from zero, and the states of the user stay
            one.stateful = False
        try:
            output = layer(*args, **kwargs)
        except InputError:
            raise
        except Exception as error:  # each backend has its own
            operations[0].refuse(f"the Keras backend does not compute it: {quote(error, 200)}")
        finally:
            for one in stateful:
                one.stateful = True
        first = self.keras.tree.flatten(output)[0]
        if self.flat and len(found) == 0:  # the reshaping to steps
            self.roles.add(first, Role("inputs"))
        self.roles.record(layer, values, first)
        last = operations.pop()
        y = None if last.x is None else self._array(first)
        found.extend([*operations, last.ran(last.what, last.x, y)])
        return output

    def _operations(self, layer: Any, args: Any, kwargs: Any, number: int) -> list[Operation]:
        """The operations of a layer: itself, and its activation."""
        inner = layer.layer if type(layer).__name__ == "TimeDistributed" else layer
        kind = type(inner).__name__
        own = Operation(str(layer.name), kind, f"layer {number}")
        if kind in _ARRANGE.split():
            return [own]
        if not args or not hasattr(args[0], "shape"):
            own.refuse()
        if kind in ("LSTM", "Bidirectional") and (len(args) > 1 or kwargs.get("initial_state") is not None):
            own.refuse("it starts from the states of another layer; gatewise starts each sequence from zero")
        x = self._array(args[0])
        what = self._what(inner, kind, own, x.ndim)
        if kind != "Dense" or (act := self._act(inner.activation, own)).name == "linear":
            return [own.ran(what, x)]
        middle = x @ what.weight.T + what.bias
        return [own.ran(what, x, middle), own.ran(act, middle)]

    def _what(self, layer: Any, kind: str, own: Operation, axes: int) -> Any:
        settings = layer.get_config() if hasattr(layer, "get_config") else {}
        arrays = [np.asarray(one, np.float64) for one in layer.get_weights()] if hasattr(layer, "get_weights") else []
        if kind == "Embedding" and len(arrays) == 1:
            return arrays[0]
        if kind in ("LSTM", "Bidirectional"):
            try:
                merge, backward, weights = keras_directions(layer)
            except InputError as error:
                own.refuse(str(error).partition(": ")[2])
            direction: Any = "both" if len(weights) == 2 else "backward" if backward else "forward"
            return [(Layer(weights[0].weight_hh.shape[1], direction, _MERGES[merge]), weights)]  # type: ignore[arg-type]
        if kind == "Dense" and len(arrays) in (1, 2):
            return Affine.dense(arrays[0].T, *arrays[1:])
        if kind == "BatchNormalization" and layer.axis in (-1, axes - 1):
            scale = (arrays[0] if layer.scale else 1) / np.sqrt(arrays[-1] + layer.epsilon)
            return Affine.scaling(scale, (arrays[layer.scale] if layer.center else 0) - arrays[-2] * scale)
        if kind == "Normalization" and not settings["invert"] and settings["axis"] in (-1, (-1,), [-1]):
            mean, variance = self._array(layer.mean).ravel(), self._array(layer.variance).ravel()
            scale = 1 / np.maximum(np.sqrt(variance), self.keras.config.epsilon())
            return Affine.scaling(scale, -mean * scale)
        if kind == "Activation":
            return self._act(layer.activation, own)
        plain = {"max_value": None, "threshold": 0.0, "alpha": 1.0, "axis": -1}
        changed = [name for name, value in plain.items() if settings.get(name, value) != value]
        if kind in ("ReLU", "LeakyReLU", "ELU", "Softmax") and not changed:
            slope = float(settings.get("negative_slope", 0.0))
            return Act("leaky_relu", slope) if slope else Act("relu" if kind == "LeakyReLU" else kind.lower())
        own.refuse()

    def _act(self, function: Any, own: Operation) -> Act:
        name = getattr(function, "__name__", type(function).__name__)
        if name != "linear" and name not in ACTIVATIONS.values():
            own.refuse(f"gatewise has no activation {quote(name)}")
        return Act(name, 0.2) if name == "leaky_relu" else Act(name)  # by the default of Keras

    def _array(self, tensor: Any) -> Array:
        return np.asarray(self.keras.ops.convert_to_numpy(tensor), np.float64)


def _nodes(graph: Any) -> list[Any]:
    """The calls of layers in the order in which Keras runs them."""
    depths = sorted(graph._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in graph._nodes_by_depth[depth] if node.operation and not node.is_input]
