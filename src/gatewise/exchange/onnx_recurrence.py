"""LSTM, GRU and RNN of ONNX as `Recurrent`, one for each direction, on sequences first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.network.cells import CELLS
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import Operation
from gatewise.network.operations import operation_of
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.weight_layouts import ONNX_GATES, in_order, inverse

GATES = {cell: inverse(order) for cell, order in ONNX_GATES.items()}
"""Where the gates i f g o, r z n stand in the arrays of ONNX, which have i o f c, z r h."""

_READ = {
    "hidden_size", "direction", "layout", "linear_before_reset", "activations", "activation_alpha", "activation_beta",
    "clip", "input_forget",
}  # fmt: skip

_ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
    "elu": ("Elu", {"alpha": 1.0}),
    "hardsigmoid": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    "leakyrelu": ("LeakyRelu", {"alpha": 0.01}),
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "tanh": ("Tanh", {}),
    "thresholdedrelu": ("ThresholdedRelu", {"alpha": 1.0}),
}
"""The operation of an activation, and the defaults of its attributes, by its name in small letters."""


class RecurrentReader:
    """The nodes of one LSTM, GRU or RNN are added to a graph. inputs: its values there, "" for one that is left out."""

    def __init__(self, builder: GraphBuilder, node: Any, inputs: Sequence[str]) -> None:
        self.builder = builder
        self.node = node
        self.inputs = inputs

    def read(self, attributes: Mapping[str, Any]) -> None:
        """Add a `Recurrent` for each direction, and what joins them. Raises InputError for an attribute that is not
        read.
        """
        node = self.node
        unknown = set(attributes) - _READ
        if unknown or attributes.get("input_forget"):
            raise InputError(f"the attribute {quote(min(unknown, default='input_forget'))} is not read")
        x, w, r, b, lengths, h0, c0, p = (*self.inputs, *[""] * (8 - len(self.inputs)))
        add = self.builder.add
        batch_first = bool(attributes.get("layout", 0))
        if not batch_first:
            x = add("Transpose", x, perm=(1, 0, 2))
        direction = _text(attributes.get("direction", "forward"))
        if direction not in _REVERSES:
            raise InputError(f"the direction {quote(direction)} is none of {', '.join(_REVERSES)}")
        reverses = _REVERSES[direction]
        directions = self.builder.types[w].shape[0]
        if directions != len(reverses):
            raise InputError(f"W has {directions} directions, and the direction is {direction}")
        mask = self._mask(lengths, x) if lengths else ""
        shown: list[list[str]] = []
        for number, reverse in enumerate(reverses):
            operation = Recurrent(
                node.op_type,
                reverse=reverse,
                masked="zero",
                activations=_activations(node.op_type, attributes, number, len(reverses)),
                clip=float(attributes.get("clip", 0.0)),
                linear_before_reset=bool(attributes.get("linear_before_reset", 0)),
            )
            bias, recurrent_bias = self._biases(node.op_type, b, number)
            inputs = [
                x,
                self._gates(node.op_type, w, number),
                self._gates(node.op_type, r, number),
                bias,
                recurrent_bias,
                mask,
                self._state(h0, number, batch_first),
                self._state(c0, number, batch_first),
                self._peepholes(p, number),
            ]
            while inputs[-1] == "":
                inputs.pop()
            h, *states = self.builder.node(operation, inputs)
            if lengths and (h0 or c0):
                states = [self._without_empty(state, lengths) for state in states]
            shown.append([h, *states])
        outputs, *last = zip(*shown, strict=True)
        if batch_first:
            self._stack_directions(node, 0, outputs, axis=2)  # (B, T, directions, H)
        else:
            by_time = [add("Transpose", h, perm=(1, 0, 2)) for h in outputs]
            self._stack_directions(node, 0, by_time, axis=1)  # (T, directions, B, H)
        for place, of_directions in enumerate(last, 1):
            self._stack_directions(node, place, of_directions, axis=1 if batch_first else 0)

    def _stack_directions(self, node: Any, place: int, parts: Sequence[str], axis: int) -> None:
        """One output of a node, by its place, of those of its directions along a new axis."""
        if place < len(node.output) and node.output[place]:
            stacked = [self.builder.add("Unsqueeze", part, axes=(axis,)) for part in parts]
            self.builder.node(operation_of("Concat", {"axis": axis}), stacked, (node.output[place],))

    def _of_direction(self, name: str, direction: int) -> tuple[str, int]:
        """The array of one direction, of an array (directions, N, ...), and N."""
        of_direction = self.builder.add("Gather", name, self._index(direction), axis=0)
        rows = self.builder.types[of_direction].shape[0]
        if not isinstance(rows, int):
            raise InputError("the shape of its weights depends on the inputs")
        return of_direction, rows

    def _gates(self, cell: str, name: str, direction: int) -> str:
        """The weights (K H, N) of one direction in the order of gatewise, of (directions, K H, N)."""
        return self._ordered(cell, *self._of_direction(name, direction))

    def _ordered(self, cell: str, name: str, rows: int) -> str:
        if len(GATES[cell]) == 1:
            return name
        order = in_order(np.arange(rows), GATES[cell])
        return self.builder.add("Gather", name, self.builder.constant(order), axis=0)

    def _biases(self, cell: str, name: str, direction: int) -> tuple[str, str]:
        if not name:
            return "", ""
        both, rows = self._of_direction(name, direction)
        halves = []
        for start in (0, rows // 2):
            half = self.builder.add("Slice", both, starts=(start,), ends=(start + rows // 2,))
            halves.append(self._ordered(cell, half, rows // 2))
        return halves[0], halves[1]

    def _peepholes(self, name: str, direction: int) -> str:
        """(3 H,) in the order i f o, of (directions, 3 H) in the order i o f."""
        if not name:
            return ""
        of_direction, rows = self._of_direction(name, direction)
        i, o, f = np.split(np.arange(rows), 3)
        return self.builder.add("Gather", of_direction, self.builder.constant(np.concatenate([i, f, o])), axis=0)

    def _state(self, name: str, direction: int, batch_first: bool) -> str:
        if not name:
            return ""
        return self.builder.add("Gather", name, self._index(direction), axis=1 if batch_first else 0)

    def _without_empty(self, state: str, lengths: str) -> str:
        """The last state (B, H), 0 for sequences of length 0: ONNX Runtime does not return the first state there."""
        add = self.builder.add
        has_steps = add("Less", self._index(0), add("Cast", lengths, to=7))
        zero = self.builder.constant(np.float32(0))
        return add("Where", add("Unsqueeze", has_steps, axes=(1,)), state, zero)

    def _index(self, number: int) -> str:
        return self.builder.constant(np.array(number))

    def _mask(self, lengths: str, x: str) -> str:
        """(B, T): the steps before the length of each sequence."""
        steps = self.builder.types[x].shape[1]
        place = self.builder.add("Range", start=0, limit=steps, delta=1)  # (T,)
        counts = self.builder.add("Cast", lengths, to=7)
        return self.builder.add("Less", place, self.builder.add("Unsqueeze", counts, axes=(1,)))


_REVERSES = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}


def _activations(cell: str, attributes: Mapping[str, Any], direction: int, count: int) -> tuple[Operation, ...]:
    """The activations of one direction; () for the usual ones. The numbers of activation_alpha and activation_beta are
    those of the activations that have such an attribute, in their order over all directions.
    """
    names = [_text(name) for name in attributes.get("activations", [])]
    if not names:
        return ()
    of_cell = len(CELLS[cell].defaults)
    if len(names) != of_cell * count:
        raise InputError(f"it has {len(names)} activations, and needs {of_cell * count}")
    numbers = {field: list(attributes.get(f"activation_{field}", [])) for field in ("alpha", "beta")}
    operations = []
    for name in names:
        if name.lower() not in _ACTIVATIONS:
            raise InputError(f"the activation {quote(name)} is not read")
        operation, defaults = _ACTIVATIONS[name.lower()]
        fields = {}
        for field, default in defaults.items():
            fields[field] = numbers[field].pop(0) if numbers[field] else float(np.float32(default))
        operations.append(operation_of(operation, fields))
    return tuple(operations[direction * of_cell : (direction + 1) * of_cell])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
