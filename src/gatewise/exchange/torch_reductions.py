"""The operations of ATen along an axis: sums, means, extremes, sorting."""

from __future__ import annotations

from gatewise.errors import InputError
from gatewise.exchange.torch_call import Call, Value
from gatewise.exchange.torch_rules import rule
from gatewise.network.size import product

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


@rule(*_REDUCTIONS)
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


@rule("max", "min")
def _extreme(call: Call) -> Value:
    name = call.operation
    x = call.value("self")
    if "other" in call.arguments:
        return call.add("Max" if name == "max" else "Min", x, call.value("other"))
    values = _reduced(call, "ReduceMax" if name == "max" else "ReduceMin", x)
    if "dim" not in call.arguments:
        return values
    return values, _index_of(call, "ArgMax" if name == "max" else "ArgMin", x)


@rule("argmax", "argmin")
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


@rule("var", "std")
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


@rule("linalg_vector_norm", "norm")
def _norm(call: Call) -> Value:
    order = call.get("ord", call.get("p", 2))
    operations = {1: "ReduceL1", 2: "ReduceL2"}
    if order not in operations:
        raise InputError(f"the norm of order {order} is not read; those of order 1 and 2 are")
    return _reduced(call, operations[order], call.value("self", call.dtype))


@rule("cumsum")
def _cumsum(call: Call) -> Value:
    x = call.value("self", call.dtype)
    return call.add("CumSum", x, axis=call.axis("dim", len(call.type_of(x))))


@rule("topk")
def _topk(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis("dim", len(call.type_of(x)))
    return tuple(call.nodes("TopK", x, K=call.dim(call["k"]), axis=axis, largest=int(call["largest"])))


@rule("sort", "argsort")
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
