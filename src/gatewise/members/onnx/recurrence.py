"""`Recurrent` in ONNX: LSTM, GRU or RNN with the weights in the order of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.members.onnx.graph import Value, ints, scalar
from gatewise.members.onnx.masks import LengthMask, StepMask, mask_of
from gatewise.members.onnx.network import GraphWriter
from gatewise.network.cells import CELLS
from gatewise.network.graph import Node
from gatewise.network.weight_layouts import ONNX_GATES, in_order
from gatewise.types import Array

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
    """LSTM, GRU or RNN where ONNX has the cell, else a Scan of its steps. "" for a value that nothing reads."""
    operation: Any = node.operation
    layer = Layer(writer, node)
    if layer.has("projection") or any(activation.name() not in _ACTIVATIONS for activation in operation.activations):
        return scan(writer, node, layer)
    key = ("recurrent", node.name)
    if key not in writer.shared:
        mask = mask_of(writer, node)
        nodes = [node]
        opposite = _opposite(writer, node)
        # Otherwise the outputs at the steps that are not read differ by direction.
        same_outputs = mask is None or (operation.masked == "zero" and not isinstance(mask, StepMask))
        if opposite is not None and same_outputs:
            nodes.append(opposite)
        nodes.sort(key=lambda direction: direction.operation.reverse)  # type: ignore[attr-defined]
        run = _Run(writer, nodes, mask)
        writer.shared |= dict.fromkeys([("recurrent", direction.name) for direction in nodes], run)
    shared: _Run = writer.shared[key]
    return shared.outputs(node)


def _opposite(writer: GraphWriter, node: Node) -> Node | None:
    """The node of the other direction: the same operation on the same steps, which can be written now."""
    operation: Any = node.operation
    wanted = replace(operation, reverse=not operation.reverse)
    for other in writer.network.nodes:
        if other.operation != wanted or ("recurrent", other.name) in writer.shared:
            continue
        layer, others = Layer(writer, node), Layer(writer, other)
        if all(layer.fits(others, name) for name in operation.formal) and all(map(writer.is_written, other.inputs)):
            return other
    return None


class _Run:
    """One LSTM, GRU or RNN of ONNX, of one direction or of both. nodes: of its directions, forward first."""

    def __init__(self, writer: GraphWriter, nodes: Sequence[Node], mask: LengthMask | None) -> None:
        operation: Any = nodes[0].operation
        self._cell = operation.cell
        self._onnx = writer.onnx
        self._writer = writer
        self._nodes = [node.name for node in nodes]
        self._layers = [Layer(writer, node) for node in nodes]
        self._mask = mask
        first = self._layers[0]
        x = first.value("x")
        if mask is not None:
            x = mask.compact(x)
        attributes = first.attributes()
        if len(nodes) > 1:
            attributes["direction"] = "bidirectional"
            for name in attributes.keys() & {"activations", "activation_alpha", "activation_beta"}:
                attributes[name] = attributes[name] * 2
        of_lstm: list[Value] = []
        if operation.cell == "LSTM":
            of_lstm = [
                self._stacked([layer.direction("c0") for layer in self._layers]),
                self._stacked([layer.peepholes() for layer in self._layers]),
            ]
        self._y, *self._finals = self._onnx.add_several(  # (T, R, B, H), (R, B, H); R directions
            operation.cell,
            1 + CELLS[operation.cell].states,
            self._onnx.add("Transpose", x, perm=[1, 0, 2]),
            self._weights("W", ("weight_ih",), [layer.gates("weight_ih") for layer in self._layers]),
            self._weights("R", ("weight_hh",), [layer.gates("weight_hh") for layer in self._layers]),
            self._weights("B", ("bias", "recurrent_bias"), [layer.biases() for layer in self._layers]),
            "" if mask is None else mask.lengths,
            self._stacked([layer.direction("h0") for layer in self._layers]),
            *of_lstm,
            **attributes,
        )

    def outputs(self, node: Node) -> list[str]:
        """The values that the node of one direction returns."""
        direction = self._nodes.index(node.name)
        layer = self._layers[direction]
        mask = self._mask
        outputs = [""] * len(node.outputs)
        if self._writer.is_read(node.outputs[0]):
            h = self._onnx.add("Transpose", self._of_direction(self._y, direction, axis=1), perm=[1, 0, 2])  # (B, T, H)
            outputs[0] = h if mask is None else mask.spread(h)
        for place, (final, start) in enumerate(zip(self._finals, ("h0", "c0"), strict=False), 1):
            if self._writer.is_read(node.outputs[place]):
                outputs[place] = self._of_direction(final, direction, axis=0)
                if mask is not None and layer.has(start):
                    outputs[place] = mask.kept(outputs[place], layer.value(start))
        return outputs

    def _of_direction(self, value: str, direction: int, axis: int) -> str:
        if len(self._nodes) == 1:
            return self._onnx.add("Squeeze", value, ints(axis))
        return self._onnx.add("Gather", value, scalar(direction), axis=axis)

    def _weights(self, name: str, formal: Sequence[str], of_directions: Sequence[Value]) -> Value:
        """An input of the node. Constants get its name; the same ones of two nodes are stored once."""
        stacked = self._stacked(of_directions)
        if isinstance(stacked, str):
            return stacked
        key = (self._cell, name, *(layer.name(part) for layer in self._layers for part in formal))
        if key not in self._writer.shared:
            own = self._writer.own_name(f"{self._nodes[0]}.{name}")
            # The dtype of a file is that of matrices.
            keep = self._onnx.keep_as if name == "B" else self._onnx.matrix
            self._writer.shared[key] = keep(own, stacked)
        value: str = self._writer.shared[key]
        return value

    def _stacked(self, of_directions: Sequence[Value]) -> Value:
        """Arrays (1, ...) of the directions as (R, ...)."""
        arrays = [value for value in of_directions if not isinstance(value, str)]
        if len(arrays) == len(of_directions):
            return np.concatenate(arrays)
        if len(of_directions) == 1 or "" in of_directions:
            return of_directions[0]
        return self._onnx.add("Concat", *of_directions, axis=0)


def scan(writer: GraphWriter, node: Node, layer: Layer) -> list[str]:
    """A Scan over the steps (T, B, K H) of x W_ihᵀ + b, as `gatewise.network.cells` computes one."""
    operation: Any = node.operation
    outer = writer.onnx
    states = CELLS[operation.cell].states
    by_time = outer.add("Transpose", layer.value("x"), perm=[1, 0, 2])
    pre_x = outer.add("MatMul", by_time, outer.add("Transpose", layer.value("weight_ih"), perm=[1, 0]))
    if layer.has("bias"):
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

    def name(self, formal: str) -> str:
        """The name in the network of a value, "" where it is left out."""
        return self._names[formal]

    def has(self, formal: str) -> bool:
        """Whether the node reads a value."""
        return bool(self._names[formal])

    def value(self, formal: str) -> str:
        """The value in the ONNX graph, "" where it is left out."""
        return self._writer.value(self._names[formal])

    def fits(self, other: Layer, formal: str) -> bool:
        """Whether one node of ONNX can read this value and that of the node of the other direction."""
        own, opposite = self.name(formal), other.name(formal)
        if formal in ("x", "mask"):
            return own == opposite
        if not own or not opposite:
            return own == opposite
        return self._writer.type(own) == self._writer.type(opposite)

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
        return self._in_order(name, ONNX_GATES[self._operation.cell])

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
        arrays = [half for half in halves if not isinstance(half, str)]
        if len(arrays) == len(halves):
            return np.concatenate(arrays, axis=1)
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
        rows = in_order(np.arange(self._rows(name)), order)
        array = self._writer.constant(self._names[name])
        if array is not None:
            reordered: Array = array.astype(np.float32)[rows][None]
            return reordered
        ordered = self._writer.onnx.add("Gather", self.value(name), rows, axis=0)
        return self._writer.onnx.add("Unsqueeze", ordered, ints(0))
