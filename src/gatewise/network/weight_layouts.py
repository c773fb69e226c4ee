"""LSTM weight layouts of other libraries, and conversion from and to them. NumPy only.

    gatewise weight_ih (4H, D)   weight_hh (4H, H)          i f g o   one bias (4H,)
    torch    weight_ih (4H, D)   weight_hh (4H, H)          i f g o   two biases (4H,) that add up
    Keras    kernel (D, 4H)      recurrent_kernel (H, 4H)   i f c o   one bias (4H,)
    ONNX     W (R, 4H, D)        R (R, 4H, H)               i o f c   B (R, 8H): two that add up; R directions

c of Keras and ONNX is the candidate g. A GRU has the gates r z n, in Keras and ONNX in the order z r n.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.network.architecture import Architecture
from gatewise.types import Array

ONNX_GATES: dict[str, tuple[int, ...]] = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
KERAS_GATES: dict[str, tuple[int, ...]] = {"LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2), "RNN": (0,)}
"""By cell: the gates in the order of another library, as their places in the order of gatewise."""

_ONNX_ACTIVATIONS = ["sigmoid", "tanh", "tanh"]  # of the gates, of the candidate, of the memory cell


class Weights(NamedTuple):
    """One layer and direction: weight_ih (4H, D), weight_hh (4H, H), bias (4H,) or None. Gates i, f, g, o."""

    weight_ih: Array
    weight_hh: Array
    bias: Array | None


def weights_of(parameters: Mapping[str, Array], arch: Architecture, layer: int | None = None) -> list[Weights]:
    """The weights of each layer and direction, bottom layer first; or of one layer."""
    parts = ("weight_ih", "weight_hh", "bias")
    names = [name for number, _, name in arch.lstms() if layer in (None, number)]
    return [Weights(*(parameters[f"{name}.{part}"] for part in parts)) for name in names]


def in_order(array: Array, order: Sequence[int], axis: int = 0) -> Array:
    """The blocks of the K gates of an axis (K H) in another order."""
    blocks = np.split(array, len(order), axis)
    return np.concatenate([blocks[place] for place in order], axis)


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """The order that takes blocks back to where they were.

    >>> inverse(ONNX_GATES["LSTM"])
    (0, 2, 3, 1)
    """
    return tuple(order.index(place) for place in range(len(order)))


def from_keras_layer(layer: Any) -> list[Weights]:
    """The weights of each direction of a built Keras layer, LSTM or Bidirectional(LSTM) with merge_mode "concat":
    float64, or else float32. Raises InputError for another layer, and for settings that gatewise does not compute.
    """
    kind = type(layer).__name__
    where = f"layer {quote(getattr(layer, 'name', ''))}"
    if kind not in ("LSTM", "Bidirectional"):
        raise InputError(
            f"expected a Keras layer, LSTM or Bidirectional(LSTM), got {quote(kind)}; "
            "keras.models.load_model(path).get_layer(name) takes one from a file"
        )
    if not layer.get_weights():
        raise InputError(f"{where} is not built: it has no weights yet")
    if kind == "LSTM":
        return [_of_keras_direction(layer, False, where)]
    if layer.merge_mode is None:
        raise InputError(f"{where}: merge_mode None returns two outputs; gatewise merges the directions")
    if layer.merge_mode != "concat":
        raise InputError(f"{where}: gatewise's layer computes merge_mode 'concat' only")
    return [
        _of_keras_direction(layer.forward_layer, False, where),
        _of_keras_direction(layer.backward_layer, True, where),
    ]


def _of_keras_direction(layer: Any, backward: bool, where: str) -> Weights:
    """The weights of a Keras LSTM. where: the layer that it belongs to, for errors."""
    if type(layer).__name__ != "LSTM":
        raise InputError(f"{where}: it is made of {quote(type(layer).__name__)} layers, not of LSTM layers")
    settings = layer.get_config()
    computed = {"activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": backward}
    for setting, value in computed.items():
        if settings.get(setting) != value:
            raise InputError(f"{where}: gatewise computes {setting}={value!r} only")
    arrays = []
    for weight in layer.get_weights():
        array = np.asarray(weight)
        arrays.append(array.astype(np.result_type(array.dtype, np.float32)))
    kernel, recurrent_kernel, *biases = arrays
    bias = biases[0] if biases else None
    return Weights(kernel.T.copy(), recurrent_kernel.T.copy(), bias)


def to_keras_arrays(weights: Weights) -> list[Array]:
    """For `keras.layers.LSTM.set_weights()`: kernel, recurrent_kernel and, where there is one, bias."""
    arrays = [weights.weight_ih.T.copy(), weights.weight_hh.T.copy()]
    return arrays if weights.bias is None else [*arrays, weights.bias.copy()]


def from_onnx_arrays(W: Array, R: Array, B: Array | None = None) -> list[Weights]:
    """From the inputs of an ONNX LSTM node, one entry per direction; its two biases are added."""
    if W.ndim != 3 or R.ndim != 3:
        raise InputError(f"W and R: expected (directions, 4H, D) and (directions, 4H, H), got {W.shape} and {R.shape}")
    directions, units = R.shape[0], R.shape[2]
    _expect("R", R, (directions, 4 * units, units))
    _expect("W", W, (directions, 4 * units, W.shape[2]))
    if B is not None:
        _expect("B", B, (directions, 8 * units))
    found = []
    for n in range(directions):
        order = inverse(ONNX_GATES["LSTM"])
        bias = None if B is None else in_order(B[n, : 4 * units] + B[n, 4 * units :], order)
        found.append(Weights(in_order(W[n], order), in_order(R[n], order), bias))
    return found


def onnx_direction(node: Any, where: str) -> str:
    """The direction of an ONNX LSTM node. Raises InputError for settings without a counterpart."""
    settings = {entry.name: entry for entry in node.attribute}
    for name, field in (("direction", "s"), ("activations", "strings")):
        if name in settings and not getattr(settings[name], field):
            raise InputError(f"{where}: the attribute {name} holds no text")
    direction = str(settings["direction"].s.decode(errors="replace")) if "direction" in settings else "forward"
    if direction not in ("forward", "reverse", "bidirectional"):
        raise InputError(f"{where}: direction is {quote(direction)}; gatewise has forward, reverse and bidirectional")
    activations = settings["activations"].strings if "activations" in settings else []
    names = [name.decode(errors="replace").lower() for name in activations]
    if names and names != _ONNX_ACTIVATIONS * (1 + (direction == "bidirectional")):
        raise InputError(
            f"{where}: activations are {', '.join(names)}; gatewise computes {', '.join(_ONNX_ACTIVATIONS)}"
        )
    if "clip" in settings or ("input_forget" in settings and settings["input_forget"].i):
        raise InputError(f"{where}: gatewise has neither clip nor input_forget")
    if len(node.input) > 7 and node.input[7]:
        raise InputError(f"{where}: gatewise has no peephole weights")
    return direction


def _expect(name: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape or 0 in shape:
        raise InputError(f"{name}: expected {shape}, got {array.shape}")
