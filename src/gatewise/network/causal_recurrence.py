"""The rules of nodes that run along the steps with a state: recurrences, loops and cumulative sums."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.network.causal_rules import Read, axis_of, first_of, kept, names_of, require_rows, rule
from gatewise.network.causal_trace import CausalTrace, Traced
from gatewise.network.graph import Node
from gatewise.network.operations.loop import Loop
from gatewise.network.operations.recurrent import Recurrent


@rule("Recurrent")
def _recurrent(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    operation = node.operation
    assert isinstance(operation, Recurrent)
    inputs = dict(zip(operation.formal, read, strict=False))
    require_rows(trace, node, read)
    x = inputs["x"]
    assert x is not None
    if x.axis == 0:
        # The rows of the batch are steps, such as the words whose letters are read: they do not read each other.
        if any(value is not None and value.axis not in (None, 0) for value in read):
            trace.refuse("it relates all steps to each other")
        return kept(trace, node, read)
    weights = [name for name, value in inputs.items() if name not in ("x", "mask") and value is not None]
    if x.axis != 1 or x.lead or any(inputs[name].role == "steps" for name in weights):  # type: ignore[union-attr]
        trace.refuse("it reads the steps in another order than one after the other")
    if operation.reverse:
        trace.refuse(f"the {operation.cell} reads the steps from the last to the first")
    names = dict.fromkeys(operation.formal, "") | dict(zip(operation.formal, names_of(read), strict=False))
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
    inputs_of_step = list(names.values())
    if operation.cell != "LSTM":
        del inputs_of_step[7:]  # what follows h0 is of LSTMs alone
    outputs = trace.write(node, inputs_of_step)
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


@rule("Loop")
def _loop(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    operation = node.operation
    assert isinstance(operation, Loop)
    count = operation.states
    sequences = read[count : count + len(operation.axes)]
    others = [*read[:count], *read[count + len(operation.axes) :]]
    require_rows(trace, node, read)
    if not any(value is not None and value.role == "steps" for value in sequences):
        trace.refuse("a loop over something else reads rows of steps")
    if trace.mentions(operation.body) or any(value is not None and value.role == "steps" for value in others):
        trace.refuse("each step of the loop reads all steps")
    for value, axis in zip(sequences, operation.axes, strict=True):
        assert value is not None
        if value.axis != axis % len(trace.shape_of(value)) or value.lead:
            trace.refuse("the loop reads the steps in another order than one after the other")
    names = names_of(read)
    states = []
    for number in range(count):
        names[number], state = trace.state_from(names[number])
        states.append(state)
    outputs = trace.write(node, names, replace(operation, steps=trace.steps))
    for state, after in zip(states, outputs, strict=False):
        trace.keep(state, after)
    rows = [Traced(name, "steps", axis_of(trace, name, 0)) for name in outputs[count:]]
    return [*(Traced(name, "prefix") for name in outputs[:count]), *rows]


@rule("CumSum")
def _cum_sum(trace: CausalTrace, node: Node, read: Read) -> list[Traced]:
    value = first_of(read)
    operation: Any = node.operation
    if value.axis != operation.axis % len(trace.shape_of(value)):
        return kept(trace, node, read)
    if operation.reverse or value.lead:
        trace.refuse("it sums the steps from the last one")
    axis = value.axis
    sums = trace.builder.add("ReduceSum", value.name, axes=(axis,), keepdims=1)
    state = trace.state(trace.zeros(trace.builder.types[sums]))
    trace.keep(state, trace.builder.add("Add", state, sums))
    [name] = trace.builder.node(operation, [value.name])
    return [Traced(trace.builder.add("Add", name, state), "steps", axis)]
