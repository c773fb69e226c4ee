"""What `LSTM` does off the CPU: torch's own LSTM, with our weights and a second bias of zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from gatewise.errors import InputError
from gatewise.nn.packed import packed_rows

if TYPE_CHECKING:
    from gatewise.nn.lstm import LSTM, States

__all__ = ["run_elsewhere"]


def run_elsewhere(
    module: LSTM, input: Tensor | PackedSequence, hx: States | None, lengths: Tensor | None
) -> tuple[Tensor | PackedSequence, States]:
    """`module(input, hx, lengths=lengths)` by torch's LSTM of that device. Raises InputError for binary gates."""
    data = input.data if isinstance(input, PackedSequence) else input
    if module.gate != "sigmoid":
        raise InputError(f"gate={module.gate!r} runs on the CPU only; the input is on '{data.device}'")
    if module.precision != "float32":
        raise InputError(f"precision={module.precision!r} runs on the CPU only; the input is on '{data.device}'")
    if module.training and module.recurrent_dropout > 0:
        raise InputError(f"recurrent_dropout runs on the CPU only; the input is on '{data.device}'")
    if isinstance(input, PackedSequence):
        states = module.states_for(hx, data, int(input.batch_sizes[0]))
        if input.sorted_indices is not None:
            states = _ordered(states, input.sorted_indices)
        output, last = _run(module, data, input.batch_sizes, states)
        if input.unsorted_indices is not None:
            last = _ordered(last, input.unsorted_indices)
        return input._replace(data=output), last
    if lengths is not None:
        return _run_ragged(module, data, lengths, module.states_for(hx, data, len(lengths)))
    if data.dim() == 2:
        one = None if hx is None else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
        time = 1 if module.batch_first else 0
        output, (h_n, c_n) = _run(module, data.unsqueeze(1 - time), None, module.states_for(one, data, 1))
        return output.squeeze(1 - time), (h_n.squeeze(1), c_n.squeeze(1))
    return _run(module, data, None, module.states_for(hx, data, data.shape[0 if module.batch_first else 1]))


def _run_ragged(module: LSTM, x: Tensor, lengths: Tensor, states: States) -> tuple[Tensor, States]:
    """By way of a packed batch; sequences without steps, which torch does not take, keep their states."""
    counts = lengths.cpu()
    order = torch.argsort(counts, descending=True, stable=True)
    kept, full = counts[order], int((counts > 0).sum())
    if not full:
        return x.new_zeros((0, module.hidden_size * module.directions)), states
    sizes = (kept[:, None] > torch.arange(int(kept[0]))).sum(0)  # (T,) sequences that have a step t
    _, _, back = packed_rows(sizes)
    starts = counts.cumsum(0) - counts
    within = torch.arange(len(back)) - torch.repeat_interleave(kept.cumsum(0) - kept, kept)
    sorted_rows = torch.repeat_interleave(starts[order], kept) + within  # (N,) rows of x, longest sequence first
    packed = sorted_rows[back]  # (N,) rows of x in the order of a packed batch
    home = torch.empty_like(packed)
    home[packed] = torch.arange(len(packed))
    where = order[:full].to(x.device)
    output, (h_n, c_n) = _run(module, x.index_select(0, packed.to(x.device)), sizes, _ordered(states, where))
    output = output.index_select(0, home.to(x.device))
    return output, (states[0].index_copy(1, where, h_n), states[1].index_copy(1, where, c_n))


def _ordered(states: States, order: Tensor) -> States:
    return states[0].index_select(1, order), states[1].index_select(1, order)


def _run(module: LSTM, x: Tensor, batch_sizes: Tensor | None, states: States) -> tuple[Tensor, States]:
    weights = []
    for _, suffix in module.runs():
        weights += [getattr(module, f"weight_ih{suffix}"), getattr(module, f"weight_hh{suffix}")]
        if module.bias:
            bias = getattr(module, f"bias{suffix}")
            weights += [bias, torch.zeros_like(bias)]
    bias, layers, dropout, training = module.bias, module.num_layers, module.dropout, module.training
    both, first = module.bidirectional, module.batch_first
    if batch_sizes is None:
        output, h_n, c_n = torch.lstm(x, states, weights, bias, layers, dropout, training, both, first)
    else:
        output, h_n, c_n = torch.lstm(x, batch_sizes, states, weights, bias, layers, dropout, training, both)
    return output, (h_n, c_n)
