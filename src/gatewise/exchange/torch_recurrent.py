"""The recurrent layers of PyTorch as one operation of torch per layer and direction, which torch.export keeps.

torch.export would write a recurrent layer down step by step. While a module is exported, the layers call
`torch.ops.gatewise.recurrent` instead, whose attributes are those of `Recurrent`. The rest of what a layer does, such
as the concatenation of directions, is ordinary code that is exported as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.library import custom_op
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatewise.errors import InputError

_check: Any = torch._check

_RUN: dict[str, Callable[..., Any]] = {
    "LSTM": torch.lstm,
    "GRU": torch.gru,
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
}


# Written out, because torch 2.6 does not read `list[Tensor]` and `Tensor | None`.
_RECURRENT = (
    "(Tensor x, Tensor? mask, Tensor[] states, Tensor[] weights, bool has_bias, str cell, bool reverse)"
    " -> (Tensor, Tensor, Tensor)"
)


@custom_op("gatewise::recurrent", mutates_args=(), schema=_RECURRENT)
def recurrent(
    x: Tensor,
    mask: Tensor | None,
    states: list[Tensor],
    weights: list[Tensor],
    has_bias: bool,
    cell: str,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """h of each step (B, T, P), the last h (B, P), and of an LSTM the last c (B, H), of x (B, T, D).

    mask (B, T): true for the first steps of each sequence, which are read. states: h_0 (B, P), of an LSTM also c_0
    (B, H), or none for zeros. weights: those of torch, in its order. cell: LSTM, GRU, RNN_TANH or RNN_RELU.
    """
    if not states:
        units = weights[1].shape[0] // _gates(cell)
        states = [x.new_zeros(len(x), weights[1].shape[1])]
        if cell == "LSTM":
            states.append(x.new_zeros(len(x), units))
    stacked = [state.unsqueeze(0).contiguous() for state in states]
    hx = stacked if cell == "LSTM" else stacked[0]
    lengths = None if mask is None else mask.sum(1)
    if reverse:
        x = _reversed(x, lengths)
    if lengths is None:
        h, *last = _RUN[cell](x, hx, weights, has_bias, 1, 0.0, False, False, True)
    else:
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        order = packed.sorted_indices
        hx = [state[:, order] for state in stacked] if cell == "LSTM" else stacked[0][:, order]
        data, *last = _RUN[cell](packed.data, packed.batch_sizes, hx, weights, has_bias, 1, 0.0, False, False)
        last = [state[:, packed.unsorted_indices] for state in last]
        h, _ = pad_packed_sequence(packed._replace(data=data), batch_first=True, total_length=x.shape[1])
    if reverse:
        h = _reversed(h, lengths)
    last = [state[0].clone() for state in last]
    if cell != "LSTM":
        last.append(x.new_zeros(0))
    return h.clone(), last[0], last[1]


@recurrent.register_fake
def _(
    x: Tensor,
    mask: Tensor | None,
    states: list[Tensor],
    weights: list[Tensor],
    has_bias: bool,
    cell: str,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    units = weights[1].shape[0] // _gates(cell)
    outputs = weights[1].shape[1]
    batch = x.shape[0]
    c = x.new_empty(batch, units) if cell == "LSTM" else x.new_empty(0)
    return x.new_empty(batch, x.shape[1], outputs), x.new_empty(batch, outputs), c


def _gates(cell: str) -> int:
    return {"LSTM": 4, "GRU": 3}.get(cell, 1)


def _reversed(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Sequences (B, T, D) with their first `lengths` steps reversed, all steps where there are no lengths."""
    if lengths is None:
        return x.flip(1)
    step = torch.arange(x.shape[1])
    read = torch.where(step < lengths[:, None], lengths[:, None] - 1 - step, step)  # (B, T)
    return x.gather(1, read[:, :, None].expand(x.shape))


def layer_forward(self: Any, input: Any, hx: Any = None, *, lengths: Any = None) -> tuple[Any, Any]:
    """The forward method of torch.nn.LSTM, GRU and RNN, and of gatewise.nn.LSTM, while a module is exported."""
    if lengths is not None:
        raise InputError("LSTM: rows with lengths are not read; call it with a padded batch or a PackedSequence")
    if getattr(self, "gate", "sigmoid") != "sigmoid":
        raise InputError(f"LSTM: gate={self.gate!r} is not read; a graph has sigmoid gates")
    if self.training and self.dropout and self.num_layers > 1:
        raise InputError(f"{type(self).__name__}: its dropout is random: it is in training mode, call eval()")
    if is_parametrized(self):
        raise InputError(
            f"{type(self).__name__}: torch computes its parametrized weights once and keeps them:"
            " call torch.nn.utils.parametrize.remove_parametrizations first"
        )
    packed = isinstance(input, PackedSequence)
    x = input.data if packed else input
    mask = torch.ops.gatewise.mask_of(x, input.batch_sizes) if packed else None
    single = x.dim() == 2
    batch_axis = 0 if self.batch_first or packed else 1
    if hx is not None and not isinstance(hx, tuple | list):
        hx = (hx,)
    if single:
        x = x.unsqueeze(batch_axis)
        if hx is not None:
            hx = tuple(state.unsqueeze(1) for state in hx)
    if batch_axis == 1:
        x = x.transpose(0, 1)
    for state in hx or ():
        _check(
            state.shape[0] == self.num_layers * (2 if self.bidirectional else 1),
            lambda: "hx has another number of layers than the module",
        )
    suffixes = ["", "_reverse"] if self.bidirectional else [""]
    last: list[tuple[Tensor, ...]] = []
    for layer in range(self.num_layers):
        outputs = []
        for suffix in suffixes:
            weights = _weights(self, f"_l{layer}{suffix}")
            states = [] if hx is None else [state[len(last)] for state in hx]
            h, *states_after = _run(x, mask, states, weights, bool(self.bias), self.mode, suffix == "_reverse")
            outputs.append(h)
            last.append(tuple(states_after))
        x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
    # torch returns the steps in this order in memory, so that `view` takes them.
    x = (x.transpose(0, 1) if batch_axis == 1 else x).contiguous()
    h_n = torch.stack([states[0] for states in last])
    c_n = torch.stack([states[1] for states in last]) if self.mode == "LSTM" else None
    if single:
        x = x.squeeze(batch_axis)
        h_n = h_n.squeeze(1)
        c_n = None if c_n is None else c_n.squeeze(1)
    output = input._replace(data=x) if packed else x
    return output, (h_n if c_n is None else (h_n, c_n))


def _run(
    x: Tensor,
    mask: Tensor | None,
    states: list[Tensor],
    weights: list[Tensor],
    has_bias: bool,
    cell: str,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """`recurrent`, of sizes that fit. torch.export learns from the checks which sizes are equal, and which constant."""
    _check(x.shape[2] == weights[0].shape[1], lambda: f"a {cell} of {weights[0].shape[1]} inputs")
    for state, size in zip(states, (weights[1].shape[1], weights[1].shape[0] // _gates(cell)), strict=False):
        _check(state.shape[0] == x.shape[0], lambda: "hx has another batch than the input")
        _check(state.shape[1] == size, lambda: "hx has another hidden size than the layer")
    values: tuple[Tensor, Tensor, Tensor] = torch.ops.gatewise.recurrent(
        x, mask, states, weights, has_bias, cell, reverse
    )
    return values


def cell_forward(self: Any, input: Tensor, hx: Any = None) -> Any:
    """The forward method of torch.nn.LSTMCell, GRUCell and RNNCell while a module is exported: one step of a layer."""
    if hx is not None and not isinstance(hx, tuple | list):
        hx = (hx,)
    single = input.dim() == 1
    x = input.unsqueeze(0) if single else input
    states = [] if hx is None else list(hx)
    if single:
        states = [state.unsqueeze(0) for state in states]
    weights = _weights(self, "")
    cell = _cell_name(self)
    _, h, c = _run(x.unsqueeze(1), None, states, weights, bool(self.bias), cell, False)
    last = [h, c] if cell == "LSTM" else [h]
    if single:
        last = [state.squeeze(0) for state in last]
    return tuple(last) if cell == "LSTM" else last[0]


def _cell_name(cell: Any) -> str:
    if isinstance(cell, nn.LSTMCell):
        return "LSTM"
    if isinstance(cell, nn.GRUCell):
        return "GRU"
    return f"RNN_{cell.nonlinearity.upper()}"


def _weights(layer: Any, suffix: str) -> list[Tensor]:
    """The weights of one direction of a layer, in the order of torch. gatewise.nn.LSTM has one bias."""
    weights = [getattr(layer, f"weight_ih{suffix}"), getattr(layer, f"weight_hh{suffix}")]
    if layer.bias:
        if hasattr(layer, f"bias_ih{suffix}"):
            weights += [getattr(layer, f"bias_ih{suffix}"), getattr(layer, f"bias_hh{suffix}")]
        else:
            bias = getattr(layer, f"bias{suffix}")
            weights += [bias, torch.zeros_like(bias)]
    if getattr(layer, "proj_size", 0):
        weights.append(getattr(layer, f"weight_hr{suffix}"))
    return weights
