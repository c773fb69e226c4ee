"""The operations of ATen that arrange the numbers of a tensor, or make new ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.exchange.torch_call import Call, Value
from gatewise.exchange.torch_rules import fixed_size, rule
from gatewise.network.size import Dim, Size, symbols_of

# Shapes


@rule("view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_copy", "_reshape_alias")
def _view(call: Call) -> Value:
    # torch has resolved -1.
    return call.reshape(call.value("self"), call.output_shape)


@rule("permute")
def _permute(call: Call) -> Value:
    rank = call.rank("self")
    return call.add("Transpose", call.value("self"), perm=call.axes("dims", rank))


@rule("transpose", "t")
def _transpose(call: Call) -> Value:
    rank = call.rank("self")
    perm = list(range(rank))
    first = 0
    second = rank - 1
    if "dim0" in call.arguments:
        first = call.axis("dim0", rank)
        second = call.axis("dim1", rank)
    perm[first], perm[second] = perm[second], perm[first]
    return call.add("Transpose", call.value("self"), perm=tuple(perm))


@rule("expand", "broadcast_to")
def _expand(call: Call) -> Value:
    return call.expand(call.value("self"), call.output_shape)


@rule("repeat")
def _repeat(call: Call) -> Value:
    x = call.value("self")
    repeats = call.dims("repeats")
    missing = len(repeats) - len(call.type_of(x))
    x = call.reshape(x, ((1,) * missing + call.type_of(x)))
    return call.add("Tile", x, repeats=repeats)


@rule("repeat_interleave")
def _repeat_interleave(call: Call) -> Value:
    if "self" not in call.arguments or call.arguments.get("dim") is None:
        raise InputError("repeat_interleave is read with one number of repeats and a dim")
    x = call.value("self")
    shape = call.type_of(x)
    axis = call.axis("dim", len(shape))
    count = call.dim(call["repeats"])
    spread = call.add("Unsqueeze", x, axes=(axis + 1,))
    spread = call.expand(spread, (*shape[: axis + 1], count, *shape[axis + 1 :]))
    return call.reshape(spread, (*shape[:axis], shape[axis] * count, *shape[axis + 1 :]))


@rule("squeeze")
def _squeeze(call: Call) -> Value:
    x = call.value("self")
    rank = len(call.type_of(x))
    axes: tuple[int, ...] = tuple(range(rank))
    if "dim" in call.arguments:
        axes = call.axes("dim", rank)
    axes = tuple(axis for axis in axes if call.type_of(x)[axis] == 1)
    return call.add("Squeeze", x, axes=axes) if axes else x


@rule("unsqueeze")
def _unsqueeze(call: Call) -> Value:
    rank = call.rank("self") + 1
    return call.add("Unsqueeze", call.value("self"), axes=(call.axis("dim", rank),))


@rule("unfold")
def _unfold(call: Call) -> Value:
    x = call.value("self")
    rank = len(call.type_of(x))
    axis = call.axis_of(call["dimension"], rank)
    size = call["size"]
    starts = call.add("Range", start=0, limit=call.type_of(x)[axis] - size + 1, delta=call["step"])
    within = call.constant(np.arange(size), "int64")
    places = call.add("Add", call.add("Unsqueeze", starts, axes=(1,)), within)  # (windows, size)
    windows = call.add("Gather", x, places, axis=axis)
    # torch has the numbers of a window in the last axis.
    order = [place for place in range(rank + 1) if place != axis + 1]
    return call.add("Transpose", windows, perm=(*order, axis + 1))


@rule("cat")
def _cat(call: Call) -> Value:
    values = [call.value_of(argument, call.dtype) for argument in call["tensors"]]
    rank = len(call.output.shape)
    # torch leaves out empty vectors, with which a list of results begins.
    values = [value for value in values if call.type_of(value) != (0,) or rank == 1]
    return call.add("Concat", *values, axis=call.axis("dim", rank))


@rule("stack")
def _stack(call: Call) -> Value:
    axis = call.axis("dim", len(call.output.shape))
    values = [call.value_of(argument, call.dtype) for argument in call["tensors"]]
    return call.add("Concat", *(call.add("Unsqueeze", value, axes=(axis,)) for value in values), axis=axis)


@rule("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk")
def _split(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis("dim", len(call.type_of(x)))
    pieces = []
    start: Dim = 0
    for tensor in call.output:
        size = call.shape_in_torch(tensor)[axis]
        pieces.append(call.slice(x, axis, start, start + size))
        start = start + size
    return tuple(pieces)


@rule("unbind")
def _unbind(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis("dim", len(call.type_of(x)))
    count = fixed_size(call.type_of(x)[axis])
    return tuple(call.add("Gather", x, call.constant(place, "int64"), axis=axis) for place in range(count))


@rule("flip")
def _flip(call: Call) -> Value:
    x = call.value("self")
    axes = call.axes("dims", len(call.type_of(x)))
    count = len(axes)
    ends = (-(1 << 62),) * count
    return call.add("Slice", x, starts=(-1,) * count, ends=ends, axes=axes, steps=(-1,) * count)


@rule("roll")
def _roll(call: Call) -> Value:
    x = call.value("self")
    shifts = call["shifts"]
    if not call["dims"]:
        raise InputError("roll is read with dims")
    for shift, axis in zip(shifts, call.axes("dims", len(call.type_of(x))), strict=True):
        size = call.type_of(x)[axis]
        amount = call.dim(shift)
        if not isinstance(amount, int) or (isinstance(size, Size) and abs(amount) != 1):
            raise InputError("roll is read by one row, or of an axis with a constant size")
        if isinstance(size, int):
            amount %= size
        start = size - amount if amount > 0 else -amount
        x = call.add("Concat", call.slice(x, axis, start, size), call.slice(x, axis, 0, start), axis=axis)
    return x


@rule("constant_pad_nd", "pad")
def _pad(call: Call) -> Value:
    mode = {"replicate": "edge", "circular": "wrap"}.get(call.get("mode", "constant"), call.get("mode", "constant"))
    pads = call.dims("pad")
    x = call.value("self")
    rank = len(call.type_of(x))
    count = len(pads) // 2
    axes = tuple(rank - 1 - place for place in range(count))  # torch begins with the last axis
    befores = tuple(pads[2 * place] for place in range(count))
    afters = tuple(pads[2 * place + 1] for place in range(count))
    value = call.get("value", 0)
    if not isinstance(value, int | float):
        raise InputError("the value of pad must be a number")
    return call.add("Pad", x, pads=befores + afters, axes=axes, mode=mode, constant_value=value)


@rule("tril", "triu")
def _triangle(call: Call) -> Value:
    upper = int(call.operation == "triu")
    x = call.value("self")
    dtype = call.dtype
    if dtype == "bool":
        x = call.cast(x, "int64")
    return call.cast(call.add("Trilu", x, k=call.dim(call["diagonal"]), upper=upper), dtype)


# New values


@rule("arange")
def _arange(call: Call) -> Value:
    start = call.get("start", 0)
    end = call["end"]
    step = call.get("step", 1)
    bounds = [start, end, step]
    if any(isinstance(bound, float) for bound in bounds):
        if not all(isinstance(bound, int | float) for bound in bounds):
            raise InputError("arange of numbers that are not whole is read with constant bounds")
        return call.constant(np.arange(start, end, step), call.dtype)
    numbers = call.add("Range", start=call.dim(start), limit=call.dim(end), delta=step)
    return call.cast(numbers, call.dtype)


@rule("full", "zeros", "ones", "empty", "new_full", "new_zeros", "new_ones", "new_empty", "full_like", "zeros_like",
       "ones_like", "empty_like", "empty_strided", "scalar_tensor", "empty_permuted")  # fmt: skip
def _full(call: Call) -> Value:
    name = call.operation
    number: Any = call.get("fill_value", call.get("s", 1 if "ones" in name else 0))
    shape = call.output_shape
    if not isinstance(number, bool | int | float):
        return call.expand(call.value_of(number, call.dtype), shape)
    if isinstance(number, float) and call.dtype != "float":
        number = int(number)
    if any(symbols_of(size) for size in shape):
        return call.add("ConstantOfShape", input=shape, value=number, dtype=call.dtype)
    return call.constant(np.full(shape, number), call.dtype)


@rule("eye")
def _eye(call: Call) -> Value:
    rows, columns = (fixed_size(size) for size in call.output_shape)
    return call.constant(np.eye(rows, columns), call.dtype)


@rule("one_hot")
def _one_hot(call: Call) -> Value:
    classes = call["num_classes"]
    if classes < 0:
        raise InputError("one_hot without num_classes depends on the values: pass num_classes")
    return call.add("OneHot", call.value("self"), depth=call.dim(classes), dtype=call.dtype)
