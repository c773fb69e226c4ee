"""The network as a torch module: `gatewise.network.forward` on torch tensors, for training.

Only the embedding rows that the training texts can touch are parameters here (`active`): the gradient of every other
row is zero for good, so Adam would never move it, and it costs nothing to leave it out. `arrays()` gives all parameters
back, the untouched rows as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import InputError
from gatewise.kernels import get
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.forward import forward, inputs
from gatewise.network.ops import States, never_converges
from gatewise.nn.op import lstm
from gatewise.nn.project import project
from gatewise.nn.segment import segment_max, segment_mean
from gatewise.nn.take import take
from gatewise.types import Array, Gate

__all__ = ["Network", "TorchOps", "attribute"]


class TorchOps:
    """`network.ops.Ops` on torch tensors. dropout: probability by part (embedding, word, recurrent, layer, output);
    none without it.

    "word" drops whole rows of the batch's distinct tokens, "embedding" single numbers of them (Gal & Ghahramani 2016:
    one mask a word type, the same wherever it occurs); "recurrent" drops units of h_{t-1} where W_hh reads it, the same
    ones at every step of a sequence (same paper). kernel: see `gatewise.nn.op.lstm`.
    """

    def __init__(self, dropout: Mapping[str, float] | None = None, kernel: str | None = None) -> None:
        self.probability = dict(dropout or {})
        self.kernel = kernel
        self.keeps_gradient = False  # of rows that are taken: see `Network.zero_grad`

    def constant(self, values: Array, like: Tensor) -> Tensor:
        return torch.from_numpy(values).to(like.dtype)

    def take(self, rows: Tensor, which: NDArray[np.int64]) -> Tensor:
        in_place = self.keeps_gradient and rows.is_leaf and rows.grad is not None
        return take(rows, torch.from_numpy(which), in_place=in_place)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, weight, bias)

    def project(self, x: Tensor, weight_ih: Tensor, bias: Tensor) -> Tensor:
        return project(x, weight_ih, bias, kernel=self.kernel)

    def lstm(
        self,
        name: str,
        pre: Tensor,
        index: NDArray[np.int32] | None,
        lengths: NDArray[np.int64],
        weight_hh: Tensor,
        h0: Tensor,
        c0: Tensor,
        reverse: bool,
        gate: Gate,
    ) -> States:
        rows = None if index is None else torch.from_numpy(index)
        p = self.probability.get("recurrent", 0)
        mask = torch.nn.functional.dropout(h0.new_ones(h0.shape), p) if p > 0 else None
        kernel = self.kernel
        if name.endswith(".pads") and h0.dtype == torch.float32 and never_converges(kernel or get().name):
            kernel = "native"
        states = lstm(
            pre,
            rows,
            torch.from_numpy(lengths),
            weight_hh,
            h0,
            c0,
            reverse=reverse,
            gate=gate,
            mask=mask,
            kernel=kernel,
        )
        return States(*states)

    def pad_states(
        self, name: str, longest: int, most: int, run: Callable[[int], tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        return run(longest)

    def zeros(self, like: Tensor, rows: int, width: int) -> Tensor:
        return like.new_zeros((rows, width))

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=axis)

    def converged(self, states: States) -> bool:
        h, c = states.h.detach(), states.c.detach()
        return len(h) > 1 and torch.equal(h[-1], h[-2]) and torch.equal(c[-1], c[-2])

    def segment_mean(self, x: Tensor, lengths: NDArray[np.int64]) -> Tensor:
        return segment_mean(x, lengths)

    def segment_max(self, x: Tensor, lengths: NDArray[np.int64]) -> Tensor:
        return segment_max(x, lengths)

    def dropout(self, x: Tensor, part: str) -> Tensor:
        if part == "embedding" and self.probability.get("word", 0) > 0:
            x = torch.nn.functional.dropout(x.new_ones((len(x), 1)), self.probability["word"]) * x
        p = self.probability.get(part, 0)
        return torch.nn.functional.dropout(x, p) if p > 0 else x


class Network(torch.nn.Module):
    """A network that trains. `parameters` as `gatewise.network.architecture.initial_parameters` gives them, by name.

    active (A,): the embedding rows that may occur, ascending; None for all. dtype: float32, or float64 for tests.
    """

    def __init__(
        self,
        arch: Architecture,
        parameters: Mapping[str, Array],
        *,
        active: NDArray[np.int64] | None = None,
        dropout: Mapping[str, float] | None = None,
        dtype: torch.dtype = torch.float32,
        kernel: str | None = None,
    ) -> None:
        super().__init__()
        self.arch = arch
        self.active = active if arch.inputs == "tokens" else None
        self._start = dict(parameters)
        self._row_of: NDArray[np.int64] | None = None
        if self.active is not None:
            self._row_of = np.full(arch.vocab_size, -1, dtype=np.int64)
            self._row_of[self.active] = np.arange(len(self.active))
        if arch.padding == "pre" and (dropout or {}).get("recurrent", 0) > 0:
            raise InputError("recurrent dropout is another mask a sequence, which cannot share its pads (padding)")
        self._ops, self._plain = TorchOps(dropout, kernel), TorchOps(kernel=kernel)
        self.weights = torch.nn.ParameterDict()
        for name, array in parameters.items():
            kept = array[self.active] if name == "embedding.weight" and self.active is not None else array
            self.weights[attribute(name)] = torch.nn.Parameter(torch.from_numpy(np.array(kept)).to(dtype))

    def forward(self, batch: Batch, x: Tensor | None = None) -> Tensor:
        """Logits (B, outputs); dropout acts in training mode only. x (N, D): every step's input, as `inputs` gives it
        or moved from there, in place of the batch's own.
        """
        logits: Tensor = forward(self._mode, self._named, self.arch, self._active(batch), x)
        return logits

    def inputs(self, batch: Batch) -> Tensor:
        """What every step of a batch feeds into the first LSTM layer (N, D), or (N, C) of channels."""
        x: Tensor = inputs(self._mode, self._named, self._active(batch))
        return x if batch.index is None else x.index_select(0, torch.from_numpy(batch.index))

    @property
    def _mode(self) -> TorchOps:
        return self._ops if self.training else self._plain

    @property
    def _named(self) -> dict[str, Tensor]:
        return {name: self.weights[attribute(name)] for name in self._start}

    def _active(self, batch: Batch) -> Batch:
        """The batch with its tokens as rows of what is a parameter here."""
        if self._row_of is None or batch.distinct is None:
            return batch
        return Batch(batch.lengths, self._row_of[batch.distinct], batch.index, batch.values, batch.pads)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As torch's, but the embedding's gradient stays where it is, all 0, and the next backward adds to it there:
        tens of megabytes of mostly zeros would be written anew otherwise, on pages new to the process, at every step.
        `torch.autograd.grad` does not see it.
        """
        embedding = self.weights["embedding_weight"] if self.arch.inputs == "tokens" else None
        kept = None if embedding is None else embedding.grad
        super().zero_grad(set_to_none)
        if embedding is not None:
            embedding.grad = torch.zeros_like(embedding) if kept is None else kept.zero_()
            self._ops.keeps_gradient = True

    @property
    def names(self) -> list[str]:
        """The parameters' names, in the order in which the data meets them."""
        return list(self._start)

    def weight(self, name: str) -> Tensor:
        """The parameter of that name, as it is here: the embedding with its active rows only."""
        found: Tensor = self.weights[attribute(name)]
        return found

    def state(self) -> dict[str, Array]:
        """The parameters as they are here, the embedding with its active rows only, as copies, by name."""
        return {name: self.weights[attribute(name)].detach().numpy().copy() for name in self._start}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Put back what `state` gave."""
        with torch.no_grad():
            for name, array in state.items():
                self.weights[attribute(name)].copy_(torch.from_numpy(array))

    def arrays(self, state: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """All parameters by name, of `state` or as they are now; embedding rows that are not active as at the start."""
        out = dict(state if state is not None else self.state())
        if self.active is not None:
            full = self._start["embedding.weight"].astype(out["embedding.weight"].dtype)
            full[self.active] = out["embedding.weight"]
            out["embedding.weight"] = full
        return out


def attribute(name: str) -> str:
    """torch does not allow a dot in a parameter's name."""
    return name.replace(".", "_")
