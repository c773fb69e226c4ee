"""The rules of nodes whose rows depend on the same rows of their inputs, and of the numbers of the steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.network.causal_rules import Read, axis_of, first_of, kept, names_of, rule, steps_of
from gatewise.network.causal_trace import CausalTrace, Traced
from gatewise.network.graph import Node
from gatewise.network.size import product


@rule("Cast", "Clip", "Dropout", "Identity")
def elementwise(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """An operation on each number, or a mask of the steps, which is true for all steps, now and later."""
    if _is_before_the_end(trace, node, read):
        names = trace.write(node, names_of(read))
        return [Traced(names[0], "steps", axis_of(trace, names[0], 0))]
    place = place_of(trace, node, read)
    return [replace(value, place=place) for value in kept(trace, node, read)]


def _is_before_the_end(trace: CausalTrace, node: Node, read: Read) -> bool:
    """Whether a comparison of places with the number of steps holds for all steps, now and later: t + a < T + b."""
    name = node.operation.name()
    if name not in ("Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
        return False
    # T + b > t + a says the same as t + a < T + b.
    place, end = read
    if name.startswith("Greater"):
        end, place = read
    if place is None or end is None or place.place is None or end.place is None:
        return False
    if (place.role, end.role) != ("steps", "prefix"):
        return False
    last = place.place - 1  # the largest t is T - 1
    if name.endswith("OrEqual"):
        return last <= end.place
    return last < end.place


_SAME_NUMBERS = frozenset(["Cast", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"])


def place_of(trace: CausalTrace, node: Node, read: Read) -> int | None:
    """The place of what a node returns, see `Traced`."""
    name = node.operation.name()
    first = read[0] if read else None
    if name in _SAME_NUMBERS and first is not None:
        is_bool = trace.builder.types[first.name].dtype == "bool"
        return None if is_bool else first.place
    if name not in ("Add", "Sub", "Max") or len(read) != 2:
        return None
    first, second = read
    if first is None or second is None:
        return None
    counted = first
    number = trace.constant_of(second)
    # A sum and a maximum may have their constant on either side.
    if first.place is None and name != "Sub":
        counted = second
        number = trace.constant_of(first)
    if counted.place is None or number is None or number.dtype.kind not in "iu" or np.unique(number).size != 1:
        return None
    shift = int(number.flat[0])
    if name == "Add":
        return counted.place + shift
    if name == "Sub":
        return counted.place - shift
    # Max, such as lengths of at least 1, which they are.
    changes_nothing = counted.role == "prefix" and shift <= counted.place + 1
    return counted.place if changes_nothing else None


@rule("ArgMax", "ArgMin", "LogSoftmax", "Softmax", "Split", "TopK")
def _along_axis(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """Along an axis, which may be another than that of the steps."""
    operation: Any = node.operation
    for value in steps_of(read):
        if operation.axis % len(trace.shape_of(value)) == value.axis:
            trace.refuse(f"{operation.name()} over all steps")
    return kept(trace, node, read)


@rule("LayerNormalization", "RMSNormalization")
def _normalization(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """Over the axes from one on."""
    value = first_of(read)
    first = getattr(node.operation, "axis", 2) % len(trace.shape_of(value))
    if value.axis is not None and value.axis >= first:
        trace.refuse(f"{node.operation.name()} over all steps")
    return kept(trace, node, read)


@rule("GroupNormalization", "InstanceNormalization")
def _group_normalization(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """Over the channels of a group and all that follows: a sequence is normalised with all of its steps."""
    if first_of(read).axis != 0:
        trace.refuse(f"{node.operation.name()} over all steps")
    return kept(trace, node, read)


@rule("Flatten", "Reshape", "Squeeze", "Unsqueeze")
def _reshape(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """The rows stay rows where as many numbers stand before the axis of the steps as after it."""
    value = first_of(read)
    if value.role != "steps":
        return _resized(trace, node, read)
    [result] = kept(trace, node, read)
    before = product(trace.shape_of(value)[: value.axis])
    after = product(trace.shape_of(result)[: result.axis])
    if before != after:
        trace.refuse("it joins the numbers of several steps")
    return [replace(result, place=value.place)]


@rule("ConstantOfShape", "Expand")
def _resized(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """A value that is repeated for each step, or a node without values whose sizes have the number of steps."""
    [result] = kept(trace, node, read)
    return [replace(result, place=place_of(trace, node, read))]


@rule("Sizes")
def _sizes(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """The number of steps itself."""
    operation: Any = node.operation
    if not all(size == trace.steps for size in operation.sizes):
        trace.refuse("it computes with the number of steps")
    shape = () if operation.scalar else (len(operation.sizes),)
    name = trace.builder.add("Expand", trace.count(), shape=shape)
    return [Traced(name, "prefix", place=0)]


@rule("Range")
def _range(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """The places of the steps."""
    operation: Any = node.operation
    if operation.delta != 1 or trace.mentions(operation.start) or operation.limit - operation.start != trace.steps:
        trace.refuse("it counts the steps from the last one, or others than the steps")
    [new] = trace.builder.node(operation, [])
    trace.has_places = True
    before = trace.builder.add("Cast", trace.steps_before(), to=operation.dtype)
    return [Traced(trace.builder.add("Add", new, before), "steps", 0, place=operation.start)]


@rule("RequireLongest")
def _require_longest(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value, lengths = read
    assert value is not None
    assert lengths is not None
    if value.role != "steps" or value.axis != 1 or lengths.place != 0:
        trace.refuse("the number of rows depends on lengths that the network computes")
    return [value]


@rule("Trilu")
def _trilu(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value = first_of(read)
    if value.axis is not None and value.axis >= len(trace.shape_of(value)) - 2:
        trace.refuse("it relates all steps to each other")
    return kept(trace, node, read)


@rule("Tile")
def _tile(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """A value with one row that is repeated for each step is no different from one that is expanded."""
    operation: Any = node.operation
    if first_of(read).role != "steps" and trace.mentions(operation.repeats):
        shape = trace.shape_of(first_of(read))
        repeated = [axis for axis, times in enumerate(operation.repeats) if trace.mentions(times)]
        if any(shape[axis] != 1 for axis in repeated):
            trace.refuse("it joins the numbers of several steps")
    return kept(trace, node, read)
