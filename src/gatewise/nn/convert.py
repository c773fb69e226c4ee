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
    converted = _without_values(**_arguments(module))
    converted.load_state_dict({name: getattr(module, name) for name in module._flat_weights_names})
    return converted.train(module.training)


def to_torch(module: LSTM) -> torch.nn.LSTM:
    """A torch.nn.LSTM equivalent to `module`; its second bias is zero. torch has no recurrent dropout and no
    `precision`, so these are left out. Raises InputError for binary gates.

    >>> to_torch(LSTM(3, 5))
    LSTM(3, 5)
    """
    converted = torch.nn.LSTM(**_arguments(module))
    converted.load_state_dict(torch_state_dict(module))
    return converted.train(module.training)


def torch_state_dict(module: torch.nn.Module) -> dict[str, Tensor]:
    """`module.state_dict()` with the names of torch.nn.LSTM for every `LSTM` in it, or for `module` itself.

    A copy of the model with torch.nn.LSTM in the place of `LSTM` loads it: `bias_ih_l0` holds the bias, `bias_hh_l0` is
    zero. Raises InputError for binary gates.

    >>> list(torch_state_dict(torch.nn.Sequential(LSTM(3, 5))))
    ['0.weight_ih_l0', '0.weight_hh_l0', '0.bias_ih_l0', '0.bias_hh_l0']
    """
    torch_names: dict[str, tuple[str, str]] = {}  # of the two biases, by the name of ours
    for path, submodule in module.named_modules():
        if not isinstance(submodule, LSTM):
            continue
        if submodule.gate != "sigmoid":
            raise InputError(f"gate={submodule.gate!r}: torch.nn.LSTM has sigmoid gates only")
        prefix = f"{path}." if path else ""
        for _, suffix in submodule.runs():
            torch_names[f"{prefix}bias{suffix}"] = (f"{prefix}bias_ih{suffix}", f"{prefix}bias_hh{suffix}")
    state: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        if name in torch_names:
            first, second = torch_names[name]
            state[first] = tensor
            state[second] = torch.zeros_like(tensor)
        else:
            state[name] = tensor
    return state


def _arguments(module: LSTM | torch.nn.LSTM) -> dict[str, Any]:
    """The arguments of a module of either class with the shape, dtype and device of `module`."""
    weight = cast(Tensor, module.weight_ih_l0)
    return {
        "input_size": module.input_size,
        "hidden_size": module.hidden_size,
        "num_layers": module.num_layers,
        "bias": module.bias,
        "batch_first": module.batch_first,
        "dropout": module.dropout,
        "bidirectional": module.bidirectional,
        "device": weight.device,
        "dtype": weight.dtype,
    }


def _without_values(*, device: torch.device, **arguments: Any) -> LSTM:
    """An `LSTM` whose parameters have no values yet. For many units, sampling initial values takes seconds."""
    return LSTM(**arguments, device="meta").to_empty(device=device)


def to_arrays(module: LSTM) -> list[Weights]:
    """Copies of the weights of every layer and direction, in torch's order."""
    weights = []
    for tensors in module.all_weights:
        weight_ih, weight_hh, *biases = (tensor.detach().cpu().numpy().copy() for tensor in tensors)
        bias = None
        if biases:
            [bias] = biases
        weights.append(Weights(weight_ih, weight_hh, bias))
    return weights


def from_arrays(weights: Sequence[Weights], *, batch_first: bool = False) -> LSTM:
    """An `LSTM` of one layer from the weights of its one or two directions. Raises InputError if they disagree."""
    first = weights[0]
    module = _without_values(
        input_size=first.weight_ih.shape[1],
        hidden_size=first.weight_hh.shape[1],
        bias=first.bias is not None,
        batch_first=batch_first,
        bidirectional=len(weights) == 2,
        device=torch.get_default_device(),
        dtype=torch.from_numpy(np.empty(0, first.weight_ih.dtype)).dtype,
    )
    with torch.no_grad():
        for (layer, suffix), arrays in zip(module.runs(), weights, strict=True):
            for name, array in zip(("weight_ih", "weight_hh", "bias"), arrays, strict=True):
                parameter = getattr(module, name + suffix, None)
                expected = None if parameter is None else tuple(parameter.shape)
                shape = None if array is None else array.shape
                if expected != shape:
                    raise InputError(f"{name} of layer {layer}{suffix[3:]}: expected {expected}, got {shape}")
                if parameter is not None:
                    # The arrays of a loaded model are read-only, of which torch makes no tensor without a warning.
                    parameter.copy_(torch.tensor(array))
    return module


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
    by_direction = [to_keras_arrays(weights) for weights in to_arrays(module)]
    shapes = [[array.shape for array in arrays] for arrays in by_direction]
    layer_shapes = [[array.shape for array in to_keras_arrays(weights)] for weights in from_keras_layer(layer)]
    if shapes != layer_shapes:
        raise InputError(f"layer {quote(layer.name)} has weights of the shapes {layer_shapes}, the module {shapes}")
    layer.set_weights([array for arrays in by_direction for array in arrays])


def from_onnx(path: str | Path, node: str | None = None) -> LSTM:
    """An `LSTM` of one layer with the weights of an LSTM node of an ONNX file of any tool: float32, or float64 where
    the file has it. Nothing else of the file is read, and no other file is opened.

    >>> module = from_onnx("encoder.onnx")  # doctest: +SKIP

    node: the name of the node, which may be omitted where the file has one LSTM node. Raises ModelFileError for another
    or a damaged file and for weights outside it, InputError for an unknown or missing name and for settings without a
    counterpart: peepholes, clipping, coupled gates, other activations, one backward direction alone. MissingExtra
    without onnx.
    """
    graph = load(path).graph
    where = quote(path, 200)
    lstm = _lstm_node(graph, node, where)
    where = f"{where}: LSTM node {quote(lstm.name)}"
    direction = onnx_direction(lstm, where)
    if direction == "reverse":
        raise InputError(f"{where}: direction is 'reverse'; gatewise's layer has forward and bidirectional")
    directions = 2 if direction == "bidirectional" else 1
    stored = _stored_tensors(graph)
    input_names: list[str] = [*list(lstm.input), "", "", "", ""]  # B may be left out, and a damaged node lacks more
    _, w_name, r_name, b_name, *_ = input_names
    W = _array(stored, w_name, where)
    R = _array(stored, r_name, where)
    B = None
    if b_name:
        B = _array(stored, b_name, where)
    try:
        weights = from_onnx_arrays(W, R, B)
    except InputError as error:
        raise ModelFileError(f"{where}: {error}") from error
    for attribute in lstm.attribute:
        if attribute.name == "hidden_size" and attribute.i != R.shape[2]:
            raise ModelFileError(f"{where}: hidden_size is {attribute.i}, and R is for {R.shape[2]} units")
    if len(weights) != directions:
        raise ModelFileError(f"{where}: W and R have {len(weights)} directions, the node has {directions}")
    return from_arrays(weights)


def _lstm_node(graph: Any, name: str | None, where: str) -> Any:
    """The LSTM node of this name, or the only one for None. Raises InputError."""
    nodes = [node for node in graph.node if node.op_type == "LSTM" and node.domain in ("", "ai.onnx")]
    matching = [node for node in nodes if name is None or node.name == name]
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(quote(node.name) for node in nodes[:20]) or "none"
    problem = "node: missing"
    if name is not None:
        problem = f"{len(matching)} LSTM nodes are called {quote(name)}"
    raise InputError(f"{where}: {problem}; the LSTM nodes are: {names}")


def _stored_tensors(graph: Any) -> dict[str, Any]:
    """The initializers and constants of a graph by name."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "Constant":
            continue
        for attribute in node.attribute:
            if attribute.name == "value" and node.output:
                stored[node.output[0]] = attribute.t
    return stored


def _array(stored: Mapping[str, Any], name: str, where: str) -> Array:
    if name not in stored:
        raise InputError(f"{where}: {quote(name)} is computed in the graph, not stored; export with constants folded")
    array = array_of(stored[name], where)
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ModelFileError(f"{where}: {quote(name)} must hold finite floating-point numbers")
    if array.dtype == np.float64:
        return array
    return array.astype(np.float32)
