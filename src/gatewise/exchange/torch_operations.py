"""The operations of ATen that a graph can have, each with its rule: the nodes that compute it.

`RULES` has them by name, without the overload. `KEPT` are those that torch would write down as several others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from gatewise.errors import InputError
from gatewise.exchange.torch_call import Call, Rule, Value
from gatewise.network.operation import Operation
from gatewise.network.operations import operation_of
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.size import Dim, Size, at_least, divided, product, symbols_of

RULES: dict[str, Rule] = {}
"""By the namespace and name of the operation, such as "aten::relu"."""

OPEN = 1 << 62  # from here on, the end of a slice stands for that of the axis

KEPT = (
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "avg_pool1d", "batch_norm", "celu", "chunk", "dropout", "einsum", "elu", "feature_dropout", "gelu", "group_norm",
    "hardsigmoid", "hardswish", "hardtanh", "instance_norm", "layer_norm", "leaky_relu", "linear",
    "log_sigmoid_forward", "log_softmax", "logsumexp", "masked_fill", "matmul", "max_pool1d", "mish", "one_hot",
    "pad", "prelu", "relu6",
    "rms_norm", "selu", "silu", "softmax", "softplus", "stack", "std", "unbind", "unflatten", "var",
)  # fmt: skip
"""Operations that are read as they are, though torch would decompose them."""

REFUSED = {
    "embedding_renorm": "max_norm changes its weights in each call: set max_norm = None",
    "bernoulli": "it is random: leave it out in eval mode, such as F.dropout(x, p, training=self.training)",
    "dropout": "it drops values at random in eval mode too: write F.dropout(x, p, training=self.training)",
    "native_dropout": "it drops values at random in eval mode too: write F.dropout(x, p, training=self.training)",
    "feature_dropout": "it drops values at random in eval mode too: write training=self.training",
    "alpha_dropout": "it drops values at random in eval mode too: write training=self.training",
    "rand": "it is random: pass the random numbers as an input, or make them once in __init__",
    "rand_like": "it is random: pass the random numbers as an input, or make them once in __init__",
    "randn": "it is random: pass the initial state as an input, or start from zeros",
    "randn_like": "it is random: pass the random numbers as an input, or make them once in __init__",
    "randint": "it is random: pass the random numbers as an input, or make them once in __init__",
    "randperm": "it is random: pass the order as an input, or make it once in __init__",
    "normal": "it is random: pass the random numbers as an input, or make them once in __init__",
    "normal_functional": "it is random: pass the random numbers as an input, or make them once in __init__",
    "uniform": "it is random: pass the random numbers as an input, or make them once in __init__",
    "multinomial": "it is random: return the probabilities, and choose outside of the network",
    "exponential": "it is random: pass the random numbers as an input, or make them once in __init__",
    "rrelu_with_noise": "it is random while training: call module.eval()",
    "_native_batch_norm_legit": "it takes the mean of the batch, which depends on the other rows: call module.eval()",
    "item": "a number of a tensor decides what is computed: compute with the tensor itself, such as torch.where",
    "_local_scalar_dense": "a number of a tensor decides what is computed: compute with it, such as torch.where",
    "nonzero": "the number of results depends on the values: use a mask with torch.where or masked_fill",
    "masked_select": "the number of results depends on the values: use a mask with torch.where or masked_fill",
    "unique": "the number of results depends on the values: compute it outside of the network",
    "_unique2": "the number of results depends on the values: compute it outside of the network",
    "generator": "it draws random numbers from a torch.Generator: make them once in __init__, or pass them as an input",
}
"""Operations that a graph cannot have, with the reason and what to write instead."""


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for name in names:
            RULES[name if "::" in name else f"aten::{name}"] = rule
        return rule

    return register


# Operations on each number

_UNARY = {
    "abs": "Abs",
    "ceil": "Ceil",
    "cos": "Cos",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "hardswish": "HardSwish",
    "log": "Log",
    "mish": "Mish",
    "neg": "Neg",
    "reciprocal": "Reciprocal",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "sin": "Sin",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
    "silu": "Swish",
}


def _unary(operation: str) -> Rule:
    def rule(call: Call) -> Value:
        return call.add(operation, call.value("self", call.dtype))

    return rule


for _name, _operation in _UNARY.items():
    RULES[f"aten::{_name}"] = _unary(_operation)


@_rule("round")
def _round(call: Call) -> Value:
    if call.get("decimals", 0):
        raise InputError("round with decimals is not read: write torch.round(x * 10) / 10")
    return call.add("Round", call.value("self"))


@_rule("sign")
def _sign(call: Call) -> Value:
    """0 for NaN, which the Sign of ONNX returns as it is."""
    x = call.value("self", call.dtype)
    sign = call.add("Sign", x)
    if call.dtype != "float":
        return sign
    return call.add("Where", call.add("IsNaN", x), call.constant(0.0, "float"), sign)


@_rule("trunc")
def _trunc(call: Call) -> Value:
    x = call.value("self")
    return call.add("Mul", call.add("Sign", x), call.add("Floor", call.add("Abs", x)))


@_rule("square")
def _square(call: Call) -> Value:
    x = call.value("self")
    return call.add("Mul", x, x)


@_rule("rsqrt")
def _rsqrt(call: Call) -> Value:
    return call.add("Reciprocal", call.add("Sqrt", call.value("self", call.dtype)))


@_rule("exp2")
def _exp2(call: Call) -> Value:
    return call.add("Pow", call.constant(2.0, "float"), call.value("self", "float"))


@_rule("expm1")
def _expm1(call: Call) -> Value:
    return call.add("Sub", call.add("Exp", call.value("self", "float")), call.constant(1.0, "float"))


@_rule("log1p")
def _log1p(call: Call) -> Value:
    return call.add("Log", call.add("Add", call.value("self", "float"), call.constant(1.0, "float")))


@_rule("log2", "log10")
def _log_of_base(call: Call) -> Value:
    base = 2.0 if "log2" in str(call.node.target) else 10.0
    return call.add("Div", call.add("Log", call.value("self", "float")), call.constant(math.log(base), "float"))


@_rule("log_sigmoid_forward", "log_sigmoid")
def _log_sigmoid(call: Call) -> Value:
    logarithm = call.add("Neg", call.add("Softplus", call.add("Neg", call.value("self"))))
    if call.operation == "log_sigmoid":
        return logarithm
    return logarithm, ""


@_rule("gelu")
def _gelu(call: Call) -> Value:
    return call.add("Gelu", call.value("self"), approximate=call.get("approximate", "none"))


@_rule("hardsigmoid")
def _hardsigmoid(call: Call) -> Value:
    return call.add("HardSigmoid", call.value("self"), alpha=1 / 6, beta=0.5)


@_rule("leaky_relu")
def _leaky_relu(call: Call) -> Value:
    return call.add("LeakyRelu", call.value("self"), alpha=float(call["negative_slope"]))


@_rule("elu")
def _elu(call: Call) -> Value:
    if call.get("scale", 1) != 1 or call.get("input_scale", 1) != 1:
        return _selu(call)
    return call.add("Elu", call.value("self"), alpha=float(call["alpha"]))


@_rule("celu")
def _celu(call: Call) -> Value:
    return call.add("Celu", call.value("self"), alpha=float(call["alpha"]))


@_rule("selu")
def _selu(call: Call) -> Value:
    if call.get("input_scale", 1) != 1:
        raise InputError("elu with an input_scale is not read")
    # ONNX has these numbers in float32.
    constants = {"alpha": 1.6732632423543772848170429916717, "gamma": 1.0507009873554804934193349852946}
    if "alpha" in call.arguments:
        constants = {"alpha": float(call["alpha"]), "gamma": float(call["scale"])}
    return call.add("Selu", call.value("self"), **constants)


@_rule("softplus")
def _softplus(call: Call) -> Value:
    x = call.value("self")
    beta = call.constant(float(call["beta"]), "float")
    scaled = call.add("Mul", x, beta)
    soft = call.add("Div", call.add("Softplus", scaled), beta)
    # torch returns x itself above the threshold.
    return call.add("Where", call.add("Greater", scaled, call.constant(float(call["threshold"]), "float")), x, soft)


@_rule("hardtanh", "relu6", "clamp", "clamp_min", "clamp_max", "clip")
def _clamp(call: Call) -> Value:
    bounds: dict[str, tuple[Any, Any]] = {"hardtanh": ("min_val", "max_val"), "relu6": (0.0, 6.0)}
    name = call.operation
    low, high = bounds.get(name, ("min", "max"))
    dtype = call.dtype
    result = call.value("self", dtype)
    for bound, operation in ((low, "Max"), (high, "Min")):
        if isinstance(bound, float):
            result = call.add(operation, result, call.constant(bound, dtype))
        elif call.arguments.get(bound) is not None:
            result = call.add(operation, result, call.value(bound, dtype))
    return result


@_rule("prelu", "_prelu_kernel")
def _prelu(call: Call) -> Value:
    x = call.value("self")
    slope = call.value("weight")
    # torch has a slope per channel, which is axis 1.
    if len(call.type_of(slope)) == 1 and len(call.type_of(x)) > 1 and call.type_of(slope) != (1,):
        slope = call.reshape(slope, (call.type_of(slope)[0], *(1,) * (len(call.type_of(x)) - 2)))
    return call.add("PRelu", x, slope)


# Arithmetic, comparisons, logic

_BINARY = {"mul": "Mul", "maximum": "Max", "minimum": "Min"}


@_rule("mul", "maximum", "minimum")
def _binary(call: Call) -> Value:
    name = call.operation
    dtype = call.dtype
    if dtype == "bool":
        operation = "Or" if name == "maximum" else "And"
        return call.add(operation, call.value("self"), call.value("other", "bool"))
    return call.add(_BINARY[name], call.value("self", dtype), call.value("other", dtype))


@_rule("add", "sub", "rsub")
def _add(call: Call) -> Value:
    name = call.operation
    dtype = call.dtype
    first = call.value("self", dtype)
    second = call.value("other", dtype)
    if dtype == "bool":
        return call.add("Or", first, second)
    if name == "rsub":
        first, second = second, first
    if call.get("alpha", 1) != 1:
        if name == "rsub":
            raise InputError("rsub with alpha is not read")
        second = call.add("Mul", second, call.constant(call["alpha"], dtype))
    return call.add("Add" if name == "add" else "Sub", first, second)


@_rule("div", "true_divide")
def _div(call: Call) -> Value:
    mode = call.get("rounding_mode")
    dtype = call.dtype
    first = call.value("self", dtype)
    second = call.value("other", dtype)
    if mode is None or (mode == "trunc" and dtype != "float"):
        return call.add("Div", first, second)
    if mode == "floor":
        return _floored(call, first, second)
    raise InputError("div with rounding_mode='trunc' of floating-point numbers is not read")


@_rule("floor_divide")
def _floor_divide(call: Call) -> Value:
    dtype = call.dtype
    return _floored(call, call.value("self", dtype), call.value("other", dtype))


def _floored(call: Call, first: str, second: str) -> str:
    if call.dtype == "float":
        return call.add("Floor", call.add("Div", first, second))
    rest = call.add("Mod", first, second)
    return call.add("Div", call.add("Sub", first, rest), second)


@_rule("remainder")
def _remainder(call: Call) -> Value:
    dtype = call.dtype
    first = call.value("self", dtype)
    second = call.value("other", dtype)
    if dtype != "float":
        return call.add("Mod", first, second)
    return call.add("Sub", first, call.add("Mul", call.add("Floor", call.add("Div", first, second)), second))


@_rule("fmod")
def _fmod(call: Call) -> Value:
    dtype = call.dtype
    return call.add("Mod", call.value("self", dtype), call.value("other", dtype), fmod=1)


@_rule("pow")
def _pow(call: Call) -> Value:
    dtype = call.dtype
    return call.add("Pow", call.value("self", dtype), call.value("exponent", dtype))


_COMPARISONS = {"eq": "Equal", "gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less", "le": "LessOrEqual"}


@_rule("eq", "ne", "gt", "ge", "lt", "le")
def _compare(call: Call) -> Value:
    name = call.operation
    first, second = call.promoted("self", "other")
    if call.builder.types[first].dtype == "bool" and name not in ("eq", "ne"):
        first, second = call.cast(first, "int64"), call.cast(second, "int64")
    if name == "ne":
        return call.add("Not", call.add("Equal", first, second))
    return call.add(_COMPARISONS[name], first, second)


@_rule("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor")
def _logic(call: Call) -> Value:
    name = call.operation
    if call.dtype != "bool":
        raise InputError(f"{name} of whole numbers is not read")
    operation = {"and": "And", "or": "Or", "xor": "Xor"}[name.partition("_")[2]]
    return call.add(operation, call.value("self", "bool"), call.value("other", "bool"))


@_rule("logical_not", "bitwise_not")
def _not(call: Call) -> Value:
    if call.dtype != "bool":
        raise InputError("bitwise_not of whole numbers is not read")
    return call.add("Not", call.value("self", "bool"))


@_rule("where")
def _where(call: Call) -> Value:
    dtype = call.dtype
    return call.add("Where", call.value("condition", "bool"), call.value("self", dtype), call.value("other", dtype))


@_rule("masked_fill")
def _masked_fill(call: Call) -> Value:
    dtype = call.dtype
    return call.add("Where", call.value("mask", "bool"), call.value("value", dtype), call.value("self", dtype))


@_rule("isnan")
def _isnan(call: Call) -> Value:
    return call.add("IsNaN", call.value("self", "float"))


@_rule("isinf")
def _isinf(call: Call) -> Value:
    return call.add("IsInf", call.value("self", "float"))


@_rule("isfinite")
def _isfinite(call: Call) -> Value:
    x = call.value("self", "float")
    return call.add("Not", call.add("Or", call.add("IsNaN", x), call.add("IsInf", x)))


@_rule("nan_to_num")
def _nan_to_num(call: Call) -> Value:
    if call["posinf"] is None or call["neginf"] is None:
        raise InputError("nan_to_num without posinf and neginf is not read: write torch.where(x.isnan(), 0.0, x)")
    x = call.value("self")
    zero = call.constant(0.0, "float")
    infinite = call.add("IsInf", x)
    replaced = call.add("Where", call.add("IsNaN", x), call.constant(call.get("nan", 0.0), "float"), x)
    ends = call.add("Where", call.add("Greater", x, zero), call.value("posinf"), call.value("neginf"))
    return call.add("Where", infinite, ends, replaced)


@_rule("addcmul", "addcdiv")
def _addc(call: Call) -> Value:
    name = call.operation
    operation = "Mul" if name == "addcmul" else "Div"
    product_of = call.add(operation, call.value("tensor1"), call.value("tensor2"))
    scaled = call.add("Mul", product_of, call.constant(call.get("value", 1), call.dtype))
    return call.add("Add", call.value("self"), scaled)


@_rule("lerp")
def _lerp(call: Call) -> Value:
    start = call.value("self")
    way = call.add("Sub", call.value("end"), start)
    return call.add("Add", start, call.add("Mul", call.value("weight"), way))


# What leaves the numbers as they are


@_rule("alias", "clone", "contiguous", "detach", "detach_", "lift_fresh_copy", "lift_fresh", "positive", "view_as",
       "_assert_tensor_metadata", "to", "expand_as")  # fmt: skip
def _same(call: Call) -> Value:
    return call.value("self" if "self" in call.arguments else "input")


@_rule("dropout", "feature_dropout")
def _dropout(call: Call) -> Value:
    name = call.operation
    if call["train"] and call["p"] > 0:
        raise InputError(REFUSED[name])
    return call.value("input")


@_rule("_to_copy", "type_as")
def _to_copy(call: Call) -> Value:
    return call.value("self", call.dtype)


@_rule("copy")
def _copy(call: Call) -> Value:
    return call.expand(call.value("src", call.dtype), call.shape_of("self"))


# Matrix products


@_rule("linear")
def _linear(call: Call) -> Value:
    x = call.value("input")
    weight = call.value("weight")
    bias = call.optional("bias")
    transposed = call.add("Transpose", weight, perm=(1, 0))
    y = call.add("MatMul", x, transposed)
    if bias:
        y = call.add("Add", y, bias)
    return y


@_rule("matmul", "mm", "bmm", "mv", "dot")
def _matmul(call: Call) -> Value:
    names = list(call.arguments)[:2]
    return call.add("MatMul", call.value(names[0]), call.value(names[1]))


@_rule("addmm", "baddbmm")
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


@_rule("einsum")
def _einsum(call: Call) -> Value:
    equation = call["equation"].replace(" ", "").replace("...", "…")
    return call.add("Einsum", *call.list_of("tensors"), equation=equation.replace("…", "..."))


# Softmax, norms


@_rule("softmax", "_softmax")
def _softmax(call: Call) -> Value:
    return call.add("Softmax", call.value("self", call.dtype), axis=call["dim"])


@_rule("log_softmax", "_log_softmax")
def _log_softmax(call: Call) -> Value:
    return call.add("LogSoftmax", call.value("self", call.dtype), axis=call["dim"])


@_rule("layer_norm", "native_layer_norm")
def _layer_norm(call: Call) -> Value:
    x = call.value("input")
    shape = call.dims("normalized_shape")
    weight = call.optional("weight") or call.constant(np.ones([_fixed(size) for size in shape]), "float")
    bias = call.optional("bias")
    inputs = [x, weight, bias] if bias else [x, weight]
    y = call.add("LayerNormalization", *inputs, axis=-len(shape), epsilon=float(call["eps"]))
    return _first_of(call, y)


@_rule("rms_norm")
def _rms_norm(call: Call) -> Value:
    shape = call.dims("normalized_shape")
    if call["eps"] is None:
        raise InputError("rms_norm without eps is not read: pass eps")
    weight = call.optional("weight") or call.constant(np.ones([_fixed(size) for size in shape]), "float")
    return call.add("RMSNormalization", call.value("input"), weight, axis=-len(shape), epsilon=float(call["eps"]))


@_rule("batch_norm", "_native_batch_norm_legit_no_training")
def _batch_norm(call: Call) -> Value:
    if call.get("training", False):
        raise InputError("batch_norm in training mode depends on the other rows: call module.eval()")
    x = call.value("input")
    channels = _fixed(call.type_of(x)[1])
    ones = np.ones(channels)
    weight = call.optional("weight") or call.constant(ones, "float")
    bias = call.optional("bias") or call.constant(0 * ones, "float")
    statistics = call.value("running_mean"), call.value("running_var")
    y = call.add("BatchNormalization", x, weight, bias, *statistics, epsilon=float(call["eps"]))
    return _first_of(call, y)


@_rule("group_norm")
def _group_norm(call: Call) -> Value:
    x = call.value("input")
    ones = np.ones(_fixed(call.type_of(x)[1]))
    weight = call.optional("weight") or call.constant(ones, "float")
    bias = call.optional("bias") or call.constant(0 * ones, "float")
    groups = call["num_groups"]
    return call.add("GroupNormalization", x, weight, bias, num_groups=groups, epsilon=float(call["eps"]))


@_rule("instance_norm")
def _instance_norm(call: Call) -> Value:
    x = call.value("input")
    if not call["use_input_stats"]:
        raise InputError("instance_norm with running statistics is not read")
    ones = np.ones(_fixed(call.type_of(x)[1]))
    weight = call.optional("weight") or call.constant(ones, "float")
    bias = call.optional("bias") or call.constant(0 * ones, "float")
    return call.add("InstanceNormalization", x, weight, bias, epsilon=float(call["eps"]))


def _first_of(call: Call, value: str) -> Value:
    """The value, as the first of the results of an operation that has several; nothing else reads the others."""
    if isinstance(call.output, list | tuple):
        return (value, *[""] * (len(call.output) - 1))
    return value


def _fixed(size: Dim) -> int:
    if isinstance(size, Size):
        raise InputError(f"the size {size} depends on the inputs, and must be a constant here")
    return size


# Reductions

_REDUCTIONS = {
    "sum": "ReduceSum",
    "mean": "ReduceMean",
    "amax": "ReduceMax",
    "amin": "ReduceMin",
    "prod": "ReduceProd",
    "logsumexp": "ReduceLogSumExp",
    "any": "ReduceMax",
    "all": "ReduceMin",
}


@_rule(*_REDUCTIONS)
def _reduce(call: Call) -> Value:
    name = call.operation
    dtype = call.dtype
    x = call.value("self", dtype)
    return _reduced(call, _REDUCTIONS[name], x)


def _reduced(call: Call, operation: str, x: str) -> str:
    """A reduction along the axes of the call."""
    rank = len(call.type_of(x))
    if rank == 0:
        return x
    axes = tuple(range(rank))
    if "dim" in call.arguments:
        axes = call.axes("dim", rank)
    return call.add(operation, x, axes=axes, keepdims=int(bool(call.get("keepdim", False))))


@_rule("max", "min")
def _extreme(call: Call) -> Value:
    name = call.operation
    x = call.value("self")
    if "other" in call.arguments:
        return call.add("Max" if name == "max" else "Min", x, call.value("other"))
    values = _reduced(call, "ReduceMax" if name == "max" else "ReduceMin", x)
    if "dim" not in call.arguments:
        return values
    return values, _index_of(call, "ArgMax" if name == "max" else "ArgMin", x)


@_rule("argmax", "argmin")
def _arg_extreme(call: Call) -> Value:
    name = call.operation
    operation = "ArgMax" if name == "argmax" else "ArgMin"
    x = call.value("self")
    if call["dim"] is None:
        flat = call.reshape(x, (product(call.type_of(x)),))
        return call.add(operation, flat, axis=0, keepdims=0)
    return _index_of(call, operation, x)


def _index_of(call: Call, operation: str, x: str) -> str:
    keepdims = int(bool(call.get("keepdim", False)))
    return call.add(operation, x, axis=call.axis("dim", len(call.type_of(x))), keepdims=keepdims)


@_rule("var", "std")
def _variance(call: Call) -> Value:
    x = call.value("self")
    rank = len(call.type_of(x))
    axes = tuple(range(rank))
    if call.arguments.get("dim") is not None:
        axes = call.axes("dim", rank)
    correction = call.get("correction", 1)
    if call.get("unbiased") is not None:
        correction = int(call["unbiased"])
    deviation = call.add("Sub", x, call.add("ReduceMean", x, axes=axes, keepdims=1))
    keepdims = int(bool(call.get("keepdim", False)))
    squares = call.add("Mul", deviation, deviation)
    if correction == 0:
        variance = call.add("ReduceMean", squares, axes=axes, keepdims=keepdims)
    else:
        count = product(tuple(call.type_of(x)[axis] for axis in axes))
        number = call.cast(call.add("Sizes", sizes=(count - correction,), scalar=True), "float")
        # torch divides by 0, not by less, where there are fewer numbers than the correction.
        divisor = call.add("Max", number, call.constant(0.0, "float"))
        variance = call.add("Div", call.add("ReduceSum", squares, axes=axes, keepdims=keepdims), divisor)
    if call.operation == "std":
        return call.add("Sqrt", variance)
    return variance


@_rule("linalg_vector_norm", "norm")
def _norm(call: Call) -> Value:
    order = call.get("ord", call.get("p", 2))
    operations = {1: "ReduceL1", 2: "ReduceL2"}
    if order not in operations:
        raise InputError(f"the norm of order {order} is not read; those of order 1 and 2 are")
    return _reduced(call, operations[order], call.value("self", call.dtype))


@_rule("cumsum")
def _cumsum(call: Call) -> Value:
    x = call.value("self", call.dtype)
    return call.add("CumSum", x, axis=call.axis("dim", len(call.type_of(x))))


@_rule("topk")
def _topk(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis("dim", len(call.type_of(x)))
    return tuple(call.nodes("TopK", x, K=call.dim(call["k"]), axis=axis, largest=int(call["largest"])))


@_rule("sort", "argsort")
def _sort(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis("dim", len(call.type_of(x)))
    size = call.type_of(x)[axis]
    values, indices = call.nodes("TopK", x, K=size, axis=axis, largest=int(call["descending"]))
    if not call.get("stable", False) and _reads_order(call):
        raise InputError("torch does not define the order of equal numbers: write torch.sort(x, stable=True)")
    if call.operation == "argsort":
        return indices
    return values, indices


def _reads_order(call: Call) -> bool:
    """Whether something reads the indices of a sort. What sorts sequences for packing restores their order later."""
    packs = any("gatewise.packed" in str(node.target) for node in call.node.graph.nodes)
    if packs:
        return False
    return call.operation == "argsort" or any(user.args[1] == 1 and user.users for user in call.node.users)


# Indexing


@_rule("embedding")
def _embedding(call: Call) -> Value:
    ids = call.value("indices")
    # A graph counts a negative id from the end, which torch refuses. An id is checked where it is read.
    return call.add("Gather", call.value("weight"), ids, axis=0)


@_rule("select")
def _select(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis("dim", len(call.type_of(x)))
    index = call.dim(call["index"])
    if isinstance(index, int):
        return call.add("Gather", x, call.constant(index, "int64"), axis=axis)
    place = call.add("Sizes", sizes=(index,), scalar=True)
    return call.add("Gather", x, place, axis=axis)


@_rule("slice")
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


RULES["gatewise::sliced"] = _slice


def _end(call: Call, size: Dim) -> Dim:
    """The end of a slice of an axis of this size. torch writes a very large number for an open end."""
    end = call.dim(call.get("end", OPEN))
    if isinstance(end, int) and end >= OPEN:
        return size
    return end


@_rule("narrow")
def _narrow(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis("dim", len(call.type_of(x)))
    start = call.dim(call["start"])
    return call.slice(x, axis, start, start + call.dim(call["length"]))


@_rule("index_select")
def _index_select(call: Call) -> Value:
    x = call.value("self")
    return call.add("Gather", x, call.value("index"), axis=call.axis("dim", len(call.type_of(x))))


@_rule("gather")
def _gather(call: Call) -> Value:
    x = call.value("self")
    return call.add("GatherElements", x, call.value("index"), axis=call.axis("dim", len(call.type_of(x))))


@_rule("scatter", "scatter_add")
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


@_rule("index")
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


@_rule("index_put")
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


@_rule("slice_scatter", "select_scatter")
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


@_rule("fill")
def _fill(call: Call) -> Value:
    return call.expand(call.value("value", call.dtype), call.shape_of("self"))


# Shapes


@_rule("view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_copy", "_reshape_alias")
def _view(call: Call) -> Value:
    # torch has resolved -1.
    return call.reshape(call.value("self"), call.output_shape)


@_rule("permute")
def _permute(call: Call) -> Value:
    rank = call.rank("self")
    return call.add("Transpose", call.value("self"), perm=call.axes("dims", rank))


@_rule("transpose", "t")
def _transpose(call: Call) -> Value:
    rank = call.rank("self")
    perm = list(range(rank))
    first, second = 0, rank - 1
    if "dim0" in call.arguments:
        first, second = call.axis("dim0", rank), call.axis("dim1", rank)
    perm[first], perm[second] = perm[second], perm[first]
    return call.add("Transpose", call.value("self"), perm=tuple(perm))


@_rule("expand", "broadcast_to")
def _expand(call: Call) -> Value:
    return call.expand(call.value("self"), call.output_shape)


@_rule("repeat")
def _repeat(call: Call) -> Value:
    x = call.value("self")
    repeats = call.dims("repeats")
    missing = len(repeats) - len(call.type_of(x))
    x = call.reshape(x, ((1,) * missing + call.type_of(x)))
    return call.add("Tile", x, repeats=repeats)


@_rule("repeat_interleave")
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


@_rule("squeeze")
def _squeeze(call: Call) -> Value:
    x = call.value("self")
    rank = len(call.type_of(x))
    axes: tuple[int, ...] = tuple(range(rank))
    if "dim" in call.arguments:
        axes = call.axes("dim", rank)
    axes = tuple(axis for axis in axes if call.type_of(x)[axis] == 1)
    return call.add("Squeeze", x, axes=axes) if axes else x


@_rule("unsqueeze")
def _unsqueeze(call: Call) -> Value:
    rank = call.rank("self") + 1
    return call.add("Unsqueeze", call.value("self"), axes=(call.axis("dim", rank),))


@_rule("unfold")
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


@_rule("cat")
def _cat(call: Call) -> Value:
    values = [call.value_of(argument, call.dtype) for argument in call["tensors"]]
    rank = len(call.output.shape)
    # torch leaves out empty vectors, with which a list of results begins.
    values = [value for value in values if call.type_of(value) != (0,) or rank == 1]
    return call.add("Concat", *values, axis=call.axis("dim", rank))


@_rule("stack")
def _stack(call: Call) -> Value:
    axis = call.axis("dim", len(call.output.shape))
    values = [call.value_of(argument, call.dtype) for argument in call["tensors"]]
    return call.add("Concat", *(call.add("Unsqueeze", value, axes=(axis,)) for value in values), axis=axis)


@_rule("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk")
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


@_rule("unbind")
def _unbind(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis("dim", len(call.type_of(x)))
    count = _fixed(call.type_of(x)[axis])
    return tuple(call.add("Gather", x, call.constant(place, "int64"), axis=axis) for place in range(count))


@_rule("flip")
def _flip(call: Call) -> Value:
    x = call.value("self")
    axes = call.axes("dims", len(call.type_of(x)))
    count = len(axes)
    ends = (-(1 << 62),) * count
    return call.add("Slice", x, starts=(-1,) * count, ends=ends, axes=axes, steps=(-1,) * count)


@_rule("roll")
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


@_rule("constant_pad_nd", "pad")
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


@_rule("tril", "triu")
def _triangle(call: Call) -> Value:
    upper = int(call.operation == "triu")
    x = call.value("self")
    dtype = call.dtype
    if dtype == "bool":
        x = call.cast(x, "int64")
    return call.cast(call.add("Trilu", x, k=call.dim(call["diagonal"]), upper=upper), dtype)


# New values


@_rule("arange")
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


@_rule("full", "zeros", "ones", "empty", "new_full", "new_zeros", "new_ones", "new_empty", "full_like", "zeros_like",
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


@_rule("eye")
def _eye(call: Call) -> Value:
    rows, columns = (_fixed(size) for size in call.output_shape)
    return call.constant(np.eye(rows, columns), call.dtype)


@_rule("one_hot")
def _one_hot(call: Call) -> Value:
    classes = call["num_classes"]
    if classes < 0:
        raise InputError("one_hot without num_classes depends on the values: pass num_classes")
    return call.add("OneHot", call.value("self"), depth=call.dim(classes), dtype=call.dtype)


# Convolution and pooling


@_rule("convolution", "conv1d", "conv2d")
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
    pads = _each(padding, spatial)
    return call.add(
        "Conv",
        *inputs,
        strides=_each(call["stride"], spatial),
        dilations=_each(call["dilation"], spatial),
        pads=pads + pads,
        group=call["groups"],
    )


def _each(numbers: Any, count: int) -> tuple[int, ...]:
    """A number for each spatial axis, of one for all of them or one each."""
    if isinstance(numbers, int):
        numbers = [numbers]
    if len(numbers) == 1:
        numbers = list(numbers) * count
    return tuple(numbers)


@_rule("max_pool1d", "max_pool2d", "max_pool2d_with_indices", "max_pool1d_with_indices")
def _max_pool(call: Call) -> Value:
    x, rank = _with_batch(call, call.value("self"))
    spatial = len(call.type_of(x)) - 2
    kernel = _each(call["kernel_size"], spatial)
    strides = _each(call["stride"], spatial) if call["stride"] else kernel
    pads = _each(call["padding"], spatial)
    y = call.add(
        "MaxPool",
        x,
        kernel_shape=kernel,
        strides=strides,
        pads=pads + pads,
        dilations=_each(call["dilation"], spatial),
        ceil_mode=int(call["ceil_mode"]),
    )
    y = _without_batch(call, y, rank)
    return _first_of(call, y)


@_rule("avg_pool1d", "avg_pool2d")
def _average_pool(call: Call) -> Value:
    if call.get("divisor_override") is not None:
        raise InputError("avg_pool2d with divisor_override is not read")
    x, rank = _with_batch(call, call.value("self"))
    spatial = len(call.type_of(x)) - 2
    kernel = _each(call["kernel_size"], spatial)
    pads = _each(call["padding"], spatial)
    y = call.add(
        "AveragePool",
        x,
        kernel_shape=kernel,
        strides=_each(call["stride"], spatial) if call["stride"] else kernel,
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


@_rule("adaptive_avg_pool1d", "_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool1d",
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
            if not isinstance(shape[axis], int) or not isinstance(size, int) or _fixed(shape[axis]) % size:
                raise InputError(f"adaptive pooling of {shape[axis]} steps to {size} is read where {size} divides them")
            kernel.append(_fixed(divided(shape[axis], size)))
        y = call.add("MaxPool" if is_max else "AveragePool", x, kernel_shape=tuple(kernel), strides=tuple(kernel))
    return _first_of(call, _without_batch(call, y, rank))


# Recurrence and packing


@_rule("gatewise::recurrent")
def _recurrent(call: Call) -> Value:
    # The gates have the order of a graph: i f g o, and r z n.
    weights = call.list_of("weights")
    weight_ih, weight_hh, *rest = weights
    bias = recurrent_bias = projection = ""
    if call["has_bias"]:
        bias, recurrent_bias, *rest = rest
    if rest:
        [projection] = rest
    states = [*call.list_of("states"), "", ""]
    inputs = [
        call.value("x"),
        weight_ih,
        weight_hh,
        bias,
        recurrent_bias,
        call.optional("mask"),
        states[0],
        states[1],
        "",
        projection,
    ]
    while inputs[-1] == "":
        inputs.pop()
    name = call["cell"]
    cell: Any = name.partition("_")[0]
    activations: tuple[Operation, ...] = ()
    if name == "RNN_RELU":
        activations = (operation_of("Relu", {}),)
    operation = Recurrent(cell, reverse=call["reverse"], masked="zero", activations=activations)
    values = call.builder.node(operation, inputs)
    return values[0], values[1], values[2] if cell == "LSTM" else ""


@_rule("gatewise::packed", "gatewise::batch_sizes", "gatewise::packed_order")
def _packed(call: Call) -> Value:
    name = "x" if "x" in call.arguments else "lengths"
    return call.value(name)


def _steps_read(call: Call) -> str:
    """(B, T): true for the steps before the length of each sequence."""
    steps = call.shape_of("data")[1]
    place = call.add("Range", start=0, limit=steps, delta=1)
    return call.add("Less", place, call.add("Unsqueeze", call.value("lengths", "int64"), axes=(1,)))


@_rule("gatewise::mask_of")
def _mask_of(call: Call) -> Value:
    return _steps_read(call)


@_rule("gatewise::padded")
def _padded(call: Call) -> Value:
    data = call.value("data")
    if call["longest"]:
        data = call.add("RequireLongest", data, call.value("lengths", "int64"))
    mask = _steps_read(call)
    rank = len(call.type_of(data))
    if rank > 2:
        mask = call.add("Unsqueeze", mask, axes=tuple(range(2, rank)))
    padding = call.constant(call["padding_value"], call.builder.types[data].dtype)
    return call.add("Where", mask, data, padding)
