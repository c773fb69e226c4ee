"""What a node of a graph makes of values with a row for each step: one rule per kind of operation.

A rule gets the trace, the node and what it reads, and returns what each output is (`Traced`). It writes the node of the
step graph: as it is where its rows depend on the same rows of its inputs alone, and with a state where the steps before
count. See `gatewise.network.causality`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.network.causal_trace import CausalTrace, NotCausalError, Traced
from gatewise.network.elementwise import Elementwise
from gatewise.network.graph import Node
from gatewise.network.operations.conv import Conv
from gatewise.network.operations.einsum import Einsum
from gatewise.network.operations.loop import Loop
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.operations.slice import Slice
from gatewise.network.reduction import Reduction
from gatewise.network.size import product, value_of
from gatewise.network.windows import WindowOperation

Read = Sequence[Traced | None]
"""What a node reads, None for an input that is left out."""

Rule = Callable[[CausalTrace, Node, Read], list[Traced]]


def traced(trace: CausalTrace, node: Node) -> list[Traced]:
    """What each output of a node is. Raises NotCausalError where the node is not causal, and InputError where it does
    not fit another number of steps.
    """
    read = [trace.values[name] if name else None for name in node.inputs]
    roles = {value.role for value in read if value is not None}
    name = node.operation.name()
    rule = _RULES.get(name)
    of_sizes = trace.mentions(node.operation)
    for value in _steps_of(read):
        if value.tail and name != "Slice" and name not in _SAME_ROWS and not isinstance(node.operation, Elementwise):
            raise NotCausalError(value.ahead)
    if "steps" not in roles and not of_sizes:
        return _whole(trace, node, read)
    if of_sizes and name not in _OF_SIZES:
        trace.refuse(f"{name} depends on the number of steps")
    if rule is not None:
        return rule(trace, node, read)
    if isinstance(node.operation, Elementwise):
        return _elementwise(trace, node, read)
    if isinstance(node.operation, Reduction):
        return _reduction(trace, node, read)
    if isinstance(node.operation, WindowOperation):
        return _pooling(trace, node, read)
    return trace.refuse(f"{name} over steps is not known to be causal")


# What no step or every step by itself decides


def _whole(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """A node that reads values without an axis of steps: of all steps so far, if one of them is."""
    role = "prefix" if any(value is not None and value.role == "prefix" for value in read) else "fixed"
    names = trace.write(node, _names(read))
    if role == "fixed":
        return [Traced(name, "fixed") for name in names]
    if node.operation.name() == "Concat":
        trace.columns[names[0]] = tuple(None if value is None else value.place for value in read)
    return [Traced(name, "prefix", place=_place(trace, node, read)) for name in names]


def _kept(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """A node whose rows read the same rows of its inputs. Refuses a prefix among the inputs."""
    _require_rows(trace, node, read)
    values = _steps_of(read)
    if len({(value.lead, value.tail) for value in values}) > 1:
        trace.refuse("it joins rows of steps with rows of other steps")
    first = Traced("", "steps")
    if values:
        first = values[0]
    names = trace.write(node, _names(read))
    return [
        replace(first, name=name, axis=_axis_of(trace, name, first.lead + first.tail), place=None) for name in names
    ]


def _require_rows(trace: CausalTrace, node: Node, read: Read) -> None:
    """Refuse a prefix among the inputs: it changes with every step, and with it the rows of earlier steps."""
    for name, value in zip(node.inputs, read, strict=True):
        if value is not None and value.role == "prefix":
            trace.refuse(f"each step reads {name!r}, which depends on all steps")


def _axis_of(trace: CausalTrace, name: str, more: int) -> int:
    """The axis of the steps in a value of the step graph, by its size, with `more` rows than there are new steps.
    Refuses a value with none, or with several.
    """
    shape = trace.builder.types[name].shape
    rows = trace.steps + more
    axes = [axis for axis, dim in enumerate(shape) if trace.mentions(dim)]
    if len(axes) > 1:
        trace.refuse("it relates all steps to each other")
    if not axes or shape[axes[0]] != rows:
        trace.refuse("it joins the numbers of several steps")
    return axes[0]


def _names(read: Read) -> list[str]:
    return ["" if value is None else value.name for value in read]


def _steps_of(read: Read) -> list[Traced]:
    """Those with a row for each step."""
    return [value for value in read if value is not None and value.role == "steps"]


def _first(read: Read) -> Traced:
    """The first input."""
    value = read[0]
    assert value is not None
    return value


def _elementwise(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    if _is_before_the_end(trace, node, read):
        names = trace.write(node, _names(read))
        return [Traced(names[0], "steps", _axis_of(trace, names[0], 0))]
    place = _place(trace, node, read)
    return [replace(value, place=place) for value in _kept(trace, node, read)]


def _is_before_the_end(trace: CausalTrace, node: Node, read: Read) -> bool:
    """Whether a comparison of places with the number of steps holds for all steps, now and later: t + a < T + b."""
    name = node.operation.name()
    if name not in ("Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
        return False
    left, right = reversed(read) if name.startswith("Greater") else read
    if left is None or right is None or left.place is None or right.place is None:
        return False
    if (left.role, right.role) != ("steps", "prefix"):
        return False
    last = left.place - 1  # the largest t is T - 1
    return last <= right.place if name.endswith("OrEqual") else last < right.place


_SAME_NUMBERS = frozenset(["Cast", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"])


def _place(trace: CausalTrace, node: Node, read: Read) -> int | None:
    """The place of what a node returns, see `Traced`."""
    name = node.operation.name()
    first = read[0] if read else None
    if name in _SAME_NUMBERS and first is not None:
        return first.place if trace.builder.types[first.name].dtype != "bool" else None
    if name not in ("Add", "Sub", "Max") or len(read) != 2:
        return None
    counted, added = read
    if counted is None or added is None:
        return None
    # A sum has its constant on either side.
    if counted.place is None and name != "Sub":
        counted, added = added, counted
    number = trace.constant_of(added)
    if counted.place is None or number is None or number.dtype.kind not in "iu" or np.unique(number).size != 1:
        return None
    shift = int(number.flat[0])
    if name == "Max":  # such as lengths of at least 1, which they are
        return counted.place if counted.role == "prefix" and shift <= counted.place + 1 else None
    return counted.place + shift if name == "Add" else counted.place - shift


def _along(attribute: str) -> Rule:
    """The rule of an operation along the axis of an attribute, which may be another than that of the steps."""

    def rule(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
        for value in _steps_of(read):
            axis = getattr(node.operation, attribute) % len(trace.shape_of(value))
            if axis == value.axis:
                trace.refuse(f"{node.operation.name()} over all steps")
        return _kept(trace, node, read)

    return rule


def _normalization(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """Over the axes from one on."""
    value = _first(read)
    first = getattr(node.operation, "axis", 2) % len(trace.shape_of(value))
    if value.axis is not None and value.axis >= first:
        trace.refuse(f"{node.operation.name()} over all steps")
    return _kept(trace, node, read)


def _group_normalization(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """Over the channels of a group and all that follows: a sequence is normalised with all of its steps."""
    if _first(read).axis != 0:
        trace.refuse(f"{node.operation.name()} over all steps")
    return _kept(trace, node, read)


def _reshape(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """The rows stay rows where as many numbers stand before the axis of the steps as after it."""
    value = _first(read)
    if value.role != "steps":
        return _resized(trace, node, read)
    [result] = _kept(trace, node, read)
    before = product(trace.shape_of(value)[: value.axis])
    after = product(trace.shape_of(result)[: result.axis])
    if before != after:
        trace.refuse("it joins the numbers of several steps")
    return [replace(result, place=value.place)]


def _resized(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """A value that is repeated for each step, or a node without values whose sizes have the number of steps."""
    [result] = _kept(trace, node, read)
    return [replace(result, place=_place(trace, node, read))]


def _sizes(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """The number of steps itself."""
    operation: Any = node.operation
    if not all(size == trace.steps for size in operation.sizes):
        trace.refuse("it computes with the number of steps")
    shape = () if operation.scalar else (len(operation.sizes),)
    name = trace.builder.add("Expand", trace.count(), shape=shape)
    return [Traced(name, "prefix", place=0)]


def _range(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """The places of the steps."""
    operation: Any = node.operation
    if operation.delta != 1 or trace.mentions(operation.start) or operation.limit - operation.start != trace.steps:
        trace.refuse("it counts the steps from the last one, or others than the steps")
    [new] = trace.builder.node(operation, [])
    trace.has_places = True
    before = trace.builder.add("Cast", trace.steps_before(), to=operation.dtype)
    return [Traced(trace.builder.add("Add", new, before), "steps", 0, place=operation.start)]


# What reads rows of other steps


def _slice(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value = _first(read)
    operation = node.operation
    assert isinstance(operation, Slice)
    if value.role != "steps":
        trace.refuse("its bounds depend on the number of steps")
    shape = trace.shape_of(value)
    bounds = {axis: (start, end, step) for axis, start, end, step in operation._bounds(len(shape))}
    if value.axis not in bounds:
        return _kept(trace, node, read)
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


def _held(trace: CausalTrace, name: str) -> Traced:
    """A value of the first step, which the later ones keep."""
    chosen, state = trace.state_from(name)
    trace.keep(state, chosen)
    return Traced(chosen, "fixed")


def _gather(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    data, indices = read
    assert data is not None
    assert indices is not None
    operation: Any = node.operation
    if data.role != "steps" or operation.axis % len(trace.shape_of(data)) != data.axis:
        return _kept(trace, node, read)
    return _row(trace, node, data, indices)


def _gather_elements(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    data, indices = read
    assert data is not None
    assert indices is not None
    operation: Any = node.operation
    if data.role != "steps" or operation.axis % len(trace.shape_of(data)) != data.axis:
        if data.axis != indices.axis:
            trace.refuse("it relates all steps to each other")
        return _kept(trace, node, read)
    return _row(trace, node, data, indices)


def _gather_nd(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """The last step of each sequence, by the numbers of the sequence and of the step: h[arange(B), lengths - 1]."""
    data, indices = read
    assert data is not None
    assert indices is not None
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


def _pad(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value = _first(read)
    operation: Any = node.operation
    shape = trace.shape_of(value)
    along = {axis: (before, after) for axis, before, after in operation._along(shape, operation.pads)}
    before, after = along.pop(value.axis, (0, 0))
    if (before, after) == (0, 0):
        return _kept(trace, node, read)
    if after != 0 or not isinstance(before, int) or before < 0 or operation.mode != "constant" or value.lead:
        trace.refuse("it pads after the last step, or cuts steps off")
    name = value.name
    if along:
        pads = (*(pair[0] for pair in along.values()), *(pair[1] for pair in along.values()))
        name = trace.builder.node(replace(operation, axes=tuple(along), pads=pads), [name])[0]
    assert value.axis is not None
    padded = _with_rows_before(trace, name, value.axis, before, operation.constant_value)
    return [Traced(padded, "steps", value.axis, before)]


def _with_rows_before(trace: CausalTrace, name: str, axis: int, rows: int, fill: float) -> str:
    """The new rows after the last `rows` before them, which are full of a number before the first step."""
    value_type = trace.builder.types[name]
    shape = (*value_type.shape[:axis], rows, *value_type.shape[axis + 1 :])
    start = trace.zeros(replace(value_type, shape=shape)) + np.asarray(fill)
    state = trace.state(start.astype(trace.zeros(replace(value_type, shape=())).dtype))
    joined = trace.builder.add("Concat", state, name, axis=axis)
    last = trace.builder.add("Slice", joined, starts=(-rows,), ends=(trace.steps + rows,), axes=(axis,), steps=(1,))
    trace.keep(state, last)
    return joined


def _concat(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    operation: Any = node.operation
    [*before, last] = [value for value in read if value is not None]
    axis = operation.axis % len(trace.shape_of(last))
    if axis not in {value.axis for value in _steps_of(read)}:
        return _kept(trace, node, read)
    is_shift = len(before) == 1 and before[0].role == "fixed" and last.role == "steps" and not last.lead
    rows = trace.shape_of(before[0])[axis] if before else None
    if not is_shift or not isinstance(rows, int):
        trace.refuse("it joins steps with other steps")
    start, state = trace.state_from(before[0].name)
    joined = trace.builder.add("Concat", start, last.name, axis=axis)
    kept = trace.builder.add("Slice", joined, starts=(-rows,), ends=(trace.steps + rows,), axes=(axis,), steps=(1,))
    trace.keep(state, kept)
    return [Traced(joined, "steps", axis, rows)]


def _conv(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    x, w = read[:2]
    assert x is not None
    assert w is not None
    operation = node.operation
    assert isinstance(operation, Conv)
    if x.role != "steps" or x.axis == 0:
        return _kept(trace, node, read)
    _require_rows(trace, node, read)
    if x.axis == 1 or len(_steps_of(read)) > 1:
        trace.refuse("it joins the numbers of several steps")
    assert x.axis is not None
    shape = trace.shape_of(x)
    windows = operation._windows(shape, trace.shape_of(w))
    along = windows[x.axis - 2]
    if along.stride != 1:
        trace.refuse(f"the convolution moves by {along.stride} steps")
    before, after = along.before, along.after
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
    names = trace.write(node, [name, *_names(read[1:])], plain)
    if not after:
        return [Traced(names[0], "steps", x.axis, lead)]
    return [Traced(names[0], "steps", x.axis, lead, after, ahead)]


def _pooling(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    if _first(read).axis != 0:
        trace.refuse("the pooling joins several steps")
    return _kept(trace, node, read)


# What runs along the steps with a state


def _recurrent(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    operation = node.operation
    assert isinstance(operation, Recurrent)
    inputs = dict(zip(operation.formal, read, strict=False))
    _require_rows(trace, node, read)
    x = inputs["x"]
    assert x is not None
    if x.axis == 0:
        # The rows of the batch are steps, such as the words whose letters are read: they do not read each other.
        if any(value is not None and value.axis not in (None, 0) for value in read):
            trace.refuse("it relates all steps to each other")
        return _kept(trace, node, read)
    weights = [name for name, value in inputs.items() if name not in ("x", "mask") and value is not None]
    if x.axis != 1 or x.lead or any(inputs[name].role == "steps" for name in weights):  # type: ignore[union-attr]
        trace.refuse("it reads the steps in another order than one after the other")
    if operation.reverse:
        trace.refuse(f"the {operation.cell} reads the steps from the last to the first")
    names = dict.fromkeys(operation.formal, "") | dict(zip(operation.formal, _names(read), strict=False))
    mask = inputs.get("mask")
    types = operation.infer(*(None if value is None else trace.type_of(value) for value in read))  # type: ignore[arg-type]
    states = []
    for name, value_type in zip(("h0", "c0"), types[1:], strict=False):
        if names[name]:
            names[name], state = trace.state_from(names[name])
        else:
            state = trace.state(trace.zeros(value_type))
            names[name] = state
        states.append(state)
    outputs = trace.write(node, list(names.values()) if operation.cell == "LSTM" else list(names.values())[:7])
    for state, after in zip(states, outputs[1:], strict=True):
        trace.keep(state, after)
    rows = outputs[0]
    if mask is not None and operation.masked == "previous":
        rows = _shown(trace, rows, mask)
    return [Traced(rows, "steps", 1), *(Traced(name, "prefix") for name in outputs[1:])]


def _shown(trace: CausalTrace, rows: str, mask: Traced) -> str:
    """The rows (B, T, P) of a recurrence, where those before the first of the new steps that is read repeat the last
    row before them: the recurrence itself starts with zeros.
    """
    builder = trace.builder
    batch, _, outputs = builder.types[rows].shape
    state = trace.state(trace.zeros(replace(builder.types[rows], shape=(batch, 1, outputs))))
    counted = builder.add("CumSum", builder.add("Cast", mask.name, to="int64"), axis=1)
    is_read = builder.add("Greater", counted, builder.constant(np.array(0)))
    shown = builder.add("Where", builder.add("Unsqueeze", is_read, axes=(2,)), rows, state)
    last = builder.add("Slice", shown, starts=(-1,), ends=(trace.steps,), axes=(1,), steps=(1,))
    trace.keep(state, last)
    return shown


def _loop(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    operation = node.operation
    assert isinstance(operation, Loop)
    count = operation.states
    sequences = read[count : count + len(operation.axes)]
    others = [*read[:count], *read[count + len(operation.axes) :]]
    _require_rows(trace, node, read)
    if not any(value is not None and value.role == "steps" for value in sequences):
        trace.refuse("a loop over something else reads rows of steps")
    if trace.mentions(operation.body) or any(value is not None and value.role == "steps" for value in others):
        trace.refuse("each step of the loop reads all steps")
    for value, axis in zip(sequences, operation.axes, strict=True):
        assert value is not None
        if value.axis != axis % len(trace.shape_of(value)) or value.lead:
            trace.refuse("the loop reads the steps in another order than one after the other")
    names = _names(read)
    states = []
    for number in range(count):
        names[number], state = trace.state_from(names[number])
        states.append(state)
    outputs = trace.write(node, names, replace(operation, steps=trace.steps))
    for state, after in zip(states, outputs, strict=False):
        trace.keep(state, after)
    rows = [Traced(name, "steps", _axis_of(trace, name, 0)) for name in outputs[count:]]
    return [*(Traced(name, "prefix") for name in outputs[:count]), *rows]


def _cum_sum(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value = _first(read)
    operation: Any = node.operation
    if value.axis != operation.axis % len(trace.shape_of(value)):
        return _kept(trace, node, read)
    if operation.reverse or value.lead:
        trace.refuse("it sums the steps from the last one")
    axis = value.axis
    sums = trace.builder.add("ReduceSum", value.name, axes=(axis,), keepdims=1)
    state = trace.state(trace.zeros(trace.builder.types[sums]))
    trace.keep(state, trace.builder.add("Add", state, sums))
    [name] = trace.builder.node(operation, [value.name])
    return [Traced(trace.builder.add("Add", name, state), "steps", axis)]


# Reductions over the steps


def _reduction(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value = _first(read)
    operation = node.operation
    assert isinstance(operation, Reduction)
    rank = len(trace.shape_of(value))
    axes = operation._reduced_axes(rank)
    if value.axis not in axes:
        return _kept(trace, node, read)
    return [_reduced(trace, node, value, axes, bool(operation.keepdims), operation.name())]


def _global_pooling(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value = _first(read)
    if value.axis == 0:
        return _kept(trace, node, read)
    if value.axis == 1:
        trace.refuse("it joins the numbers of several steps")
    name = {"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}[node.operation.name()]
    return [_reduced(trace, node, value, tuple(range(2, len(trace.shape_of(value)))), True, name)]


def _reduced(trace: CausalTrace, node: Node, value: Traced, axes: tuple[int, ...], keepdims: bool, name: str) -> Traced:
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


# Products


def _matmul(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    left, right = read
    assert left is not None
    assert right is not None
    inner = [len(trace.shape_of(left)) - 1, max(0, len(trace.shape_of(right)) - 2)]
    return _product(trace, node, read, [left.axis == inner[0], right.axis == inner[1]])


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
    values = _steps_of(read)
    sums = [
        summed for value, summed in zip(read, is_summed, strict=True) if value is not None and value.role == "steps"
    ]
    if not any(sums):
        return _kept(trace, node, read)
    _require_rows(trace, node, read)
    if not all(sums) or any(value.lead for value in values):
        trace.refuse("it relates all steps to each other")
    # A sum over the steps of products of their rows goes on with each step.
    [new] = trace.write(node, _names(read))
    state = trace.state(trace.zeros(trace.builder.types[new]), is_sum=True)
    joined = trace.builder.add("Add", state, new)
    trace.keep(state, joined)
    return [Traced(joined, "prefix")]


# The others


def _require_longest(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value, lengths = read
    assert value is not None
    assert lengths is not None
    if value.role != "steps" or value.axis != 1 or lengths.place != 0:
        trace.refuse("the number of rows depends on lengths that the network computes")
    return [value]


def _trilu(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value = _first(read)
    if value.axis is not None and value.axis >= len(trace.shape_of(value)) - 2:
        trace.refuse("it relates all steps to each other")
    return _kept(trace, node, read)


def _tile(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    """A value with one row that is repeated for each step is no different from one that is expanded."""
    operation: Any = node.operation
    if _first(read).role != "steps" and trace.mentions(operation.repeats):
        shape = trace.shape_of(_first(read))
        repeated = [axis for axis, times in enumerate(operation.repeats) if trace.mentions(times)]
        if any(shape[axis] != 1 for axis in repeated):
            trace.refuse("it joins the numbers of several steps")
    return _kept(trace, node, read)


_RULES: dict[str, Rule] = {
    "ArgMax": _along("axis"),
    "ArgMin": _along("axis"),
    "BatchNormalization": _kept,
    "Cast": _elementwise,
    "Clip": _elementwise,
    "Concat": _concat,
    "ConstantOfShape": _resized,
    "Conv": _conv,
    "CumSum": _cum_sum,
    "Dropout": _elementwise,
    "Einsum": _einsum,
    "Expand": _resized,
    "Flatten": _reshape,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Gemm": _kept,
    "GlobalAveragePool": _global_pooling,
    "GlobalMaxPool": _global_pooling,
    "GroupNormalization": _group_normalization,
    "Identity": _elementwise,
    "InstanceNormalization": _group_normalization,
    "LayerNormalization": _normalization,
    "LogSoftmax": _along("axis"),
    "Loop": _loop,
    "MatMul": _matmul,
    "OneHot": _kept,
    "Pad": _pad,
    "RMSNormalization": _normalization,
    "Range": _range,
    "Recurrent": _recurrent,
    "RequireLongest": _require_longest,
    "Reshape": _reshape,
    "Sizes": _sizes,
    "Slice": _slice,
    "Softmax": _along("axis"),
    "Split": _along("axis"),
    "Squeeze": _reshape,
    "Tile": _tile,
    "TopK": _along("axis"),
    "Transpose": _kept,
    "Trilu": _trilu,
    "Unsqueeze": _reshape,
}

_SAME_ROWS = frozenset(
    ["BatchNormalization", "Cast", "Clip", "Dropout", "Identity", "Squeeze", "Transpose", "Unsqueeze"]
)
"""Operations, besides those on each number, after which the rows are those of the same steps."""

_OF_SIZES = frozenset(["ConstantOfShape", "Expand", "Loop", "Range", "Reshape", "Sizes", "Slice", "Tile"])
"""The operations whose rules know attributes with the number of steps."""
