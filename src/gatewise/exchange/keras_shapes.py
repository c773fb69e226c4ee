"""The operations of `keras.ops` on shapes and rows, and values made of sizes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.exchange.keras_rules import Arguments, rule
from gatewise.exchange.keras_values import KerasValues, TracedSize, graph_dtype
from gatewise.network.operation import DType
from gatewise.network.size import Dim, at_least, divided, product, remainder

# Shapes


@rule("Reshape")
def _reshape(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    shape = _without_unknown(values.shape(x), new_shape(values, operation.newshape))
    return values.add("Reshape", x, shape=shape, allowzero=1)


def _without_unknown(before: Sequence[Dim], shape: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The shape with what is left in place of -1: sizes such as T - 2, which both shapes have, are not divided."""
    if -1 not in shape:
        return shape
    left = list(before)
    known: list[Dim] = []
    for size in shape:
        if size in left and size != -1:
            left.remove(size)
        elif size != -1:
            known.append(size)
    rest = product(tuple(known))
    if rest == 0 or remainder(product(tuple(left)), rest) != 0:
        return shape  # the operation says what does not fit
    return tuple(divided(product(tuple(left)), rest) if size == -1 else size for size in shape)


def new_shape(values: KerasValues, sizes: Any) -> tuple[Dim, ...]:
    """A shape of Keras as one of a graph. The one size that is not known is what is left."""
    if values.is_symbolic(sizes) or any(values.is_symbolic(size) for size in sizes):
        raise InputError("its shape depends on the values of the inputs")
    shape: list[Dim] = []
    for size in sizes:
        if size is None:
            shape.append(-1)
        else:
            shape.append(values.size(size))
    if shape.count(-1) > 1:
        raise InputError("two of its sizes are not known; take them from keras.ops.shape(x)")
    return tuple(shape)


@rule("Ravel")
def _ravel(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("Reshape", values.value(given["x"]), shape=(-1,))


@rule("Transpose")
def _transpose(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    if operation.axes is None:
        return values.add("Transpose", x)
    return values.add("Transpose", x, perm=tuple(values.axis(axis, x) for axis in operation.axes))


@rule("Swapaxes")
def _swapaxes(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    order = list(range(values.rank(x)))
    first = values.axis(operation.axis1, x)
    second = values.axis(operation.axis2, x)
    order[first] = second
    order[second] = first
    return values.add("Transpose", x, perm=tuple(order))


@rule("Moveaxis")
def _moveaxis(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    places = np.moveaxis(np.empty(tuple(range(1, values.rank(x) + 1))), operation.source, operation.destination).shape
    return values.add("Transpose", x, perm=tuple(place - 1 for place in places))


@rule("ExpandDims")
def _expand_dims(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    axes = operation.axis if isinstance(operation.axis, Sequence) else (operation.axis,)
    rank = values.rank(x) + len(axes)
    return values.add("Unsqueeze", x, axes=tuple(int(axis) % rank for axis in axes))


@rule("Squeeze")
def _squeeze(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    if operation.axis is None:
        axes = [axis for axis, size in enumerate(values.shape(x)) if size == 1]
        if any(not isinstance(size, int) for size in values.shape(x)):
            raise InputError("it removes the axis of a batch of one sequence or of a single step; give it the axis")
    else:
        axes = list(values.axes(operation.axis, x))
    return values.add("Squeeze", x, axes=tuple(axes)) if axes else x


@rule("Concatenate")
def _concatenate(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    parts = [values.value(part, dtype) for part in given["xs"]]
    if operation.axis is None:
        return values.add("Concat", *[values.add("Reshape", part, shape=(-1,)) for part in parts], axis=0)
    return values.add("Concat", *parts, axis=values.axis(operation.axis, parts[0]))


@rule("Hstack", "Vstack")
def _stack_of_axes(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    parts = [values.value(part, dtype) for part in given["xs"]]
    if any(values.rank(part) < 2 for part in parts):
        raise InputError("its values must have at least two axes")
    return values.add("Concat", *parts, axis=1 if type(operation).__name__ == "Hstack" else 0)


@rule("Stack")
def _stack(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    parts = [values.value(part, dtype) for part in given["x"]]
    axis = int(operation.axis) % (values.rank(parts[0]) + 1)
    return values.add("Concat", *[values.add("Unsqueeze", part, axes=(axis,)) for part in parts], axis=axis)


@rule("Unstack")
def _unstack(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> list[str]:
    x = values.value(next(iter(given.values())))
    axis = values.axis(operation.axis, x)
    size = values.shape(x)[axis]
    if not isinstance(size, int):
        raise InputError(f"it returns {size} values, and their number must be known; give the keras.Input a fixed size")
    return [row_of(values, x, axis, number) for number in range(size)]


def row_of(values: KerasValues, x: str, axis: int, number: Dim) -> str:
    """One row of an axis, which is gone in the result."""
    end: Dim = number + 1
    if number == -1:
        # Before the end, wherever that is.
        end = values.shape(x)[axis]
        number = end - 1
    row = values.add("Slice", x, starts=(number,), ends=(end,), axes=(axis,))
    return values.add("Squeeze", row, axes=(axis,))


@rule("Split")
def _split(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> list[str]:
    x = values.value(given["x"])
    axis = values.axis(operation.axis, x)
    size = values.shape(x)[axis]
    sections = operation.indices_or_sections
    if isinstance(sections, int):
        chunk = size // sections
        if chunk * sections != size:
            raise InputError(f"an axis of size {size} has no {sections} equal parts for inputs of each size")
        sizes: list[Dim] = [chunk] * sections
    else:
        bounds = [0, *[int(bound) for bound in sections]]
        sizes = [after - before for before, after in itertools.pairwise(bounds)]
        sizes.append(size - bounds[-1])
    return values.nodes("Split", x, split=tuple(sizes), axis=axis)


@rule("Flip")
def _flip(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    return flipped(values, x, values.axes(operation.axis, x))


def flipped(values: KerasValues, x: str, axes: Sequence[int]) -> str:
    """The value with the rows of these axes from the last one to the first."""
    starts = (-1,) * len(axes)
    ends = tuple(_before_first(values.shape(x)[axis]) for axis in axes)
    return values.add("Slice", x, starts=starts, ends=ends, axes=tuple(axes), steps=(-1,) * len(axes))


@rule("Repeat")
def _repeat(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    repeats = operation.repeats
    if not isinstance(repeats, int | np.integer | TracedSize):
        raise InputError("it repeats each row another number of times")
    if operation.axis is None:
        x = values.add("Reshape", x, shape=(-1,))
        axis = 0
    else:
        axis = values.axis(operation.axis, x)
    return repeated(values, x, axis, values.size(repeats))


def repeated(values: KerasValues, x: str, axis: int, times: Dim) -> str:
    """Each row of an axis several times, one after the other."""
    shape = values.shape(x)
    pairs = values.add("Unsqueeze", x, axes=(axis + 1,))
    wide = (*shape[: axis + 1], times, *shape[axis + 1 :])
    expanded = values.add("Expand", pairs, shape=wide)
    return values.add("Reshape", expanded, shape=(*shape[:axis], shape[axis] * times, *shape[axis + 1 :]), allowzero=1)


@rule("Tile")
def _tile(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    repeats = operation.repeats if isinstance(operation.repeats, Sequence) else (operation.repeats,)
    times = [values.size(number) for number in repeats]
    missing = values.rank(x) - len(times)
    if missing < 0:
        x = values.add("Unsqueeze", x, axes=tuple(range(-missing)))
    return values.add("Tile", x, repeats=(*[1] * missing, *times))


@rule("Roll")
def _roll(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    if not isinstance(operation.shift, int) or not isinstance(operation.axis, int):
        raise InputError("it moves several axes; give it one shift and one axis")
    axis = values.axis(operation.axis, x)
    size = values.shape(x)[axis]
    if not isinstance(size, int):
        raise InputError(f"it moves an axis of size {size}, which must be known; give the keras.Input a fixed size")
    rows = values.builder.constant(np.roll(np.arange(size), operation.shift))
    return values.add("Gather", x, rows, axis=axis)


@rule("Pad")
def _pad(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    modes = {"constant": "constant", "reflect": "reflect", "edge": "edge"}
    if operation.mode not in modes:
        raise InputError(f"it has no mode {quote(operation.mode)} here")
    widths = [tuple(map(int, pair)) for pair in np.broadcast_to(operation.pad_width, (values.rank(x), 2)).tolist()]
    pads = (*[before for before, _ in widths], *[after for _, after in widths])
    constant = given["constant_values"]
    number = 0.0 if constant is None else float(values.array(constant))
    return values.add("Pad", x, pads=pads, constant_value=number, mode=modes[operation.mode])


@rule("BroadcastTo")
def _broadcast_to(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("Expand", values.value(given["x"]), shape=new_shape(values, operation.shape))


@rule("ZerosLike", "OnesLike")
def _like(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    shape = values.shape(values.value(given["x"]))
    number = {"ZerosLike": 0, "OnesLike": 1}[type(operation).__name__]
    return values.add("ConstantOfShape", input=shape, value=number, dtype=dtype)


@rule("FullLike")
def _full_like(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    shape = values.shape(values.value(given["x"]))
    return values.add("Expand", values.value(given["fill_value"], dtype), shape=shape)


@rule("Triu", "Tril")
def _triangle(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    upper = int(type(operation).__name__ == "Triu")
    return values.add("Trilu", values.value(given["x"]), k=values.size(operation.k), upper=upper)


# Rows by number


@rule("GetItem")
def _get_item(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    key = given["key"]
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(part is Ellipsis for part in parts):
        place = next(number for number, part in enumerate(parts) if part is Ellipsis)
        named = sum(part is not None and part is not Ellipsis for part in parts)
        parts[place : place + 1] = [slice(None)] * (values.rank(x) - named)
    axis = 0
    for part in parts:
        if part is None:
            x = values.add("Unsqueeze", x, axes=(axis,))
            axis += 1
        elif isinstance(part, slice):
            x = _sliced(values, x, axis, part)
            axis += 1
        elif isinstance(part, int | np.integer | TracedSize) and not isinstance(part, bool):
            x = _row(values, x, axis, part)
        else:
            raise InputError("it takes rows by a list or a tensor; use keras.ops.take")
    return x


def _row(values: KerasValues, x: str, axis: int, number: Any) -> str:
    wanted = values.size(number)
    size = values.shape(x)[axis]
    if isinstance(wanted, int) and isinstance(size, int) and not -size <= wanted < size:
        raise InputError(f"it takes row {wanted} of an axis of size {size}")
    if isinstance(wanted, int):
        # A row that is not there, such as the fifth of four steps, is an error of Gather as it is one of Keras.
        return values.add("Gather", x, values.number(wanted, "int64"), axis=axis)
    return row_of(values, x, axis, wanted)


_FAR = (1 << 63) - 1  # beyond the end of each axis


def _before_first(size: Dim) -> Dim:
    """The bound, from the end of an axis of this size, of a slice that counts down to its first row."""
    return -1 - size if at_least(size, 0) else -_FAR


def _sliced(values: KerasValues, x: str, axis: int, key: slice) -> str:
    step = 1 if key.step is None else int(key.step)
    if key.start is None and key.stop is None and step == 1:
        return x
    if any(values.is_symbolic(bound) for bound in (key.start, key.stop)):
        raise InputError("it slices with a bound that depends on the values of the inputs")
    size = values.shape(x)[axis]
    start: Dim = 0 if step > 0 else -1
    end = _before_first(size)
    if step > 0:
        end = size if at_least(size, 0) else _FAR
    if key.start is not None:
        start = values.size(key.start)
    if key.stop is not None:
        end = values.size(key.stop)
    return values.add("Slice", x, starts=(start,), ends=(end,), axes=(axis,), steps=(step,))


@rule("Slice")
def _slice(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["inputs"])
    starts = [int(values.array(start)) for start in given["start_indices"]]
    ends = [start + values.size(size) for start, size in zip(starts, operation.shape, strict=True)]
    return values.add("Slice", x, starts=tuple(starts), ends=tuple(ends))


@rule("Take")
def _take(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    axis = operation.axis
    if axis is None:
        x = values.add("Reshape", x, shape=(-1,))
        axis = 0
    return values.add("Gather", x, indices_of(values, given["indices"]), axis=values.axis(axis, x))


def indices_of(values: KerasValues, indices: Any) -> str:
    """Numbers of rows: whole numbers, or floating-point numbers without their fraction."""
    name = values.value(indices)
    return name if values.type(name).dtype in ("int32", "int64") else values.cast(name, "int64")


@rule("TakeAlongAxis")
def _take_along_axis(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    if operation.axis is None:
        raise InputError("it needs an axis")
    x = values.value(given["x"])
    indices = indices_of(values, given["indices"])
    axis = values.axis(operation.axis, x)
    # NumPy, whose function this is, broadcasts the other axes.
    shape = list(values.shape(x))
    shape[axis] = values.shape(indices)[axis]
    if values.shape(indices) != tuple(shape):
        indices = values.add("Expand", indices, shape=tuple(shape))
        if values.shape(indices) != tuple(shape):
            x = values.add("Expand", x, shape=(*values.shape(indices)[:axis], 1, *values.shape(indices)[axis + 1 :]))
    return values.add("GatherElements", x, indices, axis=axis)


@rule("OneHot")
def _one_hot(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return one_hot(values, values.value(given["x"], "int64"), int(operation.num_classes), operation.axis, dtype)


def one_hot(values: KerasValues, indices: str, classes: int, axis: int, dtype: DType) -> str:
    """One-hot rows. A negative number has none: it does not count from the end, as it does in ONNX."""
    known = values.add("GreaterOrEqual", indices, values.number(0, "int64"))
    indices = values.add("Where", known, indices, values.number(classes, "int64"))
    return values.add("OneHot", indices, depth=classes, values=(0, 1), axis=axis, dtype=dtype)


# Values of sizes


def created(values: KerasValues, name: str, args: tuple[Any, ...], kwargs: Arguments) -> Any:
    """The symbolic tensor that a function of `keras.ops` makes of sizes that depend on the inputs."""
    keras = values.keras
    if name in ("broadcast_to", "tile", "repeat"):
        # Of a constant: it becomes a symbolic tensor, and the function makes an operation.
        constant = values.value(args[0])
        lifted = keras.KerasTensor(tuple(values.shape(constant)), dtype=_keras_dtype(values, constant))
        values.set(lifted, constant)
        return getattr(keras.ops, name)(lifted, *args[1:], **kwargs)
    if name == "arange":
        return _created_range(values, *args, **kwargs)
    rest = list(args[1:])
    sizes = args[0] if args else kwargs["shape"]
    shape = new_shape(values, sizes if isinstance(sizes, Sequence) else (sizes,))
    number: Any = {"zeros": 0, "ones": 1}.get(name)
    if number is None:
        number = rest.pop(0) if rest else kwargs["fill_value"]
    dtype = str((rest[0] if rest else kwargs.get("dtype")) or keras.config.floatx())
    constant = values.value(number, graph_dtype(dtype))
    return _symbolic(values, values.add("Expand", constant, shape=shape), dtype)


def _created_range(values: KerasValues, start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    if stop is None:
        start, stop = 0, start
    if not isinstance(step, int):
        raise InputError("keras.ops.arange has a step that is no whole number")
    dtype = str(dtype or "int32")
    whole = "int32" if dtype == "int32" else "int64"
    name = values.add("Range", start=values.size(start), limit=values.size(stop), delta=step, dtype=whole)
    return _symbolic(values, values.cast(name, graph_dtype(dtype)), dtype)


def _symbolic(values: KerasValues, name: str, dtype: str) -> Any:
    shape = tuple(size if isinstance(size, int) else None for size in values.shape(name))
    tensor = values.keras.KerasTensor(shape, dtype=dtype)
    values.set(tensor, name)
    return tensor


def _keras_dtype(values: KerasValues, name: str) -> str:
    dtype = values.type(name).dtype
    return "float32" if dtype == "float" else dtype
