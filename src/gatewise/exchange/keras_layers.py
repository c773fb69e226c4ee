"""The layers of Keras that are read as a whole: recurrent ones, and those whose `call` does not use `keras.ops`.

Other layers are followed: their `call` runs on symbolic tensors (`gatewise.exchange.keras_trace`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.exchange.keras_numbers import softmax_over
from gatewise.exchange.keras_rules import note_outputs
from gatewise.exchange.keras_shapes import flipped, one_hot, row_of
from gatewise.exchange.keras_values import KerasValues, graph_dtype
from gatewise.network.graph import Guard
from gatewise.network.merge_mode import OF_KERAS
from gatewise.network.operation import Operation
from gatewise.network.operations import operation_of
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.rule_table import RuleTable
from gatewise.network.size import Size
from gatewise.network.weight_layouts import KERAS_GATES, in_order, inverse
from gatewise.types import Array

Arguments = Mapping[str, Any]
Follow = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
"""Of a layer and its arguments: its outputs, after its call was followed."""

LayerRule = Callable[[KerasValues, Any, Arguments, Follow], list[str]]
"""Of the values, the layer, its arguments by name: the names of its outputs."""

RULES: RuleTable[LayerRule] = RuleTable()
"""By the name of the class of the layer."""

layer_rule = RULES.rule


REFUSED = {
    "StringLookup": "it reads strings; encode them before the network",
    "TextVectorization": "it reads strings; encode them before the network, and open the model behind it",
    "IntegerLookup": "it looks numbers up in a table of TensorFlow; do that before the network",
    "Hashing": "it hashes its inputs; do that before the network",
    "HashedCrossing": "it hashes its inputs; do that before the network",
    "ConvLSTM1D": "gatewise has no convolution within a recurrence; use Conv1D and LSTM",
    "ConvLSTM2D": "gatewise has no convolution within a recurrence; use Conv2D and LSTM",
    "ConvLSTM3D": "gatewise has no convolution within a recurrence; use Conv3D and LSTM",
}
"""Why layers are refused, by the names of their classes."""


def is_leaf(layer: Any) -> bool:
    """Whether a layer is read as a whole. A class of the user with such a name is not."""
    name = type(layer).__name__
    return is_of_keras(layer) and (name in RULES or name in REFUSED)


def _check_methods(layer: Any) -> None:
    """Refuse an instance whose methods are not those of its class."""
    for name in ("call", "inner_loop", "get_initial_state", "compute_mask", "compute_output_spec"):
        if name in vars(layer):
            raise InputError(
                f"{layer.name}: its method {name} is not that of its class; make a subclass of keras.Layer"
            )


def is_of_keras(layer: Any) -> bool:
    """Whether the class of a layer is one of Keras."""
    return type(layer).__module__.partition(".")[0] == "keras"


def read_layer(
    values: KerasValues, layer: Any, args: Sequence[Any], kwargs: Arguments, outputs: Any, follow: Follow
) -> None:
    """Add the nodes of a layer that is read as a whole, and note the values of its outputs."""
    name = type(layer).__name__
    if name in REFUSED:
        raise InputError(REFUSED[name])
    _check_methods(layer)
    bound = inspect.signature(layer.call).bind(*args, **kwargs)
    bound.apply_defaults()
    computed = RULES[name](values, layer, bound.arguments, follow)
    note_outputs(values, values.keras.tree.flatten(outputs), computed)


# Recurrence

_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "linear": ("Identity", {}),
    "relu": ("Relu", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "softsign": ("Softsign", {}),
    "softplus": ("Softplus", {}),
    "elu": ("Elu", {}),
    "selu": ("Selu", {"alpha": 1.6732632423543772848170429916717, "gamma": 1.0507009873554804934193349852946}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "silu": ("Swish", {}),
    "swish": ("Swish", {}),
    "gelu": ("Gelu", {}),
    "mish": ("Mish", {}),
    "exponential": ("Exp", {}),
    "softmax": ("Softmax", {}),
    "hard_silu": ("HardSwish", {}),
}
"""The operations of the activations of a cell, by their names in `keras.activations`."""

_CELLS = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "RNN"}
_STATES = {"LSTM": 2, "GRU": 1, "RNN": 1}
_DEFAULTS = {"LSTM": ("sigmoid", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",)}


@dataclass(frozen=True)
class CellValues:
    """A cell of Keras as inputs of `Recurrent`: the names of its weights, and its attributes."""

    kind: str
    weights: tuple[str, str, str, str]
    attributes: Mapping[str, Any]


def _cell(values: KerasValues, cell: Any) -> CellValues:
    name = type(cell).__name__
    if name not in _CELLS or not is_of_keras(cell):
        raise InputError(
            f"its cell {quote(name)} is not one of Keras; use LSTMCell, GRUCell, SimpleRNNCell or StackedRNNCells"
        )
    _check_methods(cell)
    kind = _CELLS[name]
    kernel = values.array(cell.kernel)
    recurrent = values.array(cell.recurrent_kernel)
    bias: Array | None = None if cell.bias is None else values.array(cell.bias)
    recurrent_bias: Array | None = None
    attributes: dict[str, Any] = {"cell": kind, "activations": _activations(values, cell, kind)}
    if kind == "GRU":
        attributes["linear_before_reset"] = bool(cell.reset_after)
        if bias is not None and cell.reset_after:
            bias, recurrent_bias = bias
    order = inverse(KERAS_GATES[kind])
    kernel = in_order(kernel, order, axis=-1)
    recurrent = in_order(recurrent, order, axis=-1)
    bias = None if bias is None else in_order(bias, order)
    recurrent_bias = None if recurrent_bias is None else in_order(recurrent_bias, order)
    arrays = (kernel.T, recurrent.T, bias, recurrent_bias)
    names = []
    for label, array in zip(("weight_ih", "weight_hh", "bias", "recurrent_bias"), arrays, strict=True):
        names.append("" if array is None else values.named(cell, label, array))
    return CellValues(kind, (names[0], names[1], names[2], names[3]), attributes)


def _activations(values: KerasValues, cell: Any, kind: str) -> tuple[Operation, ...]:
    """In the order of ONNX, of an LSTM f g h; () for the usual ones."""
    functions = [cell.activation]
    if kind != "RNN":
        functions.insert(0, cell.recurrent_activation)
    names = [_activation_name(values, function) for function in functions]
    if tuple(names) == _DEFAULTS[kind]:
        return ()
    if kind == "LSTM":
        names.append(names[-1])
    return tuple(operation_of(*_ACTIVATIONS[name]) for name in names)


def _activation_name(values: KerasValues, function: Any) -> str:
    name = "linear" if function is None else getattr(function, "__name__", type(function).__name__)
    if name in _ACTIVATIONS and (function is None or function is getattr(values.keras.activations, name, None)):
        return name
    raise InputError(
        f"its activation {quote(name)} is not read in a cell; use one of {', '.join(sorted(_ACTIVATIONS))}"
    )


@dataclass(frozen=True)
class _Run:
    """What a recurrent layer returns: h (B, T, P) in the order of the steps, the output, and the last states."""

    output: str
    states: list[list[str]]


def _recurrence(values: KerasValues, layer: Any, x: str, mask: str, initial: Any) -> _Run:
    """The output and the last states of a layer RNN, LSTM, GRU or SimpleRNN."""
    if not is_of_keras(layer) or not hasattr(layer, "cell"):
        raise InputError(f"it runs {quote(type(layer).__name__)}, which is no recurrent layer of Keras")
    _check_methods(layer)
    _check_methods(layer.cell)
    cells = layer.cell.cells if type(layer.cell).__name__ == "StackedRNNCells" else [layer.cell]
    starts = _initial_states(values, cells, initial)
    masked = "zero" if layer.zero_output_for_mask else "previous"
    reverse = bool(layer.go_backwards)
    states: list[list[str]] = []
    h = x
    for cell, start in zip(cells, starts, strict=True):
        read = _cell(values, cell)
        operation = Recurrent(**read.attributes, reverse=reverse, masked=masked)  # type: ignore[arg-type]
        inputs = [h, *read.weights, mask, *start]
        while not inputs[-1]:
            inputs.pop()
        h, *last = values.builder.node(operation, inputs)
        states.append(last)
    if layer.return_sequences:
        # Keras returns the steps in the order in which it reads them.
        return _Run(flipped(values, h, [1]) if reverse else h, states)
    # The output of the last step that Keras reads. It is the last state, but where a masked step has another output:
    # zero, or before the first step that is read.
    if mask and (masked == "zero" or starts[-1][0]):
        return _Run(row_of(values, h, 1, 0 if reverse else -1), states)
    return _Run(states[-1][0], states)


def _initial_states(values: KerasValues, cells: Sequence[Any], initial: Any) -> list[list[str]]:
    """The names of the states from which each cell starts; "" for zeros."""
    kinds = [_CELLS.get(type(cell).__name__, "RNN") for cell in cells]
    if initial is None:
        return [[""] * _STATES[kind] for kind in kinds]
    names = [values.value(state, "float") for state in values.keras.tree.flatten(initial)]
    if len(names) != sum(_STATES[kind] for kind in kinds):
        raise InputError(f"it is given {len(names)} initial states, and has {sum(_STATES[kind] for kind in kinds)}")
    starts = []
    for kind in kinds:
        starts.append(names[: _STATES[kind]])
        names = names[_STATES[kind] :]
    return starts


def _mask(values: KerasValues, mask: Any, x: str) -> str:
    """The mask (B, T) of a recurrent layer; "" without one."""
    masks = [each for each in values.keras.tree.flatten(mask) if each is not None]
    if not masks:
        return ""
    name = values.value(masks[0], "bool")
    if values.rank(name) == 3 and values.shape(name)[2] == 1:
        name = values.add("Squeeze", name, axes=(2,))
    batch_and_steps = values.shape(x)[:2]
    if values.rank(name) != 2:
        raise InputError(f"its mask is {values.type(name)}, and must be (B, T)")
    if values.shape(name) != batch_and_steps:
        name = values.add("Expand", name, shape=batch_and_steps)
    return name


@layer_rule("RNN", "LSTM", "GRU", "SimpleRNN")
def _rnn(values: KerasValues, layer: Any, given: Arguments, follow: Follow) -> list[str]:
    x = _sequences(values, given["sequences"])
    run = _recurrence(values, layer, x, _mask(values, given["mask"], x), given["initial_state"])
    if not layer.return_state:
        return [run.output]
    return [run.output, *[state for states in run.states for state in states]]


def _sequences(values: KerasValues, sequences: Any) -> str:
    x = values.value(sequences, "float")
    if values.rank(x) != 3:
        raise InputError(f"it reads {values.type(x)}, and must read (B, T, D)")
    return x


@layer_rule("Bidirectional")
def _bidirectional(values: KerasValues, layer: Any, given: Arguments, follow: Follow) -> list[str]:
    x = _sequences(values, given["sequences"])
    mask = _mask(values, given["mask"], x)
    initial = given["initial_state"]
    starts = [None, None]
    if initial is not None:
        half = len(initial) // 2
        starts = [initial[:half], initial[half:]]
    forward = _recurrence(values, layer.forward_layer, x, mask, starts[0])
    backward = _recurrence(values, layer.backward_layer, x, mask, starts[1])
    left, right = forward.output, backward.output
    if layer.return_sequences:
        right = flipped(values, right, [1])
    if layer.merge_mode is None:
        outputs = [left, right]
    else:
        outputs = [OF_KERAS[layer.merge_mode].nodes(values.builder, [left, right])]
    if layer.return_state:
        for run in (forward, backward):
            outputs += [state for states in run.states for state in states]
    return outputs


@layer_rule("TimeDistributed")
def _time_distributed(values: KerasValues, layer: Any, given: Arguments, follow: Follow) -> list[str]:
    """The layer on each step: the steps of all sequences are one batch of it."""
    inputs = given["inputs"]
    merged = _merged_steps(values, inputs)
    kwargs: dict[str, Any] = {}
    if layer.layer._call_has_mask_arg and given["mask"] is not None:
        kwargs["mask"] = _merged_steps(values, given["mask"])
    batch, steps = values.shape(values.value(inputs))[:2]
    results = values.keras.tree.flatten(follow(layer.layer, (merged,), kwargs))
    names = []
    for result in results:
        name = values.value(result)
        shape = values.shape(name)
        if not shape or shape[0] != batch * steps:
            raise InputError(f"{layer.layer.name} returns {values.type(name)}, and must keep the axis of its batch")
        names.append(values.add("Reshape", name, shape=(batch, steps, *shape[1:]), allowzero=1))
    return names


def _merged_steps(values: KerasValues, tensor: Any) -> Any:
    """A symbolic tensor (B T, ...) of one (B, T, ...)."""
    name = values.value(tensor)
    batch, steps, *rest = values.shape(name)
    merged = values.add("Reshape", name, shape=(batch * steps, *rest), allowzero=1)
    symbolic = values.keras.KerasTensor((None, *tensor.shape[2:]), dtype=tensor.dtype)
    values.set(symbolic, merged)
    return symbolic


# Layers whose call does not use keras.ops


@layer_rule("Softmax")
def _softmax(values: KerasValues, layer: Any, given: Arguments, follow: Follow) -> list[str]:
    x = values.value(given["inputs"], "float")
    if given["mask"] is None:
        return [softmax_over(values, x, layer.axis)]
    mask = values.value(given["mask"])
    if values.type(mask).dtype != "bool":
        mask = values.add("Greater", values.cast(mask, "float"), values.number(0.5))
    if values.rank(mask) != values.rank(x):
        raise InputError(
            f"its mask is {values.type(mask)} and its input {values.type(x)}, which Keras does not broadcast as masks; "
            "use keras.ops.softmax, or an Activation layer, which read no mask"
        )
    x = values.add("Where", mask, x, values.number(-1e9))
    return [values.add("Where", mask, softmax_over(values, x, layer.axis), values.number(0))]


@layer_rule("Normalization")
def _normalization(values: KerasValues, layer: Any, given: Arguments, follow: Follow) -> list[str]:
    x = values.value(given["inputs"], "float")
    if layer.mean is None:
        raise InputError("it has no mean and variance; call its method adapt before")
    mean = values.named(layer, "mean", values.array(layer.mean))
    deviation = np.maximum(np.sqrt(values.array(layer.variance)), values.epsilon)
    scale = values.named(layer, "deviation", deviation)
    if layer.invert:
        return [values.add("Add", mean, values.add("Mul", x, scale))]
    return [values.add("Div", values.add("Sub", x, mean), scale)]


@layer_rule("Rescaling")
def _rescaling(values: KerasValues, layer: Any, given: Arguments, follow: Follow) -> list[str]:
    x = values.value(given["inputs"], "float")
    scale = values.builder.constant(np.asarray(values.array(layer.scale), np.float64))
    offset = values.builder.constant(np.asarray(values.array(layer.offset), np.float64))
    return [values.add("Add", values.add("Mul", x, scale), offset)]


@layer_rule("Discretization")
def _discretization(values: KerasValues, layer: Any, given: Arguments, follow: Follow) -> list[str]:
    """The number of bounds that a number is not below. NaN is above all."""
    if layer.output_mode != "int":
        raise InputError(f"output_mode={layer.output_mode!r} is not read; use 'int' and a CategoryEncoding layer")
    # As Keras compares: in float32, where 0.7 is another number than in float64.
    bounds = np.asarray(layer.bin_boundaries, np.float32)
    x = values.value(given["inputs"], "float")
    places = values.add("Unsqueeze", x, axes=(values.rank(x),))
    below = values.add("Less", places, values.builder.constant(bounds))
    reached = values.cast(values.add("Not", below), "int64")
    return [values.add("ReduceSum", reached, axes=(values.rank(x),), keepdims=0)]


@layer_rule("CategoryEncoding")
def _category_encoding(values: KerasValues, layer: Any, given: Arguments, follow: Follow) -> list[str]:
    if layer.output_mode not in ("one_hot", "multi_hot"):
        raise InputError(f"output_mode={layer.output_mode!r} is not read; use 'one_hot' or 'multi_hot'")
    x = values.value(given["inputs"], "int64")
    dtype = graph_dtype(layer.compute_dtype)
    rank = values.rank(x)
    if layer.output_mode == "one_hot":
        size = values.shape(x)[-1] if rank else 0
        if isinstance(size, Size):
            values.guards.append(Guard(size, "!=", 1))  # Keras removes the last axis where its size is 1
        if rank > 1 and size == 1:
            x = values.add("Squeeze", x, axes=(rank - 1,))
        return [one_hot(values, x, int(layer.num_tokens), -1, dtype)]
    if rank > 2:
        raise InputError("multi_hot of more than two axes is not read")
    hot = one_hot(values, x, int(layer.num_tokens), -1, dtype)
    return [values.add("ReduceMax", hot, axes=(max(rank - 1, 0),), keepdims=0)]
