"""`TorchNetwork`: the network of a model on torch.nn.LSTM."""

# TorchScript reads every comment on types, so that `torch.jit.is_scripting`, which torch does not export, has none.
# mypy: disable-error-code="attr-defined"

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise.errors import InputError
from gatewise.members import Ensemble
from gatewise.members.ngrams import Ngrams
from gatewise.network import architecture
from gatewise.network.weight_layouts import Weights, weights_of
from gatewise.nn.convert import from_arrays, to_torch
from gatewise.types import Array


class Direction(torch.nn.Module):
    """One direction of an LSTM layer, a torch.nn.LSTM. A backward one reads each sequence from its last step on, so
    that the pads at the end come last in both.
    """

    def __init__(self, weights: Weights, backward: bool) -> None:
        super().__init__()
        self.lstm, self.backwards = to_torch(from_arrays([weights], batch_first=True)), backward

    def forward(self, x: Tensor, reverse: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs (B, T, H) of x (B, T, D), and the final states (B, H). reverse (B, T): the steps of each sequence
        in reverse order; last (B, 1): its last step.
        """
        if self.backwards:
            x = x.gather(1, reverse.unsqueeze(2).expand(-1, -1, x.shape[2]))
        h = self.run(x)
        final = row_of(h, last)
        return (h.gather(1, reverse.unsqueeze(2).expand(-1, -1, h.shape[2])) if self.backwards else h), final

    def run(self, x: Tensor) -> Tensor:
        """The outputs (B, T, H) in the order of x."""
        if not torch.jit.is_scripting():  # noqa: SIM102
            if torch.compiler.is_exporting():
                return self.scan(x)
        h: Tensor = self.lstm(x)[0]
        return h

    @torch.jit.unused
    def scan(self, x: Tensor) -> Tensor:
        """As `run`, as a loop in the graph: of a torch.nn.LSTM `torch.export` would fix the number of steps."""
        from torch._higher_order_ops.scan import scan  # a prototype of torch

        weight_ih, weight_hh, *biases = self.lstm.all_weights[0]
        pre = torch.nn.functional.linear(x, weight_ih, biases[0] + biases[1]).transpose(0, 1)  # (T, B, 4H)

        def step(state: tuple[Tensor, Tensor], row: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
            i, f, g, o = (row + state[0] @ weight_hh.T).chunk(4, 1)
            c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            return (h, c), h.clone()  # the results of a step may not share memory

        zero = x.new_zeros(x.shape[0], weight_hh.shape[1])
        h: Tensor = scan(step, (zero, zero.clone()), pre)[1]
        return h.transpose(0, 1)


class Layer(torch.nn.Module):
    """The directions of one LSTM layer, merged."""

    def __init__(self, shape: architecture.Layer, weights: Sequence[Weights]) -> None:
        super().__init__()
        pairs = zip(weights, shape.directions, strict=True)
        self.directions = torch.nn.ModuleList([Direction(one, name == "backward") for one, name in pairs])
        self.merge = shape.merge

    def forward(self, x: Tensor, reverse: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs (B, T, width) and the final states (B, width); see `Direction`."""
        outputs: list[Tensor] = []
        finals: list[Tensor] = []
        for direction in self.directions:
            h, final = direction(x, reverse, last)
            outputs.append(h)
            finals.append(final)
        return self.merged(outputs), self.merged(finals)

    def merged(self, outputs: list[Tensor]) -> Tensor:
        """The outputs of the directions as one."""
        if self.merge == "concat":
            return torch.cat(outputs, -1)
        both = torch.stack(outputs)
        return both.sum(0) if self.merge == "sum" else both.mean(0) if self.merge == "mean" else both.prod(0)


class TorchNetwork(torch.nn.Module):
    """embedding -> torch.nn.LSTM of each layer and direction -> pooling -> dense layers, and the other members of the
    ensemble.

    forward(x, lengths): logits (B, outputs) float32 of tokens (B, T) int64, or of channels (B, T, C) float32, padded at
    the end; with pooling "none" (B, T, outputs). lengths: (B,) int64, steps of each sequence, at least 1; None: all
    have T. Truncation and pads in front are part of it. It computes with torch alone: what `torch.export.export`, with
    any batch and number of steps, and `torch.jit.script` write runs without gatewise (docs/exchange.md). Raises
    InputError for binary gates and for members that have no module here.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        arch, parameters = ensemble.lstm.arch, ensemble.folded_parameters()
        arch.check_plain("a PyTorch module")
        if arch.gate != "sigmoid":
            raise InputError(f"gate={arch.gate!r}: torch.nn.LSTM has sigmoid gates only")
        self.embedding = None
        if arch.inputs == "tokens":
            self.embedding = torch.nn.Embedding(arch.vocab_size, arch.embedding_dim)
            _load(self.embedding, parameters, "embedding")
        every = enumerate(arch.layers)
        self.layers = torch.nn.ModuleList([Layer(one, weights_of(parameters, arch, n)) for n, one in every])
        dense: list[torch.nn.Module] = []
        for prefix, width, one in arch.dense():
            name = one.activation.replace("_", "")
            activation = {"linear": torch.nn.Identity(), "leakyrelu": torch.nn.LeakyReLU(one.negative_slope)}.get(name)
            dense += [_load(torch.nn.Linear(width, one.units), parameters, prefix), activation or _ACTIVATIONS[name]()]
        self.dense = torch.nn.Sequential(*dense)
        self.ngrams = None
        for member, weight in ensemble.others:
            if member.kind not in _MODULES:
                raise InputError(f"to_torch does not convert {member.noun}; network_only=True converts the LSTM alone")
            if weight:
                self.ngrams = _MODULES[member.kind](member, weight)
        self.max_length, self.pooling, self.pad = arch.max_length, arch.pooling, arch.padding == "pre"
        self.head = arch.max_length // 3 if arch.truncation == "middle" else 0

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, outputs) float32; see the class."""
        if lengths is None:
            lengths = torch.full((x.shape[0],), x.shape[1], dtype=torch.int64)
        lengths = lengths.to(x.device)
        steps, count = self.read_steps(x, lengths)
        if self.embedding is not None:
            steps = self.embedding(steps)
        place, last = torch.arange(steps.shape[1], device=x.device).unsqueeze(0), (count - 1).unsqueeze(1)
        reverse, final = torch.where(place <= last, last - place, place), steps
        for layer in self.layers:
            steps, final = layer(steps, reverse, last)
        pooled = final if self.pooling == "last" else self.pool(steps, place <= last, last)
        logits: Tensor = self.dense(pooled)
        if self.ngrams is not None:
            logits = (logits.double() + self.ngrams(x, lengths)).float()
        return logits

    def steps_of(self, x: Tensor) -> int:
        """The most steps that are read; when it is exported all, which the graph need not compare with `max_length`."""
        if not torch.jit.is_scripting():  # noqa: SIM102
            if torch.compiler.is_exporting():
                return x.shape[1]
        return min(self.max_length, x.shape[1])

    def read_steps(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The steps that the LSTM reads, and their number (B,): after truncation, and with pads in front."""
        most = self.max_length
        if most == 0:
            return x, lengths
        beyond = (lengths - most).unsqueeze(1)  # (B, 1), below 0 where there are pads
        step = torch.arange(most if self.pad else self.steps_of(x), device=x.device).unsqueeze(0)
        source = step + (beyond if self.pad else beyond.clamp(min=0))  # (B, T')
        if self.head:
            source = torch.where((step < self.head) & (beyond > 0), step, source)
        index = source.clamp(min=0, max=x.shape[1] - 1)
        if x.dim() == 3:
            return x.gather(1, index.unsqueeze(2).expand(-1, -1, x.shape[2])), lengths.clamp(max=most)
        steps = x.gather(1, index)
        if not self.pad:
            return steps, lengths.clamp(max=most)
        return torch.where(source < 0, torch.zeros_like(steps), steps), torch.full_like(lengths, most)

    def pool(self, h: Tensor, inside: Tensor, last: Tensor) -> Tensor:
        """Inputs (B, features) of the dense layers, of h (B, T, width); inside (B, T): the steps of each sequence; last
        (B, 1): the last one.
        """
        if self.pooling == "none":
            return h
        if self.pooling == "step":
            return row_of(h, last)
        mask = inside.unsqueeze(2)
        mean = torch.where(mask, h, 0.0).sum(1) / (last + 1)
        largest = torch.where(mask, h, -3.0).max(1)[0]  # every h is above -1, and a sum of two above -2
        if self.pooling == "mean":
            return mean
        return largest if self.pooling == "max" else torch.cat([mean, largest], 1)


def row_of(h: Tensor, step: Tensor) -> Tensor:
    """The row (B, H) of one step (B, 1) of each sequence of h (B, T, H)."""
    return h.gather(1, step.unsqueeze(2).expand(-1, -1, h.shape[2])).squeeze(1)


def _load(module: torch.nn.Module, parameters: Mapping[str, Array], name: str) -> torch.nn.Module:
    """The module, with its weight, and its bias if it has one, from the parameters of that name."""
    module.load_state_dict({part: _tensor(parameters[f"{name}.{part}"]) for part in module.state_dict()})
    return module


class NgramLogits(torch.nn.Module):
    """Logits (B, outputs) float64 of the linear n-gram model, see `gatewise.members.ngrams`, times `factor`, for tokens
    (B, T), whole numbers of any type, of `lengths` (B,).
    """

    def __init__(self, ngrams: Ngrams, factor: float) -> None:
        super().__init__()
        self.order, self.bits = ngrams.order, ngrams.bits
        spelling = ngrams.spelling
        table, opens = (np.zeros((0, 0)), np.zeros(0)) if spelling is None else spelling.padded()
        self.characters, self.opens = (
            torch.nn.Buffer(torch.from_numpy(one).long(), persistent=spelling is not None) for one in (table, opens)
        )
        self.keys = torch.nn.Buffer(torch.from_numpy(ngrams.keys.copy()))
        # Row K stands for an n-gram that the model does not have.
        weight = (factor * ngrams.weight.astype(np.float64)).astype(np.float32)
        self.weight = torch.nn.Buffer(_tensor(np.concatenate([weight, np.zeros((1, ngrams.outputs), np.float32)])))
        scale = np.zeros(0, np.float32) if ngrams.scale is None else np.append(ngrams.scale, np.float32(0))
        self.scale = torch.nn.Buffer(_tensor(scale))

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, outputs); see the class."""
        keys, scale, tokens = self.keys, self.scale, tokens.long()  # a key of int32 tokens would overflow
        step = torch.arange(tokens.shape[1], device=tokens.device).unsqueeze(0)
        inside = step < lengths.unsqueeze(1)
        numbers = tokens + 1
        if len(self.opens):  # the characters of the tokens, plus 1, as `Spelling.read` has them
            next_opens = torch.nn.functional.pad(self.opens[tokens][:, 1:], [0, 1]) > 0
            closes, each = next_opens | (step == lengths.unsqueeze(1) - 1), self.characters[tokens]  # (B, T, L)
            read = (closes.unsqueeze(2) | (each > 1)) & inside.unsqueeze(2)
            each = (each * read).flatten(1)
            place = ((each > 0).long().cumsum(1) - 1).clamp(min=0)
            numbers = torch.zeros_like(each).scatter_add(1, place, each)
            inside = numbers > 0
            step = torch.arange(numbers.shape[1], device=tokens.device).unsqueeze(0)
        width, count = numbers.shape[1], keys.shape[0]
        key = shifted = numbers
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


_ACTIVATIONS: dict[str, Any] = {name.lower(): getattr(torch.nn, name) for name in dir(torch.nn)}
"""The modules of torch by their names in small letters: "leakyrelu" for the activation "leaky_relu"."""

_MODULES: dict[str, Any] = {"ngrams": NgramLogits}
"""The torch module of each kind of member besides the LSTM; it is made of the member and its weight."""


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))
