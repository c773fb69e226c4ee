"""`Recurrent` in torch: the kernels of torch.nn.LSTM, GRU and RNN where they have the cell, else its steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gatewise.network.cells import CELLS
from gatewise.network.operation import Operation
from gatewise.network.operations.relu import Relu
from gatewise.nn.graph_functions import FUNCTIONS, Run

State = tuple[Tensor, ...]


def recurrent(operation: Any, run: Run, *inputs: Tensor | None) -> tuple[Tensor, ...]:
    """h of each step (B, T, P), the last h (B, P), and of an LSTM the last c (B, H); see
    `gatewise.network.operations.recurrent`.
    """
    given = dict(zip(operation.formal, (*inputs, *(None,) * len(operation.formal)), strict=False))
    layer = _Layer(operation, run, given)
    if layer.has_kernel:
        return layer.on_kernel()
    return layer.in_steps()


class _Layer:
    """The inputs of a node, with zeros for first states that are left out."""

    def __init__(self, operation: Any, run: Run, given: dict[str, Any]) -> None:
        self.operation = operation
        self.run = run
        self.given = given
        self.x: Tensor = given["x"]
        self.weight_hh: Tensor = given["weight_hh"]
        kind = CELLS[operation.cell]
        rows, outputs = self.weight_hh.shape
        self.activations: Sequence[Operation] = operation.activations or kind.defaults
        self.start: list[Tensor] = []
        for name, size in (("h0", outputs), ("c0", rows // kind.gates))[: kind.states]:
            state = given[name]
            self.start.append(self.x.new_zeros(len(self.x), size) if state is None else state)

    @property
    def has_kernel(self) -> bool:
        """Whether torch has the cell."""
        operation = self.operation
        usual = self.activations == CELLS[operation.cell].defaults
        if operation.cell == "RNN":
            usual = usual or self.activations == (Relu(),)
        if operation.cell == "GRU":
            usual = usual and operation.linear_before_reset
        return bool(usual and not operation.clip and self.given["mask"] is None and self.given["peepholes"] is None)

    def on_kernel(self) -> tuple[Tensor, ...]:
        """As torch.nn.LSTM and the like compute it, in the reverse order of steps for the other direction."""
        x = self.x.flip(1) if self.operation.reverse else self.x
        weights = [self.given["weight_ih"], self.weight_hh]
        biases = [self.given["bias"], self.given["recurrent_bias"]]
        has_biases = any(bias is not None for bias in biases)
        if has_biases:
            zeros = self.weight_hh.new_zeros(len(self.weight_hh))
            weights += [zeros if bias is None else bias for bias in biases]
        if self.given["projection"] is not None:
            weights.append(self.given["projection"])
        start = [state.unsqueeze(0).contiguous() for state in self.start]
        settings = (weights, has_biases, 1, 0.0, torch.is_grad_enabled(), False, True)
        if self.operation.cell == "LSTM":
            h, *last = torch._VF.lstm(x.contiguous(), start, *settings)
        elif self.operation.cell == "GRU":
            h, *last = torch._VF.gru(x.contiguous(), start[0], *settings)
        elif self.activations == (Relu(),):
            h, *last = torch._VF.rnn_relu(x.contiguous(), start[0], *settings)
        else:
            h, *last = torch._VF.rnn_tanh(x.contiguous(), start[0], *settings)
        return (h.flip(1) if self.operation.reverse else h, *(state.squeeze(0) for state in last))

    def in_steps(self) -> tuple[Tensor, ...]:
        """Step by step. A step that is not read leaves the state and repeats the output, or returns zero."""
        pre = self.x @ self.given["weight_ih"].T
        if self.given["bias"] is not None:
            pre = pre + self.given["bias"]
        cells: dict[str, Callable[..., State]] = {"LSTM": self._lstm, "GRU": self._gru, "RNN": self._rnn}
        step = cells[self.operation.cell]
        mask: Tensor | None = self.given["mask"]
        count = self.x.shape[1]
        state: State = tuple(self.start)
        output = torch.zeros_like(state[0])
        outputs: list[Tensor] = [output] * count
        for t in reversed(range(count)) if self.operation.reverse else range(count):
            after = step(pre[:, t], *state)
            if mask is None:
                state = after
                output = after[0]
            else:
                read = mask[:, t].unsqueeze(1)
                otherwise = output if self.operation.masked == "previous" else torch.zeros_like(output)
                output = torch.where(read, after[0], otherwise)
                state = tuple(torch.where(read, new, old) for new, old in zip(after, state, strict=True))
            outputs[t] = output
        return (torch.stack(outputs, 1), *state)

    def _lstm(self, pre_x: Tensor, h: Tensor, c: Tensor) -> State:
        pre_i, pre_f, pre_g, pre_o = self._recurrent(pre_x, h).chunk(4, 1)
        peepholes = self.given["peepholes"]
        p_i = p_f = p_o = None
        if peepholes is not None:
            p_i, p_f, p_o = peepholes.chunk(3)
            pre_i = pre_i + p_i * c
            pre_f = pre_f + p_f * c
        i = self._activated(0, pre_i)
        f = self._activated(0, pre_f)
        c = f * c + i * self._activated(1, pre_g)
        if p_o is not None:
            pre_o = pre_o + p_o * c
        h = self._activated(0, pre_o) * self._activated(2, c, clip=False)
        if self.given["projection"] is not None:
            h = h @ self.given["projection"].T
        return h, c

    def _gru(self, pre_x: Tensor, h: Tensor) -> State:
        units = h.shape[1]
        x_r, x_z, x_n = pre_x.chunk(3, 1)
        of_gates = h @ self.weight_hh[: 2 * units].T
        bias: Tensor | None = self.given["recurrent_bias"]
        if bias is not None:
            of_gates = of_gates + bias[: 2 * units]
        r = self._activated(0, x_r + of_gates[:, :units])
        z = self._activated(0, x_z + of_gates[:, units:])
        of_h = (h if self.operation.linear_before_reset else r * h) @ self.weight_hh[2 * units :].T
        if bias is not None:
            of_h = of_h + bias[2 * units :]
        if self.operation.linear_before_reset:
            of_h = r * of_h
        n = self._activated(1, x_n + of_h)
        return ((1 - z) * n + z * h,)

    def _rnn(self, pre_x: Tensor, h: Tensor) -> State:
        return (self._activated(0, self._recurrent(pre_x, h)),)

    def _recurrent(self, pre_x: Tensor, h: Tensor) -> Tensor:
        pre = pre_x + h @ self.weight_hh.T
        return pre if self.given["recurrent_bias"] is None else pre + self.given["recurrent_bias"]

    def _activated(self, number: int, x: Tensor, clip: bool = True) -> Tensor:
        activation = self.activations[number]
        limit = self.operation.clip
        if clip and limit:
            x = torch.clamp(x, -limit, limit)
        function: Callable[..., Any] = FUNCTIONS[activation.name()]
        activated: Tensor = function(activation, self.run, x)
        return activated
