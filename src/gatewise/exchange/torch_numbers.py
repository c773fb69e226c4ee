"""The operations of ATen on each number: functions, arithmetic, comparisons and logic, and what changes no number."""

from __future__ import annotations

import math
from typing import Any

from gatewise.errors import InputError
from gatewise.exchange.torch_call import Call, Value
from gatewise.exchange.torch_rules import REFUSED, rule

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


@rule(*_UNARY)
def _unary(call: Call) -> Value:
    return call.add(_UNARY[call.operation], call.value("self", call.dtype))


@rule("round")
def _round(call: Call) -> Value:
    if call.get("decimals", 0):
        raise InputError("round with decimals is not read: write torch.round(x * 10) / 10")
    return call.add("Round", call.value("self"))


@rule("sign")
def _sign(call: Call) -> Value:
    """0 for NaN, which the Sign of ONNX returns as it is."""
    x = call.value("self", call.dtype)
    sign = call.add("Sign", x)
    if call.dtype != "float":
        return sign
    return call.add("Where", call.add("IsNaN", x), call.constant(0.0, "float"), sign)


@rule("trunc")
def _trunc(call: Call) -> Value:
    x = call.value("self")
    return call.add("Mul", call.add("Sign", x), call.add("Floor", call.add("Abs", x)))


@rule("square")
def _square(call: Call) -> Value:
    x = call.value("self")
    return call.add("Mul", x, x)


@rule("rsqrt")
def _rsqrt(call: Call) -> Value:
    return call.add("Reciprocal", call.add("Sqrt", call.value("self", call.dtype)))


@rule("exp2")
def _exp2(call: Call) -> Value:
    return call.add("Pow", call.constant(2.0, "float"), call.value("self", "float"))


@rule("expm1")
def _expm1(call: Call) -> Value:
    return call.add("Sub", call.add("Exp", call.value("self", "float")), call.constant(1.0, "float"))


@rule("log1p")
def _log1p(call: Call) -> Value:
    return call.add("Log", call.add("Add", call.value("self", "float"), call.constant(1.0, "float")))


@rule("log2", "log10")
def _log_of_base(call: Call) -> Value:
    base = 2.0 if "log2" in str(call.node.target) else 10.0
    return call.add("Div", call.add("Log", call.value("self", "float")), call.constant(math.log(base), "float"))


@rule("log_sigmoid_forward", "log_sigmoid")
def _log_sigmoid(call: Call) -> Value:
    logarithm = call.add("Neg", call.add("Softplus", call.add("Neg", call.value("self"))))
    if call.operation == "log_sigmoid":
        return logarithm
    return logarithm, ""


@rule("gelu")
def _gelu(call: Call) -> Value:
    return call.add("Gelu", call.value("self"), approximate=call.get("approximate", "none"))


@rule("hardsigmoid")
def _hardsigmoid(call: Call) -> Value:
    return call.add("HardSigmoid", call.value("self"), alpha=1 / 6, beta=0.5)


@rule("leaky_relu")
def _leaky_relu(call: Call) -> Value:
    return call.add("LeakyRelu", call.value("self"), alpha=float(call["negative_slope"]))


@rule("elu")
def _elu(call: Call) -> Value:
    if call.get("scale", 1) != 1 or call.get("input_scale", 1) != 1:
        return _selu(call)
    return call.add("Elu", call.value("self"), alpha=float(call["alpha"]))


@rule("celu")
def _celu(call: Call) -> Value:
    return call.add("Celu", call.value("self"), alpha=float(call["alpha"]))


@rule("selu")
def _selu(call: Call) -> Value:
    if call.get("input_scale", 1) != 1:
        raise InputError("elu with an input_scale is not read")
    # ONNX has these numbers in float32.
    constants = {"alpha": 1.6732632423543772848170429916717, "gamma": 1.0507009873554804934193349852946}
    if "alpha" in call.arguments:
        constants = {"alpha": float(call["alpha"]), "gamma": float(call["scale"])}
    return call.add("Selu", call.value("self"), **constants)


@rule("softplus")
def _softplus(call: Call) -> Value:
    x = call.value("self")
    beta = call.constant(float(call["beta"]), "float")
    scaled = call.add("Mul", x, beta)
    soft = call.add("Div", call.add("Softplus", scaled), beta)
    # torch returns x itself above the threshold.
    return call.add("Where", call.add("Greater", scaled, call.constant(float(call["threshold"]), "float")), x, soft)


@rule("hardtanh", "relu6", "clamp", "clamp_min", "clamp_max", "clip")
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


@rule("prelu", "_prelu_kernel")
def _prelu(call: Call) -> Value:
    x = call.value("self")
    slope = call.value("weight")
    # torch has a slope per channel, which is axis 1.
    if len(call.type_of(slope)) == 1 and len(call.type_of(x)) > 1 and call.type_of(slope) != (1,):
        slope = call.reshape(slope, (call.type_of(slope)[0], *(1,) * (len(call.type_of(x)) - 2)))
    return call.add("PRelu", x, slope)


# Arithmetic, comparisons, logic

_BINARY = {"mul": "Mul", "maximum": "Max", "minimum": "Min"}


@rule("mul", "maximum", "minimum")
def _binary(call: Call) -> Value:
    name = call.operation
    dtype = call.dtype
    if dtype == "bool":
        operation = "Or" if name == "maximum" else "And"
        return call.add(operation, call.value("self"), call.value("other", "bool"))
    return call.add(_BINARY[name], call.value("self", dtype), call.value("other", dtype))


@rule("add", "sub", "rsub")
def _add(call: Call) -> Value:
    """self + alpha * other, or self - alpha * other; torch.rsub is other - alpha * self."""
    dtype = call.dtype
    names = ["self", "other"]
    if call.operation == "rsub":
        names.reverse()
    first, second = (call.value(name, dtype) for name in names)
    alpha = call.get("alpha", 1)
    if dtype == "bool":
        # torch has no difference of tensors of bool, and takes True or False for alpha.
        if not alpha:
            return first
        return call.add("Or", first, second)
    if alpha != 1:
        second = call.add("Mul", second, call.constant(alpha, dtype))
    return call.add("Add" if call.operation == "add" else "Sub", first, second)


@rule("div", "true_divide")
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


@rule("floor_divide")
def _floor_divide(call: Call) -> Value:
    dtype = call.dtype
    return _floored(call, call.value("self", dtype), call.value("other", dtype))


def _floored(call: Call, first: str, second: str) -> str:
    if call.dtype == "float":
        return call.add("Floor", call.add("Div", first, second))
    rest = call.add("Mod", first, second)
    return call.add("Div", call.add("Sub", first, rest), second)


@rule("remainder")
def _remainder(call: Call) -> Value:
    dtype = call.dtype
    first = call.value("self", dtype)
    second = call.value("other", dtype)
    if dtype != "float":
        return call.add("Mod", first, second)
    return call.add("Sub", first, call.add("Mul", call.add("Floor", call.add("Div", first, second)), second))


@rule("fmod")
def _fmod(call: Call) -> Value:
    dtype = call.dtype
    return call.add("Mod", call.value("self", dtype), call.value("other", dtype), fmod=1)


@rule("pow")
def _pow(call: Call) -> Value:
    dtype = call.dtype
    return call.add("Pow", call.value("self", dtype), call.value("exponent", dtype))


_COMPARISONS = {"eq": "Equal", "gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less", "le": "LessOrEqual"}


@rule("eq", "ne", "gt", "ge", "lt", "le")
def _compare(call: Call) -> Value:
    name = call.operation
    first, second = call.promoted("self", "other")
    if call.builder.types[first].dtype == "bool" and name not in ("eq", "ne"):
        first = call.cast(first, "int64")
        second = call.cast(second, "int64")
    if name == "ne":
        return call.add("Not", call.add("Equal", first, second))
    return call.add(_COMPARISONS[name], first, second)


@rule("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor")
def _logic(call: Call) -> Value:
    name = call.operation
    if call.dtype != "bool":
        raise InputError(f"{name} of whole numbers is not read")
    operation = {"and": "And", "or": "Or", "xor": "Xor"}[name.partition("_")[2]]
    return call.add(operation, call.value("self", "bool"), call.value("other", "bool"))


@rule("logical_not", "bitwise_not")
def _not(call: Call) -> Value:
    if call.dtype != "bool":
        raise InputError("bitwise_not of whole numbers is not read")
    return call.add("Not", call.value("self", "bool"))


@rule("where")
def _where(call: Call) -> Value:
    dtype = call.dtype
    return call.add("Where", call.value("condition", "bool"), call.value("self", dtype), call.value("other", dtype))


@rule("masked_fill")
def _masked_fill(call: Call) -> Value:
    dtype = call.dtype
    return call.add("Where", call.value("mask", "bool"), call.value("value", dtype), call.value("self", dtype))


@rule("isnan")
def _isnan(call: Call) -> Value:
    return call.add("IsNaN", call.value("self", "float"))


@rule("isinf")
def _isinf(call: Call) -> Value:
    return call.add("IsInf", call.value("self", "float"))


@rule("isfinite")
def _isfinite(call: Call) -> Value:
    x = call.value("self", "float")
    return call.add("Not", call.add("Or", call.add("IsNaN", x), call.add("IsInf", x)))


@rule("nan_to_num")
def _nan_to_num(call: Call) -> Value:
    if call["posinf"] is None or call["neginf"] is None:
        raise InputError("nan_to_num without posinf and neginf is not read: write torch.where(x.isnan(), 0.0, x)")
    x = call.value("self")
    zero = call.constant(0.0, "float")
    infinite = call.add("IsInf", x)
    replaced = call.add("Where", call.add("IsNaN", x), call.constant(call.get("nan", 0.0), "float"), x)
    ends = call.add("Where", call.add("Greater", x, zero), call.value("posinf"), call.value("neginf"))
    return call.add("Where", infinite, ends, replaced)


@rule("addcmul", "addcdiv")
def _addc(call: Call) -> Value:
    name = call.operation
    operation = "Mul" if name == "addcmul" else "Div"
    product_of = call.add(operation, call.value("tensor1"), call.value("tensor2"))
    scaled = call.add("Mul", product_of, call.constant(call.get("value", 1), call.dtype))
    return call.add("Add", call.value("self"), scaled)


@rule("lerp")
def _lerp(call: Call) -> Value:
    start = call.value("self")
    way = call.add("Sub", call.value("end"), start)
    return call.add("Add", start, call.add("Mul", call.value("weight"), way))


# What leaves the numbers as they are


@rule("alias", "clone", "contiguous", "detach", "detach_", "lift_fresh_copy", "lift_fresh", "positive", "view_as",
       "_assert_tensor_metadata", "to", "expand_as")  # fmt: skip
def _same(call: Call) -> Value:
    return call.value("self" if "self" in call.arguments else "input")


@rule("dropout", "feature_dropout")
def _dropout(call: Call) -> Value:
    name = call.operation
    if call["train"] and call["p"] > 0:
        raise InputError(REFUSED[name])
    return call.value("input")


@rule("_to_copy", "type_as")
def _to_copy(call: Call) -> Value:
    return call.value("self", call.dtype)


@rule("copy")
def _copy(call: Call) -> Value:
    return call.expand(call.value("src", call.dtype), call.shape_of("self"))
