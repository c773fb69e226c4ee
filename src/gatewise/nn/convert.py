"""Conversion between `LSTM` and torch.nn.LSTM, a Keras layer in memory, an ONNX node, and weights as arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.members.onnx.graph import array_of, load
from gatewise.network.weight_layouts import Weights, from_keras_layer, from_onnx_arrays, onnx_direction, to_keras_arrays
from gatewise.nn.lstm import LSTM
from gatewise.types import Array


def from_torch(module: torch.nn.LSTM) -> LSTM:
    """An `LSTM` equivalent to `module`, with its dtype, device, mode and a copy of its weights.

    >>> from_torch(torch.nn.LSTM(3, 5, bidirectional=True)).hidden_size
    5

    The bias is the sum of torch's two biases. Raises InputError for a module with projections.
    """
    if module.proj_size:
        raise InputError(f"proj_size={module.proj_size}: gatewise's LSTM has no projections")
    made = _without_values(**_arguments(module))
    made.load_state_dict({name: getattr(module, name) for name in module._flat_weights_names})
    return made.train(module.training)


def to_torch(module: LSTM) -> torch.nn.LSTM:
    """A torch.nn.LSTM equivalent to `module`; its second bias is zero. torch has no recurrent dropout and no
    `precision`, so these are left out. Raises InputError for binary gates.

    >>> to_torch(LSTM(3, 5))
    LSTM(3, 5)
    """
    made = torch.nn.LSTM(**_arguments(module))
    made.load_state_dict(torch_state_dict(module))
    return made.train(module.training)


def torch_state_dict(module: torch.nn.Module) -> dict[str, Tensor]:
    """`module.state_dict()` with the names of torch.nn.LSTM for every `LSTM` in it, or for `module` itself.

    A copy of the model with torch.nn.LSTM in the place of `LSTM` loads it: `bias_ih_l0` holds the bias, `bias_hh_l0` is
    zero. Raises InputError for binary gates.

    >>> list(torch_state_dict(torch.nn.Sequential(LSTM(3, 5))))
    ['0.weight_ih_l0', '0.weight_hh_l0', '0.bias_ih_l0', '0.bias_hh_l0']
    """
    renamed: dict[str, str] = {}
    for prefix, part in module.named_modules():
        if isinstance(part, LSTM):
            if part.gate != "sigmoid":
                raise InputError(f"gate={part.gate!r}: torch.nn.LSTM has sigmoid gates only")
            start = f"{prefix}." if prefix else ""
            renamed |= {f"{start}bias{suffix}": start + "bias_{}" + suffix for _, suffix in part.runs()}
    state: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        if name in renamed:
            state[renamed[name].format("ih")], state[renamed[name].format("hh")] = tensor, torch.zeros_like(tensor)
        else:
            state[name] = tensor
    return state


def _arguments(module: LSTM | torch.nn.LSTM) -> dict[str, Any]:
    """The arguments of a module of either class with the shape, dtype and device of `module`."""
    names = "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"
    weight = cast(Tensor, module.weight_ih_l0)
    return {name: getattr(module, name) for name in names} | {"device": weight.device, "dtype": weight.dtype}


def _without_values(*, device: torch.device, **arguments: Any) -> LSTM:
    """An `LSTM` whose parameters have no values yet: drawing initial ones takes seconds for many units."""
    return LSTM(**arguments, device="meta").to_empty(device=device)


def to_arrays(module: LSTM) -> list[Weights]:
    """Copies of the weights of every layer and direction, in torch's order."""
    arrays = [[tensor.detach().cpu().numpy().copy() for tensor in tensors] for tensors in module.all_weights]
    return [Weights(one[0], one[1], one[2] if module.bias else None) for one in arrays]


def from_arrays(weights: Sequence[Weights], *, batch_first: bool = False) -> LSTM:
    """An `LSTM` of one layer from the weights of its one or two directions. Raises InputError if they disagree."""
    first = weights[0]
    made = _without_values(
        input_size=first.weight_ih.shape[1],
        hidden_size=first.weight_hh.shape[1],
        bias=first.bias is not None,
        batch_first=batch_first,
        bidirectional=len(weights) == 2,
        device=torch.get_default_device(),
        dtype=torch.from_numpy(first.weight_ih).dtype,
    )
    with torch.no_grad():
        for (layer, suffix), one in zip(made.runs(), weights, strict=True):
            for name, array in zip(("weight_ih", "weight_hh", "bias"), one, strict=True):
                parameter = getattr(made, name + suffix, None)
                shape = None if parameter is None else tuple(parameter.shape)
                got = None if array is None else array.shape
                if shape != got:
                    raise InputError(f"{name} of layer {layer}{suffix[3:]}: expected {shape}, got {got}")
                if parameter is not None:
                    parameter.copy_(torch.from_numpy(array))
    return made


def from_keras(layer: Any) -> LSTM:
    """An `LSTM` (batch_first) equivalent to a built Keras layer, LSTM or Bidirectional(LSTM).

    >>> module = from_keras(network.get_layer("lstm"))  # doctest: +SKIP

    h_n equals Keras's result for return_sequences=False, with the directions concatenated. Dropout settings are not
    converted. Of a `.keras` file, `keras.models.load_model(path).get_layer(name)` is the layer; it can run code of the
    file (SECURITY.md).

    Raises InputError for settings without a counterpart: another activation, go_backwards, another merge_mode than
    "concat".
    """
    return from_arrays(from_keras_layer(layer), batch_first=True)


def to_keras(module: LSTM, layer: Any) -> None:
    """Write the weights of a one-layer `LSTM` into a built Keras layer. Raises InputError where the two do not fit.

    >>> to_keras(module, network.get_layer("lstm"))  # doctest: +SKIP
    """
    if module.num_layers != 1:
        raise InputError(f"a Keras layer holds one LSTM layer, this module has {module.num_layers}")
    if module.gate != "sigmoid":
        raise InputError(f"gate={module.gate!r}: Keras has no counterpart")
    arrays = [to_keras_arrays(one) for one in to_arrays(module)]
    shapes = [[array.shape for array in one] for one in arrays]
    found = [[array.shape for array in to_keras_arrays(one)] for one in from_keras_layer(layer)]
    if shapes != found:
        raise InputError(f"layer {quote(layer.name)} has weights of the shapes {found}, the module {shapes}")
    layer.set_weights([array for one in arrays for array in one])


def from_onnx(path: str | Path, node: str | None = None) -> LSTM:
    """An `LSTM` of one layer with the weights of an LSTM node of an ONNX file of any tool: float32, or float64 where
    the file has it. Nothing else of the file is read, and no other file is opened.

    >>> module = from_onnx("encoder.onnx")  # doctest: +SKIP

    node: the name of the node, which may be omitted where the file has one LSTM node. Raises ModelFileError for another
    or a damaged file and for weights outside it, InputError for an unknown or missing name and for settings without a
    counterpart: peepholes, clipping, coupled gates, other activations, one backward direction alone. MissingExtra
    without onnx.
    """
    graph, where = load(path).graph, quote(path, 200)
    found = [one for one in graph.node if one.op_type == "LSTM" and one.domain in ("", "ai.onnx")]
    matching = [one for one in found if node is None or one.name == node]
    if len(matching) != 1:
        names = ", ".join(quote(one.name) for one in found[:20]) or "none"
        wrong = "node: missing" if node is None else f"{len(matching)} LSTM nodes are called {quote(node)}"
        raise InputError(f"{where}: {wrong}; the LSTM nodes are: {names}")
    [lstm] = matching
    where = f"{where}: LSTM node {quote(lstm.name)}"
    direction = onnx_direction(lstm, where)
    if direction == "reverse":
        raise InputError(f"{where}: direction is 'reverse'; gatewise's layer has forward and bidirectional")
    directions = 1 + (direction == "bidirectional")
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for constant in (one for one in graph.node if one.op_type == "Constant"):
        for entry in constant.attribute:
            if entry.name == "value" and constant.output:
                stored[constant.output[0]] = entry.t
    inputs = [*lstm.input, "", ""]
    W, R = (_array(stored, name, where) for name in inputs[1:3])
    B = _array(stored, inputs[3], where) if inputs[3] else None
    try:
        weights = from_onnx_arrays(W, R, B)
    except InputError as error:
        raise ModelFileError(f"{where}: {error}") from error
    units = [one.i for one in lstm.attribute if one.name == "hidden_size"] or [R.shape[2]]
    if units != [R.shape[2]]:
        raise ModelFileError(f"{where}: hidden_size is {units[0]}, and R is for {R.shape[2]} units")
    if len(weights) != directions:
        raise ModelFileError(f"{where}: W and R have {len(weights)} directions, the node has {directions}")
    return from_arrays(weights)


def _array(stored: Mapping[str, Any], name: str, where: str) -> Array:
    if name not in stored:
        raise InputError(f"{where}: {quote(name)} is computed in the graph, not stored; export with constants folded")
    array = array_of(stored[name], where)
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ModelFileError(f"{where}: {quote(name)} must hold finite floating-point numbers")
    return array if array.dtype == np.float64 else array.astype(np.float32)
