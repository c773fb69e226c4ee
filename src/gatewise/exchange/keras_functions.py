"""The operations of a graph as functions of `keras.ops`, by their names.

Each takes `keras.ops`, the operation, what a run knows (`Run`), and the tensors that the node reads, None for one that
is left out. It returns one tensor, or a list of several. The sizes of tensors are numbers in a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.network.size import Dim, value_of
from gatewise.network.windows import Windows, places


@dataclass(frozen=True)
class Run:
    """What the operations of a run read besides tensors. sizes: of the symbols. shapes: of the outputs of the node.
    float_dtype: of Keras.
    """

    sizes: Mapping[str, int]
    shapes: tuple[tuple[int, ...], ...]
    float_dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first output."""
        return self.shapes[0]

    def size(self, dim: Dim) -> int:
        """The number that a size is in this run."""
        return value_of(dim, self.sizes)

    def vector(self, shape: Sequence[Dim]) -> tuple[int, ...]:
        """The numbers of sizes in this run."""
        return tuple(value_of(dim, self.sizes) for dim in shape)

    def dtype(self, name: str) -> str:
        """That of Keras of a dtype of a graph."""
        return self.float_dtype if name == "float" else name


Function = Callable[..., Any]


def _named(name: str) -> Function:
    """The function of this name in `keras.ops`, of tensors alone."""
    return lambda ops, operation, run, *tensors: getattr(ops, name)(*tensors)


def _is_float(ops: Any, x: Any) -> bool:
    return "float" in _dtype(ops, x)


def _dtype(ops: Any, x: Any) -> str:
    return str(ops.convert_to_tensor(x).dtype).rpartition(".")[2]


def _as(ops: Any, x: Any, like: Any) -> Any:
    """x in the dtype of another tensor."""
    return ops.cast(x, _dtype(ops, like))


def _larger(ops: Any, a: Any, b: Any) -> Any:
    """The larger numbers. `maximum` of Keras makes int32 of int64."""
    return ops.maximum(a, b) if _is_float(ops, a) else ops.where(a > b, a, b)


def _smaller(ops: Any, a: Any, b: Any) -> Any:
    return ops.minimum(a, b) if _is_float(ops, a) else ops.where(a < b, a, b)


# On each number


def _clip(ops: Any, operation: Any, run: Run, x: Any, lower: Any = None, upper: Any = None) -> Any:
    if lower is not None:
        x = _larger(ops, x, ops.reshape(lower, ()))
    if upper is not None:
        x = _smaller(ops, x, ops.reshape(upper, ()))
    return x


def _div(ops: Any, operation: Any, run: Run, a: Any, b: Any) -> Any:
    if _is_float(ops, a):
        return ops.divide(a, b)
    return ops.sign(a) * ops.sign(b) * ops.floor_divide(ops.abs(a), ops.abs(b))


def _mod(ops: Any, operation: Any, run: Run, a: Any, b: Any) -> Any:
    if operation.fmod:
        return ops.sign(a) * ops.mod(ops.abs(a), ops.abs(b))
    return ops.mod(a, b)


def _pow(ops: Any, operation: Any, run: Run, base: Any, exponent: Any) -> Any:
    if _is_float(ops, base):
        return ops.power(base, _as(ops, exponent, base))
    return _as(ops, ops.power(base, exponent), base)


def _is_inf(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    infinite = ops.isinf(x)
    below = ops.logical_and(ops.logical_and(infinite, x < 0), bool(operation.detect_negative))
    above = ops.logical_and(ops.logical_and(infinite, x > 0), bool(operation.detect_positive))
    return ops.logical_or(below, above)


def _celu(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    alpha = operation.alpha
    return ops.where(x > 0, x, alpha * ops.expm1(ops.minimum(x, 0) / alpha))


def _elu(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return ops.where(x > 0, x, operation.alpha * ops.expm1(ops.minimum(x, 0)))


def _selu(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return operation.gamma * _elu(ops, operation, run, x)


def _gelu(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    if operation.approximate == "tanh":
        return 0.5 * x * (1 + ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + ops.erf(x * math.sqrt(0.5)))


def _hard_sigmoid(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return ops.clip(operation.alpha * x + operation.beta, 0, 1)


def _hard_swish(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return x * ops.clip(x / 6 + 0.5, 0, 1)


def _leaky_relu(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return ops.where(x > 0, x, operation.alpha * x)


def _thresholded_relu(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return ops.where(x <= operation.alpha, ops.zeros_like(x), x)


def _swish(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return x * ops.sigmoid(operation.alpha * x)


def _prelu(ops: Any, operation: Any, run: Run, x: Any, slope: Any) -> Any:
    return ops.where(x > 0, x, slope * x)


def _softplus(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return ops.logaddexp(x, ops.zeros_like(x))


def _mish(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return x * ops.tanh(_softplus(ops, operation, run, x))


def _softsign(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return x / (1 + ops.abs(x))


def _variadic(function: Callable[..., Any]) -> Function:
    """A function of `keras.ops` and two tensors, for several."""
    return lambda ops, operation, run, *tensors: reduce(lambda a, b: function(ops, a, b), tensors)


def _mean(ops: Any, operation: Any, run: Run, *tensors: Any) -> Any:
    return reduce(ops.add, tensors) / len(tensors)


def _same(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return x


# Reductions


def _reduction(function: Callable[..., Any]) -> Function:
    """A function of `keras.ops`, a tensor, the axes and whether they stay."""

    def reduced(ops: Any, operation: Any, run: Run, x: Any) -> Any:
        rank = len(x.shape)
        if not rank or (not operation.axes and operation.noop_with_empty_axes):
            # Each number by itself is one along a new axis.
            return _as(ops, function(ops, ops.expand_dims(x, -1), (-1,), False), x)
        axes = tuple(axis % rank for axis in operation.axes or range(rank))
        return _as(ops, function(ops, x, axes, bool(operation.keepdims)), x)

    return reduced


def _reduced_by(name: str) -> Function:
    return _reduction(lambda ops, x, axes, keepdims: getattr(ops, name)(x, axis=axes, keepdims=keepdims))


def _extreme(name: str) -> Function:
    def extreme(ops: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        if _dtype(ops, x) == "bool":
            x = ops.cast(x, "int32")
        return getattr(ops, name)(x, axis=axes, keepdims=keepdims)

    return _reduction(extreme)


def _prod(ops: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    for axis in sorted((axis % len(x.shape) for axis in axes), reverse=True):
        x = ops.prod(x, axis=axis, keepdims=keepdims)
    return x


def _l2(ops: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    squares = ops.sum(x * x, axis=axes, keepdims=keepdims)
    # The derivative of the root at 0 is infinite, and that of the norm counts as 0.
    is_zero = squares == 0
    return ops.where(is_zero, ops.zeros_like(squares), ops.sqrt(ops.where(is_zero, ops.ones_like(squares), squares)))


def _mean_along(ops: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if _is_float(ops, x):
        return ops.mean(x, axis=axes, keepdims=keepdims)
    total = ops.sum(x, axis=axes, keepdims=keepdims)
    count = math.prod(x.shape[axis] for axis in axes)
    return ops.sign(total) * ops.floor_divide(ops.abs(total), count)


def _arg(name: str) -> Function:
    def index(ops: Any, operation: Any, run: Run, x: Any) -> Any:
        axis = operation.axis % len(x.shape)
        function = getattr(ops, name)
        if operation.select_last_index:
            first = x.shape[axis] - 1 - function(ops.flip(x, axis), axis=axis, keepdims=bool(operation.keepdims))
        else:
            first = function(x, axis=axis, keepdims=bool(operation.keepdims))
        return ops.cast(first, "int64")

    return index


# Arrangement


def _cast(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    if operation.to == "bool":
        return x if _dtype(ops, x) == "bool" else ops.not_equal(x, 0)
    return ops.cast(x, run.dtype(operation.to))


def _constant_of_shape(ops: Any, operation: Any, run: Run) -> Any:
    return ops.full(run.shape, operation.value, dtype=run.dtype(operation.dtype))


def _range(ops: Any, operation: Any, run: Run) -> Any:
    numbers = np.arange(run.size(operation.start), run.size(operation.limit), operation.delta)
    return ops.convert_to_tensor(numbers, dtype=run.dtype(operation.dtype))


def _sizes(ops: Any, operation: Any, run: Run) -> Any:
    return ops.convert_to_tensor(np.reshape(run.vector(operation.sizes), run.shape), dtype="int64")


def _concat(ops: Any, operation: Any, run: Run, *tensors: Any) -> Any:
    return ops.concatenate(tensors, axis=operation.axis)


def _reshaped(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return ops.reshape(x, run.shape)


def _expand(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return ops.broadcast_to(x, run.shape)


def _transpose(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return ops.transpose(x, operation.perm or tuple(reversed(range(len(x.shape)))))


def _tile(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return ops.tile(x, run.vector(operation.repeats))


def _split(ops: Any, operation: Any, run: Run, x: Any) -> list[Any]:
    axis = operation.axis % len(x.shape)
    if len(run.shapes) == 1:
        return [x]
    bounds = np.cumsum([shape[axis] for shape in run.shapes])[:-1]
    return list(ops.split(x, [int(bound) for bound in bounds], axis=axis))


def _rows(ops: Any, x: Any, axis: int, rows: Any) -> Any:
    """The rows with these numbers of an axis."""
    return ops.take(x, ops.convert_to_tensor(np.ascontiguousarray(rows), dtype="int32"), axis=axis)


def _slice(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    rank = len(x.shape)
    axes = operation.axes if operation.axes is not None else tuple(range(len(operation.starts)))
    steps = operation.steps or (1,) * len(axes)
    bounds = zip(axes, run.vector(operation.starts), run.vector(operation.ends), steps, strict=True)
    for axis, first, last, step in bounds:
        size = x.shape[axis]
        # Below the first row a slice that counts down has no bound that Python writes as a number.
        end = None if step < 0 and last < -size else last
        x = _rows(ops, x, axis % rank, np.arange(size)[first:end:step])
    return x


def _pad(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    rank = len(x.shape)
    axes = range(rank) if operation.axes is None else [axis % rank for axis in operation.axes]
    pads = run.vector(operation.pads)
    for place, axis in enumerate(axes):
        before = pads[place]
        after = pads[len(axes) + place]
        if operation.mode == "constant":
            x = _padded_along(ops, x, axis, before, after, operation.constant_value)
        else:
            mode: Any = operation.mode
            x = _rows(ops, x, axis, np.pad(np.arange(x.shape[axis]), (before, after), mode=mode))
    return x


def _padded_along(ops: Any, x: Any, axis: int, before: int, after: int, value: float) -> Any:
    """x with a number before and after the rows of an axis; a negative pad cuts off rows."""
    size = x.shape[axis]
    if before < 0 or after < 0:
        x = _rows(ops, x, axis, np.arange(max(-before, 0), size - max(-after, 0)))
    parts = []
    if before > 0:
        parts.append(_rows_of_number(ops, x, axis, before, value))
    parts.append(x)
    if after > 0:
        parts.append(_rows_of_number(ops, x, axis, after, value))
    return ops.concatenate(parts, axis=axis) if len(parts) > 1 else x


def _rows_of_number(ops: Any, like: Any, axis: int, count: int, value: float) -> Any:
    """So many rows of an axis that hold one number, in the dtype and the other sizes of a tensor."""
    shape = list(like.shape)
    shape[axis] = count
    return ops.full(shape, value, dtype=_dtype(ops, like))


def _from_front(ops: Any, indices: Any, size: int) -> Any:
    return ops.where(indices < 0, indices + size, indices)


def _gather(ops: Any, operation: Any, run: Run, data: Any, indices: Any) -> Any:
    axis = operation.axis % len(data.shape)
    return ops.take(data, _from_front(ops, indices, data.shape[axis]), axis=axis)


def _gather_elements(ops: Any, operation: Any, run: Run, data: Any, indices: Any) -> Any:
    axis = operation.axis % len(data.shape)
    # `take_along_axis` needs as many rows of both along the other axes.
    for other, rows in enumerate(indices.shape):
        if other != axis and rows < data.shape[other]:
            data = _rows(ops, data, other, np.arange(rows))
    return ops.take_along_axis(data, _from_front(ops, indices, data.shape[axis]), axis=axis)


def _gather_nd(ops: Any, operation: Any, run: Run, data: Any, indices: Any) -> Any:
    batch = operation.batch_dims
    depth = indices.shape[-1]
    places_shape = tuple(indices.shape[:-1])
    # The number of the row among all rows of the first axes.
    row = np.zeros(places_shape, np.int64)
    for axis in range(batch):
        along = [1] * len(places_shape)
        along[axis] = -1
        row = row * data.shape[axis] + np.arange(data.shape[axis]).reshape(along)
    flat = ops.cast(ops.convert_to_tensor(row), _dtype(ops, indices))
    for number in range(depth):
        size = data.shape[batch + number]
        flat = flat * size + _from_front(ops, indices[..., number], size)
    rest = tuple(data.shape[batch + depth :])
    rows = ops.reshape(data, (-1, *rest))
    return ops.reshape(ops.take(rows, ops.reshape(flat, (-1,)), axis=0), (*places_shape, *rest))


def _scatter_elements(ops: Any, operation: Any, run: Run, data: Any, indices: Any, updates: Any) -> Any:
    axis = operation.axis % len(data.shape)
    rows = _from_front(ops, indices, data.shape[axis])
    grid: list[Any] = [np.broadcast_to(each, indices.shape) for each in np.ix_(*map(np.arange, indices.shape))]
    index = [ops.reshape(ops.cast(ops.convert_to_tensor(np.array(each)), _dtype(ops, rows)), (-1,)) for each in grid]
    index[axis] = ops.reshape(rows, (-1,))
    places_of = ops.stack(index, axis=1)
    values = ops.reshape(updates, (-1,))
    if operation.reduction == "add":
        return data + ops.scatter(places_of, values, tuple(data.shape))
    return ops.scatter_update(data, places_of, values)


def _one_hot(ops: Any, operation: Any, run: Run, indices: Any) -> Any:
    depth = run.size(operation.depth)
    rows = _from_front(ops, ops.cast(indices, "int64"), depth)
    hot = ops.expand_dims(rows, -1) == ops.arange(depth, dtype="int64")
    dtype = run.dtype(operation.dtype)
    off, on = (ops.cast(ops.convert_to_tensor(value), dtype) for value in operation.values)
    return ops.moveaxis(ops.where(hot, on, off), -1, operation.axis)


def _top_k(ops: Any, operation: Any, run: Run, x: Any) -> list[Any]:
    axis = operation.axis % len(x.shape)
    size = x.shape[axis]
    if operation.largest:
        # In the ascending order of the reversed numbers, equal ones are reversed too.
        order = size - 1 - ops.flip(ops.argsort(ops.flip(x, axis), axis=axis), axis)
    else:
        order = ops.argsort(x, axis=axis)
    chosen = _rows(ops, order, axis, np.arange(run.size(operation.K)))
    return [ops.take_along_axis(x, chosen, axis=axis), ops.cast(chosen, "int64")]


def _trilu(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    rows, columns = x.shape[-2:]
    offset = np.arange(columns) - np.arange(rows)[:, None] - run.size(operation.k)
    kept = ops.convert_to_tensor(offset >= 0 if operation.upper else offset <= 0)
    return ops.where(kept, x, ops.zeros_like(x))


def _cum_sum(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    axis = operation.axis % len(x.shape)
    steps = ops.flip(x, axis) if operation.reverse else x
    if operation.exclusive:
        steps = _padded_along(ops, steps, axis, 1, -1, 0)
    sums = _as(ops, ops.cumsum(steps, axis=axis), x)
    return ops.flip(sums, axis) if operation.reverse else sums


def _reverse_sequence(ops: Any, operation: Any, run: Run, x: Any, lengths: Any) -> Any:
    by_sequence = x if operation.batch_axis == 0 else ops.swapaxes(x, 0, 1)
    step = ops.arange(by_sequence.shape[1], dtype=_dtype(ops, lengths))
    ends = ops.expand_dims(lengths, 1)
    read = ops.where(step < ends, ends - 1 - step, step)  # (B, T)
    index = ops.reshape(read, (*read.shape, *[1] * (len(x.shape) - 2)))
    index = ops.broadcast_to(index, by_sequence.shape)
    taken = ops.take_along_axis(by_sequence, index, axis=1)
    return taken if operation.batch_axis == 0 else ops.swapaxes(taken, 0, 1)


def _require_longest(ops: Any, operation: Any, run: Run, x: Any, lengths: Any) -> Any:
    longest = int(ops.convert_to_numpy(ops.max(lengths)))
    if longest != x.shape[1]:
        raise InputError(f"RequireLongest: the sequences have {x.shape[1]} steps, and the longest has {longest}")
    return x


# Products, windows and normalisations


def _gemm(ops: Any, operation: Any, run: Run, a: Any, b: Any, c: Any = None) -> Any:
    left = ops.transpose(a) if operation.transA else a
    right = ops.transpose(b) if operation.transB else b
    y = operation.alpha * ops.matmul(left, right)
    return y if c is None else y + operation.beta * c


def _einsum(ops: Any, operation: Any, run: Run, *tensors: Any) -> Any:
    return ops.einsum(operation.without_ellipses([len(x.shape) for x in tensors]), *tensors)


def _padded(ops: Any, x: Any, windows: Sequence[Windows], fill: float) -> Any:
    """x (N, C, *spatial) with the pads of the windows."""
    for axis, along in enumerate(windows, 2):
        x = _padded_along(ops, x, axis, *along.pads(x.shape[axis]), fill)
    return x


def _conv(ops: Any, operation: Any, run: Run, x: Any, w: Any, b: Any = None) -> Any:
    windows = operation.windows(tuple(x.shape[2:]), tuple(w.shape[2:]))
    source = _padded(ops, x, windows, 0)
    group = operation.group
    filters = w.shape[0] // group
    channels = w.shape[1]
    kernel = ops.reshape(w, (group, filters, channels, *w.shape[2:]))
    counts = run.shape[2:]
    total = None
    for index, place in places(windows):
        patch = ops.reshape(source[place], (x.shape[0], group, channels, math.prod(counts)))
        product = ops.matmul(kernel[(slice(None), slice(None), slice(None), *index[1:])], patch)
        total = product if total is None else total + product
    y = ops.reshape(total, run.shape)
    return y if b is None else y + _per_channel(ops, b, x)


def _average_pool(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    spatial = tuple(x.shape[2:])
    windows = operation.pool_windows(spatial)
    source = _padded(ops, x, windows, 0)
    pads = [along.pads(size) for along, size in zip(windows, spatial, strict=True)]
    counted = np.pad(np.ones((1, 1, *spatial)), [(0, 0), (0, 0), *pads])
    if operation.count_include_pad:
        counted = np.zeros_like(counted)
        ends = [
            run.size(along.before) + size + run.size(along.after) for along, size in zip(windows, spatial, strict=True)
        ]
        within: tuple[Any, ...] = (..., *map(slice, ends))
        counted[within] = 1
    total = 0
    counts = np.zeros((1, 1, *run.shape[2:]))
    for _, place in places(windows):
        total = total + source[place]
        counts = counts + counted[place]
    if not (counts > 0).all():
        raise InputError("AveragePool: a window has only pads")
    return total / _as(ops, ops.convert_to_tensor(counts), x)


def _max_pool(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    windows = operation.pool_windows(tuple(x.shape[2:]))
    source = _padded(ops, x, windows, -math.inf)
    return ops.max(ops.stack([source[place] for _, place in places(windows)]), axis=0)


def _global_average_pool(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return ops.mean(x, axis=tuple(range(2, len(x.shape))), keepdims=True)


def _global_max_pool(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return ops.max(x, axis=tuple(range(2, len(x.shape))), keepdims=True)


def _per_channel(ops: Any, values: Any, x: Any) -> Any:
    return ops.reshape(values, (-1, *[1] * (len(x.shape) - 2)))


def _batch_normalization(ops: Any, operation: Any, run: Run, x: Any, *parameters: Any) -> Any:
    scale, bias, mean, var = (_per_channel(ops, each, x) for each in parameters)
    return (x - mean) / ops.sqrt(var + operation.epsilon) * scale + bias


def _normalised(ops: Any, x: Any, axes: tuple[int, ...], epsilon: float, centred: bool = True) -> Any:
    if centred:
        x = x - ops.mean(x, axis=axes, keepdims=True)
    return x / ops.sqrt(ops.mean(x * x, axis=axes, keepdims=True) + epsilon)


def _instance_normalization(ops: Any, operation: Any, run: Run, x: Any, scale: Any, bias: Any) -> Any:
    y = _normalised(ops, x, tuple(range(2, len(x.shape))), operation.epsilon)
    return y * _per_channel(ops, scale, x) + _per_channel(ops, bias, x)


def _group_normalization(ops: Any, operation: Any, run: Run, x: Any, scale: Any, bias: Any) -> Any:
    groups = ops.reshape(x, (x.shape[0], operation.num_groups, -1))
    y = ops.reshape(_normalised(ops, groups, (2,), operation.epsilon), x.shape)
    return y * _per_channel(ops, scale, x) + _per_channel(ops, bias, x)


def _layer_normalization(ops: Any, operation: Any, run: Run, x: Any, scale: Any, bias: Any = None) -> Any:
    rank = len(x.shape)
    y = _normalised(ops, x, tuple(range(operation.axis % rank, rank)), operation.epsilon) * scale
    return y if bias is None else y + bias


def _rms_normalization(ops: Any, operation: Any, run: Run, x: Any, scale: Any) -> Any:
    rank = len(x.shape)
    axes = tuple(range(operation.axis % rank, rank))
    return _normalised(ops, x, axes, operation.epsilon, centred=False) * scale


def _softmax(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    # `ops.softmax` warns of an axis of size 1.
    powers = ops.exp(x - ops.max(x, axis=operation.axis, keepdims=True))
    return powers / ops.sum(powers, axis=operation.axis, keepdims=True)


def _log_softmax(ops: Any, operation: Any, run: Run, x: Any) -> Any:
    return x - ops.logsumexp(x, axis=operation.axis, keepdims=True)


FUNCTIONS: dict[str, Function] = {
    "Abs": _named("abs"),
    "Add": _named("add"),
    "And": _named("logical_and"),
    "ArgMax": _arg("argmax"),
    "ArgMin": _arg("argmin"),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Ceil": _named("ceil"),
    "Celu": _celu,
    "Clip": _clip,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "Cos": _named("cos"),
    "CumSum": _cum_sum,
    "Div": _div,
    "Dropout": _same,
    "Einsum": _einsum,
    "Elu": _elu,
    "Equal": _named("equal"),
    "Erf": _named("erf"),
    "Exp": _named("exp"),
    "Expand": _expand,
    "Flatten": _reshaped,
    "Floor": _named("floor"),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "Greater": _named("greater"),
    "GreaterOrEqual": _named("greater_equal"),
    "GroupNormalization": _group_normalization,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": _same,
    "InstanceNormalization": _instance_normalization,
    "IsInf": _is_inf,
    "IsNaN": _named("isnan"),
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": _leaky_relu,
    "Less": _named("less"),
    "LessOrEqual": _named("less_equal"),
    "Log": _named("log"),
    "LogSoftmax": _log_softmax,
    "MatMul": _named("matmul"),
    "Max": _variadic(_larger),
    "MaxPool": _max_pool,
    "Mean": _mean,
    "Min": _variadic(_smaller),
    "Mish": _mish,
    "Mod": _mod,
    "Mul": _named("multiply"),
    "Neg": _named("negative"),
    "Not": _named("logical_not"),
    "OneHot": _one_hot,
    "Or": _named("logical_or"),
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": _pow,
    "RMSNormalization": _rms_normalization,
    "Range": _range,
    "Reciprocal": _named("reciprocal"),
    "ReduceL1": _reduction(lambda ops, x, axes, keepdims: ops.sum(ops.abs(x), axis=axes, keepdims=keepdims)),
    "ReduceL2": _reduction(_l2),
    "ReduceLogSumExp": _reduced_by("logsumexp"),
    "ReduceMax": _extreme("max"),
    "ReduceMean": _reduction(_mean_along),
    "ReduceMin": _extreme("min"),
    "ReduceProd": _reduction(_prod),
    "ReduceSum": _reduced_by("sum"),
    "ReduceSumSquare": _reduction(lambda ops, x, axes, keepdims: ops.sum(x * x, axis=axes, keepdims=keepdims)),
    "Relu": _named("relu"),
    "RequireLongest": _require_longest,
    "Reshape": _reshaped,
    "ReverseSequence": _reverse_sequence,
    "Round": _named("round"),
    "ScatterElements": _scatter_elements,
    "Selu": _selu,
    "Sigmoid": _named("sigmoid"),
    "Sign": _named("sign"),
    "Sin": _named("sin"),
    "Sizes": _sizes,
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": _softplus,
    "Softsign": _softsign,
    "Split": _split,
    "Sqrt": _named("sqrt"),
    "Squeeze": _reshaped,
    "Sub": _named("subtract"),
    "Sum": _variadic(lambda ops, a, b: a + b),
    "Swish": _swish,
    "Tanh": _named("tanh"),
    "ThresholdedRelu": _thresholded_relu,
    "Tile": _tile,
    "TopK": _top_k,
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _reshaped,
    "Where": _named("where"),
    "Xor": _named("logical_xor"),
}
