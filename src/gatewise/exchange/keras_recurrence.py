"""`Recurrent` in Keras: the layers LSTM, GRU and SimpleRNN where they have the cell, else its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.exchange.keras_functions import FUNCTIONS, Run
from gatewise.network.cells import CELLS
from gatewise.network.graph import Graph, Node
from gatewise.network.operation import Operation
from gatewise.network.weight_layouts import KERAS_GATES, in_order
from gatewise.types import Array

_LAYERS = {"LSTM": "LSTM", "GRU": "GRU", "RNN": "SimpleRNN"}
_WEIGHTS = ("weight_ih", "weight_hh", "bias", "recurrent_bias")


def weights_of_layer(graph: Graph, node: Node) -> dict[str, str]:
    """The constants that a layer of Keras holds as its own weights, by their formal names; empty where Keras has no
    such layer, or another node reads a weight too.
    """
    operation: Any = node.operation
    names = dict(zip(operation.formal, node.inputs, strict=False))
    own = {formal: names[formal] for formal in _WEIGHTS if names.get(formal)}
    read = [name for other in graph.nodes for name in other.inputs]
    is_usual = not operation.activations and not operation.clip
    is_usual = is_usual and not names.get("peepholes") and not names.get("projection")
    for name in own.values():
        is_usual = is_usual and name in graph.constants and read.count(name) == 1 and name not in graph.outputs
    return own if is_usual else {}


def recurrent_layer(keras: Any, operation: Any, weights: Mapping[str, Array]) -> Any:
    """The layer of Keras with these weights, by their formal names."""
    gates = CELLS[operation.cell].gates
    units = weights["weight_hh"].shape[1]
    settings: dict[str, Any] = {"go_backwards": operation.reverse, "use_bias": True}
    if operation.cell == "GRU":
        settings["reset_after"] = operation.linear_before_reset
    layer = getattr(keras.layers, _LAYERS[operation.cell])(
        units,
        return_sequences=True,
        return_state=True,
        zero_output_for_mask=operation.masked == "zero",
        **settings,
    )
    layer.build((None, None, weights["weight_ih"].shape[1]))
    order = in_order(np.arange(gates * units), KERAS_GATES[operation.cell])
    zeros = np.zeros(gates * units, np.float32)
    biases = [weights.get(name, zeros)[order] for name in ("bias", "recurrent_bias")]
    bias = biases[0] + biases[1]
    if operation.cell == "GRU" and operation.linear_before_reset:
        bias = np.stack(biases)  # the second one is multiplied by the reset gate
    layer.set_weights([weights["weight_ih"][order].T, weights["weight_hh"][order].T, bias])
    return layer


def with_layer(ops: Any, layer: Any, operation: Any, given: Mapping[str, Any]) -> list[Any]:
    """What a node returns, computed by its layer."""
    start = start_of(ops, operation, given, layer.units)
    h, *last = layer(given["x"], mask=given.get("mask"), initial_state=start)
    return [ops.flip(h, axis=1) if operation.reverse else h, *last]


def start_of(ops: Any, operation: Any, given: Mapping[str, Any], units: int, outputs: int = 0) -> list[Any]:
    """The first states, zeros for those that are left out. outputs: of h, where they are not the units."""
    states = []
    for name, size in (("h0", outputs or units), ("c0", units))[: CELLS[operation.cell].states]:
        state = given.get(name)
        if state is None:
            state = ops.zeros((given["x"].shape[0], size), dtype=given["x"].dtype)
        states.append(state)
    return states


def in_steps(ops: Any, operation: Any, run: Run, given: Mapping[str, Any]) -> list[Any]:
    """Step by step. A step that is not read leaves the state and repeats the output, or returns zero."""
    cell = _Cell(ops, operation, run, given)
    x = given["x"]
    pre = ops.matmul(x, ops.transpose(given["weight_ih"]))
    if given.get("bias") is not None:
        pre = pre + given["bias"]
    mask = given.get("mask")
    count = x.shape[1]
    rows, width = given["weight_hh"].shape
    state = start_of(ops, operation, given, rows // CELLS[operation.cell].gates, width)
    output = ops.zeros_like(state[0])
    outputs: list[Any] = [output] * count
    for t in reversed(range(count)) if operation.reverse else range(count):
        after = cell.step(pre[:, t], state)
        if mask is None:
            state = after
            output = after[0]
        else:
            read = ops.expand_dims(mask[:, t], 1)
            otherwise = output if operation.masked == "previous" else ops.zeros_like(output)
            output = ops.where(read, after[0], otherwise)
            state = [ops.where(read, new, old) for new, old in zip(after, state, strict=True)]
        outputs[t] = output
    return [ops.stack(outputs, axis=1), *state]


class _Cell:
    """One step; see `gatewise.network.cells`, which has the same formulas."""

    def __init__(self, ops: Any, operation: Any, run: Run, given: Mapping[str, Any]) -> None:
        self._ops = ops
        self._operation = operation
        self._run = run
        self._given = given
        self._weight_hh_T = ops.transpose(given["weight_hh"])
        self._activations: Sequence[Operation] = operation.activations or CELLS[operation.cell].defaults

    def step(self, pre_x: Any, state: list[Any]) -> list[Any]:
        """The state after a step."""
        cells: dict[str, Callable[..., list[Any]]] = {"LSTM": self._lstm, "GRU": self._gru, "RNN": self._rnn}
        return cells[self._operation.cell](pre_x, *state)

    def _lstm(self, pre_x: Any, h: Any, c: Any) -> list[Any]:
        pre = self._ops.split(self._recurrent(pre_x, h), 4, axis=1)
        peepholes = self._given.get("peepholes")
        if peepholes is not None:
            p_i, p_f, p_o = self._ops.split(peepholes, 3)
            pre[0] = pre[0] + p_i * c
            pre[1] = pre[1] + p_f * c
        i = self._activated(0, pre[0])
        f = self._activated(0, pre[1])
        c = f * c + i * self._activated(1, pre[2])
        if peepholes is not None:
            pre[3] = pre[3] + p_o * c
        h = self._activated(0, pre[3]) * self._activated(2, c, clip=False)
        if self._given.get("projection") is not None:
            h = self._ops.matmul(h, self._ops.transpose(self._given["projection"]))
        return [h, c]

    def _gru(self, pre_x: Any, h: Any) -> list[Any]:
        ops = self._ops
        x_r, x_z, x_n = ops.split(pre_x, 3, axis=1)
        w_r, w_z, w_n = ops.split(self._weight_hh_T, 3, axis=1)
        bias = self._given.get("recurrent_bias")
        b_r, b_z, b_n = (0, 0, 0) if bias is None else ops.split(bias, 3)
        r = self._activated(0, x_r + ops.matmul(h, w_r) + b_r)
        z = self._activated(0, x_z + ops.matmul(h, w_z) + b_z)
        if self._operation.linear_before_reset:
            of_h = r * (ops.matmul(h, w_n) + b_n)
        else:
            of_h = ops.matmul(r * h, w_n) + b_n
        n = self._activated(1, x_n + of_h)
        return [(1 - z) * n + z * h]

    def _rnn(self, pre_x: Any, h: Any) -> list[Any]:
        return [self._activated(0, self._recurrent(pre_x, h))]

    def _recurrent(self, pre_x: Any, h: Any) -> Any:
        pre = pre_x + self._ops.matmul(h, self._weight_hh_T)
        bias = self._given.get("recurrent_bias")
        return pre if bias is None else pre + bias

    def _activated(self, number: int, x: Any, clip: bool = True) -> Any:
        activation = self._activations[number]
        limit = self._operation.clip
        if clip and limit:
            x = self._ops.clip(x, -limit, limit)
        return FUNCTIONS[activation.name()](self._ops, activation, self._run, x)
