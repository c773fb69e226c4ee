"""The operations of ATen that multiply tensors, normalise or pool: linear layers, convolutions, norms, softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.exchange.torch_call import Call, Value
from gatewise.exchange.torch_rules import fixed_size, rule
from gatewise.network.size import Shape, divided

# Matrix products


@rule("linear")
def _linear(call: Call) -> Value:
    x = call.value("input")
    weight = call.value("weight")
    bias = call.optional("bias")
    transposed = call.add("Transpose", weight, perm=(1, 0))
    y = call.add("MatMul", x, transposed)
    if bias:
        y = call.add("Add", y, bias)
    return y


@rule("matmul", "mm", "bmm", "mv", "dot")
def _matmul(call: Call) -> Value:
    names = list(call.arguments)[:2]
    return call.add("MatMul", call.value(names[0]), call.value(names[1]))


@rule("addmm", "baddbmm")
def _addmm(call: Call) -> Value:
    names = ("mat1", "mat2") if "mat1" in call.arguments else ("batch1", "batch2")
    y = call.add("MatMul", call.value(names[0]), call.value(names[1]))
    if call.get("alpha", 1) != 1:
        y = call.add("Mul", y, call.constant(call["alpha"], "float"))
    if call.get("beta", 1) == 0:
        return y
    other = call.value("self")
    if call.get("beta", 1) != 1:
        other = call.add("Mul", other, call.constant(call["beta"], "float"))
    return call.add("Add", y, other)


@rule("einsum")
def _einsum(call: Call) -> Value:
    return call.add("Einsum", *call.list_of("tensors"), equation=call["equation"].replace(" ", ""))


# Softmax, norms


@rule("softmax", "_softmax")
def _softmax(call: Call) -> Value:
    return call.add("Softmax", call.value("self", call.dtype), axis=call["dim"])


@rule("log_softmax", "_log_softmax")
def _log_softmax(call: Call) -> Value:
    return call.add("LogSoftmax", call.value("self", call.dtype), axis=call["dim"])


@rule("layer_norm", "native_layer_norm")
def _layer_norm(call: Call) -> Value:
    x = call.value("input")
    shape = call.dims("normalized_shape")
    inputs = [x, _scale(call, shape)]
    bias = call.optional("bias")
    if bias:
        inputs.append(bias)
    y = call.add("LayerNormalization", *inputs, axis=-len(shape), epsilon=float(call["eps"]))
    return _first_of(call, y)


@rule("rms_norm")
def _rms_norm(call: Call) -> Value:
    shape = call.dims("normalized_shape")
    if call["eps"] is None:
        raise InputError("rms_norm without eps is not read: pass eps")
    x = call.value("input")
    return call.add("RMSNormalization", x, _scale(call, shape), axis=-len(shape), epsilon=float(call["eps"]))


def _scale(call: Call, shape: Shape) -> str:
    """The weight of a norm over axes of these sizes, ones where the call has none."""
    return call.optional("weight") or call.constant(np.ones([fixed_size(size) for size in shape]), "float")


@rule("batch_norm", "_native_batch_norm_legit_no_training")
def _batch_norm(call: Call) -> Value:
    if call.get("training", False):
        raise InputError("batch_norm in training mode depends on the other rows: call module.eval()")
    x = call.value("input")
    statistics = [call.value("running_mean"), call.value("running_var")]
    y = call.add("BatchNormalization", x, *_scale_and_shift(call, x), *statistics, epsilon=float(call["eps"]))
    return _first_of(call, y)


@rule("group_norm")
def _group_norm(call: Call) -> Value:
    x = call.value("input")
    groups = call["num_groups"]
    epsilon = float(call["eps"])
    return call.add("GroupNormalization", x, *_scale_and_shift(call, x), num_groups=groups, epsilon=epsilon)


@rule("instance_norm")
def _instance_norm(call: Call) -> Value:
    x = call.value("input")
    if not call["use_input_stats"]:
        raise InputError("instance_norm with running statistics is not read")
    return call.add("InstanceNormalization", x, *_scale_and_shift(call, x), epsilon=float(call["eps"]))


def _scale_and_shift(call: Call, x: str) -> list[str]:
    """weight and bias (C,) of a norm of x (B, C, ...), ones and zeros where the call has none."""
    channels = fixed_size(call.type_of(x)[1])
    weight = call.optional("weight") or call.constant(np.ones(channels), "float")
    bias = call.optional("bias") or call.constant(np.zeros(channels), "float")
    return [weight, bias]


# Convolution and pooling


@rule("convolution", "conv1d", "conv2d")
def _convolution(call: Call) -> Value:
    if call.get("transposed", False):
        raise InputError("a transposed convolution is not read")
    inputs = [call.value("input"), call.value("weight")]
    if call["bias"] is not None:
        inputs.append(call.value("bias"))
    spatial = len(call.type_of(inputs[0])) - 2
    padding = call["padding"]
    if isinstance(padding, str):
        raise InputError(f"a convolution with padding={padding!r} must be decomposed")
    pads = _each_axis(padding, spatial)
    return call.add(
        "Conv",
        *inputs,
        strides=_each_axis(call["stride"], spatial),
        dilations=_each_axis(call["dilation"], spatial),
        pads=pads + pads,
        group=call["groups"],
    )


@rule("max_pool1d", "max_pool2d", "max_pool2d_with_indices", "max_pool1d_with_indices")
def _max_pool(call: Call) -> Value:
    x, rank = _with_batch(call, call.value("self"))
    spatial = len(call.type_of(x)) - 2
    kernel = _each_axis(call["kernel_size"], spatial)
    strides = _each_axis(call["stride"], spatial) if call["stride"] else kernel
    pads = _each_axis(call["padding"], spatial)
    y = call.add(
        "MaxPool",
        x,
        kernel_shape=kernel,
        strides=strides,
        pads=pads + pads,
        dilations=_each_axis(call["dilation"], spatial),
        ceil_mode=int(call["ceil_mode"]),
    )
    y = _without_batch(call, y, rank)
    return _first_of(call, y)


@rule("avg_pool1d", "avg_pool2d")
def _average_pool(call: Call) -> Value:
    if call.get("divisor_override") is not None:
        raise InputError("avg_pool2d with divisor_override is not read")
    x, rank = _with_batch(call, call.value("self"))
    spatial = len(call.type_of(x)) - 2
    kernel = _each_axis(call["kernel_size"], spatial)
    pads = _each_axis(call["padding"], spatial)
    y = call.add(
        "AveragePool",
        x,
        kernel_shape=kernel,
        strides=_each_axis(call["stride"], spatial) if call["stride"] else kernel,
        pads=pads + pads,
        ceil_mode=int(call["ceil_mode"]),
        count_include_pad=int(call["count_include_pad"]),
    )
    return _without_batch(call, y, rank)


def _with_batch(call: Call, x: str) -> tuple[str, int]:
    """A value with an axis for the batch, and how many axes it had. torch pools a single sequence (C, T) too."""
    rank = len(call.type_of(x))
    spatial = 1 if "1d" in str(call.node.target) else 2
    if rank == spatial + 1:
        x = call.add("Unsqueeze", x, axes=(0,))
    return x, rank


def _without_batch(call: Call, y: str, rank: int) -> str:
    return y if len(call.type_of(y)) == rank else call.add("Squeeze", y, axes=(0,))


@rule("adaptive_avg_pool1d", "_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool1d",
       "adaptive_max_pool2d")  # fmt: skip
def _adaptive_pool(call: Call) -> Value:
    x, rank = _with_batch(call, call.value("self"))
    shape = call.type_of(x)
    sizes = call.dims("output_size")
    is_max = "max" in str(call.node.target)
    spatial = tuple(range(len(shape) - len(sizes), len(shape)))
    if sizes == (1,) * len(sizes):
        y = call.add("ReduceMax" if is_max else "ReduceMean", x, axes=spatial, keepdims=1)
    else:
        kernel = []
        for axis, size in zip(spatial, sizes, strict=True):
            if not isinstance(shape[axis], int) or not isinstance(size, int) or fixed_size(shape[axis]) % size:
                raise InputError(f"adaptive pooling of {shape[axis]} steps to {size} is read where {size} divides them")
            kernel.append(fixed_size(divided(shape[axis], size)))
        y = call.add("MaxPool" if is_max else "AveragePool", x, kernel_shape=tuple(kernel), strides=tuple(kernel))
    return _first_of(call, _without_batch(call, y, rank))


def _first_of(call: Call, value: str) -> Value:
    """The value, as the first of the results of an operation that has several; nothing else reads the others."""
    if isinstance(call.output, list | tuple):
        return (value, *[""] * (len(call.output) - 1))
    return value


def _each_axis(numbers: Any, count: int) -> tuple[int, ...]:
    """A number for each spatial axis, of one for all of them or one each."""
    if isinstance(numbers, int):
        numbers = [numbers]
    if len(numbers) == 1:
        numbers = list(numbers) * count
    return tuple(numbers)
