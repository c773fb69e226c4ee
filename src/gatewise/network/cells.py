"""The cells of `Recurrent`: one step of an LSTM, a GRU or a simple RNN, each with its backward pass right below it.

In NumPy, of any float dtype, with what other libraries add to a cell: peepholes, a projection, clipping and other
activations. `gatewise.cell` is the LSTM itself, and the kernels compute it faster.

Notation as there: B sequences, H units, P outputs (H, or fewer after a projection). pre_x (B, K H) is what a step
reads, x W_ihᵀ + b, for K gates. The weights of a cell are those that all steps share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from gatewise.network.operation import Execution, Operation
from gatewise.network.operations.sigmoid import Sigmoid
from gatewise.network.operations.tanh import Tanh
from gatewise.types import Array

State = tuple[Array, ...]
"""h (B, P), of an LSTM also c (B, H)."""


@dataclass(frozen=True)
class CellWeights:
    """weight_hh (K H, P). recurrent_bias (K H,): added to h W_hhᵀ; in a GRU that is not the same as a bias of x.
    peepholes (3 H,): of the input, forget and output gates. projection (P, H).
    """

    weight_hh: Array
    recurrent_bias: Array | None = None
    peepholes: Array | None = None
    projection: Array | None = None


@dataclass
class WeightGradients:
    """The sums over the steps; None for weights that the cell does not have."""

    weight_hh: Array
    recurrent_bias: Array | None = None
    peepholes: Array | None = None
    projection: Array | None = None

    @classmethod
    def zeros(cls, weights: CellWeights) -> WeightGradients:
        """Zero for each weight."""
        arrays = (weights.weight_hh, weights.recurrent_bias, weights.peepholes, weights.projection)
        zeros = [None if array is None else np.zeros_like(array) for array in arrays]
        assert zeros[0] is not None
        return cls(zeros[0], *zeros[1:])


StepBackward = Callable[[State, WeightGradients], tuple[Array, State]]
"""Of the gradients of the state after a step, and the sums to which it adds those of the weights: the gradients of
pre_x and of the state before.
"""


@dataclass(frozen=True)
class Cell(ABC):
    """One step. activations: of the gates and of the state, in the order of ONNX. clip: the limit of what an activation
    reads, 0 for none. observe: gets each gate (B, H) by its name and returns the one that is used: it records gates, or
    holds them.
    """

    execution: Execution
    activations: Sequence[Operation]
    clip: float
    observe: Callable[[str, Array], Array] = field(default=lambda name, gate: gate, kw_only=True)
    gates: ClassVar[int]
    gate_names: ClassVar[str]
    """The names of the gates, in the order of the weights."""
    states: ClassVar[int] = 1
    defaults: ClassVar[tuple[Operation, ...]]
    """The activations that it has by default."""

    @abstractmethod
    def step(self, pre_x: Array, state: State, weights: CellWeights) -> tuple[State, StepBackward]:
        """The state after one step, and its backward pass."""

    def activate(self, number: int, x: Array, clip: float = 0.0) -> tuple[Array, Callable[[Array], Array]]:
        """An activation, by its number, of x within -clip and clip, and its backward pass."""
        read = np.clip(x, -clip, clip) if clip else x
        (y,), of_read = self.activations[number].forward(self.execution, read)

        def backward(grad: Array) -> Array:
            (dread,) = of_read(grad)
            assert dread is not None
            return np.where(np.abs(x) <= clip, dread, 0) if clip else dread

        return y, backward


class LSTMCell(Cell):
    """As `gatewise.cell`, gates in the order i, f, g, o. With peepholes the input and forget gates read c of the step
    before, the output gate c of the step (Gers & Schmidhuber 2000); the projection is that of Sak et al. (2014).
    """

    gates = 4
    gate_names = "ifgo"
    states = 2
    defaults = (Sigmoid(), Tanh(), Tanh())

    def step(self, pre_x: Array, state: State, weights: CellWeights) -> tuple[State, StepBackward]:
        h_prev, c_prev = state
        pre = pre_x + h_prev @ weights.weight_hh.T  # (B, 4H)
        if weights.recurrent_bias is not None:
            pre = pre + weights.recurrent_bias
        pre_i, pre_f, pre_g, pre_o = np.split(pre, 4, axis=1)
        if weights.peepholes is not None:
            p_i, p_f, p_o = np.split(weights.peepholes, 3)
            pre_i = pre_i + p_i * c_prev
            pre_f = pre_f + p_f * c_prev
        i, of_i = self.activate(0, pre_i, self.clip)
        f, of_f = self.activate(0, pre_f, self.clip)
        g, of_g = self.activate(1, pre_g, self.clip)
        i = self.observe("i", i)
        f = self.observe("f", f)
        g = self.observe("g", g)
        c = f * c_prev + i * g
        if weights.peepholes is not None:
            pre_o = pre_o + p_o * c
        o, of_o = self.activate(0, pre_o, self.clip)
        o = self.observe("o", o)
        squashed, of_squashed = self.activate(2, c)  # clipping limits what the gates read, not the memory cell
        output = self.observe("h", o * squashed)  # (B, H)
        h = output if weights.projection is None else output @ weights.projection.T

        def backward(grads: State, sums: WeightGradients) -> tuple[Array, State]:
            dh, dc = grads
            doutput = dh
            if weights.projection is not None:
                sums.projection += dh.T @ output
                doutput = dh @ weights.projection
            dpre_o = of_o(doutput * squashed)
            dc_output = of_squashed(doutput * o)
            dc = dc + dc_output
            if weights.peepholes is not None:
                dc = dc + dpre_o * p_o
            dpre_i = of_i(dc * g)
            dpre_f = of_f(dc * c_prev)
            dpre_g = of_g(dc * i)
            dc_prev = dc * f
            if weights.peepholes is not None:
                dc_prev = dc_prev + dpre_i * p_i + dpre_f * p_f
                products = (dpre_i * c_prev, dpre_f * c_prev, dpre_o * c)
                sums.peepholes += np.concatenate([product.sum(axis=0) for product in products])
            dpre = np.concatenate([dpre_i, dpre_f, dpre_g, dpre_o], axis=1)
            _add_recurrent(sums, dpre, h_prev)
            return dpre, (dpre @ weights.weight_hh, dc_prev)

        return (h, c), backward


@dataclass(frozen=True)
class GRUCell(Cell):
    """Gates in the order r, z, n (Cho et al. 2014): h = (1 - z) n + z h_prev. linear_before_reset: n reads r times the
    product with h_prev, as in cuDNN, else the product with r h_prev.
    """

    linear_before_reset: bool = True
    gates = 3
    gate_names = "rzn"
    defaults = (Sigmoid(), Tanh())

    def step(self, pre_x: Array, state: State, weights: CellWeights) -> tuple[State, StepBackward]:
        (h_prev,) = state
        units = h_prev.shape[1]
        x_r, x_z, x_n = np.split(pre_x, 3, axis=1)
        bias = np.zeros(3 * units, h_prev.dtype) if weights.recurrent_bias is None else weights.recurrent_bias
        gate_weights = weights.weight_hh[: 2 * units]
        n_weights = weights.weight_hh[2 * units :]
        of_h = h_prev @ gate_weights.T + bias[: 2 * units]  # (B, 2H)
        r, of_r = self.activate(0, x_r + of_h[:, :units], self.clip)
        z, of_z = self.activate(0, x_z + of_h[:, units:], self.clip)
        r = self.observe("r", r)
        z = self.observe("z", z)
        read = h_prev if self.linear_before_reset else r * h_prev
        product = read @ n_weights.T + bias[2 * units :]  # (B, H)
        pre_n = x_n + (r * product if self.linear_before_reset else product)
        n, of_n = self.activate(1, pre_n, self.clip)
        n = self.observe("n", n)
        h = (1 - z) * n + z * h_prev

        def backward(grads: State, sums: WeightGradients) -> tuple[Array, State]:
            (dh,) = grads
            dpre_n = of_n(dh * (1 - z))
            dpre_z = of_z(dh * (h_prev - n))
            dproduct = dpre_n * r if self.linear_before_reset else dpre_n
            dread = dproduct @ n_weights
            dr = dpre_n * product if self.linear_before_reset else dread * h_prev
            dpre_r = of_r(dr)
            dgates = np.concatenate([dpre_r, dpre_z], axis=1)
            dh_prev = dh * z + dgates @ gate_weights + (dread if self.linear_before_reset else dread * r)
            sums.weight_hh += np.concatenate([dgates.T @ h_prev, dproduct.T @ read])
            if sums.recurrent_bias is not None:
                sums.recurrent_bias += np.concatenate([dgates.sum(axis=0), dproduct.sum(axis=0)])
            return np.concatenate([dgates, dpre_n], axis=1), (dh_prev,)

        return (h,), backward


class RNNCell(Cell):
    """h = tanh(x W_ihᵀ + b + h_prev W_hhᵀ) (Elman 1990)."""

    gates = 1
    gate_names = ""
    defaults = (Tanh(),)

    def step(self, pre_x: Array, state: State, weights: CellWeights) -> tuple[State, StepBackward]:
        (h_prev,) = state
        pre = pre_x + h_prev @ weights.weight_hh.T
        if weights.recurrent_bias is not None:
            pre = pre + weights.recurrent_bias
        h, of_h = self.activate(0, pre, self.clip)

        def backward(grads: State, sums: WeightGradients) -> tuple[Array, State]:
            (dh,) = grads
            dpre = of_h(dh)
            _add_recurrent(sums, dpre, h_prev)
            return dpre, (dpre @ weights.weight_hh,)

        return (h,), backward


def _add_recurrent(sums: WeightGradients, dpre: Array, h_prev: Array) -> None:
    """Add the gradients of weight_hh and recurrent_bias of one step."""
    sums.weight_hh += dpre.T @ h_prev
    if sums.recurrent_bias is not None:
        sums.recurrent_bias += dpre.sum(axis=0)


CELLS: dict[str, type[Cell]] = {"LSTM": LSTMCell, "GRU": GRUCell, "RNN": RNNCell}
