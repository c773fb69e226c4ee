"""The steps that a recurrence reads, in ONNX: sequence_lens ends each sequence, so that they stand in front."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.members.onnx.graph import Graph, ints, scalar
from gatewise.members.onnx.network import GraphWriter
from gatewise.network.graph import Node


def mask_of(writer: GraphWriter, node: Node) -> LengthMask | None:
    """The mask of a node, None where it reads all steps."""
    operation: Any = node.operation
    [mask] = [name for formal, name in zip(operation.formal, node.inputs, strict=False) if formal == "mask"] or [""]
    if not mask:
        return None
    lengths = _lengths_of(writer, mask)
    # Behind the end of a sequence ONNX has zeros, and the direction that starts there has read nothing before.
    if lengths and (operation.masked == "zero" or operation.reverse):
        return LengthMask(writer.onnx, _sequence_lens(writer, mask, lengths))
    return StepMask(writer, node, writer.value(mask))


def _lengths_of(writer: GraphWriter, mask: str) -> str:
    """The lengths (B,) of a mask that reads the steps before them, "" of another one: Less of 0, 1, ... T - 1 and a
    column.
    """
    less = writer.producer(mask)
    if less is None or less.operation.name() != "Less":
        return ""
    step, column = map(writer.producer, less.inputs)
    if step is None or column is None or column.operation.name() != "Unsqueeze":
        return ""
    counted: Any = step.operation
    if counted.name() != "Range" or (counted.start, counted.delta) != (0, 1):
        return ""
    batch, steps = writer.type(mask).shape
    [lengths] = column.inputs
    whole = writer.type(step.outputs[0]).shape == (steps,) and writer.type(lengths).shape == (batch,)
    return lengths if whole and writer.type(column.outputs[0]).shape == (batch, 1) else ""


def _sequence_lens(writer: GraphWriter, mask: str, lengths: str) -> str:
    """The lengths (B,) int32, which ONNX Runtime takes from 0 to T."""
    key = ("sequence_lens", mask)
    if key not in writer.shared:
        onnx = writer.onnx
        steps = writer.sizes.size(writer.type(mask).shape[1])
        whole = writer.value(lengths)
        if writer.type(lengths).dtype != "int64":
            whole = onnx.cast(whole, np.int64)
        within = onnx.add("Max", onnx.add("Min", whole, steps), ints(0))
        writer.shared[key] = onnx.cast(within, np.int32)
    value: str = writer.shared[key]
    return value


class LengthMask:
    """A mask of the steps before the lengths (B,) int32 of the sequences."""

    def __init__(self, onnx: Graph, lengths: str) -> None:
        self.lengths = lengths
        self._onnx = onnx

    def compact(self, x: str) -> str:
        """x (B, T, D) with the steps that are read in front."""
        return x

    def spread(self, h: str) -> str:
        """The outputs (B, T, H) of the steps that are in front, where these steps were."""
        return h

    def kept(self, final: str, start: str) -> str:
        """The last state (B, N): that of a sequence without a step is the first one, where ONNX Runtime has 0."""
        has_steps = self._onnx.add("Greater", self.lengths, scalar(0, np.int32))
        return self._onnx.add("Where", self._onnx.column(has_steps), final, start)


class StepMask(LengthMask):
    """A mask of any steps: those that it excludes are moved behind the others."""

    def __init__(self, writer: GraphWriter, node: Node, mask: str) -> None:
        onnx = writer.onnx
        operation: Any = node.operation
        flags = onnx.cast(mask, np.int64)
        counts = onnx.add("ReduceSum", flags, ints(1), keepdims=1)  # (B, 1)
        super().__init__(onnx, onnx.cast(onnx.add("Squeeze", counts, ints(1)), np.int32))
        read_before = onnx.add("CumSum", flags, scalar(1))  # (B, T), with the step itself
        earlier = onnx.add("Sub", read_before, scalar(1))
        # A step that is read moves to the place behind those that are read before it, the others behind all of them.
        unread = onnx.add("CumSum", onnx.add("Sub", scalar(1), flags), scalar(1))
        behind = onnx.add("Add", counts, onnx.add("Sub", unread, scalar(1)))
        place = onnx.add("Where", mask, earlier, behind)
        steps = writer.type(node.inputs[0]).shape[1]
        step = onnx.add("Range", scalar(0), writer.sizes.scalar(steps), scalar(1))  # (T,)
        step = onnx.add("Expand", step, onnx.add("Shape", place))
        self._source = onnx.add("ScatterElements", place, place, step, axis=1)
        # Where a step is not read, the output is that of the step read before it, or zero.
        row = earlier
        if operation.reverse:
            row = onnx.add("Sub", read_before, flags)
        if operation.masked == "zero":
            exists = mask
        elif operation.reverse:
            exists = onnx.add("Less", row, counts)
        else:
            exists = onnx.add("GreaterOrEqual", row, scalar(0))
        self._exists = onnx.add("Unsqueeze", exists, ints(2))
        last = onnx.add("Sub", writer.sizes.scalar(steps), scalar(1))
        self._row = onnx.add("Max", onnx.add("Min", row, last), scalar(0))

    def compact(self, x: str) -> str:
        return self._steps(x, self._source)

    def spread(self, h: str) -> str:
        return self._onnx.add("Where", self._exists, self._steps(h, self._row), scalar(0, np.float32))

    def _steps(self, x: str, steps: str) -> str:
        """Row steps[b, t] of x[b] (T, N)."""
        index = self._onnx.add("Unsqueeze", steps, ints(2))
        width = self._onnx.add("Concat", ints(1, 1), self._onnx.size(x, 2), axis=0)
        return self._onnx.add("GatherElements", x, self._onnx.add("Expand", index, width), axis=1)
