"""`Network`: the network of a model on torch.nn.LSTM, and the reverse: the parameters of a module of that shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatewise.errors import InputError, quote
from gatewise.members.ensemble import Ensemble
from gatewise.members.ngrams import BITS, Ngrams
from gatewise.network.architecture import Architecture, check_plain
from gatewise.network.weight_layouts import network_of, weights_of
from gatewise.nn.convert import from_arrays, from_torch, to_arrays, to_torch
from gatewise.nn.lstm import LSTM
from gatewise.types import Array


class Network(torch.nn.Module):
    """embedding -> torch.nn.LSTM -> pooling -> linear, and the other members of the ensemble.

    forward(x, lengths): logits (B, outputs) float32 of tokens (B, T) int64, or of channels (B, T, C) float32, padded at
    the end. lengths: (B,) int64, steps of each sequence, at least 1; None: all have T. Truncation and pads in front are
    part of it. It computes with torch alone: `torch.jit.script(network).save(path)` writes a file that runs without
    gatewise. Raises InputError for binary gates and for members that have no module here.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        arch, parameters = ensemble.lstm.arch, ensemble.folded_parameters()
        check_plain(arch, "to_torch")
        if arch.gate != "sigmoid":
            raise InputError(f"gate={arch.gate!r}: torch.nn.LSTM has sigmoid gates only")
        self.embedding = None
        if arch.inputs == "tokens":
            self.embedding = torch.nn.Embedding(arch.vocab_size, arch.embedding_dim)
        self.lstm = to_torch(
            from_arrays(weights_of(parameters, arch), bidirectional=arch.top.direction == "both", batch_first=True)
        )
        self.dense = torch.nn.Linear(arch.features, arch.outputs)
        with torch.no_grad():
            if self.embedding is not None:
                self.embedding.weight.copy_(_tensor(parameters["embedding.weight"]))
            self.dense.weight.copy_(_tensor(parameters["dense.weight"]))
            self.dense.bias.copy_(_tensor(parameters["dense.bias"]))
        self.ngrams = None
        for member, weight in ensemble.others:
            if member.kind not in _MODULES:
                raise InputError(f"to_torch does not convert {member.noun}; network_only=True converts the LSTM alone")
            if weight:
                self.ngrams = _MODULES[member.kind](member, weight)
        self.directions = len(arch.top.directions)
        self.max_length, self.pooling, self.pad = arch.max_length, arch.pooling, arch.padding == "pre"
        self.head = arch.max_length // 3 if arch.truncation == "middle" else 0

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, outputs) float32; see the class."""
        if lengths is None:
            lengths = torch.full((x.shape[0],), x.shape[1], dtype=torch.int64)
        lengths = lengths.cpu()
        steps, count = self.read_steps(x, lengths)
        if self.embedding is not None:
            steps = self.embedding(steps)
        packed = pack_padded_sequence(steps, count, batch_first=True, enforce_sorted=False)
        output, (h_n, _) = self.lstm(packed)
        logits: Tensor = self.dense(self.pool(pad_packed_sequence(output, batch_first=True)[0], h_n, count))
        if self.ngrams is not None:
            logits = (logits.double() + self.ngrams(x, lengths.to(x.device))).float()
        return logits

    def read_steps(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The steps that the LSTM reads, and their number (B,): after truncation, and with pads in front."""
        most = self.max_length
        if most == 0:
            return x, lengths
        beyond = (lengths - most).unsqueeze(1)  # (B, 1), below 0 where there are pads
        step = torch.arange(most if self.pad else min(most, x.shape[1])).unsqueeze(0)
        source = step + (beyond if self.pad else beyond.clamp(min=0))  # (B, T')
        if self.head:
            source = torch.where((step < self.head) & (beyond > 0), step, source)
        source = source.to(x.device)
        index = source.clamp(min=0)
        if x.dim() == 3:
            return x.gather(1, index.unsqueeze(2).expand(-1, -1, x.shape[2])), lengths.clamp(max=most)
        steps = x.gather(1, index)
        if not self.pad:
            return steps, lengths.clamp(max=most)
        return torch.where(source < 0, torch.zeros_like(steps), steps), torch.full_like(lengths, most)

    def pool(self, output: Tensor, h_n: Tensor, lengths: Tensor) -> Tensor:
        """Inputs (B, features) of the linear layer, of output (B, T, R x H) and h_n (layers x R, B, H)."""
        if self.pooling == "last":
            return h_n[-self.directions :].permute(1, 0, 2).flatten(1)
        lengths = lengths.to(output.device).unsqueeze(1)
        inside = (torch.arange(output.shape[1], device=output.device) < lengths).unsqueeze(2)
        mean = torch.where(inside, output, 0.0).sum(1) / lengths
        largest = torch.where(inside, output, -2.0).max(1)[0]  # |h| < 1
        if self.pooling == "mean":
            return mean
        return largest if self.pooling == "max" else torch.cat([mean, largest], 1)


class NgramLogits(torch.nn.Module):
    """Logits (B, outputs) float64 of the linear n-gram model, see `gatewise.members.ngrams`, times `factor`, for tokens
    (B, T), whole numbers of any type, of `lengths` (B,).
    """

    def __init__(self, ngrams: Ngrams, factor: float) -> None:
        super().__init__()
        self.order, self.bits = ngrams.order, BITS
        self.keys = torch.nn.Buffer(torch.from_numpy(ngrams.keys.copy()))
        # Row K stands for an n-gram that the model does not have.
        weight = (factor * ngrams.weight.astype(np.float64)).astype(np.float32)
        self.weight = torch.nn.Buffer(_tensor(np.concatenate([weight, np.zeros((1, ngrams.outputs), np.float32)])))
        scale = np.zeros(0, np.float32) if ngrams.scale is None else np.append(ngrams.scale, np.float32(0))
        self.scale = torch.nn.Buffer(_tensor(scale))

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, outputs); see the class."""
        keys, scale, tokens = self.keys, self.scale, tokens.long()  # a key of int32 tokens would overflow
        width, count = tokens.shape[1], keys.shape[0]
        step = torch.arange(width, device=tokens.device).unsqueeze(0)
        inside = step < lengths.unsqueeze(1)
        key = shifted = tokens + 1
        wanted, valid = [key], [inside]
        for n in range(1, self.order):
            shifted = torch.nn.functional.pad(shifted, [1, 0])[:, :width]  # the token n steps earlier
            key = shifted * (1 << (self.bits * n)) + key
            wanted.append(key)
            valid.append(inside & (step >= n))
        every = torch.cat(wanted, 1)  # (B, M)
        row = torch.searchsorted(keys, every).clamp(max=count - 1)
        found = torch.cat(valid, 1) & (keys[row] == every)
        row = torch.where(found, row, count).sort(1)[0]  # equal n-grams are neighbours and count once
        first = torch.ones_like(row, dtype=torch.bool)
        first[:, 1:] = row[:, 1:] != row[:, :-1]
        once = first.double()
        if len(scale):
            group = first.long().cumsum(1) - 1
            occurrences = torch.zeros_like(once).scatter_add(1, group, torch.ones_like(once)).gather(1, group)
            once = once * (1 + occurrences.log())
        logits = (self.weight[row].double() * once.unsqueeze(2)).sum(1)
        if not len(scale):
            return logits
        norm = (once * scale[row].double()).square().sum(1, keepdim=True).sqrt()
        return logits / torch.where(norm == 0, torch.ones_like(norm), norm)


_MODULES: dict[str, Any] = {"ngrams": NgramLogits}
"""The torch module of each kind of member besides the LSTM; it is made of the member and its weight."""


def parameters_of(
    module: torch.nn.Module, pooling: str, padding: str, max_length: int
) -> tuple[Architecture, dict[str, Array]]:
    """The architecture and the float32 parameters of a module with one Embedding, one LSTM (torch's or gatewise's) and
    one Linear. Raises InputError for other layers.
    """
    embedding = _only(module, torch.nn.Embedding, "Embedding")
    lstm = _only(module, (torch.nn.LSTM, LSTM), "LSTM")
    dense = _only(module, torch.nn.Linear, "Linear")
    ours = from_torch(lstm) if isinstance(lstm, torch.nn.LSTM) else lstm
    bias = None if dense.bias is None else _array(dense.bias)
    settings = {"pooling": pooling, "padding": padding, "max_length": max_length, "gate": ours.gate}
    weights = _array(embedding.weight), to_arrays(ours), ours.directions, _array(dense.weight)
    return network_of(*weights, bias, settings)


def outputs_of(module: torch.nn.Module, sequences: list[Array]) -> list[Array]:
    """What the module returns for token ids, each (T,), one at a time, as (outputs,) float64. Raises InputError where
    it cannot be called with ids alone.
    """
    lstm = _only(module, (torch.nn.LSTM, LSTM), "LSTM")
    modes, found = [(one, one.training) for one in module.modules()], []
    module.eval()
    try:
        with torch.no_grad():
            for ids in sequences:
                row = torch.from_numpy(ids.astype(np.int64)).unsqueeze(0 if lstm.batch_first else 1)
                found.append(_array(module(row.to(next(module.parameters()).device))).reshape(-1).astype(np.float64))
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
        raise InputError(f"the module cannot be called with a batch of token ids alone: {quote(error)}") from error
    finally:
        for one, training in modes:
            one.training = training
    return found


def _only(module: torch.nn.Module, kind: Any, name: str) -> Any:
    found = [one for one in module.modules() if isinstance(one, kind)]
    if len(found) != 1:
        raise InputError(f"the module has {len(found)} layers of type {name}; it must have one")
    return found[0]


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))


def _array(tensor: Any) -> Array:
    return np.asarray(tensor.detach().cpu().numpy().copy(), dtype=np.float32)
