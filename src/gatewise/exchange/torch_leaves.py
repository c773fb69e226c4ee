"""The operations that stand for recurrent layers and packed sequences in what torch.export writes down.

`gatewise.exchange.torch_recurrent` and `gatewise.exchange.torch_packing` put them there.
"""

from __future__ import annotations

from typing import Any

from gatewise.exchange.torch_call import Call, Value
from gatewise.exchange.torch_rules import rule
from gatewise.network.operation import Operation
from gatewise.network.operations import operation_of
from gatewise.network.operations.recurrent import Recurrent


@rule("gatewise::recurrent")
def _recurrent(call: Call) -> Value:
    # The gates have the order of a graph: i f g o, and r z n.
    weights = call.list_of("weights")
    weight_ih, weight_hh, *rest = weights
    bias = recurrent_bias = projection = ""
    if call["has_bias"]:
        bias, recurrent_bias, *rest = rest
    if rest:
        [projection] = rest
    states = [*call.list_of("states"), "", ""]
    inputs = [
        call.value("x"),
        weight_ih,
        weight_hh,
        bias,
        recurrent_bias,
        call.optional("mask"),
        states[0],
        states[1],
        "",
        projection,
    ]
    while inputs[-1] == "":
        inputs.pop()
    name = call["cell"]
    cell: Any = name.partition("_")[0]
    activations: tuple[Operation, ...] = ()
    if name == "RNN_RELU":
        activations = (operation_of("Relu", {}),)
    operation = Recurrent(cell, reverse=call["reverse"], masked="zero", activations=activations)
    values = call.builder.node(operation, inputs)
    return values[0], values[1], values[2] if cell == "LSTM" else ""


@rule("gatewise::packed", "gatewise::batch_sizes", "gatewise::packed_order")
def _packed(call: Call) -> Value:
    name = "x" if "x" in call.arguments else "lengths"
    return call.value(name)


def _steps_read(call: Call) -> str:
    """(B, T): true for the steps before the length of each sequence."""
    steps = call.shape_of("data")[1]
    place = call.add("Range", start=0, limit=steps, delta=1)
    return call.add("Less", place, call.add("Unsqueeze", call.value("lengths", "int64"), axes=(1,)))


@rule("gatewise::mask_of")
def _mask_of(call: Call) -> Value:
    return _steps_read(call)


@rule("gatewise::padded")
def _padded(call: Call) -> Value:
    data = call.value("data")
    if call["longest"]:
        data = call.add("RequireLongest", data, call.value("lengths", "int64"))
    mask = _steps_read(call)
    rank = len(call.type_of(data))
    if rank > 2:
        mask = call.add("Unsqueeze", mask, axes=tuple(range(2, rank)))
    padding = call.constant(call["padding_value"], call.builder.types[data].dtype)
    return call.add("Where", mask, data, padding)
