"""`Recurrent` in ONNX: LSTM, GRU or RNN with the weights in the order of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.members.onnx.graph import Value, ints, scalar
from gatewise.members.onnx.network import GraphWriter
from gatewise.network.cells import CELLS
from gatewise.network.graph import Node
from gatewise.types import Array

_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""The gates i f g o, r z n in the order of ONNX: i o f g, z r n."""

_ACTIVATIONS = {
    "Elu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Relu": (),
    "Sigmoid": (),
    "Softplus": (),
    "Softsign": (),
    "Tanh": (),
    "ThresholdedRelu": ("alpha",),
}
"""What LSTM, GRU and RNN compute, with the fields that are activation_alpha and activation_beta there."""


def recurrent(writer: GraphWriter, node: Node) -> list[str]:
    """LSTM, GRU or RNN where ONNX has the cell, else a Scan of its steps.

    Steps that a mask excludes are moved behind the others, where sequence_lens ends the sequence.
    """
    operation: Any = node.operation
    onnx = writer.onnx
    layer = Layer(writer, node)
    if layer.value("projection") or any(one.name() not in _ACTIVATIONS for one in operation.activations):
        return scan(writer, node, layer)
    x = layer.value("x")
    mask = None
    if layer.value("mask"):
        mask = _Mask(writer, node, layer.value("mask"))
        x = mask.compact(x)
    of_lstm: list[Value] = []
    if operation.cell == "LSTM":
        of_lstm = [layer.direction("c0"), layer.peepholes()]
    states = CELLS[operation.cell].states
    y, *finals = onnx.add_several(
        operation.cell,
        1 + states,
        onnx.add("Transpose", x, perm=[1, 0, 2]),
        layer.gates("weight_ih"),
        layer.gates("weight_hh"),
        layer.biases(),
        "" if mask is None else mask.lengths,
        layer.direction("h0"),
        *of_lstm,
        **layer.attributes(),
    )
    h = onnx.add("Transpose", onnx.add("Squeeze", y, ints(1)), perm=[1, 0, 2])  # (B, T, H)
    last = [onnx.add("Squeeze", final, ints(0)) for final in finals]
    if mask is None:
        return [h, *last]
    starts = [layer.value(name) for name in ("h0", "c0")[:states]]
    last = [mask.kept(final, start) if start else final for final, start in zip(last, starts, strict=True)]
    return [mask.spread(h), *last]


def scan(writer: GraphWriter, node: Node, layer: Layer) -> list[str]:
    """A Scan over the steps (T, B, K H) of x W_ihᵀ + b, as `gatewise.network.cells` computes one."""
    operation: Any = node.operation
    outer = writer.onnx
    states = CELLS[operation.cell].states
    by_time = outer.add("Transpose", layer.value("x"), perm=[1, 0, 2])
    pre_x = outer.add("MatMul", by_time, outer.add("Transpose", layer.value("weight_ih"), perm=[1, 0]))
    if layer.value("bias"):
        pre_x = outer.add("Add", pre_x, layer.value("bias"))
    scanned = [pre_x]
    if layer.value("mask"):
        mask = outer.add("Transpose", layer.value("mask"), perm=[1, 0])
        scanned.append(outer.add("Unsqueeze", mask, ints(2)))  # (T, B, 1)
    starts = [layer.start(name) for name in ("h0", "c0")[:states]]
    if layer.value("mask"):
        starts.append(outer.add("Mul", starts[0], scalar(0, np.float32)))  # the output so far
    weight_hh_T = outer.add("Transpose", layer.value("weight_hh"), perm=[1, 0])
    prefix = f"{writer.prefix}{node.name}"
    read = [f"{prefix}.state_{number}" for number in range(len(starts))]
    steps = [f"{prefix}.step_{number}" for number in range(len(scanned))]
    body = outer.body()
    writer.onnx = body
    step = _Step(writer, operation, layer, weight_hh_T)
    after = step.state(steps[0], read[:states])
    output = after[0]
    if layer.value("mask"):
        is_read = steps[1]
        otherwise: Value = read[-1]
        if operation.masked == "zero":
            otherwise = scalar(0, np.float32)
        output = body.add("Where", is_read, after[0], otherwise)
        after = [body.add("Where", is_read, new, old) for new, old in zip(after, read, strict=False)]
        after.append(output)
    writer.onnx = outer
    returned = [
        body.add("Identity", value) for value in (*after, output)
    ]  # the outputs of a body have names of their own
    kinds = [np.float32, np.bool_]
    proto = body.body_proto(
        dict.fromkeys(read, (np.float32, None))
        | {name: (kind, None) for name, kind in zip(steps, kinds, strict=False)},
        dict.fromkeys(returned, (np.float32, None)),
    )
    backwards = [int(operation.reverse)]
    *last, h = outer.add_several(
        "Scan",
        len(returned),
        *starts,
        *scanned,
        body=proto,
        num_scan_inputs=len(scanned),
        scan_input_directions=backwards * len(scanned),
        scan_output_directions=backwards,
    )
    return [outer.add("Transpose", h, perm=[1, 0, 2]), *last[:states]]


class _Step:
    """One step of a cell inside of a Scan; see `gatewise.network.cells`, which has the same formulas."""

    def __init__(self, writer: GraphWriter, operation: Any, layer: Layer, weight_hh_T: str) -> None:
        self._writer = writer
        self._onnx = writer.onnx
        self._operation = operation
        self._layer = layer
        self._weight_hh_T = weight_hh_T
        self._activations = operation.activations or CELLS[operation.cell].defaults

    def state(self, pre_x: str, state: list[str]) -> list[str]:
        """The state after a step: h, and of an LSTM c."""
        if self._operation.cell == "LSTM":
            return self._lstm(pre_x, *state)
        if self._operation.cell == "GRU":
            return self._gru(pre_x, *state)
        return self._rnn(pre_x, *state)

    def _lstm(self, pre_x: str, h: str, c: str) -> list[str]:
        add = self._onnx.add
        pre = self._onnx.add_several("Split", 4, self._recurrent(pre_x, h), axis=1)
        peepholes = [""] * 3
        if self._layer.value("peepholes"):
            peepholes = self._onnx.add_several("Split", 3, self._layer.value("peepholes"), axis=0)

        def looking(sums: str, peephole: str, at: str) -> str:
            return add("Add", sums, add("Mul", peephole, at)) if peephole else sums

        i = self._activated(0, looking(pre[0], peepholes[0], c))
        f = self._activated(0, looking(pre[1], peepholes[1], c))
        g = self._activated(1, pre[2])
        c = add("Add", add("Mul", f, c), add("Mul", i, g))
        o = self._activated(0, looking(pre[3], peepholes[2], c))
        h = add("Mul", o, self._activated(2, c, clip=False))
        if self._layer.value("projection"):
            h = add("MatMul", h, add("Transpose", self._layer.value("projection"), perm=[1, 0]))
        return [h, c]

    def _gru(self, pre_x: str, h: str) -> list[str]:
        add = self._onnx.add
        x_r, x_z, x_n = self._onnx.add_several("Split", 3, pre_x, axis=1)
        w_r, w_z, w_n = self._onnx.add_several("Split", 3, self._weight_hh_T, axis=1)
        biases = [""] * 3
        if self._layer.value("recurrent_bias"):
            biases = self._onnx.add_several("Split", 3, self._layer.value("recurrent_bias"), axis=0)

        def product(state: str, weight: str, bias: str) -> str:
            of_state = add("MatMul", state, weight)
            return add("Add", of_state, bias) if bias else of_state

        r = self._activated(0, add("Add", x_r, product(h, w_r, biases[0])))
        z = self._activated(0, add("Add", x_z, product(h, w_z, biases[1])))
        if self._operation.linear_before_reset:
            of_h = add("Mul", r, product(h, w_n, biases[2]))
        else:
            of_h = product(add("Mul", r, h), w_n, biases[2])
        n = self._activated(1, add("Add", x_n, of_h))
        new = add("Mul", add("Sub", scalar(1, np.float32), z), n)
        return [add("Add", new, add("Mul", z, h))]

    def _rnn(self, pre_x: str, h: str) -> list[str]:
        return [self._activated(0, self._recurrent(pre_x, h))]

    def _recurrent(self, pre_x: str, h: str) -> str:
        """pre_x + h W_hhᵀ, and the recurrent bias."""
        pre = self._onnx.add("Add", pre_x, self._onnx.add("MatMul", h, self._weight_hh_T))
        bias = self._layer.value("recurrent_bias")
        return self._onnx.add("Add", pre, bias) if bias else pre

    def _activated(self, number: int, x: str, clip: bool = True) -> str:
        limit = self._operation.clip
        if clip and limit:
            x = self._onnx.add("Clip", x, scalar(-limit, np.float32), scalar(limit, np.float32))
        return self._writer.elementwise(self._activations[number], x)


class Layer:
    """The inputs of a node in the form of ONNX."""

    def __init__(self, writer: GraphWriter, node: Node) -> None:
        self._writer = writer
        self._operation: Any = node.operation
        formal = node.operation.formal
        self._names = dict(zip(formal, (*node.inputs, *("",) * len(formal)), strict=False))

    def value(self, name: str) -> str:
        """A value of the ONNX graph by its formal name, "" where it is left out."""
        return self._writer.value(self._names[name])

    def start(self, name: str) -> str:
        """A first state (B, N), zeros where it is left out."""
        if self._names[name]:
            return self.value(name)
        of_x = self._writer.type(self._names["x"]).shape
        units = self._rows("weight_hh") // CELLS[self._operation.cell].gates
        width = units
        if name == "h0":
            width = self._columns("weight_hh")
        return self._writer.onnx.add("ConstantOfShape", self._writer.sizes.vector((of_x[0], width)))

    def direction(self, name: str) -> str:
        """An array (..., N) as (1, ..., N): of the only direction."""
        value = self.value(name)
        return self._writer.onnx.add("Unsqueeze", value, ints(0)) if value else ""

    def gates(self, name: str) -> Value:
        """The rows (K H, ...) of the gates in the order of ONNX, of the only direction."""
        return self._in_order(name, _GATES[self._operation.cell])

    def peepholes(self) -> Value:
        """i f o as i o f."""
        return self._in_order("peepholes", (0, 2, 1)) if self._names["peepholes"] else ""

    def biases(self) -> Value:
        """The two biases (1, 2 K H), "" where the node has none."""
        if not (self._names["bias"] or self._names["recurrent_bias"]):
            return ""
        zeros = np.zeros((1, self._rows("weight_hh")), np.float32)
        halves: list[Value] = []
        for name in ("bias", "recurrent_bias"):
            halves.append(self.gates(name) if self._names[name] else zeros)
        return self._writer.onnx.add("Concat", *halves, axis=1)

    def attributes(self) -> dict[str, Any]:
        """Of the node in ONNX."""
        operation = self._operation
        attributes: dict[str, Any] = {"hidden_size": self._rows("weight_hh") // CELLS[operation.cell].gates}
        if operation.reverse:
            attributes["direction"] = "reverse"
        if operation.clip:
            attributes["clip"] = operation.clip
        if operation.cell == "GRU":
            attributes["linear_before_reset"] = int(operation.linear_before_reset)
        if operation.activations:
            attributes |= self._activations()
        return attributes

    def _activations(self) -> dict[str, Any]:
        names = []
        parameters: dict[str, list[float]] = {"alpha": [], "beta": []}
        for activation in self._operation.activations:
            name = activation.name()
            names.append(name)
            for field in _ACTIVATIONS[name]:
                parameters[field].append(getattr(activation, field))
        attributes: dict[str, Any] = {"activations": names}
        for field, numbers in parameters.items():
            if numbers:
                attributes[f"activation_{field}"] = numbers
        return attributes

    def _rows(self, name: str) -> int:
        rows = self._writer.type(self._names[name]).shape[0]
        assert isinstance(rows, int), "the shape rule has checked it"
        return rows

    def _columns(self, name: str) -> int:
        columns = self._writer.type(self._names[name]).shape[1]
        assert isinstance(columns, int)
        return columns

    def _in_order(self, name: str, order: tuple[int, ...]) -> Value:
        blocks = np.split(np.arange(self._rows(name)), len(order))
        rows = np.concatenate([blocks[place] for place in order])
        array = self._writer.constant(self._names[name])
        if array is not None:
            reordered: Array = array.astype(np.float32)[rows][None]
            return reordered
        ordered = self._writer.onnx.add("Gather", self.value(name), rows, axis=0)
        return self._writer.onnx.add("Unsqueeze", ordered, ints(0))


class _Mask:
    """A mask (B, T) of the steps that are read. lengths: (B,) int32, how many each sequence has."""

    def __init__(self, writer: GraphWriter, node: Node, mask: str) -> None:
        onnx = writer.onnx
        operation: Any = node.operation
        self._onnx = onnx
        flags = onnx.cast(mask, np.int64)
        counts = onnx.add("ReduceSum", flags, ints(1), keepdims=1)  # (B, 1)
        self.lengths = onnx.cast(onnx.add("Squeeze", counts, ints(1)), np.int32)
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
        """x (B, T, D) with the steps that are read in front."""
        return self._steps(x, self._source)

    def kept(self, final: str, start: str) -> str:
        """The last state (B, N): that of a sequence without a step is the first one, where ONNX Runtime has 0."""
        has_steps = self._onnx.add("Greater", self.lengths, scalar(0, np.int32))
        return self._onnx.add("Where", self._onnx.column(has_steps), final, start)

    def spread(self, h: str) -> str:
        """The outputs (B, T, H) of the steps that are in front, where these steps were."""
        return self._onnx.add("Where", self._exists, self._steps(h, self._row), scalar(0, np.float32))

    def _steps(self, x: str, steps: str) -> str:
        """Row steps[b, t] of x[b] (T, N)."""
        index = self._onnx.add("Unsqueeze", steps, ints(2))
        width = self._onnx.add("Concat", ints(1, 1), self._onnx.size(x, 2), axis=0)
        return self._onnx.add("GatherElements", x, self._onnx.add("Expand", index, width), axis=1)
