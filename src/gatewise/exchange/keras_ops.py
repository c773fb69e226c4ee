"""The operations of `keras.ops` as nodes of a graph: one rule per operation, by the name of its class."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.exchange.keras_values import KerasValues, TracedSize, graph_dtype
from gatewise.network.operation import DType
from gatewise.network.size import Dim, at_least, divided, product, remainder

Arguments = Mapping[str, Any]
Rule = Callable[[KerasValues, Any, Arguments, DType], "str | list[str]"]
"""Of the values, the operation of Keras, its arguments by name and the dtype of its (first) output: the names of the
values that it returns.
"""

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Make a function the rule of the operations with these names."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register


def read_operation(values: KerasValues, operation: Any, args: Sequence[Any], kwargs: Arguments, outputs: Any) -> None:
    """Add the nodes of an operation of `keras.ops`, and note the values of its outputs. Raises InputError for one that
    is not read.
    """
    name = type(operation).__name__
    of_keras = type(operation).__module__.partition(".")[0] == "keras"
    if name not in RULES or not of_keras:
        raise InputError("gatewise does not read this operation")
    results = values.keras.tree.flatten(outputs)
    bound = inspect.signature(operation.call).bind(*args, **kwargs)
    bound.apply_defaults()
    computed = RULES[name](values, operation, bound.arguments, graph_dtype(results[0].dtype))
    names = [computed] if isinstance(computed, str) else computed
    note_outputs(values, results, names)


def note_outputs(values: KerasValues, tensors: Sequence[Any], names: Sequence[str]) -> None:
    """Note the values of the outputs of a call, in the dtypes that Keras says. Raises InputError where the shapes are
    not those of Keras.
    """
    if len(tensors) != len(names):
        raise InputError(f"it has {len(tensors)} outputs, and {len(names)} were read")
    for tensor, name in zip(tensors, names, strict=True):
        name = values.cast(name, graph_dtype(tensor.dtype))
        shape = values.shape(name)
        pairs = list(zip(shape, tensor.shape, strict=False))
        differs = any(isinstance(size, int) and known not in (None, size) for size, known in pairs)
        if len(shape) != len(tensor.shape) or differs:
            raise InputError(f"its output was read with the shape {shape}, and Keras says {tuple(tensor.shape)}")
        values.set(tensor, name)


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
    "Sign": "Sign",
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
    left, right = _both(values, given, dtype)
    if dtype == "bool":
        if name not in _BINARY_OF_BOOLS:
            raise InputError("it computes numbers of truth values; use ops.cast(x, 'float32') before it")
        return values.add(_BINARY_OF_BOOLS[name], left, right)
    return values.add(_BINARY[name], left, right)


def _both(values: KerasValues, given: Arguments, dtype: DType) -> tuple[str, str]:
    return values.value(given["x1"], dtype), values.value(given["x2"], dtype)


@rule("DivideNoNan")
def _divide_no_nan(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    left, right = _both(values, given, dtype)
    zero = values.number(0)
    return values.add("Where", values.add("Equal", right, zero), zero, values.add("Div", left, right))


@rule("FloorDivide")
def _floor_divide(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    left, right = _both(values, given, dtype)
    if dtype == "float":
        return values.add("Floor", values.add("Div", left, right))
    # The quotient of whole numbers is rounded towards 0 in ONNX, and there is none to round without the remainder.
    return values.add("Div", values.add("Sub", left, values.add("Mod", left, right)), right)


@rule("Mod")
def _mod(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    left, right = _both(values, given, dtype)
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
    left, right = _both(values, given, common_dtype(values, given["x1"], given["x2"]))
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
    return values.add(_LOGIC[type(operation).__name__], *_both(values, given, "bool"))


@rule("BitwiseAnd", "BitwiseOr", "BitwiseXor")
def _bitwise(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    if dtype != "bool":
        raise InputError("it computes with the bits of numbers")
    name = type(operation).__name__.replace("Bitwise", "")
    return values.add(name, *_both(values, given, "bool"))


@rule("BitwiseInvert", "BitwiseNot")
def _invert(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    if dtype != "bool":
        raise InputError("it computes with the bits of numbers")
    return values.add("Not", values.value(given["x"], "bool"))


@rule("Where")
def _where(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    if given["x1"] is None or given["x2"] is None:
        raise InputError("it returns as many places as there are; give it both values")
    return values.add("Where", values.value(given["condition"], "bool"), *_both(values, given, dtype))


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
    y = _reduced(values, name, x, operation.axis, operation.keepdims)
    initial = getattr(operation, "initial", None)
    if initial is not None:
        y = values.add(name.removeprefix("Reduce"), y, values.value(initial, dtype))
    return y


def _reduced(values: KerasValues, name: str, x: str, axis: Any, keepdims: bool) -> str:
    axes = values.axes(axis, x)
    if not axes:
        return x
    return values.add(name, x, axes=axes, keepdims=int(bool(keepdims)))


@rule("CountNonzero")
def _count_nonzero(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return _reduced(values, "ReduceSum", values.cast(values.value(given["x"], "bool"), dtype), operation.axis, False)


@rule("Average")
def _average(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    x = values.value(given["x"], dtype)
    if given["weights"] is None:
        return _reduced(values, "ReduceMean", x, operation.axis, False)
    weights = values.value(given["weights"], dtype)
    if values.rank(weights) != values.rank(x):
        raise InputError("its weights must have as many axes as the values")
    weights = values.add("Expand", weights, shape=values.shape(x))
    total = _reduced(values, "ReduceSum", values.add("Mul", x, weights), operation.axis, False)
    return values.add("Div", total, _reduced(values, "ReduceSum", weights, operation.axis, False))


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
    centred = values.add("Sub", x, _reduced(values, "ReduceMean", x, axis, True))
    squares = values.add("Mul", centred, centred)
    return _reduced(values, "ReduceMean", x, axis, keepdims), _reduced(values, "ReduceMean", squares, axis, keepdims)


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
    ends = tuple(-1 - values.shape(x)[axis] for axis in axes)  # one before the first row
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


def _sliced(values: KerasValues, x: str, axis: int, key: slice) -> str:
    step = 1 if key.step is None else int(key.step)
    if key.start is None and key.stop is None and step == 1:
        return x
    if any(values.is_symbolic(bound) for bound in (key.start, key.stop)):
        raise InputError("it slices with a bound that depends on the values of the inputs")
    size = values.shape(x)[axis]
    start: Dim = 0 if step > 0 else -1
    end: Dim = -1 - size  # one before the first row
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


# Products


@rule("Matmul")
def _matmul(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    return values.add("MatMul", *_both(values, given, dtype))


@rule("Dot")
def _dot(values: KerasValues, operation: Any, given: Arguments, dtype: DType) -> str:
    left, right = _both(values, given, dtype)
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
    left, right = _both(values, given, dtype)
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
        y = values.add("Mul", x, _inverse_root(values, _reduced(values, "ReduceMean", squares, axes, True), epsilon))
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
    squares = _reduced(values, "ReduceSum", values.add("Mul", x, x), operation.axis, True)
    inverse = values.add("Reciprocal", values.add("Sqrt", squares))
    epsilon = values.epsilon if operation.epsilon is None else float(operation.epsilon)
    return values.add("Mul", x, values.add("Min", inverse, values.number(1 / epsilon)))


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
