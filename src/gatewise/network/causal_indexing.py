"""The rules of nodes that read some of the rows of the steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.network.causal_rules import Read, first_of, kept, rule
from gatewise.network.causal_trace import CausalTrace, NotCausalError, Traced
from gatewise.network.graph import Node
from gatewise.network.operations.slice import Slice


@rule("Slice")
def _slice(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value = first_of(read)
    operation = node.operation
    assert isinstance(operation, Slice)
    if value.role != "steps":
        trace.refuse("its bounds depend on the number of steps")
    shape = trace.shape_of(value)
    bounds = {axis: (start, end, step) for axis, start, end, step in operation._bounds(len(shape))}
    if value.axis not in bounds:
        return kept(trace, node, read)
    start, _, step = bounds[value.axis]
    rows = shape[value.axis]
    [name] = trace.write(node, [value.name])
    if step < 0:
        trace.refuse("it reverses the steps")
    result = trace.builder.types[name].shape[value.axis]
    if step == 1 and result == 1 and start in (-1, rows - 1):
        return [Traced(name, "prefix")]
    if step == 1 and result == 1 and start == 0 and not value.lead:
        return [_held(trace, name)]
    if value.tail:
        # The rows that depend on later steps are cut off, and no others.
        if (start, step, result) != (0, 1, trace.steps + value.lead):
            raise NotCausalError(value.ahead)
        return [Traced(name, "steps", value.axis, value.lead)]
    lead = result - trace.steps
    # What begins after some of the rows before the new steps, or ends before the last steps, as pads are cut off.
    is_shift = step == 1 and isinstance(start, int) and start >= 0
    if not is_shift or not isinstance(lead, int) or not 0 <= lead <= value.lead:
        return trace.refuse("it reads some of the steps alone")
    place = value.place if lead == value.lead == 0 else None
    return [Traced(name, "steps", value.axis, lead, place=place)]


@rule("Gather")
def _gather(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    data, indices = _data_and_indices(read)
    if _is_along_steps(trace, node, data):
        return _row(trace, node, data, indices)
    return kept(trace, node, read)


@rule("GatherElements")
def _gather_elements(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    data, indices = _data_and_indices(read)
    if _is_along_steps(trace, node, data):
        return _row(trace, node, data, indices)
    if data.axis != indices.axis:
        trace.refuse("it relates all steps to each other")
    return kept(trace, node, read)


def _data_and_indices(read: Read) -> tuple[Traced, Traced]:
    data, indices = read
    assert data is not None
    assert indices is not None
    return data, indices


def _is_along_steps(trace: CausalTrace, node: Node, data: Traced) -> bool:
    """Whether the indices are numbers of steps."""
    operation: Any = node.operation
    return data.role == "steps" and operation.axis % len(trace.shape_of(data)) == data.axis


@rule("GatherND")
def _gather_nd(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """The last step of each sequence, by the numbers of the sequence and of the step: h[arange(B), lengths - 1]."""
    data, indices = _data_and_indices(read)
    operation: Any = node.operation
    is_last = data.axis == 1 and not data.lead and not operation.batch_dims
    places = trace.columns.get(indices.name, ())
    if not is_last or len(places) != 2 or places[0] is not None or places[1] != -1:
        trace.refuse("it reads some of the steps alone")
    # In the step graph the rows begin after those before.
    dtype = trace.type_of(indices).dtype
    before = trace.builder.add("Cast", trace.steps_before(), to=dtype)
    of_step = trace.builder.constant(np.array([0, 1], dtype=dtype))
    place = trace.builder.add("Sub", indices.name, trace.builder.add("Mul", of_step, before))
    return [Traced(name, "prefix") for name in trace.write(node, [data.name, place])]


def _row(trace: CausalTrace, node: Node, data: Traced, indices: Traced) -> list[Traced]:
    """One row of the steps: the last one, or the first one."""
    if data.lead:
        trace.refuse("it reads some of the steps alone")
    if indices.role == "prefix" and indices.place == -1:
        # In the step graph the rows begin after those before.
        before = trace.builder.add("Cast", trace.steps_before(), to=trace.type_of(indices).dtype)
        place = trace.builder.add("Sub", indices.name, before)
        return [Traced(name, "prefix") for name in trace.write(node, [data.name, place])]
    array = trace.constant_of(indices)
    if array is not None and np.all(array == -1):
        return [Traced(name, "prefix") for name in trace.write(node, [data.name, indices.name])]
    if array is not None and np.all(array == 0):
        [name] = trace.write(node, [data.name, indices.name])
        return [_held(trace, name)]
    return trace.refuse("it reads some of the steps alone")


def _held(trace: CausalTrace, name: str) -> Traced:
    """A value of the first step, which the later ones keep."""
    chosen, state = trace.state_from(name)
    trace.keep(state, chosen)
    return Traced(chosen, "fixed")
