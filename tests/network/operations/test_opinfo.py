"""Operations against PyTorch for the samples with which PyTorch tests its own: OpInfo, in float64, with gradients."""

from __future__ import annotations

import sys
import unittest
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from gatewise.network.operation import Execution, ValueType
from gatewise.network.operations import operation_of
from tests.network.operations.checks import dtype_of

torch = pytest.importorskip("torch")

Read = Callable[..., "tuple[dict[str, Any], list[Any]] | None"]
"""Of the arguments of a function of torch: the attributes of an operation and its inputs; None for what it is not."""


def _same(count: int) -> Read:
    """A function whose `count` tensors are the inputs, without further arguments."""

    def read(*arguments: Any, **options: Any) -> Any:
        if len(arguments) != count or options or not all(isinstance(one, torch.Tensor) for one in arguments):
            return None
        return {}, list(arguments)

    return read


def _numbers(x: Any, y: Any, *, alpha: float = 1, rounding_mode: str | None = None) -> Any:
    """Two values of one dtype, the second one perhaps a number."""
    if alpha != 1 or rounding_mode:
        return None
    return {}, [x, torch.as_tensor(y, dtype=x.dtype)]


def _comparison(x: Any, y: Any) -> Any:
    return {}, [x, torch.as_tensor(y, dtype=x.dtype)]


def _with(**names: str) -> Read:
    """An activation whose options have other names as attributes."""

    def read(x: Any, *arguments: Any, **options: Any) -> Any:
        options |= zip(names, arguments, strict=False)
        options.pop("inplace", None)
        if set(options) - set(names):
            return None
        return {names[key]: value for key, value in options.items()}, [x]

    return read


def _round(x: Any, *, decimals: int = 0) -> Any:
    return ({}, [x]) if decimals == 0 else None


def _softmax(x: Any, dim: int, dtype: Any = None, **options: Any) -> Any:
    return ({"axis": dim}, [x]) if x.ndim else None


def _where(x: Any, condition: Any, y: Any) -> Any:
    return {}, [condition, torch.as_tensor(x), torch.as_tensor(y, dtype=x.dtype)]


def _masked_fill(x: Any, mask: Any, value: Any) -> Any:
    return {}, [mask, torch.as_tensor(value, dtype=x.dtype), x]


def _reduction(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, **options: Any) -> Any:
    if options or dtype is not None:
        return None
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return {"keepdims": int(keepdim)}, [x]
    axes = dim if isinstance(dim, (tuple, list)) else (dim,)
    return ({"axes": tuple(axes), "keepdims": int(keepdim)}, [x]) if x.ndim else None


def _arg(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return ({"axis": dim, "keepdims": int(keepdim)}, [x]) if x.ndim and dim is not None else None


def _cumsum(x: Any, dim: int, *, dtype: Any = None) -> Any:
    return ({"axis": dim}, [x]) if x.ndim and dtype is None else None


def _cat(tensors: Any, dim: int = 0, **options: Any) -> Any:
    dim = options.get("dim", dim)
    shapes = {one.ndim for one in tensors}
    return ({"axis": dim}, list(tensors)) if len(shapes) == 1 and len({one.dtype for one in tensors}) == 1 else None


def _shape(x: Any, *shape: Any) -> Any:
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list, torch.Size)) else shape
    return {"shape": tuple(sizes)}, [x]


def _expand(x: Any, *shape: Any) -> Any:
    attributes, _ = _shape(x, *shape)
    # -1 keeps the size of an axis.
    sizes = attributes["shape"]
    offset = len(sizes) - x.ndim
    return {"shape": tuple(x.shape[n - offset] if size == -1 else size for n, size in enumerate(sizes))}, [x]


def _repeat(x: Any, *repeats: Any) -> Any:
    sizes = repeats[0] if isinstance(repeats[0], (tuple, list)) else repeats
    return ({"repeats": tuple(sizes)}, [x]) if len(sizes) == x.ndim else None


def _permute(x: Any, dims: Any) -> Any:
    return {"perm": tuple(dim % max(x.ndim, 1) for dim in dims)}, [x]


def _squeeze(x: Any, dim: Any = None) -> Any:
    if dim is None or not x.ndim:
        return None
    axes = dim if isinstance(dim, (tuple, list)) else (dim,)
    return {"axes": tuple(axis for axis in axes if x.shape[axis] == 1)}, [x]


def _unsqueeze(x: Any, dim: int) -> Any:
    return {"axes": (dim,)}, [x]


def _split(x: Any, sizes: Any, dim: int = 0) -> Any:
    if isinstance(sizes, int):
        whole, rest = divmod(x.shape[dim], sizes)
        sizes = [sizes] * whole + [rest] * bool(rest)
    return {"split": tuple(sizes), "axis": dim}, [x]


def _index_select(x: Any, dim: int, index: Any) -> Any:
    return ({"axis": dim}, [x, index]) if x.ndim and index.ndim else None


def _gather(x: Any, dim: int, index: Any, **options: Any) -> Any:
    return ({"axis": dim}, [x, index]) if x.ndim else None


def _scatter(x: Any, dim: int, index: Any, source: Any, **options: Any) -> Any:
    if options or not x.ndim or not isinstance(source, torch.Tensor) or source.shape != index.shape:
        return None
    along = index.movedim(dim, -1).sort(-1).values
    twice = bool((along[..., 1:] == along[..., :-1]).any())
    return None if twice else ({"axis": dim}, [x, index, source])


def _scatter_add(x: Any, dim: int, index: Any, source: Any) -> Any:
    same = x.ndim and source.shape == index.shape
    return ({"axis": dim, "reduction": "add"}, [x, index, source]) if same else None


def _topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    return ({"K": k, "axis": dim, "largest": int(largest)}, [x]) if x.ndim and sorted else None


def _tri(upper: int) -> Read:
    def read(x: Any, k: int = 0) -> Any:
        return {"upper": upper, "k": k}, [x]

    return read


def _flip(x: Any, dims: Any) -> Any:
    count = len(dims)
    return {
        "starts": (-1,) * count,
        "ends": (-(1 << 40),) * count,
        "axes": tuple(dims),
        "steps": (-1,) * count,
    }, [x]


def _narrow(x: Any, dim: int, start: Any, length: int) -> Any:
    if isinstance(start, torch.Tensor):
        return None
    first = start % x.shape[dim] if x.shape[dim] else 0
    return {"starts": (first,), "ends": (first + length,), "axes": (dim,)}, [x]


def _pad_of(width: tuple[int, ...]) -> dict[str, Any]:
    """The pads of torch, from the last axis on, as those of ONNX."""
    starts, ends = width[::2], width[1::2]
    return {"pads": (*starts, *ends), "axes": tuple(-1 - n for n in range(len(starts)))}


_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _pad(mode: str) -> Read:
    def read(x: Any, pad: Any, mode_of_torch: str = "constant", value: Any = None, **options: Any) -> Any:
        if mode != "constant" and min(pad) < 0:
            return None
        attributes = {**_pad_of(tuple(pad)), "mode": _MODES[mode]}
        if mode == "constant":
            attributes["constant_value"] = float(value or 0.0)
        return attributes, [x]

    return read


def _tuple(value: Any, count: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * count


def _conv(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    rank = weight.ndim - 2
    if x.ndim != weight.ndim or isinstance(padding, str):
        return None
    pads = _tuple(padding, rank)
    attributes = {"strides": _tuple(stride, rank), "pads": (*pads, *pads), "dilations": _tuple(dilation, rank)}
    return {**attributes, "group": groups}, [x, weight, *([] if bias is None else [bias])]


def _pool(rank: int) -> Read:
    def read(
        x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:  # fmt: skip
        if x.ndim != rank + 2 or return_indices:
            return None
        pads = _tuple(padding, rank)
        return {
            "kernel_shape": _tuple(kernel_size, rank),
            "strides": _tuple(kernel_size if stride is None else stride, rank),
            "pads": (*pads, *pads),
            "dilations": _tuple(dilation, rank),
            "ceil_mode": int(ceil_mode),
        }, [x]

    return read


def _average(rank: int) -> Read:
    def read(
        x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: Any = None,
    ) -> Any:  # fmt: skip
        # torch and ONNX count other pads in a last window that ends behind them.
        if x.ndim != rank + 2 or divisor_override is not None or (ceil_mode and count_include_pad):
            return None
        pads = _tuple(padding, rank)
        return {
            "kernel_shape": _tuple(kernel_size, rank),
            "strides": _tuple(kernel_size if stride is None else stride, rank),
            "pads": (*pads, *pads),
            "ceil_mode": int(ceil_mode),
            "count_include_pad": int(count_include_pad),
        }, [x]

    return read


def _layer_norm(x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, **options: Any) -> Any:
    bias = options.get("bias", bias)
    if weight is None:
        return None
    axis = -len(shape)
    return {"axis": axis, "epsilon": eps}, [x, weight, *([] if bias is None else [bias])]


def _rms_norm(x: Any, shape: Any, weight: Any = None, eps: Any = None) -> Any:
    return None if weight is None or eps is None else ({"axis": -len(shape), "epsilon": eps}, [x, weight])


def _group_norm(x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    if weight is None or bias is None or x.ndim < 3:
        return None
    return {"num_groups": groups, "epsilon": eps}, [x, weight, bias]


def _instance_norm(x: Any, *arguments: Any, **options: Any) -> Any:
    names = ("running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps")
    options |= zip(names, arguments, strict=False)
    weight, bias = options.get("weight"), options.get("bias")
    if weight is None or bias is None or not options.get("use_input_stats", True) or x.ndim < 3:
        return None
    return {"epsilon": options.get("eps", 1e-5)}, [x, weight, bias]


def _batch_norm(
    x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, training: bool = False, momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:  # fmt: skip
    if training or weight is None or bias is None or mean is None:
        return None
    return {"epsilon": eps}, [x, weight, bias, mean, var]


def _embedding(table: Any, ids: Any, *arguments: Any, **options: Any) -> Any:
    limited = options.get("max_norm") is not None or options.get("scale_grad_by_freq") or options.get("sparse")
    padding = options.get("padding_idx") is not None  # whose gradient is 0
    return None if limited or padding or arguments else ({}, [table, ids])


def _one_hot(ids: Any, num_classes: int = -1) -> Any:
    return ({"depth": num_classes, "dtype": "int64"}, [ids]) if num_classes > 0 and ids.ndim else None


def _addmm(c: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    same = {one.dtype for one in (a, b, c)}
    return ({"alpha": float(alpha), "beta": float(beta)}, [a, b, c]) if len(same) == 1 else None


_SELU = {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}


def _selu(x: Any, inplace: bool = False) -> Any:
    return _SELU, [x]


def _hardsigmoid(x: Any, inplace: bool = False) -> Any:
    return {"alpha": 1 / 6, "beta": 0.5}, [x]


def _fmod(x: Any, y: Any) -> Any:
    return {"fmod": 1}, [x, torch.as_tensor(y, dtype=x.dtype)]


def _flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    return ({"axis": 1}, [x]) if start_dim == 1 and end_dim in (-1, x.ndim - 1) and x.ndim > 1 else None


def _global(x: Any, output_size: Any) -> Any:
    ones = output_size == 1 or all(size == 1 for size in _tuple(output_size, 1))
    return ({}, [x]) if ones and x.ndim > 2 else None


F = "nn.functional."
TABLE: dict[str, tuple[str, Read]] = {
    "abs": ("Abs", _same(1)),
    "add": ("Add", _numbers),
    "sub": ("Sub", _numbers),
    "mul": ("Mul", _numbers),
    "div": ("Div", _numbers),
    "true_divide": ("Div", _numbers),
    "ceil": ("Ceil", _same(1)),
    "floor": ("Floor", _same(1)),
    "round": ("Round", _round),
    "exp": ("Exp", _same(1)),
    "log": ("Log", _same(1)),
    "sqrt": ("Sqrt", _same(1)),
    "reciprocal": ("Reciprocal", _same(1)),
    "neg": ("Neg", _same(1)),
    "sign": ("Sign", _same(1)),
    "sin": ("Sin", _same(1)),
    "cos": ("Cos", _same(1)),
    "erf": ("Erf", _same(1)),
    "tanh": ("Tanh", _same(1)),
    "sigmoid": ("Sigmoid", _same(1)),
    "pow": ("Pow", _numbers),
    "fmod": ("Mod", _fmod),
    "maximum": ("Max", _same(2)),
    "minimum": ("Min", _same(2)),
    "eq": ("Equal", _comparison),
    "lt": ("Less", _comparison),
    "le": ("LessOrEqual", _comparison),
    "gt": ("Greater", _comparison),
    "ge": ("GreaterOrEqual", _comparison),
    "isnan": ("IsNaN", _same(1)),
    "isinf": ("IsInf", _same(1)),
    "where": ("Where", _where),
    "masked_fill": ("Where", _masked_fill),
    "matmul": ("MatMul", _same(2)),
    "bmm": ("MatMul", _same(2)),
    "mm": ("MatMul", _same(2)),
    "mv": ("MatMul", _same(2)),
    "dot": ("MatMul", _same(2)),
    "addmm": ("Gemm", _addmm),
    "sum": ("ReduceSum", _reduction),
    "mean": ("ReduceMean", _reduction),
    "amax": ("ReduceMax", _reduction),
    "amin": ("ReduceMin", _reduction),
    "prod": ("ReduceProd", _reduction),
    "logsumexp": ("ReduceLogSumExp", _reduction),
    "argmax": ("ArgMax", _arg),
    "argmin": ("ArgMin", _arg),
    "cumsum": ("CumSum", _cumsum),
    "cat": ("Concat", _cat),
    "expand": ("Expand", _expand),
    "repeat": ("Tile", _repeat),
    "reshape": ("Reshape", _shape),
    "permute": ("Transpose", _permute),
    "squeeze": ("Squeeze", _squeeze),
    "unsqueeze": ("Unsqueeze", _unsqueeze),
    "flatten": ("Flatten", _flatten),
    "split": ("Split", _split),
    "split_with_sizes": ("Split", _split),
    "index_select": ("Gather", _index_select),
    "gather": ("GatherElements", _gather),
    "scatter": ("ScatterElements", _scatter),
    "scatter_add": ("ScatterElements", _scatter_add),
    "topk": ("TopK", _topk),
    "tril": ("Trilu", _tri(0)),
    "triu": ("Trilu", _tri(1)),
    "flip": ("Slice", _flip),
    "narrow": ("Slice", _narrow),
    "softmax": ("Softmax", _softmax),
    "log_softmax": ("LogSoftmax", _softmax),
    F + "relu": ("Relu", _with()),
    F + "celu": ("Celu", _with(alpha="alpha")),
    F + "elu": ("Elu", _with(alpha="alpha")),
    F + "selu": ("Selu", _selu),
    F + "leaky_relu": ("LeakyRelu", _with(negative_slope="alpha")),
    F + "hardsigmoid": ("HardSigmoid", _hardsigmoid),
    F + "hardswish": ("HardSwish", _with()),
    F + "gelu": ("Gelu", _with(approximate="approximate")),
    F + "mish": ("Mish", _with()),
    F + "silu": ("Swish", _with()),
    F + "softsign": ("Softsign", _same(1)),
    F + "pad": ("Pad", _pad("constant")),
    F + "conv1d": ("Conv", _conv),
    F + "conv2d": ("Conv", _conv),
    F + "conv3d": ("Conv", _conv),
    F + "max_pool1d": ("MaxPool", _pool(1)),
    F + "max_pool2d": ("MaxPool", _pool(2)),
    F + "max_pool3d": ("MaxPool", _pool(3)),
    F + "avg_pool1d": ("AveragePool", _average(1)),
    F + "avg_pool2d": ("AveragePool", _average(2)),
    F + "avg_pool3d": ("AveragePool", _average(3)),
    F + "adaptive_avg_pool1d": ("GlobalAveragePool", _global),
    F + "layer_norm": ("LayerNormalization", _layer_norm),
    F + "rms_norm": ("RMSNormalization", _rms_norm),
    F + "group_norm": ("GroupNormalization", _group_norm),
    F + "instance_norm": ("InstanceNormalization", _instance_norm),
    F + "batch_norm": ("BatchNormalization", _batch_norm),
    F + "embedding": ("Gather", _embedding),
    F + "one_hot": ("OneHot", _one_hot),
}
"""By the name of the function of torch: the operation, and how its arguments are read."""
PADS = {mode: _pad(mode) for mode in ("reflect", "replicate", "circular")}

# Functions whose gradient torch has in another way.
_NO_GRADIENT = {"isnan", "isinf", "eq", "lt", "le", "gt", "ge", "argmax", "argmin"}


@cache
def _op_db() -> list[Any]:
    # PyTorch's own tests compare texts with expecttest, which no sample needs.
    texts = ModuleType("expecttest")
    texts.TestCase = unittest.TestCase  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        if find_spec("expecttest") is None:
            patch.setitem(sys.modules, "expecttest", texts)
        from torch.testing._internal.common_methods_invocations import op_db
    return list(op_db)


def _samples(name: str) -> Iterator[tuple[str, Any, Any]]:
    """The operation, the sample and the function of torch, of each OpInfo with this name."""
    for info in _op_db():
        if info.name != name:
            continue
        reads = TABLE[name][1]
        if name == F + "pad" and info.variant_test_name in PADS:
            reads = PADS[info.variant_test_name]
        elif info.variant_test_name and info.variant_test_name not in ("constant", "no_rounding_mode", "decimals_0"):
            continue
        dtype = torch.int64 if name == F + "one_hot" else torch.float64
        for sample in info.sample_inputs("cpu", dtype, requires_grad=False):
            arguments = (sample.input, *sample.args)
            read = reads(*arguments, **sample.kwargs)
            if read is not None:
                yield TABLE[name][0], (info.op, sample, read[0]), read[1]


@pytest.mark.parametrize("name", TABLE)
def test_the_samples_of_torch(name: str) -> None:
    torch.manual_seed(1)
    done = 0
    for operation, (function, sample, attributes), inputs in _samples(name):
        if any(one is not None and (one.dtype not in _DTYPES or 0 in one.shape) for one in inputs):
            continue
        tensors = [None if one is None else one.detach().clone() for one in inputs]
        for tensor in tensors:
            if tensor is not None and tensor.dtype == torch.float64:
                tensor.requires_grad_(name not in _NO_GRADIENT)
        if name == F + "batch_norm":
            for statistic in tensors[3:]:
                statistic.requires_grad_(False)
        # The function reads the same tensors, so that their gradients are known.
        replaced = {id(one): tensor for one, tensor in zip(inputs, tensors, strict=True)}
        arguments = _replaced((sample.input, *sample.args), replaced)
        expected = function(*arguments, **_replaced(sample.kwargs, replaced))
        expected = [expected] if isinstance(expected, torch.Tensor) else list(expected)
        if any(0 in one.shape for one in expected):
            continue
        _compare(name, operation, attributes, tensors, expected)
        done += 1
    assert done, f"no sample of {name} is {TABLE[name][0]}"


_DTYPES = {torch.float64, torch.int64, torch.int32, torch.bool}


def _replaced(value: Any, tensors: dict[int, Any]) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(_replaced(one, tensors) for one in value)
    if isinstance(value, dict):
        return {key: _replaced(one, tensors) for key, one in value.items()}
    return tensors.get(id(value), value)


def _compare(name: str, operation: str, attributes: dict[str, Any], tensors: list[Any], expected: list[Any]) -> None:
    arrays = [None if one is None else one.detach().numpy() for one in tensors]
    where = f"{operation} {attributes} {[None if one is None else one.shape for one in arrays]}"
    built = operation_of(operation, attributes)
    types = [None if one is None else ValueType(dtype_of(one), one.shape) for one in arrays]
    inferred = built.infer(*types)
    with np.errstate(all="ignore"):
        outputs, backward = built.forward(Execution(dtype=np.float64), *arrays)
    for value_type, output, wanted in zip(inferred, outputs, expected, strict=False):
        assert value_type.shape == output.shape == tuple(wanted.shape), where
        np.testing.assert_allclose(output, wanted.detach().numpy(), rtol=1e-11, atol=1e-11, err_msg=where)
    if not expected[0].requires_grad:
        return
    grad = torch.randn_like(expected[0])
    floats = [n for n, one in enumerate(tensors) if one is not None and one.requires_grad]
    wanted = torch.autograd.grad(expected[0], [tensors[n] for n in floats], grad, allow_unused=True)
    with np.errstate(all="ignore"):
        grads = backward(grad.numpy(), *(None for _ in outputs[1:]))
    for number, of_torch in zip(floats, wanted, strict=True):
        if of_torch is None:
            continue  # a number, not a tensor, in torch
        array = np.zeros_like(arrays[number]) if grads[number] is None else grads[number]
        message = f"the gradient of input {number} of {where}"
        np.testing.assert_allclose(array, of_torch.numpy(), rtol=1e-6, atol=1e-8, err_msg=message)
