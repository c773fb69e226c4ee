"""Recurrent: a layer of one direction of an LSTM, a GRU or a simple RNN; not an operator of ONNX, but written as one.

Two directions are two nodes, and what merges them is a node too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gatewise.kernels import LSTMCall, get
from gatewise.network.cells import CELLS, Cell, CellWeights, GRUCell, State, StepBackward, WeightGradients
from gatewise.network.operation import Computed, Execution, Operation, ValueType, shown
from gatewise.network.recurrent_values import GateObserver, RecurrentValues
from gatewise.types import Array


@dataclass(frozen=True)
class Recurrent(Operation):
    """h of each step (B, T, P), the last h (B, P), and of an LSTM the last c (B, H), of x (B, T, D).

    weight_ih (K H, D), weight_hh (K H, P), bias (K H,) for the K gates of the cell: of an LSTM i f g o, of a GRU r z n.
    recurrent_bias (K H,). mask (B, T): true for the steps that are read; the others leave the state as it is. h0 (B, P)
    and c0 (B, H): zeros where they are left out. peepholes (3 H,) and projection (P, H): of an LSTM.

    reverse: from the last step to the first; row t of the outputs still belongs to step t. masked: the output of a step
    that is not read, "previous" for that of the step before, as in Keras, zero where there is none, or "zero" as torch
    pads. activations: in the order of ONNX, () for the usual ones. clip: see `Cell`.
    """

    formal = ("x", "weight_ih", "weight_hh", "bias", "recurrent_bias", "mask", "h0", "c0", "peepholes", "projection")
    needed = 3
    weights = ("weight_ih", "weight_hh", "bias", "recurrent_bias", "h0", "c0", "peepholes", "projection")
    cell: Literal["LSTM", "GRU", "RNN"] = "LSTM"
    reverse: bool = False
    masked: Literal["previous", "zero"] = "previous"
    activations: tuple[Operation, ...] = ()
    clip: float = 0.0
    linear_before_reset: bool = True

    def infer(
        self, x: ValueType, weight_ih: ValueType, weight_hh: ValueType, *others: ValueType | None
    ) -> tuple[ValueType, ...]:
        self.require(len(x.shape) == 3, f"x must be (B, T, D), not {shown(x.shape)}")
        batch, steps, inputs = x.shape
        gates = CELLS[self.cell].gates
        rows = weight_hh.shape[0]
        self.require(isinstance(rows, int) and rows % gates == 0, f"weight_hh {shown(weight_hh.shape)}")
        assert isinstance(rows, int)
        units = rows // gates
        given = dict(zip(self.formal[3:], (*others, *(None,) * 7), strict=False))
        projection = given["projection"]
        outputs = units if projection is None else projection.shape[0]
        shapes = {
            "weight_ih": (rows, inputs),
            "weight_hh": (rows, outputs),
            "bias": (rows,),
            "recurrent_bias": (rows,),
            "mask": (batch, steps),
            "h0": (batch, outputs),
            "c0": (batch, units),
            "peepholes": (3 * units,),
            "projection": (outputs, units),
        }
        for name, value_type in {"weight_ih": weight_ih, "weight_hh": weight_hh, **given}.items():
            if value_type is None:
                continue
            expected = ValueType("bool" if name == "mask" else "float", shapes[name])
            self.require(value_type == expected, f"{name} must be {expected}, not {value_type}")
            of_lstm = name in ("c0", "peepholes", "projection")
            self.require(self.cell == "LSTM" or not of_lstm, f"a {self.cell} has no {name}")
        of_cell = len(CELLS[self.cell].defaults)
        self.require(len(self.activations) in (0, of_cell), f"a {self.cell} has {of_cell} activations")
        last = [ValueType("float", (batch, outputs)), ValueType("float", (batch, units))]
        return (ValueType("float", (batch, steps, outputs)), *last[: CELLS[self.cell].states])

    def forward(self, execution: Execution, *inputs: Array | None) -> Computed:
        given = dict(zip(self.formal, (*inputs, *(None,) * len(self.formal)), strict=False))
        layer = _Layer.of(self, given)
        plain = not self.activations and not self.clip and layer.weights.peepholes is None
        on_kernel = self.cell == "LSTM" and plain and layer.weights.projection is None
        run = self._on_kernel if on_kernel else self._in_steps
        outputs, of_run = run(execution, layer)

        def backward(*grads: Array | None) -> tuple[Array | None, ...]:
            pairs = zip(outputs, grads, strict=True)
            gradients = of_run(*(np.zeros_like(output) if grad is None else grad for output, grad in pairs))
            return tuple(
                None if array is None else gradients.get(name) for name, array in zip(self.formal, inputs, strict=False)
            )

        return outputs, backward

    def _on_kernel(self, execution: Execution, layer: _Layer) -> tuple[tuple[Array, ...], _LayerBackward]:
        """The steps that are read run on the kernel, as sequences without gaps."""
        kernel = execution.kernel or get()
        if layer.x.dtype.name not in kernel.dtypes:
            kernel = get("reference")
        batch, steps, inputs = layer.x.shape
        mask = layer.mask
        x = np.ascontiguousarray(layer.x.reshape(batch * steps, inputs) if mask is None else layer.x[mask])  # (N, D)
        lengths = np.full(batch, steps, np.intp) if mask is None else mask.sum(axis=1)
        weight_ih, weight_hh = np.ascontiguousarray(layer.weight_ih), np.ascontiguousarray(layer.weights.weight_hh)
        bias = layer.bias if layer.weights.recurrent_bias is None else layer.bias + layer.weights.recurrent_bias
        pre = kernel.project(x, weight_ih, bias)
        h0, c0 = (np.ascontiguousarray(state) for state in layer.start)
        call = LSTMCall(pre, None, lengths, weight_hh, h0, c0, self.reverse)
        if execution.node in execution.held:
            row_of_step, held = execution.held[execution.node]
            every = np.tile(row_of_step, (batch, 1))  # (B, T)
            of_read = every.reshape(-1) if mask is None else every[mask]
            call = replace(call, held=(of_read.astype(np.int32), held.astype(layer.x.dtype)))
        run = kernel.forward(call, keep=execution.keep)
        saved = run.saved
        if execution.keep and saved is not None:
            # The states go on from the step that was read last, whatever the outputs show.
            read_last = None if mask is None else _shown_rows(mask, self.reverse, "previous")
            execution.saved[execution.node] = lambda: RecurrentValues.of_kernel(saved, steps, read_last).with_unread(
                self.cell, mask
            )
        rows = None if mask is None else _shown_rows(mask, self.reverse, self.masked)  # (B, T)
        if rows is None:
            h = run.h.reshape(batch, steps, run.h.shape[1])
        else:
            h = np.concatenate([run.h, np.zeros_like(run.h[:1], shape=(1, run.h.shape[1]))])[rows]

        def backward(dh: Array, dh_T: Array, dc_T: Array) -> dict[str, Array]:
            if rows is None:
                dh_read = dh.reshape(batch * steps, dh.shape[2])
            else:
                sums = np.zeros((len(x) + 1, dh.shape[2]), dh.dtype)
                np.add.at(sums, rows, dh)
                dh_read = sums[:-1]
            saved = run.saved.copy() if kernel.consumes_saved else run.saved
            states = (np.ascontiguousarray(grad) for grad in (dh_read, dh_T, dc_T))
            grads = kernel.backward(saved, *states)
            dx_read, dweight_ih, dbias = kernel.project_backward(x, weight_ih, grads.dpre)
            assert dx_read is not None
            assert grads.dweight_hh is not None
            dx = np.zeros_like(layer.x)
            if mask is None:
                dx[...] = dx_read.reshape(dx.shape)
            else:
                dx[mask] = dx_read
            return {
                "x": dx,
                "weight_ih": dweight_ih,
                "weight_hh": grads.dweight_hh,
                "bias": dbias,
                "recurrent_bias": dbias,
                "h0": grads.dh0,
                "c0": grads.dc0,
            }

        return (h, run.h_T, run.c_T), backward

    def _in_steps(self, execution: Execution, layer: _Layer) -> tuple[tuple[Array, ...], _LayerBackward]:
        """Step by step in NumPy. A step that is not read leaves the state and repeats the output, or returns zero."""
        observer = GateObserver(CELLS[self.cell].gate_names, execution.keep, execution.held.get(execution.node))
        cell = self._cell(execution, observer.observe)
        pre = layer.x @ layer.weight_ih.T + layer.bias  # (B, T, K H)
        batch, steps, _ = layer.x.shape
        order = range(steps - 1, -1, -1) if self.reverse else range(steps)
        state = layer.start
        h = np.zeros((batch, steps, state[0].shape[1]), layer.x.dtype)
        output = np.zeros_like(state[0])
        recorded: list[StepBackward] = []
        for t in order:
            observer.t = t
            new, of_step = cell.step(pre[:, t], state, layer.weights)
            recorded.append(of_step)
            read = None if layer.mask is None else layer.mask[:, t, None]  # (B, 1)
            if read is None:
                state, output = new, new[0]
            else:
                otherwise = output if self.masked == "previous" else np.zeros_like(output)
                output = np.where(read, new[0], otherwise)
                state = tuple(np.where(read, after, before) for after, before in zip(new, state, strict=True))
            observer.record(state, read)
            h[:, t] = output
        if execution.keep:
            execution.saved[execution.node] = lambda: observer.values(layer.start).with_unread(self.cell, layer.mask)

        def backward(dh: Array, *dstate: Array) -> dict[str, Array]:
            sums = WeightGradients.zeros(layer.weights)
            dpre = np.zeros_like(pre)
            grads: State = dstate
            doutput = np.zeros_like(dh[:, 0])
            for t, of_step in zip(reversed(order), reversed(recorded), strict=True):
                doutput = doutput + dh[:, t]
                if layer.mask is None:
                    dpre[:, t], grads = of_step((grads[0] + doutput, *grads[1:]), sums)
                    doutput = np.zeros_like(doutput)
                    continue
                read = layer.mask[:, t, None]
                of_read = tuple(np.where(read, grad, 0) for grad in grads)
                dpre[:, t], before = of_step((of_read[0] + np.where(read, doutput, 0), *of_read[1:]), sums)
                grads = tuple(np.where(read, 0, grad) + earlier for grad, earlier in zip(grads, before, strict=True))
                doutput = np.where(read | (self.masked == "zero"), 0, doutput)
            found: dict[str, Array | None] = {
                "x": dpre @ layer.weight_ih,
                "weight_ih": np.einsum("btk,btd->kd", dpre, layer.x),
                "weight_hh": sums.weight_hh,
                "bias": dpre.sum(axis=(0, 1)),
                "recurrent_bias": sums.recurrent_bias,
                "h0": grads[0],
                "c0": grads[-1],
                "peepholes": sums.peepholes,
                "projection": sums.projection,
            }
            return {name: grad for name, grad in found.items() if grad is not None}

        return (h, *state), backward

    def _cell(self, execution: Execution, observe: Callable[[str, Array], Array]) -> Cell:
        kind = CELLS[self.cell]
        activations = self.activations or kind.defaults
        if kind is GRUCell:
            return GRUCell(execution, activations, self.clip, self.linear_before_reset, observe=observe)
        return kind(execution, activations, self.clip, observe=observe)


@dataclass(frozen=True)
class _Layer:
    """The inputs of a node, with zeros for what is left out."""

    x: Array
    weight_ih: Array
    bias: Array
    weights: CellWeights
    mask: Array | None
    start: State

    @classmethod
    def of(cls, operation: Recurrent, given: dict[str, Array | None]) -> _Layer:
        x, weight_ih, weight_hh = given["x"], given["weight_ih"], given["weight_hh"]
        assert x is not None
        assert weight_ih is not None
        assert weight_hh is not None
        rows, outputs = weight_hh.shape
        kind = CELLS[operation.cell]
        start = []
        for name, size in (("h0", outputs), ("c0", rows // kind.gates))[: kind.states]:
            state = given[name]
            start.append(np.zeros((len(x), size), x.dtype) if state is None else state)
        bias = given["bias"]
        if bias is None:
            bias = np.zeros(rows, x.dtype)
        weights = CellWeights(weight_hh, given["recurrent_bias"], given["peepholes"], given["projection"])
        return cls(x, weight_ih, bias, weights, given["mask"], tuple(start))


_LayerBackward = Callable[..., dict[str, Array]]
"""Of the gradients of the outputs: those of the inputs by name."""


def _shown_rows(mask: Array, reverse: bool, masked: str) -> Array:
    """The row (B, T), among the N steps that are read, of the output of each step; N where the output is zero."""
    count = int(mask.sum())
    starts = np.cumsum(mask.sum(axis=1)) - mask.sum(axis=1)  # (B,) of each sequence
    before = np.cumsum(mask, axis=1)  # of the steps read so far
    if reverse:
        # The step read before this one is the next one in time: the first that is not yet counted.
        place = before - mask
        exists = place < mask.sum(axis=1)[:, None]
    else:
        place = before - 1
        exists = place >= 0
    if masked == "zero":
        exists = mask
    return np.where(exists, starts[:, None] + place, count)
