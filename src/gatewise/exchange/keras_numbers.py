"""The operations of `keras.ops` on numbers: arithmetic, activations, comparisons, reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.exchange.keras_rules import Arguments, rule
from gatewise.exchange.keras_values import KerasValues, graph_dtype
from gatewise.network.operation import DType

# Numbers

_UNARY = {
    "Absolute": "Abs",
    "Ceil": "Ceil",
    "Cos": "Cos",
    "Erf": "Erf",
    "Exp": "Exp",
    "Floor": "Floor",
    "Log": "Log",
    "Negative": "Neg",
    "Reciprocal": "Reciprocal",
    "Relu": "Relu",
    "Sigmoid": "Sigmoid",
    "Sin": "Sin",
    "Softplus": "Softplus",
    "Softsign": "Softsign",
    "Sqrt": "Sqrt",
    "Tanh": "Tanh",
    "HardSilu": "HardSwish",
    "Silu": "Swish",
    "Mish": "Mish",
}


@rule(*_UNARY)
def _unary(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add(_UNARY[type(operation).__name__], values.value(given["x"], dtype))


@rule("Sign")
def _sign(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    sign = values.add("Sign", x)
    if dtype != "float" or values.keras.config.backend() != "torch":
        return sign
    # The sign of NaN is 0 in PyTorch, and NaN in the other backends.
    return values.add("Where", values.add("IsNaN", x), values.number(0), sign)


@rule("Copy", "StopGradient", "ConvertToTensor", "Array", "Identity", "View")
def _same(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.value(next(iter(given.values())), dtype)


@rule("Cast")
def _cast(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.value(given["x"], dtype)


_BINARY = {
    "Add": "Add",
    "Subtract": "Sub",
    "Multiply": "Mul",
    "Divide": "Div",
    "TrueDivide": "Div",
    "Maximum": "Max",
    "Minimum": "Min",
    "Power": "Pow",
}
_BINARY_OF_BOOLS = {"Add": "Or", "Multiply": "And", "Maximum": "Or", "Minimum": "And"}


@rule(*_BINARY)
def _binary(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    name = type(operation).__name__
    left, right = both_operands(values, given, dtype)
    if dtype == "bool":
        if name not in _BINARY_OF_BOOLS:
            raise InputError("it computes numbers of truth values; use ops.cast(x, 'float32') before it")
        return values.add(_BINARY_OF_BOOLS[name], left, right)
    return values.add(_BINARY[name], left, right)


def both_operands(values: KerasValues, given: Arguments, dtype: DType) -> tuple[str, str]:
    """The values x1 and x2 of an operation, in one dtype."""
    return values.value(given["x1"], dtype), values.value(given["x2"], dtype)


@rule("DivideNoNan")
def _divide_no_nan(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    left, right = both_operands(values, given, dtype)
    zero = values.number(0)
    return values.add("Where", values.add("Equal", right, zero), zero, values.add("Div", left, right))


@rule("FloorDivide")
def _floor_divide(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    left, right = both_operands(values, given, dtype)
    if dtype == "float":
        return values.add("Floor", values.add("Div", left, right))
    # The quotient of whole numbers is rounded towards 0 in ONNX, and there is none to round without the remainder.
    return values.add("Div", values.add("Sub", left, values.add("Mod", left, right)), right)


@rule("Mod")
def _mod(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    left, right = both_operands(values, given, dtype)
    if dtype != "float":
        return values.add("Mod", left, right)
    # With the sign of the divisor, as in Python.
    remainder = values.add("Mod", left, right, fmod=1)
    zero = values.number(0)
    opposite = values.add("Less", values.add("Mul", remainder, right), zero)
    return values.add("Where", opposite, values.add("Add", remainder, right), remainder)


@rule("Square")
def _square(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    return values.add("Mul", x, x)


@rule("Rsqrt")
def _rsqrt(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("Reciprocal", values.add("Sqrt", values.value(given["x"], dtype)))


@rule("Log1p")
def _log1p(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    """Exact near 0, too (Kahan): x log(u) / (u - 1) for u = 1 + x."""
    x = values.value(given["x"], dtype)
    one = values.number(1)
    u = values.add("Add", x, one)
    quotient = values.add("Div", values.add("Mul", x, values.add("Log", u)), values.add("Sub", u, one))
    whole = values.add("Where", values.add("IsInf", u), u, quotient)
    return values.add("Where", values.add("Equal", u, one), x, whole)


@rule("Expm1")
def _expm1(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    """Exact near 0, too: 2 t / (1 - t) for t = tanh(x / 2)."""
    x = values.value(given["x"], dtype)
    one = values.number(1)
    t = values.add("Tanh", values.add("Mul", x, values.number(0.5)))
    near = values.add("Div", values.add("Add", t, t), values.add("Sub", one, t))
    is_near = values.add("Less", values.add("Abs", x), one)
    return values.add("Where", is_near, near, values.add("Sub", values.add("Exp", x), one))


@rule("Log2", "Log10")
def _log_of_base(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    base = {"Log2": 2.0, "Log10": 10.0}[type(operation).__name__]
    return values.add("Div", values.add("Log", values.value(given["x"], dtype)), values.number(np.log(base)))


@rule("Round")
def _round(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    if operation.decimals:
        raise InputError("it rounds to decimals")
    return x if dtype != "float" else values.add("Round", x)


@rule("Clip")
def _clip(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    for bound, limit in ((operation.x_min, "Max"), (operation.x_max, "Min")):
        if bound is not None:
            x = values.add(limit, x, values.value(bound, dtype))
    return x


@rule("NanToNum")
def _nan_to_num(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    if dtype != "float":
        return x
    largest = float(np.finfo(np.float32).max)
    posinf = largest if operation.posinf is None else operation.posinf
    neginf = -largest if operation.neginf is None else operation.neginf
    for sign, replaced in ((1, posinf), (0, neginf)):
        infinite = values.add("IsInf", x, detect_positive=sign, detect_negative=1 - sign)
        x = values.add("Where", infinite, values.number(replaced), x)
    return values.add("Where", values.add("IsNaN", x), values.number(operation.nan), x)


# Activations


@rule("Elu")
def _elu(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("Elu", values.value(given["x"], dtype), alpha=float(operation.alpha))


@rule("Celu")
def _celu(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("Celu", values.value(given["x"], dtype), alpha=float(operation.alpha))


@rule("Selu")
def _selu(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    alpha = 1.6732632423543772848170429916717
    gamma = 1.0507009873554804934193349852946
    return values.add("Selu", values.value(given["x"], dtype), alpha=alpha, gamma=gamma)


@rule("LeakyRelu")
def _leaky_relu(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("LeakyRelu", values.value(given["x"], dtype), alpha=float(operation.negative_slope))


@rule("Gelu")
def _gelu(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    approximate = "tanh" if operation.approximate else "none"
    return values.add("Gelu", values.value(given["x"], dtype), approximate=approximate)


@rule("HardSigmoid")
def _hard_sigmoid(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("HardSigmoid", values.value(given["x"], dtype), alpha=1 / 6, beta=0.5)


@rule("Relu6")
def _relu6(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return _within(values, values.value(given["x"], dtype), 0, 6)


@rule("HardTanh")
def _hard_tanh(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return _within(values, values.value(given["x"], dtype), -1, 1)


def _within(values: KerasValues, x: str, low: float, high: float) -> str:
    return values.add("Clip", x, values.number(low), values.number(high))


@rule("ReLU")
def _relu_with_arguments(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    """`keras.activations.relu`, in the order in which it computes."""
    x = values.value(given["x"], dtype)
    slope = float(operation.negative_slope or 0)
    threshold = float(operation.threshold or 0)
    highest = operation.max_value
    zero = values.number(0)
    if slope and highest is None and not threshold:
        return values.add("LeakyRelu", x, alpha=slope)
    y = values.add("Relu", x)
    if threshold:
        y = values.add("Where", values.add("Greater", x, values.number(threshold)), x, zero)
    if highest is not None:
        y = _within(values, y, 0, float(highest))
    if slope:
        below = values.add("Relu", values.add("Sub", values.number(threshold), x))
        y = values.add("Sub", y, values.add("Mul", values.number(slope), below))
    return y


@rule("LogSigmoid")
def _log_sigmoid(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    return values.add("Neg", values.add("Softplus", values.add("Neg", x)))


@rule("TanhShrink")
def _tanh_shrink(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    return values.add("Sub", x, values.add("Tanh", x))


@rule("HardShrink", "SoftShrink")
def _shrink(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    threshold = float(operation.threshold)
    is_small = values.add("LessOrEqual", values.add("Abs", x), values.number(threshold))
    large = x
    if type(operation).__name__ == "SoftShrink":
        large = values.add("Sub", x, values.add("Mul", values.add("Sign", x), values.number(threshold)))
    return values.add("Where", is_small, values.number(0), large)


@rule("Threshold")
def _threshold(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    is_above = values.add("Greater", x, values.value(operation.threshold, dtype))
    return values.add("Where", is_above, x, values.value(operation.default_value, dtype))


@rule("Squareplus")
def _squareplus(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    root = values.add("Sqrt", values.add("Add", values.add("Mul", x, x), values.number(float(operation.b))))
    return values.add("Mul", values.add("Add", x, root), values.number(0.5))


@rule("SparsePlus")
def _sparse_plus(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    """0 up to -1, x from 1 on, (x + 1)² / 4 between."""
    x = values.value(given["x"], dtype)
    within = _within(values, x, -1, 1)
    half = values.add("Mul", values.add("Add", within, values.number(1)), values.number(0.5))
    return values.add("Where", values.add("Less", x, values.number(1)), values.add("Mul", half, half), x)


@rule("SparseSigmoid")
def _sparse_sigmoid(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("HardSigmoid", values.value(given["x"], dtype), alpha=0.5, beta=0.5)


@rule("Glu")
def _glu(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    axis = values.axis(operation.axis, x)
    left, right = _halves(values, x, axis)
    return values.add("Mul", left, values.add("Sigmoid", right))


def _halves(values: KerasValues, x: str, axis: int) -> tuple[str, str]:
    size = values.shape(x)[axis]
    if not isinstance(size, int) or size % 2:
        raise InputError(f"an axis of size {size} has no two halves")
    middle = size // 2
    left = values.add("Slice", x, starts=(0,), ends=(middle,), axes=(axis,))
    return left, values.add("Slice", x, starts=(middle,), ends=(size,), axes=(axis,))


@rule("Softmax", "LogSoftmax")
def _softmax(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return softmax_over(values, values.value(given["x"], dtype), operation.axis, type(operation).__name__)


def softmax_over(values: KerasValues, x: str, axis: Any, name: str = "Softmax") -> str:
    """Softmax over an axis, or over several."""
    axes = values.axes(axis, x)
    if len(axes) == 1:
        return values.add(name, x, axis=axes[0])
    total = values.add("ReduceLogSumExp", x, axes=axes, keepdims=1)
    logarithm = values.add("Sub", x, total)
    return logarithm if name == "LogSoftmax" else values.add("Exp", logarithm)


# Comparisons and logic

_COMPARISONS = {
    "Equal": "Equal",
    "NotEqual": "Equal",
    "Greater": "Greater",
    "GreaterEqual": "GreaterOrEqual",
    "Less": "Less",
    "LessEqual": "LessOrEqual",
}


@rule(*_COMPARISONS)
def _compare(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    name = type(operation).__name__
    left, right = both_operands(values, given, common_dtype(values, given["x1"], given["x2"]))
    result = values.add(_COMPARISONS[name], left, right)
    return values.add("Not", result) if name == "NotEqual" else result


def common_dtype(values: KerasValues, *operands: Any) -> DType:
    """The dtype in which Keras compares values and numbers."""
    dtypes = [getattr(operand, "dtype", type(operand)) for operand in operands]
    dtypes = [
        dtype if dtype in (int, float, bool) else values.keras.backend.standardize_dtype(dtype) for dtype in dtypes
    ]
    return graph_dtype(values.keras.backend.result_type(*dtypes))


@rule("LogicalNot")
def _not(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("Not", values.value(given["x"], "bool"))


_LOGIC = {"LogicalAnd": "And", "LogicalOr": "Or", "LogicalXor": "Xor"}


@rule(*_LOGIC)
def _logic(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add(_LOGIC[type(operation).__name__], *both_operands(values, given, "bool"))


@rule("BitwiseAnd", "BitwiseOr", "BitwiseXor")
def _bitwise(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    if dtype != "bool":
        raise InputError("it computes with the bits of numbers")
    name = type(operation).__name__.replace("Bitwise", "")
    return values.add(name, *both_operands(values, given, "bool"))


@rule("BitwiseInvert", "BitwiseNot")
def _invert(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    if dtype != "bool":
        raise InputError("it computes with the bits of numbers")
    return values.add("Not", values.value(given["x"], "bool"))


@rule("Where")
def _where(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    if given["x1"] is None or given["x2"] is None:
        raise InputError("it returns as many places as there are; give it both values")
    return values.add("Where", values.value(given["condition"], "bool"), *both_operands(values, given, dtype))


@rule("Isnan")
def _isnan(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("IsNaN", values.value(given["x"], "float"))


@rule("Isinf")
def _isinf(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("IsInf", values.value(given["x"], "float"))


@rule("Isfinite")
def _isfinite(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], "float")
    return values.add("Not", values.add("Or", values.add("IsNaN", x), values.add("IsInf", x)))


# Reductions

_REDUCTIONS = {
    "Mean": "ReduceMean",
    "Sum": "ReduceSum",
    "Max": "ReduceMax",
    "Min": "ReduceMin",
    "Amax": "ReduceMax",
    "Amin": "ReduceMin",
    "Prod": "ReduceProd",
    "Any": "ReduceMax",
    "All": "ReduceMin",
    "Logsumexp": "ReduceLogSumExp",
}


@rule(*_REDUCTIONS)
def _reduce(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    name = _REDUCTIONS[type(operation).__name__]
    y = reduced(values, name, x, operation.axis, operation.keepdims)
    initial = getattr(operation, "initial", None)
    if initial is not None:
        y = values.add(name.removeprefix("Reduce"), y, values.value(initial, dtype))
    return y


def reduced(values: KerasValues, name: str, x: str, axis: Any, keepdims: bool) -> str:
    """The value after a reduction along axes, all for None; as it is for none."""
    axes = values.axes(axis, x)
    if not axes:
        return x
    return values.add(name, x, axes=axes, keepdims=int(bool(keepdims)))


@rule("CountNonzero")
def _count_nonzero(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return reduced(values, "ReduceSum", values.cast(values.value(given["x"], "bool"), dtype), operation.axis, False)


@rule("Average")
def _average(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    if given["weights"] is None:
        return reduced(values, "ReduceMean", x, operation.axis, False)
    weights = values.value(given["weights"], dtype)
    if values.rank(weights) != values.rank(x):
        raise InputError("its weights must have as many axes as the values")
    weights = values.add("Expand", weights, shape=values.shape(x))
    total = reduced(values, "ReduceSum", values.add("Mul", x, weights), operation.axis, False)
    return values.add("Div", total, reduced(values, "ReduceSum", weights, operation.axis, False))


@rule("Var", "Std")
def _variance(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    _, variance = mean_and_variance(values, x, operation.axis, operation.keepdims)
    return values.add("Sqrt", variance) if type(operation).__name__ == "Std" else variance


@rule("Moments")
def _moments(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> list[str]:
    x = values.value(given["x"], dtype)
    return list(mean_and_variance(values, x, operation.axes, operation.keepdims))


def mean_and_variance(values: KerasValues, x: str, axis: Any, keepdims: bool) -> tuple[str, str]:
    """The mean and the variance along axes."""
    centred = values.add("Sub", x, reduced(values, "ReduceMean", x, axis, True))
    squares = values.add("Mul", centred, centred)
    return reduced(values, "ReduceMean", x, axis, keepdims), reduced(values, "ReduceMean", squares, axis, keepdims)


@rule("Argmax", "Argmin")
def _arg(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"])
    if values.type(x).dtype == "bool":
        x = values.cast(x, "int32")
    name = {"Argmax": "ArgMax", "Argmin": "ArgMin"}[type(operation).__name__]
    if operation.axis is None:
        if operation.keepdims:
            raise InputError("it keeps the axes of a place among all; give it the axis")
        return values.add(name, values.add("Reshape", x, shape=(-1,)), axis=0, keepdims=0)
    return values.add(name, x, axis=values.axis(operation.axis, x), keepdims=int(operation.keepdims))


@rule("Cumsum")
def _cumsum(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    if operation.axis is None:
        x = values.add("Reshape", x, shape=(-1,))
        return values.add("CumSum", x, axis=0)
    return values.add("CumSum", x, axis=values.axis(operation.axis, x))


@rule("TopK")
def _top_k(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> list[str]:
    x = values.value(given["x"])
    return values.nodes("TopK", x, K=values.size(operation.k), axis=-1)


@rule("Sort")
def _sort(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return _sorted(values, operation, given)[0]


@rule("Argsort")
def _argsort(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return _sorted(values, operation, given)[1]


def _sorted(values: KerasValues, operation: Any, given: Arguments) -> list[str]:
    x = values.value(given["x"])
    if operation.axis is None:
        raise InputError("it sorts all axes; give it the axis")
    axis = values.axis(operation.axis, x)
    return values.nodes("TopK", x, K=values.shape(x)[axis], axis=axis, largest=0)
