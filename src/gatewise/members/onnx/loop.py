"""`Loop` of gatewise in ONNX: a Scan, whose body is the graph of a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.members.onnx.graph import Graph, ints, scalar
from gatewise.members.onnx.network import GraphWriter, numpy_dtype
from gatewise.network.graph import Node
from gatewise.network.operation import ValueType
from gatewise.network.size import at_least


def loop(writer: GraphWriter, node: Node) -> list[str]:
    """A Scan. What each step reads as a whole is a value of the graph around its body.

    The steps are the first axis of what a Scan reads and returns: the reference evaluator of ONNX has no other one.

    ONNX Runtime runs no Scan of no step. Where there may be none, the Scan has one step more, which keeps the states,
    and the last row of each output goes.
    """
    operation: Any = node.operation
    outer = writer.onnx
    states = operation.states
    count = states + len(operation.axes)
    parameters = list(operation.body.inputs)
    types = list(operation.body.inputs.values())
    prefix = f"{writer.prefix}{node.name}/"
    inputs = [writer.value(name) for name in node.inputs[:count]]
    sequences = inputs[states:]
    axes = [
        axis % len(writer.type(name).shape) for axis, name in zip(operation.axes, node.inputs[states:], strict=False)
    ]
    read = {name: (prefix + name, numpy_dtype(operation.body.inputs[name].dtype)) for name in parameters[:count]}
    rows = dict(read.values())
    ranks = [len(writer.type(name).shape) for name in node.inputs[states:count]]
    has_extra_step = not at_least(operation.steps, 1)
    is_step = f"{prefix}is a step"
    if has_extra_step:
        for number, axis in enumerate(axes):
            sequences[number] = _with_row(outer, sequences[number], writer.type(node.inputs[states + number]), axis)
        steps = writer.sizes.scalar(operation.steps)
        numbers = outer.add("Range", scalar(0), outer.add("Add", steps, scalar(1)), scalar(1))
        sequences.append(outer.add("Less", numbers, steps))
        rows[is_step] = np.bool_
    elif not sequences:
        # A Scan has one sequence at least, which says how many steps there are.
        sequences = [outer.add("Range", scalar(0), writer.sizes.scalar(operation.steps), scalar(1))]
        rows[f"{prefix}step"] = np.int64
    for number, (axis, rank) in enumerate(zip(axes, ranks, strict=True)):
        sequences[number] = _moved(outer, sequences[number], rank, axis, 0)
    outer.reserved |= set(rows)
    body = outer.body()
    values = {name: value for name, (value, _) in read.items()}
    around = dict(zip(parameters[count:], node.inputs[count:], strict=True))
    returned = writer.inside(body, operation.body, values, around, prefix).write()
    if has_extra_step:
        for number, before in enumerate(parameters[:states]):
            returned[number] = select(body, types[number], is_step, returned[number], values[before])
    # The outputs of a body have names of their own, and one value may be several of them.
    outputs: dict[str, Any] = {}
    for name, value in zip(operation.body.outputs, returned, strict=True):
        outputs[body.add("Identity", value)] = (numpy_dtype(operation.body.types[name].dtype), None)
    results = outer.add_several(
        "Scan",
        len(outputs),
        *inputs[:states],
        *sequences,
        body=body.body_proto({name: (kind, None) for name, kind in rows.items()}, outputs),
        num_scan_inputs=len(sequences),
    )
    for number, axis in enumerate(operation.output_axes, states):
        if has_extra_step:
            end = writer.sizes.size(operation.steps)
            results[number] = outer.add("Slice", results[number], ints(0), end, ints(0))
        rank = len(writer.type(node.outputs[number]).shape)
        results[number] = _moved(outer, results[number], rank, 0, axis % rank)
    return results


def _moved(onnx: Graph, x: str, rank: int, axis: int, place: int) -> str:
    """A value whose axis is at another place, as by np.moveaxis."""
    if axis == place:
        return x
    perm = [number for number in range(rank) if number != axis]
    perm.insert(place, axis)
    return onnx.add("Transpose", x, perm=perm)


def _with_row(onnx: Graph, x: str, value_type: ValueType, axis: int) -> str:
    """A sequence with a row of zeros at its end. ONNX Runtime pads no bool."""
    pads = np.zeros(2 * len(value_type.shape), np.int64)
    pads[len(value_type.shape) + axis] = 1
    if value_type.dtype == "bool":
        return onnx.cast(onnx.add("Pad", onnx.cast(x, np.int32), pads), np.bool_)
    return onnx.add("Pad", x, pads)


def select(onnx: Graph, value_type: ValueType, condition: str, x: str, y: str) -> str:
    """x where a condition is true, else y: Where, for which ONNX Runtime has no kernel of bool."""
    if value_type.dtype == "bool":
        return onnx.add("Or", onnx.add("And", condition, x), onnx.add("And", onnx.add("Not", condition), y))
    return onnx.add("Where", condition, x, y)
