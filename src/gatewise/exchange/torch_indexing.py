"""The operations of ATen that read or replace some of the numbers of a tensor."""

from __future__ import annotations

from typing import Any

import torch

from gatewise.errors import InputError
from gatewise.exchange.torch_call import Call, Value
from gatewise.exchange.torch_rules import OPEN, rule
from gatewise.network.size import Dim, at_least, product


@rule("embedding")
def _embedding(call: Call) -> Value:
    ids = call.value("indices")
    # A graph counts a negative id from the end, which torch refuses. An id is checked where it is read.
    return call.add("Gather", call.value("weight"), ids, axis=0)


@rule("select")
def _select(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis("dim", len(call.type_of(x)))
    index = call.dim(call["index"])
    if isinstance(index, int):
        return call.add("Gather", x, call.constant(index, "int64"), axis=axis)
    place = call.add("Sizes", sizes=(index,), scalar=True)
    return call.add("Gather", x, place, axis=axis)


@rule("slice", "gatewise::sliced")
def _slice(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis("dim", len(call.type_of(x)))
    size = call.type_of(x)[axis]
    start = call.dim(call.get("start", 0))
    end = _end(call, size)
    step = call.get("step", 1)
    if step == 1 and start == 0 and end == size:
        return x
    rows = call.output_shape[axis]
    sliced = call.slice(x, axis, start, end, step)
    if call.type_of(sliced)[axis] == rows:
        return sliced
    # torch knows from a condition how many rows these are, such as T of a table with at least T rows.
    first = start if at_least(start, 0) else start + size
    places = call.add("Range", start=first, limit=first + rows * step, delta=step)
    return call.add("Gather", x, places, axis=axis)


def _end(call: Call, size: Dim) -> Dim:
    """The end of a slice of an axis of this size. torch writes a very large number for an open end."""
    end = call.dim(call.get("end", OPEN))
    if isinstance(end, int) and end >= OPEN:
        return size
    return end


@rule("narrow")
def _narrow(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis("dim", len(call.type_of(x)))
    start = call.dim(call["start"])
    return call.slice(x, axis, start, start + call.dim(call["length"]))


@rule("index_select")
def _index_select(call: Call) -> Value:
    x = call.value("self")
    return call.add("Gather", x, call.value("index"), axis=call.axis("dim", len(call.type_of(x))))


@rule("gather")
def _gather(call: Call) -> Value:
    x = call.value("self")
    return call.add("GatherElements", x, call.value("index"), axis=call.axis("dim", len(call.type_of(x))))


@rule("scatter", "scatter_add")
def _scatter(call: Call) -> Value:
    if call.get("reduce") is not None:
        raise InputError("scatter with reduce is not read")
    x = call.value("self")
    index = call.value("index", "int64")
    name = "src" if "src" in call.arguments else "value"
    updates = call.value(name, call.dtype)
    shape = call.type_of(index)
    if name == "value":
        updates = call.expand(updates, shape)
    elif call.type_of(updates) != shape:
        updates = call.add("Slice", updates, starts=(0,) * len(shape), ends=shape)
    adds = call.operation == "scatter_add"
    axis = call.axis("dim", len(call.type_of(x)))
    return call.add("ScatterElements", x, index, updates, axis=axis, reduction="add" if adds else "none")


@rule("index")
def _index(call: Call) -> Value:
    x = call.value("self")
    indices = {axis: index for axis, index in enumerate(call["indices"]) if index is not None}
    for index in indices.values():
        if index.meta["val"].dtype == torch.bool:
            raise InputError("the number of rows that a mask chooses depends on the values: use torch.where")
    values = [call.value_of(index, "int64") for index in indices.values()]
    if len(values) == 1:
        [axis] = indices
        return call.add("Gather", x, values[0], axis=axis)
    # The axes with an index go to the front, where one node reads them all.
    rank = len(call.type_of(x))
    axes = list(indices)
    others = [axis for axis in range(rank) if axis not in axes]
    if axes != list(range(len(axes))):
        x = call.add("Transpose", x, perm=(*axes, *others))
    tensors = [index.meta["val"] for index in indices.values()]
    broadcast: Any = torch.broadcast_tensors
    shape = call.shape_in_torch(broadcast(*tensors)[0])
    columns = [call.add("Unsqueeze", call.expand(value, shape), axes=(len(shape),)) for value in values]
    y = call.add("GatherND", x, call.add("Concat", *columns, axis=len(shape)))
    adjacent = axes == list(range(axes[0], axes[-1] + 1))
    if not adjacent or axes[0] == 0:
        return y
    # NumPy puts the axes of the indices where the first of them was.
    before = axes[0]
    first = range(len(shape))
    rest = range(len(shape), len(shape) + len(others))
    return call.add("Transpose", y, perm=(*rest[:before], *first, *rest[before:]))


@rule("index_put")
def _index_put(call: Call) -> Value:
    indices = [index for index in call["indices"] if index is not None]
    masks = [index for index in indices if index.meta["val"].dtype == torch.bool]
    values = call.value("values", call.dtype)
    if len(indices) != 1 or len(masks) != 1 or call.get("accumulate", False) or call["indices"][0] is None:
        raise InputError("assignment to indices is not read: use torch.where or masked_fill")
    if product(call.type_of(values)) != 1:
        raise InputError("assignment of several values to a mask is not read: use torch.where")
    x = call.value("self")
    mask = call.value_of(masks[0])
    missing = len(call.type_of(x)) - len(call.type_of(mask))
    mask = call.reshape(mask, (*call.type_of(mask), *(1,) * missing))
    return call.add("Where", mask, call.reshape(values, ()), x)


@rule("slice_scatter", "select_scatter")
def _slice_scatter(call: Call) -> Value:
    x = call.value("self")
    updates = call.value("src", call.dtype)
    axis = call.axis("dim", len(call.type_of(x)))
    size = call.type_of(x)[axis]
    if "index" in call.arguments:
        start = call.dim(call["index"])
        end = start + 1
        updates = call.add("Unsqueeze", updates, axes=(axis,))
    else:
        start = call.dim(call.get("start", 0))
        end = _end(call, size)
        if call.get("step", 1) != 1:
            raise InputError("assignment to every other row is not read: use torch.where")
    bounds = []
    for bound in (start, end):
        if not at_least(bound, 0):
            bound = bound + size
        bounds.append(size if at_least(bound, size) else bound)
    updates = call.expand(updates, (*call.type_of(x)[:axis], bounds[1] - bounds[0], *call.type_of(x)[axis + 1 :]))
    pieces = [updates]
    if bounds[0] != 0:
        pieces.insert(0, call.slice(x, axis, 0, bounds[0]))
    if bounds[1] != size:
        pieces.append(call.slice(x, axis, bounds[1], size))
    return call.add("Concat", *pieces, axis=axis)


@rule("fill")
def _fill(call: Call) -> Value:
    return call.expand(call.value("value", call.dtype), call.shape_of("self"))
