"""The rules of nodes that read a window of steps: convolutions, and the pads and shifts before the first step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.network.causal_rules import Read, first_of, kept, names_of, require_rows, rule, steps_of
from gatewise.network.causal_trace import CausalTrace, NotCausalError, Traced
from gatewise.network.graph import Node
from gatewise.network.operations.conv import Conv
from gatewise.network.size import value_of


@rule("Pad")
def _pad(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value = first_of(read)
    operation: Any = node.operation
    shape = trace.shape_of(value)
    along = {axis: (before, after) for axis, before, after in operation._along(shape, operation.pads)}
    before, after = along.pop(value.axis, (0, 0))
    if (before, after) == (0, 0):
        return kept(trace, node, read)
    if after != 0 or not isinstance(before, int) or before < 0 or operation.mode != "constant" or value.lead:
        trace.refuse("it pads after the last step, or cuts steps off")
    name = value.name
    if along:
        befores = tuple(pair[0] for pair in along.values())
        afters = tuple(pair[1] for pair in along.values())
        [name] = trace.builder.node(replace(operation, axes=tuple(along), pads=befores + afters), [name])
    assert value.axis is not None
    padded = _with_rows_before(trace, name, value.axis, before, operation.constant_value)
    return [Traced(padded, "steps", value.axis, before)]


@rule("Concat")
def _concat(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    operation: Any = node.operation
    [*before, last] = [value for value in read if value is not None]
    axis = operation.axis % len(trace.shape_of(last))
    if axis not in {value.axis for value in steps_of(read)}:
        return kept(trace, node, read)
    is_shift = len(before) == 1 and before[0].role == "fixed" and last.role == "steps" and not last.lead
    rows = trace.shape_of(before[0])[axis] if before else None
    if not is_shift or not isinstance(rows, int):
        trace.refuse("it joins steps with other steps")
    start, state = trace.state_from(before[0].name)
    return [Traced(_after_rows(trace, start, state, last.name, axis, rows), "steps", axis, rows)]


def _with_rows_before(trace: CausalTrace, name: str, axis: int, rows: int, fill: float) -> str:
    """The new rows after the last `rows` before them, which are full of a number before the first step."""
    value_type = trace.builder.types[name]
    shape = (*value_type.shape[:axis], rows, *value_type.shape[axis + 1 :])
    start = trace.zeros(replace(value_type, shape=shape)) + np.asarray(fill)
    state = trace.state(start.astype(trace.zeros(replace(value_type, shape=())).dtype))
    return _after_rows(trace, state, state, name, axis, rows)


def _after_rows(trace: CausalTrace, before: str, state: str, name: str, axis: int, rows: int) -> str:
    """The new rows after `rows` rows before them, which the state keeps."""
    joined = trace.builder.add("Concat", before, name, axis=axis)
    last = trace.builder.add("Slice", joined, starts=(-rows,), ends=(trace.steps + rows,), axes=(axis,), steps=(1,))
    trace.keep(state, last)
    return joined


@rule("Conv")
def _conv(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    x, w = read[:2]
    assert x is not None
    assert w is not None
    operation = node.operation
    assert isinstance(operation, Conv)
    if x.role != "steps" or x.axis == 0:
        return kept(trace, node, read)
    require_rows(trace, node, read)
    if x.axis == 1 or len(steps_of(read)) > 1:
        trace.refuse("it joins the numbers of several steps")
    assert x.axis is not None
    shape = trace.shape_of(x)
    windows = operation._windows(shape, trace.shape_of(w))
    along = windows[x.axis - 2]
    if along.stride != 1:
        trace.refuse(f"the convolution moves by {along.stride} steps")
    before = along.before
    after = along.after
    assert isinstance(before, int)
    assert isinstance(after, int)
    ahead = f"{node.shown}: the convolution reads up to {after} steps ahead"
    if after and x.lead + before != along.reach - 1:
        raise NotCausalError(ahead)
    name = x.name
    if before:
        name = _with_rows_before(trace, name, x.axis, before, 0)
    lead = x.lead + before - (along.reach - 1)
    if lead < 0 or (before and x.lead):
        trace.refuse(
            f"the first step has no output: the convolution reads {along.reach} steps without pads before them"
        )
    windows[x.axis - 2] = replace(along, before=0)
    pads = [window.before for window in windows] + [window.after for window in windows]
    plain = replace(operation, pads=tuple(value_of(pad, {}) for pad in pads), auto_pad="NOTSET")
    names = trace.write(node, [name, *names_of(read[1:])], plain)
    if not after:
        return [Traced(names[0], "steps", x.axis, lead)]
    return [Traced(names[0], "steps", x.axis, lead, after, ahead)]


def window_pooling(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """A pooling over windows of steps: refused."""
    if first_of(read).axis != 0:
        trace.refuse("the pooling joins several steps")
    return kept(trace, node, read)
