"""The rules of reductions and products over the steps, which go on with each step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise.network.causal_rules import Read, first_of, kept, names_of, require_rows, rule, steps_of
from gatewise.network.causal_trace import CausalTrace, Traced
from gatewise.network.graph import Node
from gatewise.network.operations.einsum import Einsum
from gatewise.network.reduction import Reduction
from gatewise.network.size import product


def reduction(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """A reduction over any axes."""
    value = first_of(read)
    operation = node.operation
    assert isinstance(operation, Reduction)
    rank = len(trace.shape_of(value))
    axes = operation._reduced_axes(rank)
    if value.axis not in axes:
        return kept(trace, node, read)
    return [_reduced(trace, value, axes, bool(operation.keepdims), operation.name())]


@rule("GlobalAveragePool", "GlobalMaxPool")
def _global_pooling(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value = first_of(read)
    if value.axis == 0:
        return kept(trace, node, read)
    if value.axis == 1:
        trace.refuse("it joins the numbers of several steps")
    name = {"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}[node.operation.name()]
    spatial = tuple(range(2, len(trace.shape_of(value))))
    return [_reduced(trace, value, spatial, True, name)]


def _reduced(trace: CausalTrace, value: Traced, axes: tuple[int, ...], keepdims: bool, name: str) -> Traced:
    """A reduction of all steps so far: that of the new ones, joined with that of those before."""
    if value.lead:
        trace.refuse("it joins the steps with rows before them")
    if name not in _JOINS:
        trace.refuse(f"{name} over all steps")
    builder = trace.builder
    of_new, join = _JOINS[name]
    new = builder.add(of_new, value.name, axes=axes, keepdims=int(keepdims))
    start = trace.zeros(builder.types[new])
    if join == "Mul":
        start = np.ones_like(start)
    if start.dtype == np.bool_:
        join = {"Max": "Or", "Min": "And"}[join]
    state = trace.state(start, is_sum=join == "Add")
    joined = builder.add(join, state, new)
    if join in ("Max", "Min", "And"):
        # No number is less than all others in a file of states, which has no infinity.
        joined = builder.add("Where", trace.has_begun(), joined, new)
    trace.keep(state, joined)
    if name == "ReduceL2":
        joined = builder.add("Sqrt", joined)
    if name == "ReduceMean":
        others = product(tuple(trace.shape_of(value)[axis] for axis in axes if axis != value.axis))
        if not isinstance(others, int):
            trace.refuse(f"its mean is over {others} numbers of each step")
        count = builder.add("Cast", trace.count(), to="float")
        numbers = builder.add("Mul", count, builder.constant(np.array(others, np.float32)))
        joined = builder.add("Div", joined, numbers)
    return Traced(joined, "prefix")


_JOINS = {
    "ReduceSum": ("ReduceSum", "Add"),
    "ReduceMean": ("ReduceSum", "Add"),
    "ReduceL1": ("ReduceL1", "Add"),
    "ReduceL2": ("ReduceSumSquare", "Add"),
    "ReduceSumSquare": ("ReduceSumSquare", "Add"),
    "ReduceProd": ("ReduceProd", "Mul"),
    "ReduceMax": ("ReduceMax", "Max"),
    "ReduceMin": ("ReduceMin", "Min"),
}
"""Of a reduction: that of the new steps, and the operation that joins it with that of the steps before."""


@rule("MatMul")
def _matmul(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    left, right = read
    assert left is not None
    assert right is not None
    inner = [len(trace.shape_of(left)) - 1, max(0, len(trace.shape_of(right)) - 2)]
    return _product(trace, node, read, [left.axis == inner[0], right.axis == inner[1]])


@rule("Einsum")
def _einsum(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    operation = node.operation
    assert isinstance(operation, Einsum)
    ranks = [len(trace.shape_of(value)) for value in read if value is not None]
    terms, output = operation._terms(ranks)
    letters = {
        term[value.axis]
        for term, value in zip(terms, read, strict=True)
        if value is not None and value.axis is not None
    }
    if len(letters) > 1:
        trace.refuse("it relates all steps to each other")
    is_summed = not letters.intersection(output)
    return _product(trace, node, read, [is_summed] * len(read))


def _product(trace: CausalTrace, node: Node, read: Read, is_summed: Sequence[bool]) -> list[Traced]:
    """A product of tensors. is_summed: of each input, whether it is summed along the axis of its steps."""
    values = steps_of(read)
    sums = [
        summed for value, summed in zip(read, is_summed, strict=True) if value is not None and value.role == "steps"
    ]
    if not any(sums):
        return kept(trace, node, read)
    require_rows(trace, node, read)
    if not all(sums) or any(value.lead for value in values):
        trace.refuse("it relates all steps to each other")
    # A sum over the steps of products of their rows goes on with each step.
    [new] = trace.write(node, names_of(read))
    state = trace.state(trace.zeros(trace.builder.types[new]), is_sum=True)
    joined = trace.builder.add("Add", state, new)
    trace.keep(state, joined)
    return [Traced(joined, "prefix")]
