"""The operations of `keras.ops` that multiply: products, attention, convolutions; with pooling and normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.exchange.keras_numbers import both_operands, mean_and_variance, reduced
from gatewise.exchange.keras_rules import Arguments, rule
from gatewise.exchange.keras_values import KerasValues
from gatewise.network.operation import DType
from gatewise.network.size import Dim

# Products


@rule("Matmul")
def _matmul(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("MatMul", *both_operands(values, given, dtype))


@rule("Dot")
def _dot(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    left, right = both_operands(values, given, dtype)
    if values.rank(left) == 0 or values.rank(right) == 0:
        return values.add("Mul", left, right)
    if values.rank(right) > 2:
        raise InputError("it multiplies arrays of many axes; use keras.ops.einsum")
    return values.add("MatMul", left, right)


@rule("Einsum")
def _einsum(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    operands = [values.value(operand, dtype) for operand in given["operands"]]
    return values.add("Einsum", *operands, equation=operation.subscripts)


@rule("Tensordot")
def _tensordot(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    left, right = both_operands(values, given, dtype)
    ranks = (values.rank(left), values.rank(right))
    if isinstance(operation.axes, int):
        count = operation.axes
        of_left = list(range(ranks[0] - count, ranks[0]))
        of_right = list(range(count))
    else:
        pairs = [axes if isinstance(axes, Sequence) else [axes] for axes in operation.axes]
        of_left = [values.axis(axis, left) for axis in pairs[0]]
        of_right = [values.axis(axis, right) for axis in pairs[1]]
    letters = "abcdefghijklmnopqrstuvwxyz"
    left_letters = list(letters[: ranks[0]])
    right_letters = list(letters[ranks[0] : ranks[0] + ranks[1]])
    for axis, other in zip(of_left, of_right, strict=True):
        right_letters[other] = left_letters[axis]
    free = [letter for axis, letter in enumerate(left_letters) if axis not in of_left]
    free += [letter for axis, letter in enumerate(right_letters) if axis not in of_right]
    equation = f"{''.join(left_letters)},{''.join(right_letters)}->{''.join(free)}"
    return values.add("Einsum", left, right, equation=equation)


@rule("DotProductAttention")
def _dot_product_attention(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    """Of query (B, T, N, H), key and value (B, S, N, H): softmax over S of the scaled products, times the values."""
    if operation.attn_logits_soft_cap is not None:
        raise InputError("attn_logits_soft_cap is not read")
    query, key, value = (values.value(given[name], dtype) for name in ("query", "key", "value"))
    heads = values.shape(query)[2]
    if values.shape(key)[2] != heads:
        raise InputError("its query and its key must have equally many heads")
    width = values.shape(query)[3]
    if not isinstance(width, int):
        raise InputError("the size of its heads depends on the inputs")
    scale = 1 / np.sqrt(width) if given["scale"] is None else float(values.array(given["scale"]))
    scores = values.add("Einsum", query, key, equation="btnh,bsnh->bnts")
    scores = values.add("Mul", scores, values.number(scale))
    keep = "" if given["mask"] is None else values.value(given["mask"], "bool")
    if operation.is_causal:
        causal = causal_mask(values, values.shape(query)[1], values.shape(key)[1])
        keep = values.add("And", keep, causal) if keep else causal
        if given["mask"] is None:
            scores = values.add("Where", keep, scores, values.number(-np.inf))
            keep = ""
    if keep:
        # Keras adds this number, so that a row without any key has equal shares of all.
        scores = values.add("Add", scores, values.add("Where", keep, values.number(0), large_negative(values)))
    if given["bias"] is not None:
        scores = values.add("Add", scores, values.value(given["bias"], dtype))
    shares = values.add("Softmax", scores, axis=-1)
    return values.add("Einsum", shares, value, equation="bnts,bsnh->btnh")


def large_negative(values: KerasValues) -> str:
    """What Keras adds to scores that are masked."""
    return values.number(-0.7 * 3.38953e38)


def causal_mask(values: KerasValues, queries: Dim, keys: Dim) -> str:
    """(queries, keys): the keys up to the place of the query."""
    rows = values.add("Unsqueeze", values.add("Range", start=0, limit=queries), axes=(1,))
    return values.add("LessOrEqual", values.add("Range", start=0, limit=keys), rows)


# Convolutions, pooling, normalisation


def channels_first(values: KerasValues, x: str) -> str:
    """(B, C, *spatial) of (B, *spatial, C)."""
    rank = values.rank(x)
    return values.add("Transpose", x, perm=(0, rank - 1, *range(1, rank - 1)))


def channels_last(values: KerasValues, x: str) -> str:
    """(B, *spatial, C) of (B, C, *spatial)."""
    rank = values.rank(x)
    return values.add("Transpose", x, perm=(0, *range(2, rank), 1))


def _each(number: Any, count: int) -> tuple[int, ...]:
    if isinstance(number, int):
        return (number,) * count
    return tuple(int(size) for size in number)


def _is_last(values: KerasValues, operation: Any) -> bool:
    data_format: str = operation.data_format or values.keras.config.image_data_format()
    return data_format == "channels_last"


@rule("Conv")
def _conv(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["inputs"], dtype)
    kernel = values.value(given["kernel"], dtype)  # (*kernel, C / groups, filters)
    rank = values.rank(kernel)
    kernel = values.add("Transpose", kernel, perm=(rank - 1, rank - 2, *range(rank - 2)))
    return _convolved(values, operation, x, kernel, 0)


def _convolved(values: KerasValues, operation: Any, x: str, kernel: str, groups: int) -> str:
    """groups: 0 for those that follow from the shapes. kernel (filters, C / groups, *kernel)."""
    is_last = _is_last(values, operation)
    if is_last:
        x = channels_first(values, x)
    spatial = values.rank(x) - 2
    if not groups:
        channels, of_group = values.shape(x)[1], values.shape(kernel)[1]
        if not isinstance(channels, int) or not isinstance(of_group, int) or channels % of_group:
            raise InputError(f"{channels} channels do not fit a kernel of {of_group}")
        groups = channels // of_group
    dilations = _each(operation.dilation_rate, spatial)
    attributes: dict[str, Any] = {"auto_pad": {"same": "SAME_UPPER", "valid": "VALID"}.get(operation.padding)}
    if attributes["auto_pad"] is None:
        raise InputError(f"it has no padding {quote(operation.padding)} here")
    strides = _each(operation.strides, spatial)
    y = values.add("Conv", x, kernel, strides=strides, dilations=dilations, group=groups, **attributes)
    return channels_last(values, y) if is_last else y


@rule("DepthwiseConv")
def _depthwise(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return _convolved_by_channel(values, operation, values.value(given["inputs"], dtype), given["kernel"], dtype)


def _convolved_by_channel(values: KerasValues, operation: Any, x: str, weights: Any, dtype: DType) -> str:
    kernel = values.value(weights, dtype)  # (*kernel, C, multiplier)
    rank = values.rank(kernel)
    channels, multiplier = values.shape(kernel)[-2:]
    kernel = values.add("Transpose", kernel, perm=(rank - 2, rank - 1, *range(rank - 2)))  # (C, multiplier, *kernel)
    kernel = values.add("Reshape", kernel, shape=(channels * multiplier, 1, *values.shape(kernel)[2:]))
    assert isinstance(channels, int)
    return _convolved(values, operation, x, kernel, channels)


@rule("SeparableConv")
def _separable(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["inputs"], dtype)
    y = _convolved_by_channel(values, operation, x, given["depthwise_kernel"], dtype)
    pointwise = values.value(given["pointwise_kernel"], dtype)  # (1, C multiplier, filters)
    channels, filters = values.shape(pointwise)[-2:]
    pointwise = values.add("Reshape", pointwise, shape=(channels, filters))
    is_last = _is_last(values, operation)
    y = y if is_last else channels_last(values, y)
    y = values.add("MatMul", y, pointwise)
    return y if is_last else channels_first(values, y)


@rule("MaxPool", "AveragePool")
def _pool(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["inputs"], dtype)
    is_last = _is_last(values, operation)
    if is_last:
        x = channels_first(values, x)
    spatial = values.rank(x) - 2
    kernel = _each(operation.pool_size, spatial)
    strides = _each(operation.strides, spatial) if operation.strides is not None else kernel
    name = type(operation).__name__
    same = operation.padding == "same"
    if same and name == "AveragePool":
        for size, stride in zip(kernel, strides, strict=True):
            _check_mean_with_pads(size, stride)
    auto_pad = "SAME_UPPER" if same else "VALID"
    y = values.add(name, x, kernel_shape=kernel, strides=strides, auto_pad=auto_pad)
    return channels_last(values, y) if is_last else y


def _check_mean_with_pads(kernel: int, stride: int) -> None:
    """Refuse means of padded windows in which the backends differ: PyTorch counts pads that repeat the edge where there
    is one more of them behind than in front, others count no pads. A single pad beside the edge is the same for both.
    """
    is_symmetric = stride == 1 and kernel % 2 == 1
    if kernel > 2 and not is_symmetric:
        raise InputError(
            f"the backends of Keras differ in the pads of a mean of {kernel} steps with strides={stride} and "
            "padding='same'; use padding='valid'"
        )


@rule("BatchNorm")
def _batch_norm(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    mean, variance = values.array(given["mean"]), values.array(given["variance"])
    scale = np.ones_like(mean) if given["scale"] is None else values.array(given["scale"])
    offset = np.zeros_like(mean) if given["offset"] is None else values.array(given["offset"])
    arrays = [values.builder.constant(array) for array in (scale, offset, mean, variance)]
    axis = values.axis(operation.axis, x)
    rank = values.rank(x)
    order = [0, axis, *[place for place in range(1, rank) if place != axis]]
    moved = order != list(range(rank))
    if axis == 0 or rank < 2:
        raise InputError("it normalises along the batch")
    if moved:
        x = values.add("Transpose", x, perm=tuple(order))
    y = values.add("BatchNormalization", x, *arrays, epsilon=float(operation.epsilon))
    return values.add("Transpose", y, perm=tuple(int(place) for place in np.argsort(order))) if moved else y


@rule("LayerNorm", "RMSNorm")
def _layer_norm(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    epsilon = values.epsilon if operation.epsilon is None else float(operation.epsilon)
    axes = tuple(sorted(values.axes(operation.axis, x)))
    is_rms = type(operation).__name__ == "RMSNorm"
    gamma = given["scale"] if is_rms else given["gamma"]
    weights = [gamma] if is_rms else [gamma, given["beta"]]
    if not is_rms and operation.rms_scaling:
        _, variance = mean_and_variance(values, x, axes, True)
        factor = _inverse_root(values, variance, epsilon)
        y = values.add("Mul", x, factor)
        weights = weights[:1]
    elif is_rms:
        squares = values.add("Mul", x, x)
        y = values.add("Mul", x, _inverse_root(values, reduced(values, "ReduceMean", squares, axes, True), epsilon))
    else:
        first = axes[0]
        trailing = axes == tuple(range(first, values.rank(x)))
        shape = tuple(values.shape(x)[axis] for axis in axes)
        if trailing and gamma is not None and all(isinstance(size, int) for size in shape):
            read = [values.value(weight, dtype) for weight in weights if weight is not None]
            return values.add("LayerNormalization", x, *read, axis=first, epsilon=epsilon)
        mean, variance = mean_and_variance(values, x, axes, True)
        y = values.add("Mul", values.add("Sub", x, mean), _inverse_root(values, variance, epsilon))
    for weight, name in zip(weights, ("Mul", "Add"), strict=False):
        if weight is not None:
            y = values.add(name, y, _along(values, weight, axes, values.rank(x), dtype))
    return y


def _along(values: KerasValues, weight: Any, axes: Sequence[int], rank: int, dtype: DType) -> str:
    """Weights of these axes in a shape that is broadcast along the other ones."""
    name = values.value(weight, dtype)
    if values.rank(name) == rank:
        return name
    missing = tuple(axis for axis in range(rank) if axis not in axes)
    return values.add("Unsqueeze", name, axes=missing) if missing else name


def _inverse_root(values: KerasValues, x: str, epsilon: float) -> str:
    return values.add("Reciprocal", values.add("Sqrt", values.add("Add", x, values.number(epsilon))))


@rule("Normalize")
def _normalize(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    if operation.order != 2:
        raise InputError(f"it has no order {operation.order} here, but 2")
    x = values.value(given["x"], dtype)
    squares = reduced(values, "ReduceSum", values.add("Mul", x, x), operation.axis, True)
    inverse = values.add("Reciprocal", values.add("Sqrt", squares))
    epsilon = values.epsilon if operation.epsilon is None else float(operation.epsilon)
    return values.add("Mul", x, values.add("Min", inverse, values.number(1 / epsilon)))
