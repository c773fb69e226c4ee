"""An `LSTM` from an LSTM node of an ONNX file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.members.onnx.graph import array_of, load
from gatewise.network.weight_layouts import from_onnx_arrays, onnx_direction
from gatewise.nn.convert import from_arrays
from gatewise.nn.lstm import LSTM
from gatewise.types import Array


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
    return from_arrays(weights, bidirectional=directions == 2)


def _array(stored: Mapping[str, Any], name: str, where: str) -> Array:
    if name not in stored:
        raise InputError(f"{where}: {quote(name)} is computed in the graph, not stored; export with constants folded")
    array = array_of(stored[name], where)
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ModelFileError(f"{where}: {quote(name)} must hold finite floating-point numbers")
    return array if array.dtype == np.float64 else array.astype(np.float32)
