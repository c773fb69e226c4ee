"""The operations of a graph as functions of torch, by their names.

Each takes the operation, what a run knows (`Run`), and the tensors that the node reads, None for one that is left out.
It returns one tensor, or a tuple of several. Gradients are those of torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gatewise.errors import InputError
from gatewise.network.size import Dim, value_of
from gatewise.network.windows import Windows, places

_DTYPES = {"int64": torch.int64, "int32": torch.int32, "bool": torch.bool}


@dataclass(frozen=True)
class Run:
    """What the operations of a run read besides tensors. sizes: of the symbols. shapes: of the outputs of the node.
    float_dtype, device: of the tensors that a node makes.
    """

    sizes: Mapping[str, int]
    shapes: tuple[tuple[int, ...], ...]
    float_dtype: torch.dtype
    device: torch.device

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first output."""
        return self.shapes[0]

    def size(self, dim: Dim) -> int:
        """The number that a size is in this run."""
        return value_of(dim, self.sizes)

    def vector(self, shape: tuple[Dim, ...]) -> tuple[int, ...]:
        """The numbers of sizes in this run."""
        return tuple(value_of(dim, self.sizes) for dim in shape)

    def dtype(self, name: str) -> torch.dtype:
        """That of torch of a dtype of a graph."""
        return _DTYPES.get(name, self.float_dtype)


Function = Callable[..., Tensor | tuple[Tensor, ...]]


def _plain(function: Callable[..., Tensor]) -> Function:
    """A function of tensors alone."""
    return lambda operation, run, *tensors: function(*tensors)


def _clip(operation: Any, run: Run, x: Tensor, lower: Tensor | None = None, upper: Tensor | None = None) -> Tensor:
    if lower is not None:
        x = torch.maximum(x, lower.reshape(()))
    if upper is not None:
        x = torch.minimum(x, upper.reshape(()))
    return x


def _div(operation: Any, run: Run, a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _mod(operation: Any, run: Run, a: Tensor, b: Tensor) -> Tensor:
    return torch.fmod(a, b) if operation.fmod else torch.remainder(a, b)


def _pow(operation: Any, run: Run, base: Tensor, exponent: Tensor) -> Tensor:
    if base.is_floating_point():
        return torch.pow(base, exponent.to(base.dtype))
    return torch.pow(base, exponent).to(base.dtype)


def _is_inf(operation: Any, run: Run, x: Tensor) -> Tensor:
    below = torch.isneginf(x) & bool(operation.detect_negative)
    above = torch.isposinf(x) & bool(operation.detect_positive)
    return below | above


def _celu(operation: Any, run: Run, x: Tensor) -> Tensor:
    alpha = operation.alpha
    return torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0) / alpha))


def _elu(operation: Any, run: Run, x: Tensor) -> Tensor:
    return torch.where(x > 0, x, operation.alpha * torch.expm1(torch.clamp(x, max=0)))


def _selu(operation: Any, run: Run, x: Tensor) -> Tensor:
    scaled: Tensor = operation.gamma * _elu(operation, run, x)
    return scaled


def _gelu(operation: Any, run: Run, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=operation.approximate)


def _hard_sigmoid(operation: Any, run: Run, x: Tensor) -> Tensor:
    return torch.clamp(operation.alpha * x + operation.beta, 0, 1)


def _hard_swish(operation: Any, run: Run, x: Tensor) -> Tensor:
    return x * torch.clamp(x / 6 + 0.5, 0, 1)


def _leaky_relu(operation: Any, run: Run, x: Tensor) -> Tensor:
    return torch.where(x > 0, x, operation.alpha * x)


def _thresholded_relu(operation: Any, run: Run, x: Tensor) -> Tensor:
    return torch.where(x <= operation.alpha, torch.zeros_like(x), x)


def _swish(operation: Any, run: Run, x: Tensor) -> Tensor:
    return x * torch.sigmoid(operation.alpha * x)


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x > 0, x, slope * x)


def _softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros_like(x))


def _mean(*tensors: Tensor) -> Tensor:
    return reduce(torch.add, tensors) / len(tensors)


# Reductions


def _reduction(function: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> Function:
    """A function of a tensor, the axes and whether they stay."""

    def reduced(operation: Any, run: Run, x: Tensor) -> Tensor:
        if not operation.axes and operation.noop_with_empty_axes:
            # Each number by itself is one along a new axis.
            return function(x.unsqueeze(-1), (-1,), False)
        if not operation.axes and x.dim() == 0:
            return function(x.unsqueeze(-1), (-1,), False)
        axes = tuple(axis % x.dim() for axis in operation.axes or range(x.dim()))
        return function(x, axes, bool(operation.keepdims))

    return reduced


def _extreme(function: Callable[..., Tensor]) -> Function:
    def extreme(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
        if x.dtype == torch.bool:
            return function(x.to(torch.int32), axes, keepdims).to(torch.bool)
        return function(x, axes, keepdims)

    return _reduction(extreme)


def _prod(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    dtype = x.dtype
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keepdims)
    return x.to(dtype)


def _sum(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    return x.sum(axes, keepdim=keepdims, dtype=x.dtype)


def _l2(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, 2, axes, keepdim=keepdims)
    return norm


def _mean_along(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if x.is_floating_point():
        return x.mean(axes, keepdim=keepdims)
    count = math.prod(x.shape[axis] for axis in axes)
    total = _sum(x, axes, keepdims)
    return torch.div(total, count, rounding_mode="trunc")


def _arg(function: Callable[..., Tensor]) -> Function:
    def index(operation: Any, run: Run, x: Tensor) -> Tensor:
        axis = operation.axis % x.dim()
        if not operation.select_last_index:
            return function(x, axis, bool(operation.keepdims))
        from_end = function(x.flip(axis), axis, bool(operation.keepdims))
        last: Tensor = x.shape[axis] - 1 - from_end
        return last

    return index


# Arrangement


def _cast(operation: Any, run: Run, x: Tensor) -> Tensor:
    dtype = run.dtype(operation.to)
    if x.is_floating_point() and dtype in (torch.int64, torch.int32):
        low = float(torch.iinfo(dtype).min)
        inside = (torch.trunc(x) >= low) & (x < -low)
        if not bool(inside.all()):
            raise InputError(f"Cast: {float(x[~inside].flatten()[0])} is no {operation.to}")
    return x != 0 if dtype == torch.bool and x.is_floating_point() else x.to(dtype)


def _constant_of_shape(operation: Any, run: Run) -> Tensor:
    return torch.full(run.shape, operation.value, dtype=run.dtype(operation.dtype), device=run.device)


def _range(operation: Any, run: Run) -> Tensor:
    bounds = run.size(operation.start), run.size(operation.limit)
    numbers = range(*bounds, operation.delta)
    return torch.tensor(list(numbers), dtype=run.dtype(operation.dtype), device=run.device)


def _sizes(operation: Any, run: Run) -> Tensor:
    return torch.tensor(run.vector(operation.sizes), dtype=torch.int64, device=run.device).reshape(run.shape)


def _concat(operation: Any, run: Run, *tensors: Tensor) -> Tensor:
    return torch.cat(tensors, operation.axis)


def _reshaped(operation: Any, run: Run, x: Tensor) -> Tensor:
    return x.reshape(run.shape)


def _expand(operation: Any, run: Run, x: Tensor) -> Tensor:
    return x.expand(run.shape)


def _transpose(operation: Any, run: Run, x: Tensor) -> Tensor:
    return x.permute(tuple(reversed(range(x.dim()))) if operation.perm is None else operation.perm)


def _tile(operation: Any, run: Run, x: Tensor) -> Tensor:
    return x.repeat(run.vector(operation.repeats)) if x.dim() else x


def _split(operation: Any, run: Run, x: Tensor) -> tuple[Tensor, ...]:
    axis = operation.axis % x.dim()
    return torch.split(x, [shape[axis] for shape in run.shapes], axis)


def _slice(operation: Any, run: Run, x: Tensor) -> Tensor:
    axes = operation.axes if operation.axes is not None else tuple(range(len(operation.starts)))
    steps = operation.steps or (1,) * len(axes)
    for axis, first, last, step in zip(
        axes, run.vector(operation.starts), run.vector(operation.ends), steps, strict=True
    ):
        size = x.shape[axis]
        # Below the first row a slice that counts down has no bound that Python writes as a number.
        end = None if step < 0 and last < -size else last
        if step > 0:
            index: list[slice] = [slice(None)] * (axis % x.dim())
            x = x[(*index, slice(first, end, step))]
        else:
            x = _rows(x, axis % x.dim(), np.arange(size)[first:end:step])
    return x


def _rows(x: Tensor, axis: int, rows: Any) -> Tensor:
    """The rows with these numbers of an axis."""
    return x.index_select(axis, torch.as_tensor(rows.copy(), device=x.device))


def _pad(operation: Any, run: Run, x: Tensor) -> Tensor:
    axes = range(x.dim()) if operation.axes is None else [axis % x.dim() for axis in operation.axes]
    pads = run.vector(operation.pads)
    around = {axis: (pads[place], pads[len(axes) + place]) for place, axis in enumerate(axes)}
    if operation.mode == "constant":
        flat = [pad for axis in reversed(range(x.dim())) for pad in around.get(axis, (0, 0))]
        return functional.pad(x, flat, value=operation.constant_value) if flat else x
    for axis, (before, after) in around.items():
        mode: Any = operation.mode
        x = _rows(x, axis, np.pad(np.arange(x.shape[axis]), (before, after), mode=mode))
    return x


def _from_front(indices: Tensor, size: int) -> Tensor:
    """Indices of an axis of this size, those that count from the end counted from the front. Refuses others."""
    outside = (indices < -size) | (indices >= size)
    if bool(outside.any()):
        index = int(indices[outside].flatten()[0])
        raise InputError(f"the index {index} is out of range for an axis of size {size}")
    return torch.where(indices < 0, indices + size, indices).long()


def _gather(operation: Any, run: Run, data: Tensor, indices: Tensor) -> Tensor:
    axis = operation.axis % data.dim()
    rows = _from_front(indices, data.shape[axis])
    return data.index_select(axis, rows.flatten()).reshape(run.shape)


def _gather_elements(operation: Any, run: Run, data: Tensor, indices: Tensor) -> Tensor:
    axis = operation.axis % data.dim()
    return torch.gather(data, axis, _from_front(indices, data.shape[axis]))


def _gather_nd(operation: Any, run: Run, data: Tensor, indices: Tensor) -> Tensor:
    batch = operation.batch_dims
    index: list[Tensor] = []
    for axis in range(batch):
        shape = [1] * (indices.dim() - 1)
        shape[axis] = -1
        index.append(torch.arange(indices.shape[axis], device=data.device).reshape(shape))
    for number in range(indices.shape[-1]):
        index.append(_from_front(indices[..., number], data.shape[batch + number]))
    return data[tuple(index)]


def _scatter_elements(operation: Any, run: Run, data: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    axis = operation.axis % data.dim()
    rows = _from_front(indices, data.shape[axis])
    if operation.reduction == "add":
        return data.scatter_add(axis, rows, updates)
    times = torch.zeros(data.shape, dtype=torch.int64, device=data.device)
    if bool((times.scatter_add(axis, rows, torch.ones_like(rows)) > 1).any()):
        raise InputError("ScatterElements: an index stands twice")
    return data.scatter(axis, rows, updates)


def _one_hot(operation: Any, run: Run, indices: Tensor) -> Tensor:
    depth = run.size(operation.depth)
    rows = indices.long()
    rows = torch.where(rows < 0, rows + depth, rows)
    hot = rows.unsqueeze(-1) == torch.arange(depth, device=rows.device)
    off, on = torch.tensor(operation.values, dtype=run.dtype(operation.dtype), device=rows.device)
    return torch.where(hot, on, off).movedim(-1, operation.axis)


def _top_k(operation: Any, run: Run, x: Tensor) -> tuple[Tensor, Tensor]:
    axis = operation.axis % x.dim()
    values, order = torch.sort(x, dim=axis, descending=bool(operation.largest), stable=True)
    count = run.size(operation.K)
    return values.narrow(axis, 0, count), order.narrow(axis, 0, count)


def _trilu(operation: Any, run: Run, x: Tensor) -> Tensor:
    diagonal = run.size(operation.k)
    return torch.triu(x, diagonal) if operation.upper else torch.tril(x, diagonal)


def _cum_sum(operation: Any, run: Run, x: Tensor) -> Tensor:
    axis = operation.axis % x.dim()
    steps = x.flip(axis) if operation.reverse else x
    sums = steps.cumsum(axis, dtype=x.dtype)
    if operation.exclusive:
        sums = sums - steps
        # The sum of none, and not a difference that rounding, inf or NaN changes.
        before = steps.narrow(axis, 0, steps.shape[axis] - 1).cumsum(axis, dtype=x.dtype)
        sums = torch.cat([torch.zeros_like(steps.narrow(axis, 0, 1)), before], axis)
    return sums.flip(axis) if operation.reverse else sums


def _reverse_sequence(operation: Any, run: Run, x: Tensor, lengths: Tensor) -> Tensor:
    steps = x.shape[operation.time_axis]
    outside = (lengths < 0) | (lengths > steps)
    if bool(outside.any()):
        raise InputError(f"ReverseSequence: a sequence of {steps} steps has no length {int(lengths[outside][0])}")
    step = torch.arange(steps, device=x.device)
    ends = lengths.long().unsqueeze(1)
    read = torch.where(step < ends, ends - 1 - step, step)  # (B, T)
    rows = torch.arange(len(lengths), device=x.device).unsqueeze(1)
    return x[rows, read] if operation.batch_axis == 0 else x[read.T, rows.T]


def _require_longest(operation: Any, run: Run, x: Tensor, lengths: Tensor) -> Tensor:
    if int(lengths.max()) != x.shape[1]:
        longest = f"the longest of their lengths is {int(lengths.max())}"
        raise InputError(f"RequireLongest: the sequences have {x.shape[1]} steps, and {longest}")
    return x


# Products, windows and normalisations


def _gemm(operation: Any, run: Run, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    left = a.T if operation.transA else a
    right = b.T if operation.transB else b
    y: Tensor = operation.alpha * (left @ right)
    return y if c is None else y + operation.beta * c


def _einsum(operation: Any, run: Run, *tensors: Tensor) -> Tensor:
    return torch.einsum(operation.without_ellipses([x.dim() for x in tensors]), *tensors)


def _padded(x: Tensor, windows: list[Windows], fill: float) -> Tensor:
    """x (N, C, *spatial) with the pads of the windows."""
    pads = [along.pads(size) for along, size in zip(windows, x.shape[2:], strict=True)]
    return functional.pad(x, [pad for around in reversed(pads) for pad in around], value=fill)


def _conv(operation: Any, run: Run, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    functions = (functional.conv1d, functional.conv2d, functional.conv3d)
    rank = x.dim() - 2
    if rank > len(functions):
        raise InputError(f"Conv: torch has no convolution along {rank} axes")
    windows = operation.windows(tuple(x.shape[2:]), tuple(w.shape[2:]))
    strides = tuple(along.stride for along in windows)
    dilations = tuple(along.dilation for along in windows)
    convolution: Any = functions[rank - 1]
    y: Tensor = convolution(_padded(x, windows, 0), w, b, stride=strides, dilation=dilations, groups=operation.group)
    return y


def _average_pool(operation: Any, run: Run, x: Tensor) -> Tensor:
    windows = operation.pool_windows(tuple(x.shape[2:]))
    source = _padded(x, windows, 0)
    counted = _padded(torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device), windows, 0)
    if operation.count_include_pad:
        counted = torch.zeros_like(counted)
        within = [
            slice(run.size(a.before) + size + run.size(a.after)) for a, size in zip(windows, x.shape[2:], strict=True)
        ]
        place_of_numbers: tuple[Any, ...] = (..., *within)
        counted[place_of_numbers] = 1
    total = x.new_zeros(run.shape)
    counts = x.new_zeros((1, 1, *run.shape[2:]))
    for _, place in places(windows):
        total = total + source[place]
        counts = counts + counted[place]
    if not bool((counts > 0).all()):
        raise InputError("AveragePool: a window has only pads")
    return total / counts


def _max_pool(operation: Any, run: Run, x: Tensor) -> Tensor:
    windows = operation.pool_windows(tuple(x.shape[2:]))
    source = _padded(x, windows, -math.inf)
    return torch.stack([source[place] for _, place in places(windows)]).max(0).values


def _global_max_pool(operation: Any, run: Run, x: Tensor) -> Tensor:
    return x.flatten(2).max(-1).values.reshape(run.shape)


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (x.dim() - 2))


def _batch_normalization(
    operation: Any, run: Run, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor
) -> Tensor:
    inverse = torch.rsqrt(_per_channel(var, x) + operation.epsilon)
    return (x - _per_channel(mean, x)) * inverse * _per_channel(scale, x) + _per_channel(bias, x)


def _normalised(x: Tensor, axes: tuple[int, ...], epsilon: float, centred: bool = True) -> Tensor:
    if centred:
        x = x - x.mean(axes, keepdim=True)
    return x * torch.rsqrt((x * x).mean(axes, keepdim=True) + epsilon)


def _instance_normalization(operation: Any, run: Run, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    y = _normalised(x, tuple(range(2, x.dim())), operation.epsilon)
    return y * _per_channel(scale, x) + _per_channel(bias, x)


def _group_normalization(operation: Any, run: Run, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups = x.reshape(x.shape[0], operation.num_groups, -1)
    y = _normalised(groups, (2,), operation.epsilon).reshape(x.shape)
    return y * _per_channel(scale, x) + _per_channel(bias, x)


def _layer_normalization(operation: Any, run: Run, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    axes = tuple(range(operation.axis % x.dim(), x.dim()))
    y = _normalised(x, axes, operation.epsilon) * scale
    return y if bias is None else y + bias


def _rms_normalization(operation: Any, run: Run, x: Tensor, scale: Tensor) -> Tensor:
    return _normalised(x, tuple(range(operation.axis % x.dim(), x.dim())), operation.epsilon, centred=False) * scale


FUNCTIONS: dict[str, Function] = {
    "Abs": _plain(torch.abs),
    "Add": _plain(torch.add),
    "And": _plain(torch.logical_and),
    "ArgMax": _arg(torch.argmax),
    "ArgMin": _arg(torch.argmin),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Ceil": _plain(torch.ceil),
    "Celu": _celu,
    "Clip": _clip,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "Cos": _plain(torch.cos),
    "CumSum": _cum_sum,
    "Div": _div,
    "Dropout": _plain(torch.clone),
    "Einsum": _einsum,
    "Elu": _elu,
    "Equal": _plain(torch.eq),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Expand": _expand,
    "Flatten": _reshaped,
    "Floor": _plain(torch.floor),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _plain(lambda x: x.mean(tuple(range(2, x.dim())), keepdim=True)),
    "GlobalMaxPool": _global_max_pool,
    "Greater": _plain(torch.gt),
    "GreaterOrEqual": _plain(torch.ge),
    "GroupNormalization": _group_normalization,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": _plain(torch.clone),
    "InstanceNormalization": _instance_normalization,
    "IsInf": _is_inf,
    "IsNaN": _plain(torch.isnan),
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": _leaky_relu,
    "Less": _plain(torch.lt),
    "LessOrEqual": _plain(torch.le),
    "Log": _plain(torch.log),
    "LogSoftmax": lambda operation, run, x: torch.log_softmax(x, operation.axis),
    "MatMul": _plain(torch.matmul),
    "Max": _plain(lambda *tensors: reduce(torch.maximum, tensors)),
    "MaxPool": _max_pool,
    "Mean": _plain(_mean),
    "Min": _plain(lambda *tensors: reduce(torch.minimum, tensors)),
    "Mish": _plain(lambda x: x * torch.tanh(_softplus(x))),
    "Mod": _mod,
    "Mul": _plain(torch.mul),
    "Neg": _plain(torch.neg),
    "Not": _plain(torch.logical_not),
    "OneHot": _one_hot,
    "Or": _plain(torch.logical_or),
    "PRelu": _plain(_prelu),
    "Pad": _pad,
    "Pow": _pow,
    "RMSNormalization": _rms_normalization,
    "Range": _range,
    "Reciprocal": _plain(torch.reciprocal),
    "ReduceL1": _reduction(lambda x, axes, keepdims: _sum(x.abs(), axes, keepdims)),
    "ReduceL2": _reduction(_l2),
    "ReduceLogSumExp": _reduction(lambda x, axes, keepdims: torch.logsumexp(x, axes, keepdims)),
    "ReduceMax": _extreme(torch.amax),
    "ReduceMean": _reduction(_mean_along),
    "ReduceMin": _extreme(torch.amin),
    "ReduceProd": _reduction(_prod),
    "ReduceSum": _reduction(_sum),
    "ReduceSumSquare": _reduction(lambda x, axes, keepdims: _sum(x * x, axes, keepdims)),
    "Relu": _plain(torch.relu),
    "RequireLongest": _require_longest,
    "Reshape": _reshaped,
    "ReverseSequence": _reverse_sequence,
    "Round": _plain(torch.round),
    "ScatterElements": _scatter_elements,
    "Selu": _selu,
    "Sigmoid": _plain(torch.sigmoid),
    "Sign": _plain(torch.sign),
    "Sin": _plain(torch.sin),
    "Sizes": _sizes,
    "Slice": _slice,
    "Softmax": lambda operation, run, x: torch.softmax(x, operation.axis),
    "Softplus": _plain(_softplus),
    "Softsign": _plain(functional.softsign),
    "Split": _split,
    "Sqrt": _plain(torch.sqrt),
    "Squeeze": _reshaped,
    "Sub": _plain(torch.sub),
    "Sum": _plain(lambda *tensors: reduce(torch.add, tensors)),
    "Swish": _swish,
    "Tanh": _plain(torch.tanh),
    "ThresholdedRelu": _thresholded_relu,
    "Tile": _tile,
    "TopK": _top_k,
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _reshaped,
    "Where": _plain(torch.where),
    "Xor": _plain(torch.logical_xor),
}
