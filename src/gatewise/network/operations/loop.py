"""Loop: a graph that runs once for each step; `Scan` of ONNX 16 with a number of steps of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewise.network.graph import Graph, GraphBackward, weight_places
from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.network.size import Dim, at_least
from gatewise.types import Array


@dataclass(frozen=True)
class Loop(Operation):
    """The states after the last step, and then the rows of all steps, stacked.

    The inputs are the states before the first step, the sequences, and what each step reads as a whole. The body has an
    input for each of them, in this order; of a sequence it reads the row of the step. It returns the states after the
    step, and the rows of the step. All that it reads are its inputs: it has no constants, and its sizes are those of
    the graph around it.

    steps: how many there are. axes: that of the steps in each sequence. output_axes: that of the steps in each output
    that is stacked.
    """

    formal = ("inputs",)
    variadic = True
    body: Graph
    steps: Dim
    axes: tuple[int, ...] = ()
    output_axes: tuple[int, ...] = ()

    @property
    def states(self) -> int:
        """How many values each step hands on to the next one."""
        return len(self.body.outputs) - len(self.output_axes)

    def infer(self, *inputs: ValueType) -> tuple[ValueType, ...]:
        body = self.body
        self.require(at_least(self.steps, 0), f"{self.steps} steps may be fewer than none")
        self.require(not body.constants, "the body may not have constants")
        self.require(not body.guards, "the body may not have guards")
        self.require(self.states >= 0, "there are more output axes than outputs")
        fits = len(inputs) == len(body.inputs) >= self.states + len(self.axes)
        self.require(fits, f"the body has {len(body.inputs)} inputs, and the node {len(inputs)}")
        read = list(inputs)
        for number, axis in enumerate(self.axes, self.states):
            read[number] = self._row(inputs[number], axis)
        for (name, expected), value_type in zip(body.inputs.items(), read, strict=True):
            self.require(expected == value_type, f"the body reads {name} as {expected}, and it is {value_type}")
        returned = [body.types[name] for name in body.outputs]
        for before, after in zip(read, returned[: self.states], strict=False):
            self.require(before == after, f"a state is {before} before a step, and {after} after it")
        stacked = []
        for value_type, axis in zip(returned[self.states :], self.output_axes, strict=True):
            place = self.axis_of(axis, len(value_type.shape) + 1)
            shape = (*value_type.shape[:place], self.steps, *value_type.shape[place:])
            stacked.append(ValueType(value_type.dtype, shape))
        return (*returned[: self.states], *stacked)

    def weight_inputs(self, inputs: Sequence[ValueType | None]) -> list[int]:
        """What the body reads as weights."""
        names = {node.inputs[place] for node in self.body.nodes for place in weight_places(self.body, node)}
        return [place for place, name in enumerate(self.body.inputs) if name in names]

    def forward(self, execution: Execution, *inputs: Array) -> Computed:
        states = list(inputs[: self.states])
        last_sequence = self.states + len(self.axes)
        sequences = [np.moveaxis(x, axis, 0) for x, axis in zip(inputs[self.states :], self.axes, strict=False)]
        others = inputs[last_sequence:]
        rows: list[list[Array]] = [[] for _ in self.output_axes]
        recorded: list[GraphBackward] = []
        for step in range(execution.size(self.steps)):
            read = [*states, *(sequence[step] for sequence in sequences), *others]
            values = dict(zip(self.body.inputs, read, strict=True))
            returned = self._step(execution, step, values, recorded)
            states = returned[: self.states]
            for of_output, row in zip(rows, returned[self.states :], strict=True):
                of_output.append(row)
        stacked = [
            self._stacked(execution, of_output, number, axis)
            for number, (of_output, axis) in enumerate(zip(rows, self.output_axes, strict=True))
        ]

        def backward(*grads: Array | None) -> tuple[Array | None, ...]:
            of_states = list(grads[: self.states])
            of_rows = [
                None if grad is None else np.moveaxis(grad, axis, 0)
                for grad, axis in zip(grads[self.states :], self.output_axes, strict=True)
            ]
            of_sequences: list[Array | None] = [None] * len(sequences)
            of_others: list[Array | None] = [None] * len(others)
            for step in reversed(range(len(recorded))):
                returned = [*of_states, *(None if grad is None else grad[step] for grad in of_rows)]
                found = recorded[step](_sums(self.body.outputs, returned))
                of_inputs = [found.get(name) for name in self.body.inputs]
                of_states = of_inputs[: self.states]
                for number, grad in enumerate(of_inputs[self.states : last_sequence]):
                    if grad is not None:
                        of_sequences[number] = _with_row(of_sequences[number], sequences[number], step, grad)
                for number, grad in enumerate(of_inputs[last_sequence:]):
                    of_others[number] = _sum(of_others[number], grad)
            in_place = [
                None if grad is None else np.moveaxis(grad, 0, axis)
                for grad, axis in zip(of_sequences, self.axes, strict=True)
            ]
            return (*of_states, *in_place, *of_others)

        return (*states, *stacked), backward

    def _step(
        self, execution: Execution, step: int, values: dict[str, Array], recorded: list[GraphBackward]
    ) -> list[Array]:
        """What the body returns in one step. Its backward pass is recorded if one may follow."""
        inside = replace(execution, saved={})
        if execution.keep:
            computed, backward = self.body.record(values, inside)
            recorded.append(backward)
        else:
            computed = self.body.compute(values, inside, self.body.outputs)
        for name, saved in inside.saved.items():
            execution.saved[f"{execution.node}/{step}/{name}"] = saved
        return [computed[name] for name in self.body.outputs]

    def _stacked(self, execution: Execution, rows: Sequence[Array], number: int, axis: int) -> Array:
        if rows:
            return np.stack(rows, axis=axis)
        value_type = self.body.types[self.body.outputs[self.states + number]]
        shape = list(execution.shape(value_type.shape))
        shape.insert(self.axis_of(axis, len(shape) + 1), 0)
        return np.zeros(shape, execution.numpy_dtype(value_type.dtype))

    def _row(self, sequence: ValueType, axis: int) -> ValueType:
        """The type of one step of a sequence."""
        place = self.axis_of(axis, len(sequence.shape))
        steps = sequence.shape[place]
        self.require(steps == self.steps, f"{sequence} has {steps} rows along axis {axis}, not {self.steps}")
        return ValueType(sequence.dtype, (*sequence.shape[:place], *sequence.shape[place + 1 :]))


def _sum(left: Array | None, right: Array | None) -> Array | None:
    """The sum of two gradients, None for one that is zero."""
    if left is None or right is None:
        return right if left is None else left
    return left + right


def _sums(names: Sequence[str], grads: Sequence[Array | None]) -> dict[str, Array]:
    """The gradients by name. A value may be a state and an output at once."""
    sums: dict[str, Any] = {}
    for name, grad in zip(names, grads, strict=True):
        total = _sum(sums.get(name), grad)
        if total is not None:
            sums[name] = total
    return sums


def _with_row(grads: Array | None, sequence: Array, step: int, grad: Array) -> Array:
    """The gradient of a sequence with that of one step. It is zero before its first step."""
    if grads is None:
        grads = np.zeros_like(sequence)
    grads[step] = grad
    return grads
